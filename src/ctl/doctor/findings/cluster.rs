//! What the agent knows of the cluster and of the network.

use std::collections::BTreeSet;

use super::{Findings, Level};
use crate::ctl::doctor::facts::Facts;
use crate::ctl::remedy;
use crate::ctl::text::duration;
use crate::wire;

pub(super) fn look(facts: &Facts, found: &mut Findings) {
    for claim in &facts.told.claims {
        let text = format!(
            "a machine that does not offer it claimed it {} ago: hardware address {}",
            duration(claim.ago),
            claim.hardware_address
        );
        found.error(&claim.ip, text, remedy::STRANGER);
    }
    let Some(status) = &facts.told.status else { return };
    for finding in &status.findings {
        if !is_said(facts, finding) {
            let level = if is_warning(finding) { Level::Warning } else { Level::Error };
            let remedy = match finding.kind.as_str() {
                "etcd" if finding.text.contains("etcd") => {
                    "see what is said of the endpoints of etcd, and the agent's log".into()
                }
                _ => remedy::of(finding),
            };
            found.add(level, &finding.about, finding.text.clone(), remedy.into_owned());
        }
    }
    hosts(status, found);
}

/// What the machine itself has told better, or etcd.
fn is_said(facts: &Facts, finding: &wire::Finding) -> bool {
    let claimed =
        |claim: &super::super::facts::Claim| finding.text.contains(&claim.hardware_address);
    let broken = facts.interfaces.iter().filter(|it| !(it.exists && it.up && it.carrier));
    let mut texts = broken.map(|it| format!("{}: ", it.name));
    facts.told.claims.iter().any(claimed) || texts.any(|text| finding.text.contains(&text))
}

/// It does no harm yet.
fn is_warning(finding: &wire::Finding) -> bool {
    ["redundancy", "host", "bad_value"].contains(&finding.kind.as_str())
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
