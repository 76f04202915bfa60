//! What the threads have counted, and what they know at the moment of a scrape.

use std::time::Duration;

use super::histogram::Histogram;
use crate::fsm::{Event, State};
use crate::vip::Cidr;

/// All that a scrape tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What the supervisor knows.
    pub host: HostCounts,
    /// What the actuator knows.
    pub network: NetworkCounts,
    /// What the client of etcd knows.
    pub etcd: EtcdCounts,
    /// Within which time what is acted on.
    pub budgets: Vec<Budget>,
    /// The files with certificates of the API.
    pub certificates: Vec<CertificateExpiry>,
    /// The process.
    pub process: Process,
}

/// What is known of this host and its IPs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// The IPs that are registered here.
    pub vips: Vec<VipCounts>,
    /// etcd renews the lease and carries out what it is asked for.
    pub etcd_up: bool,
    /// Until the lease ends, if it is not renewed; none if there is none.
    pub lease_remaining: Option<Duration>,
    /// How long IPs were bound here without the lock, of all IPs together.
    pub dual_ownership: Duration,
    /// How long it took to take IPs that another host had.
    pub failovers: Failovers,
    /// The host is drained.
    pub drained: bool,
    /// How many problems `GET /health` lists.
    pub problems: u64,
    /// The hooks that are configured.
    pub hooks: Vec<HookCounts>,
}

/// What a hook was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookCounts {
    /// The variable that names it.
    pub hook: &'static str,
    /// Notifications that were delivered.
    pub delivered: u64,
    /// Attempts that have failed.
    pub failed: u64,
    /// Notifications that are not delivered any more.
    pub dropped: u64,
    /// Notifications that wait, or are being delivered.
    pub queued: u64,
}

/// How long it took until IPs that another host had were bound here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failovers {
    /// Of those whose host was silent: since it fell silent.
    pub crash: Histogram,
    /// Of those whose lock was given to this host, or free: since that was known here.
    pub handover: Histogram,
}

/// What is known of an IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipCounts {
    /// The IP.
    pub cidr: Cidr,
    /// Its state.
    pub state: State,
    /// This host holds the lock in etcd, as last seen.
    pub lock_held: bool,
    /// Another machine is heard to have it, too.
    pub conflict: bool,
    /// Whether the host of the owner on which this one waits is heard on the network, if it is monitored.
    pub owner_heard: Option<bool>,
    /// Its health checks, as people read them, each once, and whether they count as up; without those that have not
    /// found anything yet.
    pub checks: Vec<(String, bool)>,
    /// How many health checks have failed.
    pub check_failures: u64,
    /// How often its state has changed, by the events in the order of [`Event::ALL`].
    pub transitions: [u64; Event::ALL.len()],
}

/// What is known of the kernel and of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkCounts {
    /// The addresses that are managed.
    pub addresses: Vec<Address>,
    /// The interfaces that they are on.
    pub interfaces: Vec<InterfaceCounts>,
    /// First announcements, repeats and refreshes that have left, of IPv4 and of IPv6.
    pub announcements: [[u64; 3]; 2],
    /// Announcements that the kernel did not take.
    pub announcement_failures: u64,
    /// How often another program had changed an address and that was undone.
    pub restored: u64,
}

/// An address that is managed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub cidr: Cidr,
    /// The interface that it belongs on.
    pub interface: String,
    /// The kernel has it there.
    pub bound: bool,
}

/// What is known of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceCounts {
    /// Its name.
    pub name: String,
    /// It is up and has a carrier.
    pub usable: bool,
    /// Whether other hosts are heard there, if that is known.
    pub hears_others: Option<bool>,
}

/// What was asked of etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdCounts {
    /// How long transactions took that were answered.
    pub transactions: Histogram,
    /// How long renewals of the lease took that were answered.
    pub renewals: Histogram,
    /// Requests that were not answered, or in a way that does not say what was done.
    pub unreachable: u64,
    /// Requests for which the credentials were refused.
    pub auth: u64,
    /// Requests whose lease did not exist.
    pub lease_not_found: u64,
    /// Requests that etcd has refused for another reason.
    pub refused: u64,
    /// The files with certificates that are in use.
    pub certificates: Vec<CertificateExpiry>,
}

/// A file with certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// Its path.
    pub file: String,
    /// Since 1970 (UTC), when the first certificate in it ends.
    pub ends: Duration,
}

/// Within which time something is acted on, as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What, in a word.
    pub kind: &'static str,
    /// The time.
    pub within: Duration,
}

/// What the kernel tells of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Since 1970 (UTC), when this life of the agent began.
    pub started: Duration,
    /// Processor time.
    pub cpu: Duration,
    /// Memory that is there.
    pub resident_bytes: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// Threads.
    pub threads: u64,
}
