//! The local copy of what is registered on a host, for a start without etcd.
//!
//! It is a copy of all, and behind it the changes since then, each on a line. The last line may have been
//! cut off by a crash: what comes before it counts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::group::Group;
use super::host::Instance;
use super::json;
use super::record::{Found, Record, RecordValue};
use crate::sorted::sort_by;
use crate::vip::{GroupName, VipId};

/// What a host knows of itself without etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalCopy {
    /// The name of the host.
    pub host: String,
    /// The lease of the agent that wrote the copy.
    pub lease: Option<i64>,
    /// The IPs that were registered, by address; their revisions are 0.
    pub records: Vec<Record>,
    /// The cluster of etcd in which they were; 0 if that is not known.
    pub cluster: u64,
    /// The revision at which this host wrote there last, of what the copy has; 0 if that is not known.
    pub written: i64,
    /// In which history of etcd that was; empty if that is not known.
    pub history: String,
    /// The machine that wrote the copy; nothing if the copy is older than machines are told apart.
    pub instance: Option<Instance>,
    /// IPs that were deleted while etcd was lost, so that their records may be there still.
    pub deleted: Vec<IpAddr>,
    /// Until when the host is drained, in seconds since 1970; 0: until it is told otherwise.
    pub drained_until: Option<u64>,
    /// What belongs to each group of which the host has IPs.
    pub groups: Vec<(GroupName, Group)>,
    /// What could not be understood: the id and why.
    pub skipped: Vec<String>,
}

/// The JSON of the local copy, and of a change: that has only the IPs that have come or changed.
#[derive(Debug, Serialize, Deserialize)]
struct LocalValue {
    hostname: String,
    lease_id: i64,
    ips: Vec<RecordValue>,
    #[serde(default)]
    cluster_id: u64,
    #[serde(default)]
    written: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    history: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Instance>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drained_until: Option<u64>,
    /// By name: `{"ips":["10.0.0.1/32"],"revision":7}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    groups: Map<String, Value>,
    /// The ids of IPs that were registered before a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<String>,
}

/// A group in the copy.
fn group_value(group: &Group) -> Value {
    let mut value = Map::new();
    let ips = group.members.iter().map(|cidr| cidr.to_string().into()).collect();
    value.insert("ips".to_owned(), Value::Array(ips));
    value.insert("revision".to_owned(), group.revision.into());
    value.into()
}

fn group_of(name: &str, value: &Value) -> Option<(GroupName, Group)> {
    let ips = value.get("ips")?.as_array()?.iter();
    let members = ips.filter_map(|text| text.as_str()?.parse().ok()).collect();
    let revision = value.get("revision")?.as_i64()?;
    Some((name.parse().ok()?, Group { members, revision }))
}

impl LocalCopy {
    /// The copy as it is written to disk, with these records instead of its own.
    pub fn to_bytes<'a>(&self, records: impl Iterator<Item = &'a Record>) -> Vec<u8> {
        self.line(records.map(RecordValue::from).collect(), Vec::new())
    }

    /// What is written behind a copy when these have changed since: the id of each, and its record if it is
    /// registered.
    pub fn change_to_bytes(&self, changed: &[(&VipId, Option<&Record>)]) -> Vec<u8> {
        let records = changed.iter().filter_map(|(_, record)| *record);
        let gone = changed.iter().filter(|(_, record)| record.is_none());
        let gone = gone.map(|(id, _)| id.to_string()).collect();
        self.line(records.map(RecordValue::from).collect(), gone)
    }

    fn line(&self, ips: Vec<RecordValue>, gone: Vec<String>) -> Vec<u8> {
        let mut groups = Map::new();
        for (name, group) in &self.groups {
            groups.insert(name.to_string(), group_value(group));
        }
        let mut line = json(&LocalValue {
            hostname: self.host.clone(),
            lease_id: self.lease.unwrap_or(0),
            ips,
            cluster_id: self.cluster,
            written: self.written,
            history: self.history.clone(),
            instance: self.instance.clone(),
            deleted: self.deleted.iter().map(IpAddr::to_string).collect(),
            drained_until: self.drained_until,
            groups,
            gone,
        });
        line.push(b'\n');
        line
    }

    /// Reads a copy. The error says why it is none.
    pub fn read(bytes: &[u8]) -> Result<LocalCopy, String> {
        let mut lines = serde_json::Deserializer::from_slice(bytes).into_iter::<LocalValue>();
        let mut copy = LocalCopy::default();
        let mut records = BTreeMap::new();
        match lines.next() {
            Some(Ok(value)) => copy.take(value, &mut records),
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("it is empty".to_owned()),
        }
        for line in lines {
            match line {
                Ok(value) => copy.take(value, &mut records),
                Err(error) => copy.skipped.push(format!("the end of the local copy: {error}")),
            }
        }
        copy.records = records.into_values().collect();
        copy.in_order();
        Ok(copy)
    }

    /// Goes on with what the next line says.
    fn take(&mut self, value: LocalValue, records: &mut BTreeMap<VipId, Record>) {
        self.host = value.hostname;
        self.lease = Some(value.lease_id).filter(|id| *id != 0);
        self.cluster = value.cluster_id;
        self.written = value.written;
        self.history = value.history;
        self.instance = value.instance;
        self.drained_until = value.drained_until;
        let groups = value.groups.iter().filter_map(|(name, value)| group_of(name, value));
        self.groups = groups.collect();
        self.deleted.clear();
        for text in &value.deleted {
            match text.parse() {
                Ok(address) => self.deleted.push(address),
                Err(_) => self.skipped.push(format!("deleted {text}: not an address")),
            }
        }
        for id in value.gone.iter().filter_map(|id| id.parse().ok()) {
            records.remove(&id);
        }
        for value in value.ips {
            let name = value.id.clone();
            match value.into_record(0) {
                Ok(None) => {}
                Ok(Some(Found { record, skipped })) => {
                    self.skipped.extend(skipped.map(|why| format!("{name}: {why}")));
                    records.insert(record.id.clone(), record);
                }
                Err(why) => self.skipped.push(format!("{name}: {why}")),
            }
        }
    }

    /// By address, each once.
    fn in_order(&mut self) {
        sort_by(&mut self.records, |a, b| a.cidr.cmp(&b.cidr));
        let LocalCopy { records, skipped, .. } = self;
        records.dedup_by(|next, one| {
            let address = one.cidr.addr();
            let same = next.cidr.addr() == address;
            let why = || format!("{}: {address} is already registered as {}", next.id, one.id);
            skipped.extend(same.then(why));
            same
        });
    }
}
