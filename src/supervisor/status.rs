//! Reads what etcd has of the whole cluster, for one answer of the API.
//!
//! The reads follow each other on etcd's thread, each by itself: no election waits for them. What they find is
//! decoded where it is asked for, not here.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::clock;
use crate::cluster::{self, Facts, Own, Read};
use crate::command::{Answer, Refusal};
use crate::etcd;

/// For everything that is read.
const WHOLE: Duration = Duration::from_secs(5);

/// For one lease.
const LEASE: Duration = Duration::from_millis(500);

/// An answer under way.
struct Reading {
    etcd: etcd::Client,
    reply: Sender<Result<Answer, Refusal>>,
    own: Box<Own>,
    until: Instant,
}

/// Reads the cluster and answers.
pub(super) fn read(etcd: &etcd::Client, own: Box<Own>, reply: Sender<Result<Answer, Refusal>>) {
    let reading = Reading { etcd: etcd.clone(), reply, own, until: Instant::now() + WHOLE };
    let then = move |result: Result<etcd::Reply, etcd::Error>| match result {
        Ok(all) => reading.read_records(all),
        Err(error) => reading.answer(Err(error.to_string())),
    };
    etcd.submit_at_once(cluster::txn(), WHOLE, Box::new(then));
}

impl Reading {
    /// What hosts offer that are not there stands in their records alone.
    fn read_records(self, all: etcd::Reply) {
        let hosts = cluster::silent_hosts(&all);
        if hosts.is_empty() {
            return self.read_leases(Read { all, records: Vec::new(), leases: Vec::new() });
        }
        let (etcd, txn, left) = (self.etcd.clone(), cluster::records_txn(&hosts), self.left());
        let then = move |result: Result<etcd::Reply, etcd::Error>| match result {
            Ok(found) => {
                let records = hosts.into_iter().zip(found.found).collect();
                self.read_leases(Read { all, records, leases: Vec::new() });
            }
            Err(error) => self.answer(Err(error.to_string())),
        };
        etcd.submit_at_once(txn, left, Box::new(then));
    }

    fn read_leases(self, read: Read) {
        let leases = cluster::leases(&read.all);
        self.read_next_lease(read, leases);
    }

    /// What is not known of a lease in time is left out.
    fn read_next_lease(self, mut read: Read, mut leases: Vec<i64>) {
        let Some(lease) = leases.pop().filter(|_| !self.left().is_zero()) else {
            return self.answer(Ok(read));
        };
        let (etcd, within) = (self.etcd.clone(), self.left().min(LEASE));
        let then = move |result: Result<etcd::TimeToLive, etcd::Error>| {
            read.leases.extend(result.ok().map(|left| (lease, left)));
            self.read_next_lease(read, leases);
        };
        etcd.time_to_live(lease, within, Box::new(then));
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn answer(self, etcd: Result<Read, String>) {
        let facts = Facts { own: *self.own, now: clock::since_1970().as_secs(), etcd };
        // The client may have gone.
        let _ = self.reply.send(Ok(Answer::Cluster(Box::new(facts))));
    }
}
