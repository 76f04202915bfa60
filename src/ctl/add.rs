//! `linkctl add`, of one IP or of those in a file, and the wait until they have owners.

use std::time::{Duration, Instant};

use super::agent::{Agent, NewIp};
use super::failure::{Failure, Next};
use super::output::Output;
use super::{list, show};
use crate::text::clean;
use crate::wire;

/// How often it is looked whether they have owners.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How many IPs are named in an error.
const NAMED: usize = 10;

/// Registers one.
pub(super) fn one(
    agent: &Agent,
    output: Output,
    new: &NewIp,
    wait: Option<Duration>,
) -> Result<(), Failure> {
    let mut added = agent.add(new).map_err(|failure| failure.on("add", new.cidr))?;
    if let Some(wait) = wait {
        let list = await_owners(agent, &[&added.value], wait)?;
        let id = added.value.id.clone();
        added.value = list.into_iter().find(|ip| ip.id == id).unwrap_or(added.value);
        added.json = serde_json::to_vec(&added.value).unwrap_or(added.json);
    }
    output.answer(&added.json, |colour| show::one(&added.value, None, colour))
}

/// Registers all of these, or none.
pub(super) fn many(
    agent: &Agent,
    output: Output,
    all: &[NewIp],
    wait: Option<Duration>,
) -> Result<(), Failure> {
    let what = format!("{} IPs", all.len());
    let mut added = agent.add_many(all).map_err(|failure| failure.on("add", what))?;
    if let Some(wait) = wait {
        let ips: Vec<&wire::Ip> = added.value.iter().collect();
        added.value = await_owners(agent, &ips, wait)?;
        added.json = serde_json::to_vec(&added.value).unwrap_or(added.json);
    }
    output.answer(&added.json, |colour| list::list(&added.value, colour))
}

/// Waits until all of these have an owner; how they are then.
fn await_owners(
    agent: &Agent,
    added: &[&wire::Ip],
    wait: Duration,
) -> Result<Vec<wire::Ip>, Failure> {
    let until = Instant::now() + wait;
    loop {
        let list = agent.list()?.value.ips;
        let of_these = list.into_iter().filter(|ip| added.iter().any(|it| it.id == ip.id));
        let shown: Vec<wire::Ip> = of_these.collect();
        let without: Vec<&wire::Ip> = shown.iter().filter(|ip| ip.owner.is_none()).collect();
        if without.is_empty() {
            return Ok(shown);
        }
        if Instant::now() >= until {
            let reason = without.first().map(|ip| clean(&ip.reason)).unwrap_or_default();
            let names: Vec<String> = without.iter().take(NAMED).map(|ip| clean(&ip.ip)).collect();
            let more = match without.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!(
                "registered, and without an owner after {} s: {}{more} ({reason})",
                wait.as_secs(),
                names.join(", ")
            );
            return Err(Failure::new(Next::WaitOn, message));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
