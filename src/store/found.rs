//! What etcd has of a host, as a start reads it and a comparison.

use super::group::{self, Group};
use super::host::{Claim, HostKey, read_claim, read_host};
use super::record::{self, Record, RecordValue, record_key};
use super::records_prefix;
use crate::etcd::{Kv, Reply};
use crate::vip::{GroupName, VipId};

/// Bytes of the name of a history, at most.
const MAX_HISTORY: usize = 64;

/// What etcd knows of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The host itself; nothing if it was never written.
    pub host: Option<HostKey>,
    /// Other machines that start under its name.
    pub claims: Vec<Claim>,
    /// The IPs that are registered on it, one for each address.
    pub records: Vec<Record>,
    /// The revision at which this host wrote a record or itself last; 0 if it never did.
    pub written: i64,
    /// The name of the history in which that was; empty if the mark has none, as those of older agents.
    pub history: String,
    /// Other hosts have IPs registered.
    pub others: bool,
    /// What belongs to each group.
    pub groups: Vec<(GroupName, Group)>,
    /// What could not be understood, or is there twice.
    pub unreadable: Vec<Unreadable>,
}

/// A value that could not be understood, or not as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The IP whose record it is, if the key tells that.
    pub id: Option<VipId>,
    /// The revision at which it was written.
    pub revision: i64,
    /// The key and why.
    pub why: String,
}

pub(super) fn found(host: &str, reply: &Reply) -> Found {
    let mut found = Found::default();
    if let Some(kv) = reply.kvs(0).first() {
        match read_host(kv) {
            Ok(host) => found.host = Some(host),
            Err(why) => {
                found.host = Some(HostKey { revision: kv.mod_revision, ..HostKey::default() });
                found.skip(None, kv, &why);
            }
        }
    }
    found.others = reply.nested.first().is_some_and(|alone| !alone.succeeded);
    found.claims = reply.kvs(1).iter().map(read_claim).collect();
    found.groups = reply.kvs(4).iter().filter_map(group::read_group).collect();
    for kv in reply.kvs(2) {
        found.add(host, kv);
    }
    if let Some(mark) = reply.kvs(3).first() {
        found.written = mark.mod_revision;
        let name = std::str::from_utf8(&mark.value).unwrap_or_default();
        let is_one = name.len() <= MAX_HISTORY && !name.contains('/');
        found.history = if is_one { name.to_owned() } else { String::new() };
    }
    found
}

impl Found {
    fn add(&mut self, host: &str, kv: &Kv) {
        let id = kv.key.strip_prefix(&records_prefix(host)).and_then(|id| id.parse().ok());
        let record::Found { record, skipped } = match record_of(host, kv) {
            // It belongs to another plugin.
            Ok(None) => return,
            Ok(Some(found)) => found,
            Err(why) => return self.skip(id, kv, &why),
        };
        let same = |other: &&Record| other.cidr.addr() == record.cidr.addr();
        if let Some(other) = self.records.iter().find(same) {
            let why = format!("{} is already registered as {}", record.cidr.addr(), other.id);
            self.skip(None, kv, &why);
        } else {
            self.records.push(record);
        }
        if let Some(why) = skipped {
            self.skip(None, kv, &why);
        }
    }

    fn skip(&mut self, id: Option<VipId>, kv: &Kv, why: &str) {
        let why = format!("{}: {why}", kv.key);
        self.unreadable.push(Unreadable { id, revision: kv.mod_revision, why });
    }
}

/// Reads one record of a host; nothing if it belongs to another plugin of the Go LinK.
pub fn read_record(host: &str, kv: &Kv) -> Result<Option<Record>, String> {
    record_of(host, kv).map(|found| found.map(|found| found.record))
}

pub(super) fn record_of(host: &str, kv: &Kv) -> Result<Option<record::Found>, String> {
    let value: RecordValue =
        serde_json::from_slice(&kv.value).map_err(|error| error.to_string())?;
    let found = value.into_record(kv.mod_revision)?;
    match &found {
        Some(record::Found { record, .. }) if kv.key != record_key(host, &record.id) => {
            Err(format!("the id inside is {}", record.id))
        }
        Some(_) | None => Ok(found),
    }
}
