//! The simulated network between the hosts and their client: who hears whom, who answers for the
//! address, and where the client sends what is meant for it.

use link::election::message::Input;
use link::network::{Liveness, Mac, ProbeResult};

use crate::agent::Agent;
use crate::faults::HostId;
use crate::world::Millis;

/// Between two probes of an address.
pub(crate) const PROBE: Millis = 300;

/// The silence after which nobody has it.
const SILENCE: Millis = 1_000;

/// When an address is announced again after it was bound, and how often from then on.
pub(crate) const REPEATS: [Millis; 3] = [0, 1_100, 5_000];
pub(crate) const REFRESH: Millis = 60_000;

/// Between two questions to the owner's host, and how many without an answer make it silent.
pub(crate) const WATCH: Millis = 250;
const UNANSWERED: u32 = 3;

/// At most one claim in this time is told.
const CLAIMS: Millis = 1_000;

/// What an agent that asks the network has heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probing {
    /// When it began, or was last answered.
    heard: Millis,
    told: Option<ProbeResult>,
}

impl Probing {
    pub(crate) fn begin(now: Millis) -> Probing {
        Probing { heard: now, told: None }
    }

    /// What the next probe brings, if that is news.
    pub(crate) fn probe(&mut self, host: HostId, agents: &[Agent], now: Millis) -> Option<Input> {
        let answers = (0..agents.len()).filter(|other| answers(host, *other, agents));
        let wire = match answers.min() {
            Some(other) => {
                self.heard = now;
                ProbeResult::Answered { wins_tie_break: other < host }
            }
            None if now >= self.heard + SILENCE => ProbeResult::Silent,
            None => return None,
        };
        let news = self.told.replace(wire) != Some(wire);
        news.then_some(Input::Probed(wire))
    }
}

/// What an agent that watches the owner's host has heard of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watching {
    unanswered: u32,
    told: Option<Liveness>,
}

impl Watching {
    /// What the next question brings, if that is news; where the network alone is to tell, `others`
    /// are asked for, and are heard or not.
    pub(crate) fn ask(
        &mut self,
        host: HostId,
        agents: &[Agent],
        others: Option<bool>,
    ) -> Option<Liveness> {
        let answered = (0..agents.len()).any(|other| has_it(host, other, agents));
        self.unanswered = if answered { 0 } else { self.unanswered + 1 };
        let presence = match self.unanswered {
            0 => Liveness::Alive,
            UNANSWERED.. if self.told.is_none() => return None,
            UNANSWERED.. if others == Some(true) => Liveness::Dead,
            UNANSWERED.. => Liveness::Suspect,
            _ => return None,
        };
        let news = self.told.replace(presence) != Some(presence);
        news.then_some(presence)
    }
}

/// Whether another host answers for the address.
fn has_it(host: HostId, other: HostId, agents: &[Agent]) -> bool {
    let (asker, asked) = (&agents[host], &agents[other]);
    host != other && asked.bound && reaches(asker, asked) && reaches(asked, asker)
}

/// True when what one host sends reaches another.
pub(crate) fn reaches(from: &Agent, to: &Agent) -> bool {
    let heard = !from.unheard_by.contains(&to.number);
    from.power && to.power && from.lan_out == 0 && to.lan_in == 0 && heard
}

/// The kernel of a host that has the address answers, whatever its agent does. Of two that only ask,
/// the first counts as an answer for the second.
fn answers(host: HostId, other: HostId, agents: &[Agent]) -> bool {
    let (asker, asked) = (&agents[host], &agents[other]);
    if host == other || !reaches(asked, asker) {
        return false;
    }
    let wants_it = asked.probing.is_some() && asked.runs() && other < host && !asker.bound;
    has_it(host, other, agents) || wants_it
}

/// The hardware address of a host: a host with a lower number has a lower one.
pub(crate) fn mac(host: HostId) -> Mac {
    [2, 0, 0, 0, 0, u8::try_from(host).expect("few hosts")]
}

/// Who hears the announcement of a host as a claim of an address that it has itself.
pub(crate) fn claimed(from: HostId, agents: &mut [Agent], now: Millis) -> Vec<(HostId, Input)> {
    let mut claims = Vec::new();
    for to in 0..agents.len() {
        let hears = to != from && reaches(&agents[from], &agents[to]);
        let agent = &mut agents[to];
        if hears && agent.running && agent.bound && now >= agent.claimed + CLAIMS {
            agent.claimed = now;
            claims.push((to, Input::Claimed { from: mac(from), wins_tie_break: from < to }));
        }
    }
    claims
}
