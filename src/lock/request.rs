//! What an election asks of etcd about the lock of its IP.

use super::Candidate;

/// A request to etcd. Each is one transaction, guarded, and may be repeated after an unknown outcome.
/// All of them read the lock; those that say so read the offers, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the lock.
    ReadLock {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
    },
    /// Create the lock if it does not exist, else read lock and offers; offer the IP.
    Campaign {
        /// The lease to which lock and offer are attached.
        lease: i64,
    },
    /// Create the lock if it does not exist, and offer nothing: nobody else can take it.
    ReacquireUnavailable {
        /// The lease to which the lock is attached.
        lease: i64,
    },
    /// Tell the others how available this host is, and read lock and offers.
    Advertise {
        /// The lease to which the offer is attached.
        lease: i64,
        /// What the others are told.
        candidacy: Candidacy,
    },
    /// Delete the lock if it is attached to this lease; offer the IP, or no longer; read the offers.
    Resign {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// What the others are told.
        candidacy: Candidacy,
    },
    /// Write the lock for another host, if it is attached to this lease and the other's offer is what
    /// it was.
    Transfer {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// The host that gets it.
        to: Candidate,
    },
    /// Write the lock for this host, if it still is what it was: its owner is not heard, neither on
    /// the network nor, unless this host has just passed the lock on, by etcd.
    TakeOver {
        /// The lease to which the lock is attached.
        lease: i64,
        /// The revision at which the lock was last written.
        written: i64,
    },
    /// Write the lock for this host, if it is attached to its owner's lease and the owner's offer
    /// still says that it is not available: the checks fail on a host that keeps the IP only because
    /// nobody else could take it.
    Preempt {
        /// The lease to which the lock is attached.
        lease: i64,
        /// The owner, as its offer describes it.
        owner: Candidate,
    },
    /// Write the lock again as it is if it is attached to the owner's lease. The owner hears that this
    /// host has let go of the IP, and announces it again; or this host is the owner, and the others
    /// hear that it is back.
    Acknowledge {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
        /// The lease of the owner.
        owner: i64,
    },
}

/// What a host tells the others about an IP that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidacy {
    /// It is available for election.
    Available,
    /// It has the IP, and is not available: its checks or its interface fail.
    Unavailable,
    /// It no longer has the IP.
    Withdrawn,
}

impl Request {
    /// The lease on which the request relies.
    pub fn lease(&self) -> i64 {
        match *self {
            Request::ReadLock { lease }
            | Request::Campaign { lease }
            | Request::ReacquireUnavailable { lease }
            | Request::Advertise { lease, .. }
            | Request::Resign { lease, .. }
            | Request::Transfer { lease, .. }
            | Request::TakeOver { lease, .. }
            | Request::Preempt { lease, .. }
            | Request::Acknowledge { lease, .. } => lease,
        }
    }

    /// What the others are told by it, if anything.
    pub fn candidacy(&self) -> Option<Candidacy> {
        match *self {
            Request::Campaign { .. } => Some(Candidacy::Available),
            Request::Advertise { candidacy, .. } | Request::Resign { candidacy, .. } => {
                Some(candidacy)
            }
            Request::ReadLock { .. }
            | Request::ReacquireUnavailable { .. }
            | Request::Transfer { .. }
            | Request::TakeOver { .. }
            | Request::Preempt { .. }
            | Request::Acknowledge { .. } => None,
        }
    }
}
