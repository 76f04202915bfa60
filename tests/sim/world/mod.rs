//! The simulated world: agents, etcd, the network between them, and the order of events.
//!
//! Time is counted in milliseconds from the beginning. One step is one event. Everything that is
//! random comes from the seed, so that a run can be repeated.

mod faults;
mod network;
mod owners;
mod requests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use link::election::message::{Action, Input};
use link::etcd::TimeToLive;
use link::lock::{LockAnswer, LockView, Request};
use link::policy::{AllFailingPolicy, CrashDetection, LossPolicy};
use link::vip::Slot;

use crate::agent::{Agent, CHECK, Policies};
use crate::audit::{Audit, Violation};
use crate::bugs::Bug;
use crate::etcd::Etcd;
use crate::faults::{Fault, HostId, Plan};
use crate::memory_etcd::Refusal;
use crate::random::Random;
use crate::wire::REPEATS;

/// Milliseconds since the beginning of the world.
pub(crate) type Millis = u64;

/// How long a request may take before the agent tries anew.
pub(crate) const DEADLINE: Millis = 2_000;

/// Something that happens, to one life of one agent unless it is etcd's.
#[derive(Clone, Debug)]
enum Event {
    Timer { host: HostId, life: u64 },
    Renew { host: HostId, life: u64 },
    RenewalArrives { host: HostId, life: u64, sent: Millis },
    RenewalAnswered { host: HostId, life: u64, sent: Millis, lease: i64 },
    Check { host: HostId, life: u64 },
    RequestArrives { host: HostId, life: u64, number: u64, request: Request },
    Answer { host: HostId, life: u64, era: u64, number: u64, answer: Result<LockAnswer, Refusal> },
    GiveUp { host: HostId, life: u64, number: u64 },
    Seen { host: HostId, life: u64, era: u64, view: LockView },
    SafetyRead { host: HostId, life: u64 },
    Reread { host: HostId, life: u64 },
    Probe { host: HostId, life: u64 },
    Watch { host: HostId, life: u64, number: u64 },
    LeaseAsked { host: HostId, life: u64, lease: i64 },
    LeaseTold { host: HostId, life: u64, era: u64, lease: i64, answer: Option<TimeToLive> },
    Wake { host: HostId, life: u64 },
    Announce { host: HostId, life: u64, announcing: u64, refresh: bool },
    Expire,
    Snapshot,
    Fault(usize),
    Heal(Fault),
}

/// An event with its time; a number keeps the order of those at the same time.
type Due = Reverse<(Millis, u64)>;

pub(crate) struct World {
    pub(crate) policies: Policies,
    /// Every step is told.
    pub(crate) told: bool,
    /// The host to which the client sends what is meant for the IP.
    pub(crate) neighbour: Option<HostId>,
    pub(crate) now: Millis,
    pub(crate) steps: u64,
    pub(crate) agents: Vec<Agent>,
    pub(crate) etcd: Etcd,
    epoch: Instant,
    plan: Plan,
    random: Random,
    queue: BinaryHeap<Due>,
    events: std::collections::HashMap<u64, Event>,
    scheduled: u64,
    /// Counts the restorations of etcd: what was under way is lost with the connections.
    era: u64,
    bug: Option<Bug>,
    audit: Audit,
}

impl World {
    pub(crate) fn new(seed: u64, hosts: usize, plan: Plan, bug: Option<Bug>) -> World {
        let epoch = Instant::now();
        let etcd = Etcd::new(bug);
        let mut random = Random::new(seed);
        let mut policies = policies(&mut random);
        if bug == Some(Bug::DeafStandbysTakeIt) {
            policies.crash = CrashDetection::Fast;
        }
        let installed = match bug {
            Some(Bug::LastOneLetsGo) => {
                Policies { all_failing: AllFailingPolicy::None, ..policies }
            }
            Some(_) | None => policies,
        };
        let mut world = World {
            policies,
            told: false,
            neighbour: None,
            now: 0,
            steps: 0,
            agents: (1..=hosts).map(|number| Agent::new(number, installed, epoch)).collect(),
            etcd,
            era: 0,
            epoch,
            plan,
            random,
            queue: BinaryHeap::new(),
            events: std::collections::HashMap::new(),
            scheduled: 0,
            bug,
            audit: Audit::new(hosts),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for host in 0..self.agents.len() {
            self.boot(host);
        }
        for index in 0..self.plan.len() {
            self.at(self.plan[index].0, Event::Fault(index));
        }
        self.at(500, Event::Expire);
        self.at(5_000, Event::Snapshot);
    }

    /// Runs until a while after the last fault; everything must be well then.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        let end = self.plan.last().map_or(0, |(at, _)| *at) + 90_000;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > end {
                break;
            }
            let event = self.events.remove(&number).expect("each event is scheduled once");
            self.now = at;
            self.steps += 1;
            self.happen(event);
            Audit::look(self)?;
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

    pub(crate) fn audit(&mut self) -> &mut Audit {
        &mut self.audit
    }

    fn at(&mut self, at: Millis, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    fn after(&mut self, pause: Millis, event: Event) {
        self.at(self.now + pause, event);
    }

    /// The time of one way between a host and etcd.
    fn way(&mut self, host: HostId) -> Millis {
        let slowest = if self.agents[host].slow > 0 { 2_500 } else { 8 };
        self.random.between(1, slowest)
    }

    fn alive(&self, host: HostId, life: u64) -> bool {
        self.agents[host].life == life && self.agents[host].running && self.agents[host].power
    }

    fn boot(&mut self, host: HostId) {
        let forget = self.bug == Some(Bug::RestartForgetsTheLease);
        self.agents[host].start(self.epoch, self.now, forget);
        let life = self.agents[host].life;
        let found = self.agents[host].bound;
        self.tell(host, Input::Bound(found));
        self.tell_interface(host);
        self.after(1, Event::Renew { host, life });
        let first = self.random.between(1, 300);
        self.after(first, Event::Check { host, life });
        self.after(2, Event::SafetyRead { host, life });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer { host, life } if self.alive(host, life) => self.wake_core(host),
            Event::Renew { host, life } if self.alive(host, life) => self.renew(host, life),
            Event::RenewalArrives { host, life, sent } => self.renewal_arrives(host, life, sent),
            Event::RenewalAnswered { host, life, sent, lease } if self.alive(host, life) => {
                self.renewal_answered(host, sent, lease);
            }
            Event::Check { host, life } if self.alive(host, life) => self.check(host, life),
            Event::RequestArrives { host, life, number, request } => {
                self.request_arrives(host, life, number, request);
            }
            Event::Answer { host, life, era, number, answer }
                if self.alive(host, life) && era == self.era =>
            {
                self.answered(host, number, answer.map_err(|refusal| refusal.to_string()));
            }
            Event::GiveUp { host, life, number } if self.alive(host, life) => {
                self.answered(host, number, Err("deadline".to_owned()));
            }
            Event::Seen { host, life, era, view } if self.alive(host, life) && era == self.era => {
                self.seen(host, view);
            }
            Event::SafetyRead { host, life } if self.alive(host, life) => {
                self.safety_read(host, life)
            }
            Event::Reread { host, life } if self.alive(host, life) => drop(self.reread(host, life)),
            Event::Probe { host, life } if self.alive(host, life) => self.probe(host, life),
            Event::Watch { host, life, number } if self.alive(host, life) => {
                self.watch(host, life, number);
            }
            Event::LeaseAsked { host, life, lease } => self.lease_asked(host, life, lease),
            Event::LeaseTold { host, life, era, lease, answer }
                if self.alive(host, life) && (era == self.era || answer.is_none()) =>
            {
                let now = self.instant();
                let steps = self.agents[host].detector.lease_is(
                    lease,
                    answer.map(|it| (it.left, it.granted)),
                    now,
                );
                self.follow(host, steps);
            }
            Event::Wake { host, life } if self.alive(host, life) => {
                let now = self.instant();
                let steps = self.agents[host].detector.wake(now);
                self.follow(host, steps);
            }
            Event::Announce { host, life, announcing, refresh } if self.alive(host, life) => {
                self.announce(host, announcing, refresh);
            }
            Event::Expire => self.expire(),
            Event::Snapshot => {
                self.etcd.take_snapshot();
                self.after(5_000, Event::Snapshot);
            }
            Event::Fault(index) => self.fault(self.plan[index].1),
            Event::Heal(fault) => self.heal(fault),
            // Meant for a life that is over.
            Event::Timer { .. }
            | Event::Renew { .. }
            | Event::RenewalAnswered { .. }
            | Event::Check { .. }
            | Event::Answer { .. }
            | Event::GiveUp { .. }
            | Event::Seen { .. }
            | Event::SafetyRead { .. }
            | Event::Reread { .. }
            | Event::Probe { .. }
            | Event::Watch { .. }
            | Event::LeaseTold { .. }
            | Event::Wake { .. }
            | Event::Announce { .. } => {}
        }
    }

    /// Gives the core an input and performs its actions; a frozen agent gets it later.
    fn tell(&mut self, host: HostId, input: Input) {
        if self.agents[host].frozen {
            return self.agents[host].held_up.push_back(input);
        }
        self.trace(host, || format!("<- {input:?}"));
        self.note_yield(host, &input);
        let now = self.instant();
        let actions = self.agents[host].driver.handle(input, now);
        self.follow_core(host, actions);
    }

    /// Lets the core's timers fire; those of a frozen agent, when it runs again.
    fn wake_core(&mut self, host: HostId) {
        if !self.agents[host].frozen {
            self.trace(host, || "<- Timer".to_owned());
            let now = self.instant();
            let actions = self.agents[host].driver.wake(now);
            self.follow_core(host, actions);
        }
    }

    fn follow_core(&mut self, host: HostId, actions: Vec<Action>) {
        let bound = self.agents[host].bound;
        for action in actions {
            self.perform(host, action);
        }
        self.set_timer(host);
        self.note_owner(host);
        let changed = self.agents[host].bound;
        if changed != bound && self.agents[host].running {
            self.tell(host, Input::Bound(changed));
        }
    }

    fn perform(&mut self, host: HostId, action: Action) {
        self.trace(host, || format!("-> {action:?}"));
        match action {
            Action::Bind => {
                let found = std::mem::replace(&mut self.agents[host].bound, true);
                match self.agents[host].desired.replace(true) {
                    Some(true) => {}
                    // What a former life has left is kept, and announced once.
                    None if found => self.announce_at(host, &REPEATS[..1]),
                    Some(false) | None => self.announce_at(host, &REPEATS),
                }
            }
            Action::Unbind => {
                self.agents[host].bound = false;
                self.agents[host].desired = Some(false);
            }
            Action::Announce if self.bug == Some(Bug::NobodyAnnouncesAgain) => {}
            Action::Announce => self.announce_at(host, &REPEATS),
            Action::Probe(on) => self.set_probing(host, on),
            Action::Ask(request) => self.ask(host, request),
            Action::Left => self.left(host),
            Action::Transition { .. } | Action::HandedOver(_) | Action::Restart(_) => {}
        }
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now)
    }

    fn set_timer(&mut self, host: HostId) {
        if let Some(deadline) = self.agents[host].driver.deadline() {
            let pause = deadline.saturating_duration_since(self.epoch).as_millis();
            let at = u64::try_from(pause).expect("the world is younger than that") + 1;
            let life = self.agents[host].life;
            self.at(at.max(self.now + 1), Event::Timer { host, life });
        }
    }

    fn check(&mut self, host: HostId, life: u64) {
        self.after(CHECK, Event::Check { host, life });
        let overlooked = self.bug == Some(Bug::FailingHostsCampaign);
        let passed = self.agents[host].is_healthy() || overlooked;
        if !self.agents[host].frozen {
            self.tell(host, Input::Checked(passed));
        }
    }
}

/// The one IP of the world.
const IP: Slot = Slot(1);

/// How the agents of a world are set: as most of them are, or otherwise.
fn policies(random: &mut Random) -> Policies {
    let loss = match random.between(0, 3) {
        0 | 1 => LossPolicy::Take,
        2 => LossPolicy::Probe,
        _ => LossPolicy::Hold,
    };
    let all_failing = match random.between(0, 2) {
        0 => AllFailingPolicy::None,
        _ => AllFailingPolicy::KeepLast,
    };
    let crash = match random.between(0, 5) {
        0 => CrashDetection::Off,
        1 | 2 => CrashDetection::Fast,
        _ => CrashDetection::Strict,
    };
    Policies { loss, all_failing, crash }
}
