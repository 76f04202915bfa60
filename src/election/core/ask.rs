//! Which request to etcd is missing: the one that brings what etcd was told, and what is known of
//! the lock, closer to what should be.

use std::time::Instant;

use super::Core;
use super::giving::Handover;
use super::lock::Ownership;
use crate::election::message::Action;
use crate::fsm::State;
use crate::lock::{Candidacy, Candidate, Lease, Request};
use crate::policy::AllFailingPolicy;

impl Core {
    /// Asks for the one request that is missing, if any.
    pub(super) fn ask_etcd(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Lease::Held(lease) = self.lease else {
            return;
        };
        if self.pending.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        self.pending = self.missing(lease);
        if let Some(request) = &self.pending {
            // Without an answer it is not known whether the others were told.
            if request.candidacy().is_some_and(|offer| self.offered != Some(offer)) {
                self.offered = None;
            }
            self.begin_to_pass(request.clone());
            actions.extend(self.pending.clone().map(Action::Ask));
        }
    }

    fn missing(&self, lease: i64) -> Option<Request> {
        if let Some(passing) = self.passing.as_ref().filter(|passing| passing.is_confirmed()) {
            return passing.overdue().map(|written| Request::TakeOver { lease, written });
        }
        if let (Some(owner), None, false) = (self.yielded, &self.handover, self.bound) {
            return Some(Request::Acknowledge { lease, owner });
        }
        if self.heir.is_some_and(|heir| heir.asks()) {
            return Some(Request::Advertise { lease, candidacy: Candidacy::Available });
        }
        if self.back && self.ownership() == Ownership::Mine {
            return Some(Request::Acknowledge { lease, owner: lease });
        }
        if self.doubted {
            return Some(Request::ReadLock { lease });
        }
        match &self.handover {
            Some(Handover { target: None, .. }) => self.leaving(lease),
            Some(Handover { target: Some(_), .. }) => self.giving(lease, Candidacy::Available),
            None if self.state == State::Failing => self.failing(lease),
            None if self.health.verdict() == Some(Ok(())) => self.campaigning(lease),
            // A host whose service was never seen to work does not campaign, but it must know
            // whether an address that it has is a left-over.
            None => (self.ownership() == Ownership::Unknown).then_some(Request::ReadLock { lease }),
        }
    }

    fn campaigning(&self, lease: i64) -> Option<Request> {
        if self.courteous.is_some() {
            return None;
        }
        let told = self.told(Candidacy::Available);
        match self.ownership() {
            Ownership::Free | Ownership::Unknown => Some(Request::Campaign { lease }),
            Ownership::Mine | Ownership::Ghost | Ownership::Other if !told => {
                Some(Request::Campaign { lease })
            }
            Ownership::Other => self.taking_over(lease),
            Ownership::Mine | Ownership::Ghost => None,
        }
    }

    /// Another host has the lock, but is dead or could not give it to anybody.
    fn taking_over(&self, lease: i64) -> Option<Request> {
        let holder = self.lock.as_ref()?.holder.as_ref()?;
        if self.dead == Some(holder.lease) {
            return Some(Request::TakeOver { lease, written: holder.written });
        }
        let owner = self.keeper_of_last_resort()?.clone();
        Some(Request::Preempt { lease, owner })
    }

    /// The owner, if it has said that its checks fail: it has the IP because no other host could.
    fn keeper_of_last_resort(&self) -> Option<&Candidate> {
        let holder = self.lock.as_ref()?.holder.as_ref()?;
        let owner = self.others.as_ref()?.iter().find(|other| other.host == holder.host)?;
        (owner.lease == holder.lease && !owner.available).then_some(owner)
    }

    /// Gives the IP to another host and, if there is none, does as the policy says.
    fn failing(&self, lease: i64) -> Option<Request> {
        let offer = Candidacy::Unavailable;
        let alone = self.candidate().is_none();
        match (self.giving(lease, offer), self.ownership(), self.all_failing) {
            (Some(request), _, _) => Some(request),
            (None, Ownership::Mine, AllFailingPolicy::None) if alone => {
                Some(Request::Resign { lease, candidacy: offer })
            }
            // Who could take it has had the time.
            (None, Ownership::Free, AllFailingPolicy::KeepLast)
                if self.courteous.is_none() && self.has_address() =>
            {
                Some(Request::ReacquireUnavailable { lease })
            }
            (None, _, _) => None,
        }
    }

    pub(super) fn told(&self, offer: Candidacy) -> bool {
        self.offered == Some(offer)
    }
}
