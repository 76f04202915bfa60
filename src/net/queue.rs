//! Which address is announced next, and when: the schedules of all addresses, under three limits.
//!
//! Pure: time comes in as an argument. First announcements go before repeats and repeats before
//! the refresh. Among first ones the newest takeover goes first, so that one address that moves
//! now does not wait behind a thousand that began to move before it.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::schedule::{Extent, Lane, Schedule};
use crate::vip::Cidr;

/// What would leave in this part of a second may leave at once, of first announcements.
const AT_ONCE: u32 = 100;
/// Frames per second and at once, of repeats: few, because switches throttle floods of ARP.
const REPEAT: (u32, u32) = (500, 20);
/// The same of the refresh: enough for 3000 IPv4 addresses a minute.
const REFRESH: (u32, u32) = (100, 60);

/// A refresh waits so long for others, and they leave together: a thousand addresses cost two
/// wake-ups a second, not seventeen. More frames may leave at once than grow back in that time.
const COMPANY: Duration = Duration::from_millis(500);

/// The announcements to come.
#[derive(Debug)]
pub(super) struct Queue {
    schedule: Schedule,
    jitter: RandomState,
    states: HashMap<Cidr, State>,
    /// The newest last. May hold addresses that have moved on; `states` decides.
    firsts: Vec<Cidr>,
    repeats: Waiting,
    refreshes: Waiting,
    first_bucket: Bucket,
    held: Option<Hold>,
}

/// Nothing that was planned before leaves before a time.
#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Instant,
    /// How many of `firsts`, from the oldest on, were planned before.
    firsts: usize,
}

/// How far an address has come.
#[derive(Clone, Copy, Debug)]
struct State {
    lane: Lane,
    due: Instant,
    made: u32,
}

/// One lane's addresses by the time they are due, and its limit.
#[derive(Debug)]
struct Waiting {
    due: BTreeSet<(Instant, Cidr)>,
    bucket: Bucket,
}

impl Queue {
    /// An empty queue, with so many frames per second of first announcements. `jitter` spreads the refresh.
    pub(super) fn new(schedule: Schedule, rate: u32, jitter: RandomState) -> Queue {
        Queue {
            schedule,
            jitter,
            states: HashMap::new(),
            firsts: Vec::new(),
            repeats: Waiting::new(REPEAT),
            refreshes: Waiting::new(REFRESH),
            first_bucket: Bucket::new(rate, rate / AT_ONCE),
            held: None,
        }
    }

    /// Announces an address from now on, whatever was planned for it before.
    pub(super) fn start(&mut self, cidr: Cidr, extent: Extent, now: Instant) {
        self.stop(cidr);
        let Some(made) = self.schedule.start(extent) else {
            return;
        };
        let lane = match extent {
            Extent::Full => Lane::First,
            // A restart with many addresses is no emergency.
            Extent::Once => Lane::Repeat,
        };
        self.insert(cidr, State { lane, due: now, made });
    }

    /// Announces an address no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        if let Some(state) = self.states.remove(&cidr) {
            match state.lane {
                Lane::First => {} // `firsts` is cleaned when its turn comes
                Lane::Repeat => self.repeats.remove(cidr, state.due),
                Lane::Refresh => self.refreshes.remove(cidr, state.due),
            }
        }
    }

    /// Holds back what is planned. What is started from now on is announced the first time at once.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held = Some(Hold { until, firsts: self.firsts.len() });
    }

    /// The address whose turn it is, if one is due and its lane's limit allows it.
    ///
    /// Its next announcement is planned from `now`: when the limits delay it, the gaps stay.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Cidr> {
        self.held = self.held.filter(|held| now < held.until);
        let cidr = self.pop_first(now).or_else(|| self.pop_later(now))?;
        let made = self.states.remove(&cidr)?.made.saturating_add(1);
        let random = self.jitter.hash_one((cidr, made));
        if let Some((lane, gap)) = self.schedule.next(made, random) {
            self.insert(cidr, State { lane, due: now + gap, made });
        }
        Some(cidr)
    }

    /// When `pop` will have something, if nothing changes until then.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let held = self.held.map_or(now, |held| held.until.max(now));
        let first = self.firsts.last().map(|cidr| {
            let ready = self.first_bucket.ready_at(frames(cidr), now);
            if self.holds_firsts() { ready.max(held) } else { ready }
        });
        let refresh = self.refreshes.next_due(now).map(|due| due + COMPANY);
        let later = [self.repeats.next_due(now), refresh];
        let later = later.into_iter().flatten().map(|due| due.max(held));
        first.into_iter().chain(later).min()
    }

    fn holds_firsts(&self) -> bool {
        self.held.is_some_and(|held| self.firsts.len() <= held.firsts)
    }

    fn pop_later(&mut self, now: Instant) -> Option<Cidr> {
        if self.held.is_some() {
            return None;
        }
        self.repeats.pop(now).or_else(|| self.refreshes.pop(now))
    }

    fn pop_first(&mut self, now: Instant) -> Option<Cidr> {
        while let Some(cidr) = self.firsts.last().copied() {
            if self.holds_firsts() {
                return None;
            }
            let waits = self.states.get(&cidr).is_some_and(|state| state.lane == Lane::First);
            if waits && self.first_bucket.take(frames(&cidr), now).is_err() {
                return None;
            }
            self.firsts.pop();
            if waits {
                return Some(cidr);
            }
        }
        None
    }

    fn insert(&mut self, cidr: Cidr, state: State) {
        match state.lane {
            Lane::First => self.firsts.push(cidr),
            Lane::Repeat => self.repeats.insert(cidr, state.due),
            Lane::Refresh => self.refreshes.insert(cidr, state.due),
        }
        self.states.insert(cidr, state);
    }
}

impl Waiting {
    fn new((per_second, depth): (u32, u32)) -> Waiting {
        Waiting { due: BTreeSet::new(), bucket: Bucket::new(per_second, depth) }
    }

    fn insert(&mut self, cidr: Cidr, due: Instant) {
        self.due.insert((due, cidr));
    }

    fn remove(&mut self, cidr: Cidr, due: Instant) {
        self.due.remove(&(due, cidr));
    }

    fn pop(&mut self, now: Instant) -> Option<Cidr> {
        let (due, cidr) = *self.due.first()?;
        if due > now || self.bucket.take(frames(&cidr), now).is_err() {
            return None;
        }
        self.due.pop_first();
        Some(cidr)
    }

    fn next_due(&self, now: Instant) -> Option<Instant> {
        let (due, cidr) = self.due.first()?;
        Some(self.bucket.ready_at(frames(cidr), now).max(*due))
    }
}

/// How many frames one announcement is: two forms of ARP, one neighbour advertisement.
fn frames(cidr: &Cidr) -> u32 {
    match cidr.addr() {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests;
