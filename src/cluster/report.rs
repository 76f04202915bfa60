//! The answer to `GET /status`.

use std::collections::BTreeMap;

use super::decode::{Candidate, Cluster, Host, Vip};
use super::{Facts, findings};
use crate::sorted::{map_of, sort_by};
use crate::vip::GroupName;
use crate::wire::{ClusterCandidate, ClusterHost, ClusterIp, LastOwner, Status};

/// Bytes of the IPs that are shown, about: 20 hosts with 1000 IPs are 1.4 MB.
const IPS: usize = 4 << 20;

/// How many findings are shown.
const FINDINGS: usize = 1000;

/// How many hosts are shown.
const HOSTS: usize = 1000;

/// The answer to `GET /status`.
pub fn status(facts: &Facts) -> Status {
    let cluster = match &facts.etcd {
        Ok(read) => {
            let mut cluster = Cluster::of(read);
            facts.own.away.iter().for_each(|(host, since)| cluster.is_away(host, *since));
            cluster
        }
        Err(_) => alone(facts),
    };
    let mut findings = findings::all(facts, &cluster);
    let more_findings = findings.len().saturating_sub(FINDINGS);
    findings.truncate(FINDINGS);
    let ips = ips(&cluster);
    Status {
        host: facts.own.host.clone(),
        ok: findings.is_empty(),
        etcd: facts.etcd.as_ref().map_or_else(Clone::clone, |_| "ok".to_owned()),
        findings,
        more_findings: more_findings as u64,
        hosts: hosts(facts, &cluster),
        more_ips: (cluster.ips.len() - ips.len()) as u64,
        ips,
    }
}

/// What the host knows without etcd.
fn alone(facts: &Facts) -> Cluster {
    let own = &facts.own;
    let mut cluster = Cluster::default();
    for host in &own.agents {
        cluster.hosts.insert(host.clone(), Host::default());
    }
    let version = Some(crate::VERSION.to_owned());
    let this = Host { alive: Some(true), version, ..Host::default() };
    cluster.hosts.insert(own.host.clone(), this);
    for ip in &own.ips {
        let Ok(cidr) = ip.ip.parse() else { continue };
        let candidate = Candidate { alive: Some(true), available: ip.status != "FAILING" };
        let candidates = map_of([(own.host.clone(), candidate)]);
        // What this host has it has, whoever else has taken it as well.
        let here = (ip.bound || ip.status == "ACTIVATED").then_some(&own.host);
        let owner = ip.owner.as_ref().or(here).map(|owner| (owner.clone(), 0));
        let last = own.owners.iter().find(|(of, ..)| *of == cidr && owner.is_none());
        let last = last.map(|(_, host, ago)| (host.clone(), *ago));
        cluster.ips.insert(cidr, Vip { owner, last, candidates, ..Vip::default() });
    }
    cluster
}

fn hosts(facts: &Facts, cluster: &Cluster) -> Vec<ClusterHost> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for vip in cluster.ips.values() {
        vip.candidates.keys().for_each(|host| counts.entry(host).or_default().0 += 1);
        vip.owner.iter().for_each(|(host, _)| counts.entry(host).or_default().1 += 1);
    }
    let ages = facts.own.ages();
    let unknown = Host { alive: Some(false), ..Host::default() };
    let gone = ages.keys().filter(|host| !cluster.hosts.contains_key(**host));
    let gone = gone.map(|host| (*host, &unknown));
    let all = cluster.hosts.iter().map(|(name, host)| (name.as_str(), host)).chain(gone);
    let seconds = |seconds: i64| u64::try_from(seconds).ok();
    let shown = all.filter_map(|(name, host)| {
        let (offers, owns) = counts.get(name).copied().unwrap_or_default();
        let gone = ages.get(name).copied().filter(|_| host.alive != Some(true));
        // What is left of a host that offers nothing any more is of no interest.
        let is_shown = host.alive != Some(false) || offers > 0 || gone.is_some();
        is_shown.then(|| ClusterHost {
            hostname: name.to_owned(),
            alive: host.alive,
            version: host.version.clone(),
            up: host.started.map(|started| facts.now.saturating_sub(started)),
            lease_left: host.lease.and_then(|lease| seconds(lease.left)),
            lease_ttl: host.lease.and_then(|lease| seconds(lease.granted)),
            offers,
            owns,
            gone,
            drained: host.drained,
            away: host.away,
        })
    });
    let mut shown: Vec<ClusterHost> = shown.take(HOSTS).collect();
    sort_by(&mut shown, |a, b| a.hostname.cmp(&b.hostname));
    shown
}

/// The IPs that fit.
fn ips(cluster: &Cluster) -> Vec<ClusterIp> {
    let mut left = IPS;
    let mut shown = Vec::new();
    for (cidr, vip) in &cluster.ips {
        let size = |host: &String| host.len() + 60;
        let size = 100 + vip.candidates.keys().map(size).sum::<usize>();
        if size > left {
            break;
        }
        left -= size;
        let candidates = vip.candidates.iter().map(|(host, candidate)| ClusterCandidate {
            hostname: host.clone(),
            alive: candidate.alive,
            available: candidate.available,
        });
        shown.push(ClusterIp {
            ip: cidr.to_string(),
            owner: vip.owner.as_ref().map(|(owner, _)| owner.clone()),
            candidates: candidates.collect(),
            group: vip.group.as_ref().map(GroupName::to_string),
            last_owner: vip
                .last
                .as_ref()
                .map(|(host, ago)| LastOwner { host: host.clone(), ago: *ago }),
        });
    }
    shown
}
