//! The owners' hosts, as a standby sees them: what the network and etcd tell goes to its failure detector.

use link::election::message::Input;
use link::failure_detector::{Route, Step};
use link::lock::LockAnswer;
use link::policy::CrashDetection;

use super::{DEADLINE, Event, IP, World};
use crate::bugs::Bug;
use crate::faults::HostId;
use crate::wire::{WATCH, Watching};

impl World {
    /// Has the owner's host watched, as the supervisor does.
    pub(super) fn note_owner(&mut self, host: HostId) {
        if self.policies.crash == CrashDetection::Off {
            return;
        }
        let agent = &mut self.agents[host];
        let steps = agent.detector.awaits(IP, Route::Ipv4, agent.driver.core().awaited());
        self.follow(host, steps);
    }

    /// Has the detector know if somebody has yielded, as the election's thread and the supervisor do.
    pub(super) fn note_yield(&mut self, host: HostId, input: &Input) {
        let (Input::Lock(lock) | Input::Answered(LockAnswer { lock, .. })) = input else {
            return;
        };
        if self.agents[host].sees_yield(lock) {
            let now = self.instant();
            let steps = self.agents[host].detector.acknowledged(IP, now);
            self.follow(host, steps);
        }
    }

    pub(super) fn follow(&mut self, host: HostId, steps: Vec<Step>) {
        let life = self.agents[host].life;
        for step in steps {
            self.trace(host, || format!("-- {step:?}"));
            match step {
                Step::Monitor(_, on) => {
                    let agent = &mut self.agents[host];
                    agent.watched = on.then(Watching::default);
                    agent.watches += 1;
                    let number = agent.watches;
                    self.after(WATCH, Event::Watch { host, life, number });
                }
                Step::ReadLease(lease) if self.bug == Some(Bug::OneWitnessIsEnough) => {
                    self.tell(host, Input::OwnerDead(lease));
                }
                Step::ReadLease(lease) => self.ask_lease(host, lease),
                Step::Dead { lease, .. } => self.tell(host, Input::OwnerDead(lease)),
                Step::HeardAgain(_) => self.tell(host, Input::OwnerHeardAgain),
                Step::Log(_) => {}
            }
        }
        if let Some(deadline) = self.agents[host].detector.deadline() {
            let pause = deadline.saturating_duration_since(self.instant()).as_millis();
            let pause = u64::try_from(pause).expect("a short pause") + 1;
            self.after(pause, Event::Wake { host, life });
        }
    }

    pub(super) fn watch(&mut self, host: HostId, life: u64, number: u64) {
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
        let careless = self.bug == Some(Bug::DeafStandbysTakeIt);
        let alone = self.policies.crash == CrashDetection::Fast;
        let others = alone.then(|| careless || self.agents[host].hears_others());
        let news = watched.ask(host, &self.agents, others);
        self.agents[host].watched = Some(watched);
        if let Some(presence) = news {
            let now = self.instant();
            let steps = self.agents[host].detector.heard(IP, presence, now);
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

    pub(super) fn lease_asked(&mut self, host: HostId, life: u64, lease: i64) {
        let heard = self.etcd.up && self.agents[host].cut_in == 0;
        let answer = heard.then(|| self.etcd.time_to_live(lease, self.now));
        let way = if heard { self.way(host) } else { DEADLINE };
        let era = self.era;
        self.after(way, Event::LeaseTold { host, life, era, lease, answer });
    }
}
