//! What the client tells its callers, and to whom.

use std::cell::RefCell;
use std::time::Duration;

use super::error::Error;
use super::txn::{Kv, Reply};

/// What happens to the lease and to the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a new lease; the one before is gone, and its keys are.
    Granted {
        /// The lease.
        id: i64,
        /// What etcd granted, which may be more than was asked for.
        ttl: Duration,
    },
    /// The lease was renewed, just now.
    Held {
        /// The lease.
        id: i64,
        /// What etcd granted once; a renewal does not change it.
        ttl: Duration,
    },
    /// etcd has been silent for too long.
    Lost {
        /// How long, and why.
        why: String,
        /// The newest revision that was heard of before.
        revision: i64,
    },
    /// This process did not run for so long: what it knows of etcd may be old.
    Paused(Duration),
    /// A key under one of the own prefixes was written or deleted.
    KeyChanged {
        /// The key.
        key: String,
        /// It was written.
        exists: bool,
        /// The revision at which that was.
        revision: i64,
    },
    /// The watched keys were read and reported to all subscriptions, and the watch is open.
    WatchOpened {
        /// What lies between this and the watch before; [`Gap::Reconnected`] for the first one.
        gap: Gap,
        /// The revision of the read; the watch reports every later one.
        revision: i64,
        /// The cluster that was read.
        cluster: u64,
    },
}

/// Hears of lease and watch; called on the runtime's thread, must not block.
pub type EventSink = Box<dyn Fn(Event) + Send>;

/// What lies between two things that were heard of a key. The wider gap is the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// Nothing: every change was heard.
    None,
    /// The connection was lost. Changes were missed, and etcd may have been restored from a snapshot
    /// that is almost as new as what was known.
    Reconnected,
    /// Revisions started again from an older one: etcd was restored from a snapshot.
    Restored,
    /// The cluster is another one, with revisions of its own: nothing that was known holds.
    Replaced,
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

/// A lease with its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseInfo {
    /// In seconds, rounded down; negative if the lease does not exist.
    pub left: i64,
    /// What it is after a renewal, in seconds.
    pub granted: i64,
    /// The keys that are attached to it, in no order; what is not UTF-8 in them is replaced.
    pub keys: Vec<String>,
}

/// Hears of a lease and its keys; called on the runtime's thread, must not block.
pub type LeaseSink = Box<dyn FnOnce(Result<LeaseInfo, Error>) + Send>;

/// Where the events go. Lives on the runtime's thread.
#[derive(Default)]
pub(super) struct Events {
    sink: RefCell<Option<EventSink>>,
    /// The last event before there was a sink: that the watch was opened.
    before: RefCell<Option<Event>>,
}

impl Events {
    pub(super) fn go_to(&self, sink: EventSink) {
        self.before.take().into_iter().for_each(&sink);
        self.sink.replace(Some(sink));
    }

    pub(super) fn tell(&self, event: Event) {
        match &*self.sink.borrow() {
            Some(sink) => sink(event),
            None => drop(self.before.replace(Some(event))),
        }
    }
}
