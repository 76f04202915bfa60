#!/usr/bin/env bash
# Three agents share an IP on this machine, to see it move.
set -Eeuo pipefail
trap 'printf "start.sh: line %s: failed: %s\n" "$LINENO" "$BASH_COMMAND" >&2' ERR

# shellcheck source=tests/machine.sh
. "$(dirname "${BASH_SOURCE[0]}")/tests/machine.sh"

usage() {
    cat << 'END'
Usage: sudo ./start.sh              three agents share 10.20.30.40/32 until Ctrl-C
       sudo ./start.sh interfaces   only make the interfaces eth10, eth11 and eth12
       sudo ./start.sh clean        remove these interfaces again

What is missing is installed with apt, and LinK is built. Then an etcd is started on
loopback with its data in a temporary folder, unless ETCD_HOSTS names one to use:

       sudo ETCD_HOSTS=http://10.0.0.5:2379 ./start.sh

(in which no host may be called host1, host2 or host3 yet), and three agents: host1 on
eth10 with its API at port 1313, host2 on eth11 at 1314, host3 on eth12 at 1315. Ctrl-C
removes all of it. What `interfaces` made is used, and left to `clean`.
END
}

VIP=10.20.30.40/32
HOSTS=(host1 host2 host3)
INTERFACES=(eth10 eth11 eth12)
PORTS=(1313 1314 1315)

# Where the kernel has no dummy interfaces, each is one end of a veth pair; the other end, named
# after it, is on this bridge.
BRIDGE=link-bridge
PEER=-bridge

# An interface of ours carries one of these as its alias. Those of a demonstration go with it.
KEPT_MARK="LinK start.sh interfaces"
DEMO_MARK="LinK start.sh demo"

linkd=$checkout/target/release/linkd
linkctl=$checkout/target/release/linkctl
agents=()
etcd=
temp=
mark=
# What has been told of: indices of HOSTS, and etcd.
declare -A reported=()

main() {
    case ${1-} in
        '') demo ;;
        interfaces) only_interfaces ;;
        clean) clean ;;
        -h | --help | help) usage ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
}

demo() {
    require_root "starting the agents"
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP PIPE
    install_packages demo build
    refuse_conflicts
    build
    remove_old_data
    temp=$(mktemp -d -t "link-demo.$$.XXXXXX")
    make_interfaces "$DEMO_MARK $$"
    [ -n "${ETCD_HOSTS-}" ] || start_etcd
    start_agents
    share_vip
    introduce
    # From here on these are the way to end it.
    trap 'exit 0' INT TERM HUP PIPE
    watch
}

only_interfaces() {
    require_root "making interfaces"
    install_packages demo
    refuse_foreign_interfaces
    make_interfaces "$KEPT_MARK"
    ip -brief link show | grep -E "^($(IFS='|' && echo "${INTERFACES[*]}"))[@ ]"
}

clean() {
    local name
    require_root "removing interfaces"
    for name in "${INTERFACES[@]}" "$BRIDGE"; do
        refuse_running "$name"
    done
    remove_interfaces "LinK start.sh "
    remove_old_data
}

# --- before anything is changed

refuse_conflicts() {
    local port held
    refuse_foreign_interfaces
    for port in "${PORTS[@]}"; do
        port_is_free "$port" || die "port $port is taken (see: ss -ltnp 'sport = :$port')"
    done
    held=$(ip -oneline address show to "$VIP" | awk '{ print $2; exit }')
    [ -z "$held" ] || die "${VIP%/*} is already on $held"
}

refuse_foreign_interfaces() {
    local name
    for name in "${INTERFACES[@]}" "$BRIDGE" "${INTERFACES[@]/%/$PEER}"; do
        refuse_running "$name"
        if exists "$name" && [[ $(mark_of "$name") != "LinK start.sh "* ]]; then
            die "there is an interface $name that start.sh has not made: it is left alone"
        fi
    done
}

exists() { ip link show dev "$1" > /dev/null 2>&1; }

# Nothing when there is no such interface, or it has no alias.
mark_of() { { ip -oneline link show dev "$1" 2> /dev/null || true; } | sed -n 's/.*\\ *alias //p'; }

# refuse_running INTERFACE: nothing is done to that of a demonstration that goes on.
refuse_running() {
    local of pid
    of=$(mark_of "$1")
    pid=${of#"$DEMO_MARK "}
    if [ "$pid" != "$of" ] && is_start_sh "$pid"; then
        die "$1 is used by another start.sh, process $pid"
    fi
}

is_start_sh() { grep -q start.sh "/proc/$1/cmdline" 2> /dev/null; }

build() {
    find_cargo
    say "Building LinK as $builder"
    as_builder cargo build --release --locked --bins --target-dir "$checkout/target"
}

# --- interfaces

# make_interfaces MARK
make_interfaces() {
    local name
    mark=$1
    # What a demonstration that was killed has left.
    remove_interfaces "$DEMO_MARK "
    for name in "${INTERFACES[@]}"; do
        exists "$name" || make_interface "$name"
    done
}

make_interface() {
    if ip link add "$1" type dummy 2> /dev/null; then
        ip link set "$1" alias "$mark" up
        return
    fi
    if ! exists "$BRIDGE"; then
        ip link add "$BRIDGE" type bridge
        ip link set "$BRIDGE" alias "$mark" up
    fi
    ip link add "$1" type veth peer name "$1$PEER"
    ip link set "$1" alias "$mark" up
    ip link set "$1$PEER" alias "$mark" master "$BRIDGE" up
}

# remove_interfaces MARK: those whose alias begins like this. A veth goes with its peer.
remove_interfaces() {
    local name
    for name in "${INTERFACES[@]}" "$BRIDGE"; do
        if [[ $(mark_of "$name") == "$1"* ]]; then
            ip link delete "$name"
        fi
    done
}

# The folders of demonstrations that were killed.
remove_old_data() {
    local folder pid
    for folder in "${TMPDIR:-/tmp}"/link-demo.*.*; do
        pid=${folder#*/link-demo.}
        if [ -O "$folder" ] && ! is_start_sh "${pid%.*}"; then
            rm -rf "$folder"
        fi
    done
}

# --- processes

# launch LOG COMMAND...: in a process group of its own, so that Ctrl-C does not reach it, and ended
# when this script is killed.
launch() {
    local log=$1
    shift
    setpriv --pdeathsig TERM setsid "$@" > "$temp/$log" 2>&1 < /dev/null &
    # Not a job: when one of them was killed, watch tells it, not the shell. One that has ended by
    # now is none any more.
    disown "$!" 2> /dev/null || true
}

start_etcd() {
    local client peer
    client=$(free_port 12379)
    peer=$(free_port $((client + 1)))
    export ETCD_HOSTS=http://127.0.0.1:$client
    # etcd takes every ETCD_ variable for one of its options.
    launch etcd.log env -i "PATH=$PATH" etcd --name demo --data-dir "$temp/etcd" \
        --listen-client-urls "$ETCD_HOSTS" --advertise-client-urls "$ETCD_HOSTS" \
        --listen-peer-urls "http://127.0.0.1:$peer" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "demo=http://127.0.0.1:$peer"
    etcd=$!
    wait_for "etcd" "$etcd" etcd.log curl -sf -m 1 "$ETCD_HOSTS/health"
}

start_agents() {
    local i name etcd_settings=()
    # Addresses, certificates, user; everything else of the caller's environment stays out.
    for name in "${!ETCD_@}"; do
        etcd_settings+=("$name=${!name}")
    done
    for i in "${!HOSTS[@]}"; do
        mkdir "$temp/${HOSTS[i]}"
        launch "${HOSTS[i]}.log" env -i "PATH=$PATH" "TMPDIR=$temp" "${etcd_settings[@]}" \
            "HOSTNAME=${HOSTS[i]}" "INTERFACE=${INTERFACES[i]}" "PORT=${PORTS[i]}" \
            "STATE_DIR=$temp/${HOSTS[i]}" "RUST_LOG=${RUST_LOG-info}" KEEPALIVE_INTERVAL=1s \
            "$linkd"
        agents+=($!)
    done
    for i in "${!HOSTS[@]}"; do
        wait_for "the agent of ${HOSTS[i]}" "${agents[i]}" "${HOSTS[i]}.log" \
            curl -sf -m 1 "$(api "$i")/version"
    done
}

api() { echo "http://127.0.0.1:${PORTS[$1]}"; }

# wait_for WHAT PID LOG COMMAND...: until the command succeeds, for at most half a minute.
wait_for() {
    local what=$1 pid=$2 log=$3 deadline=$((SECONDS + 30))
    shift 3
    until "$@" > /dev/null 2>&1; do
        if ! is_running "$pid" || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$temp/$log" >&2
            die "$what did not start; above is the end of its log"
        fi
        sleep 0.1
    done
}

# Whether a process that was launched here is still there, and not a later one with its number.
is_running() {
    awk -v parent=$$ '/^State:/ { state = $2 } /^PPid:/ { ppid = $2 }
        END { exit !(ppid == parent && state != "Z") }' "/proc/$1/status" 2> /dev/null
}

# --- the demonstration

share_vip() {
    local i answer deadline=$((SECONDS + 30))
    for i in "${!HOSTS[@]}"; do
        # 409: an etcd of the user's remembers it from the last time.
        until answer=$(curl -s -m 10 -w '\n%{http_code}' -d "{\"ip\":\"$VIP\"}" "$(api "$i")/ips") &&
            [[ ${answer##*$'\n'} == 201 || ${answer##*$'\n'} == 409 ]]; do
            if [ "$SECONDS" -ge "$deadline" ]; then
                die "${HOSTS[i]} does not take $VIP: $answer"
            fi
            sleep 0.5
        done
    done
}

introduce() {
    cat << END

Three agents share $VIP, through etcd at $ETCD_HOSTS.
Their logs: $temp/host1.log, host2.log, host3.log

See it:     ip -brief address show to ${VIP%/*}
            curl -s $(api 0)/ips
            $linkctl list
Add one:    curl -s -d '{"ip":"10.20.30.41"}' $(api 1)/ips
Remove it:  curl -s -X DELETE $(api 1)/ips/ID     (or: linkctl --host 127.0.0.1:${PORTS[1]} delete 10.20.30.41)

Every change of the owner is shown here. Ctrl-C ends it all and removes what was made.

END
}

# Shows every change of the owner, and the end of every process, until no agent is left.
watch() {
    local before='' now i
    while report_deaths; do
        now=$(owners)
        if [ "$now" != "$before" ]; then
            report "$VIP: ${before:+$before -> }$now"
            for i in "${!HOSTS[@]}"; do
                [ "$now" != "${HOSTS[i]}" ] || suggest_kill "$i"
            done
            before=$now
        fi
        sleep 1
    done
    die "no agent is left"
}

report() { say "$(date +%T)  $*"; }

# Fails when no agent is left.
report_deaths() {
    local i left=0
    for i in "${!HOSTS[@]}"; do
        if is_running "${agents[i]}"; then
            left=1
        elif [ -z "${reported[$i]-}" ]; then
            report "the agent of ${HOSTS[i]} has ended"
            reported[$i]=1
        fi
    done
    if [ -n "$etcd" ] && ! is_running "$etcd" && [ -z "${reported[etcd]-}" ]; then
        report "etcd has ended"
        reported[etcd]=1
    fi
    [ "$left" = 1 ]
}

suggest_kill() {
    say "          kill this host: sudo sh -c 'kill -s KILL -- -${agents[$1]}; ip link delete ${INTERFACES[$1]}'"
}

# The hosts whose agents say that they own the IP: one, in a moment of change none or several.
owners() {
    local i status names=()
    for i in "${!HOSTS[@]}"; do
        status=$(timeout 2 "$linkctl" --host "127.0.0.1:${PORTS[i]}" list 2> /dev/null |
            awk -v vip="$VIP" '$1 == vip { print $2 }') || continue
        if [ "$status" = ACTIVATED ]; then
            names+=("${HOSTS[i]}")
        fi
    done
    if [ ${#names[@]} -eq 0 ]; then
        echo nobody
    else
        echo "${names[*]}"
    fi
}

# --- the end

# Removes everything that this run has made; what is not there is no error.
clean_up() {
    trap '' INT TERM HUP PIPE
    trap - EXIT ERR
    set +e
    if [ -n "$temp" ]; then
        printf '\nStopping the agents, removing interfaces and data\n'
        # Agents first: they tell etcd that they leave.
        [ -n "$etcd" ] || forget_ips
        stop 15 "${agents[@]}"
        [ -z "$etcd" ] || stop 5 "$etcd"
        [ -z "$mark" ] || remove_interfaces "$DEMO_MARK $$"
        rm -rf "$temp"
    fi
}

# In an etcd that stays, nothing of the demonstration shall: the agents delete what they share.
forget_ips() {
    local port ip
    for port in "${PORTS[@]}"; do
        for ip in $(timeout 2 "$linkctl" --host "127.0.0.1:$port" list 2> /dev/null |
            awk 'NR > 1 { print $1 }'); do
            timeout 10 "$linkctl" --host "127.0.0.1:$port" delete "$ip"
        done
    done
}

# stop SECONDS PID...: asks them to end, and kills what has not ended by then.
stop() {
    local deadline=$((SECONDS + $1)) pid
    shift
    for pid in "$@"; do
        is_running "$pid" && kill -TERM "$pid"
    done
    for pid in "$@"; do
        while is_running "$pid" && [ "$SECONDS" -lt "$deadline" ]; do
            sleep 0.1
        done
        is_running "$pid" && kill -KILL -- "-$pid"
    done
}

main "$@"
