//! What may go wrong, and what somebody may do.

use crate::cluster::Service;
use crate::memory_etcd::Millis;
use crate::setup::{Group, HOSTS, HostId, IpId};
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
    /// The whole machine stands still for a while (a virtual machine that migrates).
    Suspend {
        host: HostId,
        lasts: Millis,
    },
    /// The supervisor of the agent has other things to do for a while.
    Busy {
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
    /// The kernel drops an address and does not take it (IPv6 is switched off, memory is short).
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
    /// Nothing gets through on that network between some hosts and the others, in one direction or in both.
    Split {
        group: Group,
        out: bool,
        in_: bool,
        lasts: Millis,
    },
    /// Nothing gets through on that network at all, for a moment.
    Pause {
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
    /// etcd has no leader: nothing is answered; then all leases begin again.
    Leaderless {
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
    /// What the watch of a host tells comes late, while requests work.
    LateWatch {
        host: HostId,
        lasts: Millis,
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
    /// Another machine comes up under the name of a host, perhaps with a copy of its disk.
    Twin {
        host: HostId,
        lasts: Millis,
    },
    /// A Go LinK serves an IP, too, and is stopped.
    GoLink {
        ip: IpId,
        lasts: Millis,
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
            | Fault::Split { lasts, .. }
            | Fault::Pause { lasts }
            | Fault::Suspend { lasts, .. }
            | Fault::Busy { lasts, .. }
            | Fault::LateWatch { lasts, .. }
            | Fault::Unplugged { lasts, .. }
            | Fault::EtcdDown { lasts }
            | Fault::Leaderless { lasts }
            | Fault::Refuses { lasts, .. }
            | Fault::StaleReads { lasts, .. }
            | Fault::Zombie { lasts, .. }
            | Fault::WriteLock { lasts, .. }
            | Fault::Twin { lasts, .. }
            | Fault::GoLink { lasts, .. } => Some(lasts),
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
            | Fault::Suspend { host, .. }
            | Fault::Busy { host, .. }
            | Fault::LateWatch { host, .. }
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
            // The gateway is no host.
            Fault::Parted { from, to, .. } => {
                [from, to].into_iter().filter(|host| *host < HOSTS).collect()
            }
            Fault::Split { .. } => (0..HOSTS).collect(),
            Fault::AllSick { .. }
            | Fault::EtcdDown { .. }
            | Fault::Leaderless { .. }
            | Fault::Refuses { .. }
            | Fault::LeaderChange
            | Fault::Restore { .. }
            | Fault::Wiped { .. }
            | Fault::MassRevoke
            | Fault::DeleteLock { .. }
            | Fault::WriteLock { .. }
            // It moves nothing.
            | Fault::Pause { .. }
            // It does nothing to anybody.
            | Fault::Twin { .. }
            | Fault::GoLink { .. } => Vec::new(),
        }
    }
}
