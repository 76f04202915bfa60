//! New records that are written together, all of them or none.

use super::record::{Obstacle, Record, record_key, record_value};
use crate::etcd::{Compare, Op, Reply, Txn};
use crate::lock;
use crate::vip::VipId;

/// How many records one transaction writes: each has three conditions, and etcd takes 128
/// (`--max-txn-ops`).
pub const RECORDS_AT_ONCE: usize = 32;

/// A write that is repeated after an unknown outcome finds its own values.
pub(super) fn write(host: &str, records: &[Record], mark: Op) -> Txn {
    let mut txn = Txn::default();
    for record in records {
        let key = record_key(host, &record.id);
        txn.when.push(Compare::Absent(key.clone()));
        txn.when.extend(lock::no_other_prefix(record.cidr));
        txn.then.push(Op::Put { key: key.clone(), value: record_value(record), lease: 0 });
        txn.otherwise.push(Op::Get(key));
    }
    txn.then.push(mark);
    txn.otherwise.extend(records.iter().map(|record| lock::same_address(record.cidr)));
    txn
}

/// The ids are random, so that nobody else has written under these keys.
pub(super) fn delete(host: &str, ids: &[VipId]) -> Txn {
    Txn::unconditional(ids.iter().map(|id| Op::Delete(record_key(host, id))).collect())
}

/// The revision at which all were written, or the place of the one that was in the way.
pub(super) fn written(records: &[Record], reply: &Reply) -> Result<i64, (usize, Obstacle)> {
    if reply.succeeded {
        return Ok(reply.revision);
    }
    let mut missing = None;
    let mut revision = 0;
    for (index, record) in records.iter().enumerate() {
        match reply.kvs(index).first() {
            Some(kv) if kv.value == record_value(record) => revision = kv.mod_revision,
            Some(kv) => return Err((index, Obstacle::Changed(kv.mod_revision))),
            None => missing = missing.or(Some(index)),
        }
    }
    let Some(missing) = missing else { return Ok(revision) };
    let other = |(index, record): (usize, &Record)| {
        let other = lock::other_prefix(record.cidr, reply.kvs(records.len() + index))?;
        Some((index, Obstacle::OtherPrefix(other)))
    };
    let other = records.iter().enumerate().find_map(other);
    Err(other.unwrap_or((missing, Obstacle::Changed(0))))
}

#[cfg(test)]
#[path = "many_tests.rs"]
mod tests;
