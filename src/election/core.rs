//! The logic of an election, lock protocol included: no I/O, no clock, no thread.
//!
//! A [`Core`] is fed with [`Input`]s and the time, and answers with [`Action`]s, which its driver
//! performs in order. All decisions about one IP on one host are made here, so that a simulator can
//! run any number of cores against a simulated etcd and network.
//!
//! Requests to etcd are *level-triggered*: after every input, [`Core`] compares what etcd was told
//! and what is known of the lock with what should be, and asks for the one request that brings them
//! closer. At most one is under way; a lost answer or an unknown outcome makes the lock unknown,
//! which makes the next request read it.

use std::time::{Duration, Instant};

use super::health::Health;
use super::message::{Action, Input, Lease, LockAnswer, LockView, Offer, Request};
use crate::fsm::{Effect, Event, State, step};

/// How long an owner that hands over keeps answering while it waits for another host to take the
/// lock. Longer than the 3 s after which a Go LinK polls the lock.
pub const HANDOVER_BOUND: Duration = Duration::from_secs(5);

/// How often an owner that leaves looks whether there still is somebody to wait for: all hosts of a
/// rack may be told to stop at once.
const RECHECK: Duration = Duration::from_millis(500);

/// How long a host whose lease is lost believes that another host has the IP. Longer than the time
/// between two reads of a watch that works.
pub const BELIEF: Duration = Duration::from_secs(15);

/// The first and the longest pause before a failed request to etcd is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// An election: one IP on one host.
#[derive(Clone, Debug)]
pub struct Core {
    me: String,
    state: State,
    since: Instant,
    reason: String,
    lease: Lease,
    lock: Option<LockView>,
    health: Health,
    /// What the others were told, under the present lease.
    offered: Option<Offer>,
    pending: Option<Request>,
    retry_at: Option<Instant>,
    retry_wait: Duration,
    handover: Option<Handover>,
    /// etcd was lost and this host had the IP: so may others have had, and have announced it.
    contested: bool,
    /// The lease is lost, but another host was seen to hold the lock; so long is that believed.
    believed: Option<Instant>,
    /// The lease of the owner to which this host has yielded the IP, until it is told.
    yielded: Option<i64>,
    /// The IP was given up: whatever comes now, nothing more is done.
    gone: bool,
    /// It was, and etcd has not confirmed it: lock and offer may still be there.
    owes: bool,
}

/// The lock is being given up on purpose; the address stays until another host has taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Handover {
    /// For good, or to come back as a candidate.
    leave: bool,
    /// Nobody may have to wait longer.
    until: Instant,
    /// The lock was given up while another host was available.
    successor: bool,
}

/// Whose the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ownership {
    Unknown,
    Free,
    Mine,
    /// It carries this host's name, but another lease: the lease of a former life that etcd has
    /// not ended yet. Neither a reason to let go nor a lock to rely on.
    Ghost,
    Other,
}

impl Core {
    /// An election that has not heard anything. `checked` says whether health checks are
    /// configured, `fall` how many failures in a row make a passing one fail.
    pub fn new(me: &str, checked: bool, fall: u32, now: Instant) -> Core {
        Core {
            me: me.to_owned(),
            state: State::Standby,
            since: now,
            reason: "not elected yet".to_owned(),
            lease: Lease::None,
            lock: None,
            health: Health::new(checked, fall),
            offered: None,
            pending: None,
            retry_at: None,
            retry_wait: RETRY.0,
            handover: None,
            contested: false,
            believed: None,
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

    /// True when the IP was given up and etcd could not be told: as long as this host's lease lives,
    /// the lock may still be attached to it.
    pub fn owes(&self) -> bool {
        self.owes
    }

    /// When [`Input::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        // Without a lease nothing is asked, so there is nothing to wake up for.
        let retry = self.retry_at.filter(|_| matches!(self.lease, Lease::Held(_)));
        let handover = self.handover.map(|handover| handover.until);
        [retry, handover, self.believed].into_iter().flatten().min()
    }

    /// Takes one input and tells what has to be done, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.gone {
            return actions;
        }
        match input {
            Input::Lease(lease) => self.on_lease(lease, now, &mut actions),
            Input::Lock(view) => self.on_lock(view, now, &mut actions),
            Input::Answered(result) => self.on_answer(result, now, &mut actions),
            Input::Interface(usable) => {
                self.on_health(|health| health.interface(usable), now, &mut actions);
            }
            Input::Checked(result) => {
                self.on_health(|health| health.checked(result), now, &mut actions);
            }
            Input::ChecksReplaced(checked) => {
                self.on_health(|health| health.replace_checks(checked), now, &mut actions);
            }
            Input::LockNow => self.on_lock_now(),
            Input::Failover => self.on_failover(now, &mut actions),
            Input::Leave => self.on_leave(now),
            Input::Timer => {}
        }
        self.end_belief(now, &mut actions);
        self.end_handover(now, &mut actions);
        self.ask_etcd(now, &mut actions);
        actions
    }

    fn on_lease(&mut self, lease: Lease, now: Instant, actions: &mut Vec<Action>) {
        if lease == self.lease {
            return;
        }
        self.lease = lease;
        self.believed = None;
        match lease {
            // Ownership is never assumed to have survived: read the lock again.
            Lease::Held(_) => {
                self.lock = None;
                self.offered = None;
                self.retry_now();
            }
            Lease::Lost => self.step(Event::Fault, "etcd cannot be reached", now, actions),
            Lease::None => {}
        }
    }

    fn on_lock(&mut self, view: LockView, now: Instant, actions: &mut Vec<Action>) {
        let known = self.lock.as_ref().map_or(0, |lock| lock.revision);
        // Events of a watch overtake answers: what is older than what is known is old news.
        if view.revision < known && !view.reset {
            return;
        }
        // A restored etcd has forgotten what it was told since the snapshot.
        if view.reset {
            self.offered = None;
        }
        let before = self.lock.replace(view);
        let Some(LockView { holder, .. }) = &self.lock else { return };
        let (host, owner) = match holder {
            Some(holder) => (holder.host.clone(), holder.lease),
            None => (String::new(), 0),
        };
        let touched = before.and_then(|lock| lock.holder).is_some_and(|before| {
            holder.as_ref().is_some_and(|now| now.lease == before.lease && now != &before)
        });
        match self.ownership() {
            Ownership::Mine => {
                let kept = self.state == State::Activated;
                self.step(Event::Elected, "holds the lock", now, actions);
                let contested = std::mem::take(&mut self.contested) || touched;
                if contested && kept {
                    actions.push(Action::Announce);
                }
            }
            Ownership::Other => {
                self.step(Event::Demoted, &format!("{host} holds the lock"), now, actions);
                if std::mem::take(&mut self.contested) {
                    self.yielded = Some(owner);
                }
                self.believed = (self.lease == Lease::Lost).then_some(now + BELIEF);
            }
            // The lock is free but cannot be taken: as with an etcd that is silent.
            Ownership::Free if self.lease == Lease::Lost => {
                self.step(Event::Fault, "etcd cannot be reached", now, actions);
            }
            Ownership::Free => self.retry_now(),
            Ownership::Unknown | Ownership::Ghost => {}
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
        if matches!(request, Request::Yield { .. }) {
            self.yielded = None;
        }
        match result {
            Ok(answer) => {
                self.retry_now();
                if self.lease == Lease::Held(request.lease()) {
                    self.offered = request.offer().or(self.offered);
                }
                self.on_lock(answer.lock, now, actions);
                if let Some(handover) = &mut self.handover {
                    handover.successor = answer.successor;
                    self.retry_at = answer.successor.then_some(now + RECHECK);
                }
            }
            Err(_) => {
                self.lock = None;
                self.retry_at = Some(now + self.retry_wait);
                self.retry_wait = (self.retry_wait * 2).min(RETRY.1);
            }
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
                self.step(Event::HealthCheckFail, &reason, now, actions);
            }
            Some(Ok(())) if before != Some(Ok(())) => {
                self.step(Event::HealthCheckSuccess, "checks pass", now, actions);
                self.retry_now();
                // etcd was lost while this host was failing: it takes the IP as the others do.
                if self.lease == Lease::Lost {
                    self.step(Event::Fault, "etcd cannot be reached", now, actions);
                }
            }
            Some(_) | None => {}
        }
    }

    /// Takes the IP from an owner of whom nothing was heard for too long, as at the loss itself.
    fn end_belief(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.believed.is_some_and(|until| now >= until) {
            self.believed = None;
            self.step(Event::Fault, "etcd cannot be reached", now, actions);
        }
    }

    /// Forgets what is known of a lock that is not ours, so that it is asked for again.
    fn on_lock_now(&mut self) {
        if self.ownership() != Ownership::Mine {
            self.lock = None;
            self.retry_now();
        }
    }

    fn on_failover(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.handover.is_some() {
            let busy = "this host is already handing it over".to_owned();
            actions.push(Action::HandedOver(Err(busy)));
        } else if self.state != State::Activated || self.ownership() != Ownership::Mine {
            actions.push(Action::HandedOver(Err("this host is not the owner".to_owned())));
        } else {
            self.begin_handover(false, now);
        }
    }

    fn on_leave(&mut self, now: Instant) {
        self.begin_handover(true, now);
        self.retry_now();
    }

    fn begin_handover(&mut self, leave: bool, now: Instant) {
        let until = now + HANDOVER_BOUND;
        self.handover = Some(Handover { leave, until, successor: false });
    }

    /// Ends a handover that has succeeded, that nobody will answer, or that took too long.
    fn end_handover(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(handover) = self.handover else {
            return;
        };
        let waited = now >= handover.until || !matches!(self.lease, Lease::Held(_));
        if handover.leave {
            let told = self.offered == Some(Offer::Withdrawn) && self.pending.is_none();
            let awaited = self.state == State::Activated && handover.successor;
            if waited || (told && !awaited) {
                self.handover = None;
                self.lease = Lease::None;
                self.believed = None;
                self.gone = true;
                self.owes = !told;
                actions.extend([Action::Unbind, Action::Left]);
            }
            return;
        }
        let result = match self.state {
            State::Standby => Ok(()),
            State::Failing => Err(format!("this host is failing: {}", self.reason)),
            State::Activated if waited => {
                Err(format!("no other host took it within {} s", HANDOVER_BOUND.as_secs()))
            }
            State::Activated => return,
        };
        self.handover = None;
        actions.push(Action::HandedOver(result));
    }

    /// Asks for the one request that is missing, if any.
    fn ask_etcd(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Lease::Held(lease) = self.lease else {
            return;
        };
        if self.pending.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        self.pending = self.missing(lease);
        actions.extend(self.pending.map(Action::Ask));
    }

    fn missing(&self, lease: i64) -> Option<Request> {
        if let (Some(owner), None) = (self.yielded, self.handover) {
            return Some(Request::Yield { lease, owner });
        }
        let release = |offer| Some(Request::Release { lease, offer });
        let told = |offer| self.offered == Some(offer);
        let may_be_mine = matches!(self.ownership(), Ownership::Mine | Ownership::Unknown);
        match self.handover {
            Some(Handover { leave: true, successor, .. }) => {
                let waits = successor && self.state == State::Activated;
                let done = told(Offer::Withdrawn) && !may_be_mine && !waits;
                if done { None } else { release(Offer::Withdrawn) }
            }
            Some(Handover { leave: false, .. }) if may_be_mine => release(Offer::Available),
            Some(Handover { leave: false, .. }) => None,
            None if self.state == State::Failing => {
                let done = told(Offer::Unavailable) && !may_be_mine;
                if done { None } else { release(Offer::Unavailable) }
            }
            None if self.health.verdict() == Some(Ok(())) => {
                let wanted = matches!(self.ownership(), Ownership::Free | Ownership::Unknown);
                (wanted || !told(Offer::Available)).then_some(Request::Acquire { lease })
            }
            // A host whose service was never seen to work does not campaign, but it must know
            // whether an address that it has is a left-over.
            None => (self.ownership() == Ownership::Unknown).then_some(Request::Look { lease }),
        }
    }

    fn ownership(&self) -> Ownership {
        let Some(lock) = &self.lock else {
            return Ownership::Unknown;
        };
        match &lock.holder {
            None => Ownership::Free,
            Some(holder) if self.lease == Lease::Held(holder.lease) => Ownership::Mine,
            Some(holder) if holder.host == self.me => Ownership::Ghost,
            Some(_) => Ownership::Other,
        }
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
                Effect::Bind => actions.push(Action::Bind),
                Effect::Unbind => actions.push(Action::Unbind),
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
#[path = "core_tests.rs"]
mod tests;
