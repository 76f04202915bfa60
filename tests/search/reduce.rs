//! Orders that need not be tried, because they make no difference.
//!
//! A host that only watches is told by its watch, or nothing happens to it, until the next timer: it has no request
//! under way, does not have the address, asks nobody and waits for no answer. What its watch tells, and what its core
//! makes of that, does not depend on what happens to others meanwhile; and if that changes nothing but the host itself,
//! and not whether it has the address, it changes nothing for them either. So it may as well happen at once, and only that order
//! is searched. In the words of partial-order reduction, the step alone is a persistent set: every step that could come
//! before it commutes with it, so each world in which no message is left is still found.
//! What is judged in the worlds between is not lost either:
//!
//! - Whether some host has the IP, or is able to, the step does not change: a world that is left out is judged as the one
//!   after the step is.
//! - Whether a host takes a free lock too early depends on what others were told. So the step is not taken for itself while
//!   the lock is free, nor if the host asks for the lock.
//! - Each such step takes one message from a queue, and none puts one there. So no step is put off for ever, and a loop
//!   has a world in which all steps were tried.
//!
//! A fault may come in between, and need not commute with it. So all orders are tried as long as one can, and as long as a
//! message may be slow. But the last fault, if it changes nothing of that host, of etcd and of its connections but those of
//! another host, commutes with the step, too; after it the step is taken first. So such a fault is tried after the
//! step alone.

use link::election::message::Action;
use link::fsm::State;
use link::lock::Request;

use crate::host::{Exchange, HostId};
use crate::step::{Fault, Step};
use crate::world::World;

/// A step that may as well happen before all others.
pub(crate) struct First {
    host: HostId,
    pub(crate) step: Step,
    /// The world after it.
    pub(crate) next: World,
}

impl First {
    /// The last fault may as well come after the step.
    pub(crate) fn goes_before(&self, fault: Fault) -> bool {
        match fault {
            Fault::Kill(host)
            | Fault::PowerOff(host)
            | Fault::Deaf(host)
            | Fault::Freeze(host)
            | Fault::Cut(host)
            | Fault::CheckFails(host)
            | Fault::InterfaceDown(host)
            | Fault::BindFails(host)
            | Fault::Failover(host)
            | Fault::Leave(host)
            | Fault::RequestLost(host)
            | Fault::AnswerLost(host)
            | Fault::RequestLate(host)
            | Fault::EventLost(host)
            | Fault::Mistaken(host) => host != self.host,
            // It is missed by those that wait for it, which a view may change.
            Fault::Missed(_)
            | Fault::LeaderOff(_)
            | Fault::Revoke(_)
            | Fault::LockDeleted
            | Fault::GoLink
            | Fault::EtcdDown
            | Fault::EtcdWiped
            | Fault::EtcdRestored
            | Fault::EtcdRefuses => false,
        }
    }
}

impl World {
    /// A step that may as well happen before all others, of these that can.
    pub(crate) fn first_of_all(&self, messages: &[Step]) -> Option<First> {
        if self.state.faults_left > 1 || !self.punctual || self.holder().is_none() {
            return None;
        }
        let mut watching = self.ids().filter(|id| {
            let step = Step::Watched(*id);
            messages.contains(&step) && self.only_watches(*id)
        });
        watching.find_map(|host| {
            let step = Step::Watched(host);
            let next = self.after(step);
            let alone = self.concerns_nobody_else(host, &next);
            alone.then_some(First { host, step, next })
        })
    }

    /// Until the next timer only its watch tells this host something.
    fn only_watches(&self, id: HostId) -> bool {
        let host = self.host(id);
        host.runs()
            && host.watches
            && !host.bound
            && host.probing.is_none()
            && host.core.state() != State::Activated
            && matches!(host.exchange, Exchange::None | Exchange::Unheard)
    }

    /// Nothing has changed but this host, which does not have the address, and does not ask for the lock.
    fn concerns_nobody_else(&self, id: HostId, next: &World) -> bool {
        let others =
            self.ids().all(|it| it == id || self.state.hosts[it].is(&next.state.hosts[it]));
        let host = next.host(id);
        let takes = |action: &Action| matches!(action, Action::Ask(Request::Campaign { .. }));
        others
            && self.state.etcd.is(&next.state.etcd)
            && self.state.neighbours_send_to == next.state.neighbours_send_to
            && next.wrong.is_none()
            && host.runs()
            && !host.bound
            && host.probing.is_none()
            && !next.done.iter().any(|(_, action)| takes(action))
    }
}
