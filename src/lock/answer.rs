//! What etcd says of the lock of an IP, of its holder and of its candidates; and the lease of this host.

use crate::network::Mac;
use crate::preference::Preference;
use crate::vip::{ElectionKey, GroupName};

/// The lock at a revision of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct OtherPrefix {
    /// The address with the prefix length that the other host has; untrusted text.
    pub cidr: String,
    /// The other host.
    pub host: String,
}

/// What lies between two views of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct Holder {
    /// Its host name; or the name of a group's lock, if the IP belongs to a group ([`Holder::group`]).
    pub host: String,
    /// The lease to which the lock is attached; 0 if to none.
    pub lease: i64,
    /// The revision at which the lock was last written, by its owner or by a host that acknowledged it.
    pub written: i64,
}

impl Holder {
    /// The group to which the IP belongs, if the lock says that: it names the lock of the group, and has no lease.
    /// Nobody owns the IP by itself then; the owner of the group does. To whoever knows no groups, a Go LinK too,
    /// it is a lock that another host holds.
    pub fn group(&self) -> Option<GroupName> {
        if self.lease == 0 { ElectionKey::group_of(&self.host) } else { None }
    }

    /// Whether the IP belongs to a group.
    pub fn is_group(&self) -> bool {
        self.lease == 0 && self.host.starts_with(ElectionKey::GROUP)
    }
}

/// What a request to etcd has found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct LockAnswer {
    /// The lock after the request.
    pub lock: LockView,
    /// The guard held: what was asked for was done.
    pub succeeded: bool,
    /// The other hosts that are candidates, the preferred ones first; none if they were not read.
    pub others: Option<Vec<Candidate>>,
    /// What became of this host's own candidacy, if the request was to change it.
    pub own: Option<Advertised>,
}

/// What became of a candidacy that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Advertised {
    /// It was written, at this revision.
    Written(i64),
    /// It is not at the revision that was expected but at this one (0: it does not exist), and was left
    /// as it is.
    Changed(i64),
}

/// Another host that offers the IP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
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
    /// The hardware address of its interface: that is where its announcements come from. The Go LinK
    /// and older agents do not tell.
    pub hardware_address: Option<Mac>,
    /// Who is first among the candidates.
    pub preference: Preference,
}

/// This host's lease, as far as it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Lease {
    /// None yet: etcd has not been heard since the start.
    None,
    /// Kept alive.
    Held(i64),
    /// As many renewals as configured have failed: etcd cannot be reached.
    Lost,
}
