//! What stands for the thread of the supervisor: feeds its core, and performs its actions.

use link::election::message::Input;
use link::policy::AllFailingPolicy;
use link::store::{LocalCopy, Request};
use link::supervisor::core::{
    Action, Copies, Event as SupervisorEvent, Order, Origin, Serial, StartError, Subject, Timer,
};
use link::vip::Slot;

use super::{Millis, Process, World, next_id};
use crate::agent::{Agent, Election};
use crate::bugs::Bug;
use crate::client::{Asker, Call};
use crate::setup::{HostId, IPS, ip_of};
use crate::times::RENEWAL;

impl World {
    /// The agent is started, if the machine has power and none runs.
    pub(super) fn boot(&mut self, host: HostId) {
        let machine = &mut self.hosts[host];
        if !machine.power || machine.agent.is_some() {
            return;
        }
        machine.life += 1;
        machine.add_pause = [0; IPS];
        let mut policies = machine.policies;
        if self.bug == Some(Bug::LastOneLetsGo) {
            policies.all_failing = AllFailingPolicy::None;
        }
        let mut instance = machine.instance();
        if self.bug == Some(Bug::NamesakesAreTheSame) {
            "the same".clone_into(&mut instance.hardware_address);
        }
        let agent = Agent::new(&machine.name, instance, policies, next_id);
        let read = |bytes: &Vec<u8>| LocalCopy::read(bytes);
        // As the product has it: a copy of another name is none of this host.
        let own = machine.disk.as_ref().map(read);
        let own = own.filter(|copy| copy.as_ref().is_ok_and(|copy| copy.host == machine.name));
        machine.agent = Some(agent);
        // A host that starts believes what it reads.
        if self.cluster.is_stale(host) {
            self.users.doubt(host);
        }
        self.changed = true;
        self.trace(host, || "starts".to_owned());
        self.users.restarted(host);
        let copies = Copies { own, others: Vec::new() };
        self.tell_supervisor(host, SupervisorEvent::Begin(Box::new(copies)));
        self.begin_to_watch(host, 1);
        self.attend_all();
    }

    /// The agent is killed; its addresses stay.
    pub(super) fn kill(&mut self, host: HostId) {
        let machine = &mut self.hosts[host];
        machine.life += 1;
        if machine.agent.take().is_some() {
            self.changed = true;
            self.trace(host, || "is killed".to_owned());
            self.users.killed(host);
        }
    }

    pub(super) fn supervisor_timer(&mut self, host: HostId, timer: Timer, at: Millis) {
        let now = self.now;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        if now < agent.busy_until {
            let until = agent.busy_until;
            return self.process_at(until, host, Process::SupervisorTimer(timer, at));
        }
        if agent.timers.get(&timer) == Some(&at) {
            agent.timers.remove(&timer);
            self.feed_supervisor(host, SupervisorEvent::Timer(timer));
        }
    }

    /// Who is busy reads it later, in order.
    pub(super) fn post_supervisor(&mut self, host: HostId, event: SupervisorEvent) {
        let now = self.now;
        match &mut self.hosts[host].agent {
            Some(agent) if now < agent.busy_until || !agent.unread.is_empty() => {
                agent.unread.push_back(event);
            }
            Some(_) => self.feed_supervisor(host, event),
            None => {}
        }
    }

    pub(super) fn read_unread(&mut self, host: HostId) {
        let (now, life) = (self.now, self.hosts[host].life);
        while let Some(agent) = self.hosts[host].agent.as_mut().filter(|it| now >= it.busy_until)
            && let Some(event) = agent.unread.pop_front()
        {
            self.feed_supervisor(host, event);
            if self.hosts[host].life != life {
                return;
            }
        }
    }

    pub(super) fn feed_supervisor(&mut self, host: HostId, event: SupervisorEvent) {
        if matches!(event, SupervisorEvent::Answered(Request::Load, Ok(_))) {
            self.hosts[host].agent.iter_mut().for_each(|agent| agent.loaded = true);
        }
        let compares = matches!(
            event,
            SupervisorEvent::KeyChanged { .. }
                | SupervisorEvent::WatchOpened(_)
                | SupervisorEvent::Timer(Timer::Compare | Timer::CompareLate | Timer::ReleaseLate)
        );
        if compares && self.bug == Some(Bug::EtcdIsNotReconciled) {
            return;
        }
        self.trace(host, || format!("<- supervisor {event:?}"));
        let now = self.instant();
        let Some(agent) = &mut self.hosts[host].agent else { return };
        for action in agent.core.handle(event, now) {
            self.trace(host, || format!("-> supervisor {action:?}"));
            self.perform_for_supervisor(host, action);
        }
    }

    pub(super) fn perform_for_supervisor(&mut self, host: HostId, action: Action) {
        match action {
            Action::Ask(request) => self.submit(host, Asker::Supervisor(request)),
            Action::ReadLeaseKeys(lease) => self.submit(host, Asker::LeaseKeys(lease)),
            Action::ReadLease(lease) => self.submit(host, Asker::LeaseLeft(lease)),
            Action::Call { host: called, purpose, lease, question } => {
                self.call(host, (called, purpose), lease, question);
            }
            Action::EndCall(called, purpose) => self.end_call(host, &called, purpose),
            Action::LookFor(token, cidr) => self.look_for(host, token, cidr),
            Action::Fence(token, lease) => {
                let forced = self.users.is_by_force(token);
                crate::audit::Audit::fences(self, host, lease, forced);
                let call = Call::Revoke(lease);
                self.submit_call(host, Asker::Fence(token, lease), call, RENEWAL);
            }
            Action::KeepLease(resume, silent) => self.keep_lease(host, resume, silent),
            Action::Revoke(lease) => {
                if let Some(agent) = &mut self.hosts[host].agent {
                    agent.client.keeper = None;
                }
                self.submit_call(host, Asker::Revoke, Call::Revoke(lease), RENEWAL);
            }
            Action::Start { slot, serial, subject, origin } => {
                let result = self.start_election(host, (slot, serial), &subject, origin);
                self.tell_supervisor(host, SupervisorEvent::Started(slot, result));
            }
            Action::Tell(slot, order) => self.order(host, slot, order),
            Action::End(slot) => {
                if let Some(agent) = &mut self.hosts[host].agent {
                    agent.elections.remove(&slot);
                }
            }
            // No user asks for it.
            Action::ReadCluster(..) => {}
            Action::Reply(token, answer) => self.replied_to_user(host, token, answer),
            // No user of the simulator watches.
            Action::ReplyCounts(..) => {}
            Action::WriteCopy(bytes) => {
                let machine = &mut self.hosts[host];
                machine.disk = Some(bytes);
                machine.disk_at = self.now;
            }
            Action::AppendToCopy(bytes) => {
                let machine = &mut self.hosts[host];
                machine.disk.get_or_insert_default().extend(bytes);
                machine.disk_at = self.now;
            }
            Action::RemoveLeftOvers(_) => self.remove_left_overs(host),
            Action::Arm(timer, after) => {
                let at = self.now + Millis::try_from(after.as_millis()).expect("short") + 1;
                if let Some(agent) = &mut self.hosts[host].agent {
                    agent.timers.insert(timer, at);
                    self.process_at(at, host, Process::SupervisorTimer(timer, at));
                }
            }
            Action::Disarm(timer) => {
                if let Some(agent) = &mut self.hosts[host].agent {
                    agent.timers.remove(&timer);
                }
            }
            Action::Happened(..) | Action::Record(_) | Action::Notify(_) | Action::Log(..) => {}
            Action::Ended => self.kill(host),
        }
    }

    fn start_election(
        &mut self,
        host: HostId,
        (slot, serial): (Slot, Serial),
        subject: &Subject,
        origin: Origin,
    ) -> Result<(), StartError> {
        let now = self.instant();
        let machine = &mut self.hosts[host];
        let Some(agent) = &mut machine.agent else { return Ok(()) };
        if subject.records.iter().any(|record| ip_of(record.cidr).is_none()) {
            return Err(StartError::Failed("another address".to_owned()));
        }
        let election = {
            let company = origin == Origin::BeforeWithOthers;
            let first = self.bug == Some(Bug::EverybodyGoesFirst);
            let election =
                Election::new(subject, &machine.name, agent.policies, (company, first), now);
            Election { serial, ..election }
        };
        let checks = election.checks;
        agent.elections.insert(slot, election);
        self.begin_election(host, slot, checks);
        Ok(())
    }

    fn order(&mut self, host: HostId, slot: Slot, order: Order) {
        let input = match order {
            Order::Lease(lease) => Input::Lease(lease),
            Order::EtcdHeard(revision) => Input::EtcdHeard(revision),
            Order::Checks(cidr, checks, _) => {
                return self.replace_checks(host, slot, cidr, !checks.is_empty());
            }
            Order::LossPolicy(loss) => Input::LossPolicy(loss),
            Order::Priority(priority) => Input::Priority(priority),
            Order::Drained(drained) => Input::Drained(drained),
            Order::LockNow => Input::LockNow,
            Order::Failover(target) => Input::Failover(target),
            Order::Leave => Input::Leave,
            Order::OwnerDead(lease) => {
                crate::audit::Audit::declared_dead(self, host, lease);
                let now = self.now;
                if let Some(election) = self.election_mut(host, slot)
                    && election.dead.is_none_or(|(before, _)| before != lease)
                {
                    election.dead = Some((lease, now));
                }
                Input::OwnerDead(lease)
            }
            Order::OwnerLives(lease) => Input::OwnerLives(lease),
            Order::OwnerMissed(missed) => Input::OwnerMissed(self.exaggerated(host, missed)),
            Order::OwnerHeardAgain => Input::OwnerHeardAgain,
            Order::Paused => Input::Paused,
            Order::CandidatesOutdated => Input::CandidatesOutdated,
            Order::Monitor(on) => return self.set_monitoring(host, slot, on),
        };
        self.tell_election(host, slot, input);
    }
}
