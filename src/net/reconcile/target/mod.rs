//! One managed address: where it should be, where it was last found, what has been told of it.
//!
//! Pure but for the reports, which are handed out as values.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use super::is_ours;
use super::repeats::Repeats;
use super::route::keeps_marks;
use crate::few::Few;
use crate::net::bucket::Bucket;
use crate::net::codec::rtnetlink::AddressInfo;
use crate::net::error::OrderError;
use crate::net::{Desired, Report, Reports};
use crate::network::{Hearing, Mac, Unusable};

/// The first wait after a failure, and the longest; each is twice the one before.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Another program may undo what is done here as fast as it is done. Ten changes are made at once,
/// then four per second: still well within the second in which an address has to be back.
const CHANGES: (u32, u32) = (4, 10);

/// Between two reports that a host claims an address: the frames of one announcement are one claim.
/// No longer: a host that lets go of the IP and takes it a few milliseconds later, in the next transfer,
/// has to be heard both times.
const CLAIM_GAP: Duration = Duration::from_millis(1);
/// Between two reports that a host misses the owner, too: half of what is between two of its questions.
const MISS_GAP: Duration = Duration::from_millis(25);
/// Of so many hosts claims are reported within that time: an owner that hands over waits for that of
/// one host, whatever others say, and a forger has any number of hardware addresses.
const CLAIMANTS: usize = 8;

/// What the kernel has of an address on its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// The address, in working order.
    Usable,
    /// The address, but duplicate address detection runs or has failed.
    Unusable,
    /// The address, without LinK's mark, put there by the Go LinK, which has none.
    Unmarked,
    /// The address, put there by somebody else: the host has it, and LinK has no part in it.
    NotOurs,
}

/// What is to be done about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: it is as it should be, or it cannot be so now.
    Leave,
    /// Put it on the interface.
    Add,
    /// Take it off the interface.
    Remove,
    /// Take it off the interface and put it there again.
    Replace,
    /// Mark it as LinK's.
    Mark,
}

/// What makes an address as it should be. `usable`: its interface exists and is up.
pub(super) fn step(desired: Desired, found: Found, usable: bool) -> Step {
    match (desired, found) {
        (_, Found::NotOurs) => Step::Leave,
        (Desired::AsFound | Desired::Bound, Found::Unmarked) => Step::Mark,
        (Desired::AsFound, Found::Absent | Found::Usable | Found::Unusable) => Step::Leave,
        (Desired::Bound, Found::Absent) if usable => Step::Add,
        (Desired::Bound, Found::Unusable) if usable => Step::Replace,
        (Desired::Bound, Found::Absent | Found::Usable | Found::Unusable) => Step::Leave,
        (Desired::Unbound, Found::Absent) => Step::Leave,
        (Desired::Unbound, Found::Usable | Found::Unusable | Found::Unmarked) => Step::Remove,
    }
}

/// A managed address.
pub(super) struct Target {
    /// The number of its management.
    pub(super) number: u64,
    /// The name of its interface.
    pub(super) interface: String,
    /// Where it should be.
    pub(super) desired: Desired,
    /// Where it was before the last order, until that is carried out.
    pub(super) ordered_from: Option<Desired>,
    /// What the last look or the last change found; none before the first look.
    pub(super) found: Option<Found>,
    /// Whether an address without LinK's mark that is there at the first look is taken for LinK's.
    pub(super) adopts: bool,
    /// The interfaces, by their indexes, on which this process has put it or found it with the mark.
    pub(super) places: BTreeSet<u32>,
    /// It waits to be looked after.
    pub(super) queued: bool,
    /// Nobody manages it any more: it goes as soon as it is where it should be.
    pub(super) forgotten: bool,
    /// How often another program changed it.
    pub(super) interference: Repeats,
    /// What is being done only undoes what another program did, which has been logged.
    pub(super) restoring: bool,
    /// When a change may be tried.
    pub(super) pace: Pace,
    reports: Reports,
    told: Told,
}

/// How fast an address may be changed: other programs may undo what is done, or it may fail.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nothing is tried before this.
    pub(super) not_before: Option<Instant>,
    changes: Bucket,
    retry: Duration,
}

/// The last report of each kind, or when it was made.
#[derive(Debug, Default)]
struct Told {
    interface: Option<Result<Mac, Unusable>>,
    bound: Option<bool>,
    failure: Option<OrderError>,
    hearing: Option<Hearing>,
    claims: Few<Mac, Instant>,
    misses: Few<Mac, Instant>,
}

impl Target {
    /// An address of which nothing is known yet.
    pub(super) fn new(number: u64, interface: String, adopts: bool, reports: Reports) -> Target {
        Target {
            number,
            interface,
            desired: Desired::AsFound,
            ordered_from: None,
            found: None,
            adopts,
            places: BTreeSet::new(),
            queued: false,
            forgotten: false,
            interference: Repeats::default(),
            restoring: false,
            pace: Pace::new(),
            reports,
            told: Told::default(),
        }
    }

    /// Says where it should be; a new order is tried at once.
    pub(super) fn order(&mut self, desired: Desired) {
        if self.desired != desired {
            self.ordered_from = Some(self.desired);
            self.desired = desired;
            self.restoring = false;
            // What was counted is not what would be told of it now.
            self.interference = Repeats::default();
            self.pace = Pace::new();
            self.relieve();
        }
    }

    /// What there is of the address, when the kernel has this one on the interface, or none.
    pub(super) fn what_is(&self, here: Option<&AddressInfo>) -> Found {
        let Some(address) = here else { return Found::Absent };
        let marks = keeps_marks();
        let known = is_ours(address) || (!marks && self.places.contains(&address.index));
        let adopts = self.adopts && self.found.is_none_or(|found| found == Found::Unmarked);
        match (known || (adopts && !marks), address.is_usable()) {
            (true, true) => Found::Usable,
            (true, false) => Found::Unusable,
            (false, _) if adopts => Found::Unmarked,
            (false, _) => Found::NotOurs,
        }
    }

    /// It is where it should be, and can be announced from there.
    pub(super) fn is_bound(&self) -> bool {
        self.desired == Desired::Bound && self.found == Some(Found::Usable)
    }

    /// The kernel has it and answers for it, whether it should or nobody has decided yet.
    pub(super) fn is_there(&self) -> bool {
        self.found == Some(Found::Usable)
    }

    /// It is not here, and is not to be: another host may have it.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.desired != Desired::Bound && self.found == Some(Found::Absent)
    }

    /// What was ordered last is not done, or nobody has looked.
    pub(super) fn is_to_be_removed(&self) -> bool {
        let gone = matches!(self.found, Some(Found::Absent | Found::NotOurs));
        self.desired == Desired::Unbound && !gone
    }

    /// Nothing stands in the way any more: the next failure is a new one.
    pub(super) fn relieve(&mut self) {
        self.pace.not_before = None;
        self.pace.retry = FIRST_RETRY;
        self.told.failure = None;
    }

    /// The report to make of the interface, if that is new.
    pub(super) fn tell_interface(&mut self, standing: Result<Mac, Unusable>) -> Option<Report> {
        let new = self.told.interface.replace(standing) != Some(standing);
        new.then_some(Report::Interface(standing))
    }

    /// The report to make of what was found, if that is new.
    pub(super) fn tell_bound(&mut self) -> Option<Report> {
        let bound = self.found? == Found::Usable;
        let new = self.told.bound.replace(bound) != Some(bound);
        new.then_some(Report::Bound(bound))
    }

    /// The report to make of a failure, if that is new.
    pub(super) fn tell_failure(&mut self, failure: OrderError) -> Option<Report> {
        let before = self.told.failure.replace(failure.clone());
        (before.as_ref() != Some(&failure)).then_some(Report::Failed(failure))
    }

    /// The report to make of another host's claim, if it has not made one a moment ago.
    pub(super) fn tell_claim(
        &mut self,
        from: Mac,
        wins_tie_break: bool,
        now: Instant,
    ) -> Option<Report> {
        let new = is_new(&mut self.told.claims, from, CLAIM_GAP, now);
        new.then_some(Report::Claimed { from, wins_tie_break })
    }

    /// The report to make of another host that misses the owner, if it has not asked a moment ago.
    pub(super) fn tell_missed(&mut self, by: Mac, now: Instant) -> Option<Report> {
        is_new(&mut self.told.misses, by, MISS_GAP, now).then_some(Report::AlsoMissed(by))
    }

    /// The report to make of who is heard on the interface, if that is new.
    pub(super) fn tell_hearing(&mut self, hearing: Hearing) -> Option<Report> {
        let new = self.told.hearing.replace(hearing) != Some(hearing);
        new.then_some(Report::Hearing(hearing))
    }

    /// Makes a report.
    pub(super) fn report(&self, report: Report) {
        (self.reports)(report);
    }
}

/// Whether a host has not said the same just before; one of a few at most.
fn is_new(said: &mut Few<Mac, Instant>, by: Mac, gap: Duration, now: Instant) -> bool {
    said.retain(|_, at| now.saturating_duration_since(*at) < gap);
    let new = !said.contains_key(&by) && said.len() < CLAIMANTS;
    if new {
        said.insert(by, now);
    }
    new
}

impl Pace {
    fn new() -> Pace {
        Pace { not_before: None, changes: Bucket::new(CHANGES.0, CHANGES.1), retry: FIRST_RETRY }
    }

    /// Allows a change now, or puts it off.
    pub(super) fn may_change(&mut self, now: Instant) -> bool {
        if self.not_before.is_none_or(|not_before| not_before <= now) {
            self.not_before = self.changes.take(1, now).err();
        }
        self.not_before.is_none()
    }

    /// A change failed: it is tried again, later each time.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.not_before = Some(now + self.retry);
        self.retry = (self.retry * 2).min(LAST_RETRY);
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("interface", &self.interface)
            .field("desired", &self.desired)
            .field("found", &self.found)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
