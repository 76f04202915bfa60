//! What may go wrong, and a plan of when it does.

use crate::random::Random;
use crate::world::Millis;

/// Hosts are numbered from 0.
pub(crate) type HostId = usize;

/// Something that goes wrong, or that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing gets through between a host and etcd, in one direction or in both.
    Cut { host: HostId, to_etcd: bool, from_etcd: bool, lasts: Millis },
    /// A host's connection is slow.
    Slow { host: HostId, lasts: Millis },
    /// The agent is killed and started again; its address stays.
    Restart { host: HostId, after: Millis },
    /// The host loses power and boots again; its address is gone.
    PowerOff { host: HostId, lasts: Millis },
    /// The agent does not run for a while (SIGSTOP, a snapshot of a virtual machine).
    Freeze { host: HostId, lasts: Millis },
    /// The agent is told to stop, hands over, and is started again.
    Stop { host: HostId, after: Millis },
    /// The service behind the IP does not answer.
    Sick { host: HostId, lasts: Millis },
    /// It does not answer on any host.
    AllSick { lasts: Millis },
    /// Nothing gets through between a host and the network of the IP, in one direction or in both.
    Isolated { host: HostId, out: bool, in_: bool, lasts: Millis },
    /// Nothing gets through on that network from one host to one other.
    Parted { from: HostId, to: HostId, lasts: Millis },
    /// The interface of the IP has no carrier.
    Unplugged { host: HostId, lasts: Millis },
    /// etcd is down on all members.
    EtcdDown { lasts: Millis },
    /// etcd elects a leader: all leases begin again.
    LeaderChange,
    /// etcd is restored from a snapshot of a moment ago.
    Restore,
    /// The watch of a host dies without a word.
    DeadWatch { host: HostId },
    /// The lock is deleted by hand.
    DeleteLock,
    /// The lease of a host is revoked by hand.
    Revoke { host: HostId },
    /// An operator hands the IP over.
    Failover { host: HostId },
    /// An operator asks for the lock.
    LockNow { host: HostId },
}

/// Faults with their times, in order.
pub(crate) type Plan = Vec<(Millis, Fault)>;

/// A random plan: bursts of faults with quiet times in between, in which everything must heal.
pub(crate) fn plan(random: &mut Random, hosts: usize, bursts: u64) -> Plan {
    let mut plan = Plan::new();
    let mut at = 10_000;
    for _ in 0..bursts {
        for _ in 0..random.between(1, 6) {
            plan.push((at, fault(random, hosts)));
            at += random.between(0, 4_000);
        }
        at += random.between(1_000, 40_000);
    }
    plan
}

fn fault(random: &mut Random, hosts: usize) -> Fault {
    let host = random.index(hosts);
    let lasts = match random.between(0, 2) {
        0 => random.between(10, 500),
        1 => random.between(500, 4_000),
        _ => random.between(4_000, 20_000),
    };
    match random.between(0, 24) {
        0 => Fault::Cut { host, to_etcd: true, from_etcd: false, lasts },
        1 => Fault::Cut { host, to_etcd: false, from_etcd: true, lasts },
        2 | 3 => Fault::Cut { host, to_etcd: true, from_etcd: true, lasts },
        4 => Fault::Slow { host, lasts },
        5 => Fault::Restart { host, after: lasts },
        6 => Fault::Restart { host, after: lasts.min(1_500) },
        7 => Fault::PowerOff { host, lasts },
        8 => Fault::Freeze { host, lasts },
        9 => Fault::Sick { host, lasts },
        10 => Fault::EtcdDown { lasts },
        11 => Fault::LeaderChange,
        12 => Fault::Restore,
        13 => Fault::DeadWatch { host },
        14 => Fault::DeleteLock,
        15 => Fault::Revoke { host },
        16 => Fault::Stop { host, after: lasts },
        17 => Fault::AllSick { lasts: lasts * 2 },
        18 => Fault::Isolated { host, out: true, in_: false, lasts },
        19 => Fault::Isolated { host, out: false, in_: true, lasts },
        20 => Fault::Isolated { host, out: true, in_: true, lasts },
        21 => Fault::Unplugged { host, lasts },
        22 => Fault::EtcdDown { lasts: lasts * 2 },
        23 => Fault::Parted { from: host, to: (host + 1 + random.index(hosts - 1)) % hosts, lasts },
        _ if random.one_in(2) => Fault::Failover { host },
        _ => Fault::LockNow { host },
    }
}
