//! The lease of an agent, as `link::etcd::lease` keeps it.

use std::time::Duration;

use link::supervisor::core::Event as SupervisorEvent;

use super::{Event, Millis, Process, World};
use crate::bugs::Bug;
use crate::client::Keeper;
use crate::memory_etcd::Change;
use crate::setup::HostId;
use crate::times::{RENEWAL_DEADLINE, ROUND_PAUSE};

impl World {
    /// Begins to keep a lease.
    pub(super) fn keep_lease(&mut self, host: HostId, resume: Option<i64>, silent: Duration) {
        let resume = resume.filter(|_| self.bug != Some(Bug::RestartForgetsTheLease));
        let silent = Millis::try_from(silent.as_millis()).expect("a short time");
        let heard = self.now.saturating_sub(silent);
        let now = self.now;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        agent.client.keeper = Some(Keeper::new(resume, heard, now));
        self.plan_to_keep(host);
    }

    /// Has the keeper act when there is something to do.
    fn plan_to_keep(&mut self, host: HostId) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(keeper) = &mut agent.client.keeper else { return };
        keeper.plan += 1;
        let (at, plan) = (keeper.deadline().max(self.now), keeper.plan);
        self.process_at(at, host, Process::Keep(plan));
    }

    /// A request has found that the lease does not exist: it is renewed at once.
    pub(super) fn suspect_lease(&mut self, host: HostId) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(keeper) = &mut agent.client.keeper else { return };
        if keeper.sent.is_none() && keeper.ttl.is_some() {
            keeper.next = self.now;
            self.plan_to_keep(host);
        }
    }

    pub(super) fn keep(&mut self, host: HostId, plan: u64) {
        let (now, up) = (self.now, self.cluster.up);
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let known = agent.client.known;
        let Some(keeper) = agent.client.keeper.as_mut().filter(|it| it.plan == plan) else {
            return;
        };
        let lost = keeper.is_lost_now(now);
        let overdue = keeper.sent.is_some_and(|sent| now >= sent + RENEWAL_DEADLINE);
        let sends = keeper.sent.is_none() && now >= keeper.next && up;
        let refused = keeper.sent.is_none() && now >= keeper.next && !up;
        if overdue || refused {
            keeper.sent = None;
            keeper.next = now + ROUND_PAUSE;
        }
        if sends {
            keeper.sent = Some(now);
        }
        let lease = keeper.lease;
        self.changed |= lost;
        if lost && self.bug != Some(Bug::LossIsOverheard) {
            let why = "silent".to_owned();
            self.tell_supervisor(host, SupervisorEvent::EtcdLost { why, revision: known });
        }
        if overdue || refused {
            self.break_watch(host);
        }
        if sends {
            self.send_renewal(host, lease);
        }
        self.plan_to_keep(host);
    }

    fn send_renewal(&mut self, host: HostId, lease: Option<i64>) {
        let (way, out) = (self.way(host), self.hosts[host].faults.cut_out == 0);
        if out {
            let (life, era, sent) = (self.hosts[host].life, self.era, self.now);
            self.after(way, Event::RenewalArrives { host, life, era, sent, lease });
        }
    }

    pub(super) fn renewal_arrives(
        &mut self,
        host: HostId,
        life: u64,
        sent: Millis,
        lease: Option<i64>,
    ) {
        if !self.cluster.up {
            return;
        }
        let (lease, ttl) = match lease {
            Some(lease) => {
                let ttl = self.cluster.renew(host, lease, self.now);
                let lies = self.bug == Some(Bug::DeadLeaseLooksAlive);
                (lease, ttl.or(lies.then_some(crate::times::TTL)))
            }
            None => match self.cluster.grant(self.now) {
                Some(lease) => (lease, Some(crate::times::TTL)),
                // Refused; it is tried again when the deadline has come.
                None => return,
            },
        };
        let (way, revision) = (self.way(host), self.cluster.data.revision());
        if self.hosts[host].faults.cut_in == 0 {
            let what = Process::Renewed { sent, lease, ttl, revision };
            self.after(way, Event::Process { host, life, what });
        }
    }

    /// An answer that comes after the deadline is not heard.
    pub(super) fn renewed(
        &mut self,
        host: HostId,
        sent: Millis,
        lease: i64,
        ttl: Option<u32>,
        revision: i64,
    ) {
        let now = self.now;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(keeper) = agent.client.keeper.as_mut().filter(|it| it.sent == Some(sent)) else {
            return;
        };
        match ttl {
            Some(ttl) => {
                keeper.acknowledged(lease, ttl);
                let first = keeper.first == Some(lease);
                agent.client.heard(revision);
                let ttl = Duration::from_secs(u64::from(ttl));
                if first || self.bug != Some(Bug::OwnershipSurvivesTheLease) {
                    self.tell_supervisor(host, SupervisorEvent::LeaseHeld { id: lease, ttl });
                }
            }
            // It is gone: another is asked for at once.
            None => {
                (keeper.lease, keeper.ttl, keeper.sent) = (None, None, None);
                keeper.next = now;
            }
        }
        self.plan_to_keep(host);
    }

    /// etcd looks for expired leases twice a second.
    pub(super) fn expire(&mut self) {
        self.after(500, Event::Expire);
        if self.etcd_serves() {
            let changes: Vec<Change> = self.cluster.expire(self.now);
            self.publish(&changes);
        }
    }
}
