//! A synchronous etcd v3 client: blocking calls with deadlines over `etcd-client`, for programs that
//! have threads and no runtime of their own.
//!
//! It knows nothing of virtual IPs and could be a crate. It does three things, all on one thread
//! named `etcd-io`, which runs one current-thread runtime in one `block_on` for as long as
//! [`Etcd`] lives:
//!
//! - transactions, from any thread, each with a deadline ([`Client::call`], [`Client::submit`]), and
//!   those that cannot wait for others ([`Client::submit_at_once`]);
//! - one lease, granted or resumed and kept alive ([`Client::keep_lease`]);
//! - one watch over one prefix on one stream, whose events go to the subscriptions of the key
//!   ([`Client::subscribe`]), and over another one, of which one hears everything ([`Client::follow`]).
//!   However many keys there are, it is one stream and one periodic read.
//!
//! The deadlines and the choice of the member are the shim's: a member that does not answer in time is
//! left for the next one, by all requests and streams at once. Callbacks run on the runtime's thread
//! and must not block. Dropping [`Etcd`] ends the thread; requests that wait then get no answer.

mod authenticator;
mod batch;
mod cluster;
mod connection;
mod count;
mod error;
mod event;
mod follow;
mod home;
mod lease;
mod look;
mod name;
mod page;
mod pool;
mod request;
mod returns;
mod round;
mod subscriptions;
mod tally;
mod tls;
mod txn;
mod watch;

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle as Task, LocalSet, spawn_local};
use tokio::time::Instant;

use self::batch::Batcher;
pub use self::count::CountSink;
pub use self::error::{Error, ErrorKind};
use self::event::Events;
pub use self::event::{
    Event, EventSink, Gap, KeySink, KeyState, LeaseInfo, LeaseSink, ReplySink, TimeToLive, TtlSink,
};
use self::follow::Follower;
pub use self::follow::{FollowSink, Followed};
use self::lease::{Keeper, lease_info, revoke};
use self::pool::Pool;
use self::subscriptions::Subscriptions;
pub use self::tls::TlsFiles;
pub use self::txn::{Compare, Kv, Op, Reply, Txn};
use self::watch::Watcher;
use crate::secret::Secret;
use crate::thread;

/// Bytes of stack, of which debug builds of tonic need more than our other threads.
const STACK: usize = 1 << 20;

/// How to reach etcd, and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://host:port` or `https://host:port`; at least one.
    pub endpoints: Vec<String>,
    /// The PEM files for `https`.
    pub tls: Option<TlsFiles>,
    /// etcd's own authentication.
    pub user: Option<(String, Secret)>,
    /// Between two renewals of the lease.
    pub renewal: Duration,
    /// Failed renewals in a row after which the lease is reported lost.
    pub retries: u32,
    /// The prefix of all keys that can be subscribed to.
    pub watch_prefix: String,
    /// Which keys under the watched prefix are told as [`Event::KeyChanged`], too.
    pub stray: fn(&str) -> bool,
    /// Prefixes of keys of which only changes are told ([`Event::KeyChanged`]), on the same stream.
    pub own_prefixes: Vec<String>,
    /// The prefix of keys of which everything is told, with values ([`Client::follow`]), on the same
    /// stream.
    pub followed_prefix: Option<String>,
}

impl Options {
    /// The TTL that is asked for: 5 renewals, in whole seconds, rounded up.
    pub fn ttl(&self) -> Duration {
        let ttl = self.renewal * 5;
        Duration::from_secs(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0))
    }

    /// All prefixes but the one that can be subscribed to.
    fn other_prefixes(&self) -> impl Iterator<Item = &String> {
        self.own_prefixes.iter().chain(&self.followed_prefix)
    }

    #[cfg(test)]
    fn of_tests(members: usize) -> Options {
        Options {
            endpoints: vec!["http://127.0.0.1:1".to_owned(); members],
            tls: None,
            user: None,
            renewal: Duration::from_secs(1),
            retries: 5,
            watch_prefix: "/locks/".to_owned(),
            stray: |_| false,
            own_prefixes: vec!["/hosts/".to_owned()],
            followed_prefix: Some("/agents/".to_owned()),
        }
    }

    /// How long etcd must have been silent for the lease to be reported lost.
    pub fn loss_after(&self) -> Duration {
        self.renewal * self.retries
    }
}

/// Hears whether something was done; called on the runtime's thread, must not block.
pub type DoneSink = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Hears that the runtime works; called on its thread.
pub type Pong = Box<dyn FnOnce() + Send>;

/// Owns the runtime and its thread.
#[derive(Debug)]
pub struct Etcd {
    // Dropped before the thread is joined: the runtime ends when no more calls can come.
    calls: Option<mpsc::UnboundedSender<Call>>,
    thread: Option<JoinHandle<()>>,
}

/// The way to etcd; cheap to clone. Does not keep the runtime alive.
#[derive(Clone, Debug)]
pub struct Client {
    calls: mpsc::WeakUnboundedSender<Call>,
}

/// A subscription of a key; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the subscription ends when this is dropped"]
pub struct Subscription {
    client: Client,
    key: String,
    token: u64,
}

/// How a transaction gets its turn.
type Way = fn(&Rc<Batcher>, Txn, Instant, ReplySink);

/// What the runtime's thread is asked to do.
type Call = Box<dyn FnOnce(&mut Server) + Send>;

impl Etcd {
    /// Starts the thread. It does not matter whether etcd can be reached.
    pub fn start(options: Options) -> io::Result<Etcd> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // One for each name, and those for TLS files: a silent name server keeps nothing else waiting.
            .max_blocking_threads(options.endpoints.len() + 2)
            .build()?;
        let (calls, inbox) = mpsc::unbounded_channel();
        let run = move || {
            LocalSet::new().block_on(&runtime, serve(options, inbox));
            // The resolver may not answer for seconds, and nobody waits for it any more.
            runtime.shutdown_background();
        };
        let thread = thread::spawn_with_stack("etcd-io", STACK, run)?;
        Ok(Etcd { calls: Some(calls), thread: Some(thread) })
    }

    /// A way to etcd.
    pub fn client(&self) -> Client {
        let calls = self.calls.as_ref().expect("the sender lives until drop");
        Client { calls: calls.downgrade() }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            // An error would be a panic, and a panic aborts the process.
            let _ = thread.join();
        }
    }
}

impl Client {
    /// Sends a transaction and waits for its outcome, `within` at most.
    pub fn call(&self, txn: Txn, within: Duration) -> Result<Reply, Error> {
        let (reply_tx, reply_rx) = crossbeam_channel::bounded(1);
        let reply = Box::new(move |result| drop(reply_tx.send(result)));
        self.submit(txn, within, reply);
        reply_rx.recv().unwrap_or_else(|_| Err(Error::deadline("transaction")))
    }

    /// Sends a transaction; `reply` is called once, `within` the time given.
    pub fn submit(&self, txn: Txn, within: Duration, reply: ReplySink) {
        self.submit_by(Batcher::submit, txn, within, reply);
    }

    /// The same for one that is urgent: it goes by itself, ahead of all that wait, and waits for none that
    /// is under way. Of two that write the same key, none is known to be the first.
    pub fn submit_at_once(&self, txn: Txn, within: Duration, reply: ReplySink) {
        self.submit_by(Batcher::submit_at_once, txn, within, reply);
    }

    fn submit_by(&self, way: Way, txn: Txn, within: Duration, reply: ReplySink) {
        let until = Instant::now() + within;
        match self.calls.upgrade() {
            Some(calls) => {
                let call: Call = Box::new(move |server| way(&server.batcher, txn, until, reply));
                drop(calls.send(call));
            }
            None => reply(Err(Error::not_sent("the etcd client has ended"))),
        }
    }

    /// Starts to keep a lease: the one to `resume` if it still exists, else a new one. To be called
    /// once. The loss of etcd is counted from `silent_since` until the first answer. `events` hears of
    /// the watch, too.
    pub fn keep_lease(
        &self,
        resume: Option<i64>,
        silent_since: std::time::Instant,
        events: EventSink,
    ) {
        let silent_since = Instant::from_std(silent_since);
        self.send(move |server| {
            server.events.go_to(events);
            let (pool, events) = (server.pool.clone(), server.events.clone());
            let keeper = Keeper::new(pool, events, server.recheck.clone(), resume, silent_since);
            server.keeper = Some(spawn_local(keeper.run()));
        });
    }

    /// Asks what is left of a lease, of any host; `sink` is called once, `within` the time given.
    pub fn time_to_live(&self, id: i64, within: Duration, sink: TtlSink) {
        let times = |info: LeaseInfo| TimeToLive { left: info.left, granted: info.granted };
        self.ask_lease(id, false, within, Box::new(move |result| sink(result.map(times))));
    }

    /// Asks what is left of a lease and which keys are attached to it; `sink` is called once, `within`
    /// the time given. etcd demands the permission to read each of these keys.
    pub fn lease_keys(&self, id: i64, within: Duration, sink: LeaseSink) {
        self.ask_lease(id, true, within, sink);
    }

    fn ask_lease(&self, id: i64, keys: bool, within: Duration, sink: LeaseSink) {
        let until = Instant::now() + within;
        self.send(move |server| {
            let pool = server.pool.clone();
            spawn_local(async move { sink(lease_info(&pool, id, keys, until).await) });
        });
    }

    /// Stops to keep the lease and revokes it, with all its keys; `done` is called once, `within` the
    /// time given.
    pub fn revoke(&self, id: i64, within: Duration, done: DoneSink) {
        let until = Instant::now() + within;
        self.send(move |server| {
            server.keeper.take().iter().for_each(Task::abort);
            let pool = server.pool.clone();
            spawn_local(async move { done(revoke(&pool, id, until).await) });
        });
    }

    /// Revokes the lease of another host, with all its keys; `done` is called once, `within` the time given.
    pub fn revoke_other(&self, id: i64, within: Duration, done: DoneSink) {
        let until = Instant::now() + within;
        self.send(move |server| {
            let pool = server.pool.clone();
            spawn_local(async move { done(revoke(&pool, id, until).await) });
        });
    }

    /// Has `sink` hear of every change of a key under the watched prefix until the subscription is
    /// dropped, and, as long as the lease is not held, every now and then of what the key is.
    /// Subscriptions of the same key are independent of each other.
    pub fn subscribe(&self, key: &str, sink: KeySink) -> Subscription {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (key, token) = (key.to_owned(), NEXT.fetch_add(1, Ordering::Relaxed));
        let subscription = Subscription { client: self.clone(), key: key.clone(), token };
        self.send(move |server| server.subscriptions.add(key, token, sink));
        subscription
    }

    /// Has `sink` hear of everything under the followed prefix, from what was read last on. To be called once.
    pub fn follow(&self, sink: FollowSink) {
        self.send(move |server| server.follower.go_to(sink));
    }

    /// Asks what was counted since the start.
    pub fn count(&self, sink: CountSink) {
        self.send(|server| sink(server.pool.counts()));
    }

    /// Asks for a sign of life of the runtime, whatever etcd does.
    pub fn ping(&self, pong: Pong) {
        self.send(|_| pong());
    }

    fn send(&self, call: impl FnOnce(&mut Server) + Send + 'static) {
        // Without a runtime there is nothing to be done.
        if let Some(calls) = self.calls.upgrade() {
            let _ = calls.send(Box::new(call));
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let (key, token) = (std::mem::take(&mut self.key), self.token);
        self.client.send(move |server| server.subscriptions.remove(&key, token));
    }
}

/// The runtime's main task: carries out calls until no more can come.
async fn serve(options: Options, mut inbox: mpsc::UnboundedReceiver<Call>) {
    let (pool, recheck) = (Pool::new(options), Rc::new(Notify::new()));
    let mut server = Server {
        batcher: Batcher::new(pool.clone(), recheck.clone()),
        pool,
        events: Rc::default(),
        subscriptions: Rc::default(),
        follower: Rc::default(),
        recheck,
        keeper: None,
    };
    let told = (server.subscriptions.clone(), server.follower.clone(), server.events.clone());
    spawn_local(Watcher::new(server.pool.clone(), told).run());
    while let Some(call) = inbox.recv().await {
        call(&mut server);
    }
}

/// What lives on the runtime's thread.
struct Server {
    pool: Rc<Pool>,
    batcher: Rc<Batcher>,
    events: Rc<Events>,
    subscriptions: Rc<Subscriptions>,
    follower: Rc<Follower>,
    /// Notified when a request finds that the lease does not exist.
    recheck: Rc<Notify>,
    keeper: Option<Task<()>>,
}
