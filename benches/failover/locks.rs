//! The locks in etcd, watched by somebody who is no agent.

use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};
use etcd_client::{Client, Error, WatchOptions};

use super::harness::Lab;

/// Where all locks are.
const LOCKS: &str = "/link/default/";

/// Waits, on a thread of its own, for the first lock that is deleted or taken over.
pub(crate) struct LockWatch {
    thread: JoinHandle<Result<Instant, Error>>,
}

impl LockWatch {
    /// Starts to watch; what happens after this returns is seen.
    pub(crate) fn start(lab: &Lab) -> LockWatch {
        let endpoints = lab.etcd.endpoints();
        let (ready, started) = bounded(1);
        // Sockets are opened in the namespace that the thread is born in.
        let thread = lab.client.namespace().run(|| {
            thread::Builder::new()
                .name("bench-locks".to_owned())
                .spawn(move || first_change(&endpoints, &ready))
                .expect("start a thread that watches the locks")
        });
        started.recv().expect("etcd lets the locks be watched");
        LockWatch { thread }
    }

    /// When the first change was told.
    pub(crate) fn first_change(self) -> Instant {
        let moment = self.thread.join().expect("the watching thread does not panic");
        moment.expect("the watch goes on until something changes")
    }
}

/// The life of the thread.
fn first_change(endpoints: &str, ready: &Sender<()>) -> Result<Instant, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("start a runtime").block_on(async {
        let mut etcd = Client::connect([endpoints], None).await?;
        let mut stream = etcd.watch(LOCKS, Some(WatchOptions::new().with_prefix())).await?;
        // Nobody listens any more: the case has failed.
        let _ = ready.send(());
        while let Some(answer) = stream.message().await? {
            if !answer.events().is_empty() {
                break;
            }
        }
        Ok(Instant::now())
    })
}
