//! What to do about each thing of the cluster that needs a person, by the kind and the words of the agent.

use crate::wire::Finding;

/// About a machine that claims an IP and does not offer it.
pub(super) const STRANGER: &str = "find it by that address (the switch knows its port) and take the IP off it, or \
                                   delete the IP here and choose another";

const ONE_NAME: &str = "give one of the two machines another HOSTNAME, and restart its agent";
const ONE_MASK: &str =
    "choose one mask: linkctl delete and linkctl add on the hosts that have the other";
const ETCD: &str = "linkctl doctor on that host looks at etcd; linkctl list there tells which IPs it has meanwhile";

/// What to do about it.
pub(super) fn of(finding: &Finding) -> &'static str {
    match finding.kind.as_str() {
        "etcd" => ETCD,
        "conflict" => conflict(&finding.text),
        "no_owner" => {
            "linkctl show tells why no host takes it: failing checks, interfaces, drained hosts"
        }
        "redundancy" => redundancy(&finding.text),
        "host" => {
            "start its agent; if it is gone for good, remove what etcd has of it (docs/uninstall.md)"
        }
        "bad_value" => "see who writes it; if no host of the cluster does, etcdctl del that key",
        _ => problem(&finding.text),
    }
}

fn redundancy(text: &str) -> &'static str {
    if text.contains("offer all of the group") {
        "linkctl add what is missing there, with --group, or linkctl set IP --group there"
    } else {
        "bring another host back, or have one more offer it (linkctl add there)"
    }
}

fn conflict(text: &str) -> &'static str {
    if text.contains("two masks") {
        ONE_MASK
    } else if text.contains("no lease") || text.contains("another spelling") {
        "see that no agent of another kind uses it, then etcdctl del that lock"
    } else if text.contains("under this name") {
        ONE_NAME
    } else {
        "wait a few seconds; if it lasts, linkctl show on both hosts tells who is right"
    }
}

/// A problem of the agent's own health.
fn problem(text: &str) -> &'static str {
    if text.contains("another machine has") {
        STRANGER
    } else if text.contains("has not joined group") {
        group(text)
    } else if text.contains("isolated on") {
        "look at cable, switch port and VLAN, and at a firewall that drops ARP or neighbour discovery"
    } else if text.contains("no such interface") || text.contains("interface is down") {
        "bring the interface up there (ip link set NAME up), or correct INTERFACE"
    } else if text.contains("no carrier") {
        "look at cable, switch port, bond and driver of that interface"
    } else if text.contains(": check ") {
        "mend the service that is checked, or linkctl set IP --check there"
    } else if text.contains("the name ") && text.contains(" is in use by ") {
        ONE_NAME
    } else if text.contains("MAX_NUMBER_OF_ENDPOINTS") {
        "raise it and restart the agent, or delete IPs"
    } else if text.contains("offers this address as") {
        ONE_MASK
    } else if text.contains("etcd") || text.contains("lease") {
        ETCD
    } else {
        "linkctl show and linkctl events on that host tell more"
    }
}

fn group(text: &str) -> &'static str {
    if text.contains("not all candidates") {
        "linkctl add it with --group on those hosts, too; or take the group from them"
    } else if text.contains("does not offer it in the group") || text.contains("belongs to group") {
        "linkctl set IP --group on the owner says to which group it is to belong"
    } else if text.contains("no group has more") {
        "make another group for the rest: linkctl set IP --group NAME on each host"
    } else {
        "wait some seconds; if it lasts, linkctl set IP --group on the owner (docs/groups.md)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_person_has_the_remedy_that_fits() {
        let of = |kind: &str, text: &str| {
            let (kind, text, about) = (kind.to_owned(), text.to_owned(), "it".to_owned());
            super::of(&Finding { kind, about, text, since: None })
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
            ("problem", "nobody has foreseen this", "linkctl events"),
        ] {
            assert!(of(kind, text).contains(part), "{text}: {}", of(kind, text));
        }
    }
}
