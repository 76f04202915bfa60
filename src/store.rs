//! The keys in etcd and the formats of their values, shared with the Go LinK.
//!
//! | key | value | lease |
//! |---|---|---|
//! | `/link/hosts/<host>/<id>` | a [`Record`] | none |
//! | `/link/config/<host>` | a `HostValue` | none |
//!
//! The keys of the elections are the business of [`crate::lock`].
//!
//! Everything here is a pure function: from what is wanted to a transaction, from its outcome to
//! what it means. What is read is untrusted: what cannot be understood is named and skipped.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod record;

use serde::{Deserialize, Serialize};

pub use self::record::Record;
use self::record::{Found, RecordValue};
use crate::etcd::{Compare, Kv, Op, Reply, Txn};
use crate::vip::VipId;

/// The format of the records; the Go LinK converts what is older than its own.
const DATA_VERSION: u32 = 3;

fn records_prefix(host: &str) -> String {
    format!("/link/hosts/{host}/")
}

fn record_key(host: &str, id: &VipId) -> String {
    format!("{}{id}", records_prefix(host))
}

fn host_key(host: &str) -> String {
    format!("/link/config/{host}")
}

/// What is stored about a host.
#[derive(Debug, Serialize, Deserialize)]
struct HostValue {
    hostname: String,
    lease_id: i64,
    data_version: u32,
}

/// The local copy.
#[derive(Debug, Serialize, Deserialize)]
struct LocalValue {
    hostname: String,
    lease_id: i64,
    ips: Vec<RecordValue>,
}

/// What etcd knows of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The lease of its last life.
    pub lease: Option<i64>,
    /// The revision at which that was written; 0 if never.
    pub lease_revision: i64,
    /// The IPs that are registered on it.
    pub records: Vec<Record>,
    /// What could not be understood: the key and why.
    pub skipped: Vec<String>,
}

/// Somebody else has changed what was to be written; it is now at this revision (0: it is gone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict(pub i64);

/// Reads everything that etcd knows of a host.
pub fn load_txn(host: &str) -> Txn {
    Txn::read(vec![Op::Get(host_key(host)), Op::GetPrefix(records_prefix(host))])
}

/// What [`load_txn`] has found.
pub fn loaded(host: &str, reply: &Reply) -> Stored {
    let mut stored = Stored::default();
    if let Some(kv) = reply.kvs(0).first() {
        stored.lease_revision = kv.mod_revision;
        match serde_json::from_slice::<HostValue>(&kv.value) {
            Ok(value) => stored.lease = Some(value.lease_id).filter(|id| *id != 0),
            Err(error) => stored.skipped.push(format!("{}: {error}", kv.key)),
        }
    }
    for kv in reply.kvs(1) {
        add_found(&mut stored, record(host, kv), &kv.key);
    }
    stored
}

/// Adds what a value was found to be, and what of it is skipped.
fn add_found(stored: &mut Stored, found: Result<Option<Found>, String>, name: &str) {
    let skipped = match found {
        Ok(None) => None,
        Ok(Some(Found { record, skipped })) => {
            add_record(stored, record, name);
            skipped
        }
        Err(error) => Some(error),
    };
    stored.skipped.extend(skipped.map(|why| format!("{name}: {why}")));
}

fn add_record(stored: &mut Stored, record: Record, name: &str) {
    let address = record.cidr.addr();
    match stored.records.iter().find(|other| other.cidr.addr() == address) {
        None => stored.records.push(record),
        Some(other) => {
            let why = format!("{name}: {address} is already registered as {}", other.id);
            stored.skipped.push(why);
        }
    }
}

/// Reads one record; nothing if it belongs to another plugin of the Go LinK.
fn record(host: &str, kv: &Kv) -> Result<Option<Found>, String> {
    let value: RecordValue =
        serde_json::from_slice(&kv.value).map_err(|error| error.to_string())?;
    let found = value.into_record(kv.mod_revision)?;
    match &found {
        Some(Found { record, .. }) if kv.key != record_key(host, &record.id) => {
            Err(format!("the id inside is {}", record.id))
        }
        Some(_) | None => Ok(found),
    }
}

/// A copy of what etcd knows of a host, for the local disk.
pub fn local_copy<'a>(
    host: &str,
    lease: Option<i64>,
    records: impl Iterator<Item = &'a Record>,
) -> Vec<u8> {
    let ips = records.map(RecordValue::from).collect();
    json(&LocalValue { hostname: host.to_owned(), lease_id: lease.unwrap_or(0), ips })
}

/// Reads such a copy; one of another host is none.
pub fn read_local_copy(host: &str, copy: &[u8]) -> Result<Stored, String> {
    let value: LocalValue = serde_json::from_slice(copy).map_err(|error| error.to_string())?;
    if value.hostname != host {
        return Err(format!("it is that of host {:?}", value.hostname));
    }
    let mut stored =
        Stored { lease: Some(value.lease_id).filter(|id| *id != 0), ..Stored::default() };
    for value in value.ips {
        let name = value.id.clone();
        add_found(&mut stored, value.into_record(0), &name);
    }
    Ok(stored)
}

/// Writes a record, if it still is at the revision that it carries (0: if it does not exist).
pub fn write_record_txn(host: &str, record: &Record) -> Txn {
    guarded_write(record_key(host, &record.id), record.revision, record_value(record))
}

/// The revision of a record that was written.
pub fn record_written(record: &Record, reply: &Reply) -> Result<i64, Conflict> {
    written(&record_value(record), reply)
}

fn record_value(record: &Record) -> Vec<u8> {
    json(&RecordValue::from(record))
}

/// Deletes a record, if it still is at the revision that it carries.
pub fn delete_record_txn(host: &str, record: &Record) -> Txn {
    let key = record_key(host, &record.id);
    Txn {
        when: vec![Compare::ModRevision(key.clone(), record.revision)],
        then: vec![Op::Delete(key.clone())],
        otherwise: vec![Op::Get(key)],
    }
}

/// Deletes a record, whatever it is: one that this process has made up and nobody was told of.
pub fn drop_record_txn(host: &str, id: &VipId) -> Txn {
    Txn { then: vec![Op::Delete(record_key(host, id))], ..Txn::default() }
}

/// Whether a record is gone.
pub fn record_deleted(reply: &Reply) -> Result<(), Conflict> {
    match reply.kvs(0).first() {
        Some(kv) if !reply.succeeded => Err(Conflict(kv.mod_revision)),
        Some(_) | None => Ok(()),
    }
}

/// Writes down the lease of this host, so that its next life can resume it.
pub fn save_lease_txn(host: &str, lease: i64, revision: i64) -> Txn {
    guarded_write(host_key(host), revision, host_value(host, lease))
}

/// The revision of the lease that was written down.
pub fn lease_saved(host: &str, lease: i64, reply: &Reply) -> Result<i64, Conflict> {
    written(&host_value(host, lease), reply)
}

fn host_value(host: &str, lease: i64) -> Vec<u8> {
    json(&HostValue { hostname: host.to_owned(), lease_id: lease, data_version: DATA_VERSION })
}

fn guarded_write(key: String, revision: i64, value: Vec<u8>) -> Txn {
    let unchanged = match revision {
        0 => Compare::Absent(key.clone()),
        revision => Compare::ModRevision(key.clone(), revision),
    };
    Txn {
        when: vec![unchanged],
        then: vec![Op::Put { key: key.clone(), value, lease: 0 }],
        otherwise: vec![Op::Get(key)],
    }
}

/// A write that was repeated after an unknown outcome finds its own value.
fn written(value: &[u8], reply: &Reply) -> Result<i64, Conflict> {
    match reply.kvs(0).first() {
        _ if reply.succeeded => Ok(reply.revision),
        Some(kv) if kv.value == value => Ok(kv.mod_revision),
        Some(kv) => Err(Conflict(kv.mod_revision)),
        None => Err(Conflict(0)),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with text keys are always JSON")
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
