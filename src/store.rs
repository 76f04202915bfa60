//! The keys in etcd and the formats of their values, shared with the Go LinK.
//!
//! | key | value | lease |
//! |---|---|---|
//! | `/link/default/<election key>` | the owner's host name | the owner's |
//! | `/link/ips/<election key>/<host>` | an `OfferValue` | the host's |
//! | `/link/hosts/<host>/<id>` | a [`Record`] | none |
//! | `/link/config/<host>` | a `HostValue` | none |
//!
//! Everything here is a pure function: from what is wanted to a transaction, from its outcome to
//! what it means. What is read is untrusted: what cannot be understood is named and skipped.

mod record;

use serde::{Deserialize, Serialize};

pub use self::record::Record;
use self::record::RecordValue;
use crate::election::message::{Holder, LockAnswer, LockView, Offer, Request};
use crate::etcd::{Compare, KeyState, Kv, Op, Reply, Txn};
use crate::vip::{Cidr, VipId};

/// The prefix of all locks.
pub const LOCKS: &str = "/link/default/";

/// The format of the records; the Go LinK converts what is older than its own.
const DATA_VERSION: u32 = 3;

/// The lock of an IP.
pub fn lock_key(cidr: Cidr) -> String {
    format!("{LOCKS}{}", cidr.election_key())
}

/// The prefix of all offers of an IP. The slash at its end keeps `10.0.0.1_3` from matching
/// `10.0.0.1_32`.
fn offers_prefix(cidr: Cidr) -> String {
    format!("/link/ips/{}/", cidr.election_key())
}

fn offer_key(cidr: Cidr, host: &str) -> String {
    format!("{}{host}", offers_prefix(cidr))
}

fn records_prefix(host: &str) -> String {
    format!("/link/hosts/{host}/")
}

fn record_key(host: &str, id: &VipId) -> String {
    format!("{}{id}", records_prefix(host))
}

fn host_key(host: &str) -> String {
    format!("/link/config/{host}")
}

/// What a host tells about an IP.
#[derive(Debug, Serialize, Deserialize)]
struct OfferValue {
    updated_at: String,
    /// Whether it is available for election. The Go LinK does not write it.
    #[serde(default = "yes")]
    available: bool,
}

fn yes() -> bool {
    true
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

/// A host that offers an IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub host: String,
    /// Whether it is available for election.
    pub available: bool,
}

/// Somebody else has changed what was to be written; it is now at this revision (0: it is gone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict(pub i64);

/// The transaction for a request of an election.
pub fn election_txn(request: Request, cidr: Cidr, host: &str) -> Txn {
    let lock = lock_key(cidr);
    match request {
        Request::Look { .. } => Txn::read(vec![Op::Get(lock)]),
        Request::Yield { owner, .. } => Txn {
            when: vec![Compare::Lease(lock.clone(), owner)],
            then: vec![Op::Touch(lock.clone()), Op::Get(lock.clone())],
            otherwise: vec![Op::Get(lock)],
        },
        Request::Acquire { lease } => {
            let offer = offer_op(cidr, host, lease, Offer::Available);
            let value = host.as_bytes().to_vec();
            Txn {
                when: vec![Compare::Absent(lock.clone())],
                then: vec![Op::Put { key: lock.clone(), value, lease }, offer.clone()],
                otherwise: vec![Op::Get(lock), offer],
            }
        }
        Request::Release { lease, offer } => {
            let told = offer_op(cidr, host, lease, offer);
            let others = Op::GetPrefix(offers_prefix(cidr));
            Txn {
                when: vec![Compare::Lease(lock.clone(), lease)],
                then: vec![Op::Delete(lock.clone()), told.clone(), others.clone()],
                otherwise: vec![Op::Get(lock), told, others],
            }
        }
    }
}

fn offer_op(cidr: Cidr, host: &str, lease: i64, offer: Offer) -> Op {
    let key = offer_key(cidr, host);
    let available = match offer {
        Offer::Withdrawn => return Op::Delete(key),
        Offer::Available => true,
        Offer::Unavailable => false,
    };
    let updated_at = jiff::Timestamp::now().to_string();
    Op::Put { key, value: json(&OfferValue { updated_at, available }), lease }
}

/// What the transaction of a request has found.
pub fn election_answer(request: Request, cidr: Cidr, host: &str, reply: &Reply) -> LockAnswer {
    let me = || {
        let written = reply.revision;
        Some(Holder { host: host.to_owned(), lease: request.lease(), written })
    };
    let found = |index| reply.kvs(index).first().map(holder);
    let holder = match (request, reply.succeeded) {
        (Request::Acquire { .. }, true) => me(),
        (Request::Release { .. }, true) => None,
        (Request::Yield { .. }, true) => found(1),
        (Request::Look { .. }, _)
        | (Request::Acquire { .. } | Request::Release { .. } | Request::Yield { .. }, false) => {
            found(0)
        }
    };
    let candidates = candidates(cidr, reply.kvs(2));
    let successor = candidates.iter().any(|other| other.host != host && other.available);
    let lock = LockView { holder, revision: reply.revision, reset: false };
    LockAnswer { lock, successor }
}

/// What a watch or a read has seen of a lock.
pub fn lock_view(state: &KeyState) -> LockView {
    LockView { holder: state.kv.as_ref().map(holder), revision: state.revision, reset: state.reset }
}

fn holder(kv: &Kv) -> Holder {
    Holder {
        host: String::from_utf8_lossy(&kv.value).into_owned(),
        lease: kv.lease,
        written: kv.mod_revision,
    }
}

/// Reads the hosts that offer an IP.
pub fn candidates_txn(cidr: Cidr) -> Txn {
    Txn::read(vec![Op::GetPrefix(offers_prefix(cidr))])
}

/// The hosts that offer an IP, by name. A value that is not understood counts as an offer: the Go
/// LinK only looks at the key.
pub fn candidates(cidr: Cidr, kvs: &[Kv]) -> Vec<Candidate> {
    let prefix = offers_prefix(cidr);
    let candidate = |kv: &Kv| {
        let host = kv.key.strip_prefix(&prefix)?.to_owned();
        let value = serde_json::from_slice::<OfferValue>(&kv.value);
        Some(Candidate { host, available: value.map_or(true, |value| value.available) })
    };
    kvs.iter().filter_map(candidate).collect()
}

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
        match record(host, kv) {
            Ok(Some(record)) => add_record(&mut stored, record, &kv.key),
            Ok(None) => {}
            Err(error) => stored.skipped.push(format!("{}: {error}", kv.key)),
        }
    }
    stored
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
fn record(host: &str, kv: &Kv) -> Result<Option<Record>, String> {
    let value: RecordValue =
        serde_json::from_slice(&kv.value).map_err(|error| error.to_string())?;
    let record = value.into_record(kv.mod_revision)?;
    match &record {
        Some(record) if kv.key != record_key(host, &record.id) => {
            Err(format!("the id inside is {}", record.id))
        }
        Some(_) | None => Ok(record),
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
        match value.into_record(0) {
            Ok(Some(record)) => add_record(&mut stored, record, &name),
            Ok(None) => {}
            Err(error) => stored.skipped.push(format!("{name}: {error}")),
        }
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
