//! A simulated host: a real core, and models of what surrounds it: the keeper of the lease, the
//! watch, the interface, the service behind the IP.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use link::election::core::{Core, CoreConfig};
use link::election::driver::Driver;
use link::election::message::Input;
use link::failure_detector::FailureDetector;
use link::fsm::State;
use link::lock::{Holder, Lease, LockView, Request};
use link::policy::{AllFailingPolicy, CrashDetection, LossPolicy};

use crate::faults::HostId;
use crate::wire::{Probing, Watching};
use crate::world::Millis;

/// Between two renewals.
pub(crate) const RENEWAL: Millis = 1_000;

/// Between two renewals while they fail.
pub(crate) const RETRY: Millis = 200;

/// After this silence etcd counts as lost.
pub(crate) const LOSS: Millis = 5_000;

/// Between two health checks.
pub(crate) const CHECK: Millis = 1_000;

/// Failed checks in a row before the host fails.
pub(crate) const FALL: u32 = 2;

/// How all agents of a world are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    pub(crate) loss: LossPolicy,
    pub(crate) all_failing: AllFailingPolicy,
    pub(crate) crash: CrashDetection,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) number: HostId,
    policies: Policies,
    pub(crate) driver: Driver,
    /// Counts the lives of the agent: what was meant for an earlier one is dropped.
    pub(crate) life: u64,
    pub(crate) power: bool,
    pub(crate) running: bool,
    pub(crate) frozen: bool,
    /// What came while it was frozen.
    pub(crate) held_up: VecDeque<Input>,
    /// Whether the kernel has the address.
    pub(crate) bound: bool,
    /// Where it was told to be, in this life.
    pub(crate) desired: Option<bool>,
    /// Counts what keeps its service, and its carrier, away.
    pub(crate) sick: u32,
    pub(crate) unplugged: u32,
    /// No requests get out, no answers get in.
    pub(crate) cut_out: u32,
    pub(crate) cut_in: u32,
    pub(crate) slow: u32,
    /// Nothing gets out to the network, or in from there.
    pub(crate) lan_out: u32,
    pub(crate) lan_in: u32,
    /// Who does not hear it, though it is connected: as often as that has happened.
    pub(crate) unheard_by: Vec<HostId>,
    /// What the network has answered, while it is asked.
    pub(crate) probing: Option<Probing>,
    /// The owner's host, as the network and etcd tell of it.
    pub(crate) detector: FailureDetector,
    pub(crate) watched: Option<Watching>,
    /// Numbers the times that it begins or ends to watch.
    pub(crate) watches: u64,
    /// The lease and the last writing of the lock, when it was last seen held.
    pub(crate) holder: Option<(i64, i64)>,
    /// When another host was last heard to claim the address.
    pub(crate) claimed: Millis,
    /// Counts what makes an address be announced from the beginning.
    pub(crate) announcing: u64,
    /// It was told to give the IP up, after which it ends.
    pub(crate) leaving: bool,
    pub(crate) watching: bool,
    /// What it was told last of the lock; nothing, if of nothing yet.
    pub(crate) told_holder: Option<Option<Holder>>,
    /// The newest revision of etcd that was heard of.
    pub(crate) known: i64,
    /// The keeper of the lease.
    pub(crate) lease: Option<i64>,
    pub(crate) heard: Millis,
    /// When the renewal that is under way was sent.
    pub(crate) renewing: Option<Millis>,
    /// The first lease that the core was told of.
    pub(crate) told: Option<i64>,
    pub(crate) lost: bool,
    /// When it last heard who holds the lock.
    pub(crate) seen: Millis,
    /// Numbers the requests; the one that is under way.
    pub(crate) request: u64,
    pub(crate) asked: Option<(u64, Request)>,
}

impl Agent {
    pub(crate) fn new(number: usize, policies: Policies, epoch: Instant) -> Agent {
        let name = format!("h{number}");
        Agent {
            driver: Driver::new(Core::new(config(&name, policies)), epoch),
            name,
            number: number - 1,
            policies,
            life: 0,
            power: true,
            running: true,
            frozen: false,
            held_up: VecDeque::new(),
            bound: false,
            desired: None,
            sick: 0,
            unplugged: 0,
            cut_out: 0,
            cut_in: 0,
            slow: 0,
            lan_out: 0,
            lan_in: 0,
            unheard_by: Vec::new(),
            probing: None,
            detector: FailureDetector::default(),
            watched: None,
            watches: 0,
            holder: None,
            claimed: 0,
            announcing: 0,
            leaving: false,
            watching: false,
            told_holder: None,
            known: 0,
            lease: None,
            heard: 0,
            renewing: None,
            told: None,
            lost: false,
            seen: 0,
            request: 0,
            asked: None,
        }
    }

    /// The agent is started (again). The lease of its last life is read from etcd.
    pub(crate) fn start(&mut self, epoch: Instant, now: Millis, forget: bool) {
        self.life += 1;
        self.power = true;
        self.running = true;
        self.frozen = false;
        self.held_up.clear();
        let core = Core::new(config(&self.name, self.policies));
        self.driver = Driver::new(core, epoch + Duration::from_millis(now));
        self.desired = None;
        self.probing = None;
        self.detector = FailureDetector::default();
        self.watched = None;
        self.holder = None;
        self.claimed = 0;
        self.leaving = false;
        self.watching = false;
        self.told_holder = None;
        self.known = 0;
        self.heard = now;
        self.renewing = None;
        self.told = None;
        self.lost = false;
        self.asked = None;
        if forget {
            self.lease = None;
        }
    }

    pub(crate) fn kill(&mut self) {
        self.life += 1;
        self.running = false;
        self.frozen = false;
        self.held_up.clear();
        self.asked = None;
        self.probing = None;
    }

    /// True when the program can do something.
    pub(crate) fn runs(&self) -> bool {
        self.power && self.running && !self.frozen
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.sick == 0
    }

    pub(crate) fn connected(&self) -> bool {
        self.cut_out == 0 && self.cut_in == 0
    }

    /// True when it hears the gateway, and is heard by it.
    pub(crate) fn hears_others(&self) -> bool {
        self.lan_out == 0 && self.lan_in == 0
    }

    /// Takes note of the lock; true if it was written again as it was, so that somebody has yielded.
    pub(crate) fn sees_yield(&mut self, lock: &LockView) -> bool {
        let Some(holder) = &lock.holder else { return false };
        let (last, now) = (self.holder, (holder.lease, holder.written));
        let same = last.is_some_and(|(lease, _)| lease == now.0);
        let newer = last.is_none_or(|(_, written)| now.1 > written);
        self.holder = if same && !newer { last } else { Some(now) };
        same && newer
    }

    pub(crate) fn renewed(&mut self, sent: Millis) -> Option<Input> {
        self.heard = sent;
        self.lost = false;
        self.lease.map(|id| Input::Lease(Lease::Held(id)))
    }

    /// The loss of etcd, once.
    pub(crate) fn silence(&mut self, now: Millis) -> Option<Input> {
        let lost = !self.lost && now >= self.heard + LOSS;
        self.lost |= lost;
        lost.then_some(Input::Lease(Lease::Lost))
    }

    pub(crate) fn holds_lease(&self) -> bool {
        self.lease.is_some() && !self.lost
    }

    pub(crate) fn activated(&self) -> bool {
        self.driver.core().state() == State::Activated
    }
}

fn config(name: &str, policies: Policies) -> CoreConfig {
    let Policies { loss, all_failing, crash: _ } = policies;
    CoreConfig { host: name.to_owned(), checked: true, fall: FALL, rise: 1, loss, all_failing }
}
