# Completion of agentctl for fish.

function _agentctl_completion
    set -l line (commandline --cut-at-cursor --current-process)
    set -l token (commandline --cut-at-cursor --current-token)
    # Fish compares with the whole token, so a value of --option=value needs its beginning.
    set -l prefix (string match --regex -- '^--[^=]+=' "$token")
    set -l rest (string replace --regex -- '^--[^=]+=' '' "$token")

    set -lx _AGENTCTL_COMPLETE fish_complete
    set -lx COMP_WORDS "$line"
    set -lx COMP_CWORD "$token"
    for item in (agentctl 2>/dev/null)
        set -l parts (string split --max 1 -- , $item)
        switch $parts[1]
            case plain
                printf '%s\n' "$prefix$parts[2]"
            case dir
                for path in (__fish_complete_directories "$rest")
                    printf '%s\n' "$prefix$path"
                end
            case file
                for path in (__fish_complete_path "$rest")
                    printf '%s\n' "$prefix$path"
                end
        end
    end
end

complete --command agentctl --no-files --keep-order --arguments '(_agentctl_completion)'
