# What the maintainer scripts of all packages share; packaging/build puts it before each of them.
# shellcheck shell=sh disable=SC2317

say() { echo "link: $*" >&2; }

configured() { grep -Eqs '^[[:space:]]*INTERFACE=[^[:space:]]' /etc/link/link.env; }

# The user of the agent. It is there for good, so that certificates and keys can be given to it.
make_user() {
    getent group link > /dev/null || groupadd --system link
    getent passwd link > /dev/null || useradd --system --gid link --no-create-home \
        --home-dir /var/lib/link --shell /usr/sbin/nologin --comment LinK link
}

with_systemd() { [ -d /run/systemd/system ]; }

# Without INTERFACE there is nothing that could be started. An agent that was installed by hand goes on.
start_if_configured() {
    if [ -e /etc/systemd/system/link.service ]; then
        say "/etc/systemd/system/link.service takes the place of the package's unit: to use that, remove the file,"
        say "then: systemctl daemon-reload && systemctl restart link"
        return 0
    fi
    if ! configured; then
        say "not started: set INTERFACE and ETCD_HOSTS in /etc/link/link.env, then: systemctl enable --now link"
        return 0
    fi
    systemctl enable link || true
    with_systemd || return 0
    systemctl daemon-reload
    systemctl restart link || say "could not be started: see journalctl -u link"
}

# The new program takes the place of the old one in the same process: no IP moves. One that would not start
# in the environment is refused, and the old one goes on.
reload_if_running() {
    with_systemd || return 0
    systemctl daemon-reload
    systemctl is-active --quiet link || return 0
    systemctl reload link && return 0
    say "the new program is refused, and the old one goes on (journalctl -u link says why);"
    say "mend /etc/link/link.env, then: systemctl reload link"
    return 1
}

# Hands the IPs over, whatever STOP_POLICY says: the agent comes back no more.
stop_for_good() {
    with_systemd || return 0
    if systemctl is-active --quiet link; then
        name_ips
        mkdir -p /run/systemd/system/link.service.d
        printf '[Service]\nKillSignal=SIGINT\n' > /run/systemd/system/link.service.d/remove.conf
        systemctl daemon-reload
    fi
    systemctl disable --now link || true
    rm -rf /run/systemd/system/link.service.d
    # What an agent that crashed or failed has left.
    linkd --clean || true
}

# What is registered for this host stays in etcd: only the agent could have taken it out. What has changed since
# its copy was written whole stands behind it, with the ids of the IPs that are gone.
name_ips() {
    ips=$(cat /var/lib/link/*.json 2> /dev/null |
        grep -o -e '"id":"[^"]*","ip":"[^"]*"' -e '"gone":\[[^]]*\]' |
        awk -F '"' '$2 == "gone" { for (i = 4; i < NF; i += 2) delete ips[$i]; next }
            { ips[$4] = $8 }
            END { for (id in ips) print ips[id] }' | sort -u | tr '\n' ' ')
    [ -z "$ips" ] || say "this host stays registered in etcd for $ips(next time: linkctl leave before the removal)"
}
