//! A host that hears nobody on the network of the IP may not be heard by anybody either: its port is in
//! the wrong network, or its cable leads nowhere behind the switch. Others are better owners. Where
//! there are no others, it is as good as any.

use super::lock::Ownership;
use super::{Core, Departure};
use crate::fsm::State;
use crate::lock::Lease;
use crate::network::Hearing;

/// Whether anybody is heard, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Isolation {
    hearing: Hearing,
    /// Those that may hear somebody have had the time to take the lock.
    turn: bool,
}

impl Isolation {
    pub(super) fn new() -> Isolation {
        Isolation { hearing: Hearing::Unknown, turn: false }
    }
}

impl Core {
    pub(super) fn on_hearing(&mut self, hearing: Hearing) {
        if std::mem::replace(&mut self.wire.isolation.hearing, hearing) != hearing {
            self.on_candidates_outdated();
        }
    }

    /// Others are heard.
    pub fn hears_others(&self) -> bool {
        self.wire.isolation.hearing == Hearing::Others
    }

    /// Nobody is heard, for certain.
    pub(super) fn hears_nobody(&self) -> bool {
        self.wire.isolation.hearing == Hearing::Nobody
    }

    /// Nobody is heard, as far as is known.
    pub(super) fn may_be_isolated(&self) -> bool {
        !self.hears_others()
    }

    /// This host hears nobody, and others could serve the IP.
    pub(super) fn is_isolated(&self) -> bool {
        self.hears_nobody() && self.others_could_serve()
    }

    /// There are candidates beside this host and the owner.
    fn others_could_serve(&self) -> bool {
        let holder = self.etcd.lock.known_holder().map(|holder| &holder.host);
        let mut others = self.etcd.candidates.current();
        others.any(|other| other.available && Some(&other.host) != holder)
    }

    /// The lock could be taken, and is left to others for a while.
    pub(super) fn waits_for_others(&self) -> bool {
        self.could_be_first() && !self.wire.isolation.turn
    }

    /// The lock could be taken, by this host or by one that may hear somebody.
    fn could_be_first(&self) -> bool {
        let Lease::Held(lease) = self.lease else { return false };
        let takes = match self.ownership() {
            Ownership::Free => true,
            Ownership::Other => self.next_takeover(lease).is_some(),
            Ownership::Unknown
            | Ownership::Mine
            | Ownership::OwnStaleLease
            | Ownership::Joined
            | Ownership::Grouped => false,
        };
        takes
            && self.state != State::Failing
            && self.departure == Departure::Stays
            && self.may_be_isolated()
            && self.others_could_serve()
    }

    /// Others that hear somebody may have become candidates since the candidates were read.
    pub(super) fn on_owner_dead(&mut self, lease: i64) {
        let known = self.etcd.lock.dead_holder().is_some();
        self.etcd.lock.owner_is_dead(lease);
        if !known && self.may_be_isolated() && self.etcd.lock.dead_holder().is_some() {
            self.etcd.candidates.outdate();
        }
    }

    /// Who could take the lock has to be known first.
    pub(super) fn reads_for_others(&self) -> bool {
        let dead = self.etcd.lock.dead_holder().is_some() && !self.etcd.lock.is_replaced();
        dead && self.may_be_isolated() && !self.etcd.candidates.are_current()
    }

    /// Whether the owner is dead is for others to say: it may be this host that is deaf, and the owner's agent
    /// may be about to start again. In the end its lease tells.
    pub(super) fn leaves_death_to_others(&self) -> bool {
        let dead = self.etcd.lock.dead_holder().is_some() && !self.etcd.lock.is_replaced();
        dead && self.is_isolated()
    }

    pub(super) fn on_turn(&mut self) {
        self.wire.isolation.turn = true;
    }

    /// The next time the others go first again: who they are is read anew when a lock becomes free.
    pub(super) fn settle_isolation(&mut self) {
        self.wire.isolation.turn &= self.could_be_first();
    }
}
