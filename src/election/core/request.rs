//! Which request to etcd is missing: the one that brings what etcd was told, and what is known of
//! the lock, closer to what should be.

use super::candidates::Candidates;
use super::lock::{Lock, Ownership};
use super::transfer::Transfer;
use super::turns::Turns;
use super::{Acknowledgement, Action, Core, Departure};
use crate::election::health::Verdict;
use crate::fsm::State;
use crate::lock::{Advertised, Advertisement, Candidacy, Candidate, Lease, LockAnswer, Request};
use crate::network::Mac;

/// What is known of etcd, and asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Etcd {
    pub(super) lock: Lock,
    pub(super) candidates: Candidates,
    pub(super) own: OwnCandidacy,
    /// The request that is under way.
    pub(super) pending: Option<Request>,
    pub(super) not_before: NotBefore,
    pub(super) turns: Turns,
}

/// The candidacy of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnCandidacy {
    /// What the others were told under the present lease, as which hardware address, and with which priority;
    /// nothing if that is not known.
    pub(super) said: Option<(Candidacy, Option<Mac>, u8)>,
    /// When it was last written, as far as is known.
    revision: i64,
}

/// For what the next request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum NotBefore {
    Now,
    /// The last request has failed: nothing is asked.
    Retry,
    /// Others go first: a free lock is not taken.
    Courtesy,
    /// The same, for longer: the lock was given up for a host that finds that out by itself.
    Successor,
}

impl Etcd {
    pub(super) fn unknown(company: bool) -> Etcd {
        Etcd {
            lock: Lock::unknown(),
            candidates: Candidates::unknown(),
            own: OwnCandidacy { said: None, revision: 0 },
            pending: None,
            not_before: NotBefore::Now,
            turns: Turns::new(company),
        }
    }

    pub(super) fn forget_candidacies(&mut self) {
        self.candidates.outdate();
        self.own.said = None;
    }

    pub(super) fn retry_now(&mut self) {
        if self.not_before == NotBefore::Retry {
            self.not_before = NotBefore::Now;
        }
    }
}

impl Core {
    /// Asks for the one request that is missing, if any.
    pub(super) fn settle_request(&mut self, actions: &mut Vec<Action>) {
        let Lease::Held(lease) = self.lease else {
            return;
        };
        let waits = self.etcd.pending.is_some() || self.etcd.not_before == NotBefore::Retry;
        if waits || self.has_left() {
            return;
        }
        if let Some(request) = self.missing(lease) {
            if let Request::Transfer { to, .. } = &request {
                self.handover.begin(to.clone());
                actions.push(Action::AskNeighbours);
            }
            self.etcd.pending = Some(request.clone());
            actions.push(Action::Ask(request));
        }
    }

    fn missing(&self, lease: i64) -> Option<Request> {
        match self.handover.transfer {
            Transfer::Overdue { written, heard: false, .. } => {
                return Some(Request::TakeOver { lease, written });
            }
            Transfer::Confirmed { .. } => return None,
            Transfer::None | Transfer::Asked { .. } | Transfer::Overdue { .. } => {}
        }
        if let Some(written) = self.acknowledges_at() {
            return Some(Request::Acknowledge { lease, written });
        }
        if self.reads_for_owner() {
            let own = self.advertisement(Candidacy::Available);
            return Some(Request::Advertise { lease, own });
        }
        if self.etcd.lock.is_doubted() {
            return Some(Request::ReadLock { lease });
        }
        if let Some(written) = self.stale_lock() {
            return Some(Request::TakeOver { lease, written });
        }
        match (&self.departure, self.state) {
            (Departure::Left { .. }, _) => None,
            (Departure::Leaves, _) => self.next_resignation(lease),
            (Departure::HandsOver { .. }, _) if self.has_nothing_to_pass_on() => {
                self.next_campaign(lease)
            }
            (Departure::HandsOver { .. }, _) => self.next_transfer(lease, Candidacy::Available),
            (Departure::Stays, State::Failing) => self.next_while_failing(lease),
            (Departure::Stays, State::Activated | State::Standby) => match self.health.verdict() {
                Verdict::Healthy => self.next_campaign(lease),
                // A host whose service was never seen to work does not campaign, but it must know
                // whether an address that it has is a left-over.
                Verdict::Unknown | Verdict::Unhealthy(_) => {
                    (self.ownership() == Ownership::Unknown).then_some(Request::ReadLock { lease })
                }
            },
        }
    }

    /// The lock is to be written again as it was at this revision.
    fn acknowledges_at(&self) -> Option<i64> {
        let written = self.etcd.lock.known_holder()?.written;
        let owed = match self.owed {
            Acknowledgement::None | Acknowledgement::OfPassing => false,
            Acknowledgement::OfOwner(_) => {
                self.departure == Departure::Stays && !self.addresses.bound
            }
            Acknowledgement::OfReturn => self.ownership() == Ownership::Mine,
        };
        owed.then_some(written)
    }

    fn next_campaign(&self, lease: i64) -> Option<Request> {
        if matches!(self.etcd.not_before, NotBefore::Courtesy | NotBefore::Successor) {
            return None;
        }
        let told = self.is_advertised(Candidacy::Available);
        match self.ownership() {
            // Who could take it has to be known first.
            Ownership::Free | Ownership::Unknown
                if (self.may_be_isolated() || self.waits_for_company()) && !told =>
            {
                let own = self.advertisement(Candidacy::Available);
                Some(Request::Advertise { lease, own })
            }
            Ownership::Free | Ownership::Unknown
                if (self.may_be_isolated() || self.waits_for_company())
                    && (!self.etcd.candidates.are_current()
                        || self.ownership() == Ownership::Unknown) =>
            {
                Some(Request::ReadCandidates { lease })
            }
            Ownership::Free if self.waits_for_others() || self.waits_for_company() => None,
            Ownership::Free if self.reads_for_turn() => Some(Request::ReadCandidates { lease }),
            Ownership::Free if self.waits_for_turn() => None,
            Ownership::Free | Ownership::Unknown => Some(self.campaign(lease)),
            Ownership::Mine
            | Ownership::OwnStaleLease
            | Ownership::Other
            | Ownership::Joined
            | Ownership::Grouped
                if !told =>
            {
                Some(self.campaign(lease))
            }
            Ownership::Other if self.reads_for_others() => Some(Request::ReadCandidates { lease }),
            Ownership::Other => {
                let waits = self.waits_for_others()
                    || self.leaves_death_to_others()
                    || self.waits_for_turn();
                if !waits && let Some(takes) = self.next_takeover(lease) {
                    return Some(takes);
                }
                self.may_read_at_leisure().then_some(Request::ReadCandidates { lease })
            }
            Ownership::Mine if self.needs_candidates() && !self.etcd.candidates.are_current() => {
                Some(Request::ReadCandidates { lease })
            }
            Ownership::Mine | Ownership::OwnStaleLease | Ownership::Joined | Ownership::Grouped => {
                None
            }
        }
    }

    #[inline(never)]
    fn campaign(&self, lease: i64) -> Request {
        Request::Campaign { lease, own: self.advertisement(Candidacy::Available) }
    }

    /// Another host has the lock, but is dead or could not give it to anybody.
    pub(super) fn next_takeover(&self, lease: i64) -> Option<Request> {
        if let Some(dead) = self.etcd.lock.dead_holder() {
            return Some(Request::TakeOver { lease, written: dead.written });
        }
        let owner = self.keeper_of_last_resort()?.clone();
        Some(Request::Preempt { lease, owner })
    }

    /// The owner, if it has said that its checks fail: it has the IP because no other host could.
    fn keeper_of_last_resort(&self) -> Option<&Candidate> {
        let holder = self.etcd.lock.known_holder()?;
        let owner = self.etcd.candidates.current().find(|other| other.host == holder.host)?;
        (owner.lease == holder.lease && !owner.available).then_some(owner)
    }

    /// Gives the IP to another host and, if there is none, does as the policy says.
    fn next_while_failing(&self, lease: i64) -> Option<Request> {
        if let Some(request) = self.next_transfer(lease, Candidacy::Unavailable) {
            return Some(request);
        }
        let waits = self.etcd.not_before != NotBefore::Now;
        match self.ownership() {
            Ownership::Mine if !self.keeps_last() && self.candidate().is_none() => {
                let own = self.advertisement(Candidacy::Unavailable);
                Some(Request::Resign { lease, own })
            }
            // Whoever could take it has had the time.
            Ownership::Free
                if self.keeps_last()
                    && !waits
                    && (self.has_address()
                        || self.health.cannot_add()
                        || self.health.is_drained()) =>
            {
                Some(Request::ReacquireUnavailable { lease })
            }
            Ownership::Unknown
            | Ownership::Free
            | Ownership::Mine
            | Ownership::OwnStaleLease
            | Ownership::Other
            | Ownership::Joined
            | Ownership::Grouped => None,
        }
    }

    pub(super) fn advertisement(&self, candidacy: Candidacy) -> Advertisement {
        let hardware_address = self.health.hardware_address();
        let priority = self.config.preference.priority;
        Advertisement { candidacy, hardware_address, priority, replaces: self.etcd.own.revision }
    }

    pub(super) fn is_advertised(&self, candidacy: Candidacy) -> bool {
        self.etcd.own.said.is_some_and(|(said, hardware_address, priority)| {
            let nobody = candidacy == Candidacy::Withdrawn;
            let same = hardware_address == self.health.hardware_address()
                && priority == self.config.preference.priority;
            said == candidacy && (nobody || same)
        })
    }

    pub(super) fn on_answer(&mut self, answer: LockAnswer, actions: &mut Vec<Action>) {
        let Some(request) = self.etcd.pending.take() else {
            return;
        };
        self.on_advertised(&request, answer.own);
        self.etcd.lock.has_answer(true);
        let read_at = answer.lock.revision;
        self.on_lock(answer.lock, actions);
        if answer.succeeded && request.takes_lock() {
            self.etcd.lock.forget_former_life();
        }
        // It is older than what is known, and tells nothing: without a pause that would go on and on.
        if !self.etcd.lock.is_known() {
            self.etcd.not_before = NotBefore::Retry;
        }
        if let Some(others) = answer.others {
            self.etcd.candidates.read(others, read_at);
        }
        self.on_done(&request, answer.succeeded);
    }

    fn on_advertised(&mut self, request: &Request, advertised: Option<Advertised>) {
        let (Some(own), Some(advertised)) = (request.advertisement(), advertised) else {
            return;
        };
        let current = self.lease == Lease::Held(request.lease());
        let said = (own.candidacy, own.hardware_address, own.priority);
        self.etcd.own = match advertised {
            Advertised::Written(revision) => {
                OwnCandidacy { said: Some(said).filter(|_| current), revision }
            }
            Advertised::Changed(revision) => OwnCandidacy { said: None, revision },
        };
    }

    fn on_done(&mut self, request: &Request, succeeded: bool) {
        let failing = self.state == State::Failing;
        match request {
            Request::TakeOver { .. } => self.etcd.lock.forget_death(),
            Request::Acknowledge { .. } if succeeded => self.acknowledged(),
            Request::Resign { .. } if failing => self.etcd.not_before = NotBefore::Successor,
            // None of the Go LinKs has taken it: there may be none, their candidacies have no end.
            Request::ReacquireUnavailable { .. } if succeeded => {
                let go = self
                    .etcd
                    .candidates
                    .current()
                    .filter(|other| other.lease == 0)
                    .map(|other| other.host.clone());
                self.handover.unheard.extend(go);
            }
            Request::ReadLock { .. }
            | Request::ReadCandidates { .. }
            | Request::Campaign { .. }
            | Request::ReacquireUnavailable { .. }
            | Request::Advertise { .. }
            | Request::Resign { .. }
            | Request::Transfer { .. }
            | Request::Preempt { .. }
            | Request::Acknowledge { .. } => {}
        }
    }

    fn may_read_at_leisure(&self) -> bool {
        let owes_nothing = self.owed == Acknowledgement::None;
        self.etcd.candidates.are_due() && self.state == State::Standby && owes_nothing
    }

    /// Whether the request that is under way is none that this election needs.
    pub fn asks_at_leisure(&self) -> bool {
        self.etcd.pending.as_ref().is_some_and(|request| self.reads_at_leisure(request))
    }

    fn reads_at_leisure(&self, request: &Request) -> bool {
        let waits = self.ownership() == Ownership::Other && self.state == State::Standby;
        self.etcd.candidates.are_due() && waits && matches!(request, Request::ReadCandidates { .. })
    }

    pub(super) fn on_no_answer(&mut self) {
        let Some(request) = self.etcd.pending.take() else {
            return;
        };
        self.etcd.lock.has_answer(false);
        // Under another lease than it was asked, it may succeed.
        let same = self.lease == Lease::Held(request.lease());
        self.etcd.not_before = if same { NotBefore::Retry } else { NotBefore::Now };
        // Nothing depends on what was read at leisure.
        if self.reads_at_leisure(&request) {
            self.etcd.candidates.set_due(false);
            return;
        }
        self.etcd.lock.forget();
        if request.advertisement().is_some() {
            self.etcd.own.said = None;
        }
        if matches!(request, Request::TakeOver { .. }) {
            self.etcd.lock.forget_death();
        }
    }
}
