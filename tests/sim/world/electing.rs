//! What stands for the threads of elections: feeds their cores, and performs their actions.

use std::sync::Arc;

use link::checks::Counter;
use link::election::Notice;
use link::election::message::{Action, Input};
use link::etcd::Gap;
use link::fsm::Event;
use link::lock::{self, LockAnswer, view_of};
use link::network::Hearing;
use link::store;
use link::supervisor::core::Event as SupervisorEvent;
use link::vip::{Cidr, ElectionKey, Slot};

use super::{Millis, Process, World};
use crate::bugs::Bug;
use crate::client::Asker;
use crate::memory_etcd::Change;
use crate::setup::{HostId, IPS, IpId};
use crate::times::{CHECK, FALL, NEIGHBOURS, RISE, UNBIND};

impl World {
    /// An election has been started: it hears of the kernel, and its checks begin.
    pub(super) fn begin_election(&mut self, host: HostId, slot: Slot, checks: Option<u64>) {
        if let Some(number) = checks {
            let first = self.random.between(1, 300);
            self.process_after(first, host, Process::Check(slot, number));
        }
        self.tell_interface(host, slot);
        let machine = &self.hosts[host];
        let election = machine.agent.as_ref().and_then(|agent| agent.elections.get(&slot));
        let bound = election.is_some_and(|election| election.are_bound(&machine.kernel));
        let hearing = machine.agent.as_ref().map_or(Hearing::Unknown, |agent| agent.hearing);
        self.tell_election(host, slot, Input::Bound(bound));
        self.tell_election(host, slot, Input::Hearing(hearing));
    }

    pub(super) fn feed_election(&mut self, host: HostId, slot: Slot, input: Input) {
        let now = self.instant();
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(election) = agent.elections.get_mut(&slot) else { return };
        if election.left.is_some() {
            return self.look_whether_gone(host, slot);
        }
        if matches!(input, Input::Lock(_) | Input::Answered(_)) {
            election.seen = self.now;
        }
        match &input {
            Input::Answered(LockAnswer { others: Some(others), .. }) => {
                election.known = Some((others.clone(), self.now));
            }
            Input::Unanswered => election.unanswered = self.now,
            // What was read before may have changed unseen, and counts no more.
            Input::Lease(_) => election.known = None,
            Input::Lock(view) if view.gap != lock::Gap::None => election.known = None,
            _ => {}
        }
        let acknowledged = note_holder(&mut election.holder, &input);
        let actions = election.driver.handle(input.clone(), now);
        let ip = election.ip;
        self.trace(host, || format!("<- {ip} {input:?}"));
        if acknowledged {
            self.notice(host, slot, Notice::Acknowledged);
        }
        self.perform_all(host, slot, actions);
    }

    pub(super) fn wake(&mut self, host: HostId, slot: Slot, at: Millis) {
        let now = self.instant();
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(election) = agent.elections.get_mut(&slot) else { return };
        if election.wakes_at != Some(at) || election.left.is_some() {
            return;
        }
        election.wakes_at = None;
        let actions = election.driver.wake(now);
        let ip = election.ip;
        self.trace(host, || format!("<- {ip} wakes up"));
        self.perform_all(host, slot, actions);
    }

    fn perform_all(&mut self, host: HostId, slot: Slot, actions: Vec<Action>) {
        for action in actions {
            self.trace(host, || format!("-> {slot:?} {action:?}"));
            self.perform(host, slot, action);
        }
        self.show(host, slot);
        self.plan_to_wake(host, slot);
    }

    fn perform(&mut self, host: HostId, slot: Slot, action: Action) {
        match action {
            Action::Bind => self.set_desired(host, slot, true),
            Action::Unbind => self.set_desired(host, slot, false),
            Action::Announce if self.bug == Some(Bug::NobodyAnnouncesAgain) => {}
            Action::Announce => self.announce_election(host, slot),
            // A client finds a Go LinK by itself here, in the time that is allowed after a fault.
            Action::AnnounceOwner => {}
            Action::Probe(on) => self.set_probing(host, slot, on),
            Action::AskNeighbours => {
                let after = match self.hears_somebody(host) {
                    true => self.random.between(1, 3),
                    false => NEIGHBOURS,
                };
                self.process_after(after, host, Process::Neighbours(slot));
            }
            Action::Ask(request) => {
                let breaks = self.bug == Some(Bug::BreakBeforeMake);
                if breaks && matches!(request, lock::Request::Transfer { .. }) {
                    self.set_desired(host, slot, false);
                }
                crate::audit::Audit::asked(self, host, slot, &request);
                self.submit(host, Asker::Election(slot, request));
            }
            Action::HandedOver(result) => {
                let result = result.map_err(|why| why.to_string());
                let notice = Notice::HandedOver(result);
                self.notice(host, slot, notice);
            }
            Action::Left => {
                let until = self.now + UNBIND;
                if let Some(election) = self.election_mut(host, slot) {
                    election.left = Some(until);
                }
                self.process_at(until, host, Process::Gone(slot));
                self.look_whether_gone(host, slot);
            }
            Action::Transition { event: Event::Demoted, .. } => {
                let now = self.now;
                self.election_mut(host, slot).into_iter().for_each(|it| it.yielded = now);
            }
            Action::Transition { event: Event::Fault, .. } => {
                crate::audit::Audit::taken_without_etcd(self, host, slot);
            }
            // The driver has done it.
            Action::Restart(_) | Action::Transition { .. } => {}
        }
    }

    /// An election tells its supervisor something.
    pub(super) fn notice(&mut self, host: HostId, slot: Slot, notice: Notice) {
        let Some(election) = self.election_mut(host, slot) else { return };
        let serial = election.serial;
        self.tell_supervisor(host, SupervisorEvent::Election(slot, serial, notice));
    }

    /// Who has left says so when the kernel no longer has the address, or after a while.
    pub(super) fn look_whether_gone(&mut self, host: HostId, slot: Slot) {
        let machine = &self.hosts[host];
        let election = machine.agent.as_ref().and_then(|agent| agent.elections.get(&slot));
        let Some(election) = election.filter(|election| election.left.is_some()) else { return };
        if !election.ips.iter().any(|ip| machine.kernel[*ip]) {
            self.gone(host, slot);
        }
    }

    /// Who has left ends though the kernel keeps the address. Another election may have the number by now.
    pub(super) fn gone_at_last(&mut self, host: HostId, slot: Slot) {
        let now = self.now;
        let left = self.election_mut(host, slot).and_then(|election| election.left);
        if left.is_some_and(|until| until <= now) {
            self.gone(host, slot);
        }
    }

    /// The thread of an election that has left ends.
    fn gone(&mut self, host: HostId, slot: Slot) {
        let Some(election) = self.election_mut(host, slot) else { return };
        let cleanup_pending = election.driver.core().cleanup_pending();
        self.notice(host, slot, Notice::Left { cleanup_pending });
        self.hosts[host].agent.iter_mut().for_each(|agent| drop(agent.elections.remove(&slot)));
    }

    fn plan_to_wake(&mut self, host: HostId, slot: Slot) {
        let Some(election) = self.election_mut(host, slot) else { return };
        let Some(deadline) = election.driver.deadline() else {
            election.wakes_at = None;
            return;
        };
        let at = self.millis(deadline).max(self.now);
        let Some(election) = self.election_mut(host, slot) else { return };
        if election.wakes_at != Some(at) {
            election.wakes_at = Some(at);
            self.process_at(at, host, Process::Wake(slot, at));
        }
    }

    /// Tells the supervisor what has changed.
    fn show(&mut self, host: HostId, slot: Slot) {
        let machine = &mut self.hosts[host];
        let Some(agent) = &mut machine.agent else { return };
        let Some(election) = agent.elections.get_mut(&slot) else { return };
        let status = election.status(&machine.kernel);
        if election.shown.as_ref() != Some(&status) {
            self.changed = true;
            election.shown = Some(status.clone());
            let notice = Notice::Status(Arc::new(status));
            self.notice(host, slot, notice);
        }
    }

    pub(super) fn check(&mut self, host: HostId, slot: Slot, number: u64) {
        let overlooked = self.bug == Some(Bug::FailingHostsCampaign);
        let machine = &self.hosts[host];
        let election = machine.agent.as_ref().and_then(|agent| agent.elections.get(&slot));
        let Some(election) = election.filter(|election| election.checks == Some(number)) else {
            return;
        };
        let well = |ip: &IpId| machine.faults.sick[*ip] == 0;
        let passed = election.checked.iter().all(well) || overlooked;
        self.process_after(CHECK, host, Process::Check(slot, number));
        let Some(election) = self.election_mut(host, slot) else { return };
        election.counter.count(passed);
        if let Some(up) = election.counter.is_up() {
            self.tell_election(host, slot, Input::Checked(up));
        }
    }

    pub(super) fn replace_checks(&mut self, host: HostId, slot: Slot, cidr: Cidr, checked: bool) {
        let Some(election) = self.election_mut(host, slot) else { return };
        let ip = crate::setup::ip_of(cidr).expect("one of the IPs");
        election.checked.retain(|other| *other != ip);
        if checked {
            election.checked.push(ip);
        }
        let checked = !election.checked.is_empty();
        election.rounds += 1;
        let number = election.rounds;
        election.checks = checked.then_some(number);
        election.counter = Counter::new(RISE, FALL, election.driver.core().checks_pass());
        if checked {
            self.process_after(1, host, Process::Check(slot, number));
        }
        self.tell_election(host, slot, Input::ChecksReplaced(checked));
    }

    /// Takes note of who holds which lock.
    pub(super) fn note_locks(&mut self) {
        for ip in 0..IPS {
            // An IP of a group has the owner of the group.
            self.locks[ip] = self.holder(lock::key(self.elected(ip)));
            self.changed = true;
        }
    }

    fn holder(&self, key: String) -> Option<lock::Holder> {
        view_of(&self.cluster.data.state_of(&key, Gap::None)).holder
    }

    /// Whose lock decides about an IP: that of the group if it belongs to one, as it is now.
    pub(crate) fn elected(&self, ip: IpId) -> ElectionKey {
        let cidr = crate::setup::cidr(ip);
        let own = self.holder(lock::key(cidr));
        let group = own.as_ref().and_then(lock::Holder::group);
        group.map_or(cidr.into(), |name| ElectionKey::Group(name, self.group().1))
    }

    /// The IPs that belong to the group, and the revision since which they do.
    pub(crate) fn group(&self) -> (Vec<IpId>, i64) {
        let key = [store::GROUPS, "gw"].concat();
        let Some(kv) = self.cluster.data.get(&key) else { return (Vec::new(), 0) };
        let text = String::from_utf8_lossy(&kv.value);
        let has = |ip: &IpId| text.contains(&format!("\"{}\"", crate::setup::cidr(*ip)));
        ((0..IPS).filter(has).collect(), kv.mod_revision)
    }

    /// The IPs that have one owner with this one, itself included.
    pub(crate) fn together(&self, ip: IpId) -> Vec<IpId> {
        match self.elected(ip) {
            ElectionKey::Ip(_) => vec![ip],
            ElectionKey::Group(..) => self.group().0,
        }
    }

    /// What somebody does to a key with etcdctl.
    pub(super) fn by_hand(&mut self, op: link::etcd::Op) {
        if self.etcd_serves() {
            let changes: Vec<Change> = self.cluster.by_hand(op);
            self.publish(&changes);
        }
    }
}

/// Takes note of a lock; true if it was written again as it was, so that it has been acknowledged.
fn note_holder(last: &mut Option<lock::Holder>, input: &Input) -> bool {
    let (Input::Lock(view) | Input::Answered(LockAnswer { lock: view, .. })) = input else {
        return false;
    };
    let Some(holder) = &view.holder else { return false };
    let mut acknowledged = false;
    if let Some(last) = last
        && (&last.host, last.lease) == (&holder.host, holder.lease)
    {
        // Events of a watch overtake answers.
        if holder.written <= last.written {
            return false;
        }
        acknowledged = true;
    }
    *last = Some(holder.clone());
    acknowledged
}
