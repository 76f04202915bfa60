//! What the keys in etcd say of hosts and IPs.

use std::collections::BTreeMap;

use super::{Read, agent_keys, host_keys, host_of};
use crate::call::{self, Presence};
use crate::etcd::{Kv, TimeToLive};
use crate::lock;
use crate::sorted::map_of;
use crate::store;
use crate::text::is_host_name;
use crate::vip::{Cidr, ElectionKey, GroupName};

/// How much is shown of a key that cannot be understood.
const SHOWN: usize = 200;

/// Seconds by which a lease may seem to be older than it is: etcd tells whole ones.
const SLACK: i64 = 1;

/// Hosts and IPs.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) hosts: BTreeMap<String, Host>,
    pub(super) ips: BTreeMap<Cidr, Vip>,
    /// What hosts are elected for all IPs of a group together.
    groups: Vec<(GroupName, Vip)>,
    /// Keys that cannot be understood, and why.
    pub(super) bad: Vec<(String, String)>,
    /// Names under which a second machine starts.
    pub(super) claimed: Vec<String>,
}

/// A host.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Its lease lives; nothing if that is not known.
    pub(super) alive: Option<bool>,
    pub(super) version: Option<String>,
    pub(super) started: Option<u64>,
    pub(super) drained: bool,
    pub(super) lease: Option<TimeToLive>,
    /// It has not answered for so many seconds, though its lease lives.
    pub(super) away: Option<u64>,
}

/// An IP.
#[derive(Debug, Default)]
pub(super) struct Vip {
    /// Who holds its lock, and on which lease.
    pub(super) owner: Option<(String, i64)>,
    /// Without etcd: who did last, and how many seconds ago.
    pub(super) last: Option<(String, u64)>,
    /// The key of its lock, if that is not spelled as ours: the hosts behind the two know nothing of each other.
    pub(super) misspelled: Option<String>,
    pub(super) candidates: BTreeMap<String, Candidate>,
    /// The group to which it belongs: then owner and candidates are those of the group.
    pub(super) group: Option<GroupName>,
    /// Hosts that offer it, and not the group.
    pub(super) outside: Vec<String>,
}

/// A host that offers an IP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// It is there; nothing if that is not known.
    pub(super) alive: Option<bool>,
    /// It would take the IP.
    pub(super) available: bool,
}

impl Cluster {
    /// What etcd has.
    pub(super) fn of(read: &Read) -> Cluster {
        let mut cluster = Cluster::default();
        let leases = map_of(read.leases.iter().copied());
        agent_keys(&read.all).iter().for_each(|kv| cluster.add_agent(kv, &leases));
        host_keys(&read.all).iter().for_each(|kv| cluster.add_host(kv, &leases));
        read.candidacies().iter().for_each(|kv| cluster.add_candidacy(kv));
        read.locks().iter().for_each(|kv| cluster.add_lock(kv));
        for (host, kvs) in &read.records {
            kvs.iter().for_each(|kv| cluster.add_record(host, kv));
        }
        cluster.resolve_groups();
        cluster
    }

    /// A host does not answer for so many seconds. One that has renewed its lease since lives.
    pub(super) fn is_away(&mut self, name: &str, since: u64) {
        let Some(host) = self.hosts.get_mut(name).filter(|it| it.alive == Some(true)) else {
            return;
        };
        let renewed = host.lease.map(|lease| lease.granted - lease.left);
        if renewed.is_some_and(|renewed| renewed + SLACK < i64::try_from(since).unwrap_or(i64::MAX))
        {
            return;
        }
        host.away = Some(since);
        let candidates = self.ips.values_mut().filter_map(|vip| vip.candidates.get_mut(name));
        candidates.for_each(|candidate| candidate.alive = Some(false));
    }

    /// What hosts are elected for all IPs of a group together.
    pub(super) fn group(&self, name: &GroupName) -> Option<&Vip> {
        group_in(&self.groups, name)
    }

    /// An IP of a group has the owner and the candidates of the group.
    fn resolve_groups(&mut self) {
        for vip in self.ips.values_mut() {
            let Some(group) = &vip.group else { continue };
            let group = group_in(&self.groups, group);
            let hosts = group.map(|group| group.candidates.clone()).unwrap_or_default();
            vip.owner = group.and_then(|group| group.owner.clone());
            let own = std::mem::replace(&mut vip.candidates, hosts);
            vip.outside = own.into_keys().filter(|it| !vip.candidates.contains_key(it)).collect();
        }
    }

    fn add_agent(&mut self, kv: &Kv, leases: &BTreeMap<i64, TimeToLive>) {
        let presence = match call::presence(kv) {
            None => return,
            Some(Ok(presence)) => presence,
            Some(Err(why)) => return self.skip(kv, &why),
        };
        let lease = leases.get(&presence.lease).copied();
        // The key ends with its lease, but etcd may still be about to remove it.
        let alive = Some(presence.lease != 0 && lease.is_none_or(|lease| lease.left >= 0));
        let Presence { host, version, started, drained, .. } = presence;
        self.hosts.insert(host, Host { alive, version, started, drained, lease, away: None });
    }

    /// A host that shows no agent may have one of another kind.
    fn add_host(&mut self, kv: &Kv, leases: &BTreeMap<i64, TimeToLive>) {
        let Some(name) = host_of(kv) else { return self.add_claim(kv) };
        let host = match store::read_host(kv) {
            _ if !is_host_name(name) => return self.skip(kv, NO_NAME),
            Err(why) => return self.skip(kv, &why),
            Ok(host) => host,
        };
        if !self.hosts.contains_key(name) {
            let lease = host.lease.map(|lease| leases.get(&lease).copied());
            let alive = match lease {
                None => Some(false),
                Some(told) => told.map(|lease| lease.left >= 0),
            };
            let lease = lease.flatten().filter(|lease| lease.left >= 0);
            self.hosts.insert(name.to_owned(), Host { alive, lease, ..Host::default() });
        }
    }

    fn add_claim(&mut self, kv: &Kv) {
        let rest = kv.key.strip_prefix(store::HOSTS).unwrap_or_default();
        let Some((name, _)) = rest.split_once('/') else { return };
        // Marks of hosts stand under a name that no host has.
        if is_host_name(name) && !name.starts_with('.') && !self.claimed.iter().any(|it| it == name)
        {
            self.claimed.push(name.to_owned());
        }
    }

    fn add_candidacy(&mut self, kv: &Kv) {
        let key = kv.key.strip_prefix(lock::CANDIDACIES).unwrap_or_default();
        let Some((of, host)) = key.split_once('/').and_then(|(key, host)| Some((of(key)?, host)))
        else {
            return self.skip(kv, NO_IP);
        };
        if !is_host_name(host) {
            return self.skip(kv, NO_NAME);
        }
        let (available, why) = lock::available(kv);
        why.into_iter().for_each(|why| self.skip(kv, &why));
        let has_lease = kv.lease != 0;
        let host_of_it = self.hosts.entry(host.to_owned()).or_default();
        if has_lease && host_of_it.alive.is_none() {
            host_of_it.alive = Some(true);
        }
        let alive = if has_lease { Some(true) } else { host_of_it.alive };
        self.elected(of).candidates.insert(host.to_owned(), Candidate { alive, available });
    }

    /// What a host offers that shows no candidacies; locks say before what belongs to a group.
    fn add_record(&mut self, host: &str, kv: &Kv) {
        let record = match store::read_record(host, kv) {
            Ok(Some(record)) => record,
            // It belongs to another plugin.
            Ok(None) => return,
            Err(why) => return self.skip(kv, &why),
        };
        let alive = self.hosts.get(host).and_then(|host| host.alive);
        let candidate = Candidate { alive, available: false };
        let own = &self.vip(record.cidr).group;
        let of = match record.group.filter(|group| own.as_ref() == Some(group)) {
            Some(group) => ElectionKey::Group(group, 0),
            None => record.cidr.into(),
        };
        self.elected(of).candidates.entry(host.to_owned()).or_insert(candidate);
    }

    fn add_lock(&mut self, kv: &Kv) {
        let key = kv.key.strip_prefix(lock::PREFIX).unwrap_or_default();
        let Some(of) = of(key) else { return self.skip(kv, NO_IP) };
        let owner = String::from_utf8_lossy(&kv.value).into_owned();
        if !is_host_name(&owner) {
            return self.skip(kv, NO_NAME);
        }
        let group = ElectionKey::group_of(&owner).filter(|_| kv.lease == 0);
        let is_ours = key == of.text();
        let vip = self.elected(of);
        if let Some(group) = group {
            vip.group = Some(group);
        } else if is_ours {
            vip.owner = Some((owner, kv.lease));
        } else {
            vip.misspelled = Some(kv.key.clone());
        }
    }

    fn elected(&mut self, of: ElectionKey) -> &mut Vip {
        match of {
            ElectionKey::Ip(cidr) => self.vip(cidr),
            ElectionKey::Group(name, _) => {
                let known = self.groups.iter().position(|(it, _)| *it == name);
                let place = known.unwrap_or(self.groups.len());
                if known.is_none() {
                    self.groups.push((name, Vip::default()));
                }
                &mut self.groups[place].1
            }
        }
    }

    fn vip(&mut self, cidr: Cidr) -> &mut Vip {
        self.ips.entry(cidr).or_default()
    }

    fn skip(&mut self, kv: &Kv, why: &str) {
        self.bad.push((kv.key.chars().take(SHOWN).collect(), why.to_owned()));
    }
}

fn group_in<'a>(groups: &'a [(GroupName, Vip)], name: &GroupName) -> Option<&'a Vip> {
    groups.iter().find(|(it, _)| it == name).map(|(_, vip)| vip)
}

/// What the hosts are elected for that write this key: a group, or an IP in whatever spelling.
fn of(key: &str) -> Option<ElectionKey> {
    if let Some(name) = ElectionKey::group_of(key) {
        return Some(ElectionKey::Group(name, 0));
    }
    let cidr: Cidr = key.contains('_').then(|| key.replacen('_', "/", 1).parse().ok())??;
    Some(cidr.into())
}

const NO_NAME: &str = "it names no host";
const NO_IP: &str = "it names no IP";
