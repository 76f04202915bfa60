//! The thread of a hook: delivers one notification after the other, and says what came of it.

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::means::Means;
use super::queue::{Item, Outcome};
use crate::thread;

/// Something to be delivered, after a while.
struct Job {
    item: Item,
    wait: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// The number of the hook.
    pub(super) hook: usize,
    pub(super) item: Item,
    pub(super) outcome: Outcome,
}

/// The way to the thread, which ends when it is dropped: after what it does at the moment, for which nobody waits.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<Job>,
    /// Nothing is sent: its end says that there is no time to wait any more.
    patience: Option<Sender<()>>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(
        hook: usize,
        name: &str,
        mut means: Means,
        timeout: Duration,
        reports: Sender<Report>,
    ) -> io::Result<Worker> {
        let (jobs, jobs_rx) = bounded::<Job>(1);
        let (patience, patience_rx) = bounded(0);
        let run = move || {
            for Job { item, wait } in jobs_rx {
                rest(&patience_rx, wait);
                let outcome = means.deliver(&item, Instant::now() + timeout);
                if reports.send(Report { hook, item, outcome }).is_err() {
                    return;
                }
            }
        };
        thread::spawn(name, run)?;
        Ok(Worker { jobs, patience: Some(patience) })
    }

    /// Has something delivered; nothing is under way when this is called, so that nobody waits.
    pub(super) fn deliver(&self, item: Item, wait: Duration) {
        // It ends with this handle only.
        let _ = self.jobs.try_send(Job { item, wait });
    }

    /// Nothing is waited for from now on.
    pub(super) fn hurry(&mut self) {
        self.patience = None;
    }
}

fn rest(patience: &Receiver<()>, wait: Duration) {
    if !wait.is_zero() {
        // The time is over, or there is none.
        let _ = patience.recv_timeout(wait);
    }
}
