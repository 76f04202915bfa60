//! What the agents have in etcd: records, candidacies, locks, and the key of each host.

use serde_json::Value;

use super::etcdctl::Entry;
use super::host::HostId;
use super::lab::Lab;
use super::vip::Vip;

/// The key of a record.
pub(crate) fn record_key(host: &str, id: &str) -> String {
    format!("/link/hosts/{host}/{id}")
}

/// The key of the lock of a VIP.
pub(crate) fn lock_key(vip: Vip) -> String {
    format!("/link/default/{}", vip.election_key())
}

impl Lab {
    /// All records of a host, in the order of their keys.
    pub(crate) fn records(&self, host: HostId) -> Vec<Entry> {
        self.etcd.list(&record_key(&host.to_string(), ""))
    }

    /// The record of a VIP on a host.
    #[track_caller]
    pub(crate) fn record(&self, host: HostId, vip: Vip) -> Entry {
        let found = self.find_record(host, vip);
        found.unwrap_or_else(|| panic!("{host} has no record of {vip} in etcd"))
    }

    /// The record of a VIP on a host, if there is one that can be read.
    pub(crate) fn find_record(&self, host: HostId, vip: Vip) -> Option<Entry> {
        let is_it = |entry: &Entry| {
            let record: Option<Value> = serde_json::from_str(&entry.value).ok();
            record.is_some_and(|record| record["ip"] == vip.to_string())
        };
        self.records(host).into_iter().find(is_it)
    }

    /// Deletes all records of a host.
    pub(crate) fn delete_records(&self, host: HostId) {
        self.etcd.ctl(&["del", "--prefix", &record_key(&host.to_string(), "")]);
    }

    /// The lease that a host has written down, or 0.
    pub(crate) fn lease_of(&self, host: HostId) -> i64 {
        let key = self.etcd.get(&format!("/link/config/{host}"));
        let record: Option<Value> = key.and_then(|key| serde_json::from_str(&key.value).ok());
        record.and_then(|record| record["lease_id"].as_i64()).unwrap_or_default()
    }

    /// Attaches a key to a lease.
    pub(crate) fn put_leased(&self, lease: i64, key: &str, value: &str) {
        self.etcd.changes_by_hand(key);
        self.etcd.ctl(&["put", &format!("--lease={lease:x}"), "--", key, value]);
    }

    /// Does what a host does that offers a VIP, and nothing else: it is a candidate for ever.
    pub(crate) fn put_candidacy(&self, host: &str, vip: Vip) {
        let key = format!("/link/ips/{}/{host}", vip.election_key());
        self.etcd.put(&key, r#"{"updated_at":"2026-11-22T07:35:39.486007637Z"}"#);
    }
}
