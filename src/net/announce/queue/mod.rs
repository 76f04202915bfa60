//! Which address is announced next, and when: the schedules of all addresses, under three limits.
//!
//! Pure: time comes in as an argument. First announcements go before repeats and repeats before
//! the refresh. Among first ones the newest takeover goes first, so that one address that moves
//! now does not wait behind a thousand that began to move before it. An announcement of IPv4 has two
//! forms; of a first one, the second form waits until the first form of all addresses has left: that
//! is enough for nearly everybody, and a thousand addresses are reached in half the time.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::schedule::{Extent, Lane, Schedule};
use crate::net::bucket::Bucket;
use crate::vip::Cidr;

/// What would leave in this part of a second may leave at once, of first announcements.
const AT_ONCE: u32 = 100;
/// Frames per second and at once, of repeats: few, because switches throttle floods of ARP.
const REPEAT: (u32, u32) = (500, 20);
/// The same of the refresh: all hosts of the network hear it for ever. Enough for 300 IPv4 addresses
/// a minute; a thousand take three, which is still less than a switch forgets in.
const REFRESH: (u32, u32) = (10, 20);

/// A refresh waits so long for others, and they leave together: a thousand addresses cost one wake-up
/// a second, not five. More frames may leave at once than grow back in that time.
const COMPANY: Duration = Duration::from_secs(1);

/// What is to leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The address.
    pub(super) cidr: Cidr,
    /// In which form.
    pub(super) form: Form,
    /// How urgent it was.
    pub(super) lane: Lane,
}

/// The forms of an announcement of IPv4: there are hosts that take only one of them. Of IPv6 there is
/// but one, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A request.
    First,
    /// A reply, after the request has left.
    Second,
    /// One after the other.
    All,
}

/// The announcements to come.
#[derive(Debug)]
pub(super) struct Queue {
    schedule: Schedule,
    jitter: RandomState,
    states: HashMap<Cidr, State>,
    /// The newest last. May hold addresses that have moved on; `states` decides.
    firsts: Vec<Cidr>,
    /// Those of which the second form of the first announcement is to leave, the oldest first.
    seconds: VecDeque<Cidr>,
    repeats: Waiting,
    refreshes: Waiting,
    first_bucket: Bucket,
    /// Until then only what is ordered is announced.
    held_until: Option<Instant>,
}

/// Why an address is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody who knows who owns it has ordered that.
    Order,
    /// Something has changed here: its interface is back, or another program had removed it.
    Change,
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
            seconds: VecDeque::new(),
            repeats: Waiting::new(REPEAT),
            refreshes: Waiting::new(REFRESH),
            first_bucket: Bucket::new(rate, rate / AT_ONCE),
            held_until: None,
        }
    }

    /// Announces an address from now on, whatever was planned for it before.
    pub(super) fn start(&mut self, cidr: Cidr, extent: Extent, cause: Cause, now: Instant) {
        let held = self.held_until.filter(|until| cause == Cause::Change && now < *until);
        let ordered = || self.states.get(&cidr).is_some_and(|state| state.lane == Lane::First);
        if held.is_some() && ordered() {
            return;
        }
        self.stop(cidr);
        let Some(made) = self.schedule.start(extent) else {
            return;
        };
        let lane = match extent {
            Extent::Full if held.is_none() => Lane::First,
            // A restart with many addresses is no emergency.
            Extent::Full | Extent::Once => Lane::Repeat,
        };
        self.insert(cidr, State { lane, due: held.unwrap_or(now), made });
    }

    /// Announces an address no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        self.seconds.retain(|second| *second != cidr);
        if let Some(state) = self.states.remove(&cidr) {
            self.remove(cidr, state.lane, state.due);
        }
    }

    /// Holds back what is planned, and what is started from now on unless it is ordered. Of what is
    /// half announced, the repeat says the rest.
    pub(super) fn hold(&mut self, until: Instant) {
        self.seconds.clear();
        self.firsts.clear();
        self.held_until = Some(until);
        for (cidr, State { lane, due, made }) in std::mem::take(&mut self.states) {
            self.remove(cidr, lane, due);
            let lane = if lane == Lane::First { Lane::Repeat } else { lane };
            self.insert(cidr, State { lane, due: due.max(until), made });
        }
    }

    /// The announcement whose turn it is, if one is due and its lane's limit allows it.
    ///
    /// The next one of its address is planned from `now`: when the limits delay it, the gaps stay.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Announcement> {
        if let Some(cidr) = self.pop_first(now) {
            if forms(cidr) > 1 {
                self.seconds.push_back(cidr);
            }
            self.plan_next(cidr, now);
            return Some(Announcement { cidr, form: Form::First, lane: Lane::First });
        }
        if let Some(cidr) = self.pop_second(now) {
            return Some(Announcement { cidr, form: Form::Second, lane: Lane::First });
        }
        let (cidr, lane) = self.pop_later(now)?;
        self.plan_next(cidr, now);
        Some(Announcement { cidr, form: Form::All, lane })
    }

    fn plan_next(&mut self, cidr: Cidr, now: Instant) {
        let made = self.states.remove(&cidr).map_or(0, |state| state.made).saturating_add(1);
        let random = self.jitter.hash_one((cidr, made));
        if let Some((lane, gap)) = self.schedule.next(made, random) {
            self.insert(cidr, State { lane, due: now + gap, made });
        }
    }

    /// When `pop` will have something, if nothing changes until then.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let first = self.firsts.last().map(|_| self.first_bucket.ready_at(1, now));
        let second = self.seconds.front().map(|_| self.first_bucket.ready_at(1, now));
        let refresh = self.refreshes.next_due(now).map(|due| due + COMPANY);
        [first, second, self.repeats.next_due(now), refresh].into_iter().flatten().min()
    }

    fn pop_later(&mut self, now: Instant) -> Option<(Cidr, Lane)> {
        let repeat = self.repeats.pop(now).map(|cidr| (cidr, Lane::Repeat));
        repeat.or_else(|| self.refreshes.pop(now).map(|cidr| (cidr, Lane::Refresh)))
    }

    fn pop_first(&mut self, now: Instant) -> Option<Cidr> {
        while let Some(cidr) = self.firsts.last().copied() {
            let waits = self.states.get(&cidr).is_some_and(|state| state.lane == Lane::First);
            if waits && self.first_bucket.take(1, now).is_err() {
                return None;
            }
            self.firsts.pop();
            if waits {
                return Some(cidr);
            }
        }
        None
    }

    fn pop_second(&mut self, now: Instant) -> Option<Cidr> {
        let cidr = *self.seconds.front()?;
        self.first_bucket.take(1, now).ok()?;
        self.seconds.pop_front();
        Some(cidr)
    }

    fn remove(&mut self, cidr: Cidr, lane: Lane, due: Instant) {
        match lane {
            Lane::First => {} // `firsts` is cleaned when its turn comes
            Lane::Repeat => self.repeats.remove(cidr, due),
            Lane::Refresh => self.refreshes.remove(cidr, due),
        }
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
        if due > now || self.bucket.take(forms(cidr), now).is_err() {
            return None;
        }
        self.due.pop_first();
        Some(cidr)
    }

    fn next_due(&self, now: Instant) -> Option<Instant> {
        let (due, cidr) = self.due.first()?;
        Some(self.bucket.ready_at(forms(*cidr), now).max(*due))
    }
}

/// How many forms an announcement has, each of them a frame: two of ARP, one neighbour advertisement.
fn forms(cidr: Cidr) -> u32 {
    match cidr.addr() {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests;
