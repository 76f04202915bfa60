//! The lock of a former life: this host finds its own name there when it starts.
//!
//! With the address on its interface only the agent was started anew, and the host is the owner still. Without the
//! address it has booted. Another host may have taken the IP meanwhile and not have been able to say so, because etcd
//! was lost: that one keeps it, and takes the lock when it sees that this host has come back without the address. So
//! the network is asked first.

use super::lock::Ownership;
use super::{Core, Departure, Probe};
use crate::election::health::Verdict;

impl Core {
    /// When the lock was written for a former life of this host, which takes it over: no other has its name.
    /// A host that fails can only then give it to another.
    pub(super) fn stale_lock(&self) -> Option<i64> {
        let takes = self.comes_back() && !self.leaves_its_lock();
        self.etcd.lock.known_holder().filter(|_| takes).map(|holder| holder.written)
    }

    /// The lock was written for a former life of this host, which could use it. One whose service was never seen to
    /// work does not campaign; but what it has already it has to use, or to give away.
    fn comes_back(&self) -> bool {
        let stays = matches!(self.departure, Departure::Stays | Departure::HandsOver { .. });
        let has_it = self.has_address() || self.etcd.lock.is_of_former_life();
        let serves = self.health.verdict() != Verdict::Unknown || has_it;
        self.ownership() == Ownership::OwnStaleLease && stays && serves
    }

    /// This host has booted since its lock was written, and nothing has become of that yet.
    pub(super) fn is_back_without_address(&self) -> bool {
        let stays = self.departure == Departure::Stays;
        self.etcd.lock.is_of_former_life() && stays && !self.has_address()
    }

    /// The network says who has the IP meanwhile.
    pub(super) fn asks_before_it_comes_back(&self) -> bool {
        let could_ask = self.health.usable_interface().is_some();
        self.is_back_without_address() && self.comes_back() && could_ask
    }

    /// The network has not said that nobody has the IP. If another host has it, that one takes the lock; for what is
    /// never told nobody waits without end.
    pub(super) fn leaves_its_lock(&self) -> bool {
        self.asks_before_it_comes_back() && self.wire.probe != Probe::Silent
    }

    pub(super) fn settle_former_life(&mut self) {
        if self.has_address() {
            self.etcd.lock.forget_former_life();
        }
    }
}
