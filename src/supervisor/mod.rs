//! The supervisor: owns the table of IPs, starts and ends their elections, answers the API.
//!
//! Owns: the table, the knowledge of this host's lease, the thread `supervisor`. The API sends it
//! [`Request`]s, elections and etcd send it events. It never waits for any of them: what is asked of
//! etcd is submitted and continues when the outcome comes back as an event; only the question for
//! an interface's addresses, which the kernel answers, is waited for, one second at most. It stops
//! when it is told to, with everything handed over, or when its handle is dropped.

mod commands;
mod crashes;
mod debts;
mod lease;
mod records;
mod stop;
mod table;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use log::warn;

use crate::checks::Timing;
use crate::command::{Answer, Change, Refusal, Request};
use crate::config::CheckDefaults;
use crate::election::{self, Election, Notice, Status};
use crate::etcd::{self, TimeToLive};
use crate::net::{NetClient, WatchTiming};
use crate::ping::Ping;
use crate::policy::{AllFailingPolicy, LossPolicy, StopPolicy};
use crate::state::StateFile;
use crate::store::Record;
use crate::thread;
use crate::vip::VipId;
use crate::witness::Witness;

/// How long a request of the supervisor to etcd may take; an API client waits for it.
const STORE: Duration = Duration::from_secs(2);

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
    /// What is done with IPs that do not say otherwise when etcd is lost.
    pub loss: LossPolicy,
    /// What is done with an IP when the checks fail on every host.
    pub all_failing: AllFailingPolicy,
    /// The lease's TTL that is asked for: an older renewal than that is no renewal.
    pub ttl: Duration,
    /// The silence after which etcd counts as lost.
    pub loss_after: Duration,
    /// How the hosts of owners are watched, if they are.
    pub watch: Option<WatchTiming>,
    /// The way to etcd.
    pub etcd: etcd::Client,
    /// The way to the kernel.
    pub net: NetClient,
    /// The local copy of what is registered here.
    pub state: StateFile,
}

/// Owns the supervisor's thread.
#[derive(Debug)]
pub struct Supervisor {
    requests: Sender<Request>,
    pings: Sender<Ping>,
    // Dropped before the thread is joined: the end of this channel stops the supervisor.
    stop: Option<Sender<StopPolicy>>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts the thread; it reads this host's records from etcd for as long as that takes.
    pub fn start(params: Params) -> io::Result<Supervisor> {
        let (requests, requests_rx) = bounded(REQUESTS);
        let (pings, pings_rx) = unbounded();
        let (stop_tx, stop_rx) = bounded(1);
        let run = move || Actor::new(params, requests_rx, pings_rx, stop_rx).run();
        let thread = thread::spawn("supervisor", run)?;
        Ok(Supervisor { requests, pings, stop: Some(stop_tx), thread: Some(thread) })
    }

    /// Where the API sends its requests.
    pub fn requests(&self) -> Sender<Request> {
        self.requests.clone()
    }

    /// Asks for a sign of life, of the elections too.
    pub fn ping(&self, ping: Ping) {
        let _ = self.pings.send(ping);
    }

    /// Stops by this policy and waits until that is done, which is bounded.
    pub fn stop(&mut self, policy: StopPolicy) {
        if let Some(stop_tx) = self.stop.take() {
            let _ = stop_tx.send(policy);
        }
        if let Some(thread) = self.thread.take() {
            // An error would be a panic, and a panic aborts the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop(StopPolicy::Keep);
    }
}

/// Where the outcome of a command goes.
type Reply = Sender<Result<Answer, Refusal>>;

/// One IP of this host.
struct Vip {
    record: Record,
    election: Election,
    status: Status,
    /// What is to be different about it, and who waits for that; the first is being stored.
    changes: VecDeque<(Change, Reply)>,
    /// How many requests to delete its record are under way.
    deletions: u32,
    /// Who waits for the end of a failover.
    failover: Option<Reply>,
    presence: Presence,
}

/// How far an IP belongs to this host.
enum Presence {
    /// It is being stored; until then it is shown to nobody.
    Storing,
    /// It is registered.
    Registered,
    /// It is being given up; who waits for that, if anybody.
    Leaving(Option<Reply>),
}

/// Something that was asked of etcd, with what has to go on when the answer is there.
enum Pending {
    Load,
    SaveLease(i64),
    Debt,
    Create { id: VipId, reply: Reply },
    Change(Record),
    Delete { id: VipId, reply: Reply },
    Hosts { id: VipId, reply: Reply },
}

/// Everything that comes back to the supervisor, from threads that must not block.
enum Event {
    Stored(Pending, Result<etcd::Reply, etcd::Error>),
    Lease(etcd::Event),
    Election(VipId, Notice),
    OwnerLease(i64, Result<TimeToLive, etcd::Error>),
}

struct Actor {
    params: Params,
    requests_rx: Receiver<Request>,
    pings_rx: Receiver<Ping>,
    stop_rx: Receiver<StopPolicy>,
    /// Boxed, because to send something large takes three times its size of the sender's stack.
    event_tx: Sender<Box<Event>>,
    event_rx: Receiver<Box<Event>>,
    /// This host's IPs; nothing is known of them before etcd was read.
    vips: HashMap<VipId, Vip>,
    /// Whether the records in etcd were read, and whether the IPs are known at all: from there, or
    /// from the local copy.
    loaded: bool,
    known: bool,
    started: Instant,
    /// Requests that came while this host's records were being read.
    waiting: Vec<Request>,
    load_at: Option<Instant>,
    /// When the local copy was written last, and when it is to be written next.
    copied: Option<Instant>,
    copy_at: Option<Instant>,
    lease: lease::HostLease,
    debts: debts::Debts,
    witness: Witness,
    stopping: Option<stop::Stopping>,
    ended: bool,
}

impl Actor {
    fn new(
        params: Params,
        requests_rx: Receiver<Request>,
        pings_rx: Receiver<Ping>,
        stop_rx: Receiver<StopPolicy>,
    ) -> Actor {
        let (event_tx, event_rx) = unbounded();
        Actor {
            params,
            requests_rx,
            pings_rx,
            stop_rx,
            event_tx,
            event_rx,
            vips: HashMap::new(),
            loaded: false,
            known: false,
            started: Instant::now(),
            waiting: Vec::new(),
            load_at: None,
            copied: None,
            copy_at: None,
            lease: lease::HostLease::default(),
            debts: debts::Debts::default(),
            witness: Witness::default(),
            stopping: None,
            ended: false,
        }
    }

    fn run(mut self) {
        self.load();
        while !self.ended {
            let timer = match self.deadline() {
                Some(deadline) => crossbeam_channel::at(deadline),
                None => crossbeam_channel::never(),
            };
            select! {
                recv(self.event_rx) -> event => event.into_iter().for_each(|e| self.on_event(*e)),
                recv(self.requests_rx) -> request => match request {
                    Ok(request) => self.on_request(request),
                    // The API has ended, and so has the handle: nobody is left to ask.
                    Err(_) => self.requests_rx = crossbeam_channel::never(),
                },
                // Disconnected when the handle is dropped, which has stopped this thread before.
                recv(self.pings_rx) -> ping => ping.iter().for_each(|ping| self.pass_on(ping)),
                recv(self.stop_rx) -> policy => {
                    self.stop_rx = crossbeam_channel::never();
                    self.begin_stop(policy.unwrap_or(StopPolicy::Keep));
                }
                recv(timer) -> _ => self.on_timer(),
            }
        }
        self.copy_now();
    }

    /// That it was taken is this thread's answer; only it knows the elections, and asks them too.
    fn pass_on(&self, ping: &Ping) {
        for vip in self.vips.values() {
            vip.election.ping(ping.pass_on(&format!("vip-{}", vip.record.cidr.addr())));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let stop = self.stopping.as_ref().map(|stopping| stopping.until);
        [self.load_at, self.copy_at, stop, self.witness.deadline()].into_iter().flatten().min()
    }

    fn on_timer(&mut self) {
        let now = Instant::now();
        if self.load_at.is_some_and(|at| now >= at) {
            self.load();
        }
        self.copy_if_due(now);
        self.wake_witness();
        self.end_stop();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Lease(event) => self.on_lease(event),
            Event::Election(id, notice) => self.on_notice(&id, notice),
            Event::OwnerLease(lease, answer) => {
                let steps = self.witness.told(lease, answer.ok(), Instant::now());
                self.follow(steps);
            }
            Event::Stored(Pending::Load, result) => self.on_loaded(result),
            Event::Stored(Pending::SaveLease(id), result) => self.on_lease_saved(id, result),
            Event::Stored(Pending::Debt, result) => self.on_debt_paid(result),
            Event::Stored(pending, result) => self.on_stored(pending, result),
        }
    }

    fn on_notice(&mut self, id: &VipId, notice: Notice) {
        let Some(vip) = self.vips.get_mut(id) else {
            return;
        };
        match notice {
            Notice::Status(status) => {
                vip.status = status;
                self.note_owner(id);
            }
            Notice::Owner(presence) => self.on_presence(id, presence),
            Notice::Yielded => self.on_yielded(id),
            Notice::HandedOver(result) => {
                let answer = result.map(|()| Answer::Done).map_err(Refusal::Conflict);
                answer_to(vip.failover.take(), answer);
            }
            Notice::Left { owes } => {
                let cidr = vip.record.cidr;
                let vip = self.vips.remove(id);
                self.note_owner(id);
                // At the end, the lease is revoked or ends by itself.
                if owes && self.stopping.is_none() {
                    warn!("{cidr}: given up, but etcd could not be told: its lock may block it");
                    self.debts.owe(debts::Debt::Lock(cidr));
                }
                if let Some(Presence::Leaving(reply)) = vip.map(|vip| vip.presence) {
                    answer_to(reply, Ok(Answer::Done));
                }
                self.end_stop();
            }
        }
    }

    /// Sends a transaction to etcd and goes on with `pending` when the answer is there.
    fn submit(&self, txn: etcd::Txn, pending: Pending) {
        let event_tx = self.event_tx.clone();
        let reply = move |result| {
            let _ = event_tx.send(Box::new(Event::Stored(pending, result)));
        };
        self.params.etcd.submit(txn, STORE, Box::new(reply));
    }

    fn start_election(&self, record: &Record) -> io::Result<Election> {
        let interface = record.interface.as_ref().unwrap_or(&self.params.interface);
        let params = election::Params {
            cidr: record.cidr,
            interface: interface.clone(),
            host: self.params.host.clone(),
            checks: record.checks.clone(),
            timing: self.timing(record),
            fall: self.params.checks.fall,
            loss: self.loss_policy(record),
            all_failing: self.params.all_failing,
            etcd: self.params.etcd.clone(),
            net: self.params.net.clone(),
        };
        let event_tx = self.event_tx.clone();
        let id = record.id.clone();
        let notices = move |notice| {
            let _ = event_tx.send(Box::new(Event::Election(id.clone(), notice)));
        };
        Election::start(params, Box::new(notices))
    }

    fn timing(&self, record: &Record) -> Timing {
        let CheckDefaults { interval, timeout, .. } = self.params.checks;
        let interval = match record.healthcheck_interval {
            0 => interval,
            seconds => Duration::from_secs(seconds),
        };
        Timing { interval, timeout }
    }

    fn loss_policy(&self, record: &Record) -> LossPolicy {
        record.loss.unwrap_or(self.params.loss)
    }

    /// Starts the election of an IP, puts it into the table, and tells it of the lease if it may take
    /// part already.
    fn insert(&mut self, record: Record, presence: Presence) -> io::Result<()> {
        let election = self.start_election(&record)?;
        if matches!(presence, Presence::Registered) {
            election.lease(self.lease.told);
        }
        let id = record.id.clone();
        let vip = Vip {
            record,
            election,
            status: table::initial_status(),
            changes: VecDeque::new(),
            deletions: 0,
            failover: None,
            presence,
        };
        self.vips.insert(id, vip);
        Ok(())
    }
}

impl Vip {
    /// Has the IP given up; whoever waits for a change or a failover of it waits in vain.
    fn leave(&mut self, reply: Option<Reply>) {
        for (_, reply) in self.changes.drain(..) {
            answer_to(Some(reply), Err(Refusal::NotFound));
        }
        let why = "the IP is being given up on this host".to_owned();
        answer_to(self.failover.take(), Err(Refusal::Conflict(why)));
        self.presence = Presence::Leaving(reply);
        self.election.leave();
    }
}

/// Answers, if anybody still waits for it.
fn answer_to(reply: Option<Reply>, answer: Result<Answer, Refusal>) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}
