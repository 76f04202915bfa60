//! The Go LinK as far as others notice it: its keys, its poll and its watch, its one announcement, and
//! that it leaves its address where it is when it ends.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse,
    WatchOptions,
};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};

use super::capture::Mac;
use super::host::{Host, HostId};
use super::lab::Lab;
use super::namespace::Namespace;
use super::records::{lock_key, record_key};
use super::stranger::announce;
use super::vip::Vip;

/// `KEEPALIVE_INTERVAL`, three times as fast as the Go LinK's own: tests wait for it.
const INTERVAL: Duration = Duration::from_secs(1);

/// The TTL of its lease, in seconds.
const TTL: i64 = 5;

/// The id of its only record.
const ID: &str = "vip-9f3c1a52-5a2e-4c0e-9a57-3d1f2b7c8e90";

type Outcome<T> = Result<T, etcd_client::Error>;

/// A host's Go LinK with one VIP. Dropping it is SIGKILL.
pub(crate) struct GoLink {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GoLink {
    /// Starts it on a host that has no agent, and returns when it is a candidate.
    pub(crate) fn start(lab: &Lab, host: HostId, vip: Vip) -> GoLink {
        let host: &Host = &lab[host];
        let agent = Agent {
            namespace: Arc::clone(host.namespace()),
            host: host.name(),
            mac: host.mac(),
            url: lab.etcd.endpoints(),
            vip,
            owns: false,
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("lab-golink".to_owned())
            .spawn(move || agent.run(stopped))
            .expect("start a thread for the Go LinK");
        super::eventually("the Go LinK is a candidate", || {
            lab.etcd.get(&candidacy_key(&host.name(), vip)).is_some()
        });
        GoLink { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for GoLink {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Agent {
    namespace: Arc<Namespace>,
    host: String,
    mac: Mac,
    url: String,
    vip: Vip,
    owns: bool,
}

impl Agent {
    fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("start a runtime");
        let namespace = Arc::clone(&self.namespace);
        // Sockets are made in the namespace of the thread that makes them.
        namespace.run(|| {
            runtime.block_on(async {
                tokio::select! {
                    _ = &mut stopped => {}
                    ended = self.serve() => panic!("the Go LinK: {ended:?}"),
                }
            });
        });
    }

    /// Its life: whatever wakes it, it tries for the lock and looks who has it.
    async fn serve(&mut self) -> Outcome<()> {
        let mut etcd = Client::connect([self.url.as_str()], None).await?;
        let lease = etcd.lease_grant(TTL, None).await?.id();
        let (mut keeper, mut renewed) = etcd.lease_keep_alive(lease).await?;
        self.register(&mut etcd, lease).await?;
        let prefix = format!("/link/ips/{}", self.vip.election_key());
        let mut changes = etcd.watch(prefix, Some(WatchOptions::new().with_prefix())).await?;
        let mut turn = interval(INTERVAL);
        loop {
            tokio::select! {
                _ = turn.tick() => {
                    keeper.keep_alive().await?;
                    let _ = timeout(INTERVAL, renewed.message()).await;
                }
                change = changes.message() => {
                    let change = change?.expect("the watch lasts");
                    let puts = change.events().iter().any(|e| e.event_type() == EventType::Put);
                    if !puts {
                        continue;
                    }
                }
            }
            let owner = self.campaign(&mut etcd, lease).await?;
            self.follow(owner == lease);
        }
    }

    async fn register(&self, etcd: &mut Client, lease: i64) -> Outcome<()> {
        let Agent { host, vip, .. } = self;
        let config = json!({ "hostname": host, "lease_id": lease, "data_version": 3 });
        etcd.put(format!("/link/config/{host}"), config.to_string(), None).await?;
        let address = json!({ "ip": vip.to_string() });
        let record =
            json!({ "id": ID, "ip": "", "checks": [], "plugin": "arp", "plugin_config": address });
        etcd.put(record_key(host, ID), record.to_string(), None).await?;
        let candidacy = json!({ "updated_at": "2026-11-22T07:35:39.486007637Z" });
        etcd.put(candidacy_key(host, *vip), candidacy.to_string(), None).await?;
        Ok(())
    }

    /// Takes the lock if it is free; gives the lease that has it.
    async fn campaign(&self, etcd: &mut Client, lease: i64) -> Outcome<i64> {
        let key = lock_key(self.vip);
        let free = Compare::create_revision(key.as_str(), CompareOp::Equal, 0);
        let leased = PutOptions::new().with_lease(lease);
        let put = TxnOp::put(key.as_str(), self.host.as_str(), Some(leased));
        let get = TxnOp::get(key.as_str(), Some(GetOptions::new()));
        let answer = etcd.txn(Txn::new().when([free]).and_then([put]).or_else([get])).await?;
        let read = answer.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(range) => range.kvs().first().map(|lock| lock.lease()),
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
        });
        Ok(read.unwrap_or(if answer.succeeded() { lease } else { 0 }))
    }

    /// Has the kernel do what an owner has to, or a standby.
    fn follow(&mut self, owns: bool) {
        if std::mem::replace(&mut self.owns, owns) == owns {
            return;
        }
        let what = if owns { "replace" } else { "del" };
        self.namespace.ip(&format!("addr {what} {} dev eth0", self.vip));
        if owns {
            // Once only.
            announce(&self.namespace, self.mac);
        }
    }
}

fn candidacy_key(host: &str, vip: Vip) -> String {
    format!("/link/ips/{}/{host}", vip.election_key())
}
