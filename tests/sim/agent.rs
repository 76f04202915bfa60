//! A simulated host: a real core, and models of what surrounds it: the keeper of the lease, the
//! watch, the interface, the service behind the IP.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use link::election::core::Core;
use link::election::message::{Input, Lease, Request};
use link::fsm::State;

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

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) core: Core,
    /// Counts the lives of the agent: what was meant for an earlier one is dropped.
    pub(crate) life: u64,
    pub(crate) power: bool,
    pub(crate) running: bool,
    pub(crate) frozen: bool,
    /// What came while it was frozen.
    pub(crate) held_up: VecDeque<Input>,
    /// Whether the kernel has the address.
    pub(crate) bound: bool,
    pub(crate) healthy: bool,
    /// No requests get out, no answers get in.
    pub(crate) cut_out: u32,
    pub(crate) cut_in: u32,
    pub(crate) slow: u32,
    pub(crate) watching: bool,
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
    pub(crate) fn new(number: usize, epoch: Instant) -> Agent {
        let name = format!("h{number}");
        Agent {
            core: Core::new(&name, true, FALL, epoch),
            name,
            life: 0,
            power: true,
            running: true,
            frozen: false,
            held_up: VecDeque::new(),
            bound: false,
            healthy: true,
            cut_out: 0,
            cut_in: 0,
            slow: 0,
            watching: false,
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
        self.core = Core::new(&self.name, true, FALL, epoch + Duration::from_millis(now));
        self.watching = false;
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
    }

    /// True when the program can do something.
    pub(crate) fn runs(&self) -> bool {
        self.power && self.running && !self.frozen
    }

    pub(crate) fn connected(&self) -> bool {
        self.cut_out == 0 && self.cut_in == 0
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

    pub(crate) fn activated(&self) -> bool {
        self.core.state() == State::Activated
    }
}
