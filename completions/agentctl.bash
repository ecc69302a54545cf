# Completion of agentctl for bash 4.4 or newer. Nothing else needs to be installed.

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
