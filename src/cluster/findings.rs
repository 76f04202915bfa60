//! What needs a person.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::decode::{Cluster, Vip};
use super::kind::Kind;
use super::{Facts, Own, remedy};
use crate::sorted::{set_of, sort_by};
use crate::store::MOST_MEMBERS;
use crate::text::first_of;
use crate::vip::{Cidr, ElectionKey, GroupName};
use crate::wire::Finding;

/// How many names a text has.
const NAMES: usize = 5;

/// All findings, worst first.
pub(super) fn all(facts: &Facts, cluster: &Cluster) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    match &facts.etcd {
        Err(why) => {
            let text = format!("{why}; what follows is what {} knows by itself", facts.own.host);
            findings.add(Kind::Etcd, "etcd", text);
        }
        Ok(_) => {
            findings.conflicts(&facts.own, cluster);
            findings.redundancy(cluster);
            findings.groups(&facts.own, cluster);
        }
    }
    findings.hosts(&facts.own, cluster);
    // That etcd is lost is said already.
    let said = facts.etcd.as_ref().err();
    for problem in facts.own.problems.iter().filter(|problem| said != Some(problem)) {
        findings.add(Kind::Problem, &facts.own.host, problem.clone());
    }
    for (key, why) in &cluster.bad {
        findings.add(Kind::BadValue, key, format!("it cannot be understood: {why}"));
    }
    sort_by(&mut findings.0, |(a, _), (b, _)| a.cmp(b));
    findings.0.into_iter().map(|(_, finding)| finding).collect()
}

/// Why an IP that a host offers in a group does not belong to it; nothing where it is about to join, or another finding says it.
fn not_joined(host: &str, name: &GroupName, vip: &Vip, cluster: &Cluster) -> Option<String> {
    match &vip.group {
        // Who does not offer all of the group is told with that.
        Some(group) if group == name => return None,
        Some(group) => return Some(format!("it belongs to group {group}")),
        None => {}
    }
    let (owner, _) = vip.owner.as_ref()?;
    let group = cluster.group(name);
    let stands = group.into_iter().flat_map(|group| group.candidates.keys());
    let without: Vec<&String> = stands.filter(|host| !vip.candidates.contains_key(*host)).collect();
    if !without.is_empty() {
        let hosts = first_of(without.into_iter(), NAMES, ", ");
        return Some(format!("not all candidates for the group offer it: {hosts}"));
    }
    match group.and_then(|group| group.owner.as_ref()) {
        Some((other, _)) if other != owner => Some(format!(
            "{owner} owns it, and {other} the group; {owner} hands it over when it offers it in the group, too"
        )),
        _ if owner != host => Some(format!("{owner} owns it, and does not offer it in the group")),
        _ => {
            let members = cluster.ips.values().filter(|vip| vip.group.as_ref() == Some(name));
            let is_full = members.count() >= MOST_MEMBERS;
            is_full.then(|| format!("the group has {MOST_MEMBERS} IPs, and no group has more"))
        }
    }
}

struct Findings(Vec<(Kind, Finding)>);

impl Findings {
    fn add(&mut self, kind: Kind, about: impl ToString, text: String) {
        let (about, word) = (about.to_string(), kind.word().to_owned());
        let remedy = remedy::of(kind, &text).to_owned();
        self.0.push((kind, Finding { kind: word, about, text, since: None, remedy }));
    }

    /// Where two may have an IP.
    fn conflicts(&mut self, own: &Own, cluster: &Cluster) {
        self.masks(cluster);
        for (cidr, vip) in &cluster.ips {
            if let Some((host, 0)) = &vip.owner {
                let text =
                    format!("the lock of {host} has no lease, so that it never ends: delete it");
                self.add(Kind::Conflict, cidr, text);
            }
            if let Some(key) = &vip.misspelled {
                let text = format!("{key} is the lock of the same address in another spelling");
                self.add(Kind::Conflict, cidr, text);
            }
        }
        for ip in own.ips.iter().filter(|ip| ip.bound) {
            let owner =
                ip.ip.parse().ok().and_then(|cidr: Cidr| cluster.ips.get(&cidr)?.owner.as_ref());
            if let Some((owner, _)) = owner.filter(|(owner, _)| *owner != own.host) {
                let text = format!("{} has it on {}, and {owner} owns it", own.host, ip.interface);
                self.add(Kind::Conflict, &ip.ip, text);
            }
        }
        for name in &cluster.claimed {
            self.add(Kind::Conflict, name, "another machine starts under this name".to_owned());
        }
    }

    /// An address with two prefix lengths is two IPs, with an owner each.
    fn masks(&mut self, cluster: &Cluster) {
        let mut by_address: BTreeMap<IpAddr, Vec<(&Cidr, &Vip)>> = BTreeMap::new();
        for (cidr, vip) in &cluster.ips {
            by_address.entry(cidr.addr()).or_default().push((cidr, vip));
        }
        for (address, vips) in by_address.iter().filter(|(_, vips)| vips.len() > 1) {
            let told = vips.iter().map(|(cidr, vip)| {
                let owned = vip.owner.as_ref().map(|(owner, _)| format!(", owned by {owner}"));
                let hosts = first_of(vip.candidates.keys(), NAMES, ", ");
                format!("/{} ({hosts}{})", cidr.prefix(), owned.unwrap_or_default())
            });
            let told: Vec<String> = told.collect();
            let text = format!("offered with two masks: {}", told.join(" and "));
            self.add(Kind::Conflict, address, text);
        }
    }

    /// Where the next fault takes an IP away.
    fn redundancy(&mut self, cluster: &Cluster) {
        for (cidr, vip) in &cluster.ips {
            let outside = first_of(vip.outside.iter(), NAMES, ", ");
            if vip.owner.is_none() {
                let why = match &vip.group {
                    Some(group) if vip.candidates.is_empty() && !vip.outside.is_empty() => format!(
                        ": group {group} has no candidate, and {outside} offers the IP without the group"
                    ),
                    Some(_) | None => others(vip, ""),
                };
                self.add(Kind::NoOwner, cidr, format!("no host owns it{why}"));
                continue;
            }
            if let Some(group) = vip.group.as_ref().filter(|_| !vip.outside.is_empty()) {
                let text = format!(
                    "it belongs to group {group}: {outside} cannot have it, because it does not offer all of the group"
                );
                self.add(Kind::Redundancy, cidr, text);
            }
            let ready =
                vip.candidates.iter().filter(|(_, it)| it.available && it.alive != Some(false));
            let ready: Vec<&str> = ready.map(|(host, _)| host.as_str()).collect();
            match ready[..] {
                [] => self.add(
                    Kind::Redundancy,
                    cidr,
                    format!("no candidate is well{}", others(vip, "")),
                ),
                [only] => {
                    let text = format!("{only} is the only candidate{}", others(vip, only));
                    self.add(Kind::Redundancy, cidr, text);
                }
                [..] => {}
            }
        }
    }

    /// IPs of the asked host that have not joined their group.
    fn groups(&mut self, own: &Own, cluster: &Cluster) {
        for ip in own.ips.iter().filter(|ip| !ip.election_key.starts_with(ElectionKey::GROUP)) {
            let name = ip.group.as_ref().and_then(|name| name.parse().ok());
            let vip = ip.ip.parse().ok().and_then(|cidr: Cidr| cluster.ips.get(&cidr));
            let (Some(name), Some(vip)) = (name, vip) else { continue };
            if let Some(why) = not_joined(&own.host, &name, vip, cluster) {
                let text = format!("it has not joined group {name}: {why}");
                self.add(Kind::Problem, &ip.ip, text);
            }
        }
    }

    /// Hosts that are missing.
    fn hosts(&mut self, own: &Own, cluster: &Cluster) {
        let mut offered: BTreeMap<&str, usize> = BTreeMap::new();
        for host in cluster.ips.values().flat_map(|vip| vip.candidates.keys()) {
            *offered.entry(host).or_default() += 1;
        }
        let ages = own.ages();
        let dead = cluster.hosts.iter().filter(|(_, host)| host.alive == Some(false));
        let dead = dead.map(|(name, _)| name.as_str()).filter(|name| offered.contains_key(name));
        let is_back = |name: &str| cluster.hosts.get(name).is_some_and(|it| it.alive == Some(true));
        let gone = ages.keys().copied().filter(|name| !is_back(name));
        let count = |name: &str| match offered.get(name).copied().unwrap_or(0) {
            0 => String::new(),
            1 => "; it offers 1 IP".to_owned(),
            count => format!("; it offers {count} IPs"),
        };
        for name in set_of(dead.chain(gone)) {
            let text = format!("the host is gone{}", count(name));
            self.add_since(Kind::Host, name, text, ages.get(name).copied());
        }
        for (name, host) in cluster.hosts.iter().filter(|(_, host)| host.away.is_some()) {
            let text = format!("the host does not answer{}", count(name));
            self.add_since(Kind::Host, name, text, host.away);
        }
    }

    fn add_since(&mut self, kind: Kind, about: &str, text: String, since: Option<u64>) {
        self.add(kind, about, text);
        if let Some((_, finding)) = self.0.last_mut() {
            finding.since = since;
        }
    }
}

/// What is the matter with the other candidates.
fn others(vip: &Vip, except: &str) -> String {
    let others = vip.candidates.iter().filter(|(host, _)| *host != except);
    let told: Vec<String> = others
        .map(|(host, candidate)| match candidate.alive {
            Some(false) => format!("{host} is gone"),
            Some(true) | None if candidate.available => format!("{host} could"),
            Some(true) | None => format!("{host} is failing"),
        })
        .collect();
    match told.is_empty() {
        true => String::new(),
        false => format!(": {}", first_of(told.iter(), NAMES, ", ")),
    }
}
