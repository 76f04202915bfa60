//! The keys under one prefix, as they change: a read, a watch from the revision after it, and a
//! slow repetition of the read as a safety net, opened anew for as long as it takes.
//!
//! A watch is only an accelerator: it may end, be cancelled or compacted, or stay silent on a member
//! that has lost the cluster. What the reads say decides. Whoever holds a lease asks etcd when he
//! doubts what he has heard; while that is so, the repetition reads the keys only if etcd says that
//! something has changed, so that it costs the same however many keys there are.

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
use super::tour::Tour;
use super::txn::{Kv, Op, Txn};
use super::{Event, Events, Gap, KeySink, KeyState};

/// Between two reads while the watch works.
const SAFETY_READ: Duration = Duration::from_secs(10);

/// How long a read or the opening of a watch may take.
const ANSWER: Duration = Duration::from_secs(1);

/// The first and the longest pause before a watch that failed is opened again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Who wants to hear of which key, each by the token of its subscription.
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

    /// Tells of every key, also of one that has not changed: who hears of it may have had reasons of
    /// its own not to believe any longer what it heard before.
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

    /// Reads and watches, for ever.
    pub(super) async fn run(self) {
        let mut pause = BACK_OFF.0;
        let mut tour = Tour::default();
        loop {
            let begun = Instant::now();
            let error = match self.session(&mut tour).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            let Some(error) = tour.go_on(&self.pool, error) else { continue };
            if begun.elapsed() > BACK_OFF.1 * 2 {
                pause = BACK_OFF.0;
            }
            let text = format!("watch {}: {error}", self.prefix());
            // Of what does not answer the pool warns.
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
    async fn session(&self, tour: &mut Tour) -> Result<(), Error> {
        let (member, mut epoch) = (tour.member(&self.pool), self.pool.epoch());
        let client = self.pool.connect(member, Instant::now() + ANSWER).await?;
        let watching = async {
            let seen = self.read(&client, Gap::Reconnected).await?;
            let stream = self.open(&client, seen.revision + 1).await?;
            tour.ended_at(member, &self.pool);
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
        let mut next_read = Instant::now() + SAFETY_READ;
        loop {
            tokio::select! {
                message = stream.message() => match message? {
                    Some(response) => self.on_response(&response)?,
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

    /// Reads all keys if need be: if one has changed, or if nobody knows better than by being told.
    async fn read_again(&self, client: &Client, seen: Seen) -> Result<Seen, Error> {
        if self.pool.holds_lease() && self.is_unchanged(client, seen).await? {
            return Ok(seen);
        }
        self.read(client, Gap::None).await
    }

    /// Whether no key has come, changed or gone since, as a linearizable read tells. etcd counts all
    /// keys, also those that it leaves out because they are older (`count` in its rpc.proto).
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
        Ok(answer.kvs().is_empty() && seen.is_still_so(now, known))
    }

    /// Reads all keys and reports them.
    async fn read(&self, client: &Client, gap: Gap) -> Result<Seen, Error> {
        // A linearizable read cannot be older than what was heard before it was sent, unless etcd was
        // restored from a snapshot.
        let known = self.pool.revision();
        let txn = Txn::read(vec![Op::GetPrefix(self.prefix().to_owned())]);
        let reading =
            timeout_at(Instant::now() + ANSWER, transact_once(&self.pool, client, &txn)).await;
        let reply = reading.map_err(|_| Error::deadline("read the keys"))??;
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

    async fn open(&self, client: &Client, revision: i64) -> Result<WatchStream, Error> {
        let options = WatchOptions::new().with_prefix().with_start_revision(revision);
        let mut client = client.watch_client();
        let opening = async {
            let mut stream = client.watch(self.prefix(), Some(options)).await?;
            // etcd says in the stream itself that it refuses a watch.
            let opened = stream.message().await?;
            let opened = opened.ok_or_else(|| Error::unreachable("the stream has ended"))?;
            self.on_response(&opened)?;
            for prefix in &self.pool.options().own_prefixes {
                let options = WatchOptions::new().with_prefix().with_start_revision(revision);
                stream.watch(prefix.as_str(), Some(options)).await?;
            }
            Ok(stream)
        };
        let opened = timeout_at(Instant::now() + ANSWER, opening).await;
        opened.map_err(|_| Error::deadline("open a watch"))?
    }

    fn on_response(&self, response: &WatchResponse) -> Result<(), Error> {
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
            let kv = Kv::from_proto(kv);
            self.pool.heard(kv.mod_revision);
            let present = event.event_type() == EventType::Put;
            let (key, revision) = (kv.key.clone(), kv.mod_revision);
            let watched = key.starts_with(self.prefix());
            if !watched || (self.pool.options().stray)(&key) {
                self.events.tell(Event::KeyChanged { key, exists: present, revision });
                continue;
            }
            let state = KeyState { kv: present.then_some(kv), revision, gap: Gap::None };
            self.subscriptions.tell(&key, &state);
        }
        Ok(())
    }
}

impl Seen {
    /// Whether no key has come or gone, when none was written that is still there. `known` is the newest
    /// revision of before: an etcd with an older one was restored from a snapshot.
    fn is_still_so(self, now: Seen, known: i64) -> bool {
        now.revision >= known && now.count == self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_no_longer_so_when_a_key_is_gone_or_etcd_was_restored() {
        let seen = Seen { revision: 7, count: 2 };
        let at = |revision, count| Seen { revision, count };
        assert!(seen.is_still_so(at(9, 2), 9));
        assert!(!seen.is_still_so(at(9, 1), 9), "a key is gone");
        assert!(!seen.is_still_so(at(8, 2), 9), "the revision went back");
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
