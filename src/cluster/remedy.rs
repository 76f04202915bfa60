//! What to do about each thing of the cluster that needs a person: by its kind, and by the words that the agent has for it.

use super::kind::Kind;

/// About a machine that claims an IP and does not offer it.
const STRANGER: &str = "find it by that address (the switch knows its port) and take the IP off it, or delete the IP here \
                        and choose another";

const ONE_NAME: &str = "give one of the two machines another HOSTNAME, and restart its agent";
const ONE_MASK: &str =
    "choose one mask: linkctl delete and linkctl add on the hosts that have the other";
const LOCK: &str = "see that no agent of another kind uses it, then etcdctl del that lock";
const ETCD: &str = "linkctl doctor on that host looks at etcd; linkctl list there tells which IPs it has meanwhile";

/// A part of what is said, and what to do then. Of two that fit the first counts.
const TABLE: [(&str, &str); 28] = [
    ("another machine has ", STRANGER),
    (
        "offer all of the group",
        "linkctl add what is missing there, with --group, or linkctl set IP --group there",
    ),
    (
        "not all candidates",
        "linkctl add it with --group on those hosts, too; or take the group from them",
    ),
    ("does not offer it in the group", OF_GROUP),
    ("belongs to group", OF_GROUP),
    (
        "no group has more",
        "make another group for the rest: linkctl set IP --group NAME on each host",
    ),
    (
        "has not joined group",
        "wait some seconds; if it lasts, linkctl set IP --group on the owner (docs/groups.md)",
    ),
    ("two masks", ONE_MASK),
    ("offers this address as", ONE_MASK),
    ("has no lease, so", LOCK),
    ("another spelling", LOCK),
    ("is the lock of the same address", LOCK),
    ("under this name", ONE_NAME),
    (" is in use by ", ONE_NAME),
    ("too: that host serves nothing", ONE_NAME),
    (
        "isolated on",
        "look at cable, switch port and VLAN, and at a firewall that drops ARP or neighbour discovery",
    ),
    ("no such interface", INTERFACE),
    ("interface is down", INTERFACE),
    ("no carrier", "look at cable, switch port, bond and driver of that interface"),
    ("this agent lacks", SHORT),
    (": check ", "mend the service that is checked, or linkctl set IP --check there"),
    ("MAX_NUMBER_OF_ENDPOINTS", "raise it and restart the agent, or delete IPs"),
    (
        "of the host itself",
        "take it off the interface there (ip address del), or linkctl delete it and choose another",
    ),
    (
        "an address of etcd",
        "linkctl delete it there, and choose another IP: one that moves cannot be an address of etcd",
    ),
    ("election cannot be started", SHORT),
    (": cannot ", KERNEL),
    (" is not on ", KERNEL),
    (
        "stopping",
        "wait until the agent has started again; if it does not: systemctl start link there",
    ),
];

const OF_GROUP: &str = "linkctl set IP --group on the owner says to which group it is to belong";
const INTERFACE: &str = "bring the interface up there (ip link set NAME up), or correct INTERFACE";
const SHORT: &str =
    "see what that host is short of: memory, or threads (TasksMax of the unit, ulimit -u)";
const KERNEL: &str = "linkctl doctor there looks at the agent's capabilities, at IPv6, and at what else manages that interface";

/// What to do about it.
pub(super) fn of(kind: Kind, text: &str) -> &'static str {
    let found = TABLE.iter().find(|(part, _)| text.contains(part));
    match (kind, found) {
        (Kind::NoOwner, _) => {
            "linkctl show tells why no host takes it: failing checks, interfaces, drained hosts"
        }
        (Kind::Host, _) => {
            "start its agent; if it is gone for good, remove what etcd has of it (docs/uninstall.md)"
        }
        (Kind::BadValue, _) => {
            "see who writes it; if no host of the cluster does, etcdctl del that key"
        }
        (_, Some((_, remedy))) => remedy,
        (Kind::Etcd, None) => ETCD,
        (Kind::Conflict, None) => {
            "wait a few seconds; if it lasts, linkctl show on both hosts tells who is right"
        }
        (Kind::Redundancy, None) => {
            "bring another host back, or have one more offer it (linkctl add there)"
        }
        // What the agent says of etcd it says in many words.
        (Kind::Problem, None) if text.contains("etcd") || text.contains("lease") => ETCD,
        (Kind::Problem, None) => "linkctl show and linkctl events on that host tell more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_person_has_the_remedy_that_fits() {
        let of = |kind: &str, text: &str| {
            let kind = Kind::ALL.into_iter().find(|it| it.word() == kind).expect("a kind");
            super::of(kind, text)
        };
        for (kind, text, part) in [
            ("etcd", "etcd is lost: silent for 5.0s", "linkctl doctor"),
            ("conflict", "h1 has it on eth0, and h2 owns it", "linkctl show on both"),
            ("conflict", "offered with two masks: /24 (h1) and /32 (h2)", "one mask"),
            ("no_owner", "no host owns it", "linkctl show"),
            ("redundancy", "h3 is the only candidate", "linkctl add there"),
            (
                "redundancy",
                "h3 cannot have it, because it does not offer all of the group",
                "--group",
            ),
            ("host", "the host is gone; it offers 2 IPs", "start its agent"),
            ("problem", "10.0.0.1/32: eth0: interface is down", "ip link set"),
            ("problem", "10.0.0.1/32: eth0: no carrier", "cable"),
            ("problem", "10.0.0.1/32: check TCP 127.0.0.1:80: Connection refused", "service"),
            (
                "problem",
                "it has not joined group gw: h2 owns it, and does not offer it in the group",
                "owner",
            ),
            (
                "problem",
                "it has not joined group gw: not all candidates for the group offer it: h1",
                "too",
            ),
            ("etcd", "the name h1 is in use by x: this host serves nothing until", "HOSTNAME"),
            ("problem", "x (up for 3 s) is called h1, too: that host serves nothing", "HOSTNAME"),
            ("problem", "10.0.0.1/32: \"x\" is the lock of the same address", "etcdctl del"),
            (
                "conflict",
                "the lock of h1 has no lease, so that it never ends: delete it",
                "etcdctl",
            ),
            ("problem", "10.0.0.1/32: cannot add it: Operation not permitted", "capabilities"),
            ("problem", "10.0.0.1/32: 10.0.0.1/32 is not on eth0", "manages that interface"),
            ("problem", "10.0.0.1/32: its record is not in etcd", "linkctl doctor"),
            ("problem", "the lease was not renewed in time", "linkctl doctor"),
            ("problem", "stopping", "systemctl start link"),
            ("problem", "nobody has foreseen this", "linkctl events"),
        ] {
            assert!(of(kind, text).contains(part), "{text}: {}", of(kind, text));
        }
    }
}
