//! Leases: granted, renewed, revoked, and ended when nobody renews them.

use link::etcd::TimeToLive;

use super::{Change, MemoryEtcd};

/// A time in milliseconds, from whatever beginning.
pub(crate) type Millis = u64;

/// The shortest lease, in seconds: one and a half election timeouts, rounded up.
const SHORTEST: u32 = 2;

/// By how much more than its TTL a lease lives on when etcd has a new leader: the election timeout.
const EXTENSION: Millis = 1_000;

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    id: i64,
    /// In seconds.
    ttl: u32,
    until: Millis,
}

impl MemoryEtcd {
    /// Grants a lease of so many seconds.
    pub(crate) fn grant(&mut self, ttl: u32, now: Millis) -> i64 {
        let id = self.last_lease + 1;
        self.grant_as(id, ttl, now);
        id
    }

    /// Grants a lease with an id that its client has chosen, and that is not in use.
    pub(crate) fn grant_as(&mut self, id: i64, ttl: u32, now: Millis) {
        let ttl = ttl.max(SHORTEST);
        let place = self.place_of(id).expect_err("the id is free");
        self.leases.insert(place, Lease { id, ttl, until: now + Millis::from(ttl) * 1_000 });
        self.last_lease = self.last_lease.max(id);
    }

    /// Renews a lease and tells its TTL in seconds; nothing if it is gone, or over and about to be
    /// revoked.
    pub(crate) fn renew(&mut self, id: i64, now: Millis) -> Option<u32> {
        let place = self.place_of(id).ok()?;
        let lease = &mut self.leases[place];
        if lease.is_over(now) {
            return None;
        }
        lease.until = now + Millis::from(lease.ttl) * 1_000;
        Some(lease.ttl)
    }

    /// What is left of a lease.
    pub(crate) fn time_to_live(&self, id: i64, now: Millis) -> TimeToLive {
        let Ok(place) = self.place_of(id) else {
            return TimeToLive { left: -1, granted: 0 };
        };
        let Lease { ttl, until, .. } = self.leases[place];
        let left = until.saturating_sub(now) / 1_000;
        TimeToLive { left: i64::try_from(left).unwrap_or(i64::MAX), granted: i64::from(ttl) }
    }

    /// The keys that are attached to a lease, in their order.
    pub(crate) fn attached(&self, id: i64) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |entry| entry.lease == id).map(|entry| &*entry.key)
    }

    /// Ends a lease with everything attached to it; nothing if it does not exist.
    pub(crate) fn revoke(&mut self, id: i64) -> Option<Vec<Change>> {
        let place = self.place_of(id).ok()?;
        self.leases.remove(place);
        Some(self.delete_attached(id))
    }

    /// Ends the leases whose time is over, one after the other.
    pub(crate) fn expire(&mut self, now: Millis) -> Vec<Change> {
        let over: Vec<i64> =
            self.leases.iter().filter(|lease| lease.is_over(now)).map(|lease| lease.id).collect();
        over.into_iter().filter_map(|id| self.revoke(id)).flatten().collect()
    }

    /// As after a restart of etcd or the election of its leader: all leases begin again.
    pub(crate) fn restart_leases(&mut self, now: Millis) {
        for lease in &mut self.leases {
            lease.until = now + EXTENSION + Millis::from(lease.ttl) * 1_000;
        }
    }

    /// Whether a lease exists.
    pub(crate) fn has_lease(&self, id: i64) -> bool {
        self.place_of(id).is_ok()
    }

    /// The ids of all leases, in order.
    pub(crate) fn lease_ids(&self) -> impl Iterator<Item = i64> {
        self.leases.iter().map(|lease| lease.id)
    }

    fn place_of(&self, id: i64) -> Result<usize, usize> {
        self.leases.binary_search_by_key(&id, |lease| lease.id)
    }
}

impl Lease {
    fn is_over(&self, now: Millis) -> bool {
        now >= self.until
    }
}
