# Somebody who has the handbook and nothing else: its lines are run as they stand there, so that page and test cannot
# differ. Sourced by tests/hosts; it wants tests/containers.sh.
# shellcheck shell=bash

THREE_MINUTES="## Three minutes to a moving IP"
LONGEST_START=180
MOST_COMMANDS=6

# page_lines PAGE HEADING NUMBER: the lines of a block of code below a heading.
page_lines() {
    awk -v heading="$2" -v number="$3" '$0 == heading { below = 1; next }
        below && /^#/ { exit }
        below && /^    / { if (!inside) blocks++; inside = 1; if (blocks == number) print substr($0, 5); next }
        { inside = 0 }' "$checkout/$1"
}

# as_typed HOST LINE: in the folder with the package file, as root after a login.
as_typed() {
    local line=${2//_amd64.deb/_$(dpkg --print-architecture).deb}
    must "on h$1: $line" on "$1" env -C /root HOME=/root sh -c "$line"
}

follows_the_handbook() {
    local host line began lines
    mapfile -t lines < <(page_lines docs/install.md "$THREE_MINUTES" 1)
    { [ "${#lines[@]}" -ge 1 ] && [ "${#lines[@]}" -le "$MOST_COMMANDS" ]; } ||
        die "docs/install.md has ${#lines[@]} commands for three minutes: at most $MOST_COMMANDS"
    [[ $(< "$checkout/README.md") == *"$(printf '    %s\n' "${lines[@]}")"* ]] ||
        die "README has not the lines of docs/install.md for three minutes"
    for host in "${HOSTS[@]}"; do
        files "$host" > "$work/files.bare.$host"
    done
    began=$SECONDS
    for host in "${HOSTS[@]}"; do
        for line in "${lines[@]}"; do
            as_typed "$host" "$line"
        done
    done
    as_typed 1 "$(page_lines docs/install.md "$THREE_MINUTES" 2)"
    says "it shows which host has the IP" "^$VIP/32 .*h[123] .*3 of 3"
    pinging
    host=$(owner)
    as_typed "$host" "$(page_lines docs/install.md "$THREE_MINUTES" 3)"
    none_lost "an IP that is moved as the handbook says"
    [ "$(owner)" != "$host" ] || die "h$host has kept the IP"
    say "Three hosts share a moving IP after $((SECONDS - began)) s, ${#lines[@]} commands a host"
    [ $((SECONDS - began)) -le "$LONGEST_START" ] || die "that takes longer than $LONGEST_START s"
}

# The lines for a host that leaves, and for one that is the last.
uninstalls_by_the_handbook() {
    local host left
    for host in "${HOSTS[@]}"; do
        as_typed "$host" "linkctl delete $VIP"
        as_typed "$host" "apt purge -y link"
        says_not "it names an IP that is not registered any more" 'stays registered'
        files "$host" > "$work/files.after.$host"
        left=$(comm -13 "$work/files.bare.$host" "$work/files.after.$host")
        [ -z "$left" ] || die "a purge leaves on h$host $left"
    done
    in_etcd del --prefix /link/ > "$work/said"
}
