"""`agentctl completion`: the scripts that make shells ask agentctl for completions.

The scripts speak Click's protocol and know no command: they need no change when a
command does. They are here as text, so that they can be had without the shipped files.
"""

from __future__ import annotations

import click

BASH = r"""# Completion of agentctl for bash 4.4 or newer. Nothing else needs to be installed.

_agentctl_completion() {
    local IFS=$' \t\n'
    local -a words=()
    local rest=${COMP_LINE:0:COMP_POINT} trimmed word current prefix response item value i

    # Readline also splits at ":" and "=". What has no blank before it belongs to the word before.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -z $COMP_LINE ]]; then
            words+=("$word")
            continue
        fi
        trimmed=${rest#"${rest%%[![:blank:]]*}"}
        if ((i == COMP_CWORD)); then
            word=$trimmed # no further than the cursor
        fi
        if ((i)) && [[ $trimmed == "$rest" ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        rest=${trimmed#"$word"}
    done
    current=${words[-1]}
    prefix=${current%"$2"} # readline keeps this part, and replaces only the rest

    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _AGENTCTL_COMPLETE=bash_complete "$1" 2>/dev/null)

    COMPREPLY=()
    while IFS= read -r item; do
        value=${item#*,}
        case $item in
        dir,*) compopt -o dirnames 2>/dev/null ;;
        file,*) compopt -o default 2>/dev/null ;;
        plain,*)
            case $current in
            # Readline closes the quote, but not after a match that ends like one.
            \'*)
                value=${value//\'/"'\''"}
                [[ $value != *\' ]] || value+=\'
                ;;
            \"*)
                value=${value//\\/"\\\\"}
                value=${value//\"/"\\\""}
                value=${value//\$/"\\\$"}
                value=${value//\`/"\\\`"}
                [[ $value != *\" ]] || value+=\"
                ;;
            *) printf -v value %q "$value" ;;
            esac
            COMPREPLY+=("${value#"$prefix"}")
            ;;
        esac
    done <<<"$response"
}

complete -o nosort -F _agentctl_completion agentctl
"""

ZSH = r"""#compdef agentctl
# Completion of agentctl for zsh.

_agentctl() {
    local -a plain described response
    local kind value text

    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        _AGENTCTL_COMPLETE=zsh_complete ${~words[1]} 2>/dev/null)}")

    # Of --option=value only the value is completed.
    if [[ $PREFIX == --*=* ]]; then
        compset -P '*='
    fi

    for kind value text in "${(@)response}"; do
        case $kind in
        plain)
            if [[ $text == _ ]]; then
                plain+=("$value")
            else
                # It comes with its colons escaped; backslashes have to be, too.
                value=${value//\\:/:}
                value=${value//\\/\\\\}
                described+=("${value//:/\\:}:$text")
            fi
            ;;
        dir) _files -/ ;;
        file) _files ;;
        esac
    done

    if (($#described)); then
        _describe -V unsorted described
    fi
    if (($#plain)); then
        compadd -V unsorted -a plain
    fi
}

if [[ $funcstack[1] == _agentctl ]]; then
    _agentctl "$@" # found by its name in $fpath: this file is the function's body, once
else
    compdef _agentctl agentctl
fi
"""

FISH = r"""# Completion of agentctl for fish.

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
"""

SCRIPTS: dict[str, str] = {"bash": BASH, "zsh": ZSH, "fish": FISH}

FILES: dict[str, str] = {"agentctl.bash": BASH, "_agentctl": ZSH, "agentctl.fish": FISH}
"""The same under the names that packages ship."""


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(shell: str, as_json: bool) -> None:
    """Print a completion script for your shell.

    It completes commands, options, ids and names of sessions, groups, adapters and held
    directories. Installing agentctl as a package of your system puts it in place; after
    an installation with pip or pipx, add one line to the start-up file of your shell:

    \b
      bash  ~/.bashrc                   eval "$(agentctl completion bash)"
      zsh   ~/.zshrc, after compinit    eval "$(agentctl completion zsh)"
      fish  ~/.config/fish/config.fish  agentctl completion fish | source

    Or save it where the shell looks by itself, which makes the shell start faster:

    \b
      bash  ~/.local/share/bash-completion/completions/agentctl
      zsh   a file named _agentctl in a directory of $fpath
      fish  ~/.config/fish/completions/agentctl.fish

    \b
    Examples:
      eval "$(agentctl completion bash)"
      agentctl completion fish > ~/.config/fish/completions/agentctl.fish

    \b
    Exit status:
      0  the script was printed
      2  no such shell
    """
    from agentctl.commands import _show

    _show.answer(
        SCRIPTS[shell],
        as_json=as_json,
        document=lambda script: {"shell": shell, "script": script},
        text=str.rstrip,
    )
