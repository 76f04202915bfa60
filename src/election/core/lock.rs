//! What is known of the lock, and whose it is.

use super::request::NotBefore;
use super::transfer::Transfer;
use super::{Acknowledgement, Action, Core, Departure, Neighbours};
use crate::fsm::State;
use crate::lock::{Gap, Holder, Lease, LockView, Request};

/// What is known of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lock {
    /// Who held it when it was last seen.
    holder: Option<Holder>,
    /// The revision of etcd at which that was; 0 if it was never seen.
    revision: i64,
    certainty: Certainty,
    dead: Dead,
    /// When it was written for a former life of this host, which has found it so at its start.
    former: Option<i64>,
    /// The lock was this host's until it was written for a group.
    joined: bool,
}

/// Whether the owner is dead, though its lease goes on for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Dead {
    No,
    /// The one with this lease is.
    Owner(i64),
    /// The same, and this host has the IP already: etcd was silent. It takes the lock when etcd answers,
    /// although that may have been written again meanwhile: a standby that hears this host may have
    /// acknowledged the owner.
    Replaced(i64),
}

impl Dead {
    fn lease(self) -> Option<i64> {
        match self {
            Dead::No => None,
            Dead::Owner(lease) | Dead::Replaced(lease) => Some(lease),
        }
    }

    /// What is left of it when the lock is held so.
    fn after(self, holder: Option<&Holder>) -> Dead {
        let still = holder.is_some_and(|holder| match self {
            Dead::No => false,
            // It lives if it has the lock again.
            Dead::Owner(lease) | Dead::Replaced(lease) => holder.lease == lease,
        });
        if still { self } else { Dead::No }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Certainty {
    /// It may have changed unseen: nothing follows from what was seen.
    Unknown,
    Known,
    /// Something says that it is wrong: the lock has to be read.
    Doubted,
    /// The same, and what is under way was asked before.
    DoubtedWhileAsking,
}

/// Whose the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Unknown,
    Free,
    Mine,
    /// It carries this host's name, but is of a former life: it has another lease, which etcd has not ended yet, or
    /// this host has booted since, and has not got the address. Neither a reason to let go nor a lock to rely on.
    OwnStaleLease,
    Other,
    /// It was this host's until the IP joined a group: the election of the group takes the address over as it is.
    Joined,
    /// The IP belongs to a group, and is nobody's by itself.
    Grouped,
}

impl Lock {
    pub(super) fn unknown() -> Lock {
        let (certainty, dead) = (Certainty::Unknown, Dead::No);
        Lock { holder: None, revision: 0, certainty, dead, former: None, joined: false }
    }

    /// It may change, or may have changed, unseen.
    pub(super) fn forget(&mut self) {
        self.certainty = Certainty::Unknown;
    }

    /// The newest revision at which it was seen.
    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// Its owner, unless it may have changed unseen.
    pub(super) fn known_holder(&self) -> Option<&Holder> {
        self.holder.as_ref().filter(|_| self.certainty != Certainty::Unknown)
    }

    /// Whether the IP belonged to a group when the lock was last seen, however long ago.
    pub(super) fn is_of_group(&self) -> bool {
        self.holder.as_ref().is_some_and(Holder::is_group)
    }

    pub(super) fn is_known(&self) -> bool {
        self.certainty != Certainty::Unknown
    }

    pub(super) fn is_doubted(&self) -> bool {
        matches!(self.certainty, Certainty::Doubted | Certainty::DoubtedWhileAsking)
    }

    pub(super) fn doubt(&mut self, asking: bool) {
        if self.certainty != Certainty::Unknown {
            let doubted = if asking { Certainty::DoubtedWhileAsking } else { Certainty::Doubted };
            self.certainty = doubted;
        }
    }

    /// What was asked has an answer, or gets none.
    pub(super) fn has_answer(&mut self, answered: bool) {
        self.certainty = match self.certainty {
            Certainty::DoubtedWhileAsking => Certainty::Doubted,
            Certainty::Doubted if answered => Certainty::Known,
            same @ (Certainty::Doubted | Certainty::Unknown | Certainty::Known) => same,
        };
    }

    pub(super) fn owner_is_dead(&mut self, lease: i64) {
        let held = self.known_holder().is_some_and(|holder| holder.lease == lease);
        if !self.is_replaced() {
            self.dead = if held { Dead::Owner(lease) } else { Dead::No };
        }
    }

    /// This host takes the IP of a dead owner without a word of etcd.
    pub(super) fn replace_owner(&mut self) {
        if let Some(holder) = self.known_holder() {
            self.dead = Dead::Replaced(holder.lease);
        }
    }

    /// Whether this host has the IP in place of the owner.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self.dead, Dead::Replaced(_))
    }

    /// What was done about a dead owner was done; what this host has it has until the lock changes.
    pub(super) fn forget_death(&mut self) {
        if !self.is_replaced() {
            self.dead = Dead::No;
        }
    }

    /// Only what etcd says counts from now on.
    pub(super) fn forget_replacement(&mut self) {
        self.dead = Dead::No;
        self.joined = false;
    }

    /// No election of this host takes the address over for the group.
    pub(super) fn leave_to_group(&mut self) {
        self.joined = false;
    }

    /// It was written for a former life of this host, and not again since.
    pub(super) fn is_of_former_life(&self) -> bool {
        self.known_holder().is_some_and(|holder| self.former == Some(holder.written))
    }

    /// This life makes use of it, or has left it to others for long enough.
    pub(super) fn forget_former_life(&mut self) {
        self.former = None;
    }

    /// The owner, if it is dead.
    pub(super) fn dead_holder(&self) -> Option<&Holder> {
        self.known_holder().filter(|holder| self.dead.lease() == Some(holder.lease))
    }
}

impl Core {
    pub(super) fn on_lock(&mut self, view: LockView, actions: &mut Vec<Action>) {
        let was_mine = self.ownership() == Ownership::Mine;
        let lock = &mut self.etcd.lock;
        let older = view.revision < lock.revision;
        // Events of a watch overtake answers: what is older than what is known is old news.
        if older && !matches!(view.gap, Gap::Restored | Gap::Replaced) {
            return;
        }
        if lock.revision == 0 {
            // What was written just now, this life has written.
            let before = view.holder.as_ref().filter(|holder| holder.written < view.revision);
            let own = before.filter(|holder| holder.host == self.config.host);
            lock.former = own.map(|holder| holder.written);
        }
        let before = std::mem::replace(&mut lock.holder, view.holder);
        lock.revision = view.revision;
        if lock.certainty == Certainty::Unknown {
            lock.certainty = Certainty::Known;
        }
        lock.dead = lock.dead.after(lock.holder.as_ref());
        lock.joined = lock.is_of_group() && (was_mine || lock.joined);
        self.etcd.turns.seen(before.as_ref(), lock.holder.as_ref());
        // A restored etcd has forgotten what it was told since the snapshot; that it was restored does
        // not show in every case.
        if view.gap != Gap::None {
            self.etcd.forget_candidacies();
        }
        match self.ownership() {
            Ownership::Mine => self.on_own_lock(before.as_ref()),
            Ownership::Free => self.on_free_lock(before.is_none(), actions),
            Ownership::Other => actions.push(Action::Restart(super::Timer::AssumeOwner)),
            Ownership::Unknown
            | Ownership::OwnStaleLease
            | Ownership::Joined
            | Ownership::Grouped => {}
        }
    }

    /// What a watch has shown, and not the answer to a request.
    pub(super) fn on_lock_changed(&mut self, view: LockView, actions: &mut Vec<Action>) {
        let asked = self.etcd.pending.as_ref().is_some_and(Request::takes_lock);
        let waits = self.ownership() == Ownership::Other && !self.has_address() && !asked;
        self.on_lock(view, actions);
        let passed = waits && self.ownership() == Ownership::Mine;
        if passed && self.owed == Acknowledgement::None {
            self.owed = Acknowledgement::OfPassing;
        }
    }

    /// A lock that was written again as it was: another host has acknowledged it, or this one has told
    /// that it is back.
    fn on_own_lock(&mut self, before: Option<&Holder>) {
        let holder = self.etcd.lock.holder.as_ref();
        let again = before.zip(holder).is_some_and(|(before, holder)| {
            before.lease == holder.lease && before.written != holder.written
        });
        if again && self.owed == Acknowledgement::OfPassing {
            self.owed = Acknowledgement::None;
        }
        if again && self.has_address() {
            self.neighbours = Neighbours::Contested;
        }
    }

    fn on_free_lock(&mut self, was_free: bool, actions: &mut Vec<Action>) {
        if self.lease == Lease::Lost {
            return;
        }
        let failing = self.state == State::Failing;
        let others_may_have_come = failing || self.may_be_isolated();
        if !was_free && (others_may_have_come || self.departure != Departure::Stays) {
            self.etcd.candidates.outdate();
        }
        if !was_free {
            actions.push(Action::Restart(super::Timer::Turn));
        }
        // Whoever could have the IP goes first.
        if !was_free && failing && self.etcd.not_before != NotBefore::Successor {
            self.etcd.not_before = NotBefore::Courtesy;
        }
        self.etcd.retry_now();
    }

    /// Has the lock read, and the IP announced again if it is still ours: others may have had it.
    pub(super) fn revalidate(&mut self) {
        if self.has_address() && self.state != State::Standby {
            self.neighbours = Neighbours::Contested;
            self.etcd.lock.doubt(self.etcd.pending.is_some());
        }
    }

    pub(super) fn on_lock_now(&mut self) {
        match self.ownership() {
            Ownership::Mine => self.etcd.lock.doubt(self.etcd.pending.is_some()),
            Ownership::Unknown
            | Ownership::Free
            | Ownership::OwnStaleLease
            | Ownership::Other
            | Ownership::Joined
            | Ownership::Grouped => self.etcd.lock.forget(),
        }
        self.etcd.own.said = None;
        self.etcd.not_before = NotBefore::Now;
        self.etcd.turns.end();
    }

    pub(super) fn ownership(&self) -> Ownership {
        if !self.etcd.lock.is_known() {
            return Ownership::Unknown;
        }
        match &self.etcd.lock.holder {
            None => Ownership::Free,
            Some(_) if self.is_back_without_address() => Ownership::OwnStaleLease,
            Some(holder) if self.lease == Lease::Held(holder.lease) => Ownership::Mine,
            Some(holder) if holder.is_group() && self.etcd.lock.joined => Ownership::Joined,
            Some(holder) if holder.is_group() => Ownership::Grouped,
            Some(holder) if holder.host == self.config.host => Ownership::OwnStaleLease,
            Some(_) => Ownership::Other,
        }
    }

    /// etcd is lost, but another host was seen to hold the lock since.
    pub(super) fn assumes_owner(&self) -> bool {
        self.lease == Lease::Lost
            && self.ownership() == Ownership::Other
            && !self.owner_wait.waits()
    }

    pub(super) fn on_lease(&mut self, lease: Lease) {
        if lease == self.lease {
            return;
        }
        let before = std::mem::replace(&mut self.lease, lease);
        if self.handover.awaits_announcement() {
            self.neighbours = Neighbours::Contested;
        }
        self.handover.transfer = Transfer::None;
        self.owner_wait.interrupt();
        // Ownership is never assumed to have survived: the lock is read again.
        self.etcd.lock.forget();
        self.etcd.lock.forget_replacement();
        self.etcd.not_before = NotBefore::Now;
        match lease {
            Lease::Held(_) => self.on_lease_held(before),
            Lease::Lost => {
                self.owner_wait.etcd_is_lost(self.etcd.lock.revision());
                if self.has_address() {
                    self.neighbours = Neighbours::Contested;
                }
            }
            Lease::None => {}
        }
    }

    fn on_lease_held(&mut self, before: Lease) {
        // What was attached to the lease before is gone, or will be.
        self.etcd.forget_candidacies();
        if before == Lease::Lost {
            if self.owed == Acknowledgement::None {
                self.owed = Acknowledgement::OfReturn;
            }
            // Who has the IP goes first.
            if !self.has_address() {
                self.etcd.not_before = NotBefore::Courtesy;
            }
        }
    }
}
