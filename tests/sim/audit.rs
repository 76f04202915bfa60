//! The invariants, looked at after every step.

use std::fmt;

use crate::agent::{Agent, CHECK, FALL, LOSS};
use crate::faults::{Fault, HostId};
use crate::world::{Millis, World};

/// How long after the last fault everything must be well: the safety read of a watch that died
/// without a word, a request without an answer, and its repetition.
const CALM: Millis = 20_000;

/// How long nobody may have the IP, whatever happens, while a healthy host runs: a lease that begins
/// again whenever etcd does, and all that [`CALM`] is for.
const NOBODY: Millis = 60_000;

/// How long a host may keep the IP while its service does not answer.
const SICK: Millis = CHECK * (FALL as Millis + 1) + 500;

/// How long after the loss of etcd, or after its own recovery, a host may take to have the IP.
const TAKE: Millis = 2 * CHECK;

/// How long a host that has lost etcd believes in an owner of whom it heard nevertheless.
const BELIEF: Millis = 15_000;

/// How long a restart is watched that must not move anything.
const AFTER_RESTART: Millis = 8_000;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: Millis,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}.{:03} s: {}", self.at / 1000, self.at % 1000, self.what)
    }
}

/// What has to be remembered to judge.
#[derive(Debug)]
pub(crate) struct Audit {
    /// The last time that anything was done to all, or to one host.
    disturbed: Millis,
    disturbed_host: Vec<Millis>,
    active: u32,
    active_on: Vec<u32>,
    nobody_since: Option<Millis>,
    able_since: Vec<Option<Millis>>,
    sick_since: Vec<Option<Millis>>,
    holder: Option<(String, i64)>,
    /// A restart that must not move the IP, and until when.
    quick_restart: Option<(HostId, Millis)>,
    /// The longest times seen, in milliseconds.
    pub(crate) longest_without_owner: Millis,
    pub(crate) moves: u64,
}

impl Audit {
    pub(crate) fn new(hosts: usize) -> Audit {
        Audit {
            disturbed: 0,
            disturbed_host: vec![0; hosts],
            active: 0,
            active_on: vec![0; hosts],
            nobody_since: None,
            able_since: vec![None; hosts],
            sick_since: vec![None; hosts],
            holder: None,
            quick_restart: None,
            longest_without_owner: 0,
            moves: 0,
        }
    }

    pub(crate) fn fault(&mut self, now: Millis, fault: Fault, agents: &[Agent]) {
        let quick = match restarted_quickly(fault) {
            Some((host, after)) if self.calm(now) && agents[host].activated() => {
                Some((host, after))
            }
            Some(_) | None => None,
        };
        self.quick_restart = quick.map(|(host, after)| (host, now + after + AFTER_RESTART));
        self.disturb(now, fault);
        if lasts(fault) {
            self.active += 1;
            if let Some(host) = victim(fault) {
                self.active_on[host] += 1;
            }
        }
    }

    pub(crate) fn heal(&mut self, now: Millis, fault: Fault) {
        self.active -= 1;
        if let Some(host) = victim(fault) {
            self.active_on[host] -= 1;
        }
        self.disturb(now, fault);
    }

    fn disturb(&mut self, now: Millis, fault: Fault) {
        self.disturbed = now;
        match victim(fault) {
            Some(host) => self.disturbed_host[host] = now,
            None => self.disturbed_host.fill(now),
        }
    }

    /// True when nothing was done for long enough, to anybody.
    fn calm(&self, now: Millis) -> bool {
        self.active == 0 && now >= self.disturbed + CALM
    }

    /// True when nothing was done for long enough, to this host.
    fn undisturbed(&self, host: HostId, now: Millis) -> bool {
        self.active_on[host] == 0 && now >= self.disturbed_host[host] + CALM
    }

    pub(crate) fn look(world: &mut World) -> Result<(), Violation> {
        let mut audit = std::mem::replace(world.audit(), Audit::new(0));
        let result = audit.judge(world);
        *world.audit() = audit;
        result.map_err(|what| Violation { at: world.now, what })
    }

    fn judge(&mut self, world: &World) -> Result<(), String> {
        self.somebody(world)?;
        self.who_cannot_reach_etcd_takes(world)?;
        self.sick_hosts_let_go(world)?;
        self.moves_have_reasons(world)?;
        if self.calm(world.now) { exactly_one(world) } else { Ok(()) }
    }

    /// I1: somebody has the IP, but for a while.
    fn somebody(&mut self, world: &World) -> Result<(), String> {
        for (able, agent) in self.able_since.iter_mut().zip(&world.agents) {
            *able = (agent.runs() && agent.healthy).then(|| able.unwrap_or(world.now));
        }
        let bound = world.agents.iter().any(|agent| agent.power && agent.bound);
        let able = self.able_since.iter().flatten().min();
        let (false, Some(able)) = (bound, able) else {
            self.nobody_since = None;
            return Ok(());
        };
        let since = (*self.nobody_since.get_or_insert(world.now)).max(*able);
        let nobody = world.now - since;
        self.longest_without_owner = self.longest_without_owner.max(nobody);
        if nobody > NOBODY { Err(format!("nobody has the IP for {nobody} ms")) } else { Ok(()) }
    }

    /// The promise of the policy `take`.
    fn who_cannot_reach_etcd_takes(&self, world: &World) -> Result<(), String> {
        for (able, agent) in self.able_since.iter().zip(&world.agents) {
            let Some(able) = able else { continue };
            let silent = (*able).max(agent.heard + LOSS) + TAKE;
            // Who heard of another owner nevertheless believes in it for a while.
            let due = if agent.seen > agent.heard {
                silent.max(agent.seen + BELIEF + TAKE)
            } else {
                silent
            };
            // Who still hears of other owners, or hears again, may yield.
            let deaf = agent.cut_in > 0 || !world.etcd.up;
            if deaf && !agent.bound && world.now > due {
                return Err(format!("{} has lost etcd and does not take the IP", agent.name));
            }
        }
        Ok(())
    }

    fn sick_hosts_let_go(&mut self, world: &World) -> Result<(), String> {
        for (sick, agent) in self.sick_since.iter_mut().zip(&world.agents) {
            let keeps = agent.runs() && agent.bound && !agent.healthy;
            *sick = keeps.then(|| sick.unwrap_or(world.now));
            if sick.is_some_and(|since| world.now > since + SICK) {
                return Err(format!("{} keeps the IP though its service is dead", agent.name));
            }
        }
        Ok(())
    }

    /// I6: an owner to whom nothing was done keeps the lock, and a quick restart is nothing.
    fn moves_have_reasons(&mut self, world: &World) -> Result<(), String> {
        let holder = world.etcd.data.lock.as_ref();
        let holder = holder.map(|(holder, _)| (holder.host.clone(), holder.lease));
        if holder == self.holder {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.holder, holder);
        self.moves += 1;
        let Some((name, _)) = before else {
            return Ok(());
        };
        let host = world.agents.iter().position(|agent| agent.name == name);
        let host = host.expect("only agents take the lock");
        if self.undisturbed(host, world.now) {
            return Err(format!("{name} has lost the lock for no reason"));
        }
        match self.quick_restart {
            Some((restarted, until)) if restarted == host && world.now < until => {
                Err(format!("a quick restart has moved the IP away from {name}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// I2, I5, I8: when all is well exactly one host has the IP, and it holds the lock.
fn exactly_one(world: &World) -> Result<(), String> {
    let bound: Vec<_> = world.agents.iter().filter(|agent| agent.bound).collect();
    let names: Vec<_> = bound.iter().map(|agent| agent.name.as_str()).collect();
    let holder = world.etcd.data.lock.as_ref().map(|(holder, _)| holder.host.as_str());
    if names.len() != 1 || holder != Some(names[0]) {
        return Err(format!("bound on {names:?} while {holder:?} holds the lock"));
    }
    if let Some(liar) = world.agents.iter().find(|agent| agent.bound != agent.activated()) {
        return Err(format!("{} says {}", liar.name, liar.core.state()));
    }
    match world.agents.iter().find(|agent| !world.etcd.offers(&agent.name, agent.lease)) {
        Some(agent) => Err(format!("{} could not be elected", agent.name)),
        None => Ok(()),
    }
}

/// The host to which a fault is done; nothing if to all.
fn victim(fault: Fault) -> Option<HostId> {
    match fault {
        Fault::Cut { host, .. }
        | Fault::Slow { host, .. }
        | Fault::Restart { host, .. }
        | Fault::PowerOff { host, .. }
        | Fault::Freeze { host, .. }
        | Fault::Sick { host, .. }
        | Fault::DeadWatch { host }
        | Fault::Revoke { host }
        | Fault::Failover { host }
        | Fault::LockNow { host } => Some(host),
        Fault::EtcdDown { .. } | Fault::LeaderChange | Fault::Restore | Fault::DeleteLock => None,
    }
}

/// A restart that is over before the lease is.
fn restarted_quickly(fault: Fault) -> Option<(HostId, Millis)> {
    if let Fault::Restart { host, after } = fault
        && after <= 1_500
    {
        return Some((host, after));
    }
    None
}

/// Whether a fault is healed later.
pub(crate) fn lasts(fault: Fault) -> bool {
    match fault {
        Fault::Cut { .. }
        | Fault::Slow { .. }
        | Fault::Restart { .. }
        | Fault::PowerOff { .. }
        | Fault::Freeze { .. }
        | Fault::Sick { .. }
        | Fault::EtcdDown { .. } => true,
        Fault::LeaderChange
        | Fault::Restore
        | Fault::DeadWatch { .. }
        | Fault::DeleteLock
        | Fault::Revoke { .. }
        | Fault::Failover { .. }
        | Fault::LockNow { .. } => false,
    }
}
