//! What etcd says of the lock of an IP, of its holder and of its candidates; and the lease of this host.

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

/// Another host offers the address of an IP with another prefix length, so that both would own it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherPrefix {
    /// The address with the prefix length that the other host has; untrusted text.
    pub cidr: String,
    /// The other host.
    pub host: String,
}

/// What lies between two views of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gap {
    /// Nothing: every change was heard.
    None,
    /// The connection was lost: changes were missed, and etcd may have been restored from a snapshot
    /// that is almost as new as what was known.
    Reconnected,
    /// Revisions started again from an older one: etcd was restored from a snapshot.
    Restored,
    /// The cluster is another one, with revisions of its own.
    Replaced,
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
    /// The lease to which its candidacy is attached. The Go LinK attaches it to none (0), so that it
    /// cannot be told whether the host is alive.
    pub lease: i64,
    /// The revision at which its candidacy was written.
    pub written: i64,
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
