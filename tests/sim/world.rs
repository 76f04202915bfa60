//! The simulated world: agents, etcd, the network between them, and the order of events.
//!
//! Time is counted in milliseconds from the beginning. One step is one event. Everything that is
//! random comes from the seed, so that a run can be repeated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use link::election::message::{Action, Input, LockAnswer, LockView, Request};
use link::etcd::{Gap, TimeToLive};
use link::net::Wire;
use link::policy::{AllFailingPolicy, LossPolicy};
use link::vip::VipId;
use link::witness::Step;

use crate::agent::{Agent, CHECK, Policies, RENEWAL, RETRY};
use crate::audit::{Audit, Violation};
use crate::bugs::Bug;
use crate::etcd::{Data, Etcd};
use crate::faults::{Fault, HostId, Plan};
use crate::random::Random;
use crate::wire::{self, PROBE, Probing, REFRESH, REPEATS, WATCH, Watching};

/// Milliseconds since the beginning of the world.
pub(crate) type Millis = u64;

/// How long a request may take before the agent tries anew.
const DEADLINE: Millis = 2_000;

/// How long a renewal may take; there is one at a time.
const RENEWAL_DEADLINE: Millis = 1_000;

/// Between two reads of the lock while the watch works.
const SAFETY_READ: Millis = 10_000;

/// Something that happens, to one life of one agent unless it is etcd's.
#[derive(Clone, Debug)]
enum Event {
    Timer { host: HostId, life: u64 },
    Renew { host: HostId, life: u64 },
    RenewalArrives { host: HostId, life: u64, sent: Millis },
    RenewalAnswered { host: HostId, life: u64, sent: Millis, lease: i64 },
    Check { host: HostId, life: u64 },
    RequestArrives { host: HostId, life: u64, number: u64, request: Request },
    Answer { host: HostId, life: u64, era: u64, number: u64, answer: Option<LockAnswer> },
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
    snapshot: Data,
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
        let policies = policies(&mut random);
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
            snapshot: etcd.data.clone(),
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
            Event::Timer { host, life } if self.alive(host, life) => self.tell(host, Input::Timer),
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
                self.answered(host, number, answer.ok_or("refused".to_owned()));
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
                let steps = self.agents[host].witness.told(lease, answer, now);
                self.follow(host, steps);
            }
            Event::Wake { host, life } if self.alive(host, life) => {
                let now = self.instant();
                let steps = self.agents[host].witness.wake(now);
                self.follow(host, steps);
            }
            Event::Announce { host, life, announcing, refresh } if self.alive(host, life) => {
                self.announce(host, announcing, refresh);
            }
            Event::Expire => self.expire(),
            Event::Snapshot => {
                self.snapshot = self.etcd.data.clone();
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
        let now = self.instant();
        let bound = self.agents[host].bound;
        for action in self.agents[host].core.handle(input, now) {
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
            Action::Transition { .. } | Action::HandedOver(_) => {}
        }
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now)
    }

    /// Has the owner's host watched, as the supervisor does.
    fn note_owner(&mut self, host: HostId) {
        let agent = &mut self.agents[host];
        let steps = agent.witness.awaits(&ip(), agent.core.awaited());
        self.follow(host, steps);
    }

    fn follow(&mut self, host: HostId, steps: Vec<Step>) {
        let life = self.agents[host].life;
        for step in steps {
            self.trace(host, || format!("-- {step:?}"));
            match step {
                Step::Watch(_, on) => {
                    let agent = &mut self.agents[host];
                    agent.watched = on.then(Watching::default);
                    agent.watches += 1;
                    let number = agent.watches;
                    self.after(WATCH, Event::Watch { host, life, number });
                }
                Step::AskLease(lease) if self.bug == Some(Bug::OneWitnessIsEnough) => {
                    self.tell(host, Input::OwnerDead(lease));
                }
                Step::AskLease(lease) => self.ask_lease(host, lease),
                Step::Dead { lease, .. } => self.tell(host, Input::OwnerDead(lease)),
                Step::Tell(_) => {}
            }
        }
        if let Some(deadline) = self.agents[host].witness.deadline() {
            let pause = deadline.saturating_duration_since(self.instant()).as_millis();
            let pause = u64::try_from(pause).expect("a short pause") + 1;
            self.after(pause, Event::Wake { host, life });
        }
    }

    fn watch(&mut self, host: HostId, life: u64, number: u64) {
        let Some(mut watched) = self.agents[host].watched else { return };
        if self.agents[host].watches != number {
            return;
        }
        self.after(WATCH, Event::Watch { host, life, number });
        // Without a carrier, and after a standstill, it counts from the beginning.
        if self.agents[host].unplugged > 0 || self.agents[host].frozen {
            self.agents[host].watched = Some(Watching::default());
            return;
        }
        let news = watched.ask(host, &self.agents);
        self.agents[host].watched = Some(watched);
        if let Some(presence) = news {
            let now = self.instant();
            let steps = self.agents[host].witness.heard(&ip(), presence, now);
            self.follow(host, steps);
        }
    }

    fn ask_lease(&mut self, host: HostId, lease: i64) {
        let (life, era, out) = (self.agents[host].life, self.era, self.agents[host].cut_out == 0);
        let way = self.way(host);
        if out && self.etcd.up && !self.random.one_in(50) {
            self.after(way, Event::LeaseAsked { host, life, lease });
        } else {
            let answer = None;
            self.after(DEADLINE, Event::LeaseTold { host, life, era, lease, answer });
        }
    }

    fn lease_asked(&mut self, host: HostId, life: u64, lease: i64) {
        let heard = self.etcd.up && self.agents[host].cut_in == 0;
        let answer = heard.then(|| self.etcd.time_to_live(lease, self.now));
        let way = if heard { self.way(host) } else { DEADLINE };
        let era = self.era;
        self.after(way, Event::LeaseTold { host, life, era, lease, answer });
    }

    /// The agent has handed over: it revokes its lease and ends.
    fn left(&mut self, host: HostId) {
        let agent = &mut self.agents[host];
        agent.kill();
        let connected = agent.connected();
        let lease = agent.lease.take_if(|_| connected && self.etcd.up);
        if lease.is_some_and(|lease| self.etcd.revoke(lease)) {
            self.lock_changed();
        }
    }

    fn tell_interface(&mut self, host: HostId) {
        let usable = match self.agents[host].unplugged {
            0 => Ok(()),
            _ => Err("eth0: no carrier".to_owned()),
        };
        self.tell(host, Input::Interface(usable));
    }

    fn set_probing(&mut self, host: HostId, on: bool) {
        self.agents[host].probing = on.then(|| Probing::begin(self.now));
        if on {
            let life = self.agents[host].life;
            self.after(1, Event::Probe { host, life });
        }
    }

    fn probe(&mut self, host: HostId, life: u64) {
        let Some(mut probing) = self.agents[host].probing else { return };
        self.after(PROBE, Event::Probe { host, life });
        // Without a carrier nobody can be heard, and nothing is said.
        if self.agents[host].unplugged > 0 || self.agents[host].frozen {
            self.agents[host].probing = Some(Probing::begin(self.now));
            return;
        }
        let deaf = self.bug == Some(Bug::NetworkIsNotHeard);
        let obeys = self.bug == Some(Bug::TheDeadAreObeyed) && !self.agents[host].lost;
        let news = match (deaf, obeys) {
            (true, _) => Probing::begin(0).probe(host, &[], self.now),
            (false, true) => Some(Input::Wire(Wire::Answered { precedes: true })),
            (false, false) => probing.probe(host, &self.agents, self.now),
        };
        self.agents[host].probing = Some(probing);
        if let Some(news) = news {
            self.tell(host, news);
        }
    }

    /// Announces an address from now on, whatever was planned for it before.
    fn announce_at(&mut self, host: HostId, pauses: &[Millis]) {
        let agent = &mut self.agents[host];
        agent.announcing += 1;
        let (life, announcing) = (agent.life, agent.announcing);
        for pause in pauses {
            self.after(pause + 1, Event::Announce { host, life, announcing, refresh: false });
        }
        self.after(REFRESH, Event::Announce { host, life, announcing, refresh: true });
    }

    fn announce(&mut self, host: HostId, announcing: u64, refresh: bool) {
        let agent = &self.agents[host];
        if agent.announcing != announcing || !agent.bound {
            return;
        }
        let (life, frozen, heard) = (agent.life, agent.frozen, agent.lan_out == 0);
        if refresh {
            self.after(REFRESH, Event::Announce { host, life, announcing, refresh });
        }
        if frozen {
            return;
        }
        if heard {
            self.neighbour = Some(host);
        }
        if self.bug != Some(Bug::NetworkIsNotHeard) {
            for (to, claim) in wire::claimed(host, &mut self.agents, self.now) {
                self.tell(to, claim);
            }
        }
    }

    fn set_timer(&mut self, host: HostId) {
        if let Some(deadline) = self.agents[host].core.deadline() {
            let pause = deadline.saturating_duration_since(self.epoch).as_millis();
            let at = u64::try_from(pause).expect("the world is younger than that") + 1;
            let life = self.agents[host].life;
            self.at(at.max(self.now + 1), Event::Timer { host, life });
        }
    }

    fn ask(&mut self, host: HostId, request: Request) {
        let agent = &mut self.agents[host];
        agent.request += 1;
        agent.asked = Some((agent.request, request.clone()));
        if self.bug == Some(Bug::BreakBeforeMake) && matches!(request, Request::Pass { .. }) {
            agent.bound = false;
        }
        let (number, life, cut) = (agent.request, agent.life, agent.cut_out > 0);
        self.after(DEADLINE, Event::GiveUp { host, life, number });
        let way = self.way(host);
        if !cut && !self.random.one_in(50) {
            self.after(way, Event::RequestArrives { host, life, number, request });
        }
    }

    fn request_arrives(&mut self, host: HostId, life: u64, number: u64, request: Request) {
        if !self.etcd.up {
            return;
        }
        let name = self.agents[host].name.clone();
        let outcome = self.etcd.carry_out(&name, &request);
        let changed = outcome.as_ref().is_some_and(|(_, changed)| *changed);
        let answer = outcome.map(|(answer, _)| answer);
        if changed {
            self.lock_changed();
        }
        let way = self.way(host);
        if self.agents[host].cut_in == 0 && !self.random.one_in(50) {
            let era = self.era;
            self.after(way, Event::Answer { host, life, era, number, answer });
        }
    }

    fn answered(&mut self, host: HostId, number: u64, result: Result<LockAnswer, String>) {
        let revision = result.as_ref().map_or(0, |answer| answer.lock.revision);
        let known = self.agents[host].known;
        self.agents[host].known = known.max(revision);
        if result.is_ok() {
            self.agents[host].seen = self.now;
        }
        if self.agents[host].asked.as_ref().is_some_and(|(asked, _)| *asked == number) {
            self.agents[host].asked = None;
            if result.is_err() && self.bug == Some(Bug::FailuresAreFinal) {
                return;
            }
            self.tell(host, Input::Answered(result));
        }
    }

    /// All who watch hear of it, each after a while of its own, but in order.
    fn lock_changed(&mut self) {
        let view = self.etcd.view();
        for host in 0..self.agents.len() {
            let agent = &self.agents[host];
            if agent.watching && agent.cut_in == 0 {
                let life = agent.life;
                let lag = self.way(host);
                let era = self.era;
                self.after(lag, Event::Seen { host, life, era, view: view.clone() });
            } else {
                self.agents[host].watching = false;
            }
        }
    }

    fn seen(&mut self, host: HostId, view: LockView) {
        self.agents[host].known = self.agents[host].known.max(view.revision);
        self.agents[host].seen = self.now;
        self.tell(host, Input::Lock(view));
    }

    fn safety_read(&mut self, host: HostId, life: u64) {
        let read = self.reread(host, life);
        let pause = if read { SAFETY_READ } else { 1_000 };
        self.after(pause, Event::SafetyRead { host, life });
    }

    /// Reads the lock, and watches from there. What is older than what is known from before the read
    /// was sent comes from an etcd that was restored.
    fn reread(&mut self, host: HostId, life: u64) -> bool {
        let broken = self.bug == Some(Bug::DeadWatchesStayDead) && self.now > 10_000;
        let agent = &mut self.agents[host];
        if !self.etcd.up || !agent.connected() || agent.frozen || broken {
            return false;
        }
        let watched = std::mem::replace(&mut agent.watching, true);
        let view = self.etcd.view();
        let gap = match watched {
            _ if view.revision < agent.known => Gap::Restored,
            true => Gap::None,
            false => Gap::Reconnected,
        };
        agent.known = view.revision;
        let (way, era) = (self.way(host), self.era);
        let view = LockView { gap, ..view };
        self.after(way, Event::Seen { host, life, era, view });
        true
    }

    /// The keeper's turn: send a renewal, and see how long etcd has been silent.
    fn renew(&mut self, host: HostId, life: u64) {
        let agent = &mut self.agents[host];
        let failing = self.now > agent.heard + RENEWAL + RETRY;
        if agent.frozen {
            return self.after(RETRY, Event::Renew { host, life });
        }
        if let Some(lost) = agent.silence(self.now)
            && self.bug != Some(Bug::LossIsOverheard)
        {
            self.tell(host, Input::EtcdHeard(self.agents[host].known));
            self.tell(host, lost);
        }
        let agent = &mut self.agents[host];
        let waits = agent.renewing.is_some_and(|sent| self.now < sent + RENEWAL_DEADLINE);
        if !waits {
            agent.renewing = Some(self.now);
            let out = agent.cut_out == 0;
            let (way, sent) = (self.way(host), self.now);
            if out {
                self.after(way, Event::RenewalArrives { host, life, sent });
            }
        }
        self.after(if failing { RETRY } else { RENEWAL }, Event::Renew { host, life });
    }

    fn renewal_arrives(&mut self, host: HostId, life: u64, sent: Millis) {
        if !self.etcd.up {
            return;
        }
        let lease = match self.agents[host].lease {
            Some(lease) if self.etcd.renew(lease, self.now) => lease,
            Some(_) | None => self.etcd.grant(self.now),
        };
        let way = self.way(host);
        if self.agents[host].cut_in == 0 {
            self.after(way, Event::RenewalAnswered { host, life, sent, lease });
        }
    }

    /// An answer that comes after the keeper's deadline is not heard.
    fn renewal_answered(&mut self, host: HostId, sent: Millis, lease: i64) {
        let agent = &mut self.agents[host];
        if agent.frozen || agent.renewing != Some(sent) || self.now > sent + RENEWAL_DEADLINE {
            return;
        }
        agent.renewing = None;
        agent.lease = Some(lease);
        let held = agent.renewed(sent);
        let told = *agent.told.get_or_insert(lease);
        let survives = self.bug == Some(Bug::OwnershipSurvivesTheLease) && told != lease;
        if let Some(held) = held.filter(|_| !survives) {
            self.tell(host, held);
        }
    }

    fn check(&mut self, host: HostId, life: u64) {
        self.after(CHECK, Event::Check { host, life });
        let overlooked = self.bug == Some(Bug::FailingHostsCampaign);
        let result = match self.agents[host].is_healthy() || overlooked {
            true => Ok(()),
            false => Err("refused".to_owned()),
        };
        if !self.agents[host].frozen {
            self.tell(host, Input::Checked(result));
        }
    }

    /// etcd looks for expired leases twice a second.
    fn expire(&mut self) {
        self.after(500, Event::Expire);
        if !self.etcd.up {
            return;
        }
        for lease in self.etcd.expired(self.now) {
            if self.etcd.revoke(lease) {
                self.lock_changed();
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.audit.fault(self.now, fault, &self.agents);
        match fault {
            Fault::Cut { host, to_etcd, from_etcd, lasts } => {
                self.agents[host].cut_out += u32::from(to_etcd);
                self.agents[host].cut_in += u32::from(from_etcd);
                self.agents[host].watching &= !from_etcd;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Slow { host, lasts } => {
                self.agents[host].slow += 1;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Restart { host, after } => {
                self.agents[host].kill();
                self.after(after, Event::Heal(fault));
            }
            Fault::PowerOff { host, lasts } => {
                self.agents[host].kill();
                self.agents[host].power = false;
                self.agents[host].bound = false;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Freeze { host, lasts } => {
                self.agents[host].frozen = self.agents[host].running;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Stop { host, after } => {
                self.agents[host].leaving = self.agents[host].runs();
                self.order(host, Input::Leave);
                // Not before it has ended, which it does within five seconds.
                self.after(after + 6_000, Event::Heal(fault));
            }
            Fault::AllSick { lasts } => {
                self.agents.iter_mut().for_each(|agent| agent.sick += 1);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Isolated { host, out, in_, lasts } => {
                self.agents[host].lan_out += u32::from(out);
                self.agents[host].lan_in += u32::from(in_);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Unplugged { host, lasts } => {
                let agent = &mut self.agents[host];
                agent.unplugged += 1;
                agent.lan_out += 1;
                agent.lan_in += 1;
                self.carrier_changed(host);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Sick { host, lasts } => {
                self.agents[host].sick += 1;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::EtcdDown { lasts } => {
                self.etcd.up = false;
                self.agents.iter_mut().for_each(|agent| agent.watching = false);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::LeaderChange => self.etcd.restart_leases(self.now),
            Fault::Restore => self.restore(),
            Fault::DeadWatch { host } => self.agents[host].watching = false,
            Fault::DeleteLock => {
                if self.etcd.up && self.etcd.delete_lock() {
                    self.lock_changed();
                }
            }
            Fault::Revoke { host } => {
                let lease = self.agents[host].lease.filter(|_| self.etcd.up);
                if lease.is_some_and(|lease| self.etcd.revoke(lease)) {
                    self.lock_changed();
                }
            }
            Fault::Failover { host } => self.order(host, Input::Failover(None)),
            Fault::LockNow { host } => self.order(host, Input::LockNow),
        }
    }

    fn order(&mut self, host: HostId, input: Input) {
        if self.agents[host].runs() {
            self.tell(host, input);
        }
    }

    /// The data of a moment ago come back; revisions start again from there. All streams break.
    fn restore(&mut self) {
        self.era += 1;
        self.etcd.data = self.snapshot.clone();
        self.etcd.restart_leases(self.now);
        for host in 0..self.agents.len() {
            self.agents[host].watching = false;
            let life = self.agents[host].life;
            self.after(50, Event::Reread { host, life });
        }
    }

    fn heal(&mut self, fault: Fault) {
        // It is started again when it has ended, however long that took.
        if let Fault::Stop { host, .. } = fault
            && self.agents[host].leaving
            && self.agents[host].running
        {
            return self.after(500, Event::Heal(fault));
        }
        self.audit.heal(self.now, fault);
        match fault {
            Fault::Cut { host, to_etcd, from_etcd, .. } => {
                self.agents[host].cut_out -= u32::from(to_etcd);
                self.agents[host].cut_in -= u32::from(from_etcd);
            }
            Fault::Slow { host, .. } => self.agents[host].slow -= 1,
            Fault::Restart { host, .. }
            | Fault::PowerOff { host, .. }
            | Fault::Stop { host, .. } => {
                if !self.agents[host].running {
                    self.boot(host);
                }
            }
            Fault::Freeze { host, .. } => self.thaw(host),
            Fault::Sick { host, .. } => self.agents[host].sick -= 1,
            Fault::AllSick { .. } => self.agents.iter_mut().for_each(|agent| agent.sick -= 1),
            Fault::Isolated { host, out, in_, .. } => {
                self.agents[host].lan_out -= u32::from(out);
                self.agents[host].lan_in -= u32::from(in_);
            }
            Fault::Unplugged { host, .. } => {
                let agent = &mut self.agents[host];
                agent.unplugged -= 1;
                agent.lan_out -= 1;
                agent.lan_in -= 1;
                self.carrier_changed(host);
            }
            Fault::EtcdDown { .. } => {
                self.etcd.up = true;
                self.etcd.restart_leases(self.now);
            }
            Fault::LeaderChange
            | Fault::Restore
            | Fault::DeadWatch { .. }
            | Fault::DeleteLock
            | Fault::Revoke { .. }
            | Fault::Failover { .. }
            | Fault::LockNow { .. } => {}
        }
    }

    /// The agent hears of the carrier, and announces anew when it is back.
    fn carrier_changed(&mut self, host: HostId) {
        if self.agents[host].running && self.agents[host].power {
            self.tell_interface(host);
            if self.agents[host].unplugged == 0 && self.agents[host].bound {
                self.announce_at(host, &REPEATS);
            }
        }
    }

    fn thaw(&mut self, host: HostId) {
        if !self.agents[host].frozen {
            return;
        }
        self.agents[host].frozen = false;
        self.agents[host].held_up.push_front(Input::Paused);
        while let Some(input) = self.agents[host].held_up.pop_front() {
            self.tell(host, input);
        }
    }
}

/// The one IP of the world.
fn ip() -> VipId {
    "vip-00000000-0000-4000-8000-000000000001".parse().expect("an id")
}

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
    Policies { loss, all_failing }
}
