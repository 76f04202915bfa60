//! Who has an IP, at every moment.

use link::policy::{AllFailingPolicy, LossPolicy};

use super::facts::Facts;
use super::{Audit, CALM, NOBODY, SICK};
use crate::memory_etcd::Millis;
use crate::setup::{HOSTS, HostId, IpId};
use crate::times::{DEADLINE, LOSS};
use crate::world::World;

/// Within this time an owner takes a lock back that it has passed on in vain: half a second, and a
/// request that is lost once.
pub(super) const NOT_HEARD: Millis = 3_000;

/// Within this time two owners that have heard of each other's are one again: an announcement that is
/// awaited, and the time that hosts get to agree.
pub(super) const AGREED: Millis = 1_200;

/// Nothing is wrong between a host and etcd, or on its network, and it does not wait for an answer that was
/// lost.
pub(super) fn is_connected(world: &World, host: HostId) -> bool {
    let machine = &world.hosts[host];
    let Some(agent) = &machine.agent else { return true };
    let faults = &machine.faults;
    let etcd = faults.cut_in + faults.cut_out + faults.slow + faults.late_watch;
    let network = faults.lan_in + faults.lan_out + faults.unplugged;
    let client = &agent.client;
    // Who was refused asks again when a pause is over.
    let refused = agent.elections.values().any(|election| election.refused);
    let watches = client.watch.open && client.watch.streams && !client.watch.loses_deletion;
    etcd + network == 0
        && faults.unheard_by.is_empty()
        && !waits_for_long(world, host)
        && !refused
        && watches
        && client.holds_lease()
        // Its requests are refused, though etcd says that it holds its lease.
        && !world.cluster.zombies[host]
        && agent.frozen.is_none()
        && world.etcd_serves()
        && world.cluster.service == crate::cluster::Service::Serves
}

/// Whether a host waits for an answer that was lost, or comes late.
pub(super) fn waits_for_long(world: &World, host: HostId) -> bool {
    let agent = world.hosts[host].agent.as_ref();
    let mut requests = agent.into_iter().flat_map(|agent| agent.client.requests.values());
    requests
        .any(|it| it.attempts > 1 || it.attempts == 1 && world.now + DEADLINE > it.deadline + QUICK)
}

/// Within this time a request is answered that is not lost.
const QUICK: Millis = 100;

impl Audit {
    /// Somebody has the IP, but for a while.
    pub(super) fn somebody(&mut self, now: Millis, ip: IpId, facts: &Facts) -> Result<(), String> {
        let serving: Vec<_> = facts.serving().collect();
        let of_ip = &mut self.ips[ip];
        for host in 0..HOSTS {
            let of_host = &facts.hosts[host];
            // By the policy `hold` nobody takes anything without etcd.
            let waits = of_host.loss == LossPolicy::Hold && of_host.lost;
            let able = serving.contains(&host) && of_host.healthy && !waits;
            let since = &mut of_ip.able_since[host];
            *since = able.then(|| since.unwrap_or(now));
        }
        let able = of_ip.able_since.iter().flatten().min().copied();
        let bound = facts.bound().next();
        if of_ip.bound.0 != bound {
            of_ip.bound = (bound, now);
        }
        let (None, Some(able), false) = (bound, able, facts.go) else {
            of_ip.nobody_since = None;
            self.figures.without_owner += std::mem::take(&mut of_ip.nobody);
            return Ok(());
        };
        // A lock that belongs to nobody is not taken, and shown.
        if facts.holder.as_ref().is_some_and(|holder| holder.lease == 0) {
            of_ip.nobody_since = None;
            return Ok(());
        }
        let since = (*of_ip.nobody_since.get_or_insert(now)).max(able);
        of_ip.nobody = now - since;
        let longest = &mut self.figures.longest_without_owner;
        *longest = (*longest).max(of_ip.nobody);
        // An etcd that refuses is told from one that serves when it has refused for a while.
        if of_ip.nobody > NOBODY {
            return Err(format!("nobody has the IP for {} ms", of_ip.nobody));
        }
        Ok(())
    }

    /// By the policy `none`, a host lets go at once, if etcd answers.
    pub(super) fn sick_hosts_let_go(
        &mut self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        // Without an answer of etcd to a request, the loss of etcd decides.
        let longest = SICK + DEADLINE + LOSS + self.after_refusals(world.now);
        for (host, of_host) in facts.hosts.iter().enumerate() {
            let machine = &world.hosts[host];
            let by_policy = machine.policies.all_failing == AllFailingPolicy::None;
            // An etcd that answers, but to requests too late, is not lost, and tells nothing.
            let asks = of_host.runs && machine.faults.slow == 0 && by_policy;
            let certain = super::is_certain(of_host.registered);
            let keeps = asks && certain && of_host.bound && !of_host.passes;
            let since = &mut self.ips[ip].sick_since[host];
            *since = keeps.then(|| since.unwrap_or(world.now));
            if since.is_some_and(|since| world.now > since + longest) {
                return Err(format!("{} keeps the IP though its service is dead", machine.name));
            }
        }
        Ok(())
    }

    /// An etcd that refuses is lost later than one that is silent, and so is one that was disturbed.
    fn after_refusals(&self, now: Millis) -> Millis {
        if self.active_etcd > 0 || now < self.disturbed + CALM { 2 * LOSS } else { 0 }
    }

    /// Soon after all is well, one has it, who had it on how many hosts before.
    pub(super) fn owners_agree(
        &mut self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let of_agents: Vec<_> = facts.bound().filter(|host| facts.hosts[*host].runs).collect();
        let well = (0..HOSTS).all(|host| is_connected(world, host));
        let several = of_agents.len() > 1 && well && facts.is_certain();
        let since = &mut self.ips[ip].several_since;
        *since = several.then(|| since.unwrap_or(world.now));
        if since.is_some_and(|since| world.now > since + AGREED) {
            let names: Vec<_> = of_agents.into_iter().map(crate::setup::name).collect();
            return Err(format!("bound on {names:?}, though all is well"));
        }
        Ok(())
    }

    /// An owner to whom nothing was done keeps the lock, and a quick restart is nothing.
    pub(super) fn moves_have_reasons(
        &mut self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let now = world.now;
        let belongs = matches!(world.elected(ip), link::vip::ElectionKey::Group(..));
        let joins = std::mem::replace(&mut self.ips[ip].belongs, belongs) != belongs;
        // What is freed of a group for which no host stands was away before.
        if joins {
            self.ips[ip].planned_until = 0;
        }
        // As long as an IP is on its way into a group, it may be handed to the owner of that.
        let on_its_way = joins || world.users.grouped[ip] && !belongs;
        let holder = facts.holder.as_ref().map(|holder| (holder.host.clone(), holder.lease));
        if holder == self.ips[ip].holder {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.ips[ip].holder, holder.clone());
        self.figures.moves += 1;
        let Some((name, _)) = before.filter(|_| !on_its_way) else { return Ok(()) };
        let host = (0..HOSTS).find(|host| crate::setup::name(*host) == name);
        // A lock that was written by hand.
        let Some(host) = host else { return Ok(()) };
        // An owner takes a lock back that it has passed on, if it does not hear the other.
        let from = self.ips[ip].moved.replace((name.clone(), now));
        let taken_back = from.is_some_and(|(from, at)| {
            Some(from) == holder.map(|(host, _)| host) && now <= at + NOT_HEARD
        });
        if taken_back {
            self.ips[ip].taken_back = Some(now);
        }
        let certain = super::is_certain(facts.hosts[host].registered);
        // A drained host gives an IP up as soon as another can have it.
        let keeps = certain && !facts.hosts[host].drained;
        if self.is_undisturbed(host, now) && !taken_back && keeps && self.active_service == 0 {
            return Err(format!("{name} has lost the lock for no reason"));
        }
        match self.ips[ip].quick_restart {
            Some((restarted, until)) if restarted == host && now < until => {
                Err(format!("a quick restart has moved the IP away from {name}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Make before break.
    pub(super) fn planned_moves_have_no_gap(
        &self,
        now: Millis,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let planned = now < self.ips[ip].planned_until && self.active_service == 0;
        let nobody = facts.bound().next().is_none() && !facts.go;
        let somebody_could = facts.serving().any(|host| facts.hosts[host].healthy);
        if planned && nobody && somebody_could && facts.is_certain() {
            return Err("a planned move has a gap".to_owned());
        }
        Ok(())
    }
}
