//! What became of the keys of LinK since etcd began, and what of that the lab itself has done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, EventType, WatchOptions};
use tokio::time::timeout;

use super::etcd::Etcd;
use super::replay::lock::Change;

/// All that LinK and its agents have in etcd.
const PREFIX: &str = "/link/";

/// Written when all agents have ended, to see where the history ends.
const END: &str = "/link/end-of-the-lab";

/// For a history that can be had.
const PATIENCE: Duration = Duration::from_secs(1);

impl Etcd {
    /// Tells that what etcd has is not all that it has had, or that it is not the only one.
    pub(super) fn becomes_another(&self) {
        self.another.store(true, Ordering::Relaxed);
    }

    /// Tells that the test itself writes or deletes a key of an agent.
    pub(crate) fn changes_by_hand(&self, key: &str) {
        self.by_hand.lock().expect("no test has panicked").push(key.to_owned());
    }

    /// Deletes a key; true when it existed.
    pub(crate) fn delete(&self, key: &str) -> bool {
        self.changes_by_hand(key);
        self.ctl(&["del", key]).trim() == "1"
    }

    /// Does something that etcdctl does not, or not fast enough.
    pub(crate) fn call<T: Send>(
        &self,
        options: ConnectOptions,
        work: impl AsyncFnOnce(Client) -> Result<T, etcd_client::Error> + Send,
    ) -> T {
        let called = self.try_call(options, work);
        called.unwrap_or_else(|error| panic!("{}: {error}", self.endpoints()))
    }

    fn try_call<T: Send>(
        &self,
        options: ConnectOptions,
        work: impl AsyncFnOnce(Client) -> Result<T, etcd_client::Error> + Send,
    ) -> Result<T, etcd_client::Error> {
        let member = self.serving().next().expect("a member serves");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("start a runtime");
        member.namespace().run(|| {
            runtime.block_on(async {
                work(Client::connect([member.url()], Some(options)).await?).await
            })
        })
    }

    /// All changes of the keys, oldest first, and adds one. Nothing if it cannot be had: etcd is not there or is
    /// another than it was, has forgotten revisions, or asks who wants to know.
    pub(crate) fn history(&self) -> Option<Vec<Change>> {
        let is_another = self.another.load(Ordering::Relaxed);
        if is_another || self.pki.is_some() || self.password || self.serving().next().is_none() {
            return None;
        }
        let options = ConnectOptions::new().with_connect_timeout(PATIENCE);
        let read = async |etcd| timeout(PATIENCE, read(etcd)).await.unwrap_or(Ok(None));
        let mut changes = self.try_call(options, read).ok().flatten()?;
        let by_hand = self.by_hand.lock().expect("no test has panicked");
        for change in &mut changes {
            change.by_hand = by_hand.contains(&change.key);
        }
        Some(changes)
    }
}

async fn read(mut etcd: Client) -> Result<Option<Vec<Change>>, etcd_client::Error> {
    etcd.put(END, "", None).await?;
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut stream = etcd.watch(PREFIX, Some(options)).await?;
    let mut changes = Vec::new();
    while let Some(answer) = stream.message().await? {
        if answer.canceled() {
            return Ok(None);
        }
        for event in answer.events() {
            let Some(kv) = event.kv() else { continue };
            let key = String::from_utf8_lossy(kv.key()).into_owned();
            if key == END {
                return Ok(Some(changes));
            }
            let value = || String::from_utf8_lossy(kv.value()).into_owned();
            let put = (event.event_type() == EventType::Put).then(|| (value(), kv.lease()));
            changes.push(Change { revision: kv.mod_revision(), key, put, by_hand: false });
        }
    }
    Ok(None)
}
