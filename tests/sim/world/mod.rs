//! The simulated world: hosts with whole agents, etcd, the network between them, users, and the order
//! of events.
//!
//! Time is counted in milliseconds from the beginning. One step is one event. Everything that is
//! random comes from the seed, so that a run can be repeated.

mod audited;
mod calling;
mod electing;
mod event;
mod faults;
mod golink;
mod hearing;
mod keeping;
mod members;
mod misled;
mod network;
mod requests;
mod supervising;
mod twins;
mod watching;

pub(crate) use self::event::Process;
use self::event::{Event, Message, Read};
use self::golink::GoLink;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use link::election::message::Input;
use link::lock::Holder;
use link::supervisor::core::Event as SupervisorEvent;
use link::vip::{Slot, VipId};

use crate::audit::{Audit, Violation};
use crate::bugs::Bug;
use crate::cluster::Cluster;
use crate::host::Host;
pub(crate) use crate::memory_etcd::Millis;
use crate::plan::Plan;
use crate::random::Random;
use crate::setup::{GATEWAY, GO, HOSTS, HostId, IPS, Policies, TWIN, Wish};
use crate::users::Users;

/// An event with its time; a number keeps the order of those at the same time.
type Due = Reverse<(Millis, u64)>;

pub(crate) struct World {
    /// Every step is told.
    pub(crate) told: bool,
    pub(crate) now: Millis,
    pub(crate) steps: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) cluster: Cluster,
    /// Who holds the lock of each IP.
    pub(crate) locks: [Option<Holder>; IPS],
    /// The host to which the client of each IP sends what is meant for it.
    pub(crate) neighbour: [Option<HostId>; IPS],
    pub(crate) users: Users,
    pub(crate) audit: Audit,
    epoch: Instant,
    plan: Plan,
    random: Random,
    queue: BinaryHeap<Due>,
    events: HashMap<u64, Event>,
    scheduled: u64,
    /// What agents have told themselves in this step.
    inbox: VecDeque<(HostId, u64, Message)>,
    /// Something has changed that matters to the audit.
    pub(crate) changed: bool,
    /// Counts the restarts of etcd: what was under way is lost with the connections.
    era: u64,
    bug: Option<Bug>,
    go: Option<GoLink>,
    /// When nobody was heard last by each host.
    pub(crate) deaf_at: [Millis; HOSTS],
    /// When somebody was.
    pub(crate) heard_at: [Millis; HOSTS],
    /// Each host has a member of etcd on it, of which one leads.
    pub(crate) members: bool,
    /// Some of the IPs are a group.
    pub(crate) groups: bool,
    leader: HostId,
    quorum: bool,
    /// For so many reasons etcd has no leader; and what was asked meanwhile.
    leaderless: u32,
    stalled: Vec<Event>,
}

thread_local! {
    static IDS: Cell<u128> = const { Cell::new(0) };
}

/// Ids that are the same in each run.
fn next_id() -> VipId {
    let number = IDS.replace(IDS.get() + 1);
    let id = format!("vip-{}", uuid::Uuid::from_u128(0x4000_8000_0000_0000_0000 | number));
    id.parse().expect("an id")
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan, bug: Option<Bug>) -> World {
        IDS.set(1);
        let mut random = Random::new(seed);
        let hosts = (0..=GATEWAY).map(|id| Host::new(id, Policies::random(&mut random)));
        let mut world = World {
            told: false,
            now: 0,
            steps: 0,
            hosts: hosts.collect(),
            cluster: Cluster::new(GO + 1),
            locks: Default::default(),
            neighbour: [None; IPS],
            users: Users::new(),
            audit: Audit::new(),
            epoch: Instant::now(),
            plan,
            random,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            scheduled: 0,
            inbox: VecDeque::new(),
            changed: true,
            era: 0,
            bug,
            go: None,
            deaf_at: [0; HOSTS],
            heard_at: [0; HOSTS],
            members: false,
            groups: seed.is_multiple_of(crate::setting("LINK_SIM_GROUPS", 3)),
            leader: 0,
            quorum: true,
            leaderless: 0,
            stalled: Vec::new(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.hosts[TWIN].power = false;
        self.hosts[GO].power = false;
        self.hosts[GATEWAY].power = !self.random.one_in(4);
        self.members = self.random.one_in(2);
        let lonely = self.random.one_in(3);
        // In some worlds two of the IPs are a group, or all.
        if self.groups {
            self.users.grouped = [true, self.random.one_in(3), true];
        }
        for host in 0..HOSTS {
            let after = self.random.between(0, 50);
            self.after(after, Event::Boot(host));
            // Most hosts serve most IPs; the first IP is that of one host alone in some worlds.
            for ip in 0..IPS {
                let absent = if ip == 0 && lonely { 2 } else { 6 };
                if !self.random.one_in(absent) {
                    let wish = Wish::random(&mut self.random);
                    self.users.wants(host, ip, wish, 100 + after);
                }
            }
        }
        for index in 0..self.plan.len() {
            self.at(self.plan[index].0, Event::Fault(index));
        }
        self.at(500, Event::Expire);
        self.at(5_000, Event::Snapshot);
        self.at(100, Event::AskHealth);
    }

    /// Runs until a while after the last fault; everything must be well then.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        let end = self.plan.last().map_or(0, |(at, _)| *at) + 120_000;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > end {
                break;
            }
            let event = self.events.remove(&number).expect("each event is scheduled once");
            self.now = at;
            self.steps += 1;
            self.happen(event);
            self.deliver_messages();
            if std::mem::take(&mut self.changed) {
                Audit::look(self)?;
            }
        }
        Ok(())
    }

    /// Tells what happens, if the failure that is looked for is to be understood.
    #[allow(clippy::print_stdout, reason = "libtest shows it with the failed test")]
    fn trace(&self, host: HostId, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>9} h{} {}", self.now, host + 1, what());
        }
    }

    fn at(&mut self, at: Millis, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    fn after(&mut self, pause: Millis, event: Event) {
        self.at(self.now + pause, event);
    }

    /// Has something happen to the present life of an agent.
    fn process_at(&mut self, at: Millis, host: HostId, what: Process) {
        let life = self.hosts[host].life;
        self.at(at, Event::Process { host, life, what });
    }

    fn process_after(&mut self, pause: Millis, host: HostId, what: Process) {
        self.process_at(self.now + pause, host, what);
    }

    /// The time of one way between a host and etcd.
    fn way(&mut self, host: HostId) -> Millis {
        let slowest = if self.hosts[host].faults.slow > 0 { 2_500 } else { 8 };
        self.random.between(1, slowest)
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now)
    }

    /// The milliseconds of an instant, rounded up.
    fn millis(&self, instant: Instant) -> Millis {
        let since = instant.saturating_duration_since(self.epoch);
        u64::try_from(since.as_micros().div_ceil(1_000)).expect("the world is younger than that")
    }

    /// Sends a message to an agent; one that does not run gets it later.
    fn post(&mut self, host: HostId, message: Message) {
        let life = self.hosts[host].life;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        if agent.frozen.is_some() {
            agent.held_up.push_back(Process::Message(message));
        } else {
            self.inbox.push_back((host, life, message));
        }
    }

    fn tell_supervisor(&mut self, host: HostId, event: SupervisorEvent) {
        self.post(host, Message::Supervisor(Box::new(event)));
    }

    fn tell_election(&mut self, host: HostId, slot: Slot, input: Input) {
        self.post(host, Message::Election(slot, Box::new(input)));
    }

    fn deliver_messages(&mut self) {
        while let Some((host, life, message)) = self.inbox.pop_front() {
            if self.hosts[host].life == life {
                self.on_message(host, message);
            }
        }
    }

    fn on_message(&mut self, host: HostId, message: Message) {
        match message {
            Message::Supervisor(event) => self.post_supervisor(host, *event),
            Message::Election(slot, input) => self.feed_election(host, slot, *input),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Process { host, life, what } => {
                if self.hosts[host].life != life {
                    return;
                }
                let Some(agent) = &mut self.hosts[host].agent else { return };
                if agent.frozen.is_some() {
                    agent.held_up.push_back(what);
                } else {
                    self.process(host, what);
                }
            }
            Event::RequestArrives { era, .. }
            | Event::RenewalArrives { era, .. }
            | Event::ReadArrives { era, .. }
                if era == self.era && self.etcd_stalls() =>
            {
                self.stalled.push(event);
            }
            Event::RequestArrives { host, life, era, number, call } if era == self.era => {
                self.request_arrives(host, life, number, *call);
            }
            Event::RenewalArrives { host, life, era, sent, lease } if era == self.era => {
                self.renewal_arrives(host, life, sent, lease);
            }
            Event::ReadArrives { host, life, era, generation, known, safety }
                if era == self.era =>
            {
                self.read_arrives(host, life, generation, known, safety);
            }
            // Lost with the connection.
            Event::RequestArrives { .. }
            | Event::RenewalArrives { .. }
            | Event::ReadArrives { .. } => {}
            Event::LeaderElected => self.elect_leader(),
            Event::Boot(host) => self.boot(host),
            Event::Kill(host) => self.kill(host),
            Event::GoWakes { life, polls } => self.wake_go(life, polls),
            Event::GoIsRemoved => self.remove_go(),
            Event::Expire => self.expire(),
            Event::Snapshot => self.snapshot(),
            Event::AskHealth => self.ask_health(),
            Event::Fault(index) => self.fault(index),
            Event::Heal(index) => self.heal(index),
        }
    }

    /// Copies are made, of etcd and, more seldom, of the hosts' disks.
    fn snapshot(&mut self) {
        self.cluster.take_snapshot();
        self.after(5_000, Event::Snapshot);
        for host in &mut self.hosts {
            if self.random.one_in(6) {
                host.old_disk.clone_from(&host.disk);
                host.old_disk_at = host.disk_at;
            }
        }
    }

    fn process(&mut self, host: HostId, what: Process) {
        match what {
            Process::Message(message) => self.on_message(host, message),
            Process::SupervisorTimer(timer, at) => self.supervisor_timer(host, timer, at),
            Process::Wake(slot, at) => self.wake(host, slot, at),
            Process::Check(slot, number) => self.check(host, slot, number),
            Process::Attempt(number) => self.attempt(host, number),
            Process::AttemptOver(number, attempt) => self.attempt_over(host, number, attempt),
            Process::Deadline(number) => self.deadline(host, number),
            Process::Replied(number, said) => self.replied(host, number, *said),
            Process::Keep(plan) => self.keep(host, plan),
            Process::Renewed { sent, lease, ttl, revision } => {
                self.renewed(host, sent, lease, ttl, revision);
            }
            Process::Watch(generation) => self.open_watch(host, generation),
            Process::WatchOverdue(generation) => self.watch_overdue(host, generation),
            Process::Read(generation, read) => self.read(host, generation, *read),
            Process::Deliver(generation) => self.deliver(host, generation),
            Process::SafetyRead(generation) => self.safety_read(host, generation),
            Process::Probe(slot, number) => self.probe(host, slot, number),
            Process::ProbeSilence(slot, number) => self.probe_silence(host, slot, number),
            Process::Monitor(slot, number) => self.monitor(host, slot, number),
            Process::MonitorSilence(slot, number) => self.monitor_silence(host, slot, number),
            Process::Listened(call) => self.listened(host, &call),
            Process::Neighbours(slot) => self.neighbours(host, slot),
            Process::Hears(at) => self.hears(host, at),
            Process::Unread => self.read_unread(host),
            Process::Announce { ip, number, refresh } => self.announce(host, ip, number, refresh),
            Process::AddAgain(ip) => self.settle_kernel(host, ip),
            Process::Gone(slot) => self.gone_at_last(host, slot),
        }
    }
}
