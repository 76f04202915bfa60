//! What can happen in a world: messages that arrive, times that come, and faults.

use std::fmt;

use link::election::core::Timer;

use crate::host::{HostId, name};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A request arrives at etcd, and is carried out.
    Arrives(HostId),
    /// Its answer arrives.
    Answered(HostId),
    /// No answer has come in time.
    GivesUp(HostId),
    /// A request that was given up is carried out all the same.
    LateArrives(HostId),
    /// It is not.
    LateVanishes(HostId),
    /// The watch tells what has changed.
    Watched(HostId),
    /// The watch is opened, and the lock is read.
    WatchOpens(HostId),
    /// The slow read finds what the watch did not tell.
    SafetyRead(HostId),
    /// One host hears the announcement of another.
    Claimed {
        to: HostId,
        from: HostId,
    },
    /// A host that has the address announces it again.
    Announces(HostId),
    /// The network answers a question for the address, or nobody does.
    Probed(HostId),
    /// A round of health checks ends.
    Checked(HostId),
    /// The lease is renewed, or another one granted.
    Renewed(HostId),
    /// etcd was silent, or has refused, for too long.
    EtcdLost(HostId),
    /// etcd ends the lease of a host that does not renew it.
    LeaseEnds(HostId),
    /// etcd ends a lease that a host had before, and that has come back from a backup.
    FormerLeaseEnds(HostId),
    /// The failure detector declares the owner dead, for which this host waits.
    OwnerDead(HostId),
    /// The owner's agent says in etcd that it has the IP, which this host has in its place.
    OwnerLives(HostId),
    /// The failure detector finds that etcd is silent, too; and, a while later, that nobody has taken the IP.
    OwnerMissed {
        host: HostId,
        late: bool,
    },
    /// A host finds out whether it hears anybody.
    Hears(HostId),
    /// It knows whether anybody is there, because it has asked.
    Neighbours(HostId),
    /// The supervisor releases what an election has left behind.
    CleansUp(HostId),
    /// A timer of the core comes due.
    Timer(HostId, Timer),
    /// A Go LinK tries for the lock, and looks whether it has it.
    GoTries,
    /// etcd ends the lease of a Go LinK that was stopped.
    GoLeaseEnds,
    Fault(Fault),
    Heal(Fault),
}

/// Something that goes wrong, or that an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    Kill(HostId),
    PowerOff(HostId),
    /// The same, and etcd has no leader any more, whose member was on it.
    LeaderOff(HostId),
    /// It is cut off the network of the IP.
    Deaf(HostId),
    Freeze(HostId),
    Cut(HostId),
    Revoke(HostId),
    CheckFails(HostId),
    InterfaceDown(HostId),
    BindFails(HostId),
    Failover(HostId),
    Leave(HostId),
    RequestLost(HostId),
    AnswerLost(HostId),
    RequestLate(HostId),
    EventLost(HostId),
    /// Its failure detector takes an owner for dead that lives: frames were lost, or calls.
    Mistaken(HostId),
    /// The same while etcd is silent, with all that wait for the owner as well: they miss it by mistake.
    Missed(HostId),
    LockDeleted,
    /// A Go LinK shares the IP, until it is stopped.
    GoLink,
    EtcdDown,
    EtcdWiped,
    EtcdRestored,
    EtcdRefuses,
}

impl Fault {
    /// All kinds, each for every host.
    pub(crate) fn all(hosts: usize) -> Vec<Fault> {
        let each = |kind: fn(HostId) -> Fault| (0..hosts).map(kind);
        let kinds: [fn(HostId) -> Fault; 18] = [
            Fault::Kill,
            Fault::PowerOff,
            Fault::LeaderOff,
            Fault::Deaf,
            Fault::Freeze,
            Fault::Cut,
            Fault::Revoke,
            Fault::CheckFails,
            Fault::InterfaceDown,
            Fault::BindFails,
            Fault::Failover,
            Fault::Leave,
            Fault::RequestLost,
            Fault::AnswerLost,
            Fault::RequestLate,
            Fault::EventLost,
            Fault::Mistaken,
            Fault::Missed,
        ];
        let global = [
            Fault::LockDeleted,
            Fault::GoLink,
            Fault::EtcdDown,
            Fault::EtcdWiped,
            Fault::EtcdRestored,
            Fault::EtcdRefuses,
        ];
        kinds.into_iter().flat_map(each).chain(global).collect()
    }

    /// Its name, without the host.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill",
            Fault::PowerOff(_) => "power off",
            Fault::LeaderOff(_) => "leader off",
            Fault::Deaf(_) => "deaf",
            Fault::Freeze(_) => "freeze",
            Fault::Cut(_) => "cut",
            Fault::Revoke(_) => "revoke",
            Fault::CheckFails(_) => "check fails",
            Fault::InterfaceDown(_) => "interface down",
            Fault::BindFails(_) => "bind fails",
            Fault::Failover(_) => "failover",
            Fault::Leave(_) => "leave",
            Fault::RequestLost(_) => "request lost",
            Fault::AnswerLost(_) => "answer lost",
            Fault::RequestLate(_) => "request late",
            Fault::EventLost(_) => "watch event lost",
            Fault::Mistaken(_) => "owner taken for dead",
            Fault::Missed(_) => "owner missed by mistake",
            Fault::LockDeleted => "lock deleted",
            Fault::GoLink => "Go LinK",
            Fault::EtcdDown => "etcd down",
            Fault::EtcdWiped => "etcd wiped",
            Fault::EtcdRestored => "etcd restored",
            Fault::EtcdRefuses => "etcd refuses",
        }
    }

    fn host(self) -> Option<HostId> {
        match self {
            Fault::Kill(host)
            | Fault::PowerOff(host)
            | Fault::LeaderOff(host)
            | Fault::Deaf(host)
            | Fault::Freeze(host)
            | Fault::Cut(host)
            | Fault::Revoke(host)
            | Fault::CheckFails(host)
            | Fault::InterfaceDown(host)
            | Fault::BindFails(host)
            | Fault::Failover(host)
            | Fault::Leave(host)
            | Fault::RequestLost(host)
            | Fault::AnswerLost(host)
            | Fault::RequestLate(host)
            | Fault::EventLost(host)
            | Fault::Mistaken(host)
            | Fault::Missed(host) => Some(host),
            Fault::LockDeleted
            | Fault::GoLink
            | Fault::EtcdDown
            | Fault::EtcdWiped
            | Fault::EtcdRestored
            | Fault::EtcdRefuses => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            Some(host) => write!(f, "{} on {}", self.kind(), name(host)),
            None => f.write_str(self.kind()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, what) = match *self {
            Step::Arrives(host) => (host, "'s request is carried out"),
            Step::Answered(host) => (host, " gets the answer"),
            Step::GivesUp(host) => (host, " gets no answer in time"),
            Step::LateArrives(host) => (host, "'s late request is carried out"),
            Step::LateVanishes(host) => (host, "'s late request never arrives"),
            Step::Watched(host) => (host, " is told by its watch"),
            Step::WatchOpens(host) => (host, " opens its watch and reads the lock"),
            Step::SafetyRead(host) => (host, " reads what its watch has not told"),
            Step::Claimed { to, from } => {
                return write!(f, "{} hears the announcement of {}", name(to), name(from));
            }
            Step::Announces(host) => (host, " announces the address again"),
            Step::Probed(host) => (host, " is answered by the network, or by nobody"),
            Step::Checked(host) => (host, " has checked its service"),
            Step::Renewed(host) => (host, " holds a lease"),
            Step::EtcdLost(host) => (host, " loses etcd"),
            Step::LeaseEnds(host) => (host, "'s lease ends"),
            Step::FormerLeaseEnds(host) => (host, "'s former lease ends"),
            Step::OwnerDead(host) => (host, " finds that the owner is dead"),
            Step::OwnerLives(host) => (host, " hears in etcd that the owner lives"),
            Step::OwnerMissed { host, .. } => (host, " misses the owner and etcd"),
            Step::Hears(host) => (host, " finds out whether it hears anybody"),
            Step::Neighbours(host) => (host, " knows whether its neighbours answer"),
            Step::CleansUp(host) => (host, " releases what its election has left behind"),
            Step::GoTries => return f.write_str("the Go LinK tries for the lock"),
            Step::GoLeaseEnds => return f.write_str("the lease of the Go LinK ends"),
            Step::Timer(host, timer) => return write!(f, "{}: {timer:?} is due", name(host)),
            Step::Fault(fault) => return write!(f, "FAULT {fault}"),
            Step::Heal(fault) => return write!(f, "END OF {fault}"),
        };
        write!(f, "{}{what}", name(host))
    }
}
