//! The invariants, looked at after every step.

use std::fmt;

use link::policy::{AllFailingPolicy, LossPolicy};

use crate::agent::{Agent, CHECK, FALL, LOSS};
use crate::faults::{Fault, HostId};
use crate::world::{DEADLINE, Millis, World};

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

/// How long the network may take to tell that nobody has the IP, by the policy `probe`, and two hosts
/// that have it, to settle on one.
const PROBED: Millis = 3_000;

/// After a fault of the network, how long the client may send to the wrong host: until the refresh.
const REFRESHED: Millis = 70_000;

/// Within this time an owner takes a lock back that it has passed on in vain: half a second, and a
/// request that is lost once.
const NOT_HEARD: Millis = 3_000;

/// How long a planned move is watched, during which somebody has the IP at every moment.
const PLANNED: Millis = 6_000;

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
    active_sick: u32,
    active_etcd: u32,
    active_on: Vec<u32>,
    nobody_since: Option<Millis>,
    able_since: Vec<Option<Millis>>,
    sick_since: Vec<Option<Millis>>,
    holder: Option<(String, i64)>,
    /// The revision of etcd up to which each host has heard of it before it last lost it.
    lost_from: Vec<i64>,
    was_lost: Vec<bool>,
    /// Who held the lock before, and until when.
    moved: Option<(String, Millis)>,
    /// A restart that must not move the IP, and until when.
    quick_restart: Option<(HostId, Millis)>,
    /// Until when somebody must have the IP at every moment.
    planned_until: Millis,
    /// The last fault of the network.
    disturbed_wire: Millis,
    /// When the last other host was seen to have the IP, by host.
    alone_since: Vec<Millis>,
    /// Since when all hosts are sick, if all was well before and nothing has happened since.
    all_sick: Option<Millis>,
    /// When etcd was last restored: its word counts, also of the dead.
    restored: Millis,
    /// The host that alone had the IP.
    last: Option<HostId>,
    /// The longest times seen, in milliseconds.
    pub(crate) longest_without_owner: Millis,
    pub(crate) without_owner: Millis,
    nobody: Millis,
    pub(crate) moves: u64,
}

impl Audit {
    pub(crate) fn new(hosts: usize) -> Audit {
        Audit {
            disturbed: 0,
            disturbed_host: vec![0; hosts],
            active: 0,
            active_sick: 0,
            active_etcd: 0,
            active_on: vec![0; hosts],
            nobody_since: None,
            able_since: vec![None; hosts],
            sick_since: vec![None; hosts],
            holder: None,
            lost_from: vec![0; hosts],
            was_lost: vec![false; hosts],
            moved: None,
            quick_restart: None,
            planned_until: 0,
            disturbed_wire: 0,
            alone_since: vec![0; hosts],
            all_sick: None,
            restored: 0,
            last: None,
            longest_without_owner: 0,
            without_owner: 0,
            nobody: 0,
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
        let planned = matches!(fault, Fault::Failover { .. } | Fault::Stop { .. });
        let well = self.calm(now) && self.active_sick == 0;
        self.planned_until = if planned && well { now + PLANNED } else { 0 };
        let sick = matches!(fault, Fault::AllSick { .. });
        self.all_sick = (sick && well).then_some(now);
        self.disturb(now, fault);
        if fault == Fault::Restore {
            self.restored = now;
        }
        if lasts(fault) {
            *self.active(fault) += 1;
            victims(fault).into_iter().for_each(|host| self.active_on[host] += 1);
        }
    }

    /// Faults that go on, those apart that make hosts sick and those of etcd: what has to be is
    /// told for them, too.
    fn active(&mut self, fault: Fault) -> &mut u32 {
        if matches!(fault, Fault::Sick { .. } | Fault::AllSick { .. }) {
            &mut self.active_sick
        } else if matches!(fault, Fault::EtcdDown { .. }) {
            &mut self.active_etcd
        } else {
            &mut self.active
        }
    }

    pub(crate) fn heal(&mut self, now: Millis, fault: Fault) {
        *self.active(fault) -= 1;
        self.all_sick = None;
        victims(fault).into_iter().for_each(|host| self.active_on[host] -= 1);
        self.disturb(now, fault);
    }

    fn disturb(&mut self, now: Millis, fault: Fault) {
        self.disturbed = now;
        if matches!(fault, Fault::Isolated { .. } | Fault::Parted { .. } | Fault::Unplugged { .. })
        {
            self.disturbed_wire = now;
        }
        match victims(fault).as_slice() {
            [] => self.disturbed_host.fill(now),
            hosts => hosts.iter().for_each(|host| self.disturbed_host[*host] = now),
        }
    }

    /// True when nothing was done for long enough, to anybody; but hosts may be sick all the time.
    fn calm(&self, now: Millis) -> bool {
        self.active == 0 && self.active_etcd == 0 && now >= self.disturbed + CALM
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
        self.planned_moves_have_no_gap(world)?;
        self.nobody_lets_go_for_the_dead(world)?;
        self.the_last_one_keeps_it(world)?;
        self.the_network_settles_it(world)?;
        if !self.calm(world.now) {
            return Ok(());
        }
        exactly_one(world)?;
        self.the_client_finds_it(world)
    }

    /// Make before break.
    fn planned_moves_have_no_gap(&self, world: &World) -> Result<(), String> {
        let planned = world.now < self.planned_until && self.active_sick == 0;
        let nobody = !world.agents.iter().any(|agent| agent.power && agent.bound);
        if planned && nobody { Err("a planned move has a gap".to_owned()) } else { Ok(()) }
    }

    /// An owner that has died is no reason for a host that took the IP without etcd to let go of what
    /// nobody else has.
    fn nobody_lets_go_for_the_dead(&mut self, world: &World) -> Result<(), String> {
        for (host, agent) in world.agents.iter().enumerate() {
            if agent.lost && !self.was_lost[host] {
                self.lost_from[host] = agent.known;
            }
            // Its next life knows nothing of that.
            if !agent.runs() {
                self.lost_from[host] = 0;
            }
            self.was_lost[host] = agent.lost;
        }
        let agents = world.agents.iter().enumerate();
        let mut bound = agents.filter(|(_, agent)| agent.power && agent.bound);
        let (first, second) = (bound.next().map(|(host, _)| host), bound.next());
        let last = std::mem::replace(&mut self.last, first.filter(|_| second.is_none()));
        let (None, Some(last), Some(holder)) = (first, last, world.etcd.holder()) else {
            return Ok(());
        };
        let owner = world.agents.iter().find(|agent| agent.name == holder.host);
        let was_back = world.etcd.offered_after(&holder.host, self.lost_from[last]);
        let dead = owner.is_some_and(|owner| !owner.power) && world.now >= self.restored + CALM;
        let agent = &world.agents[last];
        let able = agent.runs() && agent.is_healthy() && agent.unplugged == 0 && !agent.leaving;
        if dead && !was_back && able {
            return Err(format!(
                "{} lets go of the IP for {}, which is dead",
                agent.name, holder.host
            ));
        }
        Ok(())
    }

    /// By the policy `keep-last`, the IP stays with the last one when the checks fail on every host.
    fn the_last_one_keeps_it(&self, world: &World) -> Result<(), String> {
        let keeps = world.policies.all_failing == AllFailingPolicy::KeepLast;
        let all_sick = self.all_sick.filter(|_| keeps);
        let count = world.agents.iter().filter(|agent| agent.bound).count();
        // Until all have noticed, it may move.
        let noticed = all_sick.is_some_and(|since| world.now > since + SICK + PROBED);
        match count {
            1 => Ok(()),
            _ if noticed => Err(format!("{count} hosts have the IP that the last should keep")),
            _ => Ok(()),
        }
    }

    /// By the policy `probe`, exactly one has the IP while etcd is down and the network works.
    fn the_network_settles_it(&self, world: &World) -> Result<(), String> {
        let settled = self.disturbed.max(self.disturbed_wire) + LOSS + BELIEF + PROBED;
        let only_etcd = self.active == 0 && self.active_sick == 0 && !world.etcd.up;
        if world.policies.loss != LossPolicy::Probe || !only_etcd || world.now < settled {
            return Ok(());
        }
        match world.agents.iter().filter(|agent| agent.bound).count() {
            1 => Ok(()),
            count => Err(format!("{count} hosts have the IP while only etcd is down")),
        }
    }

    /// I3: what the client sends goes to the owner.
    fn the_client_finds_it(&self, world: &World) -> Result<(), String> {
        let owner = world.agents.iter().position(|agent| agent.bound);
        let heard = world.now >= self.disturbed_wire + REFRESHED;
        if heard && owner.is_some() && owner != world.neighbour {
            return Err(format!("the client sends to {:?}, not to {owner:?}", world.neighbour));
        }
        Ok(())
    }

    /// I1: somebody has the IP, but for a while.
    fn somebody(&mut self, world: &World) -> Result<(), String> {
        for (able, agent) in self.able_since.iter_mut().zip(&world.agents) {
            // By the policy `hold` nobody takes anything without etcd.
            let waits = world.policies.loss == LossPolicy::Hold && agent.lost;
            let able_now = agent.runs() && agent.is_healthy() && agent.unplugged == 0 && !waits;
            *able = able_now.then(|| able.unwrap_or(world.now));
        }
        let bound = world.agents.iter().any(|agent| agent.power && agent.bound);
        let able = self.able_since.iter().flatten().min();
        let (false, Some(able)) = (bound, able) else {
            self.nobody_since = None;
            self.without_owner += std::mem::take(&mut self.nobody);
            return Ok(());
        };
        let since = (*self.nobody_since.get_or_insert(world.now)).max(*able);
        let nobody = world.now - since;
        self.nobody = nobody;
        self.longest_without_owner = self.longest_without_owner.max(nobody);
        if nobody > NOBODY { Err(format!("nobody has the IP for {nobody} ms")) } else { Ok(()) }
    }

    /// The promise of the policy `take`, and of `probe` where nobody else answers.
    fn who_cannot_reach_etcd_takes(&mut self, world: &World) -> Result<(), String> {
        for (host, agent) in world.agents.iter().enumerate() {
            let others = world.agents.iter().enumerate().filter(|(other, _)| *other != host);
            if others.into_iter().any(|(_, other)| other.power && other.bound) {
                self.alone_since[host] = world.now;
            }
            let Some(able) = self.able_since[host] else { continue };
            let silent = able.max(agent.heard + LOSS) + TAKE;
            // Who heard of another owner nevertheless believes in it for a while.
            let due = if agent.seen > agent.heard {
                silent.max(agent.seen + BELIEF + TAKE)
            } else {
                silent
            };
            let due = match world.policies.loss {
                LossPolicy::Take => due,
                // Also when others ask, too, and are not what they seem.
                LossPolicy::Probe => {
                    let asked = self.alone_since[host].max(self.disturbed);
                    due.max(asked) + PROBED + BELIEF
                }
                LossPolicy::Hold => continue,
            };
            // Who still hears of other owners, or hears again, may yield.
            let deaf = agent.cut_in > 0 || !world.etcd.up;
            if deaf && !agent.bound && world.now > due {
                return Err(format!("{} has lost etcd and does not take the IP", agent.name));
            }
        }
        Ok(())
    }

    /// By the policy `none` at once, if etcd answers; by `keep-last` when there is somebody to take it
    /// ([`exactly_one`]).
    fn sick_hosts_let_go(&mut self, world: &World) -> Result<(), String> {
        if world.policies.all_failing == AllFailingPolicy::KeepLast {
            return Ok(());
        }
        for (sick, agent) in self.sick_since.iter_mut().zip(&world.agents) {
            // An etcd that answers, but to requests too late, is not lost, and tells nothing.
            let asks = agent.runs() && agent.slow == 0;
            let keeps = asks && agent.bound && !agent.is_healthy();
            *sick = keeps.then(|| sick.unwrap_or(world.now));
            // Without an answer of etcd to a request, the loss of etcd decides.
            if sick.is_some_and(|since| world.now > since + SICK + DEADLINE + LOSS) {
                return Err(format!("{} keeps the IP though its service is dead", agent.name));
            }
        }
        Ok(())
    }

    /// I6: an owner to whom nothing was done keeps the lock, and a quick restart is nothing.
    fn moves_have_reasons(&mut self, world: &World) -> Result<(), String> {
        let holder = world.etcd.holder().map(|holder| (holder.host, holder.lease));
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
        // An owner takes a lock back that it has passed on, if it does not hear the other.
        let from = self.moved.replace((name.clone(), world.now));
        let seized = from.is_some_and(|(from, at)| {
            Some(from) == self.holder.as_ref().map(|(host, _)| host.clone())
                && world.now <= at + NOT_HEARD
        });
        if self.undisturbed(host, world.now) && !seized {
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

/// I2, I5, I8: when all is well exactly one host has the IP, and it holds the lock. It is a healthy
/// one, if there is any.
fn exactly_one(world: &World) -> Result<(), String> {
    let bound: Vec<_> = world.agents.iter().filter(|agent| agent.bound).collect();
    let names: Vec<_> = bound.iter().map(|agent| agent.name.as_str()).collect();
    let healthy = |agent: &&Agent| agent.is_healthy();
    let holder = world.etcd.holder().map(|holder| holder.host);
    let holder = holder.as_deref();
    let agree = match names.as_slice() {
        [one] => {
            holder == Some(one) && (healthy(&bound[0]) || !world.agents.iter().any(|a| healthy(&a)))
        }
        // Whoever had it when all became sick may have died.
        [] => !world.agents.iter().any(|agent| healthy(&agent)),
        [_, _, ..] => false,
    };
    if !agree {
        return Err(format!("bound on {names:?} while {holder:?} holds the lock"));
    }
    let lies = |agent: &&Agent| agent.bound != agent.activated() && healthy(agent);
    if let Some(liar) = world.agents.iter().find(lies) {
        return Err(format!("{} says {}", liar.name, liar.driver.core().state()));
    }
    let offers = |agent: &&Agent| world.etcd.offers(&agent.name, agent.lease);
    match world.agents.iter().find(|agent| healthy(agent) && !offers(agent)) {
        Some(agent) => Err(format!("{} could not be elected", agent.name)),
        None => Ok(()),
    }
}

/// The hosts to which a fault is done; none if to all.
fn victims(fault: Fault) -> Vec<HostId> {
    match fault {
        Fault::Cut { host, .. }
        | Fault::Slow { host, .. }
        | Fault::Restart { host, .. }
        | Fault::PowerOff { host, .. }
        | Fault::Freeze { host, .. }
        | Fault::Sick { host, .. }
        | Fault::Stop { host, .. }
        | Fault::Isolated { host, .. }
        | Fault::Unplugged { host, .. }
        | Fault::DeadWatch { host }
        | Fault::Revoke { host }
        | Fault::Failover { host }
        | Fault::LockNow { host } => vec![host],
        Fault::Parted { from, to, .. } => vec![from, to],
        Fault::EtcdDown { .. }
        | Fault::AllSick { .. }
        | Fault::LeaderChange
        | Fault::Restore
        | Fault::DeleteLock => Vec::new(),
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
        | Fault::Stop { .. }
        | Fault::Sick { .. }
        | Fault::AllSick { .. }
        | Fault::Isolated { .. }
        | Fault::Parted { .. }
        | Fault::Unplugged { .. }
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
