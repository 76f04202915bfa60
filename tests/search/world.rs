//! A world: hosts with real cores, etcd, the network between them, and what is on its way.

use std::rc::Rc;
use std::time::SystemTime;

use link::election::core::Timer;
use link::election::message::{Action, Input};
use link::etcd;
use link::fsm::State as Fsm;
use link::lock::{self, Gap, Holder, LockView, Request};
use link::network::ProbeResult;
use link::vip::Cidr;

use crate::bugs::Bug;
use crate::canon::{self, Print};
use crate::golink::{GO, GoLink};
use crate::host::{Exchange, Host, HostId, Life, Policies, Told, mac, name};
use crate::memory_etcd::{Change, MemoryEtcd};
use crate::shared::Shared;
use crate::step::Fault;

/// How long a lease lives. The world has no clock: leases end when a step says so.
pub(crate) const TTL: u32 = 5;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) policies: Policies,
    pub(crate) state: State,
    /// What the agents do wrong.
    pub(crate) bug: Option<Bug>,
    /// No message takes as long as a timer.
    pub(crate) punctual: bool,
    /// What was done that must not be.
    pub(crate) wrong: Option<String>,
    /// What etcd comes back with when it is restored.
    pub(crate) snapshot: Rc<MemoryEtcd>,
    /// What the cores have wanted done since the last step, for a story.
    pub(crate) done: Vec<(HostId, Action)>,
}

/// All that tells one world from another.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) hosts: Vec<Shared<Host>>,
    pub(crate) etcd: Shared<MemoryEtcd>,
    pub(crate) go: GoLink,
    /// Who held the lock last.
    pub(crate) last_holder: Option<String>,
    /// The host to which the neighbours send what is meant for the IP: it was the last to announce it.
    pub(crate) neighbours_send_to: Option<HostId>,
    pub(crate) etcd_is_up: bool,
    pub(crate) etcd_refuses: bool,
    /// How often a message may still take as long as a short timer.
    pub(crate) delays_left: u8,
    /// Something has happened for which the IP may be away for a moment.
    pub(crate) gaps_are_allowed: bool,
    /// How many faults may still happen, and which last.
    pub(crate) faults_left: u8,
    pub(crate) lasting: Vec<Fault>,
}

impl State {
    /// Worlds with the same one behave alike; see [`crate::canon`].
    pub(crate) fn fingerprint(&self, gap: i64) -> u128 {
        let State { hosts, etcd, go, last_holder, neighbours_send_to, .. } = self;
        let State { etcd_is_up, etcd_refuses, delays_left, gaps_are_allowed, .. } = self;
        let flags = (etcd_is_up, etcd_refuses, delays_left, gaps_are_allowed);
        let faults = (self.faults_left, &self.lasting);
        let rest = Print::of(&(go, last_holder, neighbours_send_to, flags, faults));
        let parts = hosts.iter().map(Shared::print).chain([etcd.print(), &rest]);
        canon::fingerprint(parts, gap)
    }
}

impl World {
    /// Hosts that have just been started, and an empty etcd.
    pub(crate) fn boot(hosts: usize, policies: Policies) -> World {
        let etcd = MemoryEtcd::new(1);
        let state = State {
            hosts: (0..hosts).map(|id| Shared::new(Host::new(id, policies))).collect(),
            etcd: Shared::new(etcd.clone()),
            go: GoLink::default(),
            last_holder: None,
            neighbours_send_to: None,
            etcd_is_up: true,
            etcd_refuses: false,
            delays_left: 0,
            // Until a host has been elected.
            gaps_are_allowed: true,
            faults_left: 0,
            lasting: Vec::new(),
        };
        let mut world = World {
            policies,
            state,
            bug: None,
            punctual: false,
            wrong: None,
            snapshot: Rc::new(etcd),
            done: Vec::new(),
        };
        for id in 0..hosts {
            world.start(id);
        }
        world
    }

    pub(crate) fn host(&self, id: HostId) -> &Host {
        &self.state.hosts[id]
    }

    pub(crate) fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.state.hosts[id]
    }

    pub(crate) fn ids(&self) -> std::ops::Range<HostId> {
        0..self.state.hosts.len()
    }

    /// Whether requests of a host reach etcd, and answers reach the host.
    pub(crate) fn is_connected(&self, id: HostId) -> bool {
        self.state.etcd_is_up && !self.host(id).cut
    }

    /// The program begins, and is told what it finds.
    pub(crate) fn start(&mut self, id: HostId) {
        let policies = self.policies;
        let host = self.host_mut(id);
        host.life = Life::Runs;
        host.leaves = false;
        host.known.forget();
        host.core = crate::host::core(id, policies);
        host.hearing = host.truly_hears();
        let (found, hearing) = (host.bound, host.hearing);
        self.tell(id, Input::Hearing(hearing));
        self.tell(id, Input::Bound(found));
        self.tell_interface(id);
    }

    pub(crate) fn tell_interface(&mut self, id: HostId) {
        let usable = match self.host(id).carrier {
            true => Ok(mac(id)),
            false => Err(link::network::Unusable::NoCarrier),
        };
        self.tell(id, Input::Interface(usable));
    }

    /// Gives the core an input, if it runs, and performs its actions.
    pub(crate) fn tell(&mut self, id: HostId, input: Input) {
        if !self.host(id).runs() {
            return;
        }
        let bound = self.host(id).bound;
        let actions = self.host_mut(id).core.handle(input);
        for action in actions {
            self.done.push((id, action.clone()));
            self.perform(id, action);
        }
        if self.host(id).core.state() != Fsm::Standby {
            self.host_mut(id).known.forget();
        }
        let now = self.host(id).bound;
        if now != bound {
            self.tell(id, Input::Bound(now));
        }
    }

    fn perform(&mut self, id: HostId, action: Action) {
        match action {
            Action::Bind => self.bind(id),
            Action::Unbind => {
                let host = self.host_mut(id);
                host.bound = false;
                // Claims of an address that is not here are not told.
                host.claims = 0;
            }
            Action::Announce if self.bug == Some(Bug::NobodyAnnouncesAgain) => {}
            Action::Announce => self.announce(id),
            // A Go LinK does not do it itself.
            Action::AnnounceOwner if self.hears_go(id) => self.state.neighbours_send_to = Some(GO),
            Action::AnnounceOwner => {}
            Action::Probe(on) => self.host_mut(id).probing = on.then_some(None),
            // Only that nobody answers makes a difference.
            Action::AskNeighbours => self.host_mut(id).asks = self.host(id).deaf,
            Action::Ask(request) => {
                if let (Some(Bug::BreakBeforeMake), Request::Transfer { .. }) = (self.bug, &request)
                {
                    self.host_mut(id).bound = false;
                }
                self.judge_turn(id, &request);
                self.host_mut(id).exchange = Exchange::Sent(request);
            }
            Action::Left => self.host_mut(id).die(Life::Left),
            Action::Restart(_) | Action::Transition { .. } | Action::HandedOver(_) => {}
        }
    }

    pub(crate) fn bind(&mut self, id: HostId) {
        if self.host(id).takes_address {
            self.host_mut(id).bound = true;
            self.announce(id);
        }
    }

    /// Whoever has the address hears, some time, that this host has it.
    pub(crate) fn announce(&mut self, id: HostId) {
        if self.host(id).bound && self.host(id).carrier && !self.host(id).deaf {
            self.state.neighbours_send_to = Some(id);
            self.host_mut(id).repeats = true;
        }
        for to in self.ids() {
            if self.hears(to, id) && self.host(to).bound && self.host(id).bound {
                self.host_mut(to).claims |= 1 << id;
            }
        }
    }

    /// Whether the network carries something from one host to another.
    pub(crate) fn hears(&self, to: HostId, from: HostId) -> bool {
        let up = |id: HostId| {
            let host = self.host(id);
            host.carrier && !host.deaf && host.life != Life::Off
        };
        to != from && up(to) && up(from)
    }

    /// What the network says of the address to a host that asks.
    pub(crate) fn probe(&self, id: HostId) -> ProbeResult {
        let answers = |other: &HostId| {
            let (asker, asked) = (self.host(id), self.host(*other));
            let wants = asked.probing.is_some() && asked.runs() && *other < id && !asker.bound;
            self.hears(id, *other) && (asked.bound || wants)
        };
        match self.ids().find(answers) {
            Some(other) => ProbeResult::Answered { wins_tie_break: other < id },
            None if self.hears_go(id) => ProbeResult::Answered { wins_tie_break: false },
            None => ProbeResult::Silent,
        }
    }

    /// Another host that answers for what the kernel of this one has, too.
    pub(crate) fn claimant(&self, id: HostId) -> Option<HostId> {
        let has_it = self.host(id).bound;
        let other =
            self.ids().find(|other| has_it && self.hears(id, *other) && self.host(*other).bound);
        other.or_else(|| (has_it && self.hears_go(id)).then_some(GO))
    }

    /// The lock, as a read or a watch shows it now.
    pub(crate) fn view(&self, gap: Gap) -> LockView {
        let state = self.state.etcd.state_of(&lock::key(cidr()), etcd::Gap::None);
        LockView { gap, ..lock::view_of(&state) }
    }

    pub(crate) fn holder(&self) -> Option<Holder> {
        self.view(Gap::None).holder
    }

    /// Carries a request out, with the product's transaction.
    pub(crate) fn carry_out(&mut self, id: HostId, request: &Request) -> Exchange {
        let txn = lock::txn_of(request, cidr(), &name(id), SystemTime::UNIX_EPOCH);
        let txn = self.bug.map_or(txn.clone(), |bug| bug.spoils(request, txn));
        if self.state.etcd_refuses {
            return Exchange::Refused;
        }
        match self.state.etcd.transact(&txn) {
            Ok((reply, changes)) => {
                self.tell_watches(&changes);
                Exchange::Answered(lock::answer_of(request, cidr(), &name(id), &reply))
            }
            Err(_) => Exchange::Refused,
        }
    }

    pub(crate) fn tell_watches(&mut self, changes: &[Change]) {
        self.tell_go(changes);
        if let Some(holder) = self.holder() {
            self.state.last_holder = Some(holder.host);
        }
        let key = lock::key(cidr());
        for change in changes.iter().filter(|change| *change.key == *key) {
            let view = lock::view_of(&change.state());
            for host in self.state.hosts.iter_mut().filter(|host| host.watches) {
                host.views.push_back(view.clone());
            }
        }
    }

    /// A lease that etcd still has, or a new one.
    pub(crate) fn renew(&mut self, id: HostId) -> i64 {
        if let Some(lease) = self.host(id).lease.filter(|lease| self.state.etcd.has_lease(*lease)) {
            return lease;
        }
        let host = self.host_mut(id);
        host.grants.0 += 1;
        let lease = first_lease(id) + i64::from(host.grants.0);
        host.lease = Some(lease);
        self.state.etcd.grant_as(lease, TTL, 0);
        lease
    }

    pub(crate) fn end_lease(&mut self, id: HostId) {
        self.revoke(self.host(id).lease.unwrap_or_default());
    }

    pub(crate) fn revoke(&mut self, lease: i64) {
        if let Some(changes) = self.state.etcd.revoke(lease) {
            self.tell_watches(&changes);
        }
    }

    /// A lease that a host had before, and that etcd still has.
    pub(crate) fn former_lease(&self, id: HostId) -> Option<i64> {
        let own = first_lease(id)..first_lease(id + 1);
        let present = self.host(id).lease;
        self.state.etcd.lease_ids().find(|lease| own.contains(lease) && Some(*lease) != present)
    }

    /// The lease of a host is held, as far as its core knows.
    pub(crate) fn is_held(&self, id: HostId) -> bool {
        let host = self.host(id);
        host.lease
            .is_some_and(|lease| host.told == Told::Held(lease) && self.state.etcd.has_lease(lease))
    }

    pub(crate) fn timers(&self, id: HostId) -> impl Iterator<Item = Timer> {
        let host = self.host(id);
        let never = match self.bug {
            Some(Bug::FailuresAreFinal) => Some(Timer::Retry),
            Some(Bug::UnboundIsNotNoticed) => Some(Timer::Addition),
            Some(_) | None => None,
        };
        let armed = move |timer: &Timer| host.core.is_armed(*timer) && never != Some(*timer);
        Timer::ALL.into_iter().filter(move |timer| host.runs() && armed(timer))
    }
}

/// The leases of a host are numbered from here.
fn first_lease(id: HostId) -> i64 {
    crate::canon::LEASES + i64::try_from(id).expect("a few hosts") * 1_000
}

/// The one IP of the world.
pub(crate) fn cidr() -> Cidr {
    "10.0.0.1/32".parse().expect("an address")
}
