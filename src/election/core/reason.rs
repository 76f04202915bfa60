//! Why an election is where it is, and what is wrong: values, which become texts outside.

use std::fmt;

use super::lock::Ownership;
use super::{Core, Departure, Probe};
use crate::election::core::Conflict;
use crate::election::health::{Cause, Verdict};
use crate::fsm::State;
use crate::lock::{Holder, Lease};
use crate::network::Unusable;
use crate::policy::LossPolicy;
use crate::vip::ElectionKey;

/// Why the IP is in its state on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason<'a> {
    /// Nothing is known of the lock yet.
    Starting,
    /// This host holds the lock.
    HoldsLock,
    /// The lock is free.
    LockIsFree,
    /// The lock is still held by a lease that this host had before.
    OwnStaleLease,
    /// This host holds the lock.
    OtherHoldsLock(&'a str),
    /// The IP belongs to this group.
    InGroup(&'a str),
    /// This host holds the lock, but was not heard since etcd was lost.
    OwnerNotHeard(&'a str),
    /// This host holds the lock, but is silent, as etcd is.
    OwnerMissed(&'a str),
    /// etcd cannot be reached.
    EtcdLost(WithoutEtcd),
    /// This host cannot serve the IP.
    Unhealthy(Cause),
    /// This host is drained, and has the IP as long as no other host can have it.
    DrainedLast,
    /// The health checks were replaced, and the new ones have not passed yet.
    NotCheckedYet,
    /// The IP is given up on this host.
    GivenUp,
}

/// What follows from the loss of etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithoutEtcd {
    /// This host has the IP.
    HasIt,
    /// The IP stays where it is.
    LeftWhereItIs,
    /// The network is asked who has it.
    NetworkIsAsked,
    /// Another host answers for it.
    OtherAnswers,
}

/// What is wrong, in etcd or on this host. A service whose checks fail is not: the agent does with it
/// what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The address was to be added, and is not on the interface.
    NotBound,
    /// The interface is unusable.
    Interface(Unusable),
    /// Another machine claims the address again and again.
    Conflict,
    /// The lock is attached to no lease: no agent will ever give it up.
    LockWithoutLease,
    /// Nobody is heard on the interface, and other hosts could have the IP.
    Isolated,
}

impl Core {
    /// Why the IP is in its state on this host.
    pub fn reason(&self) -> Reason<'_> {
        if self.has_left() {
            return Reason::GivenUp;
        }
        if self.state == State::Failing {
            return match self.health.verdict() {
                Verdict::Unhealthy(Cause::Drained)
                    if self.has_address() && self.is_last_resort() =>
                {
                    Reason::DrainedLast
                }
                Verdict::Unhealthy(cause) => Reason::Unhealthy(cause),
                Verdict::Unknown | Verdict::Healthy => Reason::NotCheckedYet,
            };
        }
        if self.lease == Lease::Lost && !self.assumes_owner() && !self.owner_wait.waits() {
            return Reason::EtcdLost(self.without_etcd());
        }
        let holder = self.etcd.lock.known_holder().map_or("", |holder| holder.host.as_str());
        match self.ownership() {
            Ownership::Unknown if self.state == State::Activated => Reason::HoldsLock,
            Ownership::Unknown => Reason::Starting,
            Ownership::Free => Reason::LockIsFree,
            Ownership::Mine => Reason::HoldsLock,
            Ownership::OwnStaleLease => Reason::OwnStaleLease,
            Ownership::Other if self.owner_wait.waits() => Reason::OwnerNotHeard(holder),
            Ownership::Other if self.etcd.lock.is_replaced() => Reason::OwnerMissed(holder),
            Ownership::Other => Reason::OtherHoldsLock(holder),
            Ownership::Joined | Ownership::Grouped => {
                Reason::InGroup(holder.strip_prefix(ElectionKey::GROUP).unwrap_or(holder))
            }
        }
    }

    fn without_etcd(&self) -> WithoutEtcd {
        match (self.state, self.loss(), self.wire.probe) {
            (State::Activated, _, _) | (_, LossPolicy::Take, _) => WithoutEtcd::HasIt,
            (_, LossPolicy::Hold, _) => WithoutEtcd::LeftWhereItIs,
            (_, LossPolicy::Probe, Probe::Answered { .. } | Probe::Claimed { .. }) => {
                WithoutEtcd::OtherAnswers
            }
            (_, LossPolicy::Probe, Probe::Off | Probe::Asked | Probe::Silent) => {
                WithoutEtcd::NetworkIsAsked
            }
        }
    }

    /// What is wrong.
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        if let Verdict::Unhealthy(Cause::Interface(why)) = self.health.verdict() {
            troubles.push(Trouble::Interface(why));
        }
        if self.health.cannot_add() && self.departure == Departure::Stays {
            troubles.push(Trouble::NotBound);
        }
        if matches!(self.wire.conflict, Conflict::Persists { .. }) {
            troubles.push(Trouble::Conflict);
        }
        let no_lease = |holder: &Holder| holder.lease == 0 && !holder.is_group();
        if self.etcd.lock.known_holder().is_some_and(no_lease) {
            troubles.push(Trouble::LockWithoutLease);
        }
        if self.is_isolated() {
            troubles.push(Trouble::Isolated);
        }
        troubles
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Starting => f.write_str("not elected yet"),
            Reason::HoldsLock => f.write_str("holds the lock"),
            Reason::LockIsFree => f.write_str("no host holds the lock"),
            Reason::OwnStaleLease => f.write_str("the lock is of this host before its start"),
            Reason::OtherHoldsLock(host) => write!(f, "{host} holds the lock"),
            Reason::InGroup(group) => write!(f, "it belongs to group {group}"),
            Reason::OwnerNotHeard(host) => {
                write!(f, "{host} holds the lock and was not heard since etcd was lost")
            }
            Reason::OwnerMissed(host) => {
                write!(f, "{host} holds the lock and is missed on the network, and etcd is silent")
            }
            Reason::EtcdLost(then) => write!(f, "etcd cannot be reached{then}"),
            Reason::Unhealthy(cause) => write!(f, "{cause}"),
            Reason::DrainedLast => {
                f.write_str("this host is drained, and no other host can have the IP")
            }
            Reason::NotCheckedYet => f.write_str("the health checks have not passed yet"),
            Reason::GivenUp => f.write_str("given up on this host"),
        }
    }
}

impl fmt::Display for WithoutEtcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WithoutEtcd::HasIt => "",
            WithoutEtcd::LeftWhereItIs => ": the IP is left where it is",
            WithoutEtcd::NetworkIsAsked => ": the network is asked for the IP",
            WithoutEtcd::OtherAnswers => ", and another host answers for the IP",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Interface(why) => write!(f, "{why}"),
            Cause::Checks => f.write_str("the health checks fail"),
            Cause::Addition => f.write_str("the kernel does not take the address"),
            Cause::Drained => f.write_str("this host is drained"),
        }
    }
}
