//! What an election's core is told, and what it wants done: plain values, and the whole interface of
//! the core to the world.

use std::fmt;

use super::core::Timer;
use crate::fsm::{Event, State};
use crate::lock::{Lease, LockAnswer, LockView, Request};
use crate::network::{Hearing, Mac, Missed, ProbeResult, Unusable};
use crate::policy::LossPolicy;

/// What the core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The state of this host's lease changed.
    Lease(Lease),
    /// The newest revision of etcd that was heard of, before it is lost.
    EtcdHeard(i64),
    /// The lock was seen, by a watch or by a read.
    Lock(LockView),
    /// The answer to the request that is under way.
    Answered(LockAnswer),
    /// There is none: etcd has refused the request, or its outcome is not known.
    Unanswered,
    /// The interface can carry the addresses, and its hardware address; or why it cannot.
    Interface(Result<Mac, Unusable>),
    /// The kernel has all addresses of the election, or not.
    Bound(bool),
    /// What the network says, while it is asked.
    Probed(ProbeResult),
    /// Another host says on the network that it has an address that is bound here.
    Claimed {
        /// Its hardware address.
        from: Mac,
        /// Of two hosts that have the address, the other is the one that keeps it.
        wins_tie_break: bool,
    },
    /// The owner with this lease is dead, or hears nobody on the network itself.
    OwnerDead(i64),
    /// The owner with this lease lives and has the IP, as its agent says in etcd.
    OwnerLives(i64),
    /// The owner is silent, and so is etcd.
    OwnerMissed(Missed),
    /// Whether anybody is heard on the interface.
    Hearing(Hearing),
    /// What neighbours say that were asked by [`Action::AskNeighbours`].
    Neighbours(Hearing),
    /// The owner was not heard on the network for a while, and is heard again.
    OwnerHeardAgain,
    /// This process did not run for a while: stopped, or its machine was suspended.
    Paused,
    /// Other hosts may have become candidates since the candidates were read.
    CandidatesOutdated,
    /// A health check has ended: true if all are up, false if one is down.
    Checked(bool),
    /// Other health checks are configured; true if there are any.
    ChecksReplaced(bool),
    /// The host is drained, or no longer.
    Drained(bool),
    /// Another policy for the loss of etcd is configured.
    LossPolicy(LossPolicy),
    /// Another priority is configured.
    Priority(u8),
    /// Compare with etcd now: read the lock, advertise anew, try to get the lock.
    LockNow,
    /// Hand the IP to another host, to the named one if one is named; ends with
    /// [`Action::HandedOver`].
    Failover(Option<String>),
    /// Give the IP up for good; ends with [`Action::Left`].
    Leave,
    /// The time of a timer that is armed has come.
    Timer(Timer),
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Add the addresses to the interface and announce them.
    Bind,
    /// Remove the addresses from the interface.
    Unbind,
    /// Announce the addresses again: another host may have announced them meanwhile.
    Announce,
    /// Announce the addresses for the owner, which does not do so again: a Go LinK.
    AnnounceOwner,
    /// Begin or end to ask the network who has the address; comes back as [`Input::Probed`].
    Probe(bool),
    /// Ask neighbours at once whether anybody is heard; comes back as [`Input::Neighbours`].
    AskNeighbours,
    /// Send a request to etcd; its outcome comes back as [`Input::Answered`] or
    /// [`Input::Unanswered`].
    Ask(Request),
    /// Begin this timer from the start, although it was armed before.
    Restart(Timer),
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
    HandedOver(Result<(), NotHandedOver>),
    /// This host has given the IP up; nothing more will come.
    Left,
}

/// Why a failover did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum NotHandedOver {
    /// Another failover is under way, or the IP is being given up.
    AlreadyUnderWay,
    /// This host is not the owner.
    NotOwner,
    /// The named host is this one, which is the owner.
    IsOwner,
    /// The checks or the interface have begun to fail: the IP goes to whichever host can have it.
    Failing,
    /// etcd cannot be reached.
    EtcdLost,
    /// There is no other candidate.
    NoCandidate,
    /// The named host is no candidate.
    NotACandidate(String),
    /// The named host runs the Go LinK, whose candidacy has no lease to which the lock could be attached.
    GoLink(String),
    /// This host got the lock and was not heard to announce the IP; the lock was taken back.
    NotHeard(String),
    /// Another host than the one that was named has got the lock.
    Other {
        /// The one that was named.
        named: String,
        /// The one that has it.
        owner: String,
    },
    /// No other host has taken it in time.
    TimedOut,
}

impl fmt::Display for NotHandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotHandedOver::AlreadyUnderWay => f.write_str("this host is already handing it over"),
            NotHandedOver::NotOwner => f.write_str("this host is not the owner"),
            NotHandedOver::Failing => f.write_str("this host has begun to fail"),
            NotHandedOver::IsOwner => f.write_str("the named host is the owner already"),
            NotHandedOver::EtcdLost => f.write_str("etcd cannot be reached"),
            NotHandedOver::NoCandidate => f.write_str("no other host is a candidate"),
            NotHandedOver::NotACandidate(host) => write!(f, "host {host} is not a candidate"),
            NotHandedOver::GoLink(host) => {
                write!(f, "host {host} is a Go LinK, which cannot be given the lock by name")
            }
            NotHandedOver::NotHeard(host) => {
                write!(f, "host {host} got the lock but was not heard to announce the IP")
            }
            NotHandedOver::Other { named, owner } => {
                write!(f, "host {owner} has got the lock, not host {named}")
            }
            NotHandedOver::TimedOut => f.write_str("no other host took it in time"),
        }
    }
}
