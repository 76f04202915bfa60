//! The supervisor: owns the table of IPs, starts and ends their elections, answers the API, and keeps
//! what this host has in etcd as it should be.
//!
//! All decisions are made by a pure [`core`]; the thread `supervisor` feeds it and performs its actions.
//! The API sends it [`Request`]s, elections and etcd send it events. It never waits for any of them:
//! what is asked of etcd is submitted and continues when the outcome comes back as an event; only the
//! question for an interface's addresses, which the kernel answers, is waited for, one second at most.
//! Calls of other hosts are answered beside it. It stops when it is told to, with everything handed over, or when its handle is dropped.

mod actor;
mod calls;
mod chronicle;
mod copies;
pub mod core;
mod counts;
mod elections;
mod failure;
mod fence;
mod status;

use std::io;
use std::net::IpAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, unbounded};

use self::actor::Actor;
use self::chronicle::Chronicle;
use crate::bell::Bell;
use crate::checks::CheckDefaults;
use crate::command::Request;
use crate::etcd;
use crate::history::{Happening, History};
use crate::hooks::{self, Hooks};
use crate::local_copy::CopyFile;
use crate::metrics::Budget;
use crate::net::{MonitorTiming, NetClient};
use crate::ping::Ping;
use crate::policy::{AllFailingPolicy, Defaults, StopPolicy};
use crate::thread;

/// How many API requests may wait. More than the API has threads, so nobody ever waits to ask.
const REQUESTS: usize = 64;

/// What the supervisor needs.
#[derive(Debug)]
pub struct Params {
    /// This host's name in etcd.
    pub host: String,
    /// The interface of IPs that do not name one.
    pub interface: String,
    /// How IPs are checked that do not say otherwise.
    pub checks: CheckDefaults,
    /// How many IPs there may be.
    pub max_ips: Option<usize>,
    /// What holds of IPs that do not say otherwise.
    pub defaults: Defaults,
    /// What is done with an IP when the checks fail on every host.
    pub all_failing: AllFailingPolicy,
    /// Between two renewals of the lease.
    pub renewal: Duration,
    /// The silence after which etcd counts as lost.
    pub loss_after: Duration,
    /// How the hosts of owners are monitored, if they are.
    pub monitoring: Option<MonitorTiming>,
    /// The way to etcd.
    pub etcd: etcd::Client,
    /// The way to the kernel.
    pub net: NetClient,
    /// The local copy of what is registered here.
    pub copy: CopyFile,
    /// Within which time what is acted on.
    pub budgets: Vec<Budget>,
    /// Who is told of changes of IPs.
    pub hooks: hooks::Settings,
    /// The addresses of etcd, as far as they are configured: an IP that is one of them cuts etcd off.
    pub etcd_addresses: Vec<IpAddr>,
}

/// What the agent tells the thread.
#[derive(Debug)]
enum Told {
    Ping(Ping),
    /// Something that was logged.
    Happened(Happening),
}

/// Owns the supervisor's thread.
#[derive(Debug)]
pub struct Supervisor {
    requests: Sender<Request>,
    told: Sender<Told>,
    // Dropped before the thread is joined: the end of this channel stops the supervisor.
    stop: Option<Sender<StopPolicy>>,
    thread: Option<JoinHandle<Chronicle>>,
}

impl Supervisor {
    /// Starts the thread; it reads this host's records from etcd for as long as that takes. Its history goes
    /// on from this one; the bell rings when something happens.
    pub fn start(params: Params, history: History, news: Bell) -> io::Result<Supervisor> {
        let (requests, requests_rx) = bounded(REQUESTS);
        let (told, told_rx) = unbounded();
        let (stop_tx, stop_rx) = bounded(1);
        let hooks = Hooks::start(params.hooks.clone())?;
        let chronicle = Chronicle::begin(history, news, hooks);
        let run = move || Actor::new(params, requests_rx, told_rx, stop_rx, chronicle).run();
        let thread = thread::spawn("supervisor", run)?;
        Ok(Supervisor { requests, told, stop: Some(stop_tx), thread: Some(thread) })
    }

    /// Where the API sends its requests.
    pub fn requests(&self) -> Sender<Request> {
        self.requests.clone()
    }

    /// Asks for a sign of life, of the elections too.
    pub fn ping(&self, ping: Ping) {
        let _ = self.told.send(Told::Ping(ping));
    }

    /// Has something recorded in the history of this host that was logged.
    pub fn record(&self, happening: Happening) {
        let _ = self.told.send(Told::Happened(happening));
    }

    /// Stops by this policy and waits until that is done, which is bounded. The history of this host, for
    /// the next life of the agent.
    pub fn stop(&mut self, policy: StopPolicy) -> Vec<u8> {
        if let Some(stop_tx) = self.stop.take() {
            let _ = stop_tx.send(policy);
        }
        // An error would be a panic, and a panic aborts the process.
        let chronicle = self.thread.take().and_then(|thread| thread.join().ok());
        chronicle.map(Chronicle::into_bytes).unwrap_or_default()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop(StopPolicy::Keep);
    }
}
