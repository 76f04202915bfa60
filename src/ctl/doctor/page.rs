//! What was found, for people.

use super::facts::{Facts, Interface};
use super::findings::{Finding, Level};
use crate::ctl::text::{WIDTH, counted, wrapped};
use crate::text::clean;

/// A summary of what was looked at, and a paragraph for each finding.
pub(super) fn page(facts: &Facts, found: &[Finding]) -> String {
    let mut text = String::new();
    for line in [agent(facts), interfaces(facts), etcd(facts)] {
        text += &wrapped(&clean(&line), "", "", WIDTH);
    }
    text.push('\n');
    if found.is_empty() {
        return text + "nothing was found\n" + unseen(facts);
    }
    for finding in found {
        let mark = match finding.level {
            Level::Error => "ERROR    ",
            Level::Warning => "WARNING  ",
        };
        let told = format!("{}: {}", finding.about, finding.text);
        text += &wrapped(&clean(&told), mark, "         ", WIDTH);
        text += &wrapped(&clean(&finding.remedy), "      -> ", "         ", WIDTH);
    }
    text
}

/// What was not looked at, because nothing says where it is.
fn unseen(facts: &Facts) -> &'static str {
    match facts.interfaces.is_empty() || facts.members.is_empty() {
        true => {
            "what is not known above was not looked at: run it as root, or give --env FILE with the \
             agent's\nenvironment\n"
        }
        false => "",
    }
}

fn agent(facts: &Facts) -> String {
    let answers = match &facts.told.failure {
        None => format!("answers at {}", facts.told.server),
        Some(_) => format!("does not answer at {}", facts.told.server),
    };
    let process = match &facts.process {
        Some(process) => format!(", process {}", process.pid),
        None => String::new(),
    };
    format!("agent: {answers}{process}, {}", counted(facts.told.ips.len() as u64, "IP"))
}

fn interfaces(facts: &Facts) -> String {
    let told = facts.interfaces.iter().map(|interface| {
        let managers = facts.managers.iter().filter(|it| it.interface == interface.name);
        let managers: Vec<&str> = managers.map(|it| it.name).collect();
        let managed = match managers.is_empty() {
            true => String::new(),
            false => format!(", managed by {}", managers.join(" and ")),
        };
        format!("{} {}{managed}", interface.name, state(interface))
    });
    let told: Vec<String> = told.collect();
    format!("interface: {}", if told.is_empty() { "not known".to_owned() } else { told.join("; ") })
}

fn state(interface: &Interface) -> &'static str {
    match (interface.exists, interface.up, interface.carrier) {
        (false, _, _) => "missing",
        (true, false, _) => "down",
        (true, true, false) => "without carrier",
        (true, true, true) => "up",
    }
}

fn etcd(facts: &Facts) -> String {
    let told = facts.members.iter().map(|member| match &member.answer {
        Ok(answer) => {
            let version = if answer.version.is_empty() { "answers" } else { &answer.version };
            format!("{} {version}, {} ms", member.endpoint, answer.latency.as_millis())
        }
        Err(_) => format!("{} fails", member.endpoint),
    });
    let told: Vec<String> = told.collect();
    format!("etcd: {}", if told.is_empty() { "not known".to_owned() } else { told.join("; ") })
}
