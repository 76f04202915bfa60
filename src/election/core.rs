//! The logic of an election, lock protocol included: no I/O, no clock, no thread.
//!
//! A [`Core`] is fed with [`Input`]s and the time, and answers with [`Action`]s, which its driver
//! performs in order. All decisions about one IP on one host are made here, so that a simulator can
//! run any number of cores against a simulated etcd and network.
//!
//! Requests to etcd are *level-triggered*: after every input, [`Core`] compares what etcd was told
//! and what is known of the lock with what should be, and asks for the one request that brings them
//! closer (`ask`). At most one is under way; a lost answer or an unknown outcome makes the lock
//! unknown, which makes the next request read it. What is known of the lock, and what follows from it,
//! is in `lock`, how the IP is given to another host in `giving`, what is done without etcd in `loss`,
//! and what becomes of that when etcd is back in `heir`.

mod ask;
mod giving;
mod heir;
mod lock;
mod loss;

use std::time::{Duration, Instant};

pub use self::giving::{HANDOVER_BOUND, HEARD_BOUND};
use self::giving::{Handover, Passing};
use self::heir::Heir;
use self::lock::Ownership;
use super::health::Health;
use super::message::{Action, Input};
use crate::fsm::{Effect, Event, State, step};
use crate::lock::{Candidacy, Candidate, Lease, LockAnswer, LockView, Request};
use crate::policy::{AllFailingPolicy, LossPolicy};

/// How long a host whose lease is lost believes that another host has the IP. Longer than the time
/// between two reads of a watch that works.
pub const BELIEF: Duration = Duration::from_secs(15);

/// When the others are told a second time, counted from the first, and from the first after a request
/// without an answer. That one, or one of the process before, may still be on its way and overwrite
/// what was told since; none is that old.
const REAFFIRM: Duration = Duration::from_secs(5);

/// How long a host that does not have the IP lets one that has it go first, when etcd is back.
const COURTESY: Duration = Duration::from_millis(400);

/// The first and the longest pause before a failed request to etcd is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What an election is told once, at its start.
#[derive(Clone, Debug)]
pub struct Setting {
    /// This host's name.
    pub me: String,
    /// Whether health checks are configured.
    pub checked: bool,
    /// Failed checks in a row that make a passing host a failing one.
    pub fall: u32,
    /// What is done when etcd is lost.
    pub loss: LossPolicy,
    /// What is done when the checks fail on every host.
    pub all_failing: AllFailingPolicy,
}

/// An election: one IP on one host.
#[derive(Clone, Debug)]
pub struct Core {
    me: String,
    loss: LossPolicy,
    all_failing: AllFailingPolicy,
    state: State,
    since: Instant,
    reason: String,
    lease: Lease,
    lock: Option<LockView>,
    /// The other hosts that offer the IP, as last read; none while that is not known.
    others: Option<Vec<Candidate>>,
    health: Health,
    /// Whether the kernel has the address, and whether it was told to.
    bound: bool,
    ordered: Option<bool>,
    /// What the others were told, under the present lease.
    offered: Option<Candidacy>,
    /// They were told something, no older request can be on its way, and when they will be told again.
    introduced: bool,
    reaffirm_at: Option<Instant>,
    pending: Option<Request>,
    retry_at: Option<Instant>,
    retry_wait: Duration,
    /// Until when another host may go first.
    courteous: Option<Instant>,
    handover: Option<Handover>,
    passing: Option<Passing>,
    /// The hosts that got the lock and were not heard on the network.
    silent: Vec<String>,
    /// The checks fail, and the IP stays here because they fail everywhere.
    kept: bool,
    /// The network is being asked who has the address.
    probing: bool,
    /// Others may have had the IP, and have announced it, while this host had it.
    contested: bool,
    /// Something says that another host has the IP: the lock has to be read.
    doubted: bool,
    /// The lease is lost, but another host was seen to hold the lock; so long is that believed.
    believed: Option<Instant>,
    /// The newest revision of etcd of which was heard when it was lost; 0 if of none.
    heard: i64,
    /// How much was heard of etcd before it was lost, until it is back and the owner is known.
    lost_at: Option<i64>,
    /// etcd is back, and the owner is waited for.
    heir: Option<Heir>,
    /// The lock has to be written anew: this host is back, and others may wait to hear of it.
    back: bool,
    /// The lease of an owner that is dead, though its lease goes on for a while.
    dead: Option<i64>,
    /// The lease of the owner for whom this host has let go of the IP, until it is told.
    yielded: Option<i64>,
    /// The IP was given up: whatever comes now, nothing more is done.
    gone: bool,
    /// It was, and etcd has not confirmed it: lock and offer may still be there.
    owes: bool,
}

impl Core {
    /// An election that has not heard anything.
    pub fn new(setting: Setting, now: Instant) -> Core {
        let Setting { me, checked, fall, loss, all_failing } = setting;
        Core {
            me,
            loss,
            all_failing,
            state: State::Standby,
            since: now,
            reason: "not elected yet".to_owned(),
            lease: Lease::None,
            lock: None,
            others: None,
            health: Health::new(checked, fall),
            bound: false,
            ordered: None,
            offered: None,
            introduced: false,
            reaffirm_at: None,
            pending: None,
            retry_at: None,
            retry_wait: RETRY.0,
            courteous: None,
            handover: None,
            passing: None,
            silent: Vec::new(),
            kept: false,
            probing: false,
            contested: false,
            doubted: false,
            believed: None,
            heard: 0,
            lost_at: None,
            heir: None,
            back: false,
            dead: None,
            yielded: None,
            gone: false,
            owes: false,
        }
    }

    /// The state of the IP on this host.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The host that holds the lock, as far as etcd tells.
    pub fn owner(&self) -> Option<&str> {
        match self.lease {
            Lease::Held(_) => {
                self.lock.as_ref()?.holder.as_ref().map(|holder| holder.host.as_str())
            }
            Lease::None | Lease::Lost => None,
        }
    }

    /// The host that has the IP, and its lease, while this one waits for it to be free.
    pub fn awaited(&self) -> Option<(&str, i64)> {
        let waits = self.state == State::Standby && self.ownership() == Ownership::Other;
        let holder = self.lock.as_ref()?.holder.as_ref()?;
        let held = matches!(self.lease, Lease::Held(_));
        (waits && held && holder.lease != 0).then_some((holder.host.as_str(), holder.lease))
    }

    /// True when the IP was given up and etcd could not be told: as long as this host's lease lives,
    /// the lock may still be attached to it.
    pub fn owes(&self) -> bool {
        self.owes
    }

    /// When [`Input::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        // Without a lease nothing is asked, so there is nothing to wake up for.
        let held = matches!(self.lease, Lease::Held(_));
        let asking = [self.retry_at, self.courteous, self.reaffirm_at];
        let asking = asking.into_iter().flatten().filter(|_| held);
        let handover = self.handover.as_ref();
        let until = handover.map(|handover| handover.until);
        let recheck = handover.and_then(|handover| handover.recheck);
        let passing = self.passing.as_ref().and_then(|passing| passing.until);
        let heir = self.heir.as_ref().map(Heir::deadline);
        let others = [until, recheck, passing, heir, self.believed, self.health.deadline()];
        asking.chain(others.into_iter().flatten()).min()
    }

    /// Takes one input and tells what has to be done, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.gone {
            return actions;
        }
        match input {
            Input::Lease(lease) => self.on_lease(lease, now, &mut actions),
            Input::EtcdHeard(revision) => self.heard = revision,
            Input::Lock(view) => self.on_lock(view, now, &mut actions),
            Input::Answered(result) => self.on_answer(result, now, &mut actions),
            Input::Interface(usable) => {
                let usable = usable.map(drop).map_err(|why| why.to_string());
                self.on_health(|health| health.interface(usable, now), now, &mut actions);
            }
            Input::Bound(bound) => self.bound = bound,
            Input::Probed(wire) => self.on_wire(wire, now, &mut actions),
            Input::Claimed { wins_tie_break, .. } => {
                self.on_claim(wins_tie_break, now, &mut actions)
            }
            Input::OwnerDead(lease) => {
                self.dead = Some(lease).filter(|dead| self.is_held_by(*dead))
            }
            Input::Paused => self.doubt(),
            Input::OwnerHeardAgain => {}
            Input::Checked(result) => {
                self.on_health(|health| health.checked(result), now, &mut actions);
            }
            Input::ChecksReplaced(checked) => {
                self.on_health(|health| health.replace_checks(checked), now, &mut actions);
            }
            Input::LossPolicy(policy) => self.on_loss_policy(policy, now, &mut actions),
            Input::LockNow => self.on_lock_now(),
            Input::Failover(target) => self.on_failover(target, now, &mut actions),
            Input::Leave => self.on_leave(now),
            Input::Timer => self.on_timer(now, &mut actions),
        }
        self.settle_heir(now, &mut actions);
        self.settle_failing(&mut actions);
        self.end_handover(now, &mut actions);
        self.settle_probe(&mut actions);
        self.ask_etcd(now, &mut actions);
        actions
    }

    fn on_timer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.on_health(|health| health.settle(now), now, actions);
        self.end_belief(now, actions);
        self.on_giving_timer(now);
        self.on_heir_timer(now, actions);
        self.courteous = self.courteous.filter(|until| now < *until);
        if self.reaffirm_at.take_if(|at| now >= *at).is_some() {
            self.offered = None;
        }
    }

    fn on_lease(&mut self, lease: Lease, now: Instant, actions: &mut Vec<Action>) {
        if lease == self.lease {
            return;
        }
        if lease == Lease::Lost {
            self.remember_loss();
        }
        let before = std::mem::replace(&mut self.lease, lease);
        self.heir = None;
        self.believed = None;
        self.passing = None;
        match lease {
            // Ownership is never assumed to have survived: read the lock again.
            Lease::Held(_) => {
                self.lock = None;
                self.others = None;
                self.offered = None;
                self.kept = false;
                self.doubted = false;
                self.back = before == Lease::Lost;
                self.retry_now();
                let waits = before == Lease::Lost && !self.has_address();
                self.courteous = waits.then_some(now + COURTESY);
            }
            Lease::Lost => self.on_loss(now, actions),
            Lease::None => {}
        }
    }

    fn on_answer(
        &mut self,
        result: Result<LockAnswer, String>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(request) = self.pending.take() else {
            return;
        };
        match result {
            Ok(answer) => {
                self.retry_now();
                if self.lease == Lease::Held(request.lease()) {
                    self.offered = request.candidacy().or(self.offered);
                    self.plan_to_reaffirm(now);
                }
                self.doubted = false;
                self.before_answer(&request, &answer.lock);
                let offers_read_at = answer.others.as_ref().map(|_| answer.lock.revision);
                self.on_lock(answer.lock, now, actions);
                self.others = answer.others.or(self.others.take());
                self.look_for_owner(offers_read_at, now, actions);
                self.after_answer(&request, now);
                if let Request::Acknowledge { lease, owner } = request {
                    self.back &= lease != owner;
                    self.yielded = None;
                }
            }
            Err(_) => {
                self.lock = None;
                self.introduced = false;
                self.retry_at = Some(now + self.retry_wait);
                self.retry_wait = (self.retry_wait * 2).min(RETRY.1);
            }
        }
        if matches!(request, Request::TakeOver { .. }) {
            self.dead = None;
        }
    }

    fn on_health(
        &mut self,
        change: impl FnOnce(&mut Health),
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let before = self.health.verdict();
        change(&mut self.health);
        let after = self.health.verdict();
        match after {
            Some(Err(reason)) if before.as_ref() != Some(&Err(reason.clone())) => {
                if self.state != State::Failing {
                    self.others = None;
                    self.silent.clear();
                }
                self.step(Event::HealthCheckFail, &reason, now, actions);
            }
            Some(Ok(())) if before != Some(Ok(())) => {
                self.kept = false;
                self.courteous = None;
                self.step(Event::HealthCheckSuccess, "checks pass", now, actions);
                self.retry_now();
                // etcd was lost while this host was failing: it does as the others do.
                if self.lease == Lease::Lost {
                    self.on_recovery(now, actions);
                }
            }
            Some(_) | None => {}
        }
    }

    fn plan_to_reaffirm(&mut self, now: Instant) {
        if self.offered.is_some() && !std::mem::replace(&mut self.introduced, true) {
            self.reaffirm_at = Some(now + REAFFIRM);
        }
    }

    /// Whether the address is on the interface, or will be when the last order is carried out.
    fn has_address(&self) -> bool {
        self.ordered.unwrap_or(self.bound)
    }

    fn order(&mut self, bound: bool, actions: &mut Vec<Action>) {
        self.ordered = Some(bound);
        actions.push(if bound { Action::Bind } else { Action::Unbind });
    }

    fn step(&mut self, event: Event, reason: &str, now: Instant, actions: &mut Vec<Action>) {
        let from = self.state;
        let (to, effects) = step(from, event);
        self.state = to;
        self.contested |= event == Event::Fault && to == State::Activated;
        // A failing host stays what it is because of its checks, whatever else happens.
        if from != to || to != State::Failing || event == Event::HealthCheckFail {
            reason.clone_into(&mut self.reason);
        }
        if from != to {
            self.since = now;
            actions.push(Action::Transition { from, to, event });
        }
        for effect in effects {
            match effect {
                Effect::Bind => self.order(true, actions),
                Effect::Unbind => self.order(false, actions),
                // Both are levels, not edges: `missing` asks for them until they are done.
                Effect::Release | Effect::Campaign => self.retry_now(),
            }
        }
    }

    fn retry_now(&mut self) {
        self.retry_at = None;
        self.retry_wait = RETRY.0;
    }
}

#[cfg(test)]
mod tests;
