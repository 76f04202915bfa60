//! What may go wrong, and what somebody may do; and a plan of when.

use crate::cluster::Service;
use crate::memory_etcd::Millis;
use crate::random::Random;
use crate::setup::{HOSTS, HostId, IPS, IpId, Wish};
use crate::users::Want;

/// Something that goes wrong, or that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing gets through between a host and etcd, in one direction or in both.
    Cut {
        host: HostId,
        to_etcd: bool,
        from_etcd: bool,
        lasts: Millis,
    },
    /// A host's connection is slow.
    Slow {
        host: HostId,
        lasts: Millis,
    },
    /// The agent is killed and started again; its addresses stay.
    Restart {
        host: HostId,
        after: Millis,
    },
    /// The agent is started again in the same moment, as by a reload.
    Reload {
        host: HostId,
    },
    /// The host loses power and boots again; its addresses are gone.
    PowerOff {
        host: HostId,
        lasts: Millis,
    },
    /// The agent does not run for a while (SIGSTOP, a snapshot of a virtual machine).
    Freeze {
        host: HostId,
        lasts: Millis,
    },
    /// The agent is told to stop, hands over, and is started again.
    Stop {
        host: HostId,
        after: Millis,
    },
    /// The service behind an IP does not answer.
    Sick {
        host: HostId,
        ip: IpId,
        lasts: Millis,
    },
    /// It does not answer on any host.
    AllSick {
        ip: IpId,
        lasts: Millis,
    },
    /// The kernel does not take an address.
    Stuck {
        host: HostId,
        ip: IpId,
        lasts: Millis,
    },
    /// Nothing gets through between a host and the network of the IPs, in one direction or in both.
    Isolated {
        host: HostId,
        out: bool,
        in_: bool,
        lasts: Millis,
    },
    /// Nothing gets through on that network from one host to one other.
    Parted {
        from: HostId,
        to: HostId,
        lasts: Millis,
    },
    /// The interface of the IPs has no carrier.
    Unplugged {
        host: HostId,
        lasts: Millis,
    },
    /// etcd is down on all members.
    EtcdDown {
        lasts: Millis,
    },
    /// etcd answers, and does not carry everything out.
    Refuses {
        service: Service,
        lasts: Millis,
    },
    /// etcd elects a leader: all leases begin again.
    LeaderChange,
    /// etcd is restored from a snapshot: the last one, or an older one.
    Restore {
        back: usize,
    },
    /// All data of etcd are gone; `another`: it is another cluster.
    Wiped {
        another: bool,
    },
    /// The watch of a host dies without a word.
    DeadWatch {
        host: HostId,
    },
    /// A deletion is not told to a host.
    LostDeletion {
        host: HostId,
    },
    /// The watch of a host is opened again, and tells old events.
    OldEvents {
        host: HostId,
    },
    /// The next reads of a host find what was there before (etcd #20418).
    StaleReads {
        host: HostId,
        reads: u32,
        lasts: Millis,
    },
    /// Renewals of a host are acknowledged though its lease is gone.
    Zombie {
        host: HostId,
        lasts: Millis,
    },
    /// An old leader of etcd revokes all leases.
    MassRevoke,
    /// A lock is deleted by hand.
    DeleteLock {
        ip: IpId,
    },
    /// A lock without a lease is written by hand, and deleted after a while.
    WriteLock {
        ip: IpId,
        lasts: Millis,
    },
    /// The lease of a host is revoked by hand.
    Revoke {
        host: HostId,
    },
    /// A record is deleted, or overwritten with rubbish.
    DeleteRecord {
        host: HostId,
        ip: IpId,
    },
    GarbleRecord {
        host: HostId,
        ip: IpId,
    },
    /// The agent is killed, and starts with the local copy of a while ago, or with none.
    OldCopy {
        host: HostId,
        after: Millis,
    },
    LostCopy {
        host: HostId,
        after: Millis,
    },
    /// Somebody asks an agent for something.
    Asks {
        host: HostId,
        ip: IpId,
        want: Want,
    },
    /// The agent is killed a moment after it was asked to delete an IP, and started again.
    KilledAtDelete {
        host: HostId,
        ip: IpId,
        after: Millis,
    },
}

/// Faults with their times, in order.
pub(crate) type Plan = Vec<(Millis, Fault)>;

/// A random plan: bursts of faults with quiet times in between, in which everything must heal.
pub(crate) fn plan(random: &mut Random, bursts: u64) -> Plan {
    let mut plan = Plan::new();
    let mut at = 15_000;
    for _ in 0..bursts {
        for _ in 0..random.between(1, 6) {
            plan.push((at, fault(random)));
            at += random.between(0, 4_000);
        }
        at += random.between(1_000, 60_000);
    }
    plan
}

fn lasts(random: &mut Random) -> Millis {
    match random.between(0, 2) {
        0 => random.between(10, 500),
        1 => random.between(500, 4_000),
        _ => random.between(4_000, 20_000),
    }
}

fn fault(random: &mut Random) -> Fault {
    let (host, ip, lasts) = (random.index(HOSTS), random.index(IPS), lasts(random));
    match random.between(0, 9) {
        0 | 1 => of_etcd(random, lasts),
        2 => of_connection(random, host, lasts),
        3 => by_hand(random, host, ip, lasts),
        4 => of_network(random, host, ip, lasts),
        5 | 6 => of_agent(random, host, ip, lasts),
        7 => match random.between(0, 2) {
            0 => Fault::AllSick { ip, lasts: lasts * 2 },
            _ => Fault::Sick { host, ip, lasts },
        },
        _ => asks(random, host, ip),
    }
}

fn of_etcd(random: &mut Random, lasts: Millis) -> Fault {
    match random.between(0, 9) {
        0 | 1 => Fault::EtcdDown { lasts },
        2 => Fault::EtcdDown { lasts: lasts * 2 },
        3 => Fault::LeaderChange,
        4 => Fault::Restore { back: random.index(8) },
        5 => Fault::Wiped { another: random.one_in(2) },
        6 => Fault::MassRevoke,
        7 => Fault::Refuses { service: Service::NoSpace, lasts },
        8 => Fault::Refuses { service: Service::ReadOnly, lasts },
        _ => Fault::Refuses { service: Service::Corrupt, lasts },
    }
}

fn of_connection(random: &mut Random, host: HostId, lasts: Millis) -> Fault {
    match random.between(0, 8) {
        0 => Fault::Cut { host, to_etcd: true, from_etcd: false, lasts },
        1 => Fault::Cut { host, to_etcd: false, from_etcd: true, lasts },
        2 | 3 => Fault::Cut { host, to_etcd: true, from_etcd: true, lasts },
        4 => Fault::Slow { host, lasts },
        5 => Fault::DeadWatch { host },
        6 => Fault::LostDeletion { host },
        7 => Fault::OldEvents { host },
        _ if random.one_in(2) => {
            let reads = if random.one_in(2) { 1 } else { 2 };
            Fault::StaleReads { host, reads, lasts: lasts.min(5_000) }
        }
        _ => Fault::Zombie { host, lasts },
    }
}

fn by_hand(random: &mut Random, host: HostId, ip: IpId, lasts: Millis) -> Fault {
    match random.between(0, 5) {
        0 | 1 => Fault::DeleteLock { ip },
        2 => Fault::Revoke { host },
        3 => Fault::DeleteRecord { host, ip },
        4 => Fault::GarbleRecord { host, ip },
        _ => Fault::WriteLock { ip, lasts: lasts.min(5_000) },
    }
}

fn of_network(random: &mut Random, host: HostId, ip: IpId, lasts: Millis) -> Fault {
    match random.between(0, 5) {
        0 => Fault::Isolated { host, out: true, in_: false, lasts },
        1 => Fault::Isolated { host, out: false, in_: true, lasts },
        2 => Fault::Isolated { host, out: true, in_: true, lasts },
        3 => Fault::Unplugged { host, lasts },
        4 => Fault::Stuck { host, ip, lasts },
        _ => {
            let to = (host + 1 + random.index(HOSTS - 1)) % HOSTS;
            Fault::Parted { from: host, to, lasts }
        }
    }
}

fn of_agent(random: &mut Random, host: HostId, ip: IpId, lasts: Millis) -> Fault {
    match random.between(0, 9) {
        0 | 1 => Fault::Restart { host, after: lasts },
        2 => Fault::Restart { host, after: lasts.min(1_500) },
        3 => Fault::Reload { host },
        4 => Fault::PowerOff { host, lasts },
        5 => Fault::Freeze { host, lasts },
        6 => Fault::Stop { host, after: lasts },
        7 => Fault::OldCopy { host, after: lasts },
        8 => Fault::LostCopy { host, after: lasts },
        _ => Fault::KilledAtDelete { host, ip, after: random.between(0, 40) },
    }
}

fn asks(random: &mut Random, host: HostId, ip: IpId) -> Fault {
    let want = match random.between(0, 9) {
        0..=2 => Want::Create(Wish::random(random)),
        3 | 4 => Want::Delete,
        5 => Want::Loss(Wish::random(random).loss),
        6 => Want::Lock,
        _ => Want::Failover,
    };
    Fault::Asks { host, ip, want }
}

impl Fault {
    /// After how long it is healed, if it is.
    pub(crate) fn lasts(self) -> Option<Millis> {
        match self {
            Fault::Cut { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::PowerOff { lasts, .. }
            | Fault::Freeze { lasts, .. }
            | Fault::Sick { lasts, .. }
            | Fault::AllSick { lasts, .. }
            | Fault::Stuck { lasts, .. }
            | Fault::Isolated { lasts, .. }
            | Fault::Parted { lasts, .. }
            | Fault::Unplugged { lasts, .. }
            | Fault::EtcdDown { lasts }
            | Fault::Refuses { lasts, .. }
            | Fault::StaleReads { lasts, .. }
            | Fault::Zombie { lasts, .. }
            | Fault::WriteLock { lasts, .. } => Some(lasts),
            Fault::Restart { after, .. }
            | Fault::OldCopy { after, .. }
            | Fault::LostCopy { after, .. } => Some(after),
            // Not before it has ended, which it does within six seconds.
            Fault::Stop { after, .. } => Some(after + 7_000),
            Fault::Reload { .. }
            | Fault::LeaderChange
            | Fault::Restore { .. }
            | Fault::Wiped { .. }
            | Fault::DeadWatch { .. }
            | Fault::LostDeletion { .. }
            | Fault::OldEvents { .. }
            | Fault::MassRevoke
            | Fault::DeleteLock { .. }
            | Fault::Revoke { .. }
            | Fault::DeleteRecord { .. }
            | Fault::GarbleRecord { .. }
            | Fault::Asks { .. }
            | Fault::KilledAtDelete { .. } => None,
        }
    }

    /// The hosts to which it is done; none if to all.
    pub(crate) fn victims(self) -> Vec<HostId> {
        match self {
            Fault::Cut { host, .. }
            | Fault::Slow { host, .. }
            | Fault::Restart { host, .. }
            | Fault::Reload { host }
            | Fault::PowerOff { host, .. }
            | Fault::Freeze { host, .. }
            | Fault::Stop { host, .. }
            | Fault::Sick { host, .. }
            | Fault::Stuck { host, .. }
            | Fault::Isolated { host, .. }
            | Fault::Unplugged { host, .. }
            | Fault::DeadWatch { host }
            | Fault::LostDeletion { host }
            | Fault::OldEvents { host }
            | Fault::StaleReads { host, .. }
            | Fault::Zombie { host, .. }
            | Fault::Revoke { host }
            | Fault::DeleteRecord { host, .. }
            | Fault::GarbleRecord { host, .. }
            | Fault::OldCopy { host, .. }
            | Fault::LostCopy { host, .. }
            | Fault::Asks { host, .. }
            | Fault::KilledAtDelete { host, .. } => vec![host],
            Fault::Parted { from, to, .. } => vec![from, to],
            Fault::AllSick { .. }
            | Fault::EtcdDown { .. }
            | Fault::Refuses { .. }
            | Fault::LeaderChange
            | Fault::Restore { .. }
            | Fault::Wiped { .. }
            | Fault::MassRevoke
            | Fault::DeleteLock { .. }
            | Fault::WriteLock { .. } => Vec::new(),
        }
    }
}
