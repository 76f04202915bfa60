//! The endpoints of etcd, and certificates.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Findings, versions};
use crate::ctl::doctor::facts::{Answer, Facts, Member};
use crate::ctl::text::duration;
use crate::text::first_of;

/// A failover is a transaction of etcd.
const SLOW: Duration = Duration::from_millis(250);

/// Clocks may differ by that, and be read within a second.
const CLOCK: u64 = 3;

/// A certificate that ends within this should be renewed by now.
const SOON: i64 = 14 * 86_400;

/// How many faults of a version are told.
const FAULTS: usize = 3;

pub(super) fn look(facts: &Facts, found: &mut Findings) {
    let answers: Vec<(&str, &Answer)> = facts
        .members
        .iter()
        .filter_map(|it| Some((&*it.endpoint, it.answer.as_ref().ok()?)))
        .collect();
    for member in &facts.members {
        match &member.answer {
            Err(why) => fails(member, why, answers.is_empty(), found),
            Ok(answer) => answered(&member.endpoint, answer, facts.now, found),
        }
    }
    one_cluster(&answers, found);
    same_version(&answers, found);
    for certificate in &facts.certificates {
        let about = format!("{}={}", certificate.variable, certificate.path);
        let remedy = "renew it at this path: the agent reads it again by itself";
        ends(&about, certificate.ends - facts.now, remedy, found);
    }
}

fn fails(member: &Member, why: &str, is_last: bool, found: &mut Findings) {
    let remedy = match why {
        why if why.contains("does not serve clients") => {
            "give in ETCD_HOSTS what etcd has as --advertise-client-urls: mostly port 2379"
        }
        why if why.contains("curl is not installed") => "install curl, or ask it from another host",
        why if ["certificate", "private key", "SSL", "TLS"].iter().any(|it| why.contains(it)) => {
            "compare ETCD_CACERT with the authority of etcd's certificate, its names and dates, and \
             http:// or https:// in ETCD_HOSTS with etcd's --listen-client-urls"
        }
        _ => {
            "see whether etcd runs there (systemctl status etcd), and whether a firewall, a route or an \
             error of typing in ETCD_HOSTS is between"
        }
    };
    let text = format!("this endpoint cannot be used: {why}");
    match is_last && !why.contains("curl is not installed") {
        true => found.error(&member.endpoint, text, remedy),
        false => found.warning(&member.endpoint, text, remedy),
    }
}

fn answered(endpoint: &str, answer: &Answer, now: i64, found: &mut Findings) {
    for error in &answer.errors {
        let (text, remedy) = match error {
            error if error.contains("NOSPACE") => (
                "its disk quota is used up (alarm NOSPACE): it refuses to write, and no IP can move",
                "compact and defragment etcd, or raise --quota-backend-bytes; then etcdctl alarm disarm",
            ),
            error if error.contains("CORRUPT") => (
                "its data is corrupt (alarm CORRUPT)",
                "remove the member, delete its data, and add it again (etcdctl member remove, add)",
            ),
            error if error.contains("no leader") => (
                "it has no leader: it is cut off, or too few members live",
                "start members until more than half of them live and reach each other",
            ),
            error => (error.as_str(), "see what etcdctl endpoint status and its log say"),
        };
        found.error(endpoint, text, remedy);
    }
    if let Some(why) = answer.unhealthy.as_ref().filter(|_| answer.errors.is_empty()) {
        let text = format!("it is not healthy: {why}");
        found.error(endpoint, text, "see what etcdctl endpoint health and the log of etcd say");
    }
    if answer.latency > SLOW {
        let text = format!("it takes {} ms to answer", answer.latency.as_millis());
        let remedy = "look at its disk (etcd_disk_wal_fsync_duration_seconds), its load, and the way \
                      to it: every failover takes as long";
        found.warning(endpoint, text, remedy);
    }
    if let Some(ahead) = answer.ahead.filter(|ahead| ahead.unsigned_abs() >= CLOCK) {
        let word = if ahead > 0 { "ahead of" } else { "behind" };
        let text = format!("its clock is {} {word} this host's", duration(ahead.unsigned_abs()));
        let remedy =
            "set both by NTP (timedatectl): certificates, logs and events are compared by time";
        found.warning(endpoint, text, remedy);
    }
    if let Some(end) = answer.certificate_ends {
        let remedy = "renew the certificate of this member";
        ends(&format!("certificate of {endpoint}"), end - now, remedy, found);
    }
}

fn ends(about: &str, left: i64, remedy: &str, found: &mut Findings) {
    let time = duration(left.unsigned_abs());
    match left {
        ..=0 => {
            found.error(about, format!("it ended {time} ago: no connection can be made"), remedy)
        }
        left if left < SOON => found.warning(about, format!("it ends in {time}"), remedy),
        _ => {}
    }
}

/// All endpoints are to be members of one cluster.
fn one_cluster(answers: &[(&str, &Answer)], found: &mut Findings) {
    let mut clusters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (endpoint, answer) in answers.iter().filter(|(_, answer)| !answer.cluster.is_empty()) {
        clusters.entry(&answer.cluster).or_default().push(endpoint);
    }
    if clusters.len() > 1 {
        let told: Vec<String> =
            clusters.iter().map(|(id, members)| format!("{} ({id})", members.join(", "))).collect();
        let text = format!("they are {} clusters: {}", clusters.len(), told.join(" and "));
        let remedy = "name the members of one cluster in ETCD_HOSTS, the same one on every host";
        found.error("ETCD_HOSTS", text, remedy);
    }
}

fn same_version(answers: &[(&str, &Answer)], found: &mut Findings) {
    let mut versions_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (endpoint, answer) in answers {
        versions_of.entry(&answer.version).or_default().push(endpoint);
    }
    for (version, endpoints) in versions_of {
        let (faults, ended) = (versions::faults(version), versions::is_ended(version));
        if faults.is_empty() && !ended {
            continue;
        }
        let known = faults.iter().map(|(what, issue)| format!("{what} (etcd #{issue})"));
        let known: Vec<String> = known.collect();
        let known = match known.is_empty() {
            true => String::new(),
            false => format!(": {}", first_of(known.iter(), FAULTS, "; ")),
        };
        let end = if ended { ", which is mended no more," } else { "" };
        let text =
            format!("etcd {version}{end} has {} known faults that move IPs{known}", faults.len());
        let remedy = format!("update etcd to {} or later", versions::without_faults(version));
        found.warning(&endpoints.join(", "), text, remedy);
    }
}
