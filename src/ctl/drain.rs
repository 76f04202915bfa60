//! `linkctl drain`.

use std::time::{Duration, Instant};

use super::agent::{Agent, Answer};
use super::failure::{Failure, Next};
use super::output::Output;
use super::text::duration;
use crate::text::clean;
use crate::wire;

/// How long it is waited for other hosts to have the IPs, and how often it is looked whether they do.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Drains the agent's host, and waits until other hosts have its IPs if that is wanted.
pub(super) fn drain(
    agent: &Agent,
    output: Output,
    seconds: Option<u64>,
    wait: bool,
) -> Result<(), Failure> {
    let mut answer = agent.drain(seconds)?;
    if wait {
        answer = await_drained(agent, answer)?;
    }
    output.answer(&answer.json, |_| text(&answer.value))?;
    let stay: Vec<&wire::DrainedIp> = answer.value.ips.iter().filter(|ip| ip.stays).collect();
    if !wait || stay.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} stay: no other host can have them (linkctl show tells which offer them)",
        names(stay.into_iter())
    );
    Err(Failure::new(Next::OfferElsewhere, message))
}

fn await_drained(
    agent: &Agent,
    first: Answer<wire::Drain>,
) -> Result<Answer<wire::Drain>, Failure> {
    let (until, mut answer) = (Instant::now() + PATIENCE, first);
    loop {
        let drain = &answer.value;
        let moving = || drain.ips.iter().filter(|ip| !ip.stays);
        if moving().next().is_none() {
            return Ok(answer);
        }
        if !drain.drained {
            let message = "the host is drained no more: somebody has ended it, or the time is over";
            return Err(Failure::new(Next::DrainAgain, message));
        }
        if Instant::now() >= until {
            let late = names(moving());
            let message = format!("{late} not moved within {} s; it goes on", PATIENCE.as_secs());
            return Err(Failure::new(Next::WaitOn, message));
        }
        std::thread::sleep(BETWEEN_LOOKS);
        answer = agent.drained()?;
    }
}

fn text(drain: &wire::Drain) -> String {
    let until = match drain.seconds_left {
        Some(seconds) => format!("for {}", duration(seconds)),
        None => "until `linkctl undrain`".to_owned(),
    };
    match drain.ips.len() {
        0 => format!("drained {until}; the host has no IP\n"),
        _ => format!("drained {until}; the host still has {}\n", names(drain.ips.iter())),
    }
}

fn names<'a>(ips: impl Iterator<Item = &'a wire::DrainedIp>) -> String {
    ips.map(|ip| clean(&ip.ip)).collect::<Vec<_>>().join(", ")
}
