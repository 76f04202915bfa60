//! The keys under one prefix, as they change: a read, a watch from the revision after it, and a
//! slow repetition of the read as a safety net. Each failure begins that again.
//!
//! A watch only makes changes known sooner. It may end, be cancelled or compacted, or stay silent on a
//! member that has lost the cluster; etcd has lost events of watches and repeated old ones. So the reads
//! decide: an event that is older than the last read is dropped, and a watch that does not tell what
//! they find is opened again ([`Tally`]). While the lease is held, the repetition reads what has changed,
//! and all keys only if the watch falls short of that, so that it costs the same however many keys there are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use etcd_client::{
    self as proto, Client, EventType, GetOptions, KeyValue, ResponseHeader, SortOrder, SortTarget,
    TxnOp, TxnOpResponse, WatchOptions, WatchResponse, WatchStream,
};
use log::{debug, warn};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::error::{Error, ErrorKind};
use super::page::MESSAGE;
use super::pool::Pool;
use super::request::transact_once;
use super::round::Round;
use super::subscriptions::Subscriptions;
use super::tally::{Change, Keys, Tally};
use super::txn::{Kv, Op, Reply, Txn};
use super::{Event, Events, Gap, KeyState};

/// How many keys that have changed are read by themselves; if there are more, all are read.
const CHANGED: i64 = 100;

/// Between two reads while the watch works.
const SAFETY_READ: Duration = Duration::from_secs(10);

/// How long a read or the opening of a watch may take.
const ANSWER: Duration = Duration::from_secs(1);

/// The first and the longest pause before a watch that failed is opened again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Watches the prefix, for as long as the runtime lives.
pub(super) struct Watcher {
    pool: Rc<Pool>,
    subscriptions: Rc<Subscriptions>,
    events: Rc<Events>,
    /// The cluster that was read last; 0 before the first read.
    cluster: Cell<u64>,
    /// The widest gap that a read has found since the watch was opened.
    gap: Cell<Gap>,
    /// What the watch has told.
    tally: Cell<Tally>,
    /// The stray keys that were told of, so that one that is deleted unseen is told of, too.
    strays: RefCell<Vec<String>>,
}

/// What a read has found.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The revision at which it was so.
    revision: i64,
    /// The revision at which all keys were read and told.
    read: i64,
    /// How many keys there were under the prefix that is read.
    count: usize,
}

/// What there is, as far as it is newer than what was seen before.
#[derive(Debug, Default)]
struct Look {
    revision: i64,
    read: Keys,
    own: Keys,
    /// The keys under the prefix that is read, the newest first.
    changed: Vec<Kv>,
    /// There are more of them.
    more: bool,
}

impl Watcher {
    pub(super) fn new(
        pool: Rc<Pool>,
        subscriptions: Rc<Subscriptions>,
        events: Rc<Events>,
    ) -> Watcher {
        let (cluster, gap, tally) = (Cell::new(0), Cell::new(Gap::None), Cell::default());
        let strays = RefCell::default();
        Watcher { pool, subscriptions, events, cluster, gap, tally, strays }
    }

    /// Reads and watches until the runtime ends.
    pub(super) async fn run(self) {
        let mut pause = BACK_OFF.0;
        let mut round = Round::default();
        loop {
            let begun = Instant::now();
            let error = match self.session(&mut round).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            let Some(error) = round.after(error, &self.pool) else { continue };
            if begun.elapsed() > BACK_OFF.1 * 2 {
                pause = BACK_OFF.0;
            }
            let text = format!("watch {}: {error}", self.prefix());
            // Of a member that does not answer, the pool has warned.
            if error.kind != ErrorKind::Refused || !self.pool.warn_once(&text, &text) {
                debug!("etcd: {text}");
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    fn prefix(&self) -> &str {
        &self.pool.options().watch_prefix
    }

    /// Reads and watches through the member in use, until that fails or another is in use.
    async fn session(&self, round: &mut Round) -> Result<(), Error> {
        let (member, mut epoch) = (round.member(&self.pool), self.pool.epoch());
        let client = self.pool.connect(member, Instant::now() + ANSWER).await?;
        let watching = async {
            let seen = self.read(&client, Gap::Reconnected).await?;
            let now = self.look(&client, seen).await?;
            self.tally.set(Tally::of((seen.count, seen.revision), (now.own.count, now.revision)));
            let stream = self.open(&client, seen.revision + 1).await?;
            round.ended_at(member, &self.pool);
            self.watch(&client, seen, stream).await
        };
        let result = tokio::select! {
            result = watching => result,
            _ = epoch.changed() => return Ok(()),
        };
        result.map_err(|error| self.pool.failed(member, error))
    }

    async fn watch(
        &self,
        client: &Client,
        mut seen: Seen,
        mut stream: WatchStream,
    ) -> Result<(), Error> {
        let (gap, cluster) = (self.gap.replace(Gap::None), self.cluster.get());
        self.events.tell(Event::WatchOpened { gap, revision: seen.revision, cluster });
        let opened_after = seen.revision;
        let mut next_read = Instant::now() + SAFETY_READ;
        loop {
            tokio::select! {
                message = stream.message() => match message? {
                    Some(response) => self.on_response(&response, opened_after, seen.read)?,
                    None => return Err(Error::unreachable("the stream has ended")),
                },
                () = sleep_until(next_read) => {
                    seen = self.read_again(client, seen, opened_after).await?;
                    if self.gap.get() != Gap::None {
                        // This watch waits for revisions that are a long way off.
                        return Ok(());
                    }
                    let tally = self.tally.get();
                    if tally.is_deaf() {
                        return Err(Error::unreachable("it does not tell what changes"));
                    }
                    let wait = if tally.is_short() { ANSWER } else { SAFETY_READ };
                    next_read = Instant::now() + wait;
                }
            }
        }
    }

    /// Reads what has changed, and tells of it. Reads and tells of all keys if the watch falls short of
    /// that, and in any case while the lease is not held: without it no election asks etcd by itself.
    async fn read_again(
        &self,
        client: &Client,
        seen: Seen,
        opened_after: i64,
    ) -> Result<Seen, Error> {
        // An etcd with an older revision was restored from a snapshot, or its answer is an old one.
        let known = self.pool.revision();
        let now = self.look(client, seen).await?;
        if now.revision < known {
            return self.read(client, Gap::None).await;
        }
        let mut tally = self.tally.get();
        tally.found(now.read, now.own);
        self.tally.set(tally);
        let unchanged = now.read.count == seen.count && now.read.newest == 0;
        // Of keys that have gone the watch has told: their number is right.
        let told = !tally.is_short() && !now.more;
        if !self.pool.holds_lease() || !unchanged && !told {
            return self.read(client, Gap::None).await;
        }
        for kv in now.changed {
            self.on_event(kv, Change::Written, opened_after, seen.read);
        }
        Ok(Seen { revision: now.revision, count: now.read.count, ..seen })
    }

    /// Looks which keys have come, changed or gone since, by a linearizable read. etcd counts all keys,
    /// also those that it leaves out because they are older (`count` in its rpc.proto), or too many.
    async fn look(&self, client: &Client, seen: Seen) -> Result<Look, Error> {
        let newer = |prefix: &String| {
            let options = GetOptions::new().with_prefix().with_limit(CHANGED);
            let options = options.with_sort(SortTarget::Mod, SortOrder::Descend);
            let options = options.with_min_mod_revision(seen.revision + 1);
            TxnOp::get(prefix.as_str(), Some(options))
        };
        let options = self.pool.options();
        let prefixes = std::iter::once(&options.watch_prefix).chain(&options.own_prefixes);
        let looks: Vec<TxnOp> = prefixes.map(newer).collect();
        let mut client = client.kv_client().max_decoding_message_size(MESSAGE);
        let asking = client.txn(proto::Txn::new().and_then(looks));
        let answered = timeout_at(Instant::now() + ANSWER, asking).await;
        let answer = answered.map_err(|_| Error::deadline("read the keys again"))??;
        self.pool.check(answer.header())?;
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

    /// Reads all keys and reports them.
    async fn read(&self, client: &Client, gap: Gap) -> Result<Seen, Error> {
        // A linearizable read is not older than what was heard before it was sent, unless etcd was
        // restored from a snapshot; or by mistake after etcd itself stood still (etcd-io/etcd#20418), but
        // then not a second time.
        let known = self.pool.revision();
        let mut reply = self.read_keys(client).await?;
        if reply.revision < known {
            reply = self.read_keys(client).await?;
        }
        let before = self.cluster.replace(reply.cluster);
        let gap = if before != 0 && before != reply.cluster {
            Gap::Replaced
        } else if reply.revision < known {
            warn!("etcd: revision went back from {known} to {}: restored?", reply.revision);
            self.pool.forget_revision();
            Gap::Restored
        } else {
            gap
        };
        self.pool.heard(reply.revision);
        self.subscriptions.tell_all(reply.kvs(0), reply.revision, gap);
        self.tell_strays(&reply);
        self.gap.set(gap.max(self.gap.get()));
        let revision = reply.revision;
        Ok(Seen { revision, read: revision, count: reply.kvs(0).len() })
    }

    fn tell_strays(&self, reply: &Reply) {
        let strays = reply.kvs(0).iter().filter(|kv| (self.pool.options().stray)(&kv.key));
        let before = self.strays.take();
        for kv in strays {
            let (key, revision) = (kv.key.clone(), kv.mod_revision);
            self.strays.borrow_mut().push(key.clone());
            self.events.tell(Event::KeyChanged { key, exists: true, revision });
        }
        for key in before {
            if !self.strays.borrow().contains(&key) {
                let revision = reply.revision;
                self.events.tell(Event::KeyChanged { key, exists: false, revision });
            }
        }
    }

    async fn read_keys(&self, client: &Client) -> Result<Reply, Error> {
        let txn = Txn::unconditional(vec![Op::GetPrefix(self.prefix().to_owned())]);
        let late = |_| Error::deadline("read the keys");
        let reading = timeout(ANSWER, transact_once(&self.pool, client, &txn)).await;
        let (mut reply, mut rests) = reading.map_err(late)??;
        while let Some(rest) = rests.pop() {
            let page = timeout(ANSWER, rest.page(&self.pool, client, reply.revision)).await;
            rests.extend(rest.add(&mut reply, page.map_err(late)??));
        }
        Ok(reply)
    }

    async fn open(&self, client: &Client, revision: i64) -> Result<WatchStream, Error> {
        // What was written at one revision comes in several messages if it is much.
        let options = WatchOptions::new().with_prefix().with_fragment();
        let options = options.with_start_revision(revision);
        let mut client = client.watch_client().max_decoding_message_size(MESSAGE);
        let opening = async {
            let mut stream = client.watch(self.prefix(), Some(options.clone())).await?;
            // etcd says in the stream itself that it refuses a watch.
            let opened = stream.message().await?;
            let opened = opened.ok_or_else(|| Error::unreachable("the stream has ended"))?;
            self.on_response(&opened, revision - 1, revision - 1)?;
            for prefix in &self.pool.options().own_prefixes {
                stream.watch(prefix.as_str(), Some(options.clone())).await?;
            }
            Ok(stream)
        };
        let opened = timeout_at(Instant::now() + ANSWER, opening).await;
        opened.map_err(|_| Error::deadline("open a watch"))?
    }

    /// Reports events, but those up to a read: `opened_after`, at the revision of the read before the
    /// watch was opened, and `seen`, at that of the last one, which read only the keys of subscriptions.
    fn on_response(
        &self,
        response: &WatchResponse,
        opened_after: i64,
        seen: i64,
    ) -> Result<(), Error> {
        if response.canceled() {
            let text = format!("cancelled by etcd: {}", response.cancel_reason());
            return Err(match response.compact_revision() {
                0 => Error::refused(text),
                // What is older than that is forgotten: read again.
                revision => Error::unreachable(format!("{text} (compacted up to {revision})")),
            });
        }
        for event in response.events() {
            let Some(kv) = event.kv() else { continue };
            let change = match event.event_type() {
                EventType::Delete => Change::Deleted,
                EventType::Put if kv.create_revision() == kv.mod_revision() => Change::Created,
                EventType::Put => Change::Written,
            };
            self.on_event(Kv::from_proto(kv), change, opened_after, seen);
        }
        Ok(())
    }

    fn on_event(&self, kv: Kv, change: Change, opened_after: i64, seen: i64) {
        let (key, revision) = (kv.key.clone(), kv.mod_revision);
        let (is_own, exists) = (!key.starts_with(self.prefix()), change != Change::Deleted);
        self.pool.heard(revision);
        if revision > opened_after {
            let mut tally = self.tally.get();
            tally.told(is_own, revision, change);
            self.tally.set(tally);
        }
        let is_stray = (self.pool.options().stray)(&key);
        if is_stray && !self.strays.borrow().contains(&key) {
            self.strays.borrow_mut().push(key.clone());
        }
        if is_own || is_stray {
            if revision > opened_after {
                self.events.tell(Event::KeyChanged { key, exists, revision });
            }
        } else if revision > seen {
            let state = KeyState { kv: exists.then_some(kv), revision, gap: Gap::None };
            self.subscriptions.tell(&key, &state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeySink, Options};
    use super::*;

    #[test]
    fn events_that_are_older_than_what_was_read_are_dropped() {
        let (subscriptions, events) =
            (Rc::new(Subscriptions::default()), Rc::new(Events::default()));
        let (sink, heard) = sink();
        subscriptions.add("/locks/a".to_owned(), 1, sink);
        let (tx, changed) = crossbeam_channel::unbounded();
        events.go_to(Box::new(move |event| drop(tx.send(event))));
        let watcher = Watcher::new(Pool::new(Options::of_tests(1)), subscriptions, events);
        let own = |revision| Kv { key: "/hosts/h1".to_owned(), ..kv(revision) };
        // The watch was opened after revision 3, and the keys under the prefix were read again at 7.
        for revision in [2, 3, 4, 7, 8] {
            watcher.on_event(kv(revision), Change::Deleted, 3, 7);
            watcher.on_event(own(revision), Change::Written, 3, 7);
        }
        let states: Vec<KeyState> = heard.try_iter().collect();
        assert_eq!(states, [KeyState { kv: None, revision: 8, gap: Gap::None }]);
        let event = |revision| Event::KeyChanged { key: own(0).key, exists: true, revision };
        assert_eq!(changed.try_iter().collect::<Vec<_>>(), [4, 7, 8].map(event));
    }

    fn kv(revision: i64) -> Kv {
        let (key, value) = ("/locks/a".to_owned(), b"h2".to_vec());
        Kv { key, value, lease: 9, mod_revision: revision }
    }

    /// A sink, and what comes out of it.
    fn sink() -> (KeySink, crossbeam_channel::Receiver<KeyState>) {
        let (tx, rx) = crossbeam_channel::unbounded();
        (Box::new(move |state| drop(tx.send(state))), rx)
    }
}
