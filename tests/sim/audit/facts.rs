//! What is so at this moment of an IP.

use link::fsm::State;
use link::lock::Holder;
use link::policy::LossPolicy;
use link::store::records_prefix;
use link::vip::ElectionKey;

use crate::agent::Election;
use crate::host::Host;
use crate::memory_etcd::Millis;
use crate::setup::{GO, HOSTS, HostId, IpId, cidr};
use crate::users::Registered;
use crate::world::World;

/// After how long a host whose kernel did not take an address is given another try.
pub(super) const ADDITION_RETRY: Millis = 65_000;

/// What is so of an IP.
pub(super) struct Facts {
    pub(super) holder: Option<Holder>,
    pub(super) hosts: [OfHost; HOSTS],
    /// The machine of a Go LinK has the IP.
    pub(super) go: bool,
}

/// What is so of an IP on a host.
#[derive(Clone, Copy)]
pub(super) struct OfHost {
    pub(super) registered: Registered,
    /// The kernel has the address, and the machine has power.
    pub(super) bound: bool,
    pub(super) runs: bool,
    /// The service, the interface and the kernel are in order.
    pub(super) healthy: bool,
    /// The same, or it would be if it was not drained.
    pub(super) able: bool,
    /// Its operator wants its IPs elsewhere.
    pub(super) drained: bool,
    /// The checks alone, if there are any.
    pub(super) passes: bool,
    /// Whether it may keep the IP, if it has it.
    pub(super) serves: bool,
    pub(super) activated: bool,
    /// etcd counts as lost, as far as the keeper of the lease knows.
    pub(super) lost: bool,
    pub(super) loss: LossPolicy,
}

impl Facts {
    pub(super) fn of(world: &World, ip: IpId) -> Facts {
        let hosts = std::array::from_fn(|host| of_host(world, host, ip));
        Facts { holder: world.locks[ip].clone(), hosts, go: world.hosts[GO].has(ip) }
    }

    pub(super) fn bound(&self) -> impl Iterator<Item = HostId> {
        (0..HOSTS).filter(|host| self.hosts[*host].bound)
    }

    /// The hosts that have the IP registered for certain, and run.
    pub(super) fn serving(&self) -> impl Iterator<Item = HostId> {
        (0..HOSTS).filter(|host| {
            let of_host = &self.hosts[*host];
            of_host.runs && matches!(of_host.registered, Registered::Yes(_))
        })
    }

    pub(super) fn is_certain(&self) -> bool {
        self.hosts.iter().all(|host| super::is_certain(host.registered))
    }
}

fn of_host(world: &World, host: HostId, ip: IpId) -> OfHost {
    let machine: &Host = &world.hosts[host];
    let all = world.together(ip);
    let registered = registered_of(world, host, ip, &all);
    let agent = machine.agent.as_ref();
    let drained = agent.is_some_and(|agent| agent.core.is_drained());
    // What its election has, perhaps not any more in etcd, keeps it from all of that, too.
    let election = agent.and_then(|it| it.election(ip));
    let here: Vec<IpId> = election.iter().flat_map(|it| &it.ips).chain(&all).copied().collect();
    let passes = here.iter().all(|ip| passes(world, host, *ip));
    let stuck = here.iter().any(|ip| is_stuck(machine, *ip, world.now));
    let first = here.first().map(|first| world.users.registered[host][*first]);
    let first = match first {
        Some(Registered::Yes(wish)) => Some(wish),
        Some(Registered::No | Registered::Either) | None => None,
    };
    let able = passes && machine.faults.unplugged == 0 && !stuck;
    let serves = passes && !drained && machine.faults.unplugged == 0;
    let keeper = agent.and_then(|agent| agent.client.keeper.as_ref());
    OfHost {
        registered,
        bound: machine.has(ip),
        runs: machine.runs() && agent.is_some_and(|agent| !agent.stopping),
        healthy: serves && !stuck,
        able,
        drained,
        passes,
        serves,
        activated: agent.and_then(|it| it.election(ip)).is_some_and(is_activated),
        lost: keeper.is_none_or(|keeper| keeper.lost),
        loss: first.and_then(|wish| wish.loss).unwrap_or(machine.policies.loss),
    }
}

/// Whether a host has an IP registered, and all that belongs together with it.
fn registered_of(world: &World, host: HostId, ip: IpId, all: &[IpId]) -> Registered {
    let of = |ip: &IpId| world.users.registered[host][*ip];
    let belongs = matches!(world.elected(ip), ElectionKey::Group(..));
    let is_outside = |ip: &IpId| belongs && !wants_group(world, host, *ip);
    if all.iter().any(|ip| of(ip) == Registered::No || is_outside(ip)) {
        return Registered::No;
    }
    let open = all.iter().find(|ip| of(ip) == Registered::Either);
    open.map_or(of(&ip), |_| Registered::Either)
}

/// The record of an IP says that it is to belong to the group.
fn wants_group(world: &World, host: HostId, ip: IpId) -> bool {
    let records = world.cluster.data.get_prefix(&records_prefix(&world.hosts[host].name));
    let text = format!("\"ip\":\"{}\"", cidr(ip));
    let values = records.iter().map(|kv| String::from_utf8_lossy(&kv.value));
    values.filter(|value| value.contains(&text)).any(|value| value.contains("\"group\":\"gw\""))
}

fn passes(world: &World, host: HostId, ip: IpId) -> bool {
    let checked = match world.users.registered[host][ip] {
        Registered::Yes(wish) => wish.checked,
        Registered::No | Registered::Either => true,
    };
    !checked || world.hosts[host].faults.sick[ip] == 0
}

/// Whether the kernel does not take the address, or has not long enough for the agent to have tried.
pub(super) fn is_stuck(machine: &Host, ip: IpId, now: Millis) -> bool {
    let ended = machine.faults.stuck_until[ip];
    machine.faults.stuck[ip] > 0 || ended > 0 && now < ended + ADDITION_RETRY
}

/// Whether the kernel takes the address again, and the agent tries within this time: the IP may move.
pub(super) fn tries_again(machine: &Host, ip: IpId, now: Millis) -> bool {
    machine.faults.stuck[ip] == 0 && is_stuck(machine, ip, now)
}

pub(super) fn is_activated(election: &Election) -> bool {
    election.driver.core().state() == State::Activated
}
