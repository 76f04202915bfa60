//! A synchronous etcd v3 client: blocking calls with deadlines over `etcd-client`, for programs that
//! have threads and no runtime of their own.
//!
//! It knows nothing of virtual IPs and could be a crate. It does three things, all on one thread
//! named `etcd-io`, which runs one current-thread runtime in one `block_on` for as long as
//! [`Etcd`] lives:
//!
//! - transactions, from any thread, each with a deadline ([`Client::call`], [`Client::submit`]);
//! - one lease, granted or resumed and kept alive ([`Client::keep_lease`]);
//! - one watch over one prefix on one stream, whose events go to who asked for the key
//!   ([`Client::subscribe`]). However many keys there are, it is one stream and one periodic read.
//!
//! The deadlines and the choice of the member are ours: a member that does not answer in time is
//! left for the next one, by everybody at once. Callbacks run on the runtime's thread and must not
//! block. Dropping [`Etcd`] ends the thread; what was not answered by then is not answered.

mod batch;
mod error;
mod lease;
mod pool;
mod request;
mod tls;
mod txn;
mod watch;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle as Task, LocalSet, spawn_local};
use tokio::time::Instant;

use self::batch::Batcher;
pub use self::error::{Error, ErrorKind};
use self::lease::Keeper;
use self::pool::Pool;
pub use self::tls::TlsFiles;
pub use self::txn::{Compare, Kv, Op, Reply, Txn};
use self::watch::{Subscriptions, Watcher};
use crate::secret::Secret;

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
}

impl Options {
    /// The TTL that is asked for: 5 renewals, in whole seconds, rounded up.
    pub fn ttl(&self) -> Duration {
        let ttl = self.renewal * 5;
        Duration::from_secs(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0))
    }

    /// How long etcd must have been silent for the lease to be reported lost.
    pub fn loss_after(&self) -> Duration {
        self.renewal * self.retries
    }
}

/// What happens to the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// There is a new lease, with this id; the one before is gone, and its keys are.
    Granted(i64),
    /// The lease was renewed, just now.
    Held(i64),
    /// etcd has been silent for too long.
    Lost {
        /// How long, and why.
        why: String,
        /// The newest revision of which was heard before.
        revision: i64,
    },
    /// This process did not run for so long: what it knows of etcd may be old.
    Paused(Duration),
}

/// Hears of the lease; called on the runtime's thread, must not block.
pub type LeaseEvents = Box<dyn Fn(LeaseEvent) + Send>;

/// What lies between two things that were heard of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Nothing: every change was heard.
    None,
    /// The connection was lost. Changes were missed, and etcd may have been restored from a snapshot
    /// that is almost as new as what was known.
    Reconnected,
    /// Revisions started again from an older one: etcd was restored from a snapshot.
    Restored,
}

/// A key at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key's value; nothing if it does not exist.
    pub kv: Option<Kv>,
    /// The revision at which that was so.
    pub revision: i64,
    /// What lies between this and what was heard before.
    pub gap: Gap,
}

/// Hears of a key; called on the runtime's thread, must not block.
pub type KeySink = Box<dyn Fn(KeyState) + Send>;

/// Hears of the outcome of a request; called on the runtime's thread, must not block.
pub type ReplySink = Box<dyn FnOnce(Result<Reply, Error>) + Send>;

/// What is left of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// In seconds, rounded down; negative if the lease does not exist.
    pub left: i64,
    /// What it is after a renewal, in seconds.
    pub granted: i64,
}

/// Hears what is left of a lease; called on the runtime's thread, must not block.
pub type TtlSink = Box<dyn FnOnce(Result<TimeToLive, Error>) + Send>;

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

/// What the runtime's thread is asked to do.
enum Call {
    Transact { txn: Txn, until: Instant, reply: ReplySink },
    KeepLease { resume: Option<i64>, silent_since: Instant, events: LeaseEvents },
    TimeToLive { id: i64, until: Instant, reply: TtlSink },
    Revoke { id: i64, until: Instant, done: Box<dyn FnOnce(Result<(), Error>) + Send> },
    Subscribe { key: String, sink: KeySink },
    Unsubscribe(String),
    Ping(Pong),
}

impl Etcd {
    /// Starts the thread. It does not matter whether etcd can be reached.
    pub fn start(options: Options) -> io::Result<Etcd> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Only name resolution runs there.
            .max_blocking_threads(2)
            .build()?;
        let (calls, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("etcd-io".to_owned())
            // Debug builds of tonic need more than the default of musl (128 KiB).
            .stack_size(1 << 20)
            .spawn(move || LocalSet::new().block_on(&runtime, serve(options, inbox)))?;
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
        reply_rx.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Sends a transaction; `reply` is called once, `within` the time given.
    pub fn submit(&self, txn: Txn, within: Duration, reply: ReplySink) {
        let until = Instant::now() + within;
        match self.calls.upgrade() {
            Some(calls) => drop(calls.send(Call::Transact { txn, until, reply })),
            None => reply(Err(ended())),
        }
    }

    /// Starts to keep a lease: the one to `resume` if it still exists, else a new one. Once. Its loss
    /// is counted from `silent_since` until etcd is heard.
    pub fn keep_lease(
        &self,
        resume: Option<i64>,
        silent_since: std::time::Instant,
        events: LeaseEvents,
    ) {
        let silent_since = Instant::from_std(silent_since);
        self.send(Call::KeepLease { resume, silent_since, events });
    }

    /// Asks what is left of a lease, anybody's; `reply` is called once, `within` the time given.
    pub fn time_to_live(&self, id: i64, within: Duration, reply: TtlSink) {
        let until = Instant::now() + within;
        self.send(Call::TimeToLive { id, until, reply });
    }

    /// Stops to keep the lease and revokes it, with all its keys; waits `within` at most.
    pub fn revoke(&self, id: i64, within: Duration) -> Result<(), Error> {
        let until = Instant::now() + within;
        let (done_tx, done_rx) = crossbeam_channel::bounded(1);
        let done = Box::new(move |result| drop(done_tx.send(result)));
        self.send(Call::Revoke { id, until, done });
        done_rx.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Has `sink` hear of every change of a key under the watched prefix, from now on, and as long as
    /// the lease is not held every now and then of what it is.
    pub fn subscribe(&self, key: &str, sink: KeySink) {
        self.send(Call::Subscribe { key: key.to_owned(), sink });
    }

    /// Ends the subscription to a key.
    pub fn unsubscribe(&self, key: &str) {
        self.send(Call::Unsubscribe(key.to_owned()));
    }

    /// Asks for a sign of life of the runtime, whatever etcd does.
    pub fn ping(&self, pong: Pong) {
        self.send(Call::Ping(pong));
    }

    fn send(&self, call: Call) {
        // Without a runtime nobody is left who would want to hear of it.
        if let Some(calls) = self.calls.upgrade() {
            let _ = calls.send(call);
        }
    }
}

fn ended() -> Error {
    Error::unreachable("the etcd client has ended")
}

/// The runtime's main task: carries out calls until no more can come.
async fn serve(options: Options, mut inbox: mpsc::UnboundedReceiver<Call>) {
    let pool = Pool::new(options);
    let suspect = Rc::new(Notify::new());
    let mut server = Server {
        batcher: Batcher::new(pool.clone(), suspect.clone()),
        pool,
        subscriptions: Rc::new(RefCell::new(HashMap::new())),
        suspect,
        keeper: None,
    };
    let watcher = Watcher::new(server.pool.clone(), server.subscriptions.clone());
    spawn_local(watcher.run());
    while let Some(call) = inbox.recv().await {
        server.carry_out(call);
    }
}

struct Server {
    pool: Rc<Pool>,
    batcher: Rc<Batcher>,
    subscriptions: Subscriptions,
    suspect: Rc<Notify>,
    keeper: Option<Task<()>>,
}

impl Server {
    fn carry_out(&mut self, call: Call) {
        match call {
            Call::Transact { txn, until, reply } => self.batcher.submit(txn, until, reply),
            Call::KeepLease { resume, silent_since, events } => {
                self.keep_lease(resume, silent_since, events);
            }
            Call::TimeToLive { id, until, reply } => {
                let pool = self.pool.clone();
                spawn_local(async move { reply(time_to_live(&pool, id, until).await) });
            }
            Call::Revoke { id, until, done } => {
                if let Some(keeper) = self.keeper.take() {
                    keeper.abort();
                }
                let pool = self.pool.clone();
                spawn_local(async move { done(revoke(&pool, id, until).await) });
            }
            Call::Subscribe { key, sink } => {
                self.subscriptions.borrow_mut().insert(key, sink);
            }
            Call::Unsubscribe(key) => drop(self.subscriptions.borrow_mut().remove(&key)),
            Call::Ping(pong) => pong(),
        }
    }

    fn keep_lease(&mut self, resume: Option<i64>, heard: Instant, events: LeaseEvents) {
        let keeper = Keeper {
            pool: self.pool.clone(),
            events,
            suspect: self.suspect.clone(),
            id: resume,
            heard,
            lost: false,
            turn: None,
            unverified: resume.is_some(),
        };
        self.keeper = Some(spawn_local(keeper.run()));
    }
}

async fn time_to_live(pool: &Pool, id: i64, until: Instant) -> Result<TimeToLive, Error> {
    let mut connection = pool.connect(until).await?;
    let asking = connection.client.lease_time_to_live(id, None);
    let result = match tokio::time::timeout_at(until, asking).await {
        Ok(answer) => answer.map_err(Error::from),
        Err(_) => Err(Error::deadline("ask for a lease")),
    };
    let answer = result.map_err(|error| pool.failed(connection.member, error))?;
    Ok(TimeToLive { left: answer.ttl(), granted: answer.granted_ttl() })
}

async fn revoke(pool: &Pool, id: i64, until: Instant) -> Result<(), Error> {
    let mut connection = pool.connect(until).await?;
    match tokio::time::timeout_at(until, connection.client.lease_revoke(id)).await {
        Ok(answer) => answer.map(drop).map_err(|error| Error::from(error).on("revoke the lease")),
        Err(_) => Err(Error::deadline("revoke the lease")),
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Transact { .. } => "transact",
            Call::KeepLease { .. } => "keep lease",
            Call::TimeToLive { .. } => "time to live",
            Call::Revoke { .. } => "revoke",
            Call::Subscribe { .. } => "subscribe",
            Call::Unsubscribe(_) => "unsubscribe",
            Call::Ping(_) => "ping",
        })
    }
}
