//! How a fault is done to the lab, and how it is healed.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::plan::{Aim, Fault, Kind, OnAgent, OnEtcd, OnHost, OnLock, OnService};
use super::stage::{HOSTS, Stage, VIPS};
use crate::harness::{Host, HostId, Vip, Way, until};

/// How long an agent may take to end after SIGTERM: `TimeoutStopSec` in link.service.
const STOP: Duration = Duration::from_secs(20);

/// A fault that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Struck {
    pub(crate) fault: Fault,
    /// To whom, if to one host.
    pub(crate) host: Option<HostId>,
    pub(crate) at: Instant,
}

impl Stage {
    /// Does a fault. Nothing is done to a host to which a fault is being done that lasts, nor where
    /// it is not possible now.
    pub(crate) fn strike(&mut self, fault: Fault) -> Option<Struck> {
        let host = self.victim(&fault);
        if fault.kind.is_alone() && host.is_some_and(|host| self.struck.contains(&host)) {
            return None;
        }
        if fault.kind.ends_an_agent() && host.is_some_and(|host| self.spared == Some(host)) {
            return None;
        }
        let at = Instant::now();
        let done = match (fault.kind, host) {
            (Kind::Agent(kind), Some(host)) => self.strike_agent(kind, host),
            (Kind::Host(kind), Some(host)) => self.strike_host(kind, host, VIPS[fault.vip]),
            (Kind::Lock(kind), Some(host)) => self.strike_lock(kind, host, VIPS[fault.vip]),
            (Kind::Etcd(kind), _) => self.strike_etcd(kind, fault.aim),
            (Kind::Service(OnService::Down), Some(host)) => self.services.remove(&host).is_some(),
            (Kind::Service(OnService::AllDown), _) => {
                self.services.clear();
                true
            }
            (Kind::Calls, _) => {
                self.start_calls();
                true
            }
            (Kind::Around(kind), host) => self.strike_around(kind, host),
            _ => false,
        };
        if done && fault.kind.is_alone() && !fault.lasts.is_zero() {
            self.struck.extend(host);
        }
        done.then_some(Struck { fault, host, at })
    }

    /// Which host it hits, if one; nobody if nobody has the IP that it is about.
    fn victim(&mut self, fault: &Fault) -> Option<HostId> {
        let owner = self.watch.binders(fault.vip).first().copied();
        match (fault.kind, fault.aim) {
            (Kind::Etcd(_) | Kind::Service(OnService::AllDown) | Kind::Calls, _) => None,
            (Kind::Around(kind), _) if !kind.is_on_a_host() => None,
            // These concern whoever has the IP.
            (Kind::Host(OnHost::RemoveAddress) | Kind::Lock(_), _) | (_, Aim::Owner) => owner,
            (_, Aim::Number(number)) => Some(HOSTS[number]),
        }
    }

    fn strike_agent(&mut self, kind: OnAgent, host: HostId) -> bool {
        let host = &mut self.lab[host];
        match kind {
            OnAgent::KillBriefly | OnAgent::Kill => host.kill(),
            OnAgent::Reload => return send(host, Signal::SIGHUP),
            OnAgent::Terminate => return send(host, Signal::SIGTERM),
            OnAgent::FreezeBriefly | OnAgent::Freeze => host.agent().freeze(),
        }
        true
    }

    fn strike_host(&mut self, kind: OnHost, host: HostId, vip: Vip) -> bool {
        match kind {
            OnHost::PowerOff => self.lab[host].power_off(),
            OnHost::Cut => self.lab.cut_from_etcd(host, Way::Both),
            OnHost::CutIn => self.lab.cut_from_etcd(host, Way::In),
            OnHost::CutOut => self.lab.cut_from_etcd(host, Way::Out),
            OnHost::Isolate => self.lab.isolate(host),
            OnHost::CutOff => {
                self.lab.isolate(host);
                self.lab.cut_from_etcd(host, Way::Both);
            }
            OnHost::Unplug | OnHost::Blip => self.lab.set_carrier(host, false),
            OnHost::Suspend => {
                self.lab[host].agent().freeze();
                self.lab.set_carrier(host, false);
            }
            OnHost::LinkDown => self.lab[host].link_down(),
            OnHost::RemoveCard => self.lab[host].remove_card(),
            OnHost::RemoveAddress => {
                let mut ip = Command::new("ip");
                ip.args(["addr", "del", &vip.to_string(), "dev", "eth0"]);
                return self.lab[host].namespace().output(&mut ip).status.success();
            }
        }
        true
    }

    fn strike_etcd(&mut self, kind: OnEtcd, aim: Aim) -> bool {
        let etcd = &mut self.lab.etcd;
        let leader = etcd.leader().unwrap_or_default();
        let member = match aim {
            Aim::Owner => leader,
            Aim::Number(number) => number,
        };
        match kind {
            OnEtcd::KillMember => etcd.kill(member),
            OnEtcd::FreezeMember => etcd.freeze_member(member),
            OnEtcd::KillAll => (0..3).for_each(|member| etcd.kill(member)),
            OnEtcd::FreezeAll => etcd.freeze(),
            OnEtcd::Restart | OnEtcd::Wipe | OnEtcd::Restore => etcd.stop(),
            OnEtcd::MoveLeader => return etcd.move_leader((leader + 1) % 3),
            OnEtcd::Compact => return etcd.compact(),
        }
        true
    }

    fn strike_lock(&self, kind: OnLock, host: HostId, vip: Vip) -> bool {
        match kind {
            OnLock::Delete => {
                let key = format!("/link/default/{}", vip.election_key());
                self.lab.etcd.changes_by_hand(&key);
                self.lab.etcd.try_ctl(&["del", &key]).is_ok()
            }
            OnLock::Revoke => self.revoke_lease(host),
            OnLock::Failover => self.fail_over(host, vip),
        }
    }

    /// Revokes the lease that a host has written down.
    fn revoke_lease(&self, host: HostId) -> bool {
        let key = format!("/link/config/{host}");
        let record = self.lab.etcd.try_ctl(&["get", "--print-value-only", &key]);
        let record = record.ok().and_then(|text| serde_json::from_str(&text).ok());
        let lease = record.and_then(|record: serde_json::Value| record["lease_id"].as_i64());
        let revoke = |lease| self.lab.etcd.try_ctl(&["lease", "revoke", &format!("{lease:x}")]);
        lease.is_some_and(|lease| revoke(lease).is_ok())
    }

    fn fail_over(&self, host: HostId, vip: Vip) -> bool {
        let Some(ip) = self.shown(host).into_iter().find(|ip| ip.ip == vip.to_string()) else {
            return false;
        };
        let path = format!("/ips/{}/failover", ip.id);
        let answer = self.lab[host].api().try_send("POST", &path, None);
        answer.is_ok_and(|answer| answer.status == 204)
    }

    /// Undoes a fault. What is wrong with that is a violation.
    pub(crate) fn heal(&mut self, struck: &Struck) -> Result<(), String> {
        if let Some(host) = struck.host.filter(|_| struck.fault.kind.is_alone()) {
            self.struck.retain(|other| *other != host);
        }
        match (struck.fault.kind, struck.host) {
            (Kind::Agent(kind), Some(host)) => return self.heal_agent(kind, host),
            (Kind::Host(kind), Some(host)) => self.heal_host(kind, host),
            (Kind::Etcd(kind), _) => self.heal_etcd(kind),
            (Kind::Service(_), _) => self.start_services(),
            (Kind::Calls, _) => self.end_calls(),
            (Kind::Around(kind), host) => self.heal_around(kind, host),
            (Kind::Lock(_) | Kind::Agent(_) | Kind::Host(_), _) => {}
        }
        Ok(())
    }

    fn heal_agent(&mut self, kind: OnAgent, host: HostId) -> Result<(), String> {
        match kind {
            OnAgent::KillBriefly | OnAgent::Kill => self.lab[host].spawn(),
            OnAgent::Reload => {}
            OnAgent::Terminate => {
                until(STOP, || self.lab[host].agent_ended().is_some());
                let status = self.lab[host].agent_ended();
                self.lab[host].spawn();
                if !status.is_some_and(|status| status.success()) {
                    return Err(format!("{host} ends with {status:?} after SIGTERM"));
                }
            }
            OnAgent::FreezeBriefly | OnAgent::Freeze => self.lab[host].agent().thaw(),
        }
        Ok(())
    }

    fn heal_host(&mut self, kind: OnHost, host: HostId) {
        match kind {
            OnHost::PowerOff => {
                self.lab[host].power_on();
                self.lab[host].spawn();
            }
            OnHost::Cut | OnHost::CutIn | OnHost::CutOut => self.lab[host].heal(),
            OnHost::Isolate => self.lab.heal_wire(),
            OnHost::CutOff => {
                self.lab.heal_wire();
                self.lab[host].heal();
            }
            OnHost::Unplug | OnHost::Blip => self.lab.set_carrier(host, true),
            OnHost::Suspend => {
                self.lab.set_carrier(host, true);
                self.lab[host].agent().thaw();
            }
            OnHost::LinkDown => self.lab[host].link_up(),
            OnHost::RemoveCard => self.lab[host].insert_card(),
            OnHost::RemoveAddress => {}
        }
    }

    fn heal_etcd(&mut self, kind: OnEtcd) {
        let etcd = &mut self.lab.etcd;
        match kind {
            OnEtcd::KillMember | OnEtcd::KillAll | OnEtcd::Restart => etcd.start_members(),
            OnEtcd::Wipe => {
                etcd.forget();
                etcd.start_members();
            }
            OnEtcd::Restore => {
                etcd.bring_back(&self.snapshot);
                etcd.start_members();
            }
            OnEtcd::FreezeMember | OnEtcd::FreezeAll => etcd.thaw(),
            OnEtcd::MoveLeader | OnEtcd::Compact => {}
        }
    }
}

/// Sends a signal to an agent, unless that was started so shortly before that it would end by it.
fn send(host: &Host, signal: Signal) -> bool {
    let is_awaited = host.agent_awaits(signal);
    if is_awaited {
        host.agent().signal(signal);
    }
    is_awaited
}
