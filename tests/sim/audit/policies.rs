//! What the policies promise, and what is said when something is wrong.

use link::lock::Holder;
use link::policy::{AllFailingPolicy, LossPolicy};

use super::facts::{ADDITION_RETRY, Facts, is_stuck};
use super::{Audit, CALM, SICK};
use crate::memory_etcd::Millis;
use crate::setup::{HOSTS, HostId, IPS, IpId};
use crate::times::{CHECK, LOSS};
use crate::world::World;

/// How long after the loss of etcd, or after its own recovery, a host may take to have an IP.
const TAKE: Millis = 2 * CHECK + 1_000;

/// How long a host that has lost etcd believes in an owner of whom it heard nevertheless.
const BELIEF: Millis = 15_000;

/// How long the network may take to tell that nobody has an IP, by the policy `probe`, and two hosts
/// that have it, to settle on one.
const PROBED: Millis = 3_000;

/// How long the first announcement of a new owner may take.
const ANNOUNCED: Millis = 1_000;

/// After a fault of the network, how long a client may send to the wrong host: until the refresh.
const REFRESHED: Millis = 70_000;

/// How long after the network began to stand still for a moment others are heard again for certain.
const HEARD_AGAIN: Millis = 3_000;

/// How long something may be wrong before an agent says so.
const UNTOLD: Millis = 20_000;

impl Audit {
    /// The promise of the policy `take`, and of `probe` where nobody else answers.
    pub(super) fn who_cannot_reach_etcd_takes(
        &mut self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        for (host, of_host) in facts.hosts.iter().enumerate() {
            if facts.go || facts.bound().any(|other| other != host) {
                self.ips[ip].alone_since[host] = world.now;
            }
            let machine = &world.hosts[host];
            let agent = machine.agent.as_ref();
            let election = agent.and_then(|agent| agent.election(ip));
            let keeper = agent.and_then(|agent| agent.client.keeper.as_ref());
            let (Some(able), Some(election), Some(keeper)) =
                (self.ips[ip].able_since[host], election, keeper)
            else {
                continue;
            };
            let silent = able.max(keeper.heard + LOSS) + TAKE;
            // Who heard of another owner nevertheless believes in it for a while.
            // So does one that has read nothing yet: etcd, heard for a moment, has told of the owner.
            let unread = agent.is_some_and(|agent| !agent.loaded);
            let due = if election.seen > keeper.heard || unread {
                silent.max(election.seen + BELIEF + TAKE)
            } else {
                silent
            };
            // So does who has given it up for another, though etcd was lost.
            let due = match election.yielded {
                0 => due,
                yielded => due.max(yielded + BELIEF + TAKE),
            };
            // Who never heard etcd may be configured wrongly, and asks first.
            let unheard = election.seen == 0 && agent.is_some_and(|it| it.client.known == 0);
            let due = match of_host.loss {
                LossPolicy::Take if !unheard => due,
                // Also when others ask, too, and are not what they seem.
                LossPolicy::Take | LossPolicy::Probe => {
                    let asked = self.ips[ip].alone_since[host].max(self.disturbed);
                    due.max(asked) + PROBED + BELIEF
                }
                LossPolicy::Hold => continue,
            };
            // What was of a group when it was read last is left to the hosts of the group.
            if election.holder.as_ref().is_some_and(Holder::is_group) {
                continue;
            }
            // Who still hears of other owners, or hears again, may yield.
            let deaf = machine.faults.cut_in > 0 || !world.cluster.up;
            if deaf && !of_host.bound && world.now > due {
                return Err(format!("{} has lost etcd and does not take the IP", machine.name));
            }
        }
        Ok(())
    }

    /// By the policy `keep-last`, an IP stays with the last one when the checks fail on every host.
    pub(super) fn the_last_one_keeps_it(
        &self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let keeps =
            |host: HostId| world.hosts[host].policies.all_failing == AllFailingPolicy::KeepLast;
        let all_keep = facts.serving().all(keeps) && facts.serving().next().is_some();
        let checked = facts.serving().all(|host| !facts.hosts[host].passes);
        let count = facts.bound().count();
        // Until all have noticed, it may move.
        let since = self.ips[ip].all_sick.filter(|_| all_keep && checked && facts.is_certain());
        match since {
            Some(since) if count != 1 && !facts.go && world.now > since + SICK + PROBED => {
                Err(format!("{count} hosts have the IP that the last should keep"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// By the policy `probe`, exactly one has the IP while etcd is down and the network works.
    pub(super) fn the_network_settles_it(
        &self,
        world: &World,
        facts: &Facts,
    ) -> Result<(), String> {
        let settled = self.disturbed.max(self.disturbed_wire) + LOSS + BELIEF + PROBED;
        let active = self.active_host.iter().sum::<u32>() + self.active_service;
        let only_etcd = active == 0 && !world.cluster.up && world.now >= settled;
        let all_ask = facts.serving().all(|host| facts.hosts[host].loss == LossPolicy::Probe);
        let able = facts.serving().filter(|host| facts.hosts[*host].healthy).count();
        if !only_etcd || !all_ask || able == 0 || !facts.is_certain() {
            return Ok(());
        }
        match facts.bound().count() + usize::from(facts.go) {
            1 => Ok(()),
            count => Err(format!("{count} hosts have the IP while only etcd is down")),
        }
    }

    /// What the client sends goes to the owner.
    pub(super) fn the_client_finds_it(
        &self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let heard = world.now >= self.disturbed_wire + REFRESHED
            && world.now >= self.ips[ip].bound.1 + ANNOUNCED;
        let (owner, neighbour) = (facts.bound().next(), world.neighbour[ip]);
        if heard && owner.is_some() && owner != neighbour && facts.is_certain() {
            return Err(format!("the client sends to {neighbour:?}, not to {owner:?}"));
        }
        Ok(())
    }

    /// While nobody has an IP that some host should have, somebody says that something is wrong.
    pub(super) fn somebody_says_so(
        &mut self,
        world: &World,
        ip: IpId,
        facts: &Facts,
    ) -> Result<(), String> {
        let nobody = self.ips[ip].nobody_since.is_some();
        let silent = |host: HostId| {
            let (asked, problems) = &world.users.health[host];
            *asked > 0 && problems.is_empty()
        };
        let quiet = nobody && facts.serving().all(silent);
        let since = &mut self.ips[ip].quiet_since;
        *since = quiet.then(|| since.unwrap_or(world.now));
        if since.is_some_and(|since| world.now > since + UNTOLD) {
            return Err("nobody has the IP, and every agent says that all is well".to_owned());
        }
        Ok(())
    }

    /// Who is well says so.
    pub(super) fn nobody_complains(&self, world: &World) -> Result<(), String> {
        // Who hears nobody for a moment says so, until somebody is heard again.
        let paused = self.paused.is_some_and(|at| world.now < at + HEARD_AGAIN);
        let undisturbed =
            world.now >= self.disturbed + 2 * CALM && self.active_service == 0 && !paused;
        for host in (0..HOSTS).filter(|_| undisturbed) {
            let (_, problems) = &world.users.health[host];
            let machine = &world.hosts[host];
            // It says so until it has tried again, which it does a while after it gave the IP up.
            let stuck =
                (0..IPS).any(|ip| is_stuck(machine, ip, world.now.saturating_sub(ADDITION_RETRY)));
            let twin = self.twins.are_told_of(host, self.disturbed, world.now);
            if machine.runs() && !stuck && !twin && !problems.is_empty() {
                return Err(format!("{} complains: {problems:?}", world.hosts[host].name));
            }
        }
        Ok(())
    }
}
