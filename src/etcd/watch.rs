//! The keys under the watched prefixes, as they change: a read, a watch from the revision after it, and a
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

use etcd_client::{Client, EventType, WatchOptions, WatchResponse, WatchStream};
use log::{debug, warn};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::error::{Error, ErrorKind};
use super::follow::{Followed, Follower};
use super::look::{ANSWER, look};
use super::page::MESSAGE;
use super::pool::Pool;
use super::request::transact_once;
use super::round::Round;
use super::subscriptions::Subscriptions;
use super::tally::{Change, Tally};
use super::txn::{Kv, Op, Reply, Txn};
use super::{Event, Events, Gap, KeyState};

/// Between two reads while the watch works.
const SAFETY_READ: Duration = Duration::from_secs(12);

/// The first and the longest pause before a watch that failed is opened again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Watches the prefixes, for as long as the runtime lives.
pub(super) struct Watcher {
    pool: Rc<Pool>,
    subscriptions: Rc<Subscriptions>,
    follower: Rc<Follower>,
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

/// Who hears of keys: of those under the watched prefix, of those under the followed one, and of the others.
type Told = (Rc<Subscriptions>, Rc<Follower>, Rc<Events>);

impl Watcher {
    pub(super) fn new(pool: Rc<Pool>, (subscriptions, follower, events): Told) -> Watcher {
        let (cluster, gap, tally) = (Cell::new(0), Cell::new(Gap::None), Cell::default());
        let strays = RefCell::default();
        Watcher { pool, subscriptions, follower, events, cluster, gap, tally, strays }
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
            tokio::select! {
                () = sleep(pause) => {}
                () = self.pool.working() => {}
            }
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
            let now = look(&self.pool, &client, seen.revision).await?;
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
        let now = look(&self.pool, client, seen.revision).await?;
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
        let (revision, count) = (reply.revision, reply.kvs(0).len());
        if self.pool.options().followed_prefix.is_some() {
            let kvs = reply.found.pop().unwrap_or_default();
            self.follower.tell(Followed::All { kvs, revision });
        }
        Ok(Seen { revision, read: revision, count })
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
        let prefixes = [Some(self.prefix()), self.pool.options().followed_prefix.as_deref()];
        let reads = prefixes.into_iter().flatten().map(|prefix| Op::GetPrefix(prefix.to_owned()));
        let txn = Txn::unconditional(reads.collect());
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
            for prefix in self.pool.options().other_prefixes() {
                stream.watch(prefix.as_str(), Some(options.clone())).await?;
            }
            Ok(stream)
        };
        let opened = timeout_at(Instant::now() + ANSWER, opening).await;
        opened.map_err(|_| Error::deadline("open a watch"))?
    }

    /// Reports events, but those up to a read: `opened_after`, at the revision of the read before the
    /// watch was opened, and `seen`, at that of the last one, which read only the keys that are subscribed
    /// to or followed.
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
        if self.pool.options().followed_prefix.as_ref().is_some_and(|it| key.starts_with(it)) {
            if revision > seen {
                let deleted = Followed::Deleted { key, revision };
                self.follower.tell(if exists { Followed::Written(kv) } else { deleted });
            }
            return;
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
        let (tx, followed) = crossbeam_channel::unbounded();
        let follower = Rc::new(Follower::default());
        follower.go_to(Box::new(move |what| drop(tx.send(what))));
        let told = (subscriptions, follower, events);
        let watcher = Watcher::new(Pool::new(Options::of_tests(1)), told);
        let own = |revision| Kv { key: "/hosts/h1".to_owned(), ..kv(revision) };
        let agent = |revision| Kv { key: "/agents/h2".to_owned(), ..kv(revision) };
        // The watch was opened after revision 3, and the keys under the prefix were read again at 7.
        for revision in [2, 3, 4, 7, 8] {
            watcher.on_event(kv(revision), Change::Deleted, 3, 7);
            watcher.on_event(own(revision), Change::Written, 3, 7);
            watcher.on_event(agent(revision), Change::Written, 3, 7);
        }
        let states: Vec<KeyState> = heard.try_iter().collect();
        assert_eq!(states, [KeyState { kv: None, revision: 8, gap: Gap::None }]);
        let event = |revision| Event::KeyChanged { key: own(0).key, exists: true, revision };
        assert_eq!(changed.try_iter().collect::<Vec<_>>(), [4, 7, 8].map(event));
        assert_eq!(followed.try_iter().collect::<Vec<_>>(), [Followed::Written(agent(8))]);
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
