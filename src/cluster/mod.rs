//! The whole cluster at a glance: every host, every IP that any of them offers, and what of it needs a person.
//!
//! What is read of etcd at one moment, and what the host that is asked knows by itself, becomes the answer to
//! `GET /status`. Pure: no clock, no channel, no I/O. What is read is untrusted: what cannot be understood is a
//! finding, and nothing else is left out for it.

mod decode;
mod findings;
mod kind;
mod remedy;
mod report;

use std::collections::BTreeMap;

pub use self::report::status;
use crate::call;
use crate::etcd::{Kv, Op, Reply, TimeToLive, Txn};
use crate::lock;
use crate::sorted::{map_of, set_of};
use crate::store;
use crate::vip::Cidr;
use crate::wire;

/// For how many hosts etcd is asked for the lease, and for the records of hosts that are not there.
const HOSTS: usize = 200;

/// What is known of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the host that is asked knows itself.
    pub own: Own,
    /// When etcd was read, in seconds since 1970.
    pub now: u64,
    /// What etcd has, or why it could not be read.
    pub etcd: Result<Read, String>,
}

/// What a host knows by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub host: String,
    /// The IPs that it offers.
    pub ips: Vec<wire::Ip>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// The other hosts that were there when etcd was last heard.
    pub agents: Vec<String>,
    /// Hosts that it has seen go, and how many seconds ago.
    pub gone: Vec<(String, u64)>,
    /// Hosts that do not answer it, though etcd may have their leases yet, and for how many seconds.
    pub away: Vec<(String, u64)>,
    /// Without etcd: the last known owners of IPs, and how many seconds ago that was.
    pub owners: Vec<(Cidr, String, u64)>,
}

impl Own {
    /// How many seconds ago each host went.
    fn ages(&self) -> BTreeMap<&str, u64> {
        map_of(self.gone.iter().map(|(host, age)| (host.as_str(), *age)))
    }
}

/// What etcd has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The outcome of [`txn`].
    pub all: Reply,
    /// The records of each of [`silent_hosts`].
    pub records: Vec<(String, Vec<Kv>)>,
    /// What is left of [`leases`], as far as etcd has told.
    pub leases: Vec<(i64, TimeToLive)>,
}

/// Reads locks, candidacies, hosts and presences at one revision.
pub fn txn() -> Txn {
    let prefixes = [lock::PREFIX, lock::CANDIDACIES, store::HOSTS, call::PREFIX];
    Txn::unconditional(prefixes.map(|prefix| Op::GetPrefix(prefix.to_owned())).into())
}

impl Read {
    fn locks(&self) -> &[Kv] {
        self.all.kvs(0)
    }

    fn candidacies(&self) -> &[Kv] {
        self.all.kvs(1)
    }
}

fn host_keys(all: &Reply) -> &[Kv] {
    all.kvs(2)
}

fn agent_keys(all: &Reply) -> &[Kv] {
    all.kvs(3)
}

/// The name of a host whose key that is; nothing if it is a claim or a mark.
fn host_of(kv: &Kv) -> Option<&str> {
    kv.key.strip_prefix(store::HOSTS).filter(|name| !name.contains('/'))
}

fn presences(all: &Reply) -> impl Iterator<Item = call::Presence> {
    agent_keys(all).iter().filter_map(|kv| call::presence(kv)?.ok())
}

/// The hosts that are known and show no agent: those that are gone, and those with another kind of agent.
pub fn silent_hosts(all: &Reply) -> Vec<String> {
    let present = set_of(presences(all).map(|presence| presence.host));
    let known = host_keys(all).iter().filter_map(host_of);
    known.filter(|host| !present.contains(*host)).take(HOSTS).map(str::to_owned).collect()
}

/// Reads the records of these hosts, in order.
pub fn records_txn(hosts: &[String]) -> Txn {
    let prefixes = hosts.iter().map(|host| store::records_prefix(host));
    Txn::unconditional(prefixes.map(Op::GetPrefix).collect())
}

/// The leases of all hosts.
pub fn leases(all: &Reply) -> Vec<i64> {
    let present: Vec<call::Presence> = presences(all).collect();
    let hosts = set_of(present.iter().map(|it| it.host.as_str()));
    let silent =
        host_keys(all).iter().filter(|kv| host_of(kv).is_some_and(|it| !hosts.contains(it)));
    let silent = silent.filter_map(|kv| store::read_host(kv).ok()?.lease);
    let all = set_of(present.iter().map(|it| it.lease).chain(silent));
    all.into_iter().take(HOSTS).collect()
}

#[cfg(test)]
mod tests;
