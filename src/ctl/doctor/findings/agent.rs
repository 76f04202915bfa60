//! The agent's process, its unit, and its next start.

use super::Findings;
use crate::ctl::doctor::facts::{Facts, Process, Unit};
use crate::ctl::failure::Kind;

/// Bits of capabilities (include/uapi/linux/capability.h), and what the agent needs them for.
const NEEDED: [(u64, &str, &str); 2] = [
    (12, "CAP_NET_ADMIN", "can add no address"),
    (13, "CAP_NET_RAW", "can neither announce an IP nor hear who has it"),
];

pub(super) fn look(facts: &Facts, found: &mut Findings) {
    answers(facts, found);
    if let Some(process) = &facts.process {
        capabilities(process, found);
    }
    if let Some(unit) = &facts.unit {
        service(unit, facts.process.is_some(), found);
    }
    next_start(facts, found);
}

fn answers(facts: &Facts, found: &mut Findings) {
    let Some(failure) = &facts.told.failure else { return };
    let unit = facts.unit.as_ref().map_or("link.service", |unit| unit.name.as_str());
    let remedy = match &facts.process {
        // Something answers, and has said itself what it is about.
        Some(_) if failure.kind() != Kind::Unreachable => failure.next().into_owned(),
        Some(process) => format!(
            "process {} is linkd: compare its PORT and LISTEN with --host and LINK_HOST, and \
             read its log (journalctl -u {unit})",
            process.pid
        ),
        None => format!(
            "no linkd runs in this network namespace: start it (systemctl start {unit}), and read \
             why it ended (journalctl -u {unit})"
        ),
    };
    found.error("agent", failure.to_string(), remedy);
}

fn capabilities(process: &Process, found: &mut Findings) {
    let Some(has) = process.capabilities else { return };
    for (bit, name, without) in NEEDED {
        if has >> bit & 1 == 0 {
            let text = format!("process {} lacks {name}, so that it {without}", process.pid);
            let remedy = format!(
                "give it {name}: AmbientCapabilities in its unit (as in link.service), or setcap on \
                 the program; then restart it"
            );
            found.error("agent", text, remedy);
        }
    }
}

fn service(unit: &Unit, runs: bool, found: &mut Findings) {
    let name = &unit.name;
    if !unit.enabled {
        let text = "the unit is not enabled: after a boot this host is no candidate";
        found.warning(name, text, format!("systemctl enable {name}"));
    }
    if runs && !unit.runs {
        let text = "the agent was not started by its unit: nobody starts it again when it ends";
        found.warning(name, text, format!("stop the agent, then systemctl start {name}"));
    }
}

fn next_start(facts: &Facts, found: &mut Findings) {
    let next = &facts.next_start;
    let file = &next.file;
    // That an interface cannot be used is a finding of its own.
    let is_said = |warning: &str| {
        facts.interfaces.iter().any(|it| warning.starts_with(&format!("INTERFACE={}: ", it.name)))
    };
    for mistake in &next.mistakes {
        let text = format!("the next start would fail: {mistake}");
        found.error("environment", text, format!("mend it in {file}, then linkd --check"));
    }
    for warning in next.warnings.iter().filter(|warning| !is_said(warning)) {
        found.warning("environment", warning.clone(), format!("correct or remove it in {file}"));
    }
    if !next.changed.is_empty() {
        let text = format!(
            "{file} says otherwise of {} than the agent was started with",
            next.changed.join(", ")
        );
        let remedy = "restart the agent when that is meant (its IPs are handed over), or undo it";
        found.warning("environment", text, remedy);
    }
}
