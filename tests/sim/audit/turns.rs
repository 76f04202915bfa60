//! Who is first when a lock is free, or its owner dead: whoever knows of a better candidate leaves it a turn.

use std::time::Duration;

use link::election::core::Timer;
use link::fsm::State;
use link::lock::{Candidate, Request};
use link::preference::Preference;
use link::vip::Slot;

use crate::agent::Election;
use crate::memory_etcd::Millis;
use crate::setup::HostId;
use crate::world::World;

impl super::Audit {
    /// An election asks etcd for something: whether it has waited for its turn.
    pub(crate) fn asked(world: &mut World, host: HostId, slot: Slot, request: &Request) {
        let agent = world.hosts[host].agent.as_ref();
        let Some(election) = agent.and_then(|agent| agent.elections.get(&slot)) else { return };
        let Some((since, gone)) = could_since(world, election, request) else { return };
        let name = &world.hosts[host].name;
        let better = better(election, name, &gone, world.now);
        let turn = Millis::try_from(Timer::Turn.duration().as_millis()).expect("short");
        if let Some(better) = better.filter(|_| world.now < since + turn) {
            let after = Duration::from_millis(world.now - since);
            let what =
                format!("{name} takes the lock {after:?} after it could, and before {better}");
            world.audit.wrong.get_or_insert(what);
        }
    }
}

/// Since when a standby could have taken the lock that it asks for now, and who had it before.
fn could_since(world: &World, election: &Election, request: &Request) -> Option<(Millis, String)> {
    let (ip, core) = (election.ip, election.driver.core());
    if core.state() != State::Standby || core.is_ordered() || election.desired != Some(false) {
        return None;
    }
    match (request, &world.locks[ip]) {
        (Request::Campaign { .. }, None) => {
            let (gone, at) = world.audit.ips[ip].moved.clone()?;
            Some((at, gone))
        }
        (Request::TakeOver { .. }, Some(holder)) => {
            let (lease, at) = election.dead?;
            (lease == holder.lease).then(|| (at, holder.host.clone()))
        }
        _ => None,
    }
}

/// A candidate that goes first, as far as the election was told: nothing has failed that it has asked since, and
/// what it says of itself is in etcd.
fn better(election: &Election, name: &str, gone: &str, now: Millis) -> Option<String> {
    let Some((true, priority)) = election.driver.core().candidacy() else { return None };
    let own = Preference::new(priority, &election.key.text(), name);
    let (known, at) = election.known.as_ref()?;
    let goes_first = |other: &&Candidate| {
        other.available && other.lease != 0 && other.host != gone && other.preference > own
    };
    let better = known.iter().find(goes_first)?;
    (now > *at && election.unanswered < *at).then(|| better.host.clone())
}
