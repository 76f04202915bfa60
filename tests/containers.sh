# The surroundings of tests/hosts: containers with a systemd of their own on a bridge, a member of etcd, a client
# that pings, and what is asked of them. Sourced, not run; it wants tests/machine.sh.
# shellcheck shell=bash

NAME=link-hosts
NET=$NAME-net
# The addresses are those of the handbook, so that its lines can be run as they stand there.
VIP=10.0.0.100
ETCD=(10.0.0.11 10.0.0.12 10.0.0.13)
HOSTS=(1 2 3)
# Those of the hosts, without their numbers, and of the namespace beside them.
HOST_PREFIX=10.0.0.2
OUTSIDE=("${ETCD[@]}")

# The folder of all files, the processes beside the containers, and of each container nspawn's process and the
# first of its own.
work=
etcd=
pinger=
guard=
declare -A containers=() leaders=()

# One run at a time, by the names that it gives; removes what one that was killed has left.
sweep() {
    local left
    exec 9> "/run/lock/$NAME"
    flock --nonblock 9 || die "another run is under way"
    for left in /var/tmp/"$NAME".*/*/root; do
        ! mountpoint -q "$left" || umount "$left"
    done
    rm -rf /var/tmp/"$NAME".*
    for left in "$NET" "${HOSTS[@]/#/$NAME-}"; do
        ip netns delete "$left" 2> /dev/null || true
    done
}

# make_root SUITE PACKAGES
make_root() {
    say "Making a root of $1"
    mkdir -p "${root%/*}"
    mmdebstrap --quiet --variant=minbase "--include=$2" "$1" "${root%.tar}.new.tar" 2> "$work/mmdebstrap" || {
        cat "$work/mmdebstrap" >&2
        die "could not make a root of $1"
    }
    mv "${root%.tar}.new.tar" "$root"
    # It is the one's who builds here, who may not be root.
    chown --reference="$checkout" "${root%/*}" "$root"
}

try_container() {
    local said
    said=$(systemd-nspawn --quiet --register=no --keep-unit --directory "$work/root" \
        --machine "$NAME-try" true 2>&1 < /dev/null) || {
        say "No containers here: $said" >&2
        exit 3
    }
}

# Hosts are on a bridge in a namespace of its own, in which the client and etcd are.
make_network() {
    local host address
    ip netns add "$NET"
    ip -n "$NET" link set lo up
    ip -n "$NET" link add br0 type bridge
    for address in "${OUTSIDE[@]}"; do
        ip -n "$NET" addr add "$address/24" dev br0
    done
    ip -n "$NET" link set br0 up
    for host in "${HOSTS[@]}"; do
        ip netns add "$NAME-$host"
        ip -n "$NET" link add "h$host" type veth peer name eth0 netns "$NAME-$host"
        ip -n "$NET" link set "h$host" master br0 up
        ip -n "$NAME-$host" link set lo up
        ip -n "$NAME-$host" addr add "$HOST_PREFIX$host/24" dev eth0
        ip -n "$NAME-$host" link set eth0 up
    done
}

# One member, which answers at all three addresses: what is tried here is not etcd.
start_etcd() {
    local urls
    urls=$(printf ',http://%s:2379' "${ETCD[@]}")
    ip netns exec "$NET" etcd --data-dir "$work/etcd" --listen-client-urls "${urls#,}" \
        --advertise-client-urls "${urls#,}" > "$work/etcd.log" 2>&1 &
    etcd=$!
    await 15 "etcd answers" in_etcd endpoint health
}

in_etcd() {
    ETCDCTL_API=3 ip netns exec "$NET" etcdctl --endpoints "http://${ETCD[0]}:2379" "$@" 2> /dev/null
}

# The same package with versions around it, and programs that differ from it.
make_packages() {
    local version tree
    for version in older newer; do
        tree=$work/$version
        dpkg-deb -R "$deb" "$tree"
        # What follows the end of an ELF is not loaded.
        printf '%s' "$version" >> "$tree/usr/sbin/linkd"
        case $version in
            older) sed -i 's/^Version: .*/Version: 0.0.1/' "$tree/DEBIAN/control" ;;
            newer) sed -i 's/^Version: .*/Version: 99/' "$tree/DEBIAN/control" ;;
        esac
        dpkg-deb --root-owner-group -Zgzip -b "$tree" "$work/$version.deb" > /dev/null
    done
    cp "$deb" "$work/this.deb"
}

# lay HOST: its files, over the root that all have.
lay() {
    mkdir -p "$work/$1/upper" "$work/$1/work" "$work/$1/root"
    mount -t overlay overlay -o "lowerdir=$work/root,upperdir=$work/$1/upper,workdir=$work/$1/work" \
        "$work/$1/root"
    echo "h$1" > "$work/$1/root/etc/hostname"
}

prepare() {
    lay "$1"
    install -d "$work/$1/root/packages"
    cp "$work"/{this,older,newer}.deb "$work/$1/root/packages/"
    cp "$deb" "$work/$1/root/root/"
}

boot() { start "$1" --boot; }

# start HOST HOW...: a container, with its first process or how to find it.
start() {
    # Newer ones want the unified cgroups, also of a machine that has both kinds.
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --directory "$work/$1/root" \
        --machine "$NAME-$1" --hostname "h$1" --network-namespace-path "/run/netns/$NAME-$1" \
        --capability=CAP_NET_ADMIN,CAP_NET_RAW --console=read-only --link-journal=no "${@:2}" \
        > "$work/$1/console" 2>&1 < /dev/null &
    containers[$1]=$!
}

await_boot() {
    await 60 "h$1 has booted" has_booted "$1"
}

# Another process of nspawn goes before the first one of the container.
find_leader() { leaders[$1]=$(pgrep -P "${containers[$1]}" | head -n 1); }

has_booted() {
    find_leader "$1"
    [[ $(on "$1" systemctl is-system-running 2> /dev/null) == @(running|degraded) ]]
}

# on HOST COMMAND...
on() {
    local host=$1
    shift
    timeout 60 nsenter --target "${leaders[$host]}" --mount --uts --ipc --net --pid -- \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

shut_down() {
    # systemd may be gone before it has answered.
    on "$1" systemctl poweroff 2> /dev/null || true
    timeout 60 tail --pid="${containers[$1]}" -f /dev/null || die "h$1 does not shut down"
    wait "${containers[$1]}" || true
    unset "containers[$1]" "leaders[$1]"
}

# await SECONDS WHAT COMMAND...
await() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "not so: $what"
        sleep 0.05
    done
}

# must WHAT COMMAND...
must() {
    local what=$1
    shift
    "$@" > "$work/said" 2>&1 || {
        cat "$work/said" >&2
        die "not so: $what"
    }
}

must_not() {
    local what=$1
    shift
    if "$@" > "$work/said" 2>&1; then
        cat "$work/said" >&2
        die "not so: $what"
    fi
}

# says WHAT PATTERN: the command before said it.
says() {
    grep -q "$2" "$work/said" || {
        cat "$work/said" >&2
        die "not so: $1"
    }
}

# says_not WHAT PATTERN: nor this.
says_not() {
    ! grep -q "$2" "$work/said" || {
        cat "$work/said" >&2
        die "$1"
    }
}

pinging() {
    ip netns exec "$NET" ping -n -i 0.001 "$VIP" > "$work/pings" 2>&1 &
    pinger=$!
    await 10 "$VIP answers" grep -q icmp_seq "$work/pings"
}

# The pings since `pinging` that were not answered, between the first and the last answer.
lost() {
    sleep 0.3
    kill -INT "$pinger"
    wait "$pinger" || true
    pinger=
    awk -F'icmp_seq=' 'NF > 1 { split($2, it, " "); if (!first) first = it[1]
        if (!(it[1] in seen)) { seen[it[1]]; answers++ } if (it[1] > last) last = it[1] }
        END { print last - first + 1 - answers }' "$work/pings"
}

none_lost() {
    local lost
    lost=$(lost)
    [ "$lost" -eq 0 ] || die "$1: $lost pings lost"
    say "$1: no ping lost of $(grep -c icmp_seq "$work/pings")"
}

# The lock as it was last written: owner, lease, revision.
lock() { in_etcd get -w json --prefix /link/default/ | sed 's/.*"kvs"//'; }

owner() { in_etcd get --print-value-only --prefix /link/default/ | sed -n 's/^h//p'; }

owns() { [ "$(owner)" = "$1" ]; }

other_than() { [ "$1" = 1 ] && echo 2 || echo 1; }

is_active() { on "$1" systemctl is-active --quiet link; }

main_pid() { on "$1" systemctl show -P MainPID link; }

configure() {
    printf '%s\n' INTERFACE=eth0 "ETCD_HOSTS=http://${ETCD[0]}:2379" "${@:2}" |
        on "$1" tee /etc/link/link.env > /dev/null
}

# files HOST: all but what changes by itself, and what apt, dpkg and useradd note.
files() {
    on "$1" find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/lib/systemd -o -path /packages \) -prune -o -print |
        grep -v -e '^/etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-\?$' | sort
}

finish() {
    local host pid
    trap - ALRM
    set +e
    if [ "$1" -ne 0 ]; then
        printf 'Failed after %s s\n' "$SECONDS" >&2
        for host in "${!containers[@]}"; do
            [ -z "${leaders[$host]:-}" ] || on "$host" journalctl -u link -n 15 --no-pager >&2
        done
    fi
    for pid in ${guard:+$(pgrep -P "$guard")} $guard $pinger $etcd "${containers[@]}"; do
        kill "$pid" 2> /dev/null
    done
    for host in "${!containers[@]}"; do
        # Nothing of it is needed any more: with its first process all others end, and nspawn.
        [ -z "${leaders[$host]:-}" ] || kill -KILL "${leaders[$host]}" 2> /dev/null
        timeout 20 tail --pid="${containers[$host]}" -f /dev/null || kill -KILL "${containers[$host]}"
    done
    wait 2> /dev/null
    for host in "${HOSTS[@]}"; do
        ! mountpoint -q "$work/$host/root" || umount "$work/$host/root"
        ip netns delete "$NAME-$host" 2> /dev/null
    done
    ip netns delete "$NET" 2> /dev/null
    rm -rf "$work"
}
