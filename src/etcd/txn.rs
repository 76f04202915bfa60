//! Transactions: the one kind of request, as plain values.

use etcd_client as proto;

/// Keys in a page. One has a value of up to 1.5 MiB (etcd: `--max-request-bytes`), most have 200 bytes.
pub(super) const PAGE: i64 = 100;

/// A transaction: if all of `when` holds, `then` is done, else `otherwise`, atomically.
///
/// It is repeated when its outcome is unknown, so it must be *guarded*: what `then` writes has to
/// make `when` false, and `otherwise` has to read what tells success from failure.
/// Without `when` and with reads only, it is a linearizable read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions, all of which must hold.
    pub when: Vec<Compare>,
    /// Done if they hold.
    pub then: Vec<Op>,
    /// Done if they do not.
    pub otherwise: Vec<Op>,
}

/// A condition on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key does not exist.
    Absent(String),
    /// No key exists from the first of these up to the second, which does not belong to the range.
    NoneIn(String, String),
    /// The key was last changed at this revision.
    ModRevision(String, i64),
    /// The key is attached to this lease.
    Lease(String, i64),
}

/// An operation on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reads one key.
    Get(String),
    /// Reads all keys that begin with this text.
    GetPrefix(String),
    /// Writes a key; lease 0 is none.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: Vec<u8>,
        /// The lease with which the key ends.
        lease: i64,
    },
    /// Writes a key again as it is, value and lease; an error if it does not exist.
    Touch(String),
    /// Deletes a key, if it exists.
    Delete(String),
    /// Deletes all keys that begin with this text.
    DeletePrefix(String),
    /// A transaction with conditions of its own.
    Nested(Txn),
}

/// The outcome of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whether `when` held.
    pub succeeded: bool,
    /// The revision of etcd at which it was carried out.
    pub revision: i64,
    /// The id of the cluster that carried it out.
    pub cluster: u64,
    /// What each operation found, in order; nothing for writes.
    pub found: Vec<Vec<Kv>>,
    /// The outcomes of nested transactions, in order.
    pub nested: Vec<Reply>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv {
    /// The key; what is not UTF-8 in it is replaced.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The lease to which it is attached; 0 if to none.
    pub lease: i64,
    /// The revision at which it was last changed.
    pub mod_revision: i64,
}

impl Txn {
    /// All of these, whatever there is; of reads only, a linearizable read.
    pub fn unconditional(ops: Vec<Op>) -> Txn {
        Txn { then: ops, ..Txn::default() }
    }

    /// All of these, each with its own conditions.
    pub(super) fn all(txns: Vec<Txn>) -> Txn {
        Txn::unconditional(txns.into_iter().map(Op::Nested).collect())
    }

    /// The keys that it may write or delete, and the prefixes.
    pub(super) fn written_keys(&self) -> Vec<&str> {
        let ops = self.then.iter().chain(&self.otherwise);
        ops.flat_map(|op| match op {
            Op::Get(_) | Op::GetPrefix(_) => Vec::new(),
            Op::Put { key, .. } | Op::Touch(key) | Op::Delete(key) | Op::DeletePrefix(key) => {
                vec![key.as_str()]
            }
            Op::Nested(txn) => txn.written_keys(),
        })
        .collect()
    }

    pub(super) fn to_proto(&self) -> proto::Txn {
        let ops = |ops: &[Op]| ops.iter().map(Op::to_proto).collect::<Vec<_>>();
        proto::Txn::new()
            .when(self.when.iter().map(Compare::to_proto).collect::<Vec<_>>())
            .and_then(ops(&self.then))
            .or_else(ops(&self.otherwise))
    }
}

impl Compare {
    fn to_proto(&self) -> proto::Compare {
        let equal = proto::CompareOp::Equal;
        match self {
            Compare::Absent(key) => proto::Compare::create_revision(key.as_str(), equal, 0),
            // Each key of a range has to satisfy it; a range without keys does (etcd: applyCompare).
            Compare::NoneIn(from, to) => {
                proto::Compare::create_revision(from.as_str(), equal, 0).with_range(to.as_str())
            }
            Compare::ModRevision(key, revision) => {
                proto::Compare::mod_revision(key.as_str(), equal, *revision)
            }
            Compare::Lease(key, lease) => proto::Compare::lease(key.as_str(), equal, *lease),
        }
    }
}

impl Op {
    fn to_proto(&self) -> proto::TxnOp {
        match self {
            Op::Get(key) => proto::TxnOp::get(key.as_str(), None),
            Op::GetPrefix(prefix) => {
                let options = proto::GetOptions::new().with_prefix().with_limit(PAGE);
                proto::TxnOp::get(prefix.as_str(), Some(options))
            }
            Op::Put { key, value, lease } => {
                let options = proto::PutOptions::new().with_lease(*lease);
                proto::TxnOp::put(key.as_str(), value.as_slice(), Some(options))
            }
            Op::Touch(key) => {
                let options = proto::PutOptions::new().with_ignore_value().with_ignore_lease();
                proto::TxnOp::put(key.as_str(), "", Some(options))
            }
            Op::Delete(key) => proto::TxnOp::delete(key.as_str(), None),
            Op::DeletePrefix(prefix) => {
                let options = proto::DeleteOptions::new().with_prefix();
                proto::TxnOp::delete(prefix.as_str(), Some(options))
            }
            Op::Nested(txn) => proto::TxnOp::txn(txn.to_proto()),
        }
    }
}

impl Reply {
    /// The keys found by the read at this place in the list of operations.
    pub fn kvs(&self, index: usize) -> &[Kv] {
        self.found.get(index).map_or(&[], Vec::as_slice)
    }

    /// An outcome without nested ones, in no cluster.
    pub fn new(succeeded: bool, revision: i64, found: Vec<Vec<Kv>>) -> Reply {
        Reply { succeeded, revision, cluster: 0, found, nested: Vec::new() }
    }

    /// The same outcome in this cluster.
    pub fn in_cluster(self, cluster: u64) -> Reply {
        Reply { cluster, ..self }
    }

    /// The same outcome with those of nested transactions, in order.
    pub fn with_nested(self, nested: Vec<Reply>) -> Reply {
        Reply { nested, ..self }
    }

    pub(super) fn from_proto(response: &proto::TxnResponse) -> Reply {
        let header = response.header();
        let (revision, cluster) = header.map_or((0, 0), |at| (at.revision(), at.cluster_id()));
        Reply::at(revision, cluster, response)
    }

    /// The header is at the top only (etcd: server/etcdserver/txn, `newTxnResp`).
    fn at(revision: i64, cluster: u64, response: &proto::TxnResponse) -> Reply {
        let mut reply = Reply::new(response.succeeded(), revision, Vec::new()).in_cluster(cluster);
        for response in response.op_responses() {
            let mut found = Vec::new();
            match response {
                proto::TxnOpResponse::Get(get) => {
                    found.extend(get.kvs().iter().map(Kv::from_proto))
                }
                proto::TxnOpResponse::Txn(txn) => {
                    reply.nested.push(Reply::at(revision, cluster, &txn));
                }
                proto::TxnOpResponse::Put(_) | proto::TxnOpResponse::Delete(_) => {}
            }
            reply.found.push(found);
        }
        reply
    }
}

impl Kv {
    pub(super) fn from_proto(kv: &proto::KeyValue) -> Kv {
        Kv {
            key: String::from_utf8_lossy(kv.key()).into_owned(),
            value: kv.value().to_vec(),
            lease: kv.lease(),
            mod_revision: kv.mod_revision(),
        }
    }
}
