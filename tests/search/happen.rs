//! What can happen next, and what it does.

use link::election::message::Input;
use link::fsm::State;
use link::lock::{self, Advertisement, Candidacy, Gap, Lease, Request};
use link::network::{Missed, ProbeResult};

use crate::bugs::Bug;
use crate::golink::GO;
use crate::host::{Exchange, HostId, Life, Told, mac};
use crate::step::Step;
use crate::world::{World, cidr};

/// Steps are tried by how long they take: what takes longer only happens when nothing else does. As often
/// as the search says, a message may take as long as a short timer.
#[derive(Default)]
pub(crate) struct Enabled {
    /// What is on its way: milliseconds.
    pub(crate) messages: Vec<Step>,
    /// Times of up to a second.
    pub(crate) soon: Vec<Step>,
    /// Some seconds: no longer than a lease lives.
    pub(crate) later: Vec<Step>,
    /// Longer than a lease lives.
    pub(crate) long: Vec<Step>,
    /// What is believed without a sign for longer.
    pub(crate) last: Vec<Step>,
    /// What is late, and may come at any time.
    pub(crate) late: Vec<Step>,
}

impl Enabled {
    /// Those that can be next if nothing takes longer than it should.
    pub(crate) fn next(&self) -> &[Step] {
        let all = [&self.messages, &self.soon, &self.later, &self.long, &self.last];
        all.into_iter().find(|steps| !steps.is_empty()).map_or(&[], Vec::as_slice)
    }

    /// Those that can be next if what is on its way takes long.
    pub(crate) fn overtaking(&self) -> &[Step] {
        if self.messages.is_empty() { &[] } else { &self.soon }
    }

    /// Nothing happens within a second.
    pub(crate) fn is_calm(&self) -> bool {
        self.messages.is_empty() && self.soon.is_empty()
    }
}

impl World {
    pub(crate) fn enabled(&self) -> Enabled {
        let mut enabled = Enabled::default();
        self.go_steps(&mut enabled.messages, &mut enabled.later);
        for id in self.ids() {
            self.messages(id, &mut enabled);
            self.etcd_times(id, &mut enabled);
            for timer in self.timers(id) {
                let step = Step::Timer(id, timer);
                match timer.duration().as_millis() {
                    0..=1_000 => enabled.soon.push(step),
                    1_001..=5_000 => enabled.later.push(step),
                    5_001..=10_000 => enabled.long.push(step),
                    _ => enabled.last.push(step),
                }
            }
        }
        enabled
    }

    fn messages(&self, id: HostId, enabled: &mut Enabled) {
        let (host, connected) = (self.host(id), self.is_connected(id));
        let Enabled { messages, soon, later, late, .. } = enabled;
        let mut add = |when, step| messages.extend(Some(step).filter(|_| when));
        let sent = matches!(host.exchange, Exchange::Sent(_));
        let answered = matches!(host.exchange, Exchange::Answered(_) | Exchange::Refused);
        add(sent && connected, Step::Arrives(id));
        add(answered && host.runs(), Step::Answered(id));
        add(host.runs() && !host.views.is_empty(), Step::Watched(id));
        add(host.runs() && connected && !host.watches, Step::WatchOpens(id));
        for from in self.ids().chain([GO]) {
            add(host.runs() && host.claims & 1 << from != 0, Step::Claimed { to: id, from });
        }
        let news = host.probing.is_some_and(|told| told != Some(self.probe(id)));
        let probed = host.runs() && host.carrier && news;
        add(probed && self.probe(id) != ProbeResult::Silent, Step::Probed(id));
        add(host.runs() && connected && self.called(id) == Some(true), Step::OwnerLives(id));
        if probed && self.probe(id) == ProbeResult::Silent {
            soon.push(Step::Probed(id));
        }
        if host.runs() && host.checked != Some(host.service) {
            soon.push(Step::Checked(id));
        }
        let hears = |to| self.hears(to, id) && self.host(to).bound && self.host(to).runs();
        if host.late.is_some() && self.state.etcd_is_up {
            late.push(Step::LateArrives(id));
        }
        // As long as it has not arrived, it does not matter whether it will.
        later.extend(host.late.is_some().then_some(Step::LateVanishes(id)));
        if host.bound && host.runs() && host.repeats && self.ids().any(hears) {
            later.push(Step::Announces(id));
        }
    }

    fn etcd_times(&self, id: HostId, enabled: &mut Enabled) {
        let (host, connected) = (self.host(id), self.is_connected(id));
        let refuses = connected && self.state.etcd_refuses;
        let Enabled { soon, later, .. } = enabled;
        let lease_lives = host.lease.is_some_and(|lease| self.state.etcd.has_lease(lease));
        let renews = (host.runs() || host.life == Life::Left) && connected;
        if host.runs() && connected && !refuses && !self.is_held(id) {
            soon.push(Step::Renewed(id));
        }
        // An owner without etcd asks on and on, and so the time goes on.
        let notices = self.bug != Some(Bug::LossIsOverheard);
        let loses = host.runs() && (!connected || refuses) && host.told != Told::Lost && notices;
        if loses && matches!(host.told, Told::Held(_)) {
            soon.push(Step::EtcdLost(id));
        } else if loses {
            later.push(Step::EtcdLost(id));
        }
        // Two seconds, of which a handover has five.
        if self.former_lease(id).is_some() && self.state.etcd_is_up {
            later.push(Step::FormerLeaseEnds(id));
        }
        if host.runs() && self.unheard(id) {
            soon.push(Step::GivesUp(id));
        }
        if lease_lives && !renews && self.state.etcd_is_up {
            later.push(Step::LeaseEnds(id));
        }
        let reads = self.bug != Some(Bug::DeadWatchesStayDead);
        let missed = host.watches && host.views.is_empty() && host.missed;
        if host.runs() && connected && missed && reads {
            later.push(Step::SafetyRead(id));
        }
        if host.runs() && connected && self.awaits_dead(id).is_some() {
            later.push(Step::OwnerDead(id));
        }
        if host.runs() && host.hearing != host.truly_hears() {
            soon.push(Step::Hears(id));
        }
        soon.extend((host.runs() && host.asks).then_some(Step::Neighbours(id)));
        for (late, when) in [(false, &mut *soon), (true, &mut *later)] {
            when.extend(self.misses(id, late).then_some(Step::OwnerMissed { host: id, late }));
        }
        if host.life == Life::Left && connected && !refuses && self.has_left_overs(id) {
            soon.push(Step::CleansUp(id));
        }
    }

    fn unheard(&self, id: HostId) -> bool {
        match self.host(id).exchange {
            Exchange::Unheard => true,
            Exchange::Sent(_) => !self.is_connected(id),
            Exchange::None | Exchange::Answered(_) | Exchange::Refused => false,
        }
    }

    /// The lease of the owner that a host waits for, if that has no power, or is cut off from the network on
    /// which this host hears others.
    pub(crate) fn awaits_dead(&self, id: HostId) -> Option<i64> {
        let (_, lease) = self.host(id).core.awaited()?;
        let mut owners = self.state.hosts.iter().filter(|owner| owner.lease == Some(lease));
        let deaf = self.host(id).deaf;
        let dead = owners.any(|it| it.life == Life::Off || it.deaf && !deaf);
        (dead || self.called(id) == Some(false)).then_some(lease)
    }

    /// Whether the owner answers that has been called, if this host has the IP in its place; nothing as long as
    /// that makes no difference.
    fn called(&self, id: HostId) -> Option<bool> {
        let (_, lease) = self.host(id).core.awaited()?;
        let owner = self.ids().find(|owner| self.host(*owner).lease == Some(lease))?;
        let (host, it) = (self.host(id), self.host(owner));
        let answers = it.runs() && it.watches && self.is_connected(owner);
        let isolated = it.deaf && !host.deaf;
        let heir = host.core.state() == State::Activated;
        (heir && !isolated && (!answers || it.bound)).then_some(answers)
    }

    /// What a host is told that misses the owner while it hears nothing of etcd. `late`, all others have had
    /// their turn.
    fn missed(&self, id: HostId, late: bool) -> Option<Missed> {
        let (missed, _) = self.missed_or_not(id).filter(|(_, truly)| *truly)?;
        Some(Missed { turn: if late { u32::MAX } else { 0 }, ..missed })
    }

    /// The same, first of all, and whether the owner is truly silent. If it is not, all miss it by mistake that wait
    /// for it as well.
    pub(crate) fn missed_or_not(&self, id: HostId) -> Option<(Missed, bool)> {
        let (owner, lease) = self.host(id).core.awaited()?;
        let owner = self.ids().find(|other| crate::host::name(*other) == owner)?;
        if self.is_connected(id) || !self.host(id).runs() {
            return None;
        }
        let is_silent = |to: HostId| !self.hears(to, owner);
        let truly = is_silent(id) || !self.host(owner).bound;
        let others = self.ids().filter(|other| {
            let awaits = self.host(*other).core.awaited().is_some_and(|(_, it)| it == lease);
            self.hears(id, *other) && awaits && (is_silent(*other) || !truly)
        });
        let by = others.map(mac).collect();
        let neighbours = !self.host(id).deaf;
        Some((Missed { lease, by, neighbours, turn: 0, agents: Vec::new() }, truly))
    }

    /// Whether that makes a difference.
    fn misses(&self, id: HostId, late: bool) -> bool {
        self.missed(id, late).is_some_and(|missed| {
            let mut core = self.host(id).core.clone();
            !core.handle(Input::OwnerMissed(missed)).is_empty()
        })
    }

    fn has_left_overs(&self, id: HostId) -> bool {
        let lease = self.host(id).lease.unwrap_or_default();
        self.state.etcd.attached(lease).next().is_some()
    }

    /// The world after a step.
    pub(crate) fn after(&self, step: Step) -> World {
        let mut next = self.clone();
        next.happen(step);
        next
    }

    pub(crate) fn happen(&mut self, step: Step) {
        self.done.clear();
        match step {
            Step::Arrives(id) => self.arrives(id),
            Step::Answered(id) => self.answered(id),
            Step::GivesUp(id) => {
                self.host_mut(id).exchange = Exchange::None;
                self.tell(id, Input::Unanswered);
            }
            Step::LateArrives(id) => {
                let request = self.host_mut(id).late.take().expect("it is late");
                self.carry_out(id, &request);
            }
            Step::LateVanishes(id) => self.host_mut(id).late = None,
            Step::Watched(id) => {
                let view = self.host_mut(id).views.pop_front().expect("there is one");
                self.see(id, view);
            }
            Step::WatchOpens(id) => self.open_watch(id),
            Step::SafetyRead(id) => self.see(id, self.view(Gap::None)),
            Step::Claimed { to, from } => self.claimed(to, from),
            Step::Announces(id) => {
                self.announce(id);
                self.host_mut(id).repeats = false;
            }
            Step::Probed(id) => self.probed(id),
            Step::Checked(id) => self.checked(id),
            Step::Renewed(id) => self.renewed(id),
            Step::EtcdLost(id) => {
                self.host_mut(id).told = Told::Lost;
                self.host_mut(id).known.forget();
                self.tell(id, Input::Lease(Lease::Lost));
            }
            Step::LeaseEnds(id) => self.end_lease(id),
            Step::FormerLeaseEnds(id) => {
                let lease = self.former_lease(id).expect("there is one");
                self.revoke(lease);
            }
            Step::OwnerDead(id) => {
                let lease = self.awaits_dead(id).expect("it is dead");
                self.tell(id, Input::OwnerDead(lease));
            }
            Step::OwnerLives(id) => self.owner_lives(id),
            Step::OwnerMissed { host, late } => {
                let missed = self.missed(host, late).expect("it is missed");
                self.tell(host, Input::OwnerMissed(missed));
            }
            Step::Hears(id) => self.tell_hearing(id),
            Step::Neighbours(id) => self.neighbours(id),
            Step::CleansUp(id) => self.clean_up(id),
            Step::Timer(id, timer) => self.tell(id, Input::Timer(timer)),
            Step::GoTries => self.go_tries(),
            Step::GoLeaseEnds => self.go_lease_ends(),
            Step::Fault(fault) => self.begin(fault),
            Step::Heal(fault) => self.heal(fault),
        }
    }

    fn renewed(&mut self, id: HostId) {
        let lease = self.renew(id);
        if self.host(id).told != Told::Held(lease) {
            self.host_mut(id).known.forget();
        }
        self.host_mut(id).told = Told::Held(lease);
        self.tell(id, Input::Lease(Lease::Held(lease)));
    }

    fn checked(&mut self, id: HostId) {
        let passed = self.host(id).service;
        self.host_mut(id).checked = Some(passed);
        self.tell(id, Input::Checked(passed));
    }

    fn owner_lives(&mut self, id: HostId) {
        let (_, lease) = self.host(id).core.awaited().expect("it waits");
        self.tell(id, Input::OwnerLives(lease));
    }

    fn neighbours(&mut self, id: HostId) {
        self.host_mut(id).asks = false;
        self.tell(id, Input::Neighbours(self.host(id).truly_hears()));
    }

    fn tell_hearing(&mut self, id: HostId) {
        let hearing = self.host(id).truly_hears();
        self.host_mut(id).hearing = hearing;
        self.tell(id, Input::Hearing(hearing));
    }

    /// A host hears what the network says to its question. Who answers for what the kernel of this one has,
    /// too, claims it.
    fn probed(&mut self, id: HostId) {
        let result = self.probe(id);
        self.host_mut(id).probing = Some(Some(result));
        if let Some(from) = self.claimant(id) {
            self.tell(id, Input::Claimed { from: mac(from), wins_tie_break: from < id });
        }
        self.tell(id, Input::Probed(result));
    }

    fn claimed(&mut self, to: HostId, from: HostId) {
        self.host_mut(to).claims &= !(1 << from);
        self.tell(to, Input::Claimed { from: mac(from), wins_tie_break: from < to });
    }

    fn arrives(&mut self, id: HostId) {
        let exchange = std::mem::replace(&mut self.host_mut(id).exchange, Exchange::None);
        if let Exchange::Sent(request) = exchange {
            self.host_mut(id).exchange = self.carry_out(id, &request);
        }
    }

    fn answered(&mut self, id: HostId) {
        let exchange = std::mem::replace(&mut self.host_mut(id).exchange, Exchange::None);
        let input = match exchange {
            Exchange::Answered(answer) => Input::Answered(self.told(id, answer)),
            Exchange::Refused => Input::Unanswered,
            Exchange::None | Exchange::Sent(_) | Exchange::Unheard => return,
        };
        self.tell(id, input);
    }

    fn see(&mut self, id: HostId, view: lock::LockView) {
        self.host_mut(id).missed = false;
        if view.gap != Gap::None {
            self.host_mut(id).known.forget();
        }
        self.tell(id, Input::Lock(view));
    }

    fn open_watch(&mut self, id: HostId) {
        let host = self.host_mut(id);
        host.watches = true;
        host.missed = false;
        let gap = std::mem::replace(&mut host.gap, Gap::Reconnected);
        let view = self.view(gap);
        self.host_mut(id).views.push_back(view);
    }

    fn clean_up(&mut self, id: HostId) {
        let lease = self.host(id).lease.unwrap_or_default();
        let own = Advertisement {
            candidacy: Candidacy::Withdrawn,
            hardware_address: None,
            priority: 100,
            replaces: self.own_candidacy(id),
        };
        self.carry_out(id, &Request::Resign { lease, own });
    }

    pub(crate) fn own_candidacy(&self, id: HostId) -> i64 {
        let key = lock::candidacy_key(cidr(), &crate::host::name(id));
        self.state.etcd.get(&key).map_or(0, |kv| kv.mod_revision)
    }
}
