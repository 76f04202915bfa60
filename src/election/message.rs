//! What an election's core is told, and what it wants done: plain values, and the whole interface of
//! the core to the world.

use crate::fsm::{Event, State};

/// What the core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The state of this host's lease changed.
    Lease(Lease),
    /// The lock was seen, by a watch or by a read.
    Lock(LockView),
    /// The answer to the request that is under way.
    Answered(Result<LockAnswer, String>),
    /// The interface can carry the address, or why not.
    Interface(Result<(), String>),
    /// The result of one round of health checks.
    Checked(Result<(), String>),
    /// Other health checks are configured; true if there are any.
    ChecksReplaced(bool),
    /// Try to get the lock now.
    LockNow,
    /// Hand the IP to another host; ends with [`Action::HandedOver`].
    Failover,
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
    /// A failover has ended: another host holds the lock, or why none does.
    HandedOver(Result<(), String>),
    /// This host has given the IP up; nothing more will come.
    Left,
}

/// A request to etcd. Each is one transaction, guarded, and may be repeated after an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the lock: this host does not know yet whether it may campaign.
    Look {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
    },
    /// Create the lock if it does not exist, else read it; offer the IP.
    Acquire {
        /// The lease to which lock and offer are attached.
        lease: i64,
    },
    /// Delete the lock if it is attached to this lease, else read it; offer the IP, or no longer.
    Release {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// What the others are told.
        offer: Offer,
    },
    /// Write the lock again as it is if it is attached to the owner's lease, else read it: the owner
    /// hears that this host has let go of the IP, and announces it again.
    Yield {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
        /// The lease of the owner.
        owner: i64,
    },
}

/// What a host tells the others about an IP that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is available for election.
    Available,
    /// It has the IP, and is not available: its checks or its interface fail.
    Unavailable,
    /// It no longer has the IP.
    Withdrawn,
}

/// This host's lease, as far as it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// None yet: etcd has not been heard since the start.
    None,
    /// Kept alive.
    Held(i64),
    /// As many renewals as configured have failed: etcd cannot be reached.
    Lost,
}

/// The lock at a revision of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockView {
    /// Who holds it; nobody if the key does not exist.
    pub holder: Option<Holder>,
    /// The revision of etcd at which that was so.
    pub revision: i64,
    /// True when revisions started again from an older one (etcd was restored from a snapshot).
    pub reset: bool,
}

/// The owner of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its host name.
    pub host: String,
    /// The lease to which the lock is attached; 0 if to none.
    pub lease: i64,
    /// The revision at which the lock was last written, by its owner or by a host that yielded.
    pub written: i64,
}

/// What a request to etcd has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockAnswer {
    /// The lock after the request.
    pub lock: LockView,
    /// Whether another host offers this IP and is available. Only a release asks for it.
    pub successor: bool,
}

impl Request {
    /// The lease on which the request relies.
    pub fn lease(self) -> i64 {
        match self {
            Request::Look { lease }
            | Request::Acquire { lease }
            | Request::Release { lease, .. }
            | Request::Yield { lease, .. } => lease,
        }
    }

    /// What the others are told by it, if anything.
    pub fn offer(self) -> Option<Offer> {
        match self {
            Request::Look { .. } | Request::Yield { .. } => None,
            Request::Acquire { .. } => Some(Offer::Available),
            Request::Release { offer, .. } => Some(offer),
        }
    }
}
