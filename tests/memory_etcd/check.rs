//! What etcd refuses before it carries out anything of a transaction.

use std::collections::HashSet;
use std::fmt;

use link::etcd::{Compare, ErrorKind, Op, Txn};

use super::MemoryEtcd;

/// How many operations a transaction may have, with those around a nested one (`--max-txn-ops`).
const MAX_TXN_OPS: usize = 128;

/// Why nothing of a transaction was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// A key is attached to a lease that does not exist.
    LeaseNotFound,
    /// A key that does not exist is to be written again as it is.
    KeyNotFound,
    /// A key is written twice, or written and deleted.
    DuplicateKey,
    /// There are too many operations.
    TooManyOps,
    /// A key is empty.
    EmptyKey,
}

impl Refusal {
    /// What the product makes of it.
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Refusal::LeaseNotFound => ErrorKind::LeaseNotFound,
            Refusal::KeyNotFound
            | Refusal::DuplicateKey
            | Refusal::TooManyOps
            | Refusal::EmptyKey => ErrorKind::Refused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::LeaseNotFound => "etcdserver: requested lease not found",
            Refusal::KeyNotFound => "etcdserver: key not found",
            Refusal::DuplicateKey => "etcdserver: duplicate key given in txn request",
            Refusal::TooManyOps => "etcdserver: too many operations in txn request",
            Refusal::EmptyKey => "etcdserver: key is not provided",
        })
    }
}

/// The checks that need no data (etcd: server/etcdserver/api/v3rpc/key.go).
pub(super) fn check_form(txn: &Txn) -> Result<(), Refusal> {
    check_size(txn, MAX_TXN_OPS)?;
    writes(&txn.then)?;
    writes(&txn.otherwise)?;
    Ok(())
}

fn check_size(txn: &Txn, most: usize) -> Result<(), Refusal> {
    let count = txn.when.len().max(txn.then.len()).max(txn.otherwise.len());
    let rest = most.checked_sub(count).ok_or(Refusal::TooManyOps)?;
    let compared = |compare: &Compare| match compare {
        Compare::Absent(key)
        | Compare::NoneIn(key, _)
        | Compare::ModRevision(key, _)
        | Compare::Lease(key, _) => key.is_empty(),
    };
    if txn.when.iter().any(compared) {
        return Err(Refusal::EmptyKey);
    }
    for op in txn.then.iter().chain(&txn.otherwise) {
        match op {
            Op::Get(key) | Op::Put { key, .. } | Op::Touch(key) | Op::Delete(key) => {
                if key.is_empty() {
                    return Err(Refusal::EmptyKey);
                }
            }
            // The client makes a range of an empty prefix.
            Op::GetPrefix(_) | Op::DeletePrefix(_) => {}
            Op::Nested(txn) => check_size(txn, rest)?,
        }
    }
    Ok(())
}

/// The keys that one branch writes and deletes, with those of the branches below it.
#[derive(Default)]
struct Writes<'a> {
    puts: HashSet<&'a str>,
    deletes: Vec<Deleted<'a>>,
}

/// What an operation deletes.
#[derive(Clone, Copy)]
enum Deleted<'a> {
    Key(&'a str),
    Prefix(&'a str),
}

/// Refuses what would write a key twice, by etcd's `checkIntervals`: the deletions of this level
/// first, then nested transactions, then the puts of this level. A nested transaction that deletes
/// what one before it has written is not found, as there.
fn writes(ops: &[Op]) -> Result<Writes<'_>, Refusal> {
    let mut writes = Writes::default();
    for op in ops {
        match op {
            Op::Delete(key) => writes.deletes.push(Deleted::Key(key)),
            Op::DeletePrefix(prefix) => writes.deletes.push(Deleted::Prefix(prefix)),
            Op::Get(_) | Op::GetPrefix(_) | Op::Put { .. } | Op::Touch(_) | Op::Nested(_) => {}
        }
    }
    for op in ops {
        if let Op::Nested(txn) = op {
            writes.add_nested(txn)?;
        }
    }
    for op in ops {
        if let Op::Put { key, .. } | Op::Touch(key) = op {
            writes.add_put(key)?;
        }
    }
    Ok(writes)
}

impl<'a> Writes<'a> {
    fn add_put(&mut self, key: &'a str) -> Result<(), Refusal> {
        if self.deletes(key) || !self.puts.insert(key) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
    }

    fn deletes(&self, key: &str) -> bool {
        self.deletes.iter().any(|deleted| match deleted {
            Deleted::Key(other) => *other == key,
            Deleted::Prefix(prefix) => key.starts_with(prefix),
        })
    }

    /// Both branches count, but against each other they do not.
    fn add_nested(&mut self, txn: &'a Txn) -> Result<(), Refusal> {
        let (then, otherwise) = (writes(&txn.then)?, writes(&txn.otherwise)?);
        for key in &then.puts {
            self.add_put(key)?;
        }
        for key in otherwise.puts {
            if self.deletes(key) || !self.puts.insert(key) && !then.puts.contains(key) {
                return Err(Refusal::DuplicateKey);
            }
        }
        self.deletes.extend(then.deletes);
        self.deletes.extend(otherwise.deletes);
        Ok(())
    }
}

impl MemoryEtcd {
    /// The check of an operation that is going to be carried out (etcd: server/etcdserver/apply.go,
    /// `checkRequestPut`).
    pub(super) fn check_op(&self, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::Touch(key) if self.find(key).is_err() => Err(Refusal::KeyNotFound),
            Op::Put { lease, .. } if *lease != 0 && !self.has_lease(*lease) => {
                Err(Refusal::LeaseNotFound)
            }
            Op::Get(_)
            | Op::GetPrefix(_)
            | Op::Put { .. }
            | Op::Touch(_)
            | Op::Delete(_)
            | Op::DeletePrefix(_)
            | Op::Nested(_) => Ok(()),
        }
    }
}
