//! Who is first when the lock is free, or when its owner is dead: the candidates share what becomes free at once.
//!
//! Each IP has an order of its own among its hosts (`preference`). The first of the candidates that could take the
//! lock tries at once, as all did if nobody knew the others; each of the next waits a turn longer, in case those
//! before it are gone or do not act. The lock decides, as ever: that two think they are first costs nothing.
//!
//! An agent that starts knows nobody yet. If others may be starting, too, it says in etcd that it is a candidate,
//! and waits a moment for what they say, but for what it has on its interface already.

use super::lock::Ownership;
use super::{Core, Departure};
use crate::election::health::Verdict;
use crate::fsm::State;
use crate::lock::{Candidate, Holder, Lease};

/// More hosts before this one are not waited for.
const MOST: usize = 4;

/// What is known of the others and of the time that they have had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Turns {
    /// So many have passed since the lock could be taken.
    passed: usize,
    company: Company,
    /// The host that had the lock until it was free: gone, or it does not want it.
    last: Option<String>,
}

/// Whether others start at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Company {
    /// Nobody who has not said so.
    None,
    /// It may be.
    Awaited,
    /// All that are there have said so.
    There,
}

impl Turns {
    pub(super) fn new(company: bool) -> Turns {
        let company = if company { Company::Awaited } else { Company::None };
        Turns { passed: 0, company, last: None }
    }

    /// The lock was seen: who held it before, and who does.
    pub(super) fn seen(&mut self, before: Option<&Holder>, now: Option<&Holder>) {
        match (before, now) {
            (_, Some(_)) => (self.company, self.last) = (Company::None, None),
            // That the owner was dead others need not have known; that the lock is free they see now.
            (Some(before), None) => (self.passed, self.last) = (0, Some(before.host.clone())),
            (None, None) => {}
        }
    }

    /// A turn is over.
    pub(super) fn passed(&mut self) {
        self.passed += 1;
    }

    /// It is told to try.
    pub(super) fn end(&mut self) {
        self.company = Company::None;
    }
}

impl Core {
    /// The lock could be taken by this host, which does not have the address.
    fn takes_in_turn(&self) -> bool {
        let could = match self.ownership() {
            Ownership::Free => true,
            Ownership::Other => {
                self.etcd.lock.dead_holder().is_some() && !self.etcd.lock.is_replaced()
            }
            Ownership::Unknown
            | Ownership::Mine
            | Ownership::OwnStaleLease
            | Ownership::Joined
            | Ownership::Grouped => false,
        };
        could && self.is_plain_standby()
    }

    fn is_plain_standby(&self) -> bool {
        matches!(self.lease, Lease::Held(_))
            && self.state == State::Standby
            && self.health.verdict() == Verdict::Healthy
            && self.departure == Departure::Stays
            && !self.has_address()
    }

    /// How many turns this host leaves to others. A Go LinK takes no turns: it may be first anyhow, or not there.
    fn rank(&self) -> usize {
        let dead = self.etcd.lock.dead_holder().map(|holder| &holder.host);
        let before = self.before_it(dead.or(self.etcd.turns.last.as_ref()));
        // Those that have started a moment later wait for company as long as this host has.
        let later = self.etcd.turns.company == Company::There && before > 0;
        before + usize::from(later)
    }

    /// So many candidates would go before this host, if one host were gone.
    fn before_it(&self, gone: Option<&String>) -> usize {
        let goes_first = |other: &&Candidate| {
            other.available
                && other.lease != 0
                && other.preference > self.config.preference
                && Some(&other.host) != gone
        };
        // Those that were read last, though others may have come since: one that has gone costs a turn.
        let known = self.etcd.candidates.last_known().unwrap_or_default();
        known.iter().filter(goes_first).count().min(MOST)
    }

    /// Whether this host would be the first to take the lock, if the owner died.
    pub fn is_next(&self) -> bool {
        let owner = self.etcd.lock.known_holder().map(|holder| &holder.host);
        let waits = self.ownership() == Ownership::Other && self.is_plain_standby();
        waits && self.etcd.candidates.are_current() && self.before_it(owner) == 0
    }

    pub(super) fn waits_for_turn(&self) -> bool {
        self.takes_in_turn() && self.etcd.turns.passed < self.rank()
    }

    /// Others may be starting, and have not said yet whether they offer the IP.
    pub(super) fn waits_for_company(&self) -> bool {
        let may_take = matches!(self.ownership(), Ownership::Free | Ownership::Unknown);
        self.etcd.turns.company == Company::Awaited && may_take && self.is_plain_standby()
    }

    /// Since when all of them should have said it.
    pub(super) fn gives_time_to_company(&self) -> bool {
        self.ownership() == Ownership::Free && self.waits_for_company()
    }

    /// They have, and were not read yet.
    pub(super) fn reads_for_turn(&self) -> bool {
        let there = self.etcd.turns.company == Company::There;
        there && !self.etcd.candidates.are_current() && self.is_plain_standby()
    }

    pub(super) fn company_is_there(&mut self) {
        self.etcd.turns.company = Company::There;
        self.etcd.candidates.outdate();
    }

    /// The next time the others go first again.
    pub(super) fn settle_turns(&mut self) {
        if !self.takes_in_turn() {
            self.etcd.turns.passed = 0;
        }
    }
}
