//! What an election's core is told, and what it wants done: plain values, and the whole interface of
//! the core to the world.

use crate::fsm::{Event, State};
use crate::lock::{Lease, LockAnswer, LockView, Request};
use crate::network::{Mac, ProbeResult, Unusable};
use crate::policy::LossPolicy;

/// What the core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The state of this host's lease changed.
    Lease(Lease),
    /// The newest revision of etcd that was heard of, before it is lost.
    EtcdHeard(i64),
    /// The lock was seen, by a watch or by a read.
    Lock(LockView),
    /// The answer to the request that is under way.
    Answered(Result<LockAnswer, String>),
    /// The interface can carry the address, and has this hardware address (zeros if it has none), or
    /// why it cannot.
    Interface(Result<Mac, Unusable>),
    /// The kernel has the address, or not.
    Bound(bool),
    /// What the network says, while it is asked.
    Probed(ProbeResult),
    /// Another host says on the network that it has the address, which is bound here.
    Claimed {
        /// The hardware address of that host.
        from: Mac,
        /// Of two hosts that have the address, the other is the one that keeps it.
        wins_tie_break: bool,
    },
    /// The owner with this lease is dead: neither the network nor etcd hears of its host.
    OwnerDead(i64),
    /// The owner is heard on the network again, where it was not for a while.
    OwnerHeardAgain,
    /// This process did not run for a while: stopped, or its machine was suspended.
    Paused,
    /// The result of one round of health checks.
    Checked(Result<(), String>),
    /// Other health checks are configured; true if there are any.
    ChecksReplaced(bool),
    /// Another policy for the loss of etcd is configured.
    LossPolicy(LossPolicy),
    /// Try to get the lock now.
    LockNow,
    /// Hand the IP to another host, to the named one if one is named; ends with
    /// [`Action::HandedOver`].
    Failover(Option<String>),
    /// Give the IP up for good; ends with [`Action::Left`].
    Leave,
    /// The core's deadline has come.
    Timer,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add the address to the interface and announce it.
    Bind,
    /// Remove the address from the interface.
    Unbind,
    /// Announce the address again: another host may have announced it meanwhile.
    Announce,
    /// Begin or end to ask the network who has the address; comes back as [`Input::Probed`].
    Probe(bool),
    /// Send a request to etcd; its outcome comes back as [`Input::Answered`].
    Ask(Request),
    /// The state changed: to be logged and shown.
    Transition {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// What made it change.
        event: Event,
    },
    /// A failover has ended: another host has the IP, or why none does.
    HandedOver(Result<(), String>),
    /// This host has given the IP up; nothing more will come.
    Left,
}
