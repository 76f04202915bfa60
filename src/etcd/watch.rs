//! The keys under one prefix, as they change: a read, a watch from the revision after it, and a
//! slow repetition of the read as a safety net. Each failure begins that again.
//!
//! A watch only makes changes known sooner. It may end, be cancelled or compacted, or stay silent on a
//! member that has lost the cluster; etcd has lost events of watches and repeated old ones. So the reads
//! decide: an event that is older than the last read is dropped. While the lease is held, the
//! repetition reads the keys only if etcd says that one has changed, so that it costs the same
//! however many keys there are.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use etcd_client::{
    Client, EventType, GetOptions, ResponseHeader, WatchOptions, WatchResponse, WatchStream,
};
use log::{debug, warn};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::error::{Error, ErrorKind};
use super::pool::Pool;
use super::request::transact_once;
use super::round::Round;
use super::txn::{Kv, Op, Reply, Txn};
use super::{Event, Events, Gap, KeySink, KeyState};

/// Between two reads while the watch works.
const SAFETY_READ: Duration = Duration::from_secs(10);

/// How long a read or the opening of a watch may take.
const ANSWER: Duration = Duration::from_secs(1);

/// The first and the longest pause before a watch that failed is opened again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The subscriptions of each key, by their tokens.
#[derive(Default)]
pub(super) struct Subscriptions(RefCell<HashMap<String, Vec<(u64, KeySink)>>>);

/// Watches the prefix, for as long as the runtime lives.
pub(super) struct Watcher {
    pool: Rc<Pool>,
    subscriptions: Rc<Subscriptions>,
    events: Rc<Events>,
    /// The cluster that was read last; 0 before the first read.
    cluster: Cell<u64>,
    /// The widest gap that a read has found since the watch was opened.
    gap: Cell<Gap>,
}

/// What a read has found.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The revision at which it was so.
    revision: i64,
    /// How many keys there were.
    count: usize,
}

impl Subscriptions {
    pub(super) fn add(&self, key: String, token: u64, sink: KeySink) {
        self.0.borrow_mut().entry(key).or_default().push((token, sink));
    }

    /// Ends this subscription, and no other one of the same key.
    pub(super) fn remove(&self, key: &str, token: u64) {
        let mut all = self.0.borrow_mut();
        if let Some(sinks) = all.get_mut(key) {
            sinks.retain(|(other, _)| *other != token);
            if sinks.is_empty() {
                all.remove(key);
            }
        }
    }

    fn tell(&self, key: &str, state: &KeyState) {
        let all = self.0.borrow();
        all.get(key).into_iter().flatten().for_each(|(_, sink)| sink(state.clone()));
    }

    /// Tells of every key, also of one that has not changed: a subscriber may have had its own reasons
    /// not to trust any longer what it heard before.
    fn tell_all(&self, kvs: &[Kv], revision: i64, gap: Gap) {
        let found: HashMap<&str, &Kv> = kvs.iter().map(|kv| (kv.key.as_str(), kv)).collect();
        for (key, sinks) in self.0.borrow().iter() {
            let kv = found.get(key.as_str()).copied();
            sinks.iter().for_each(|(_, sink)| sink(KeyState { kv: kv.cloned(), revision, gap }));
        }
    }
}

impl Watcher {
    pub(super) fn new(
        pool: Rc<Pool>,
        subscriptions: Rc<Subscriptions>,
        events: Rc<Events>,
    ) -> Watcher {
        Watcher { pool, subscriptions, events, cluster: Cell::new(0), gap: Cell::new(Gap::None) }
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
                    Some(response) => self.on_response(&response, opened_after, seen.revision)?,
                    None => return Err(Error::unreachable("the stream has ended")),
                },
                () = sleep_until(next_read) => {
                    seen = self.read_again(client, seen).await?;
                    if self.gap.get() != Gap::None {
                        // This watch waits for revisions that are a long way off.
                        return Ok(());
                    }
                    next_read = Instant::now() + SAFETY_READ;
                }
            }
        }
    }

    /// Reads all keys if one has changed, and in any case while the lease is not held: without it no
    /// election asks etcd by itself.
    async fn read_again(&self, client: &Client, seen: Seen) -> Result<Seen, Error> {
        if self.pool.holds_lease() && self.is_unchanged(client, seen).await? {
            return Ok(seen);
        }
        self.read(client, Gap::None).await
    }

    /// Whether no key has come, changed or gone since, by a linearizable read. etcd counts all keys, also
    /// those that it leaves out because they are older (`count` in its rpc.proto).
    async fn is_unchanged(&self, client: &Client, seen: Seen) -> Result<bool, Error> {
        let known = self.pool.revision();
        let newer = GetOptions::new().with_prefix().with_min_mod_revision(seen.revision + 1);
        let mut client = client.kv_client();
        let asking = client.get(self.prefix(), Some(newer.with_keys_only()));
        let answered = timeout_at(Instant::now() + ANSWER, asking).await;
        let answer = answered.map_err(|_| Error::deadline("read the keys again"))??;
        let now = Seen {
            revision: answer.header().map_or(0, ResponseHeader::revision),
            count: usize::try_from(answer.count()).unwrap_or(usize::MAX),
        };
        self.pool.check(answer.header())?;
        Ok(seen.is_still_so(now, answer.kvs().len(), known))
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
        for kv in reply.kvs(0).iter().filter(|kv| (self.pool.options().stray)(&kv.key)) {
            let (key, revision) = (kv.key.clone(), kv.mod_revision);
            self.events.tell(Event::KeyChanged { key, exists: true, revision });
        }
        self.gap.set(gap.max(self.gap.get()));
        Ok(Seen { revision: reply.revision, count: reply.kvs(0).len() })
    }

    async fn read_keys(&self, client: &Client) -> Result<Reply, Error> {
        let txn = Txn::read(vec![Op::GetPrefix(self.prefix().to_owned())]);
        let reading = transact_once(&self.pool, client, &txn);
        let read = timeout_at(Instant::now() + ANSWER, reading).await;
        read.map_err(|_| Error::deadline("read the keys"))?
    }

    async fn open(&self, client: &Client, revision: i64) -> Result<WatchStream, Error> {
        let options = WatchOptions::new().with_prefix().with_start_revision(revision);
        let mut client = client.watch_client();
        let opening = async {
            let mut stream = client.watch(self.prefix(), Some(options)).await?;
            // etcd says in the stream itself that it refuses a watch.
            let opened = stream.message().await?;
            let opened = opened.ok_or_else(|| Error::unreachable("the stream has ended"))?;
            self.on_response(&opened, revision - 1, revision - 1)?;
            for prefix in &self.pool.options().own_prefixes {
                let options = WatchOptions::new().with_prefix().with_start_revision(revision);
                stream.watch(prefix.as_str(), Some(options)).await?;
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
            let exists = event.event_type() == EventType::Put;
            if let Some(kv) = event.kv() {
                self.on_event(Kv::from_proto(kv), exists, opened_after, seen);
            }
        }
        Ok(())
    }

    fn on_event(&self, kv: Kv, exists: bool, opened_after: i64, seen: i64) {
        let (key, revision) = (kv.key.clone(), kv.mod_revision);
        self.pool.heard(revision);
        if !key.starts_with(self.prefix()) || (self.pool.options().stray)(&key) {
            if revision > opened_after {
                self.events.tell(Event::KeyChanged { key, exists, revision });
            }
        } else if revision > seen {
            let state = KeyState { kv: exists.then_some(kv), revision, gap: Gap::None };
            self.subscriptions.tell(&key, &state);
        }
    }
}

impl Seen {
    /// Whether no key has come, changed or gone: no key that exists was `written` since, and there are as
    /// many. `known` is the newest revision of before: an etcd with an older one was restored from a
    /// snapshot, or its answer is an old one.
    fn is_still_so(self, now: Seen, written: usize, known: i64) -> bool {
        now.revision >= known && now.count == self.count && written == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn what_was_seen_is_no_longer_so_when_a_key_is_gone_or_etcd_was_restored() {
        let seen = Seen { revision: 7, count: 2 };
        let at = |revision, count| Seen { revision, count };
        assert!(seen.is_still_so(at(9, 2), 0, 9));
        assert!(!seen.is_still_so(at(9, 1), 0, 9), "a key is gone");
        assert!(!seen.is_still_so(at(9, 2), 1, 9), "one went away and came back");
        assert!(!seen.is_still_so(at(8, 2), 0, 9), "the revision went back");
    }

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
            watcher.on_event(kv(revision), false, 3, 7);
            watcher.on_event(own(revision), true, 3, 7);
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

    #[test]
    fn every_read_tells_of_every_key_changed_or_not() {
        let subscriptions = Subscriptions::default();
        let (sink, heard) = sink();
        subscriptions.add("/locks/a".to_owned(), 1, sink);
        for revision in [4, 5] {
            subscriptions.tell_all(&[kv(3)], revision, Gap::None);
            let state = KeyState { kv: Some(kv(3)), revision, gap: Gap::None };
            assert_eq!(heard.try_recv(), Ok(state));
        }
        subscriptions.tell_all(&[], 6, Gap::Reconnected);
        assert_eq!(heard.try_recv(), Ok(KeyState { kv: None, revision: 6, gap: Gap::Reconnected }));
    }

    #[test]
    fn the_end_of_a_subscription_ends_no_other_one_of_the_same_key() {
        let subscriptions = Subscriptions::default();
        let ((old, from_old), (new, from_new)) = (sink(), sink());
        subscriptions.add("/locks/a".to_owned(), 1, old);
        subscriptions.add("/locks/a".to_owned(), 2, new);
        let state = KeyState { kv: Some(kv(3)), revision: 3, gap: Gap::None };
        subscriptions.tell("/locks/a", &state);
        assert_eq!(
            (from_old.try_recv(), from_new.try_recv()),
            (Ok(state.clone()), Ok(state.clone()))
        );
        subscriptions.remove("/locks/a", 1);
        subscriptions.tell("/locks/a", &state);
        assert_eq!(from_new.try_recv(), Ok(state));
        assert!(from_old.try_recv().is_err());
        subscriptions.remove("/locks/a", 2);
        assert!(subscriptions.0.borrow().is_empty());
    }
}
