//! The logic of an election, lock protocol included: no I/O, no clock, no thread.
//!
//! An election is about one lock and the addresses that come with it. A [`Core`] is fed with
//! [`Input`]s and answers with [`Action`]s, which its driver performs in order. All decisions about
//! one election on one host are made here, so that a simulator can run any number of cores against a
//! simulated etcd and network, and a search can try every order of what may happen. For the search
//! the core is a small value without instants and texts: a timer is armed or not ([`Core::is_armed`]),
//! and why the core is where it is follows from its state ([`Core::reason`]).
//!
//! Inputs only change what is *known*. What follows is a *level*: after every input, `settle`
//! compares what is known with what should be, always in the same order, whichever message came
//! first. Requests to etcd are levels, too: after every input the core asks for the one request that
//! brings etcd closer to what should be (`request`). At most one is under way; after an unknown
//! outcome the lock is unknown until it is read.
//!
//! `lock` has what is known of the lock, `transfer` how the IP is given to another host, `departure`
//! how a failover and a leave end, `loss` what is done without etcd, `await_owner` what becomes of
//! that when etcd is back, `neighbours` when the address is announced again and who is told to do so,
//! `conflict` what is done about a stranger that has the address, `isolation` what a host does that hears
//! nobody there, `former_life` what a host does that finds its own lock when it starts, `turns` who is first when the lock is free, `missed` what is done about an owner that is silent while etcd is silent, too.

mod await_owner;
mod candidates;
mod conflict;
mod departure;
mod former_life;
mod isolation;
mod lock;
mod loss;
mod missed;
mod neighbours;
mod reason;
mod request;
mod timer;
mod transfer;
mod turns;
mod wire;

use self::await_owner::OwnerWait;
pub use self::conflict::Conflict;
use self::departure::Departure;
use self::lock::Ownership;
use self::neighbours::{Acknowledgement, Neighbours};
pub use self::reason::{Reason, Trouble, WithoutEtcd};
use self::request::Etcd;
pub use self::timer::{HANDOVER_TIMEOUT, Timer};
use self::transfer::Handover;
use self::wire::{Probe, Wire};
use super::health::{Health, Verdict};
use super::message::{Action, Input};
use crate::fsm::{Effect, Event, State, step};
use crate::lock::{Candidacy, Lease};
use crate::policy::{AllFailingPolicy, LossPolicy};
use crate::preference::Preference;
use crate::vip::GroupName;

/// What an election is told once, at its start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct CoreConfig {
    /// This host's name.
    pub host: String,
    /// Who is first among the candidates: how much this host is preferred.
    pub preference: Preference,
    /// The agent starts, and so may others that offer IPs: a lock that is free is not taken before it is known
    /// which do.
    pub company: bool,
    /// Whether health checks are configured.
    pub checked: bool,
    /// What is done when etcd is lost.
    pub loss: LossPolicy,
    /// What is done when the checks fail on every host.
    pub all_failing: AllFailingPolicy,
}

/// An election on one host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    config: CoreConfig,
    state: State,
    lease: Lease,
    etcd: Etcd,
    health: Health,
    addresses: Addresses,
    handover: Handover,
    departure: Departure,
    owner_wait: OwnerWait,
    wire: Wire,
    neighbours: Neighbours,
    owed: Acknowledgement,
}

/// Where the addresses of the election are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Addresses {
    /// What the kernel was told last; nothing yet: they are left as they were found.
    ordered: Option<bool>,
    /// Whether the kernel has them.
    bound: bool,
}

impl Core {
    /// An election that has not heard anything.
    pub fn new(config: CoreConfig) -> Core {
        Core {
            state: State::Standby,
            lease: Lease::None,
            etcd: Etcd::unknown(config.company),
            health: Health::new(config.checked),
            addresses: Addresses { ordered: None, bound: false },
            handover: Handover::none(),
            departure: Departure::Stays,
            owner_wait: OwnerWait::new(),
            wire: Wire::new(),
            neighbours: Neighbours::Settled,
            owed: Acknowledgement::None,
            config,
        }
    }

    /// What it was told at its start, with what was changed since.
    pub fn config(&self) -> &CoreConfig {
        &self.config
    }

    /// The state of the IP on this host.
    pub fn state(&self) -> State {
        self.state
    }

    /// The host that holds the lock, as far as etcd tells.
    pub fn owner(&self) -> Option<&str> {
        let held = matches!(self.lease, Lease::Held(_));
        let holder = self.etcd.lock.known_holder().filter(|holder| held && !holder.is_group());
        holder.map(|holder| holder.host.as_str())
    }

    /// The group to which the IP belongs, as far as etcd tells: it is nobody's by itself then.
    pub fn group(&self) -> Option<GroupName> {
        self.etcd.lock.known_holder()?.group()
    }

    /// The host that owns the IP, and its lease, while this one waits for the IP to be free, or has it in place of
    /// an owner that was not heard since etcd was lost.
    pub fn awaited(&self) -> Option<(&str, i64)> {
        let heir = self.owner_wait.waits();
        let waits = (self.state == State::Standby || heir) && self.ownership() == Ownership::Other;
        let holder = self.etcd.lock.known_holder()?;
        let held = matches!(self.lease, Lease::Held(_));
        (waits && held && holder.lease != 0).then_some((holder.host.as_str(), holder.lease))
    }

    /// Whether the kernel was last told to have the addresses.
    pub fn is_ordered(&self) -> bool {
        self.addresses.ordered == Some(true)
    }

    /// What the candidacy of this host says that etcd has confirmed: whether the host is available, and its priority.
    pub fn candidacy(&self) -> Option<(bool, u8)> {
        match self.etcd.own.said? {
            (Candidacy::Available, _, priority) => Some((true, priority)),
            (Candidacy::Unavailable, _, priority) => Some((false, priority)),
            (Candidacy::Withdrawn, ..) => None,
        }
    }

    /// No health check is down, as far as is known.
    pub fn checks_pass(&self) -> bool {
        self.health.checks_pass()
    }

    /// Whether traffic can pass the interface, as last seen.
    pub fn interface_is_usable(&self) -> bool {
        self.health.usable_interface().is_some()
    }

    /// The IP was given up, and etcd has not confirmed it: as long as this host's lease lives, lock
    /// and candidacy may still be attached to it.
    pub fn cleanup_pending(&self) -> bool {
        self.departure == Departure::Left { cleanup_pending: true }
    }

    /// Takes one input and tells what has to be done, in order.
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        // With room for most: to let a list grow, further down, takes a piece of stack more.
        let mut actions = Vec::with_capacity(4);
        if !self.has_left() {
            self.learn(input, &mut actions);
            self.settle(&mut actions);
        }
        actions
    }

    fn learn(&mut self, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Lease(lease) => self.on_lease(lease),
            Input::EtcdHeard(revision) => self.owner_wait.etcd_heard = revision,
            Input::Lock(view) => self.on_lock_changed(view, actions),
            Input::Answered(answer) => self.on_answer(answer, actions),
            Input::Unanswered => self.on_no_answer(),
            Input::Interface(usable) => self.health.interface(usable),
            Input::Bound(bound) => self.on_bound(bound),
            Input::Probed(result) => self.on_probed(result),
            Input::Claimed { from, wins_tie_break } => self.on_claim(from, wins_tie_break),
            Input::OwnerDead(lease) => self.on_owner_dead(lease),
            Input::OwnerLives(lease) => self.on_owner_lives(lease),
            Input::OwnerMissed(missed) => self.on_owner_missed(&missed),
            Input::Hearing(hearing) => self.on_hearing(hearing),
            Input::Neighbours(hearing) => self.handover.hears(hearing),
            Input::OwnerHeardAgain => self.on_owner_heard_again(),
            Input::Paused => self.revalidate(),
            Input::CandidatesOutdated => self.on_candidates_outdated(),
            Input::Checked(up) => self.health.checked(up),
            Input::ChecksReplaced(checked) => self.health.replace_checks(checked),
            Input::Drained(drained) => self.health.drain(drained),
            Input::LossPolicy(policy) => self.config.loss = policy,
            Input::Priority(priority) => self.config.preference.priority = priority,
            Input::LockNow => self.on_lock_now(),
            Input::Failover(to) => self.on_failover(to, actions),
            Input::Leave => self.depart(Departure::Leaves),
            Input::Timer(timer) => self.on_timer(timer, actions),
        }
    }

    /// Brings what this host does in line with what is known.
    fn settle(&mut self, actions: &mut Vec<Action>) {
        if self.has_left() {
            return self.settle_probe(actions);
        }
        self.settle_former_life();
        self.settle_health(actions);
        self.settle_transfer();
        self.settle_owner_wait(actions);
        self.settle_isolation();
        self.settle_turns();
        self.settle_conflict();
        self.settle_state(actions);
        self.settle_acknowledgement();
        self.settle_neighbours(actions);
        self.settle_departure(actions);
        self.settle_probe(actions);
        self.settle_request(actions);
    }

    fn settle_health(&mut self, actions: &mut Vec<Action>) {
        match (self.health.verdict(), self.state) {
            (Verdict::Unhealthy(_), State::Activated | State::Standby) => {
                self.etcd.candidates.outdate();
                self.handover.unheard.clear();
                self.step(Event::HealthCheckFail, actions);
            }
            (Verdict::Healthy, State::Failing) => {
                self.etcd.not_before = request::NotBefore::Now;
                self.step(Event::HealthCheckSuccess, actions);
            }
            (Verdict::Unhealthy(_), State::Failing)
            | (Verdict::Healthy, State::Activated | State::Standby)
            | (Verdict::Unknown, _) => {}
        }
    }

    /// The event that is due, by what is known of the lock, or without etcd.
    fn settle_state(&mut self, actions: &mut Vec<Action>) {
        let due = match self.lease {
            Lease::Lost if !self.assumes_owner() => self.due_without_etcd(),
            Lease::None | Lease::Held(_) | Lease::Lost => self.due_by_lock(),
        };
        if let Some(event) = due {
            self.step(event, actions);
        }
    }

    fn due_by_lock(&self) -> Option<Event> {
        let may_have_it = self.addresses.ordered != Some(false);
        match (self.ownership(), self.state) {
            (Ownership::Mine, State::Standby) => Some(Event::Elected),
            (Ownership::Other, State::Standby) if self.etcd.lock.is_replaced() => {
                Some(Event::Fault)
            }
            (Ownership::Mine, State::Failing) if !self.is_ordered() && self.is_last_resort() => {
                Some(Event::Elected)
            }
            (Ownership::Other | Ownership::Grouped, _) if may_have_it => {
                self.lets_go().then_some(Event::Demoted)
            }
            (Ownership::Free, State::Failing) if self.has_address() && !self.keeps_last() => {
                matches!(self.lease, Lease::Held(_)).then_some(Event::Demoted)
            }
            (
                Ownership::Unknown
                | Ownership::Free
                | Ownership::Mine
                | Ownership::OwnStaleLease
                | Ownership::Other
                | Ownership::Joined
                | Ownership::Grouped,
                _,
            ) => None,
        }
    }

    /// Nobody is waited for before this host lets go for the owner of the lock.
    fn lets_go(&self) -> bool {
        let keeps = self.state == State::Activated && self.etcd.lock.is_replaced();
        !self.handover.awaits_announcement() && !self.owner_wait.waits() && !keeps
    }

    /// The IP stays on a failing host if no other can have it.
    fn keeps_last(&self) -> bool {
        // What the kernel does not take is not there for anybody: to go on trying costs nothing.
        self.config.all_failing == AllFailingPolicy::KeepLast
            || self.health.cannot_add()
            || self.health.is_drained()
    }

    /// Whether the addresses are on the interface, or will be when the last order is carried out.
    fn has_address(&self) -> bool {
        self.addresses.ordered.unwrap_or(self.addresses.bound)
    }

    /// All events go through here, and all orders to the kernel come from here.
    fn step(&mut self, event: Event, actions: &mut Vec<Action>) {
        let from = self.state;
        let (to, effects) = step(from, event);
        self.state = to;
        let had_it = from == State::Activated || self.addresses.bound;
        // An owner does not look who else is a candidate.
        if from != to && to == State::Activated {
            self.etcd.candidates.set_due(true);
        }
        if event == Event::Demoted && had_it && self.neighbours != Neighbours::Yielded {
            self.neighbours = Neighbours::Contested;
        }
        if event == Event::Fault && to == State::Activated {
            self.neighbours = Neighbours::Contested;
        }
        if from != to {
            actions.push(Action::Transition { from, to, event });
        }
        for effect in effects {
            match effect {
                Effect::Bind => self.order(true, actions),
                Effect::Unbind => self.order(false, actions),
                // Both are levels: they are asked for until they are done.
                Effect::Release | Effect::Campaign => self.etcd.retry_now(),
            }
        }
    }

    fn order(&mut self, bound: bool, actions: &mut Vec<Action>) {
        if self.addresses.ordered != Some(bound) {
            self.addresses.ordered = Some(bound);
            actions.push(if bound { Action::Bind } else { Action::Unbind });
        }
    }

    fn on_bound(&mut self, bound: bool) {
        self.addresses.bound = bound;
        if bound && self.is_ordered() {
            self.health.added(true);
        }
    }
}

#[cfg(test)]
mod tests;
