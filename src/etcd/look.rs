//! A look at what has changed under all watched prefixes: one request, however many keys there are.

use std::time::Duration;

use etcd_client::{
    self as proto, Client, GetOptions, KeyValue, ResponseHeader, SortOrder, SortTarget, TxnOp,
    TxnOpResponse,
};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::page::MESSAGE;
use super::pool::Pool;
use super::tally::Keys;
use super::txn::Kv;

/// How long a read or the opening of a watch may take.
pub(super) const ANSWER: Duration = Duration::from_secs(1);

/// How many keys that have changed are read by themselves; if there are more, all are read.
const CHANGED: i64 = 100;

/// What there is, as far as it is newer than what was seen before.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) revision: i64,
    pub(super) read: Keys,
    pub(super) own: Keys,
    /// The keys under the prefix that is read, the newest first.
    pub(super) changed: Vec<Kv>,
    /// There are more of them.
    pub(super) more: bool,
}

/// Looks which keys have come, changed or gone since that revision, by a linearizable read. etcd counts all
/// keys, also those that it leaves out because they are older (`count` in its rpc.proto), or too many.
pub(super) async fn look(pool: &Pool, client: &Client, since: i64) -> Result<Look, Error> {
    let newer = |prefix: &String| {
        let options = GetOptions::new().with_prefix().with_limit(CHANGED);
        let options = options.with_sort(SortTarget::Mod, SortOrder::Descend);
        let options = options.with_min_mod_revision(since + 1);
        TxnOp::get(prefix.as_str(), Some(options))
    };
    let options = pool.options();
    let prefixes = std::iter::once(&options.watch_prefix).chain(options.other_prefixes());
    let looks: Vec<TxnOp> = prefixes.map(newer).collect();
    let mut client = client.kv_client().max_decoding_message_size(MESSAGE);
    let asking = client.txn(proto::Txn::new().and_then(looks));
    let answered = timeout_at(Instant::now() + ANSWER, asking).await;
    let answer = answered.map_err(|_| Error::deadline("read the keys again"))??;
    pool.check(answer.header())?;
    let revision = answer.header().map_or(0, ResponseHeader::revision);
    let mut look = Look { revision, ..Look::default() };
    for (place, response) in answer.op_responses().iter().enumerate() {
        let TxnOpResponse::Get(found) = response else { continue };
        if place == 0 {
            look.changed = found.kvs().iter().map(Kv::from_proto).collect();
            look.more = found.more();
        }
        let keys = if place == 0 { &mut look.read } else { &mut look.own };
        keys.count += usize::try_from(found.count()).unwrap_or(usize::MAX);
        let newest = found.kvs().iter().map(KeyValue::mod_revision).max();
        keys.newest = keys.newest.max(newest.unwrap_or(0));
    }
    Ok(look)
}
