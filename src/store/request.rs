//! What a supervisor asks of etcd about its host, and what etcd says.

use std::collections::BTreeMap;

use super::footprint::{self, Footprint};
use super::found::{Found, found, record_of};
use super::group::{self, GROUPS, Group, GroupView, Regroup};
use super::host::{
    self, HOSTS, HostKey, Instance, claim_key, claims_prefix, host_key, host_value, mark_key,
    read_host,
};
use super::record::{Obstacle, Record, record_key, record_value};
use super::{json, many, records_prefix};
use crate::call;
use crate::etcd::{Compare, Kv, Op, Reply, Txn};
use crate::lock::{self, Candidate, OtherPrefix};
use crate::vip::{Cidr, ElectionKey, GroupName, VipId};

/// A request to etcd. Each is one transaction, guarded, and may be repeated after an unknown outcome:
/// a write that finds its own value has succeeded. Each write of a record or of the host leaves a mark
/// with the name of the history of etcd, so that an etcd that was restored to the time before is told from
/// one that still has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read all that etcd knows of this host.
    Load,
    /// Write a record, if it still is at the revision that it carries; one with the revision 0, if
    /// it does not exist and no host offers the same address with another prefix length.
    WriteRecord(Record),
    /// Delete a record, if it still is at this revision.
    DeleteRecord(VipId, i64),
    /// Write these new records, all or none: if none of them exists and no host offers one of the
    /// addresses with another prefix length. [`super::RECORDS_AT_ONCE`] at most.
    WriteRecords(Vec<Record>),
    /// Delete the records with these ids, which only this agent has ever used.
    DeleteRecords(Vec<VipId>),
    /// Write down the lease of this host and its machine, if the key still is at this revision
    /// (0: does not exist).
    WriteHost {
        /// The lease.
        lease: i64,
        /// The revision.
        revision: i64,
    },
    /// Ask whether etcd takes what this host writes, and what these elections write: nothing is written. Of the
    /// elections, [`DRY_AT_ONCE`] at most.
    DryRun(Vec<ElectionKey>),
    /// Say that the agent of this host answers calls, as long as this lease lives.
    WritePresence {
        /// The lease.
        lease: i64,
        /// When the agent began, in seconds since 1970.
        started: u64,
        /// Whether the host is drained.
        drained: bool,
    },
    /// Delete these keys, as far as they are attached to this lease.
    Release {
        /// The lease.
        lease: i64,
        /// The keys; a hundred at most go into one transaction.
        keys: Vec<String>,
    },
    /// Tell the host that has this host's name and that lease that this machine goes by its name.
    ClaimName {
        /// The lease of the other; the claim ends with it.
        lease: i64,
    },
    /// Delete the claims of other machines to this host's name.
    DropClaims,
    /// Delete what is stored of this host itself, if it still is at this revision: its key, its mark, and the claims
    /// to its name.
    ForgetHost(i64),
    /// Read which hosts there are.
    Hosts,
    /// Read the records of another host.
    RecordsOf(String),
    /// Read what another host has on its leases.
    Footprint(String),
    /// Read who owns which IP.
    Locks,
    /// Read the hosts that offer an IP, or a group.
    Candidates(ElectionKey),
    /// Read the candidacies for its address, with whatever prefix length, and its lock.
    SharedBy(Cidr),
    /// Read which hosts offer one of these addresses with another prefix length; a hundred at most.
    OtherPrefixes(Vec<Cidr>),
    /// Read a group, and these IPs by themselves.
    Group(GroupName, Vec<Cidr>),
    /// Change what belongs to a group.
    Regroup(Box<Regroup>),
}

/// So many elections, with two writes and two reads each, are less than the 128 operations that etcd allows in a
/// transaction (`--max-txn-ops`).
pub const DRY_AT_ONCE: usize = 20;

/// What a request has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The host, as etcd knows it.
    Loaded(Box<Found>),
    /// The revision at which the key was written, or why it was not.
    Written(Result<i64, Obstacle>),
    /// The revision at which all of the records were written, or which of them was in the way, and why.
    WrittenAll(Result<i64, (usize, Obstacle)>),
    /// The record is gone, or it is now at this revision.
    Deleted(Result<(), i64>),
    /// It was done.
    Done,
    /// The hosts, by name.
    Hosts(Vec<(String, HostKey)>),
    /// The IPs that are registered on another host.
    Records(Vec<Record>),
    /// What another host has on its leases.
    Footprint(Box<Footprint>),
    /// The owner of each IP, and the lease of its lock.
    Locks(BTreeMap<Cidr, (String, i64)>),
    /// The keys of candidacies and of a lock.
    Names(Vec<String>),
    /// The hosts that offer an IP, by name.
    Candidates(Vec<Candidate>),
    /// For each of the IPs that another host offers with another prefix length: how, and which host.
    OtherPrefixes(Vec<(Cidr, OtherPrefix)>),
    /// A group.
    Group(Box<GroupView>),
    /// The group as it is after the change; nothing if it was not changed.
    Regrouped(Option<Group>),
}

/// At which point of which history an answer was true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct At {
    /// The cluster of etcd.
    pub cluster: u64,
    /// Its revision.
    pub revision: i64,
}

/// The transaction of a request, for this host, in the history that it believes in.
pub fn txn_of(request: &Request, host: &str, instance: &Instance, history: &str) -> Txn {
    match request {
        Request::Load => Txn::unconditional(load_ops(host)),
        Request::WriteRecord(record) => write_record(host, record, history),
        Request::DeleteRecord(id, revision) => {
            let key = record_key(host, id);
            Txn {
                when: vec![Compare::ModRevision(key.clone(), *revision)],
                then: vec![Op::Delete(key.clone())],
                otherwise: vec![Op::Get(key)],
            }
        }
        Request::WriteRecords(records) => many::write(host, records, mark(host, history)),
        Request::DeleteRecords(ids) => many::delete(host, ids),
        Request::WriteHost { lease, revision } => {
            let value = host_value(host, *lease, instance);
            guarded_write(mark(host, history), host_key(host), *revision, value)
        }
        Request::DryRun(keys) => dry_run(host, keys),
        Request::Release { lease, keys } => {
            let release = |key: &String| {
                let when = vec![Compare::Lease(key.clone(), *lease)];
                let then = vec![Op::Delete(key.clone())];
                Op::Nested(Txn { when, then, otherwise: Vec::new() })
            };
            Txn::unconditional(keys.iter().map(release).collect())
        }
        Request::WritePresence { lease, started, drained } => {
            call::presence_txn(host, *lease, *started, *drained)
        }
        Request::ClaimName { lease } => {
            let key = claim_key(host, instance);
            Txn::unconditional(vec![Op::Put { key, value: json(instance), lease: *lease }])
        }
        Request::DropClaims => Txn::unconditional(vec![Op::DeletePrefix(claims_prefix(host))]),
        Request::ForgetHost(revision) => host::forget(host, *revision),
        Request::Hosts => Txn::unconditional(vec![Op::GetPrefix(HOSTS.to_owned())]),
        Request::RecordsOf(other) => Txn::unconditional(vec![Op::GetPrefix(records_prefix(other))]),
        Request::Footprint(_) => footprint::txn(),
        Request::Locks => footprint::locks_txn(),
        Request::Candidates(key) => lock::candidates_txn(key),
        Request::SharedBy(cidr) => {
            let lock = Op::Get(lock::key(*cidr));
            Txn::unconditional(vec![lock::same_address(*cidr), lock])
        }
        Request::OtherPrefixes(cidrs) => {
            Txn::unconditional(cidrs.iter().map(|cidr| look_for_others(*cidr)).collect())
        }
        Request::Group(name, ips) => group::read_txn(name, ips),
        Request::Regroup(regroup) => regroup.txn(host),
    }
}

/// What the transaction of a request has found.
pub fn answer_of(request: &Request, host: &str, instance: &Instance, reply: &Reply) -> Answer {
    match request {
        Request::Load => Answer::Loaded(Box::new(found(host, reply))),
        Request::WriteRecord(record) => Answer::Written(record_written(record, reply)),
        Request::DeleteRecord(..) => Answer::Deleted(match reply.kvs(0).first() {
            // It is read only if it was not deleted.
            Some(kv) => Err(kv.mod_revision),
            None => Ok(()),
        }),
        Request::WriteRecords(records) => Answer::WrittenAll(many::written(records, reply)),
        Request::WriteHost { lease, .. } => {
            Answer::Written(written(&host_value(host, *lease, instance), reply))
        }
        Request::DeleteRecords(_)
        | Request::DryRun(_)
        | Request::WritePresence { .. }
        | Request::Release { .. }
        | Request::ClaimName { .. }
        | Request::DropClaims
        | Request::ForgetHost(_) => Answer::Done,
        Request::Hosts => Answer::Hosts(reply.kvs(0).iter().filter_map(named_host).collect()),
        Request::RecordsOf(other) => {
            let records = reply.kvs(0).iter().map(|kv| record_of(other, kv));
            let readable = records.filter_map(|found| Some(found.ok()??.record));
            Answer::Records(readable.collect())
        }
        Request::Footprint(other) => Answer::Footprint(Box::new(footprint::of(other, reply))),
        Request::Locks => Answer::Locks(footprint::locks(reply)),
        Request::Candidates(key) => Answer::Candidates(lock::candidates(key, reply.kvs(0))),
        Request::SharedBy(_) => {
            let keys = reply.kvs(0).iter().chain(reply.kvs(1));
            Answer::Names(keys.map(|kv| kv.key.clone()).collect())
        }
        Request::OtherPrefixes(cidrs) => {
            let others = cidrs.iter().zip(&reply.nested);
            let others = others.filter_map(|(cidr, reply)| {
                Some((*cidr, lock::other_prefix(*cidr, reply.kvs(0))?))
            });
            Answer::OtherPrefixes(others.collect())
        }
        Request::Group(name, ips) => Answer::Group(Box::new(group::view(name, ips, reply))),
        Request::Regroup(regroup) => Answer::Regrouped(regroup.done(reply)),
    }
}

fn load_ops(host: &str) -> Vec<Op> {
    vec![
        Op::Get(host_key(host)),
        Op::GetPrefix(claims_prefix(host)),
        Op::GetPrefix(records_prefix(host)),
        Op::Get(mark_key(host)),
        Op::GetPrefix(GROUPS.to_owned()),
        others_op(host),
    ]
}

/// A transaction that is never carried out. etcd looks at the permissions, the alarms and the room for each of its
/// operations all the same (server/etcdserver/apply.go: checkTxnAuth, applierV3Capped).
fn dry_run(host: &str, elections: &[ElectionKey]) -> Txn {
    let mut then = load_ops(host);
    let mut keys = vec![host_key(host), mark_key(host), format!("{}-", records_prefix(host))];
    for key in elections {
        then.push(Op::Get(lock::key(key.clone())));
        then.push(Op::GetPrefix(lock::candidacy_key(key.clone(), "")));
        keys.push(lock::key(key.clone()));
        keys.push(lock::candidacy_key(key.clone(), host));
    }
    for key in keys {
        then.push(Op::Put { key, value: Vec::new(), lease: 0 });
    }
    // No key is at this revision.
    Txn { when: vec![Compare::ModRevision(host_key(host), -1)], then, otherwise: Vec::new() }
}

/// Reads who offers the address of an IP with another prefix length, if anybody does.
fn look_for_others(cidr: Cidr) -> Op {
    Op::Nested(Txn {
        when: lock::no_other_prefix(cidr).into(),
        then: Vec::new(),
        otherwise: vec![lock::same_address(cidr)],
    })
}

/// Succeeds if no other host has a record.
fn others_op(host: &str) -> Op {
    let (own, all) = (records_prefix(host), records_prefix(""));
    let all = all.trim_end_matches('/');
    // `0` follows `/`.
    let after_own = format!("{}0", own.trim_end_matches('/'));
    let before = Compare::NoneIn(format!("{all}/"), own);
    let after = Compare::NoneIn(after_own, format!("{all}0"));
    Op::Nested(Txn { when: vec![before, after], then: Vec::new(), otherwise: Vec::new() })
}

fn named_host(kv: &Kv) -> Option<(String, HostKey)> {
    let name = kv.key.strip_prefix(HOSTS)?;
    // What has a slash in it is a claim.
    let name = Some(name).filter(|name| !name.contains('/'))?;
    Some((name.to_owned(), read_host(kv).ok()?))
}

fn write_record(host: &str, record: &Record, history: &str) -> Txn {
    let key = record_key(host, &record.id);
    let mark = mark(host, history);
    let mut txn = guarded_write(mark, key, record.revision, record_value(record));
    if record.revision == 0 {
        txn.when.extend(lock::no_other_prefix(record.cidr));
        txn.otherwise.push(lock::same_address(record.cidr));
    }
    txn
}

fn record_written(record: &Record, reply: &Reply) -> Result<i64, Obstacle> {
    match written(&record_value(record), reply) {
        Err(Obstacle::Changed(0)) => {
            // The key is not there, so that the guard that failed is the other one; a record that was there has none.
            let other = lock::other_prefix(record.cidr, reply.kvs(1));
            Err(other.map_or(Obstacle::Changed(0), Obstacle::OtherPrefix))
        }
        other => other,
    }
}

fn mark(host: &str, history: &str) -> Op {
    Op::Put { key: mark_key(host), value: history.into(), lease: 0 }
}

fn guarded_write(mark: Op, key: String, revision: i64, value: Vec<u8>) -> Txn {
    let unchanged = match revision {
        0 => Compare::Absent(key.clone()),
        revision => Compare::ModRevision(key.clone(), revision),
    };
    Txn {
        when: vec![unchanged],
        then: vec![Op::Put { key: key.clone(), value, lease: 0 }, mark],
        otherwise: vec![Op::Get(key)],
    }
}

/// A write that was repeated after an unknown outcome finds its own value.
pub(super) fn written(value: &[u8], reply: &Reply) -> Result<i64, Obstacle> {
    match reply.kvs(0).first() {
        _ if reply.succeeded => Ok(reply.revision),
        Some(kv) if kv.value == value => Ok(kv.mod_revision),
        Some(kv) => Err(Obstacle::Changed(kv.mod_revision)),
        None => Err(Obstacle::Changed(0)),
    }
}
