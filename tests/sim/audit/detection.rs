//! What the detection of crashes promises: an owner that lives and hears others is not replaced, a minority
//! takes nothing, and an owner that hears nobody does not stay one.

use link::election::core::Reason;
use link::lock;
use link::policy::{CrashDetection, LossPolicy};
use link::vip::Slot;

use super::facts::Facts;
use super::owners::waits_for_long;
use super::{Audit, fault_of};
use crate::fault::Fault;
use crate::memory_etcd::Millis;
use crate::setup::{self, HOSTS, HostId, IpId};
use crate::world::World;

/// How long after a fault between an agent and etcd a call may get no answer.
const RECOVERED: Millis = 6_000;

/// For so long it counts that a host has heard nobody, and that it was heard by others.
const RECENTLY: Millis = 3_000;

/// How long a host that hears nobody may have an IP that another could serve: one that was not heard itself
/// is asked once a second, and listens for longer than that.
const DEAF: Millis = 2_300;

/// The same where the others have long not been heard by it, and it not by them: until it finds out that it hears
/// nobody, says so, and is asked. It says so once a second at most.
const DEAF_AND_FAR: Millis = 3_800;

/// How long a host that was declared dead and lives is not declared dead again.
const HELD_DOWN: Millis = 65_000;

impl Audit {
    /// Notes what keeps the agents from answering each other through etcd.
    pub(super) fn note_impaired(&mut self, now: Millis, fault: Fault) {
        if !fault_of::impairs(fault) {
            return;
        }
        match fault.victims().as_slice() {
            [_, ..] if self.members && matches!(fault, Fault::PowerOff { .. }) => {
                self.impaired.fill(now);
            }
            [] => self.impaired.fill(now),
            hosts => hosts.iter().for_each(|host| self.impaired[*host] = now),
        }
    }

    /// A host has declared the host with this lease dead.
    pub(crate) fn declared_dead(world: &mut World, by: HostId, lease: i64) {
        let Some(owner) = keeper_of(world, lease) else { return };
        world.audit.declared[owner] = world.now;
        let strict = world.hosts[by].policies.crash == CrashDetection::Strict;
        let deaf = !world.hears_somebody(owner) || world.now < world.deaf_at[owner] + RECENTLY;
        if strict
            && !deaf
            && world.audit.is_served(world, owner)
            && world.audit.is_served(world, by)
        {
            let (by, owner) = (setup::name(by), setup::name(owner));
            let what = format!("{by} declares {owner} dead, which answers and hears others");
            world.audit.wrong.get_or_insert(what);
        }
    }

    /// A host takes the lease of another by order, which was asked before unless that is by force.
    pub(crate) fn fences(world: &mut World, by: HostId, lease: i64, forced: bool) {
        let Some(target) = keeper_of(world, lease).filter(|target| *target != by) else { return };
        let audit = &world.audit;
        if !forced && audit.is_served(world, target) && audit.is_served(world, by) {
            let (by, target) = (setup::name(by), setup::name(target));
            let what = format!("{by} fences {target}, which answers");
            world.audit.wrong.get_or_insert(what);
        }
    }

    /// A host loses its lease by the order of another, perhaps long after that was sent.
    pub(crate) fn fenced_now(world: &mut World, by: HostId, lease: i64) {
        if let Some(host) = keeper_of(world, lease).filter(|host| *host != by) {
            Audit::fault(world, Fault::Revoke { host });
        }
    }

    /// Requests of a host are carried out, and its watch tells it what there is.
    fn is_served(&self, world: &World, host: HostId) -> bool {
        let machine = &world.hosts[host];
        let faults = &machine.faults;
        let cut = faults.cut_in + faults.cut_out + faults.slow + faults.late_watch;
        let watches = machine.agent.as_ref().is_some_and(|agent| {
            let watch = &agent.client.watch;
            watch.open && watch.streams && !agent.stopping && agent.client.holds_lease()
        });
        let etcd = world.etcd_serves() && world.cluster.service == crate::cluster::Service::Serves;
        machine.runs() && cut == 0 && watches && etcd && world.now > self.impaired[host] + RECOVERED
    }

    /// A host has taken an IP by itself: if not for the loss of etcd, it has a majority behind it, of those
    /// candidates of which it can know.
    pub(crate) fn taken_without_etcd(world: &mut World, host: HostId, slot: Slot) {
        let Some(agent) = &world.hosts[host].agent else { return };
        let Some(election) = agent.elections.get(&slot) else { return };
        let core = election.driver.core();
        let Reason::OwnerMissed(owner) = core.reason() else { return };
        let (cidr, key) = (election.cidr, &election.key);
        let found = world.cluster.data.get_prefix(&lock::candidacy_key(key, ""));
        let mut others = lock::candidates(key, &found);
        // A candidacy becomes known with the key of its agent, which is written after it.
        let known = |name: &str, written| {
            let agents = world.cluster.data.get(&format!("/link/agents/{name}"));
            agents.is_some_and(|kv| (written..=agent.client.known).contains(&kv.mod_revision))
        };
        others.retain(|it| {
            it.host != owner && it.host != setup::name(host) && known(&it.host, it.written)
        });
        let all = others.len() + 2;
        // A host that is no candidate any more misses the owner as well as any.
        let votes = 1
            + (0..HOSTS)
                .filter(|other| *other != host && setup::name(*other) != owner)
                .filter(|other| world.audit.heard(world, host, *other))
                .count();
        let two = all == 2 && loss_of(world, host, election.ip) != LossPolicy::Hold;
        if votes * 2 <= all && !two {
            let text = format!("{} takes {cidr} with {votes} of {all}", setup::name(host));
            world.audit.wrong.get_or_insert(text);
        }
    }

    /// What the other said was heard lately.
    fn heard(&self, world: &World, host: HostId, other: HostId) -> bool {
        let hears = world.hosts[other].reaches(&world.hosts[host]);
        hears || world.now < self.disturbed_wire + RECENTLY
    }

    /// A host that hears nobody does not own an IP for long that another candidate could serve.
    pub(super) fn deaf_hosts_let_go(
        &mut self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        // What another host has left behind is heard in its place.
        let alone = facts.bound().next().filter(|_| !facts.go && facts.bound().count() == 1);
        let owner = alone.filter(|owner| self.is_deaf_for_others(world, ip, *owner));
        let last = self.ips[ip].deaf.filter(|(host, _)| Some(*host) == owner);
        let since = owner.map(|owner| last.unwrap_or((owner, world.now)));
        self.ips[ip].deaf = since;
        let Some((owner, since)) = since else { return Ok(()) };
        let declared = self.declared[owner];
        let held_down = declared > 0 && since < declared + HELD_DOWN;
        let others = facts.serving().filter_map(|it| self.could_replace(world, ip, owner, it));
        let Some(patience) = others.min() else {
            self.ips[ip].deaf = Some((owner, world.now));
            return Ok(());
        };
        if !held_down && world.now > since + patience {
            return Err(format!("{} hears nobody and keeps the IP", setup::name(owner)));
        }
        Ok(())
    }

    /// A host that has heard nobody for a while does not take a lock that is free, or a dead owner's, where
    /// another candidate could.
    pub(super) fn deaf_hosts_come_last(
        &self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let host_of = |name: &str| (0..HOSTS).find(|host| setup::name(*host) == name);
        let before = &self.ips[ip].holder;
        let before_runs = before.as_ref().is_some_and(|(name, _)| {
            host_of(name).is_none_or(|host| world.hosts[host].agent.is_some())
        });
        let holder = facts.holder.as_ref().filter(|holder| {
            before.as_ref().is_none_or(|before| before.0 != holder.host) && !before_runs
        });
        let Some(taker) = holder.and_then(|holder| host_of(&holder.host)) else { return Ok(()) };
        let deaf = world.now > world.heard_at[taker] + RECENTLY;
        let could = |other: HostId| {
            let able = self.ips[ip].able_since[other];
            able.is_some_and(|since| world.now > since + RECENTLY)
                && other != taker
                && !waits_for_long(world, other)
                && facts.holder.as_ref().is_some_and(|holder| holder.lease != 0)
                && self.is_candidate_that_hears(world, ip, other)
        };
        if deaf && facts.is_certain() && facts.serving().any(could) {
            return Err(format!("{} takes it and hears nobody", setup::name(taker)));
        }
        Ok(())
    }

    fn is_deaf_for_others(&self, world: &World, ip: IpId, owner: HostId) -> bool {
        let holder = world.locks[ip].as_ref().map(|holder| holder.lease);
        let machine = &world.hosts[owner];
        let keeper = machine.agent.as_ref().and_then(|it| it.client.keeper.as_ref());
        let holds = holder.is_some() && keeper.and_then(|keeper| keeper.lease) == holder;
        holds
            && machine.faults.unplugged == 0
            && !world.hears_somebody(owner)
            && self.is_served(world, owner)
    }

    /// It is served by etcd, hears others, and has heard the owner before: how long that may take.
    fn could_replace(
        &self,
        world: &World,
        ip: IpId,
        owner: HostId,
        other: HostId,
    ) -> Option<Millis> {
        let agent = world.hosts[other].agent.as_ref();
        let all = agent.into_iter().flat_map(|agent| agent.elections.values());
        // What another host has as well is heard from that one.
        let alone = |ip: IpId| world.hosts.iter().all(|it| it.has(ip) == (it.id == owner));
        let mut known = all.filter(|it| alone(it.ip)).filter_map(|it| it.monitoring);
        let monitoring = known.find(|monitoring| monitoring.known)?;
        let could = other != owner && self.is_candidate_that_hears(world, ip, other);
        could.then(|| if monitoring.is_long_silent() { DEAF_AND_FAR } else { DEAF })
    }

    /// It is served by etcd, and hears others.
    fn is_candidate_that_hears(&self, world: &World, ip: IpId, other: HostId) -> bool {
        let machine = &world.hosts[other];
        let election = machine.agent.as_ref().and_then(|agent| agent.election(ip));
        let candidate = election.is_some_and(|it| it.driver.core().candidacy().is_some());
        candidate
            && machine.policies.crash != CrashDetection::Off
            && machine.faults.unplugged == 0
            && world.hears_neighbours(other, ip)
            && self.active_service == 0
            && self.is_served(world, other)
    }
}

/// The host whose agent keeps this lease.
fn keeper_of(world: &World, lease: i64) -> Option<HostId> {
    let keeps = |host: &HostId| {
        let agent = world.hosts[*host].agent.as_ref();
        let keeper = agent.and_then(|agent| agent.client.keeper.as_ref());
        keeper.is_some_and(|keeper| keeper.lease == Some(lease))
    };
    (0..HOSTS).find(keeps)
}

fn loss_of(world: &World, host: HostId, ip: IpId) -> LossPolicy {
    Facts::of(world, ip).hosts[host].loss
}
