//! What a host has in etcd that ends with its leases: what is taken from it when it is fenced.

use std::collections::{BTreeMap, BTreeSet};

use super::host::{HOSTS, host_key, read_host};
use crate::call;
use crate::etcd::{Kv, Op, Reply, Txn};
use crate::lock;
use crate::network::Mac;
use crate::sorted::{map_of, set_of, sort_by};
use crate::vip::Cidr;

/// What etcd has of a host, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The hosts that there are, by name; the host itself, if it is one.
    pub hosts: BTreeSet<String>,
    /// Its leases: those with a lock, a candidacy or the presence of it, and the one that it has written down. None
    /// of them is the lease of another host.
    pub leases: BTreeSet<i64>,
    /// Its agent answers calls: since that revision it says so as it does.
    pub presence: Option<i64>,
    /// The revision at which it has written its lease down; 0 if it never has.
    pub written: i64,
    /// The IPs that it owns, by address.
    pub owned: Vec<Owned>,
}

/// An IP that a host owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The IP.
    pub cidr: Cidr,
    /// The hardware address of the owner's interface, if it tells it.
    pub hardware_address: Option<Mac>,
    /// Another host is a candidate, and available.
    pub others: bool,
}

/// Reads everything on leases, and the hosts.
pub(super) fn txn() -> Txn {
    let prefixes = [lock::PREFIX, lock::CANDIDACIES, HOSTS, call::PREFIX];
    Txn::unconditional(prefixes.map(|prefix| Op::GetPrefix(prefix.to_owned())).into())
}

/// What is found of a host.
pub(super) fn of(host: &str, reply: &Reply) -> Footprint {
    let [locks, candidacies, hosts, agents] = [0, 1, 2, 3].map(|place| reply.kvs(place));
    let present: Vec<call::Presence> =
        agents.iter().filter_map(|kv| call::presence(kv)?.ok()).collect();
    let known = hosts.iter().filter_map(|kv| Some((name_of(kv)?, read_host(kv).ok()?.lease)));
    let known: BTreeMap<&str, Option<i64>> = map_of(known);
    let is_own = |kv: &&Kv| kv.value == host.as_bytes();
    let own_locks: Vec<&Kv> = locks.iter().filter(is_own).collect();
    let by = |kv: &&Kv| kv.key.rsplit_once('/').is_some_and(|(_, name)| name == host);
    let leases = own_locks.iter().map(|kv| kv.lease);
    let leases = leases.chain(candidacies.iter().filter(by).map(|kv| kv.lease));
    let leases = leases.chain(present.iter().filter(|it| it.host == host).map(|it| it.lease));
    let leases = set_of(leases.chain(known.get(host).copied().flatten()));
    let others = present.iter().filter(|it| it.host != host).map(|it| it.lease);
    let others =
        others.chain(known.iter().filter(|(name, _)| **name != host).filter_map(|it| *it.1));
    let others: BTreeSet<i64> = set_of(others.chain([0]));
    let names = known.keys().copied().chain(present.iter().map(|it| it.host.as_str()));
    let unwritten = Some(host).filter(|_| !leases.is_empty());
    let at = |kvs: &[Kv], key: &str| kvs.iter().find(|kv| kv.key == key).map(|kv| kv.mod_revision);
    let mut owned: Vec<Owned> =
        own_locks.into_iter().filter_map(|kv| owned(host, kv, candidacies)).collect();
    sort_by(&mut owned, |a, b| a.cidr.cmp(&b.cidr));
    Footprint {
        hosts: set_of(names.chain(unwritten).map(str::to_owned)),
        leases: &leases - &others,
        presence: at(agents, &call::presence_key(host)),
        written: at(hosts, &host_key(host)).unwrap_or(0),
        owned,
    }
}

/// The host whose key that is; nothing if it is a claim or a mark.
fn name_of(kv: &Kv) -> Option<&str> {
    kv.key.strip_prefix(HOSTS).filter(|name| !name.contains('/'))
}

fn owned(host: &str, kv: &Kv, candidacies: &[Kv]) -> Option<Owned> {
    let cidr = cidr_of(kv)?;
    let prefix = lock::candidacy_key(cidr, "");
    // etcd tells them in their order.
    let begin = candidacies.partition_point(|kv| kv.key.as_str() < prefix.as_str());
    let its = candidacies.get(begin..)?;
    let count = its.iter().take_while(|kv| kv.key.starts_with(&prefix)).count();
    let candidates = lock::candidates(cidr, its.get(..count)?);
    let own = candidates.iter().find(|it| it.host == host);
    Some(Owned {
        cidr,
        hardware_address: own.and_then(|it| it.hardware_address),
        others: candidates.iter().any(|it| it.host != host && it.available),
    })
}

/// The IP of a lock, in our spelling.
fn cidr_of(kv: &Kv) -> Option<Cidr> {
    let text = kv.key.strip_prefix(lock::PREFIX)?;
    let cidr: Cidr = text.replacen('_', "/", 1).parse().ok()?;
    (cidr.election_key() == text).then_some(cidr)
}

/// Reads all locks.
pub(super) fn locks_txn() -> Txn {
    Txn::unconditional(vec![Op::GetPrefix(lock::PREFIX.to_owned())])
}

/// The owner of each IP, and the lease of its lock.
pub(super) fn locks(reply: &Reply) -> BTreeMap<Cidr, (String, i64)> {
    let owner = |kv: &Kv| String::from_utf8_lossy(&kv.value).into_owned();
    map_of(reply.kvs(0).iter().filter_map(|kv| Some((cidr_of(kv)?, (owner(kv), kv.lease)))))
}

#[cfg(test)]
#[path = "footprint_tests.rs"]
mod tests;
