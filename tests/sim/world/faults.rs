//! What goes wrong, and how it heals.

use link::election::message::Input;

use super::{Event, World};
use crate::faults::{Fault, HostId};

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        self.audit.fault(self.now, fault, &self.agents);
        match fault {
            Fault::Cut { host, to_etcd, from_etcd, lasts } => {
                self.agents[host].cut_out += u32::from(to_etcd);
                self.agents[host].cut_in += u32::from(from_etcd);
                self.agents[host].watching &= !from_etcd;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Slow { host, lasts } => {
                self.agents[host].slow += 1;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Restart { host, after } => {
                self.agents[host].kill();
                self.after(after, Event::Heal(fault));
            }
            Fault::PowerOff { host, lasts } => {
                self.agents[host].kill();
                self.agents[host].power = false;
                self.agents[host].bound = false;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Freeze { host, lasts } => {
                self.agents[host].frozen = self.agents[host].running;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Stop { host, after } => {
                self.agents[host].leaving = self.agents[host].runs();
                self.order(host, Input::Leave);
                // Not before it has ended, which it does within five seconds.
                self.after(after + 6_000, Event::Heal(fault));
            }
            Fault::AllSick { lasts } => {
                self.agents.iter_mut().for_each(|agent| agent.sick += 1);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Isolated { host, out, in_, lasts } => {
                self.agents[host].lan_out += u32::from(out);
                self.agents[host].lan_in += u32::from(in_);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Parted { from, to, lasts } => {
                self.agents[from].unheard_by.push(to);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Unplugged { host, lasts } => {
                let agent = &mut self.agents[host];
                agent.unplugged += 1;
                agent.lan_out += 1;
                agent.lan_in += 1;
                self.carrier_changed(host);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::Sick { host, lasts } => {
                self.agents[host].sick += 1;
                self.after(lasts, Event::Heal(fault));
            }
            Fault::EtcdDown { lasts } => {
                self.etcd.up = false;
                self.agents.iter_mut().for_each(|agent| agent.watching = false);
                self.after(lasts, Event::Heal(fault));
            }
            Fault::LeaderChange => self.etcd.restart_leases(self.now),
            Fault::Restore => self.restore(),
            Fault::DeadWatch { host } => self.agents[host].watching = false,
            Fault::DeleteLock => {
                if self.etcd.up && self.etcd.delete_lock() {
                    self.lock_changed();
                }
            }
            Fault::Revoke { host } => {
                let lease = self.agents[host].lease.filter(|_| self.etcd.up);
                if lease.is_some_and(|lease| self.etcd.revoke(lease)) {
                    self.lock_changed();
                }
            }
            Fault::Failover { host } => self.order(host, Input::Failover(None)),
            Fault::LockNow { host } => self.order(host, Input::LockNow),
        }
    }

    fn order(&mut self, host: HostId, input: Input) {
        if self.agents[host].runs() {
            self.tell(host, input);
        }
    }

    /// The data of a moment ago come back; revisions start again from there. All streams break.
    fn restore(&mut self) {
        self.era += 1;
        self.etcd.restore(self.now);
        for host in 0..self.agents.len() {
            self.agents[host].watching = false;
            let life = self.agents[host].life;
            self.after(50, Event::Reread { host, life });
        }
    }

    pub(super) fn heal(&mut self, fault: Fault) {
        // It is started again when it has ended, however long that took.
        if let Fault::Stop { host, .. } = fault
            && self.agents[host].leaving
            && self.agents[host].running
        {
            return self.after(500, Event::Heal(fault));
        }
        self.audit.heal(self.now, fault);
        match fault {
            Fault::Cut { host, to_etcd, from_etcd, .. } => {
                self.agents[host].cut_out -= u32::from(to_etcd);
                self.agents[host].cut_in -= u32::from(from_etcd);
            }
            Fault::Slow { host, .. } => self.agents[host].slow -= 1,
            Fault::Restart { host, .. }
            | Fault::PowerOff { host, .. }
            | Fault::Stop { host, .. } => {
                if !self.agents[host].running {
                    self.boot(host);
                }
            }
            Fault::Freeze { host, .. } => self.thaw(host),
            Fault::Sick { host, .. } => self.agents[host].sick -= 1,
            Fault::AllSick { .. } => self.agents.iter_mut().for_each(|agent| agent.sick -= 1),
            Fault::Isolated { host, out, in_, .. } => {
                self.agents[host].lan_out -= u32::from(out);
                self.agents[host].lan_in -= u32::from(in_);
            }
            Fault::Parted { from, to, .. } => {
                let unheard_by = &mut self.agents[from].unheard_by;
                let healed = unheard_by.iter().position(|other| *other == to);
                unheard_by.swap_remove(healed.expect("it was not heard"));
            }
            Fault::Unplugged { host, .. } => {
                let agent = &mut self.agents[host];
                agent.unplugged -= 1;
                agent.lan_out -= 1;
                agent.lan_in -= 1;
                self.carrier_changed(host);
            }
            Fault::EtcdDown { .. } => {
                self.etcd.up = true;
                self.etcd.restart_leases(self.now);
            }
            Fault::LeaderChange
            | Fault::Restore
            | Fault::DeadWatch { .. }
            | Fault::DeleteLock
            | Fault::Revoke { .. }
            | Fault::Failover { .. }
            | Fault::LockNow { .. } => {}
        }
    }

    fn thaw(&mut self, host: HostId) {
        if !self.agents[host].frozen {
            return;
        }
        self.agents[host].frozen = false;
        self.agents[host].held_up.push_front(Input::Paused);
        while let Some(input) = self.agents[host].held_up.pop_front() {
            self.tell(host, input);
        }
        self.wake_core(host);
    }
}
