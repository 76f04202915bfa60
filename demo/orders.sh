# Orders to the demo that runs: the terminals where they are given, and what the demo does then. Sourced
# by start.sh.
# shellcheck shell=bash

# --- where the order is given

# order WORD...
order() {
    local host
    running_demo > /dev/null || die "no demo runs: start it with ./start.sh in another terminal"
    case $1 in
        linkctl)
            ask "$@"
            run_on "$answer" "$@"
            ;;
        on)
            [ $# -ge 3 ] || die "on: name a host and a command"
            ask "$@"
            shift
            run_on "$@"
            ;;
        kill | start)
            [ "$#-${2-}" = 2-etcd ] || die "$1 what? Only etcd can be: ./start.sh $1 etcd"
            ask "$@"
            say "$answer"
            ;;
        *)
            [ $# -le 2 ] || die "$1: name one host, or none"
            host=${2-}
            [ -z "$host" ] || is_host "$host" || die "$host is no host: there are ${HOSTS[*]}"
            ask "$@"
            say "$answer"
            ;;
    esac
}

run_on() {
    local status=0
    # Its failure is its own, and told by it.
    trap - ERR
    on "$@" || status=$?
    exit "$status"
}

# ask WORD...: has the demo carry it out, and sets $answer. A refusal ends the script.
ask() {
    local words="$*" reply code deadline=$((SECONDS + 10))
    reply=$(mktemp "$RUN/reply.XXXXXX")
    # A line, and short enough to be written at once.
    words=${words//[^[:print:]]/ }
    printf 'order %s %s\n' "$reply" "${words:0:1000}" > "$RUN/events"
    until read -r code answer < "$reply"; do
        if ! running_demo > /dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            rm -f "$reply"
            die "the demo does not answer: has it said that it is ready?"
        fi
        sleep 0.01
    done
    rm -f "$reply"
    [ "$code" = 0 ] || die "$answer"
}

# --- the demo

# obey REPLY WORD...
obey() {
    local reply=$1 code=0
    shift
    report "${BOLD}\$ ./start.sh $*${PLAIN}"
    answer=
    case $1 in
        linkctl) choose_host || code=1 ;;
        on) is_reachable "$2" || code=1 ;;
        power-off) power_off "${2-$(owner)}" || code=1 ;;
        power-on) each power_on "${2-}" "${!off[@]}" || code=1 ;;
        unplug) unplug "${2-$(owner)}" || code=1 ;;
        plug) each plug "${2-}" "${!unplugged[@]}" || code=1 ;;
        kill) kill_etcd ;;
        start) revive_etcd ;;
        *) code=1 answer="unknown order: $*" ;;
    esac
    printf '%s %s\n' "$code" "$answer" > "$reply"
}

# The first host that has the IP and a cable, otherwise the first that is on.
owner() {
    local host
    for host in "${HOSTS[@]}"; do
        if [ -z "${unplugged[$host]-}" ] && has_vip "$host"; then
            echo "$host"
            return
        fi
    done
    for host in "${HOSTS[@]}"; do
        if [ -z "${off[$host]-}" ]; then
            echo "$host"
            return
        fi
    done
    echo host1
}

choose_host() {
    answer=$(owner)
    [ -z "${off[$answer]-}" ] || refuse "all hosts are off: ./start.sh power-on"
}

is_reachable() {
    is_host "$1" || [ "$1" = "$CLIENT" ] || refuse "$1 is no host: there are ${HOSTS[*]} $CLIENT" || return
    [ -z "${off[$1]-}" ] || refuse "$1 is off: ./start.sh power-on $1"
}

refuse() {
    answer=$*
    return 1
}

# each COMMAND HOST HOST...: for the first host if it is named, otherwise for the rest.
each() {
    local command=$1 named=$2 host said=
    shift 2
    [ -z "$named" ] || set -- "$named"
    [ $# -gt 0 ] || refuse "there is no host for which to do that" || return
    for host in "$@"; do
        "$command" "$host" || return
        said+=${said:+, }$answer
    done
    answer=$said
}

# What runs there dies, then the card: nobody says good-bye.
power_off() {
    [ -z "${off[$1]-}" ] || refuse "$1 is off already" || return
    off[$1]=1
    unset "unplugged[$1]"
    forget agent "$1"
    forget etcd "$1"
    ip -n "$(namespace "$LAN")" link delete "$1"
    remove_namespace "$1"
    answer="$1 is off"
}

power_on() {
    [ -n "${off[$1]-}" ] || refuse "$1 is on already" || return
    unset "off[$1]"
    make_host "$1"
    start_etcd "$1"
    start_agent "$1"
    answer="$1 boots"
}

unplug() {
    [ -z "${off[$1]-}" ] || refuse "$1 is off" || return
    [ -z "${unplugged[$1]-}" ] || refuse "$1 is unplugged already" || return
    unplugged[$1]=1
    set_cable "$1" down
    answer="$1 is unplugged"
}

plug() {
    [ -n "${unplugged[$1]-}" ] || refuse "$1 is not unplugged" || return
    unset "unplugged[$1]"
    set_cable "$1" up
    answer="$1 is plugged in"
}

kill_etcd() {
    local host killed=()
    for host in "${HOSTS[@]}"; do
        if [ -n "${etcd[$host]-}" ]; then
            forget etcd "$host"
            killed+=("$host")
        fi
    done
    answer="etcd is dead on ${killed[*]:-no host}"
}

revive_etcd() {
    local host started=()
    for host in "${HOSTS[@]}"; do
        if [ -z "${off[$host]-}" ] && [ -z "${etcd[$host]-}" ]; then
            start_etcd "$host"
            started+=("$host")
        fi
    done
    answer="etcd starts on ${started[*]:-no host}"
}

# forget agent|etcd HOST: kills it.
forget() {
    local -n of=$1
    if is_running "${of[$2]-}"; then
        kill -KILL "${of[$2]}" || true
    fi
    unset "of[$2]"
}
