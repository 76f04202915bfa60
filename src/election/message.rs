//! What an election's core is told, and what it wants done: plain values, and the whole interface of
//! the core to the world.

use crate::etcd::Gap;
use crate::fsm::{Event, State};
use crate::net::Wire;
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
    /// The interface can carry the address, or why not.
    Interface(Result<(), String>),
    /// The kernel has the address, or not.
    Bound(bool),
    /// What the network says, while it is asked.
    Wire(Wire),
    /// Another host says on the network that it has the address, which is bound here.
    Claimed {
        /// Of two hosts that have the address, the other is the one that keeps it.
        precedes: bool,
    },
    /// The owner with this lease is dead: neither the network nor etcd hears of its host.
    OwnerDead(i64),
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
    /// Begin or end to ask the network who has the address; comes back as [`Input::Wire`].
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

/// A request to etcd. Each is one transaction, guarded, and may be repeated after an unknown outcome.
/// All of them read the lock; those that say so read the offers, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the lock.
    Look {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
    },
    /// Create the lock if it does not exist, else read lock and offers; offer the IP.
    Acquire {
        /// The lease to which lock and offer are attached.
        lease: i64,
    },
    /// Create the lock if it does not exist, and offer nothing: nobody else can take it.
    Retake {
        /// The lease to which the lock is attached.
        lease: i64,
    },
    /// Tell the others how available this host is, and read lock and offers.
    Survey {
        /// The lease to which the offer is attached.
        lease: i64,
        /// What the others are told.
        offer: Offer,
    },
    /// Delete the lock if it is attached to this lease; offer the IP, or no longer; read the offers.
    Release {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// What the others are told.
        offer: Offer,
    },
    /// Write the lock for another host, if it is attached to this lease and the other's offer is what
    /// it was.
    Pass {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// The host that gets it.
        to: Candidate,
    },
    /// Write the lock for this host, if it still is what it was: its owner is not heard, neither on
    /// the network nor, unless this host has just passed the lock on, by etcd.
    Seize {
        /// The lease to which the lock is attached.
        lease: i64,
        /// The revision at which the lock was last written.
        written: i64,
    },
    /// Write the lock for this host, if it is attached to its owner's lease and the owner's offer
    /// still says that it is not available: the checks fail on a host that keeps the IP only because
    /// nobody else could take it.
    Oust {
        /// The lease to which the lock is attached.
        lease: i64,
        /// The owner, as its offer describes it.
        owner: Candidate,
    },
    /// Write the lock again as it is if it is attached to the owner's lease. The owner hears that this
    /// host has let go of the IP, and announces it again; or this host is the owner, and the others
    /// hear that it is back.
    Touch {
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
    /// What lies between this and what was seen before.
    pub gap: Gap,
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
    /// The other hosts that offer the IP, the preferred ones first; none if that was not read.
    pub others: Option<Vec<Candidate>>,
}

/// Another host that offers the IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub host: String,
    /// Whether it is available for election.
    pub available: bool,
    /// The lease to which its offer is attached. The Go LinK attaches it to none (0), so that it
    /// cannot be told whether the host is alive.
    pub lease: i64,
    /// The revision at which its offer was written.
    pub written: i64,
}

impl Request {
    /// The lease on which the request relies.
    pub fn lease(&self) -> i64 {
        match *self {
            Request::Look { lease }
            | Request::Acquire { lease }
            | Request::Retake { lease }
            | Request::Survey { lease, .. }
            | Request::Release { lease, .. }
            | Request::Pass { lease, .. }
            | Request::Seize { lease, .. }
            | Request::Oust { lease, .. }
            | Request::Touch { lease, .. } => lease,
        }
    }

    /// What the others are told by it, if anything.
    pub fn offer(&self) -> Option<Offer> {
        match *self {
            Request::Acquire { .. } => Some(Offer::Available),
            Request::Survey { offer, .. } | Request::Release { offer, .. } => Some(offer),
            Request::Look { .. }
            | Request::Retake { .. }
            | Request::Pass { .. }
            | Request::Seize { .. }
            | Request::Oust { .. }
            | Request::Touch { .. } => None,
        }
    }
}
