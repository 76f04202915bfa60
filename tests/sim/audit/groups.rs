//! A group is on a host as a whole, or not at all.

use link::lock;

use super::Audit;
use super::owners::{AGREED, NOT_HEARD, is_connected};
use crate::memory_etcd::Millis;
use crate::setup::{HOSTS, HostId, IpId, cidr, name};
use crate::world::World;

/// How long after what belongs to a group has changed all hosts stand for it: one whose watch is dead finds out when it
/// compares its keys, once a minute.
pub(super) const STANDS: Millis = 60_000 + AGREED;

impl Audit {
    /// Soon after all is well with a host, it has all that belongs to the group or nothing of that. And what belongs to the group no host
    /// owns by itself.
    pub(super) fn groups_are_whole(&mut self, world: &World) -> Result<(), String> {
        let (members, _) = world.group();
        let Some(first) = members.first().copied() else { return Ok(()) };
        for ip in &members {
            let own = world.cluster.data.get(&lock::key(cidr(*ip)));
            if let Some(kv) = own.filter(|kv| kv.lease != 0) {
                let host = String::from_utf8_lossy(&kv.value).into_owned();
                return Err(format!("{host} owns {}, which belongs to the group", cidr(*ip)));
            }
        }
        let owner = (0..HOSTS).find(|host| owns(world, *host, first));
        let is_whole = |host: HostId| members.iter().all(|ip| world.hosts[host].has(*ip));
        for host in 0..HOSTS {
            let has = members.iter().filter(|ip| world.hosts[host].has(**ip)).count();
            let stuck =
                members.iter().any(|ip| super::facts::is_stuck(&world.hosts[host], *ip, world.now));
            let runs = world.hosts[host].runs() && is_connected(world, host) && !stuck;
            // A host that does not own the group leaves what it has of it as it is until the owner has it.
            let due = owner.is_some_and(|owner| owner == host || is_whole(owner));
            let is_parted = has > 0 && has < members.len();
            let since = &mut self.ips[first].parted_since[host];
            *since = (is_parted && runs && due).then(|| since.unwrap_or(world.now));
            let within = if owner == Some(host) { AGREED } else { NOT_HEARD + AGREED };
            if since.is_some_and(|since| world.now > since + within) {
                let name = name(host);
                return Err(format!("{name} has {has} of the {} IPs of the group", members.len()));
            }
        }
        Ok(())
    }
}

/// Whether a host knows that it owns the group, which has this IP first.
fn owns(world: &World, host: HostId, first: IpId) -> bool {
    let Some(agent) = &world.hosts[host].agent else { return false };
    let lease = agent.client.keeper.as_ref().and_then(|keeper| keeper.lease);
    let holds = world.locks[first].as_ref().is_some_and(|it| Some(it.lease) == lease);
    holds && agent.election(first).is_some_and(super::facts::is_activated)
}
