//! Transactions that come together go together: a thousand elections that ask at the same moment
//! cost ten requests, not a thousand.
//!
//! What is submitted at one moment goes in one request. While a few requests are under way, what comes is
//! collected until one of them returns. So none waits for others, and load makes the batches. In a
//! batch each transaction is nested in one of etcd's, with its own conditions; etcd carries out all of
//! them or, if one is impossible, none: then each is sent by itself, so that one does not fail the others.
//! etcd takes no key twice in a request: of two transactions that may write the same one, the second waits.
//! A transaction that is urgent goes beside all of that, at once.
//!
//! etcd 3.4 does not ask whether a user may do what is nested. So as long as etcd refuses, nothing is nested:
//! what it refuses would be let through now and then.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout_at};

use super::ReplySink;
use super::error::{Error, ErrorKind};
use super::pool::Pool;
use super::request::transact;
use super::txn::{Reply, Txn};

/// How many transactions go in one request. etcd takes 128 operations at the top (`--max-txn-ops`).
const LARGEST: usize = 100;

/// How many requests are under way. A slow one does not hold up all the others.
const IN_FLIGHT: usize = 4;

/// How long an etcd that has refused something is taken for one that refuses.
const REFUSES: Duration = Duration::from_secs(10);

/// How much longer than its time a request is waited for: why it failed is known at the very end.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The transactions that wait, and those under way. Lives on the runtime's thread.
pub(super) struct Batcher {
    pool: Rc<Pool>,
    /// Woken when a request finds that the lease does not exist.
    recheck: Rc<Notify>,
    waiting: RefCell<VecDeque<Job>>,
    in_flight: Cell<usize>,
    /// Until when each transaction is sent by itself: one was refused.
    alone: Cell<Option<Instant>>,
}

/// A transaction, and where its outcome goes.
struct Job {
    txn: Txn,
    until: Instant,
    /// It was part of a batch of which it is not known whether it was carried out.
    unknown: bool,
    outcome: oneshot::Sender<Result<Reply, Error>>,
}

impl Batcher {
    pub(super) fn new(pool: Rc<Pool>, recheck: Rc<Notify>) -> Rc<Batcher> {
        let waiting = RefCell::default();
        let (in_flight, alone) = (Cell::new(0), Cell::new(None));
        Rc::new(Batcher { pool, recheck, waiting, in_flight, alone })
    }

    /// Has a transaction carried out; `reply` is called once, by `until` or a moment later.
    pub(super) fn submit(self: &Rc<Self>, txn: Txn, until: Instant, reply: ReplySink) {
        let (outcome, answer) = oneshot::channel();
        self.waiting.borrow_mut().push_back(Job { txn, until, unknown: false, outcome });
        if self.in_flight.get() < IN_FLIGHT {
            self.in_flight.set(self.in_flight.get() + 1);
            spawn_local(self.clone().send_all());
        }
        spawn_local(async move {
            reply(match timeout_at(until + LAST_WORD, answer).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Error::not_sent("transaction: no turn in time")),
                Err(_) => Err(Error::deadline("transaction")),
            });
        });
    }

    /// Has a transaction carried out now, whatever waits or is under way; `reply` is called once, by `until`.
    pub(super) fn submit_at_once(self: &Rc<Self>, txn: Txn, until: Instant, reply: ReplySink) {
        let batcher = self.clone();
        spawn_local(async move { reply(batcher.transact(txn, until).await) });
    }

    /// Sends the transactions that wait, one request after the other, until there are none. It begins
    /// after all calls of this moment: a task runs when the one before it has nothing more to do.
    async fn send_all(self: Rc<Self>) {
        while let Some(jobs) = self.take() {
            self.send(jobs).await;
        }
        self.in_flight.set(self.in_flight.get() - 1);
    }

    /// The next batch. A transaction that has waited for all its time is not sent any more, and is
    /// answered so.
    fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.borrow_mut();
        let now = Instant::now();
        waiting.retain(|job| job.until > now);
        let mut written = HashSet::new();
        let mut batch = Vec::new();
        let mut left = VecDeque::new();
        let largest = if self.alone.get().is_some_and(|until| now < until) { 1 } else { LARGEST };
        while batch.len() < largest {
            let Some(job) = waiting.pop_front() else { break };
            let keys = job.txn.written_keys();
            if keys.iter().any(|key| written.contains(*key)) {
                left.push_back(job);
            } else {
                written.extend(keys.into_iter().map(str::to_owned));
                batch.push(job);
            }
        }
        left.append(&mut waiting);
        *waiting = left;
        (!batch.is_empty()).then_some(batch)
    }

    async fn send(self: &Rc<Self>, mut jobs: Vec<Job>) {
        if jobs.len() == 1 {
            return self.send_one(jobs.remove(0)).await;
        }
        let now = Instant::now();
        let until = jobs.iter().map(|job| job.until).max().unwrap_or(now);
        let txn = Txn::all(jobs.iter().map(|job| job.txn.clone()).collect());
        match transact(self.pool.clone(), self.recheck.clone(), txn, until).await {
            Ok(reply) => {
                for (job, nested) in jobs.into_iter().zip(reply.nested) {
                    let _ = job.outcome.send(Ok(nested));
                }
            }
            Err(error) if matches!(error.kind, ErrorKind::Refused | ErrorKind::LeaseNotFound) => {
                for mut job in jobs {
                    job.unknown = error.outcome_is_unknown();
                    let batcher = self.clone();
                    spawn_local(async move { batcher.send_one(job).await });
                }
            }
            Err(error) => {
                for job in jobs {
                    let _ = job.outcome.send(Err(error.clone()));
                }
            }
        }
    }

    fn note(&self, error: Option<&Error>) {
        let kind = error.map(|error| error.kind);
        if matches!(kind, Some(ErrorKind::Refused | ErrorKind::Auth)) {
            self.alone.set(Some(Instant::now() + REFUSES));
        }
    }

    /// Sends a transaction by itself.
    async fn transact(&self, txn: Txn, until: Instant) -> Result<Reply, Error> {
        let outcome = transact(self.pool.clone(), self.recheck.clone(), txn, until).await;
        self.note(outcome.as_ref().err());
        outcome
    }

    async fn send_one(&self, job: Job) {
        let outcome = self.transact(job.txn, job.until).await;
        // The caller may have stopped waiting.
        let _ = job.outcome.send(outcome.map_err(|error| error.after(job.unknown)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::{Op, Options};

    fn put(keys: &[&str]) -> Txn {
        let put = |key: &&str| Op::Put { key: (*key).to_owned(), value: Vec::new(), lease: 0 };
        Txn { then: keys.iter().map(put).collect(), ..Txn::default() }
    }

    fn batcher() -> Rc<Batcher> {
        Batcher::new(Pool::new(Options::of_tests(1)), Rc::new(Notify::new()))
    }

    /// What is written in each batch.
    fn batches(batcher: &Batcher, all: &[&[&str]]) -> Vec<String> {
        let until = Instant::now() + Duration::from_secs(60);
        for keys in all {
            let (outcome, _) = oneshot::channel();
            let job = Job { txn: put(keys), until, unknown: false, outcome };
            batcher.waiting.borrow_mut().push_back(job);
        }
        let mut batches = Vec::new();
        while let Some(jobs) = batcher.take() {
            let keys = |job: &Job| job.txn.written_keys().join(" ");
            batches.push(jobs.iter().map(keys).collect::<Vec<_>>().join(", "));
        }
        batches
    }

    #[test]
    fn no_key_is_written_twice_in_a_batch() {
        let all = [&["a", "mark"][..], &["lock"], &["b", "mark"], &["a"], &["candidacy"]];
        assert_eq!(batches(&batcher(), &all), ["a mark, lock, candidacy", "b mark, a"]);
    }

    #[test]
    fn nothing_is_nested_while_etcd_refuses() {
        let batcher = batcher();
        let all = [&["a"][..], &["b"]];
        batcher.note(Some(&Error::no_etcd()));
        batcher.note(None);
        assert_eq!(batches(&batcher, &all), ["a, b"]);
        batcher.note(Some(&Error::refused("no space")));
        assert_eq!(batches(&batcher, &all), ["a", "b"]);
    }
}
