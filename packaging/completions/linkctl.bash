# shellcheck shell=bash
# Completion of linkctl for bash: /usr/share/bash-completion/completions/linkctl, or sourced.

# The options of a command, beside those of all.
_linkctl_options() {
    case $1 in
        add) echo --check --interval --interface --etcd-loss-policy --priority --group --force --file --wait ;;
        set) echo --check --interval --etcd-loss-policy --priority --group ;;
        apply) echo --file --dry-run --force ;;
        failover) echo --to ;;
        drain) echo --for --wait ;;
        fence) echo --force --yes ;;
        leave) echo --force ;;
        list) echo --wide --output ;;
        events) echo --follow ;;
        doctor) echo --env ;;
    esac
    echo --host --cacert --user --password --password-file --json --help --version
}

# The first column of a list of the agent, asked with the options that stand on the line.
_linkctl_ips() {
    local ip rest
    while read -r ip rest; do
        [ "$ip" = IP ] || printf '%s\n' "$ip"
    done < <("$@" list --wide 2> /dev/null)
}

_linkctl() {
    local commands="status watch list show events doctor version add set apply delete failover lock drain undrain fence leave"
    local words word current previous='' command='' choice=''
    # Not COMP_WORDS, which bash cuts at the colons of an IPv6 address.
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    current=
    if [[ ${COMP_LINE:0:COMP_POINT} != *[[:space:]] ]]; then
        current=${words[-1]}
        unset 'words[-1]'
    fi
    local ask=("${words[0]}")
    for word in "${words[@]:1}"; do
        case $previous in
            --host | --cacert | --user | --password | --password-file) ask+=("$previous" "$word") ;;
            -*) ;;
            *) [[ $word == -* || -n $command ]] || command=$word ;;
        esac
        case $word in
            --host | --cacert | --user | --password | --password-file | --check | --interval | --interface | --etcd-loss-policy | --priority | --group | --to | --for | --env | --file | --output)
                previous=$word
                ;;
            -f) [ "$command" = events ] || previous=$word ;;
            *) previous='' ;;
        esac
    done
    COMPREPLY=()
    case $previous in
        --interface) choice=$(ls /sys/class/net) ;;
        --etcd-loss-policy) choice="take probe hold" ;;
        --output) choice="table wide commands" ;;
        --env | --file | --cacert | --password-file | -f) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        -*) ;;
        *)
            case $command:$current in
                *:-*) choice=$(_linkctl_options "$command") ;;
                :*) choice="$commands help" ;;
                help:*) choice=$commands ;;
                show:* | set:* | delete:* | lock:* | failover:*) choice=$(_linkctl_ips "${ask[@]}") ;;
            esac
            ;;
    esac
    [ -z "$choice" ] || mapfile -t COMPREPLY < <(compgen -W "$choice" -- "$current")
    # Of a word with colons bash replaces what is behind the last one.
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
    fi
}

complete -F _linkctl linkctl
