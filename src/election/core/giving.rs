//! How the IP is given to another host: make before break.
//!
//! The lock is written for the other host in one transaction, guarded by its offer, so that it goes
//! to a candidate or stays. The other binds and announces; only when this host has heard that on the
//! network does it let go of the address. Who is not heard in time did not take it: the lock is
//! taken back, and the next candidate gets it.
//!
//! A Go LinK attaches its offer to no lease, so that the lock cannot be written for it: the lock is
//! deleted instead, and the address stays until the Go LinK has taken it.

use std::time::{Duration, Instant};

use super::Core;
use super::lock::Ownership;
use crate::election::message::Action;
use crate::fsm::State;
use crate::lock::{Candidacy, Candidate, Holder, Lease, LockView, Request};
use crate::policy::AllFailingPolicy;

/// How long an owner that hands over keeps answering while it waits for another host to take the
/// lock. Longer than the 3 s after which a Go LinK polls the lock.
pub const HANDOVER_BOUND: Duration = Duration::from_secs(5);

/// How long the host that got the lock may take to be heard on the network. It takes milliseconds; a
/// busy one, some tens of them.
pub const HEARD_BOUND: Duration = Duration::from_millis(500);

/// How often an owner that leaves looks whether there still is somebody to wait for: all hosts of a
/// rack may be told to stop at once.
const RECHECK: Duration = Duration::from_millis(500);

/// The IP is being given up on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handover {
    /// To stay as a candidate, and to whom it goes if that was said; nothing to leave for good.
    pub(super) target: Option<Target>,
    /// Nobody may have to wait longer.
    pub(super) until: Instant,
    /// When to look again whether there still is somebody to wait for.
    pub(super) recheck: Option<Instant>,
}

/// The host to which the IP goes; whichever is preferred if none is named.
pub(super) type Target = Option<String>;

/// The lock is being written for another host, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passing {
    to: Candidate,
    /// The revision at which that was done; 0 until it is known.
    written: i64,
    /// The other host was heard to announce the IP.
    heard: bool,
    /// When it has to be; nothing before etcd has confirmed, and after it was not.
    pub(super) until: Option<Instant>,
}

impl Passing {
    pub(super) fn is_confirmed(&self) -> bool {
        self.written > 0
    }

    /// The revision at which the lock was passed, if the other was not heard in time.
    pub(super) fn overdue(&self) -> Option<i64> {
        (self.is_confirmed() && self.until.is_none()).then_some(self.written)
    }
}

impl Core {
    pub(super) fn on_failover(&mut self, target: Target, now: Instant, actions: &mut Vec<Action>) {
        let refusal = if self.handover.is_some() {
            "this host is already handing it over"
        } else if self.state != State::Activated || self.ownership() != Ownership::Mine {
            "this host is not the owner"
        } else {
            return self.begin_handover(Some(target), now);
        };
        actions.push(Action::HandedOver(Err(refusal.to_owned())));
    }

    pub(super) fn on_leave(&mut self, now: Instant) {
        self.begin_handover(None, now);
    }

    fn begin_handover(&mut self, target: Option<Target>, now: Instant) {
        let until = now + HANDOVER_BOUND;
        self.handover = Some(Handover { target, until, recheck: None });
        self.others = None;
        self.silent.clear();
        self.retry_now();
    }

    /// The request that brings the lock to another host; nothing if there is none, or if it is done.
    pub(super) fn giving(&self, lease: i64, offer: Candidacy) -> Option<Request> {
        let ownership = self.ownership();
        let known = self.told(offer) && self.others.is_some();
        if !known || ownership == Ownership::Unknown {
            return Some(Request::Advertise { lease, candidacy: offer });
        }
        let to = self.candidate().filter(|_| ownership == Ownership::Mine)?;
        if to.lease == 0 {
            return Some(Request::Resign { lease, candidacy: offer });
        }
        Some(Request::Transfer { lease, to: to.clone() })
    }

    /// As `giving`, but without a candidate the lock goes to a host that fails as well, if such hosts
    /// keep what they have, and is deleted if there is none.
    pub(super) fn leaving(&self, lease: i64) -> Option<Request> {
        let offer = Candidacy::Withdrawn;
        let last = || match self.failing_candidate() {
            Some(to) => Request::Transfer { lease, to: to.clone() },
            None => Request::Resign { lease, candidacy: offer },
        };
        let mine = self.ownership() == Ownership::Mine;
        self.giving(lease, offer).or_else(|| mine.then(last))
    }

    fn failing_candidate(&self) -> Option<&Candidate> {
        let keeps = self.all_failing == AllFailingPolicy::KeepLast;
        let mut others = self.others.iter().flatten().filter(|_| keeps);
        others.find(|other| other.lease != 0 && !self.silent.contains(&other.host))
    }

    /// Who gets the IP, if anybody can.
    pub(super) fn candidate(&self) -> Option<&Candidate> {
        let wanted = self.handover.as_ref().and_then(|handover| handover.target.as_ref()?.as_ref());
        let others = self.others.as_ref()?;
        others.iter().find(|other| {
            let is_wanted = wanted.is_none_or(|wanted| *wanted == other.host);
            other.available && is_wanted && !self.silent.contains(&other.host)
        })
    }

    /// All is known that has to be known, and there is no host that could take the IP.
    pub(super) fn has_nobody_to_give_it_to(&self) -> bool {
        let known = self.others.is_some() && self.pending.is_none() && self.passing.is_none();
        known && self.told(Candidacy::Unavailable) && self.candidate().is_none()
    }

    pub(super) fn begin_to_pass(&mut self, request: Request) {
        if let Request::Transfer { to, .. } = request {
            self.passing = Some(Passing { to, written: 0, heard: false, until: None });
        }
    }

    /// Takes note of what an answer says of a lock that was passed or taken back.
    pub(super) fn before_answer(&mut self, request: &Request, lock: &LockView) {
        let Some(passing) = &self.passing else { return };
        let there = lock.holder.as_ref().is_some_and(|holder| holder.lease == passing.to.lease);
        let back = matches!(request, Request::TakeOver { .. });
        if back && !there {
            self.silent.push(passing.to.host.clone());
        }
        // Still there after the attempt to take it back: it was written again since, by a host that
        // has heard the new owner, or by the new owner.
        if back || !there {
            self.passing = None;
        }
    }

    /// Plans the next look at whom this host waits for, after the lock was deleted for a Go LinK.
    pub(super) fn after_answer(&mut self, request: &Request, now: Instant) {
        let waits = self.waits_for_a_successor();
        if let Some(handover) = self.handover.as_mut().filter(|_| waits) {
            handover.recheck = Some(now + RECHECK);
        }
        if self.state != State::Failing {
            return;
        }
        if matches!(request, Request::Resign { .. }) {
            self.courteous = Some(now + HANDOVER_BOUND);
        }
        // None of them has taken it: there may be none, their offers have no end.
        let retaken = matches!(request, Request::ReacquireUnavailable { .. });
        if retaken && self.ownership() == Ownership::Mine {
            let unheard = self.others.iter().flatten().filter(|other| other.lease == 0);
            self.silent.extend(unheard.map(|other| other.host.clone()));
        }
    }

    /// What has become due of the times above.
    pub(super) fn on_giving_timer(&mut self, now: Instant) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| now >= *at).is_some();
        if let Some(passing) = &mut self.passing {
            due(&mut passing.until);
        }
        if self.handover.as_mut().is_some_and(|handover| due(&mut handover.recheck)) {
            self.others = None;
        }
    }

    /// The lock is free for a host that has to find that out by itself.
    fn waits_for_a_successor(&self) -> bool {
        let leaving = self.handover.as_ref().is_some_and(|handover| handover.target.is_none());
        leaving
            && self.state == State::Activated
            && self.ownership() == Ownership::Free
            && self.candidate().is_some()
    }

    /// Whether that is the host to which the lock was passed, and which is not heard yet.
    pub(super) fn is_to_be_heard(&mut self, holder: &Holder, now: Instant) -> bool {
        let hears = self.health.interface_is_usable() && self.has_address();
        let Some(passing) = self.passing.as_mut().filter(|it| it.to.lease == holder.lease) else {
            self.passing = None;
            return false;
        };
        if passing.heard || !hears {
            self.passing = None;
            return false;
        }
        if !passing.is_confirmed() {
            passing.written = holder.written;
            passing.until = Some(now + HEARD_BOUND);
        }
        true
    }

    /// Takes a claim of another host for the announcement of the one that got the lock, if there is
    /// one; lets go of the address if etcd has confirmed that already.
    pub(super) fn hear_new_owner(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let Some(passing) = &mut self.passing else {
            return false;
        };
        passing.heard = true;
        if passing.is_confirmed() {
            self.on_other(now, actions);
        }
        true
    }

    /// Ends a handover that has succeeded, that nobody will answer, or that took too long.
    pub(super) fn end_handover(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(handover) = &self.handover else {
            return;
        };
        let waited = now >= handover.until || !matches!(self.lease, Lease::Held(_));
        match &handover.target {
            None => self.end_leaving(waited, actions),
            Some(target) => {
                if let Some(result) = self.outcome(target.as_ref(), waited) {
                    self.handover = None;
                    actions.push(Action::HandedOver(result));
                }
            }
        }
    }

    fn end_leaving(&mut self, waited: bool, actions: &mut Vec<Action>) {
        let told = self.told(Candidacy::Withdrawn) && self.pending.is_none();
        let may_be_mine = matches!(self.ownership(), Ownership::Mine | Ownership::Unknown);
        let asked = self.others.is_none();
        let awaited = self.passing.is_some() || asked || self.waits_for_a_successor();
        if waited || (told && !may_be_mine && !awaited) {
            self.handover = None;
            self.passing = None;
            self.lease = Lease::None;
            self.believed = None;
            self.gone = true;
            self.owes = !told || may_be_mine;
            self.order(false, actions);
            actions.push(Action::Left);
        }
    }

    /// How a failover has ended, if it has.
    fn outcome(&self, target: Option<&String>, waited: bool) -> Option<Result<(), String>> {
        let surveyed = self.others.is_some() && self.pending.is_none() && self.passing.is_none();
        let nobody = surveyed && self.ownership() == Ownership::Mine && self.candidate().is_none();
        let why = match self.state {
            State::Standby => return Some(Ok(())),
            State::Failing => format!("this host is failing: {}", self.reason),
            State::Activated if waited => {
                format!("no other host took it within {} s", HANDOVER_BOUND.as_secs())
            }
            State::Activated if !nobody => return None,
            State::Activated => match (self.silent.last(), target) {
                (Some(host), _) => {
                    format!("host {host} got the lock but was not heard to announce the IP")
                }
                (None, Some(host)) => format!("host {host} is not a candidate"),
                (None, None) => "no other host is a candidate".to_owned(),
            },
        };
        Some(Err(why))
    }
}
