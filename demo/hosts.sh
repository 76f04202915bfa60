# The hosts of the demo: network namespaces, their cables, and what runs in them. Sourced by start.sh.
# shellcheck shell=bash

VIP=10.20.30.40
HOSTS=(host1 host2 host3)
CLIENT=client

# The bridge is in a namespace of its own, too: the machine's firewall has no part in it.
LAN=lan

# A folder while a demo runs: a link to the one with its data.
RUN=/run/link-demo

data=
# Process ids of what runs on each host; none: it does not run.
declare -A agent=() etcd=()
# Hosts without power, and hosts without a cable.
declare -A off=() unplugged=()

namespace() { echo "link-demo-$1"; }

is_host() { [[ " ${HOSTS[*]} " == *" $1 "* ]]; }

address() {
    if [ "$1" = "$CLIENT" ]; then
        echo 10.20.30.100
    else
        echo "10.20.30.${1#host}"
    fi
}

# --- one demo at a time

refuse_second() {
    local pid
    if pid=$(running_demo); then
        die "a demo runs already, as process $pid: end it with Ctrl-C in its terminal, or: kill $pid"
    fi
}

# The process id of the demo that runs; fails when there is none.
running_demo() {
    local pid
    pid=$(cat "$RUN/pid" 2> /dev/null) && [ "$pid" != $$ ] &&
        grep -q start.sh "/proc/$pid/cmdline" 2> /dev/null && echo "$pid"
}

begin() {
    local folder
    [ -x "$linkd" ] || die "$linkd is no program: what LINKD names must be built"
    [ -x "$linkctl" ] || die "$linkctl is no program: what LINKCTL names must be built"
    # What a demo has left that was killed.
    remove_demo
    folder=$(mktemp -d -t link-demo.XXXXXX)
    echo $$ > "$folder/pid"
    if ! ln -s -T "$folder" "$RUN" 2> /dev/null; then
        rm -rf "$folder"
        refuse_second
        die "cannot make $RUN"
    fi
    data=$folder
    mkdir "$data/bin"
    ln -s "$(realpath "$linkctl")" "$data/bin/linkctl"
    ln -s "$(realpath "$linkd")" "$data/bin/linkd"
    mkfifo "$data/events"
    exec {events}<> "$data/events"
}

# Ends what runs in the namespaces of a demo, and removes them and its data.
remove_demo() {
    local name folder
    for name in "${HOSTS[@]}" "$CLIENT" "$LAN"; do
        remove_namespace "$name"
    done
    folder=$(readlink "$RUN") || true
    if [[ $folder == */link-demo.?????? ]]; then
        rm -rf "$folder"
    fi
    rm -f "$RUN"
}

remove_namespace() {
    local name pids deadline=$((SECONDS + 5))
    name=$(namespace "$1")
    [ -e "/run/netns/$name" ] || return 0
    while pids=$(ip netns pids "$name" 2> /dev/null) && [ -n "$pids" ] && [ "$SECONDS" -lt "$deadline" ]; do
        # shellcheck disable=SC2086
        kill -KILL $pids 2> /dev/null || true
        sleep 0.01
    done
    ip netns delete "$name"
}

# --- the network

make_lan() {
    make_namespace "$LAN"
    ip -n "$(namespace "$LAN")" link add "$LAN" type bridge ||
        die "the kernel has no bridges, which the demo needs (CONFIG_BRIDGE)"
    ip -n "$(namespace "$LAN")" link set "$LAN" up
    make_host "$CLIENT"
}

make_namespace() {
    ip netns add "$(namespace "$1")" ||
        die "cannot make a network namespace: a container must be allowed to (CAP_SYS_ADMIN)"
    ip -n "$(namespace "$1")" link set lo up
}

# A namespace with a card eth0, whose cable is in a port of the bridge that is named after the host.
make_host() {
    local name lan
    name=$(namespace "$1")
    lan=$(namespace "$LAN")
    make_namespace "$1"
    ip -n "$lan" link add "$1" type veth peer name eth0 netns "$name" ||
        die "the kernel has no veth interfaces, which the demo needs (CONFIG_VETH)"
    ip -n "$lan" link set "$1" master "$LAN" up
    ip -n "$name" address add "$(address "$1")/24" dev eth0
    ip -n "$name" link set eth0 up
}

set_cable() { ip -n "$(namespace "$LAN")" link set "$1" "$2"; }

# --- processes

# launch HOST LOG COMMAND...: starts it there as $launched. It dies with this script.
launch() {
    local network=/run/netns/link-demo-$1 log=$data/$2.log
    shift 2
    setpriv --pdeathsig KILL setsid nsenter "--net=$network" env -i "PATH=$PATH" LC_ALL=C "$@" \
        >> "$log" 2>&1 < /dev/null {events}>&- &
    launched=$!
    # Not a job: the shell shall not tell of its end.
    disown "$launched" 2> /dev/null || true
}

start_hosts() {
    local host
    for host in "${HOSTS[@]}"; do
        mkdir "$data/$host"
        make_host "$host"
        start_etcd "$host"
    done
    for host in "${HOSTS[@]}"; do
        start_agent "$host"
    done
}

start_etcd() {
    local host members=() own
    for host in "${HOSTS[@]}"; do
        members+=("$host=http://$(address "$host"):2380")
    done
    own=http://$(address "$1")
    # etcd 3.4 has no --pre-vote by default.
    launch "$1" "etcd-$1" etcd --name "$1" --data-dir "$data/$1/etcd" --pre-vote \
        --listen-client-urls "$own:2379" --advertise-client-urls "$own:2379" \
        --listen-peer-urls "$own:2380" --initial-advertise-peer-urls "$own:2380" \
        --initial-cluster "$(IFS=, && echo "${members[*]}")"
    etcd[$1]=$launched
}

start_agent() {
    local host members=()
    for host in "${HOSTS[@]}"; do
        members+=("http://$(address "$host"):2379")
    done
    launch "$1" "$1" "HOSTNAME=$1" INTERFACE=eth0 "ETCD_HOSTS=$(IFS=, && echo "${members[*]}")" \
        "STATE_DIR=$data/$1" "RUST_LOG=${RUST_LOG-info}" "$data/bin/linkd"
    agent[$1]=$launched
}

# Whether a process that was launched is still there, and not a later one with its number.
is_running() {
    local stat
    { read -r stat < "/proc/${1:-none}/stat"; } 2> /dev/null || return 1
    [[ ${stat##*) } =~ ^[^ZX]\ $$\  ]]
}

# on HOST COMMAND...
on() {
    local network=/run/netns/link-demo-$1
    shift
    nsenter "--net=$network" env -u LINK_HOST -u LINK_USER -u LINK_PASSWORD "PATH=$RUN/bin:$PATH" "$@"
}

# The first host has the IP before the others are candidates: it is the owner.
share_vip() {
    local host deadline=$((SECONDS + 30))
    for host in "${HOSTS[@]}"; do
        until on "$host" linkctl add "$VIP" > "$data/add.log" 2>&1; do
            if ! is_running "${agent[$host]}" || [ "$SECONDS" -ge "$deadline" ]; then
                tail -n 10 "$data/add.log" "$data/$host.log" "$data/etcd-$host.log" >&2
                die "$host does not take $VIP; above is what it says"
            fi
            # An answer may have been lost.
            ! on "$host" linkctl show "$VIP" > /dev/null 2>&1 || break
            sleep 0.1
        done
        until has_vip host1 || [ "$SECONDS" -ge "$deadline" ]; do
            sleep 0.02
        done
    done
}

# Whether the kernel of a host has the IP.
has_vip() {
    local routes=()
    [ -n "${agent[$1]-}" ] || return 1
    { mapfile -t routes < "/proc/${agent[$1]}/net/fib_trie"; } 2> /dev/null || return 1
    [[ "${routes[*]} " == *"|-- $VIP "* ]]
}

start_ping() {
    # With 10 ms it would wait by the ticks of the kernel's clock, which are longer.
    launch "$CLIENT" ping sh -c 'exec ping -n -D -i 0.009 "$1" > "$2" 2> /dev/null' sh "$VIP" "$data/events"
    ping=$launched
}
