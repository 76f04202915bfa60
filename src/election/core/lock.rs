//! What is known of the lock, and what follows from it.

use std::time::Instant;

use super::{BELIEF, COURTESY, Core};
use crate::election::message::Action;
use crate::fsm::{Event, State};
use crate::lock::Gap;
use crate::lock::{Lease, LockView};

/// Whose the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Unknown,
    Free,
    Mine,
    /// It carries this host's name, but another lease: the lease of a former life that etcd has
    /// not ended yet. Neither a reason to let go nor a lock to rely on.
    Ghost,
    Other,
}

impl Core {
    pub(super) fn on_lock(&mut self, view: LockView, now: Instant, actions: &mut Vec<Action>) {
        let known = self.lock.as_ref().map_or(0, |lock| lock.revision);
        // Events of a watch overtake answers: what is older than what is known is old news.
        if view.revision < known && !matches!(view.gap, Gap::Restored | Gap::Replaced) {
            return;
        }
        // A restored etcd has forgotten what it was told since the snapshot; that it was restored does
        // not show in every case.
        if view.gap != Gap::None {
            self.offered = None;
            self.others = None;
        }
        let before = self.lock.replace(view);
        // It lives if it has the lock again.
        self.dead = self.dead.filter(|dead| self.is_held_by(*dead));
        match self.ownership() {
            Ownership::Mine => self.on_mine(before, now, actions),
            Ownership::Other => self.on_other(now, actions),
            Ownership::Free => self.on_free(before, now, actions),
            Ownership::Unknown | Ownership::Ghost => {}
        }
    }

    fn on_mine(&mut self, before: Option<LockView>, now: Instant, actions: &mut Vec<Action>) {
        let holder = self.lock.as_ref().and_then(|lock| lock.holder.as_ref());
        let touched = before.and_then(|lock| lock.holder).is_some_and(|before| {
            holder.is_some_and(|now| now.lease == before.lease && now != &before)
        });
        self.forget_owner();
        let had = self.state == State::Activated || self.kept;
        self.step(Event::Elected, "holds the lock", now, actions);
        let contested = std::mem::take(&mut self.contested) || touched;
        if contested && had {
            actions.push(Action::Announce);
        }
    }

    pub(super) fn on_other(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(holder) = self.lock.as_ref().and_then(|lock| lock.holder.clone()) else {
            return;
        };
        self.back = false;
        if self.is_to_be_heard(&holder, now) || self.waits_to_hear(&holder, now, actions) {
            return;
        }
        let had = self.state == State::Activated || self.bound;
        if std::mem::take(&mut self.contested) || had {
            self.yielded = Some(holder.lease);
        }
        self.kept = false;
        self.step(Event::Demoted, &format!("{} holds the lock", holder.host), now, actions);
        self.believed = (self.lease == Lease::Lost).then_some(now + BELIEF);
    }

    fn on_free(&mut self, before: Option<LockView>, now: Instant, actions: &mut Vec<Action>) {
        self.forget_owner();
        // It cannot be taken: as with an etcd that is silent.
        if self.lease == Lease::Lost {
            return self.on_loss(now, actions);
        }
        self.back = false;
        self.kept = false;
        self.passing = None;
        let was_free = before.is_some_and(|lock| lock.holder.is_none());
        let failing = self.state == State::Failing;
        if !was_free && (failing || self.handover.is_some()) {
            self.others = None;
        }
        if !was_free && failing {
            self.courteous.get_or_insert(now + COURTESY);
        }
        self.retry_now();
    }

    /// Forgets what is known of a lock that is not ours, so that it is asked for again.
    pub(super) fn on_lock_now(&mut self) {
        if self.ownership() != Ownership::Mine {
            self.lock = None;
            self.courteous = None;
            self.retry_now();
        }
    }

    /// Has the lock read, and the IP announced again if it is still ours: others may have had it.
    pub(super) fn doubt(&mut self) {
        if self.state == State::Activated || self.kept {
            self.contested = true;
            self.doubted = true;
        }
    }

    /// Whether the lock is known to be attached to that lease.
    pub(super) fn is_held_by(&self, lease: i64) -> bool {
        let holder = self.lock.as_ref().and_then(|lock| lock.holder.as_ref());
        holder.is_some_and(|holder| holder.lease == lease)
    }

    pub(super) fn ownership(&self) -> Ownership {
        let Some(lock) = &self.lock else {
            return Ownership::Unknown;
        };
        match &lock.holder {
            None => Ownership::Free,
            Some(holder) if self.lease == Lease::Held(holder.lease) => Ownership::Mine,
            Some(holder) if holder.host == self.me => Ownership::Ghost,
            Some(_) => Ownership::Other,
        }
    }
}
