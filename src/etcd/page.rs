//! Reads in pages: no number of keys under a prefix, and no size of their values, makes an answer too large.
//!
//! etcd limits an answer by the number of keys alone. What a transaction has not read to the end is read
//! on at the revision of the transaction, so that all of it is one moment.

use etcd_client::{self as proto, Client, GetOptions};

use super::error::Error;
use super::pool::Pool;
use super::txn::{Kv, Op, PAGE, Reply, Txn};

/// The largest message that is read, in bytes: a page of the largest values.
pub(super) const MESSAGE: usize = 160 << 20;

/// The rest of a read, which has filled its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Where the transaction is in the reply: at this place among the nested ones, and so on.
    nested: Vec<usize>,
    /// The place of the read in it.
    op: usize,
    prefix: String,
    /// Where the next page begins.
    from: Vec<u8>,
}

/// What a transaction has not read to the end.
pub(super) fn rests(txn: &Txn, response: &proto::TxnResponse) -> Vec<Rest> {
    let mut rests = Vec::new();
    collect(txn, response, &[], &mut rests);
    rests
}

fn collect(txn: &Txn, response: &proto::TxnResponse, nested: &[usize], rests: &mut Vec<Rest>) {
    let ops = if response.succeeded() { &txn.then } else { &txn.otherwise };
    let mut next = 0;
    for (place, (op, response)) in ops.iter().zip(response.op_responses()).enumerate() {
        match (op, response) {
            (Op::GetPrefix(prefix), proto::TxnOpResponse::Get(get)) if get.more() => {
                let from = get.kvs().last().map(|kv| after(kv.key()));
                let prefix = prefix.clone();
                rests.extend(from.map(|from| Rest {
                    nested: nested.into(),
                    op: place,
                    prefix,
                    from,
                }));
            }
            (Op::Nested(txn), proto::TxnOpResponse::Txn(response)) => {
                collect(txn, &response, &[nested, &[next]].concat(), rests);
                next += 1;
            }
            _ => {}
        }
    }
}

impl Rest {
    /// Reads the next page, at the revision of the transaction.
    pub(super) async fn page(
        &self,
        pool: &Pool,
        client: &Client,
        revision: i64,
    ) -> Result<proto::GetResponse, Error> {
        let options = GetOptions::new().with_range(end(&self.prefix)).with_limit(PAGE);
        let mut kv = client.kv_client().max_decoding_message_size(MESSAGE);
        let page = kv.get(self.from.clone(), Some(options.with_revision(revision))).await?;
        pool.check(page.header())?;
        Ok(page)
    }

    /// Adds a page to the reply: what is left then, if anything is.
    pub(super) fn add(self, reply: &mut Reply, page: proto::GetResponse) -> Option<Rest> {
        let txn = self.nested.iter().try_fold(reply, |reply, place| reply.nested.get_mut(*place));
        if let Some(found) = txn.and_then(|txn| txn.found.get_mut(self.op)) {
            found.extend(page.kvs().iter().map(Kv::from_proto));
        }
        let last = page.kvs().last().filter(|_| page.more());
        last.map(|last| Rest { from: after(last.key()), ..self })
    }
}

/// The key after that one, whether or not it exists.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// The end of all keys that begin with that text. No byte of it is the last one there is (RFC 3629, 1).
fn end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    end.last_mut().into_iter().for_each(|last| *last += 1);
    end
}
