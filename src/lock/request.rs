//! What an election asks of etcd about the lock of its IP.

use super::Candidate;
use crate::network::Mac;

/// A request to etcd. Each is one transaction, guarded, and may be repeated after an unknown outcome.
/// All of them read the lock; those that say so read the candidacies, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Request {
    /// Read the lock.
    ReadLock {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
    },
    /// Read lock and candidacies: etcd need not write anything to its disk for that.
    ReadCandidates {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
    },
    /// Create the lock if it does not exist, else read lock and candidacies; advertise.
    Campaign {
        /// The lease to which lock and candidacy are attached.
        lease: i64,
        /// This host's candidacy.
        own: Advertisement,
    },
    /// Create the lock if it does not exist, and be no candidate: nobody else can take it.
    ReacquireUnavailable {
        /// The lease to which the lock is attached.
        lease: i64,
    },
    /// Tell the others how available this host is, and read lock and candidacies.
    Advertise {
        /// The lease to which the candidacy is attached.
        lease: i64,
        /// This host's candidacy.
        own: Advertisement,
    },
    /// Delete the lock if it is attached to this lease; advertise; read the candidacies.
    Resign {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// This host's candidacy.
        own: Advertisement,
    },
    /// Write the lock for another host, if it is attached to this lease and the other's candidacy is
    /// what it was.
    Transfer {
        /// The lease to which the lock must be attached.
        lease: i64,
        /// The host that gets it.
        to: Candidate,
        /// This host's candidacy, if that changes with the transfer.
        own: Option<Advertisement>,
    },
    /// Write the lock for this host, if it still is what it was: its owner is not heard, neither on
    /// the network nor, unless this host has just transferred the lock, by etcd.
    TakeOver {
        /// The lease to which the lock is attached.
        lease: i64,
        /// The revision at which the lock was last written.
        written: i64,
    },
    /// Write the lock for this host, if it is attached to its owner's lease and the owner's candidacy
    /// still says that it is not available: the checks fail on a host that keeps the IP only because
    /// nobody else could take it.
    Preempt {
        /// The lease to which the lock is attached.
        lease: i64,
        /// The owner, as its candidacy describes it.
        owner: Candidate,
    },
    /// Write the lock again as it is, if it still is what it was. The owner announces the IP when it
    /// sees that: another host has let go of it, or did not hear the owner for a while; or this host is
    /// the owner, and the others see that it is back.
    Acknowledge {
        /// The lease that is held; the request does not rely on it.
        lease: i64,
        /// The revision at which the lock was last written.
        written: i64,
    },
}

/// A candidacy that is to be written, if the one in etcd is the one that is known: so a request that
/// was delayed, or that a former life of this host has sent, never overwrites what was said since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct Advertisement {
    /// What the others are told.
    pub candidacy: Candidacy,
    /// The hardware address of this host's interface.
    pub hardware_address: Option<Mac>,
    /// What its operator says: who is first when the IP is free.
    pub priority: u8,
    /// The revision at which the own candidacy was last written, as far as is known; 0 if it does not
    /// exist.
    pub replaces: i64,
}

/// What a host tells the others about an IP that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Candidacy {
    /// It is available for election.
    Available,
    /// It has the IP, and is not available: its checks or its interface fail.
    Unavailable,
    /// It no longer has the IP.
    Withdrawn,
}

impl Request {
    /// Whether this host has the lock if it succeeds.
    pub fn takes_lock(&self) -> bool {
        match self {
            Request::Campaign { .. }
            | Request::ReacquireUnavailable { .. }
            | Request::TakeOver { .. }
            | Request::Preempt { .. } => true,
            Request::ReadLock { .. }
            | Request::ReadCandidates { .. }
            | Request::Advertise { .. }
            | Request::Resign { .. }
            | Request::Transfer { .. }
            | Request::Acknowledge { .. } => false,
        }
    }

    /// The lease on which the request relies.
    pub fn lease(&self) -> i64 {
        match *self {
            Request::ReadLock { lease }
            | Request::ReadCandidates { lease }
            | Request::Campaign { lease, .. }
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
    pub fn advertisement(&self) -> Option<Advertisement> {
        match *self {
            Request::Campaign { own, .. }
            | Request::Advertise { own, .. }
            | Request::Resign { own, .. } => Some(own),
            Request::Transfer { own, .. } => own,
            Request::ReadLock { .. }
            | Request::ReadCandidates { .. }
            | Request::ReacquireUnavailable { .. }
            | Request::TakeOver { .. }
            | Request::Preempt { .. }
            | Request::Acknowledge { .. } => None,
        }
    }
}
