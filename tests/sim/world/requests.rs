//! What goes between the hosts and etcd: requests about the lock, its watch, and leases.

use link::election::message::Input;
use link::lock::Gap;
use link::lock::{LockAnswer, LockView, Request};

use super::{DEADLINE, Event, Millis, World};
use crate::agent::{RENEWAL, RETRY};
use crate::bugs::Bug;
use crate::faults::HostId;

/// How long a renewal may take; there is one at a time.
const RENEWAL_DEADLINE: Millis = 1_000;

/// How long a request may be on its way.
const LATE: Millis = 10_000;

/// Between two reads of the lock while the watch works.
const SAFETY_READ: Millis = 10_000;

impl World {
    pub(super) fn ask(&mut self, host: HostId, request: Request) {
        let agent = &mut self.agents[host];
        agent.request += 1;
        agent.asked = Some((agent.request, request.clone()));
        if self.bug == Some(Bug::BreakBeforeMake) && matches!(request, Request::Transfer { .. }) {
            agent.bound = false;
        }
        let (number, life, cut) = (agent.request, agent.life, agent.cut_out > 0);
        self.after(DEADLINE, Event::GiveUp { host, life, number });
        // One in fifty is lost, and one comes when its sender has long given up.
        let way = match self.random.between(1, 50) {
            1 => return,
            2 => self.random.between(DEADLINE, LATE),
            _ => self.way(host),
        };
        if !cut {
            self.after(way, Event::RequestArrives { host, life, number, request });
        }
    }

    pub(super) fn request_arrives(
        &mut self,
        host: HostId,
        life: u64,
        number: u64,
        request: Request,
    ) {
        if !self.etcd.up {
            return;
        }
        let name = self.agents[host].name.clone();
        let outcome = self.etcd.carry_out(&name, &request);
        let changed = outcome.as_ref().is_ok_and(|(_, changed)| *changed);
        let answer = outcome.map(|(answer, _)| answer);
        if changed {
            self.lock_changed();
        }
        let way = self.way(host);
        if self.agents[host].cut_in == 0 && !self.random.one_in(50) {
            let era = self.era;
            self.after(way, Event::Answer { host, life, era, number, answer });
        }
    }

    pub(super) fn answered(
        &mut self,
        host: HostId,
        number: u64,
        result: Result<LockAnswer, String>,
    ) {
        let revision = result.as_ref().map_or(0, |answer| answer.lock.revision);
        let known = self.agents[host].known;
        self.agents[host].known = known.max(revision);
        if result.is_ok() {
            self.agents[host].seen = self.now;
        }
        if self.agents[host].asked.as_ref().is_some_and(|(asked, _)| *asked == number) {
            self.agents[host].asked = None;
            if result.is_err() && self.bug == Some(Bug::FailuresAreFinal) {
                return;
            }
            self.tell(host, result.map_or(Input::Unanswered, Input::Answered));
        }
    }

    /// All who watch hear of it, each after a while of its own, but in order.
    pub(super) fn lock_changed(&mut self) {
        let view = self.etcd.view();
        for host in 0..self.agents.len() {
            let agent = &self.agents[host];
            if agent.watching && agent.cut_in == 0 {
                let life = agent.life;
                let lag = self.way(host);
                let era = self.era;
                self.after(lag, Event::Seen { host, life, era, view: view.clone() });
            } else {
                self.agents[host].watching = false;
            }
        }
    }

    pub(super) fn seen(&mut self, host: HostId, view: LockView) {
        self.agents[host].known = self.agents[host].known.max(view.revision);
        self.agents[host].seen = self.now;
        self.tell(host, Input::Lock(view));
    }

    pub(super) fn safety_read(&mut self, host: HostId, life: u64) {
        let read = self.reread(host, life);
        let pause = if read { SAFETY_READ } else { 1_000 };
        self.after(pause, Event::SafetyRead { host, life });
    }

    /// Reads the lock, and watches from there. What is older than what is known from before the read
    /// was sent comes from an etcd that was restored.
    pub(super) fn reread(&mut self, host: HostId, life: u64) -> bool {
        let broken = self.bug == Some(Bug::DeadWatchesStayDead) && self.now > 10_000;
        let agent = &mut self.agents[host];
        if !self.etcd.up || !agent.connected() || agent.frozen || broken {
            return false;
        }
        let watched = std::mem::replace(&mut agent.watching, true);
        let view = self.etcd.view();
        let gap = match watched {
            _ if view.revision < agent.known => Gap::Restored,
            true => Gap::None,
            false => Gap::Reconnected,
        };
        agent.known = view.revision;
        // What has not changed is told only to those who have no lease to ask with.
        let same = agent.told_holder.as_ref() == Some(&view.holder);
        agent.told_holder = Some(view.holder.clone());
        if watched && gap == Gap::None && same && agent.holds_lease() {
            agent.seen = self.now;
            return true;
        }
        let (way, era) = (self.way(host), self.era);
        let view = LockView { gap, ..view };
        self.after(way, Event::Seen { host, life, era, view });
        true
    }

    /// The keeper's turn: send a renewal, and see how long etcd has been silent.
    pub(super) fn renew(&mut self, host: HostId, life: u64) {
        let agent = &mut self.agents[host];
        let failing = self.now > agent.heard + RENEWAL + RETRY;
        if agent.frozen {
            return self.after(RETRY, Event::Renew { host, life });
        }
        if let Some(lost) = agent.silence(self.now)
            && self.bug != Some(Bug::LossIsOverheard)
        {
            self.tell(host, Input::EtcdHeard(self.agents[host].known));
            self.tell(host, lost);
        }
        let agent = &mut self.agents[host];
        let waits = agent.renewing.is_some_and(|sent| self.now < sent + RENEWAL_DEADLINE);
        if !waits {
            agent.renewing = Some(self.now);
            let out = agent.cut_out == 0;
            let (way, sent) = (self.way(host), self.now);
            if out {
                self.after(way, Event::RenewalArrives { host, life, sent });
            }
        }
        self.after(if failing { RETRY } else { RENEWAL }, Event::Renew { host, life });
    }

    pub(super) fn renewal_arrives(&mut self, host: HostId, life: u64, sent: Millis) {
        if !self.etcd.up {
            return;
        }
        let lease = match self.agents[host].lease {
            Some(lease) if self.etcd.renew(lease, self.now) => lease,
            Some(_) | None => self.etcd.grant(self.now),
        };
        let way = self.way(host);
        if self.agents[host].cut_in == 0 {
            self.after(way, Event::RenewalAnswered { host, life, sent, lease });
        }
    }

    /// An answer that comes after the keeper's deadline is not heard.
    pub(super) fn renewal_answered(&mut self, host: HostId, sent: Millis, lease: i64) {
        let agent = &mut self.agents[host];
        if agent.frozen || agent.renewing != Some(sent) || self.now > sent + RENEWAL_DEADLINE {
            return;
        }
        agent.renewing = None;
        agent.lease = Some(lease);
        let held = agent.renewed(sent);
        let told = *agent.told.get_or_insert(lease);
        let survives = self.bug == Some(Bug::OwnershipSurvivesTheLease) && told != lease;
        if let Some(held) = held.filter(|_| !survives) {
            self.tell(host, held);
        }
    }

    /// etcd looks for expired leases twice a second.
    pub(super) fn expire(&mut self) {
        self.after(500, Event::Expire);
        if !self.etcd.up {
            return;
        }
        if self.etcd.expire(self.now) {
            self.lock_changed();
        }
    }

    /// The agent has handed over: it revokes its lease and ends.
    pub(super) fn left(&mut self, host: HostId) {
        let agent = &mut self.agents[host];
        agent.kill();
        let connected = agent.connected();
        let lease = agent.lease.take_if(|_| connected && self.etcd.up);
        if lease.is_some_and(|lease| self.etcd.revoke(lease)) {
            self.lock_changed();
        }
    }
}
