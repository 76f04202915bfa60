//! What has to be when nothing has happened for a while.

use std::collections::BTreeSet;

use link::lock;
use link::store::{LocalCopy, records_prefix};

use super::facts::Facts;
use crate::setup::{self, GO, HOSTS, HostId, IPS, IpId};
use crate::users::Registered;
use crate::world::World;

/// Exactly one host has the IP, and it holds the lock. It is a healthy one, if there is any that was not
/// passed the lock in vain.
pub(super) fn exactly_one(
    world: &World,
    ip: IpId,
    facts: &Facts,
    unheard: bool,
) -> Result<(), String> {
    if !facts.is_certain() {
        return Ok(());
    }
    let bound: Vec<HostId> = facts.bound().collect();
    let names: Vec<&str> = bound.iter().map(|host| world.hosts[*host].name.as_str()).collect();
    let holder = facts.holder.as_ref().map(|holder| holder.host.as_str());
    let serving: Vec<HostId> = facts.serving().collect();
    let anybody_healthy = serving.iter().any(|host| facts.hosts[*host].healthy);
    let anybody_able = serving.iter().any(|host| facts.hosts[*host].able);
    let agree = match bound.as_slice() {
        [] if holder == Some(setup::name(GO).as_str()) => facts.go,
        [one] => {
            let fine = facts.hosts[*one].serves || !anybody_healthy || unheard;
            let lets_go = !facts.hosts[*one].serves && is_left_to_go(world, ip);
            let has_lock = holder == Some(names[0]) || holder.is_none() && lets_go;
            has_lock && serving.contains(one) && fine
        }
        // Whoever had it when all became sick may have died. A drained host has what is nobody's; from an
        // owner that fails it takes nothing.
        [] => !anybody_healthy && (holder.is_some() || !anybody_able),
        [_, _, ..] => false,
    };
    if !agree {
        return Err(format!("bound on {names:?} while {holder:?} holds the lock"));
    }
    for host in serving {
        let of_host = &facts.hosts[host];
        if of_host.healthy && of_host.bound != of_host.activated {
            return Err(format!("{} does not say what it is", world.hosts[host].name));
        }
        if of_host.healthy && !is_candidate(world, host, ip) {
            return Err(format!("{} could not be elected", world.hosts[host].name));
        }
    }
    Ok(())
}

/// A Go LinK offers the IP, or once did: its candidacy has no end, and comes back with a backup of etcd. Who is to
/// let go leaves the lock to it now and then, and has the address meanwhile.
fn is_left_to_go(world: &World, ip: IpId) -> bool {
    let key = lock::candidacy_key(world.elected(ip), &setup::name(GO));
    world.cluster.data.get(&key).is_some()
}

fn is_candidate(world: &World, host: HostId, ip: IpId) -> bool {
    let machine = &world.hosts[host];
    let keeper = machine.agent.as_ref().and_then(|agent| agent.client.keeper.as_ref());
    let lease = keeper.and_then(|keeper| keeper.lease);
    let key = world.elected(ip);
    let found = world.cluster.data.get(&lock::candidacy_key(&key, &machine.name));
    let candidate = found.and_then(|kv| lock::candidates(&key, &[kv]).pop());
    candidate.is_some_and(|candidate| candidate.available && Some(candidate.lease) == lease)
}

/// What is registered on a host is in its table, in etcd and in its local copy, and nothing else is.
pub(super) fn registrations(world: &mut World) -> Result<(), String> {
    for host in 0..HOSTS {
        let Some(list) = world.list(host) else { continue };
        let listed: BTreeSet<String> = list.iter().map(|shown| shown.ip.clone()).collect();
        let name = world.hosts[host].name.clone();
        for ip in 0..IPS {
            let text = setup::cidr(ip).to_string();
            let shown = list.iter().find(|shown| shown.ip == text);
            match (world.users.registered[host][ip], shown) {
                (Registered::Yes(_), None) => return Err(format!("{name} has lost {text}")),
                (Registered::No, Some(_)) => {
                    return Err(format!("{name} serves {text}, which nobody has registered"));
                }
                _ => {}
            }
        }
        let in_etcd = records_in_etcd(world, &name);
        if in_etcd != listed {
            return Err(format!("{name} serves {listed:?}, etcd has {in_etcd:?}"));
        }
        let copied = records_on_disk(world, host);
        if copied != listed {
            return Err(format!("{name} serves {listed:?}, its copy has {copied:?}"));
        }
        unexplained_keys(world, host, &listed)?;
        world.users.adopt(host, &list);
    }
    Ok(())
}

fn records_in_etcd(world: &World, name: &str) -> BTreeSet<String> {
    let records = world.cluster.data.get_prefix(&records_prefix(name));
    // What cannot be read, and belongs to no IP that is served, is left where it is.
    let ip = |value: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(value).ok()?;
        Some(value["ip"].as_str()?.to_owned())
    };
    records.iter().filter_map(|kv| ip(&kv.value)).collect()
}

fn records_on_disk(world: &World, host: HostId) -> BTreeSet<String> {
    let copy = world.hosts[host].disk.as_deref().and_then(|disk| LocalCopy::read(disk).ok());
    let records = copy.map_or_else(Vec::new, |copy| copy.records);
    records.iter().map(|record| record.cidr.to_string()).collect()
}

/// Locks and candidacies on the lease of a host that no IP explains.
fn unexplained_keys(world: &World, host: HostId, listed: &BTreeSet<String>) -> Result<(), String> {
    let keeper = world.hosts[host].agent.as_ref().and_then(|agent| agent.client.keeper.as_ref());
    let Some(lease) = keeper.and_then(|keeper| keeper.lease) else { return Ok(()) };
    let name = &world.hosts[host].name;
    for ip in (0..IPS).filter(|ip| !listed.contains(&setup::cidr(*ip).to_string())) {
        let cidr = setup::cidr(ip);
        let keys = [lock::key(cidr), lock::candidacy_key(cidr, name)];
        if let Some(key) =
            world.cluster.data.attached(lease).find(|it| keys.iter().any(|key| key == it))
        {
            return Err(format!("{name} keeps {key}, though {cidr} is not registered there"));
        }
    }
    Ok(())
}
