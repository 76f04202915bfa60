//! How a transaction is carried out.
//!
//! As in etcd, all conditions, those of nested transactions too, are looked at before anything is
//! written, what is impossible refuses the whole, and all writes together make one revision.

use std::sync::Arc;

use link::etcd::{Compare, Op, Reply, Txn};

use super::check::{self, Refusal};
use super::{Change, Entry, MemoryEtcd};

const ONE_EACH: &str = "each nested transaction has a path";

/// Which branch a transaction takes, and those in that branch, in order.
struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

impl Path {
    fn ops<'a>(&self, txn: &'a Txn) -> &'a [Op] {
        if self.succeeded { &txn.then } else { &txn.otherwise }
    }

    /// All operations that are going to be carried out, in order, nested transactions opened.
    fn all_ops<'a>(&self, txn: &'a Txn) -> Vec<&'a Op> {
        let mut nested = self.nested.iter();
        let mut all = Vec::new();
        for op in self.ops(txn) {
            match op {
                Op::Nested(txn) => all.extend(nested.next().expect(ONE_EACH).all_ops(txn)),
                Op::Get(_)
                | Op::GetPrefix(_)
                | Op::Put { .. }
                | Op::Touch(_)
                | Op::Delete(_)
                | Op::DeletePrefix(_) => all.push(op),
            }
        }
        all
    }
}

impl MemoryEtcd {
    /// Carries out a transaction; also tells what it has changed, in order.
    pub(crate) fn transact(&mut self, txn: &Txn) -> Result<(Reply, Vec<Change>), Refusal> {
        check::check_form(txn)?;
        let path = self.path(txn);
        let ops = path.all_ops(txn);
        ops.iter().try_for_each(|op| self.check_op(op))?;
        self.revision += i64::from(ops.iter().any(|op| self.writes(op)));
        let mut changes = Vec::new();
        let reply = self.apply(txn, &path, &mut changes);
        Ok((reply, changes))
    }

    fn path(&self, txn: &Txn) -> Path {
        let succeeded = txn.when.iter().all(|compare| self.holds(compare));
        let mut path = Path { succeeded, nested: Vec::new() };
        for op in path.ops(txn) {
            if let Op::Nested(txn) = op {
                path.nested.push(self.path(txn));
            }
        }
        path
    }

    /// A key that does not exist is like one whose numbers are all 0 (etcd: `compareKV` of an empty
    /// KeyValue).
    fn holds(&self, compare: &Compare) -> bool {
        let entry = |key: &str| self.find(key).ok().map(|index| &self.entries[index]);
        match compare {
            Compare::Absent(key) => entry(key).is_none(),
            Compare::NoneIn(from, to) => self.is_empty_between(from, to),
            Compare::ModRevision(key, revision) => {
                entry(key).map_or(0, |entry| entry.modified) == *revision
            }
            Compare::Lease(key, lease) => entry(key).map_or(0, |entry| entry.lease) == *lease,
        }
    }

    /// Whether an operation changes something: what a transaction deletes without effect makes no
    /// revision.
    fn writes(&self, op: &Op) -> bool {
        match op {
            Op::Put { .. } | Op::Touch(_) => true,
            Op::Delete(key) => self.find(key).is_ok(),
            Op::DeletePrefix(prefix) => self.with_prefix(prefix).next().is_some(),
            Op::Get(_) | Op::GetPrefix(_) | Op::Nested(_) => false,
        }
    }

    fn apply(&mut self, txn: &Txn, path: &Path, changes: &mut Vec<Change>) -> Reply {
        let (mut found, mut outcomes) = (Vec::new(), Vec::new());
        let mut nested = path.nested.iter();
        for op in path.ops(txn) {
            found.push(match op {
                Op::Get(key) => self.get(key).into_iter().collect(),
                Op::GetPrefix(prefix) => self.get_prefix(prefix),
                Op::Put { key, value, lease } => {
                    changes.push(self.put(key, value, *lease));
                    Vec::new()
                }
                Op::Touch(key) => {
                    changes.push(self.touch(key));
                    Vec::new()
                }
                Op::Delete(key) => {
                    self.delete(|entry| *entry.key == **key, changes);
                    Vec::new()
                }
                Op::DeletePrefix(prefix) => {
                    self.delete(|entry| entry.key.starts_with(prefix.as_str()), changes);
                    Vec::new()
                }
                Op::Nested(txn) => {
                    outcomes.push(self.apply(txn, nested.next().expect(ONE_EACH), changes));
                    Vec::new()
                }
            });
        }
        let reply = Reply::new(path.succeeded, self.revision, found).with_nested(outcomes);
        reply.in_cluster(self.cluster)
    }

    fn put(&mut self, key: &str, value: &[u8], lease: i64) -> Change {
        let (value, modified) = (Arc::from(value), self.revision);
        let index = match self.find(key) {
            Ok(index) => {
                let key = self.entries[index].key.clone();
                self.entries[index] = Entry { key, value, lease, modified };
                index
            }
            Err(index) => {
                self.entries.insert(index, Entry { key: Arc::from(key), value, lease, modified });
                index
            }
        };
        self.entries[index].change()
    }

    fn touch(&mut self, key: &str) -> Change {
        let index = self.find(key).expect("it was looked for");
        self.entries[index].modified = self.revision;
        self.entries[index].change()
    }

    fn delete(&mut self, which: impl Fn(&Entry) -> bool, changes: &mut Vec<Change>) {
        let revision = self.revision;
        self.entries.retain(|entry| {
            let gone = which(entry);
            if gone {
                changes.push(Change { key: entry.key.clone(), revision, put: None });
            }
            !gone
        });
    }

    /// Deletes everything that is attached to a lease, in one revision.
    pub(super) fn delete_attached(&mut self, lease: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        let writes = self.attached(lease).next().is_some();
        self.revision += i64::from(writes);
        self.delete(|entry| entry.lease == lease, &mut changes);
        changes
    }
}

impl Entry {
    fn change(&self) -> Change {
        let put = Some((self.value.clone(), self.lease));
        Change { key: self.key.clone(), revision: self.modified, put }
    }
}
