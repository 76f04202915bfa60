//! What is so at this moment of an IP.

use link::fsm::State;
use link::lock::Holder;
use link::policy::LossPolicy;

use crate::agent::Election;
use crate::host::Host;
use crate::memory_etcd::Millis;
use crate::setup::{GO, HOSTS, HostId, IpId, Wish};
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
    let registered = world.users.registered[host][ip];
    let wish = match registered {
        Registered::Yes(wish) => Some(wish),
        Registered::No | Registered::Either => None,
    };
    let checked = wish.is_none_or(|wish: Wish| wish.checked);
    let agent = machine.agent.as_ref();
    let drained = agent.is_some_and(|agent| agent.core.is_drained());
    let passes = !checked || machine.faults.sick[ip] == 0;
    let stuck = is_stuck(machine, ip, world.now);
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
        loss: wish.and_then(|wish| wish.loss).unwrap_or(machine.policies.loss),
    }
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
