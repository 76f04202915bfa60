//! The IP is given up on purpose: a failover, after which this host stays a candidate, or a leave.

use super::lock::Ownership;
use super::{Action, Core};
use crate::election::message::NotHandedOver;
use crate::fsm::{Event, State};
use crate::lock::{Candidacy, Lease, Request};

/// Whether this host gives the IP up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Departure {
    Stays,
    /// To the named host, or to whichever is preferred.
    HandsOver {
        to: Option<String>,
    },
    Leaves,
    /// Whatever comes now, nothing more is done.
    Left {
        /// etcd has not confirmed it: lock and candidacy may still be there.
        cleanup_pending: bool,
    },
}

impl Core {
    pub(super) fn on_failover(&mut self, to: Option<String>, actions: &mut Vec<Action>) {
        let refusal = if self.departure != Departure::Stays {
            NotHandedOver::AlreadyUnderWay
        } else if !matches!(self.lease, Lease::Held(_)) {
            NotHandedOver::EtcdLost
        } else if self.state != State::Activated || self.ownership() != Ownership::Mine {
            NotHandedOver::NotOwner
        } else if to.as_ref() == Some(&self.config.host) {
            NotHandedOver::IsOwner
        } else {
            return self.depart(Departure::HandsOver { to });
        };
        actions.push(Action::HandedOver(Err(refusal)));
    }

    pub(super) fn depart(&mut self, departure: Departure) {
        self.departure = departure;
        self.etcd.candidates.outdate();
        self.handover.unheard.clear();
        self.etcd.retry_now();
    }

    pub(super) fn has_left(&self) -> bool {
        matches!(self.departure, Departure::Left { .. })
    }

    /// Ends what has succeeded, or what nobody will answer.
    pub(super) fn settle_departure(&mut self, actions: &mut Vec<Action>) {
        match &self.departure {
            Departure::HandsOver { to } => {
                if let Some(result) = self.outcome(to.as_ref()) {
                    self.departure = Departure::Stays;
                    actions.push(Action::HandedOver(result));
                }
            }
            Departure::Leaves if self.is_free_to_leave() => self.leave(actions),
            Departure::Stays | Departure::Leaves | Departure::Left { .. } => {}
        }
    }

    /// Ends what took too long.
    pub(super) fn end_departure(&mut self, actions: &mut Vec<Action>) {
        match self.departure {
            Departure::HandsOver { .. } => {
                self.departure = Departure::Stays;
                actions.push(Action::HandedOver(Err(NotHandedOver::TimedOut)));
            }
            Departure::Leaves => self.leave(actions),
            Departure::Stays | Departure::Left { .. } => {}
        }
    }

    /// How a failover has ended, if it has.
    fn outcome(&self, named: Option<&String>) -> Option<Result<(), NotHandedOver>> {
        let why = match self.state {
            State::Standby => {
                let owner = self.etcd.lock.known_holder().map(|holder| &holder.host);
                return Some(match (named, owner) {
                    (Some(named), Some(owner)) if named != owner => {
                        let (named, owner) = (named.clone(), owner.clone());
                        Err(NotHandedOver::Other { named, owner })
                    }
                    (_, _) => Ok(()),
                });
            }
            State::Failing => NotHandedOver::Failing,
            State::Activated if !matches!(self.lease, Lease::Held(_)) => NotHandedOver::EtcdLost,
            State::Activated if !self.has_no_candidate() => return None,
            State::Activated => self.why_no_candidate(named),
        };
        Some(Err(why))
    }

    /// All is known that has to be known, and there is nobody to whom this owner could hand over.
    fn has_no_candidate(&self) -> bool {
        // A lock that is on its way to another host is not known to be this one's.
        self.etcd.pending.is_none()
            && self.etcd.candidates.are_current()
            && self.ownership() == Ownership::Mine
            && self.candidate().is_none()
    }

    fn why_no_candidate(&self, named: Option<&String>) -> NotHandedOver {
        if let Some(host) = self.handover.unheard.last() {
            return NotHandedOver::NotHeard(host.clone());
        }
        let Some(named) = named else {
            return NotHandedOver::NoCandidate;
        };
        let mut others = self.etcd.candidates.current();
        match others.find(|other| other.host == *named) {
            Some(other) if other.lease == 0 => NotHandedOver::GoLink(named.clone()),
            Some(_) | None => NotHandedOver::NotACandidate(named.clone()),
        }
    }

    /// The request that brings a leave closer to its end: another host gets the lock; without a
    /// candidate, one that fails as well, if such hosts keep what they have; without such, none.
    pub(super) fn next_resignation(&self, lease: i64) -> Option<Request> {
        let ownership = self.ownership();
        if !matches!(ownership, Ownership::Mine | Ownership::Unknown) {
            return self.next_transfer(lease, Candidacy::Withdrawn);
        }
        let failing = self.state == State::Failing;
        let candidacy = match self.etcd.own.said {
            // The lock was taken back after this host had withdrawn.
            Some((Candidacy::Withdrawn, ..)) => Candidacy::Withdrawn,
            Some(_) | None if failing => Candidacy::Unavailable,
            Some(_) | None => Candidacy::Available,
        };
        let own = self.advertisement(Candidacy::Withdrawn);
        let last = || match self.failing_candidate() {
            Some(to) => Request::Transfer { lease, to: to.clone(), own: Some(own) },
            None => Request::Resign { lease, own },
        };
        self.next_transfer(lease, candidacy).or_else(|| Some(last()))
    }

    /// The lock is free for a host that has to find that out by itself.
    pub(super) fn waits_for_a_successor(&self) -> bool {
        self.departure == Departure::Leaves
            && self.state != State::Standby
            && self.has_address()
            && self.ownership() == Ownership::Free
            && self.candidate().is_some()
    }

    fn is_free_to_leave(&self) -> bool {
        if !matches!(self.lease, Lease::Held(_)) {
            return true;
        }
        let asked = self.etcd.pending.is_some() || !self.etcd.candidates.are_current();
        let awaits = self.handover.awaits_announcement() || self.waits_for_a_successor();
        !asked && !awaits && self.has_given_up()
    }

    /// etcd has neither lock nor candidacy of this host.
    fn has_given_up(&self) -> bool {
        let may_be_mine = matches!(self.ownership(), Ownership::Mine | Ownership::Unknown);
        let held = matches!(self.lease, Lease::Held(_));
        held && !may_be_mine && self.is_advertised(Candidacy::Withdrawn)
    }

    fn leave(&mut self, actions: &mut Vec<Action>) {
        let cleanup_pending = self.etcd.pending.is_some() || !self.has_given_up();
        self.departure = Departure::Left { cleanup_pending };
        self.handover.transfer = super::transfer::Transfer::None;
        self.owner_wait.end();
        self.step(Event::Demoted, actions);
        actions.push(Action::Left);
    }
}
