//! The thread `supervisor`: feeds the core with what comes from all sides, and performs its actions.
//!
//! Owns: the core, the handles of the elections, the timers, and the channels of the API's requests
//! that were not answered yet.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select, unbounded};
use log::log;

use super::chronicle::Chronicle;
use super::core::{
    Action, Core, CoreConfig, Event, Order, Origin, Permits, REVOKE, Serial, StartError, Subject,
    Timer, Token,
};
use super::counts::Reply;
use super::failure::failure;
use super::{Params, Told, calls, chronicle, copies, counts, elections, fence, status};
use crate::clock;
use crate::command::{Command, Request};
use crate::election::Election;
use crate::etcd;
use crate::few::Few;
use crate::network::Mac;
use crate::ping::Ping;
use crate::policy::StopPolicy;
use crate::store::{self, At, Instance, Record};
use crate::systemd::StatusLine;
use crate::vip::{Cidr, Slot, VipId};

/// How long a request of the supervisor to etcd may take; an API client waits for it.
const STORE: Duration = Duration::from_secs(2);

/// How long etcd may take to say what is left of a lease. Later, it has nothing to say of a crash.
const LEASE: Duration = Duration::from_secs(1);

/// So many elections are asked for a sign of life each time, one after the other: to wake a thousand each time
/// would cost as much as all else that an idle agent does. Who leaves something unread is always asked.
const ASKED: usize = 100;

pub(super) struct Actor {
    params: Params,
    core: Core,
    instance: Instance,
    inbox: Inbox,
    elections: HashMap<Slot, Election>,
    timers: Few<Timer, Instant>,
    replies: HashMap<Token, Reply>,
    chronicle: Chronicle,
    status_line: StatusLine,
    next_token: u64,
    /// Times that the elections were asked for a sign of life.
    asked: usize,
    /// When this life began, since 1970.
    started: Duration,
    /// For how long hooks are waited for in the end.
    patience: Duration,
    ended: bool,
}

/// What the thread waits for.
struct Inbox {
    requests_rx: Receiver<Request>,
    told_rx: Receiver<Told>,
    stop_rx: Receiver<StopPolicy>,
    /// Boxed, because to send something large takes three times its size of the sender's stack.
    event_tx: Sender<Box<Event>>,
    event_rx: Receiver<Box<Event>>,
}

impl Actor {
    pub(super) fn new(
        params: Params,
        requests_rx: Receiver<Request>,
        told_rx: Receiver<Told>,
        stop_rx: Receiver<StopPolicy>,
        chronicle: Chronicle,
    ) -> Actor {
        let (event_tx, event_rx) = unbounded();
        let copies = copies::read(&params);
        let instance = copies::instance(&params, &copies);
        let config = CoreConfig {
            host: params.host.clone(),
            instance: instance.clone(),
            interface: params.interface.clone(),
            permits: Permits {
                max_ips: params.max_ips,
                commands: params.checks.commands.is_some(),
            },
            defaults: params.defaults,
            renewal: params.renewal,
            loss_after: params.loss_after,
            detection: params.monitoring.map(calls::detection),
            new_id: VipId::random,
            unix_time: || clock::since_1970().as_secs(),
            etcd_addresses: params.etcd_addresses.clone(),
            started: clock::since_1970().as_secs(),
        };
        calls::answer_calls(&params, event_tx.clone());
        // The channel was made here, so that it cannot be closed.
        let _ = event_tx.send(Box::new(Event::Begin(Box::new(copies))));
        Actor {
            params,
            core: Core::new(config),
            instance,
            inbox: Inbox { requests_rx, told_rx, stop_rx, event_tx, event_rx },
            elections: HashMap::new(),
            timers: Few::default(),
            replies: HashMap::new(),
            chronicle,
            status_line: StatusLine::default(),
            next_token: 0,
            asked: 0,
            started: clock::since_1970(),
            patience: Duration::ZERO,
            ended: false,
        }
    }

    /// Works until the agent has stopped; what is left is its history.
    pub(super) fn run(mut self) -> Chronicle {
        while !self.ended {
            let timer = match self.timers.values().min() {
                Some(deadline) => crossbeam_channel::at(*deadline),
                None => crossbeam_channel::never(),
            };
            select! {
                recv(self.inbox.event_rx) -> event => event.into_iter().for_each(|e| self.feed(*e)),
                recv(self.inbox.requests_rx) -> request => match request {
                    Ok(request) => self.on_request(request),
                    // The API has ended, and so has the handle: nobody is left to ask.
                    Err(_) => self.inbox.requests_rx = crossbeam_channel::never(),
                },
                // Disconnected when the handle is dropped, which has stopped this thread before.
                recv(self.inbox.told_rx) -> told => match told {
                    Ok(Told::Ping(ping)) => {
                        self.pass_on(&ping);
                        self.status_line.show(&self.core.status_line());
                    }
                    Ok(Told::Happened(happening)) => self.chronicle.record(&happening),
                    Err(_) => {}
                },
                recv(self.inbox.stop_rx) -> policy => {
                    self.inbox.stop_rx = crossbeam_channel::never();
                    let policy = policy.unwrap_or(StopPolicy::Keep);
                    self.patience = chronicle::patience(policy);
                    self.feed(Event::Stop(policy));
                }
                // Never disconnected.
                recv(self.chronicle.reports()) -> report => {
                    report.into_iter().for_each(|report| self.chronicle.take(report));
                }
                recv(timer) -> _ => self.on_time(),
            }
        }
        self.chronicle.finish(self.patience);
        self.chronicle
    }

    /// That it was taken is this thread's answer; only it knows the elections, and asks them too.
    fn pass_on(&mut self, ping: &Ping) {
        let turns = self.elections.len() / ASKED + 1;
        self.asked = self.asked.wrapping_add(1);
        for (Slot(number), election) in &self.elections {
            let has_its_turn = *number as usize % turns == self.asked % turns;
            if has_its_turn || election.has_unread() {
                election.ping(ping.pass_on(election.name()));
            }
        }
    }

    /// What has come by now goes first: an answer that waits to be read is not one that is missing.
    fn on_time(&mut self) {
        let waiting: Vec<_> = self.inbox.event_rx.try_iter().collect();
        waiting.into_iter().for_each(|event| self.feed(*event));
        let now = Instant::now();
        let due: Vec<Timer> =
            self.timers.iter().filter(|(_, at)| now >= **at).map(|(timer, _)| *timer).collect();
        for timer in due {
            self.timers.remove(&timer);
            self.feed(Event::Timer(timer));
        }
    }

    fn on_request(&mut self, Request { command, by, reply }: Request) {
        if let Command::Events(after) = &command {
            // The client may have gone.
            let _ = reply.send(Ok(self.chronicle.after(after)));
            return;
        }
        self.next_token += 1;
        let token = Token(self.next_token);
        self.chronicle.asked(token, &command, self.core.ip_of(&command), by);
        self.replies.insert(token, reply);
        self.feed(Event::Command(command, token));
    }

    /// Gives the core an event, and performs what follows from it.
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.core.handle(event, Instant::now()) {
                events.extend(self.perform(action));
            }
        }
    }

    /// Performs an action; what is known of its outcome at once is an event.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Ask(request) => self.ask(request),
            Action::ReadLeaseKeys(lease) => self.read_lease_keys(lease),
            Action::ReadLease(lease) => self.read_lease(lease),
            Action::Call { host, purpose, lease, question } => {
                let event_tx = self.inbox.event_tx.clone();
                calls::call(&self.params, (host, purpose), lease, question, event_tx);
            }
            Action::EndCall(host, purpose) => calls::end_call(&self.params, &host, purpose),
            Action::LookFor(token, cidr) => {
                fence::look_for(&self.params, &self.inbox.event_tx, token, cidr)
            }
            Action::Fence(token, lease) => {
                fence::revoke(&self.params, &self.inbox.event_tx, token, lease)
            }
            Action::KeepLease(resume, silent) => self.keep_lease(resume, silent),
            Action::Revoke(lease) => self.revoke(lease),
            Action::Start { slot, serial, subject, origin } => {
                match self.start((slot, serial), &subject, origin) {
                    Ok(()) if origin == Origin::New => self.look_for(slot, &subject),
                    started => return Some(Event::Started(slot, started)),
                }
            }
            Action::Tell(slot, order) => self.tell(slot, order),
            Action::End(slot) => drop(self.elections.remove(&slot)),
            Action::Reply(token, answer) => {
                self.chronicle.answered(token, &answer);
                if let Some(reply) = self.replies.remove(&token) {
                    // The client may have gone.
                    let _ = reply.send(answer);
                }
            }
            Action::ReadCluster(token, own) => {
                if let Some(reply) = self.replies.remove(&token) {
                    status::read(&self.params.etcd, own, reply);
                }
            }
            Action::ReplyCounts(token, mut host) => {
                host.hooks = self.chronicle.hook_counts();
                if let Some(reply) = self.replies.remove(&token) {
                    counts::collect(&self.params, self.started, *host, reply);
                }
            }
            Action::WriteCopy(bytes) => self.params.copy.write(bytes),
            Action::AppendToCopy(bytes) => {
                copies::append(&self.params, bytes, self.inbox.event_tx.clone());
            }
            Action::RemoveLeftOvers(unmarked) => self.params.net.remove_left_overs(unmarked),
            Action::Arm(timer, after) => self.timers.insert(timer, Instant::now() + after),
            Action::Disarm(timer) => drop(self.timers.remove(&timer)),
            Action::Happened(level, happening) => self.chronicle.tell(level, &happening),
            Action::Log(level, text) => log!(level, "{text}"),
            Action::Record(happening) => self.chronicle.record(&happening),
            Action::Notify(standing) => self.chronicle.notify(*standing),
            Action::Ended => self.ended = true,
        }
        None
    }

    fn ask(&self, request: store::Request) {
        let (host, instance) = (self.params.host.clone(), self.instance.clone());
        let txn = store::txn_of(&request, &host, &instance, self.core.history());
        // Many records write the same mark; of what is in a batch, etcd does not look at all permissions (#21689).
        let alone = matches!(request, store::Request::WriteRecords(_) | store::Request::DryRun(_));
        let event_tx = self.inbox.event_tx.clone();
        let reply = move |result: Result<etcd::Reply, etcd::Error>| {
            let outcome = result.map_err(|error| failure(&error)).map(|reply| {
                let at = At { cluster: reply.cluster, revision: reply.revision };
                (store::answer_of(&request, &host, &instance, &reply), at)
            });
            let _ = event_tx.send(Box::new(Event::Answered(request, outcome)));
        };
        let submit = if alone { etcd::Client::submit_at_once } else { etcd::Client::submit };
        submit(&self.params.etcd, txn, STORE, Box::new(reply));
    }

    fn read_lease_keys(&self, lease: i64) {
        let event_tx = self.inbox.event_tx.clone();
        let sink = move |result: Result<etcd::LeaseInfo, etcd::Error>| {
            let keys = result.map(|info| info.keys).map_err(|error| failure(&error));
            let _ = event_tx.send(Box::new(Event::LeaseKeys(lease, keys)));
        };
        self.params.etcd.lease_keys(lease, STORE, Box::new(sink));
    }

    fn read_lease(&self, lease: i64) {
        let event_tx = self.inbox.event_tx.clone();
        let sink = move |result: Result<etcd::TimeToLive, etcd::Error>| {
            let left = result.ok().map(|it| (it.left, it.granted));
            let _ = event_tx.send(Box::new(Event::LeaseLeft(lease, left)));
        };
        self.params.etcd.time_to_live(lease, LEASE, Box::new(sink));
    }

    fn keep_lease(&self, resume: Option<i64>, silent: Duration) {
        let event_tx = self.inbox.event_tx.clone();
        let events = move |event| {
            let event = match event {
                etcd::Event::Granted { id, ttl } | etcd::Event::Held { id, ttl } => {
                    Event::LeaseHeld { id, ttl }
                }
                etcd::Event::Lost { why, revision } => Event::EtcdLost { why, revision },
                etcd::Event::Paused(time) => Event::Paused(time),
                etcd::Event::KeyChanged { key, exists, revision } => {
                    Event::KeyChanged { key, exists, revision }
                }
                etcd::Event::WatchOpened { gap, .. } => Event::WatchOpened(gap.into()),
            };
            let _ = event_tx.send(Box::new(event));
        };
        let now = Instant::now();
        let silent_since = now.checked_sub(silent).unwrap_or(now);
        self.params.etcd.keep_lease(resume, silent_since, Box::new(events));
    }

    fn revoke(&self, lease: i64) {
        let event_tx = self.inbox.event_tx.clone();
        let done = move |result: Result<(), etcd::Error>| {
            let result = result.map_err(|error| error.to_string());
            let _ = event_tx.send(Box::new(Event::Revoked(result)));
        };
        self.params.etcd.revoke(lease, REVOKE, Box::new(done));
    }

    fn start(
        &mut self,
        (slot, serial): (Slot, Serial),
        subject: &Subject,
        origin: Origin,
    ) -> Result<(), StartError> {
        for record in &subject.records {
            if matches!(origin, Origin::New | Origin::Forced)
                && let Some(own) = self.own_address(record)?
            {
                return Err(StartError::OwnAddress(own));
            }
        }
        let params = elections::params(&self.params, subject, origin);
        let event_tx = self.inbox.event_tx.clone();
        let notices = move |notice| {
            let _ = event_tx.send(Box::new(Event::Election(slot, serial, notice)));
        };
        let election = Election::start(params, Box::new(notices));
        let election = election.map_err(|error| StartError::Failed(error.to_string()))?;
        self.elections.insert(slot, election);
        Ok(())
    }

    /// A new IP is started when no machine has its address.
    fn look_for(&self, slot: Slot, subject: &Subject) {
        let Some(Record { cidr, .. }) = subject.records.first() else { return };
        let event_tx = self.inbox.event_tx.clone();
        let found = move |mac: Option<Mac>| {
            let started = mac.map_or(Ok(()), |mac| Err(StartError::Answered(mac)));
            let _ = event_tx.send(Box::new(Event::Started(slot, started)));
        };
        self.params.net.look_for(*cidr, Box::new(found));
    }

    /// The address that the host itself has, with whatever prefix length, if it has this one: that is
    /// not LinK's to move.
    fn own_address(&self, record: &Record) -> Result<Option<Cidr>, StartError> {
        let own = self.params.net.own_address(record.cidr.addr());
        own.map_err(|error| StartError::Failed(error.to_string()))
    }

    fn tell(&self, slot: Slot, order: Order) {
        let Some(election) = self.elections.get(&slot) else { return };
        match order {
            Order::Lease(lease) => election.lease(lease),
            Order::EtcdHeard(revision) => election.etcd_heard(revision),
            Order::Checks(cidr, checks, seconds) => {
                election.set_checks(cidr, checks, self.params.checks.timing(seconds))
            }
            Order::LossPolicy(loss) => election.set_loss_policy(loss),
            Order::Priority(priority) => election.set_priority(priority),
            Order::Drained(drained) => election.drain(drained),
            Order::LockNow => election.lock_now(),
            Order::Failover(target) => election.failover(target),
            Order::Leave => election.leave(),
            Order::OwnerDead(lease) => election.owner_dead(lease),
            Order::OwnerLives(lease) => election.owner_lives(lease),
            Order::OwnerMissed(missed) => election.owner_missed(missed),
            Order::OwnerHeardAgain => election.owner_heard_again(),
            Order::Paused => election.paused(),
            Order::CandidatesOutdated => election.candidates_outdated(),
            Order::Monitor(on) => election.monitor(self.params.monitoring.filter(|_| on)),
        }
    }
}
