//! The local copy of what is registered on a host, for a start without etcd.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::host::Instance;
use super::json;
use super::record::{Found, Record, RecordValue};

/// What a host knows of itself without etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalCopy {
    /// The name of the host.
    pub host: String,
    /// The lease of the agent that wrote the copy.
    pub lease: Option<i64>,
    /// The IPs that were registered; their revisions are 0.
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
    /// What could not be understood: the id and why.
    pub skipped: Vec<String>,
}

/// The JSON of the local copy.
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
}

impl LocalCopy {
    /// The copy as it is written to disk, with these records instead of its own.
    pub fn to_bytes<'a>(&self, records: impl Iterator<Item = &'a Record>) -> Vec<u8> {
        json(&LocalValue {
            hostname: self.host.clone(),
            lease_id: self.lease.unwrap_or(0),
            ips: records.map(RecordValue::from).collect(),
            cluster_id: self.cluster,
            written: self.written,
            history: self.history.clone(),
            instance: self.instance.clone(),
            deleted: self.deleted.iter().map(IpAddr::to_string).collect(),
            drained_until: self.drained_until,
        })
    }

    /// Reads a copy. The error says why it is none.
    pub fn read(bytes: &[u8]) -> Result<LocalCopy, String> {
        let value: LocalValue = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut copy = LocalCopy {
            host: value.hostname,
            lease: Some(value.lease_id).filter(|id| *id != 0),
            cluster: value.cluster_id,
            written: value.written,
            history: value.history,
            instance: value.instance,
            drained_until: value.drained_until,
            ..LocalCopy::default()
        };
        for text in &value.deleted {
            match text.parse() {
                Ok(address) => copy.deleted.push(address),
                Err(_) => copy.skipped.push(format!("deleted {text}: not an address")),
            }
        }
        for value in value.ips {
            let name = value.id.clone();
            match value.into_record(0) {
                Ok(None) => {}
                Ok(Some(Found { record, skipped })) => {
                    copy.skipped.extend(skipped.map(|why| format!("{name}: {why}")));
                    copy.add(record);
                }
                Err(why) => copy.skipped.push(format!("{name}: {why}")),
            }
        }
        Ok(copy)
    }

    fn add(&mut self, record: Record) {
        let address = record.cidr.addr();
        match self.records.iter().find(|other| other.cidr.addr() == address) {
            None => self.records.push(record),
            Some(other) => {
                let why = format!("{}: {address} is already registered as {}", record.id, other.id);
                self.skipped.push(why);
            }
        }
    }
}
