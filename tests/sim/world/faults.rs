//! What goes wrong, and how it heals.

use std::collections::VecDeque;

use link::etcd::Op;
use link::lock;
use link::policy::StopPolicy;
use link::store;
use link::supervisor::core::Event as SupervisorEvent;

use super::{Event, Process, World};
use crate::cluster::Service;
use crate::fault::Fault;
use crate::memory_etcd::Change;
use crate::setup::{self, HostId, IPS, IpId};
use crate::times::PAUSE;
use crate::users::Want;

impl World {
    pub(super) fn fault(&mut self, index: usize) {
        let fault = self.plan[index].1;
        self.trace(0, || format!("== {fault:?}"));
        crate::audit::Audit::fault(self, fault);
        self.changed = true;
        self.attend_all();
        // What happens to the first machine could make the other one its successor.
        self.end_twin();
        match fault {
            Fault::Asks { host, ip, want } => self.ask_agent(host, ip, want),
            Fault::KilledAtDelete { host, ip, after } => {
                self.ask_agent(host, ip, Want::Delete);
                self.after(after, Event::Kill(host));
                self.after(after + 300, Event::Boot(host));
            }
            Fault::DeleteLock { .. }
            | Fault::WriteLock { .. }
            | Fault::Revoke { .. }
            | Fault::DeleteRecord { .. }
            | Fault::GarbleRecord { .. } => self.tamper(fault),
            Fault::EtcdDown { .. }
            | Fault::Leaderless { .. }
            | Fault::Refuses { .. }
            | Fault::LeaderChange
            | Fault::Restore { .. }
            | Fault::Wiped { .. }
            | Fault::MassRevoke => self.fault_of_etcd(fault),
            Fault::DeadWatch { .. } | Fault::LostDeletion { .. } | Fault::OldEvents { .. } => {
                self.fault_of_watch(fault);
            }
            Fault::Twin { host, .. } => self.begin_twin(host),
            Fault::GoLink { ip, .. } => self.begin_go(ip),
            Fault::StaleReads { host, reads, .. } => self.cluster.set_stale(host, reads),
            Fault::Zombie { host, .. } => self.cluster.zombies[host] = true,
            Fault::Cut { .. }
            | Fault::Slow { .. }
            | Fault::Sick { .. }
            | Fault::AllSick { .. }
            | Fault::Stuck { .. }
            | Fault::Isolated { .. }
            | Fault::Parted { .. }
            | Fault::Split { .. }
            | Fault::Pause { .. }
            | Fault::LateWatch { .. }
            | Fault::Unplugged { .. } => self.count(fault, true),
            Fault::Restart { .. }
            | Fault::Reload { .. }
            | Fault::PowerOff { .. }
            | Fault::Freeze { .. }
            | Fault::Suspend { .. }
            | Fault::Busy { .. }
            | Fault::Stop { .. }
            | Fault::OldCopy { .. }
            | Fault::LostCopy { .. } => self.fault_of_agent(fault),
        }
        self.attend_all();
        if let Some(lasts) = fault.lasts() {
            self.after(lasts, Event::Heal(index));
        }
    }

    pub(super) fn heal(&mut self, index: usize) {
        let fault = self.plan[index].1;
        // It is started again when it has ended, however long that took.
        if let Fault::Stop { host, .. } = fault
            && self.hosts[host].agent.as_ref().is_some_and(|agent| agent.stopping)
        {
            return self.after(500, Event::Heal(index));
        }
        // What was done by hand is undone by hand.
        if matches!(fault, Fault::WriteLock { .. }) && !self.etcd_serves() {
            return self.after(500, Event::Heal(index));
        }
        self.trace(0, || format!("== end of {fault:?}"));
        crate::audit::Audit::heal(self, fault);
        self.changed = true;
        match fault {
            Fault::Restart { host, .. }
            | Fault::Stop { host, .. }
            | Fault::OldCopy { host, .. }
            | Fault::LostCopy { host, .. } => self.boot(host),
            Fault::PowerOff { host, .. } => {
                self.hosts[host].power = true;
                self.hosts[host].boots += 1;
                self.member_changed(host);
                self.boot(host);
            }
            Fault::Freeze { host, .. } => self.thaw(host),
            Fault::Suspend { host, .. } => {
                self.count(fault, false);
                self.thaw(host);
            }
            Fault::Busy { .. } => {}
            Fault::Leaderless { .. } => self.elect_leader(),
            Fault::EtcdDown { .. } => {
                self.cluster.up = true;
                self.cluster.data.restart_leases(self.now);
            }
            Fault::Refuses { .. } => self.cluster.service = Service::Serves,
            Fault::WriteLock { ip, .. } => self.undo_written_lock(ip),
            Fault::StaleReads { host, .. } => self.cluster.set_stale(host, 0),
            Fault::Zombie { host, .. } => self.cluster.zombies[host] = false,
            Fault::Twin { .. } => self.end_twin(),
            Fault::GoLink { .. } => self.stop_go(),
            _ => self.count(fault, false),
        }
        self.attend_all();
    }

    /// What is counted: begins, or ends.
    fn count(&mut self, fault: Fault, begins: bool) {
        let change = |counter: &mut u32| {
            *counter = if begins { *counter + 1 } else { *counter - 1 };
        };
        match fault {
            Fault::Cut { host, to_etcd, from_etcd, .. } => {
                let faults = &mut self.hosts[host].faults;
                (to_etcd).then(|| change(&mut faults.cut_out));
                (from_etcd).then(|| change(&mut faults.cut_in));
            }
            Fault::Slow { host, .. } => change(&mut self.hosts[host].faults.slow),
            Fault::Sick { host, ip, .. } => change(&mut self.hosts[host].faults.sick[ip]),
            Fault::AllSick { ip, .. } => {
                self.hosts.iter_mut().for_each(|host| change(&mut host.faults.sick[ip]));
            }
            Fault::Stuck { host, ip, .. } => {
                change(&mut self.hosts[host].faults.stuck[ip]);
                self.hosts[host].faults.stuck_until[ip] = self.now;
                if begins {
                    self.lose_address(host, ip);
                }
            }
            Fault::Isolated { host, out, in_, .. } => {
                let faults = &mut self.hosts[host].faults;
                (out).then(|| change(&mut faults.lan_out));
                (in_).then(|| change(&mut faults.lan_in));
            }
            Fault::Parted { from, to, .. } => self.part(from, to, begins),
            Fault::Split { group, out, in_, .. } => {
                for from in 0..self.hosts.len() {
                    for to in (0..self.hosts.len()).filter(|to| group.has(*to) != group.has(from)) {
                        let cut = if group.has(from) { out } else { in_ };
                        cut.then(|| self.part(from, to, begins));
                    }
                }
            }
            Fault::Pause { .. } => {
                let faults = self.hosts.iter_mut().map(|host| &mut host.faults);
                faults.flat_map(|it| [&mut it.lan_out, &mut it.lan_in]).for_each(change);
            }
            Fault::Suspend { host, .. } => {
                let faults = &mut self.hosts[host].faults;
                [&mut faults.lan_out, &mut faults.lan_in].into_iter().for_each(change);
            }
            Fault::LateWatch { host, .. } => change(&mut self.hosts[host].faults.late_watch),
            Fault::Unplugged { host, .. } => {
                let faults = &mut self.hosts[host].faults;
                for counter in [&mut faults.unplugged, &mut faults.lan_out, &mut faults.lan_in] {
                    change(counter);
                }
                self.carrier_changed(host);
            }
            _ => {}
        }
    }

    /// What one host says does not get to another, or does again.
    fn part(&mut self, from: HostId, to: HostId, begins: bool) {
        let unheard_by = &mut self.hosts[from].faults.unheard_by;
        match unheard_by.iter().position(|other| *other == to).filter(|_| !begins) {
            Some(place) => drop(unheard_by.swap_remove(place)),
            None => unheard_by.push(to),
        }
    }

    fn fault_of_agent(&mut self, fault: Fault) {
        match fault {
            Fault::Restart { host, .. } => self.kill(host),
            Fault::Reload { host } if self.hosts[host].runs() => {
                let busy_until = self.hosts[host].agent.as_ref().map_or(0, |it| it.busy_until);
                self.tell_supervisor(host, SupervisorEvent::Stop(StopPolicy::Keep));
                self.at(busy_until.max(self.now) + 20, Event::Boot(host));
            }
            Fault::PowerOff { host, .. } => {
                self.kill(host);
                self.hosts[host].power = false;
                self.hosts[host].kernel = [false; IPS];
                self.member_changed(host);
            }
            Fault::Busy { host, lasts } => {
                let until = self.now + lasts;
                if let Some(agent) = &mut self.hosts[host].agent {
                    agent.busy_until = agent.busy_until.max(until);
                    self.process_at(until, host, Process::Unread);
                }
            }
            Fault::Freeze { host, .. } | Fault::Suspend { host, .. } => {
                if matches!(fault, Fault::Suspend { .. }) {
                    self.count(fault, true);
                }
                let now = self.now;
                if let Some(agent) = &mut self.hosts[host].agent {
                    agent.frozen.get_or_insert(now);
                }
            }
            Fault::Stop { host, .. } => {
                if let Some(agent) =
                    self.hosts[host].agent.as_mut().filter(|agent| agent.frozen.is_none())
                {
                    agent.stopping = true;
                    self.tell_supervisor(host, SupervisorEvent::Stop(StopPolicy::Release));
                }
            }
            Fault::OldCopy { host, .. } => {
                self.kill(host);
                let old = self.hosts[host].old_disk.clone();
                self.hosts[host].disk = old.or(self.hosts[host].disk.take());
            }
            Fault::LostCopy { host, .. } => {
                self.kill(host);
                self.hosts[host].disk = None;
            }
            _ => {}
        }
    }

    fn fault_of_watch(&mut self, fault: Fault) {
        match fault {
            Fault::DeadWatch { host } => self.change_watch(host, |watch| watch.streams = false),
            Fault::LostDeletion { host } => {
                self.change_watch(host, |watch| watch.loses_deletion = true);
            }
            Fault::OldEvents { host } => {
                self.change_watch(host, |watch| watch.repeats_old = true);
                self.begin_to_watch(host, 0);
            }
            _ => {}
        }
    }

    fn fault_of_etcd(&mut self, fault: Fault) {
        match fault {
            Fault::EtcdDown { .. } => {
                self.cluster.up = false;
                self.break_connections();
            }
            Fault::Leaderless { .. } => self.lose_leader(),
            Fault::Refuses { service, .. } => self.cluster.service = service,
            Fault::LeaderChange => self.cluster.data.restart_leases(self.now),
            Fault::Restore { back } => {
                self.cluster.restore(back, self.now);
                self.break_connections();
                (0..IPS).for_each(|ip| self.undo_written_lock(ip));
            }
            Fault::Wiped { another } => {
                self.cluster.wipe(another);
                self.break_connections();
            }
            Fault::MassRevoke => {
                let leases: Vec<i64> = self.cluster.data.lease_ids().collect();
                for lease in leases {
                    let changes: Vec<Change> = self.cluster.revoke(lease);
                    self.publish(&changes);
                }
            }
            _ => {}
        }
    }

    /// etcd restarts: what is under way is lost, and all who watch notice.
    fn break_connections(&mut self) {
        self.era += 1;
        self.note_locks();
        for host in 0..self.hosts.len() {
            self.begin_to_watch(host, 50);
        }
    }

    fn undo_written_lock(&mut self, ip: IpId) {
        if self.locks[ip].as_ref().is_some_and(|holder| holder.lease == 0) {
            self.by_hand(Op::Delete(lock::key(self.elected(ip))));
        }
    }

    fn change_watch(&mut self, host: HostId, change: impl FnOnce(&mut crate::client::Watch)) {
        if let Some(agent) = &mut self.hosts[host].agent {
            change(&mut agent.client.watch);
        }
    }

    /// What somebody does with etcdctl.
    fn tamper(&mut self, fault: Fault) {
        match fault {
            Fault::DeleteLock { ip } => self.by_hand(Op::Delete(lock::key(self.elected(ip)))),
            Fault::WriteLock { ip, .. } => {
                let (key, value) = (lock::key(self.elected(ip)), b"h9".to_vec());
                self.by_hand(Op::Put { key, value, lease: 0 });
            }
            Fault::Revoke { host } => {
                let keeper = self.hosts[host].agent.as_ref();
                let lease = keeper.and_then(|agent| agent.client.keeper.as_ref()?.lease);
                if let Some(lease) = lease.filter(|_| self.etcd_serves()) {
                    let changes = self.cluster.revoke(lease);
                    self.publish(&changes);
                }
            }
            Fault::DeleteRecord { host, ip } => {
                if let Some(key) = self.record_key(host, ip) {
                    self.by_hand(Op::Delete(key));
                }
            }
            Fault::GarbleRecord { host, ip } => {
                if let Some(key) = self.record_key(host, ip) {
                    self.by_hand(Op::Put { key, value: b"{".to_vec(), lease: 0 });
                }
            }
            _ => {}
        }
    }

    /// The key of the record of an IP, if etcd has one; but not if the host does not hear of it, since
    /// nobody here waits for a comparison that is made for no reason.
    pub(crate) fn record_key(&self, host: HostId, ip: IpId) -> Option<String> {
        let watch = self.hosts[host].agent.as_ref().map(|agent| &agent.client.watch);
        if watch.is_some_and(|watch| watch.open && !watch.streams) {
            return None;
        }
        let records = self.cluster.data.get_prefix(&store::records_prefix(&self.hosts[host].name));
        let ip = format!("\"{}\"", setup::cidr(ip));
        let of_ip = records.into_iter().find(|kv| String::from_utf8_lossy(&kv.value).contains(&ip));
        of_ip.map(|kv| kv.key)
    }

    /// The process runs again: it hears of everything at once, and finds out that it did not run.
    fn thaw(&mut self, host: HostId) {
        let now = self.now;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(since) = agent.frozen.take() else { return };
        for election in agent.elections.values_mut() {
            election.monitoring.iter_mut().for_each(crate::lan::Monitoring::restart);
        }
        let held_up: VecDeque<Process> = std::mem::take(&mut agent.held_up);
        let place = self.random.index(held_up.len() + 1);
        for (index, what) in held_up.into_iter().enumerate() {
            if index == place {
                self.tell_of_pause(host, now - since);
            }
            self.process_after(1, host, what);
        }
        if place > 0 {
            self.tell_of_pause(host, now - since);
        }
    }

    fn tell_of_pause(&mut self, host: HostId, pause: u64) {
        if pause >= PAUSE {
            let pause = std::time::Duration::from_millis(pause);
            let event = SupervisorEvent::Paused(pause);
            let message = super::Message::Supervisor(Box::new(event));
            self.process_after(1, host, Process::Message(message));
        }
    }
}
