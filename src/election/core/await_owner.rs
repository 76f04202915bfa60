//! A host that took the IP while etcd was lost, when etcd is back and still has the lock of another.
//!
//! That one may have died meanwhile, and its lock goes on living as long as its lease, which begins
//! again with etcd. So the address stays until the owner is heard: in etcd, where it advertises anew as
//! soon as it is back and then writes its lock, and where its agent says that it has the IP when it is called
//! (`failure_detector`), or on the network. If its agent does not answer, the lock is taken as that of a dead
//! owner.
//!
//! On the network, an owner cannot be told from another host that took the IP as well. Of these, all
//! that lose the tie-break let go at once ([`super::Timer::Agreement`]); whoever is heard then has stayed
//! for another reason.

use super::lock::Ownership;
use super::{Action, Core, Departure, Neighbours, Probe};
use crate::fsm::State;
use crate::lock::Candidate;

/// Whether an owner is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnerWait {
    /// The newest revision of etcd that was heard of before it was lost.
    pub(super) etcd_heard: i64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Off,
    /// etcd was lost after this revision, and who holds the lock now is not known yet.
    EtcdLost {
        heard: i64,
    },
    Waits(Wait),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wait {
    /// An owner that has advertised after this revision is back.
    heard: i64,
    /// When the lock was last written, by whomever. The owner advertises before it writes the lock:
    /// candidacies that were read before say nothing.
    written: i64,
    /// Others that took the IP as well have had the time to let go.
    agreed: bool,
}

impl OwnerWait {
    pub(super) fn new() -> OwnerWait {
        OwnerWait { etcd_heard: 0, phase: Phase::Off }
    }

    /// Remembers how much was heard of etcd; if it was lost before and nobody knows yet what came of
    /// that, how much was heard then.
    pub(super) fn etcd_is_lost(&mut self, seen: i64) {
        if self.phase == Phase::Off {
            self.phase = Phase::EtcdLost { heard: seen.max(self.etcd_heard) };
        }
    }

    /// The lease has changed: who holds the lock is not known any more.
    pub(super) fn interrupt(&mut self) {
        if let Phase::Waits(Wait { heard, .. }) = self.phase {
            self.phase = Phase::EtcdLost { heard };
        }
    }

    pub(super) fn end(&mut self) {
        self.phase = Phase::Off;
    }

    pub(super) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waits(_))
    }

    pub(super) fn agrees(&self) -> bool {
        matches!(self.phase, Phase::Waits(Wait { agreed: false, .. }))
    }
}

impl Core {
    pub(super) fn settle_owner_wait(&mut self, actions: &mut Vec<Action>) {
        match self.ownership() {
            Ownership::Joined => {
                self.owner_wait.end();
                // No election of this host has taken the address over, and another host has it.
                if matches!(self.wire.probe, Probe::Answered { .. } | Probe::Claimed { .. }) {
                    self.etcd.lock.leave_to_group();
                }
            }
            Ownership::Mine | Ownership::Free | Ownership::Grouped => self.owner_wait.end(),
            Ownership::Unknown | Ownership::OwnStaleLease => {}
            Ownership::Other => self.wait_for_owner(actions),
        }
    }

    fn wait_for_owner(&mut self, actions: &mut Vec<Action>) {
        let Some(written) = self.etcd.lock.known_holder().map(|holder| holder.written) else {
            return;
        };
        let stays = self.state == State::Activated && self.departure == Departure::Stays;
        let usable = self.health.usable_interface().is_some();
        match self.owner_wait.phase {
            Phase::EtcdLost { heard } if stays && usable => {
                // Of a host that has heard nothing before nobody can tell who was back first.
                let heard = if heard > 0 { heard } else { self.etcd.lock.revision() };
                self.owner_wait.phase = Phase::Waits(Wait { heard, written, agreed: false });
                self.ask_network_anew(actions);
            }
            Phase::Waits(wait) if stays && wait.written != written => {
                // Another host that took the IP may have let go of it, or the owner is back.
                self.owner_wait.phase = Phase::Waits(Wait { written, ..wait });
                actions.push(Action::Announce);
            }
            Phase::Waits(_) if stays => {}
            Phase::EtcdLost { .. } | Phase::Waits(_) => self.owner_wait.end(),
            Phase::Off => {}
        }
        if self.owner_answers() {
            self.neighbours = Neighbours::Yielded;
            self.owner_wait.end();
        }
        if self.owner_is_back() {
            self.owner_wait.end();
        }
    }

    /// The owner has shown itself on the network.
    fn owner_answers(&self) -> bool {
        let Phase::Waits(wait) = self.owner_wait.phase else { return false };
        self.other_wins().is_some_and(|wins| wins || wait.agreed)
    }

    /// The owner has shown itself in etcd: with its lock. That it is a candidate again says nothing of an agent that was
    /// started anew: it need not have the IP. A Go LinK does not write its lock again.
    fn owner_is_back(&self) -> bool {
        let Phase::Waits(wait) = self.owner_wait.phase else { return false };
        let Some(holder) = self.etcd.lock.known_holder() else { return false };
        let mut candidates = self.etcd.candidates.current();
        let owner = candidates.find(|other| other.host == holder.host);
        let same_life = |it: &Candidate| it.lease == holder.lease && holder.written > wait.heard;
        let back = |it: &Candidate| it.written > wait.heard && (it.lease == 0 || same_life(it));
        owner.is_none_or(back) && !self.reads_for_owner()
    }

    /// The candidacies have to be read for a sign of the owner.
    pub(super) fn reads_for_owner(&self) -> bool {
        let read = self.etcd.candidates.current_since().unwrap_or(0);
        matches!(self.owner_wait.phase, Phase::Waits(wait) if read < wait.written)
    }

    /// The owner's agent was asked through etcd.
    pub(super) fn on_owner_lives(&mut self, lease: i64) {
        let holder = self.etcd.lock.known_holder();
        if holder.is_some_and(|holder| holder.lease == lease) {
            self.owner_wait.end();
        }
    }

    pub(super) fn on_agreement(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Waits(wait) = &mut self.owner_wait.phase {
            wait.agreed = true;
            actions.push(Action::Announce);
            self.ask_network_anew(actions);
        }
    }
}
