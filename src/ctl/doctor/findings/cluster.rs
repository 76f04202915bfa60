//! What the agent knows of the cluster and of the network.

use std::collections::BTreeSet;

use super::{Findings, Level};
use crate::ctl::doctor::facts::Facts;
use crate::ctl::text::duration;
use crate::wire;

pub(super) fn look(facts: &Facts, found: &mut Findings) {
    for claim in &facts.told.claims {
        let text = format!(
            "a machine that does not offer it claimed it {} ago: hardware address {}",
            duration(claim.ago),
            claim.hardware_address
        );
        found.error(&claim.ip, text, STRANGER);
    }
    let Some(status) = &facts.told.status else { return };
    for finding in &status.findings {
        if !is_said(facts, finding) {
            let (level, remedy) = remedy(finding);
            found.add(level, &finding.about, finding.text.clone(), remedy.to_owned());
        }
    }
    hosts(status, found);
}

const STRANGER: &str = "find it by that address (the switch knows its port) and take the IP off it, or \
                        delete the IP here and choose another";

/// What the machine itself has told better, or etcd.
fn is_said(facts: &Facts, finding: &wire::Finding) -> bool {
    let claimed =
        |claim: &super::super::facts::Claim| finding.text.contains(&claim.hardware_address);
    let broken = facts.interfaces.iter().filter(|it| !(it.exists && it.up && it.carrier));
    let mut texts = broken.map(|it| format!("{}: ", it.name));
    facts.told.claims.iter().any(claimed) || texts.any(|text| finding.text.contains(&text))
}

/// How bad a finding of the agent is, and what to do.
fn remedy(finding: &wire::Finding) -> (Level, &'static str) {
    match finding.kind.as_str() {
        "etcd" => (Level::Error, "see what is said of the endpoints of etcd, and the agent's log"),
        "conflict" => (Level::Error, conflict(&finding.text)),
        "no_owner" => (
            Level::Error,
            "linkctl show tells why no host takes it: failing checks, interfaces, drained hosts",
        ),
        "redundancy" => (
            Level::Warning,
            "bring another host back, or have one more offer it (linkctl add there)",
        ),
        "host" => (
            Level::Warning,
            "start its agent; if it is gone for good, remove its records (etcdctl del --prefix \
             /link/hosts/NAME/)",
        ),
        "bad_value" => (
            Level::Warning,
            "see who writes it; if no host of the cluster does, etcdctl del that key",
        ),
        _ => (Level::Error, problem(&finding.text)),
    }
}

fn conflict(text: &str) -> &'static str {
    if text.contains("two masks") {
        "choose one mask: linkctl delete and linkctl add on the hosts that have the other"
    } else if text.contains("no lease") || text.contains("another spelling") {
        "see that no agent of another kind uses it, then etcdctl del that lock"
    } else if text.contains("under this name") {
        "give one of the two machines another HOSTNAME, and restart its agent"
    } else {
        "wait a few seconds; if it lasts, linkctl show on both hosts tells who is right"
    }
}

/// A problem of the agent's own health.
fn problem(text: &str) -> &'static str {
    if text.contains("another machine has") {
        STRANGER
    } else if text.contains("isolated on") {
        "look at cable, switch port and VLAN, and at a firewall that drops ARP or neighbour discovery"
    } else if text.contains("the name ") && text.contains(" is in use by ") {
        "give one of the two machines another HOSTNAME, and restart its agent"
    } else if text.contains("MAX_NUMBER_OF_ENDPOINTS") {
        "raise it and restart the agent, or delete IPs"
    } else if text.contains("etcd") || text.contains("lease") {
        "see what is said of the endpoints of etcd, and the agent's log"
    } else if text.contains("offers this address as") {
        "choose one mask: linkctl delete and linkctl add on the hosts that have the other"
    } else {
        "linkctl show and linkctl events tell more"
    }
}

/// What is odd about hosts that nothing else tells.
fn hosts(status: &wire::Status, found: &mut Findings) {
    let alive = || status.hosts.iter().filter(|host| host.alive == Some(true));
    for host in alive().filter(|host| host.drained) {
        let text = "the host is drained: it is a candidate for no IP";
        let remedy = "linkctl undrain there, when its maintenance is over";
        found.warning(&host.hostname, text, remedy);
    }
    let versions: BTreeSet<&str> = alive().filter_map(|host| host.version.as_deref()).collect();
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        let text =
            format!("the agents are of {} versions: {}", versions.len(), versions.join(", "));
        found.warning("versions", text, "update the older ones (linkctl status names them)");
    }
}
