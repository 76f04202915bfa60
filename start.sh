#!/usr/bin/env bash
# Three hosts share an IP on this machine, to see it move.
set -Eeuo pipefail
# What ip, ping and bash itself print is read here: numbers with a point, in English.
export LC_ALL=C
trap 'printf "start.sh: line %s: failed: %s\n" "$LINENO" "$BASH_COMMAND" >&2' ERR

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/machine.sh
. "$here/tests/machine.sh"
# shellcheck source=demo/hosts.sh
. "$here/demo/hosts.sh"
# shellcheck source=demo/orders.sh
. "$here/demo/orders.sh"
# shellcheck source=demo/screen.sh
. "$here/demo/screen.sh"

usage() {
    cat << 'END'
Usage: sudo ./start.sh                     three hosts share 10.20.30.40 until Ctrl-C

From another terminal, while it runs:
       sudo ./start.sh linkctl ARGUMENTS   linkctl, on the host that has the IP
       sudo ./start.sh on HOST COMMAND     any command on host1, host2, host3 or client
       sudo ./start.sh power-off [HOST]    a host dies: this one, or the one that has the IP
       sudo ./start.sh power-on [HOST]     it boots, or all that are off
       sudo ./start.sh unplug [HOST]       its cable is pulled
       sudo ./start.sh plug [HOST]         and put in again
       sudo ./start.sh kill etcd           on all hosts
       sudo ./start.sh start etcd

Interfaces to try LinK on by hand:
       sudo ./start.sh interfaces          make the interfaces eth10, eth11 and eth12
       sudo ./start.sh clean               remove them, and what a killed demo has left

What is missing is installed with apt, and LinK is built, unless LINKD and LINKCTL name
programs. Each host is a network namespace with an agent and a member of etcd; they and a
client are on a bridge in another. Nothing is in the machine's own network. Ctrl-C removes
all of it.
END
}

INTERFACES=(eth10 eth11 eth12)

# Where the kernel has no dummy interfaces, each is one end of a veth pair; the other end, named
# after it, is on this bridge.
BRIDGE=link-bridge
PEER=-bridge

# The alias of an interface that was made here.
MARK="LinK start.sh interfaces"

linkd=${LINKD:-$checkout/target/release/linkd}
linkctl=${LINKCTL:-$checkout/target/release/linkctl}

main() {
    case ${1-} in
        '') demo ;;
        linkctl | on | power-off | power-on | unplug | plug | kill | start)
            require_root "an order to the demo"
            order "$@"
            ;;
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
    require_root "making network namespaces"
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP PIPE
    refuse_second
    if [ -z "${LINKD-}" ] || [ -z "${LINKCTL-}" ]; then
        build
    fi
    install_packages demo
    begin
    make_lan
    start_hosts
    share_vip
    start_ping
    # From here on these are the way to end it. Not at once: bash may be in the middle of a read.
    trap 'ending=1' INT TERM HUP PIPE
    introduce
    watch
}

build() {
    find_cargo
    install_packages build demo
    say "Building LinK as $builder"
    as_builder cargo build --release --locked --bins --target-dir "$checkout/target"
    SECONDS=0
}

# Removes everything that this run has made; what is not there is no error.
clean_up() {
    trap '' INT TERM HUP PIPE
    trap - EXIT ERR
    set +e
    if [ -n "$data" ]; then
        printf '\n%s\n' "Removing hosts and data"
        remove_demo
    fi
}

# --- interfaces

only_interfaces() {
    local name
    require_root "making interfaces"
    install_packages demo
    refuse_foreign_interfaces
    for name in "${INTERFACES[@]}"; do
        exists "$name" || make_interface "$name"
    done
    ip -brief link show | grep -E "^($(IFS='|' && echo "${INTERFACES[*]}"))[@ ]"
}

clean() {
    local name
    require_root "removing interfaces"
    for name in "${INTERFACES[@]}" "$BRIDGE"; do
        # A veth goes with its peer.
        if [[ $(mark_of "$name") == "LinK start.sh "* ]]; then
            ip link delete "$name"
        fi
    done
    refuse_second
    remove_demo
}

refuse_foreign_interfaces() {
    local name
    for name in "${INTERFACES[@]}" "$BRIDGE" "${INTERFACES[@]/%/$PEER}"; do
        if exists "$name" && [[ $(mark_of "$name") != "LinK start.sh "* ]]; then
            die "there is an interface $name that start.sh has not made: it is left alone"
        fi
    done
}

exists() { ip link show dev "$1" > /dev/null 2>&1; }

# Nothing when there is no such interface, or it has no alias.
mark_of() { { ip -oneline link show dev "$1" 2> /dev/null || true; } | sed -n 's/.*\\ *alias //p'; }

make_interface() {
    if ip link add "$1" type dummy 2> /dev/null; then
        ip link set "$1" alias "$MARK" up
        return
    fi
    if ! exists "$BRIDGE"; then
        ip link add "$BRIDGE" type bridge
        ip link set "$BRIDGE" alias "$MARK" up
    fi
    ip link add "$1" type veth peer name "$1$PEER"
    ip link set "$1" alias "$MARK" up
    ip link set "$1$PEER" alias "$MARK" master "$BRIDGE" up
}

main "$@"
