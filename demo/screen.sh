# What the demo shows: a line for each order, each move and each gap, and below, on a terminal, what is
# at this moment. Sourced by start.sh.
# shellcheck shell=bash

# Microseconds. An IP that has not answered for so long is silent.
GAP=150000
# An event is told when nothing has changed for so long.
CALM=1000000
# Between two looks, and how late one may be.
TICK=100000
LATE=500000

# Set on a terminal: the line at the bottom, as it is there.
live=
status=
columns=
resized=1
RED='' GREEN='' BOLD='' PLAIN=''

# The hosts whose kernels have the IP, and since when if that is not told yet; the hosts before.
holders=
changed_at=0
before=

# The last answer to a ping: when, and its number, of 16 bits.
heard_at=0
heard_number=0
answered=0
lost=0
# What is not told yet: pings that were lost, and the longest silence.
new_lost=0
new_gap=0
last_gap="no gap yet"
# The last event of an agent that was told.
explained=
now=0
ending=
# What was read last, and the first part of what was not read to its end.
line=
begun=

introduce() {
    local me ready=$((SECONDS))
    me=$(printf %q "$checkout/start.sh")
    [ -z "${SUDO_USER-}" ] || me="sudo $me"
    start_screen
    await_answer
    cat << END

Three hosts share $VIP. On each run LinK and a member of etcd. A client pings the IP every
10 ms. Ready after ${ready} s. Try, in another terminal:

  $me linkctl list
  $me on host1 linkctl add 10.20.30.41
  $me linkctl failover $VIP --to host2    # no ping is lost
  $me power-off host2    # the host dies: a gap of less than a second
  $me power-on host2
  $me unplug    # the cable of the host that has the IP
  $me plug
  $me kill etcd    # on all hosts: the IP stays
  $me start etcd
  $me on host1 linkctl delete 10.20.30.41

Logs are in $RUN. Ctrl-C ends the demo and removes all of it.

END
    look
    before=
    report "$VIP: $holders has it"
}

start_screen() {
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
        live=1
        RED=$'\e[31m' GREEN=$'\e[32m' BOLD=$'\e[1m' PLAIN=$'\e[m'
        trap 'resized=1' WINCH
    fi
}

# How wide the terminal is now.
measure() {
    local size
    resized=
    size=$(stty -F "/proc/$$/fd/1" size 2> /dev/null) || true
    columns=${size#* }
    [ "${columns:-0}" -gt 0 ] || columns=80
}

# Until the first ping is answered.
await_answer() {
    local deadline=$((SECONDS + 10))
    until [ "$answered" -gt 0 ] || [ -n "$ending" ]; do
        ! next_line || heard "$line"
        [ "$SECONDS" -lt "$deadline" ] || die "$VIP does not answer"
    done
}

# Until a signal has set $ending.
watch() {
    local due=0
    while [ -z "$ending" ]; do
        if next_line; then
            case $line in
                '['*) heard "$line" ;;
                'order '*) take_order "$line" ;;
            esac
        fi
        now=${EPOCHREALTIME/./}
        # Not while there is more to read, which a busy machine has kept waiting.
        if [ "$now" -ge "$due" ] && { ! read -r -t 0 -u "$events" || [ "$now" -ge $((due + LATE)) ]; }; then
            due=$((now + TICK))
            look
            report_deaths
            settle
            show
        fi
    done
}

# Reads a $line, of ping or an order; fails when there is none for a moment. Of one that comes in two
# parts, because bash was kept from reading it at once, the first is kept.
next_line() {
    local part=
    if ! IFS= read -r -t 0.1 -u "$events" part; then
        begun+=$part
        return 1
    fi
    line=$begun$part
    begun=
}

take_order() {
    local words
    read -ra words <<< "$1"
    obey "${words[@]:1}"
}

# heard LINE: of ping.
heard() {
    local at number missed silence is_gap
    [[ $1 =~ ^\[([0-9]+)\.([0-9]+)\]\ .*icmp_seq=([0-9]+)\ ttl=.*time=([0-9]+) ]] || return 0
    at=${BASH_REMATCH[1]}${BASH_REMATCH[2]} number=${BASH_REMATCH[3]}
    missed=$((answered == 0 ? 0 : (number - heard_number - 1) & 0xffff))
    silence=$((answered == 0 ? 0 : at - heard_at))
    # One that is late, or comes twice.
    [ "$missed" -lt 32768 ] || return 0
    heard_at=$at heard_number=$number
    answered=$((answered + 1)) lost=$((lost + missed)) new_lost=$((new_lost + missed))
    # Where the client itself has waited no ping was lost, and the last one was answered at once.
    is_gap=$((missed > 0 || ${BASH_REMATCH[4]} * 1000 >= GAP))
    if [ "$is_gap" = 1 ] && [ "$silence" -gt "$new_gap" ]; then
        new_gap=$silence
    fi
}

# Finds out who has the IP.
look() {
    local host found=
    for host in "${HOSTS[@]}"; do
        ! has_vip "$host" || found+="${found:+ + }$host${unplugged[$host]:+ (unplugged)}"
    done
    if [ "$found" != "$holders" ]; then
        [ "$changed_at" -gt 0 ] || before=${holders:-nobody}
        holders=$found changed_at=$now
    fi
}

report_deaths() {
    local host
    for host in "${HOSTS[@]}"; do
        if [ -n "${agent[$host]-}" ] && ! is_running "${agent[$host]}"; then
            unset "agent[$host]"
            report "the agent of $host has ended"
        fi
        if [ -n "${etcd[$host]-}" ] && ! is_running "${etcd[$host]}"; then
            unset "etcd[$host]"
            report "etcd of $host has ended"
        fi
    done
    is_running "$ping" || die "ping has ended"
}

# Tells what has happened when it is over: the IP answers, and has been where it is for a moment.
settle() {
    local moved=$changed_at what="still $holders" gap="no ping lost"
    [ $((now - heard_at)) -lt "$GAP" ] && [ $((now - moved)) -ge "$CALM" ] || return 0
    [ $((moved + new_gap)) -gt 0 ] || return 0
    if [ "$new_gap" -gt 0 ]; then
        gap="a gap of $(seconds "$new_gap") s, $new_lost ping"
        [ "$new_lost" = 1 ] || gap+=s
        gap+=" lost"
        last_gap="last gap $(seconds "$new_gap") s, $new_lost lost"
    fi
    [ "$moved" = 0 ] || what="$before -> ${holders:-nobody}"
    changed_at=0 new_gap=0 new_lost=0
    report "$VIP: $what, $BOLD$gap$PLAIN"
    [ "$moved" = 0 ] || explain
}

# Why: the last thing that the agent which has the IP now tells of it.
explain() {
    local host event
    host=$(owner)
    event=$(on "$host" timeout 1 linkctl events 2> /dev/null | grep -F " $VIP/32 " | tail -n 1) || return 0
    # An older one explains something else. They begin with their time.
    [[ $event > $explained ]] || return 0
    explained=$event
    # Without its date and the IP, and what is seen anyway.
    event=${event#* * * }
    report "    $host: ${event#*: }"
}

# Microseconds, as seconds with two places.
seconds() {
    local hundredths=$((($1 + 5000) / 10000))
    printf '%d.%02d' $((hundredths / 100)) $((hundredths % 100))
}

# A line that stays, above the one at the bottom.
report() {
    if [ -n "$live" ]; then
        printf '\r%(%T)T  %s\e[K\n%s' -1 "$*" "$status"
    else
        printf '%(%T)T  %s\n' -1 "$*"
    fi
}

# The line at the bottom: written in one piece, and only when it is another.
show() {
    local colour=$GREEN text="$VIP answers from ${holders:-nobody}" host silence=$((now - heard_at))
    [ -n "$live" ] || return 0
    [ -z "$resized" ] || measure
    if [ "$silence" -ge "$GAP" ]; then
        colour=$RED text="$VIP silent for $(seconds "$silence") s"
    fi
    text+=" | $last_gap | $((answered + lost)) pings, $lost lost"
    for host in "${HOSTS[@]}"; do
        [ -z "${off[$host]-}" ] || text+=" | $host is off"
        [ -z "${unplugged[$host]-}" ] || text+=" | $host is unplugged"
    done
    [ ${#etcd[@]} = ${#HOSTS[@]} ] || text+=" | etcd on ${#etcd[@]} of ${#HOSTS[@]}"
    text=$colour${text:0:columns-1}$PLAIN
    if [ "$text" != "$status" ]; then
        status=$text
        printf '\r%s\e[K' "$status"
    fi
}
