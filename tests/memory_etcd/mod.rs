//! etcd in memory: it carries out the transactions of the product with etcd's rules, and is cheap to
//! clone, to compare and to hash, for simulators and searches that hold many of them.
//!
//! Deterministic: it has no clock, so that whoever uses it says what time it is, and when leases that
//! are over are looked for. A test in `tests/lab` runs the same transactions against a real etcd.
//!
//! It remembers no past: what a transaction has changed is returned, and whoever needs a watch that
//! begins in the past keeps a [`History`].

#![allow(dead_code, reason = "each test program uses a part of it")]

mod check;
mod history;
mod lease;
mod transact;

use std::fmt;
use std::sync::Arc;

use link::etcd::{Gap, KeyState, Kv};

use self::lease::Lease;
#[allow(unused_imports, reason = "each test program uses a part of it")]
pub(crate) use self::{check::Refusal, history::History, lease::Millis};

/// The keys and leases of a cluster, at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MemoryEtcd {
    cluster: u64,
    revision: i64,
    /// In the order of their keys.
    entries: Vec<Entry>,
    /// In the order of their ids.
    leases: Vec<Lease>,
    last_lease: i64,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    key: Arc<str>,
    value: Arc<[u8]>,
    lease: i64,
    modified: i64,
}

/// What a revision has done to a key, as a watch tells it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) key: Arc<str>,
    pub(crate) revision: i64,
    /// The value and the lease; nothing if the key was deleted.
    put: Option<(Arc<[u8]>, i64)>,
}

impl MemoryEtcd {
    /// A cluster without keys. A new etcd is at revision 1.
    pub(crate) fn new(cluster: u64) -> MemoryEtcd {
        MemoryEtcd { cluster, revision: 1, entries: Vec::new(), leases: Vec::new(), last_lease: 0 }
    }

    /// The id of the cluster.
    pub(crate) fn cluster(&self) -> u64 {
        self.cluster
    }

    /// The revision of the last write.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// A key, if it exists.
    pub(crate) fn get(&self, key: &str) -> Option<Kv> {
        self.find(key).ok().map(|index| self.entries[index].kv())
    }

    /// All keys that begin with this text, in their order.
    pub(crate) fn get_prefix(&self, prefix: &str) -> Vec<Kv> {
        self.with_prefix(prefix).map(Entry::kv).collect()
    }

    /// What a subscriber to a key is told by a read.
    pub(crate) fn state_of(&self, key: &str, gap: Gap) -> KeyState {
        KeyState { kv: self.get(key), revision: self.revision, gap }
    }

    /// The data of this snapshot come back, in the same cluster; the revision goes back, and leases
    /// begin again. Ids of leases are not given twice.
    pub(crate) fn restore(&mut self, snapshot: &MemoryEtcd, now: Millis) {
        let last_lease = self.last_lease;
        self.clone_from(snapshot);
        self.last_lease = last_lease.max(self.last_lease);
        self.restart_leases(now);
    }

    /// Everything is gone, as in a cluster that was made anew.
    pub(crate) fn wipe(&mut self, cluster: u64) {
        *self = MemoryEtcd { last_lease: self.last_lease, ..MemoryEtcd::new(cluster) };
    }

    /// Where a key is, or would be.
    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.key).cmp(key))
    }

    /// Whether no key exists from one up to, but not including, another. As in etcd, an empty end
    /// means the first key alone, and a zero byte all keys after it.
    fn is_empty_between(&self, from: &str, to: &str) -> bool {
        if to.is_empty() {
            return self.find(from).is_err();
        }
        let first = self.entries.partition_point(|entry| *entry.key < *from);
        let next = self.entries.get(first);
        next.is_none_or(|entry| to != "\0" && *entry.key >= *to)
    }

    fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &Entry> {
        let first = self.entries.partition_point(|entry| *entry.key < *prefix);
        self.entries[first..].iter().take_while(move |entry| entry.key.starts_with(prefix))
    }
}

impl Entry {
    fn kv(&self) -> Kv {
        Kv {
            key: self.key.to_string(),
            value: self.value.to_vec(),
            lease: self.lease,
            mod_revision: self.modified,
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: ", self.key, self.revision)?;
        match &self.put {
            Some((value, lease)) => {
                write!(f, "{} with lease {lease}", String::from_utf8_lossy(value))
            }
            None => f.write_str("deleted"),
        }
    }
}

impl Change {
    /// What the subscriber to this key hears.
    pub(crate) fn state(&self) -> KeyState {
        let kv = self.put.as_ref().map(|(value, lease)| Kv {
            key: self.key.to_string(),
            value: value.to_vec(),
            lease: *lease,
            mod_revision: self.revision,
        });
        KeyState { kv, revision: self.revision, gap: Gap::None }
    }

    /// Whether the key was deleted.
    pub(crate) fn is_deletion(&self) -> bool {
        self.put.is_none()
    }
}
