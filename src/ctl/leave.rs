//! `linkctl leave`: takes the agent's host out of the cluster.

use super::agent::Agent;
use super::failure::{Failure, Kind, Next};
use super::output::{self, Output};
use crate::text::{clean, first_of};
use crate::vip::VipId;
use crate::wire;

/// How many IPs are named in a message.
const NAMED: usize = 10;

/// Deletes all IPs of the agent's host, each handed over first, and has its records taken out of etcd.
/// An IP that no other host would take is in the way, unless it is forced.
pub(super) fn run(agent: &Agent, output: Output, force: bool) -> Result<(), Failure> {
    let ips = agent.list()?.value.ips;
    let last = if force { Vec::new() } else { without_others(agent, &ips)? };
    if !last.is_empty() {
        let named = first_of(last.iter(), NAMED, ", ");
        let message = format!("no other host would take {named}; nothing was changed");
        return Err(Failure::new(Next::ShareElsewhere, message));
    }
    for ip in &ips {
        let shown = clean(&ip.ip);
        let id = of(ip)?;
        match agent.delete(&id) {
            Ok(()) => {}
            // Somebody else was faster.
            Err(failure) if failure.kind() == Kind::NotFound => {}
            Err(failure) => return Err(failure.on("leave", shown)),
        }
        if !output.is_json() {
            output::print(&format!("- {shown}\n"))?;
        }
    }
    agent.leave()?;
    output.done(|| {
        format!(
            "the host of {} shares no IP any more; what else etcd has of it goes when its agent is \
             stopped:\n  systemctl disable --now link",
            agent.server
        )
    })
}

/// The IPs that no other host would take now.
fn without_others(agent: &Agent, ips: &[wire::Ip]) -> Result<Vec<String>, Failure> {
    let status = agent.status()?.value;
    let mut last = Vec::new();
    for ip in ips {
        let shown = status.ips.iter().find(|shown| shown.ip == ip.ip);
        let has_others = match shown {
            Some(shown) => shown.candidates.iter().any(|other| {
                other.hostname != status.host && other.available && other.alive != Some(false)
            }),
            // There are more than it tells, or etcd did not answer.
            None => agent.hosts(&of(ip)?)?.value.hosts.iter().any(|other| {
                let counts = other.available != Some(false) && other.alive != Some(false);
                other.hostname != status.host && counts
            }),
        };
        if !has_others {
            last.push(clean(&ip.ip));
        }
    }
    Ok(last)
}

fn of(ip: &wire::Ip) -> Result<VipId, Failure> {
    ip.id.parse().map_err(|why| {
        Failure::new(
            Next::Update,
            format!("the agent calls {} {}, which {why}", clean(&ip.ip), clean(&ip.id)),
        )
    })
}
