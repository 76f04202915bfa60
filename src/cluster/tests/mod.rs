//! What is found in etcd, and what follows for a person.

use super::*;
use crate::wire::{Finding, Status};

mod groups;

const IP: &str = "10.0.0.1_32";

/// A cluster in the making: what etcd has, and what host h1 knows.
struct Story {
    own: Own,
    locks: Vec<Kv>,
    candidacies: Vec<Kv>,
    hosts: Vec<Kv>,
    agents: Vec<Kv>,
    records: Vec<(String, Vec<Kv>)>,
    leases: Vec<(i64, TimeToLive)>,
}

fn kv(key: String, value: &str, lease: i64) -> Kv {
    Kv { key, value: value.as_bytes().to_vec(), lease, mod_revision: 5 }
}

impl Story {
    /// Hosts h1, h2... with an agent each, on the leases 1, 2...
    fn of(hosts: i64) -> Story {
        let own = Own { host: "h1".to_owned(), ..Own::default() };
        let (locks, candidacies, hosts_in_etcd) = (Vec::new(), Vec::new(), Vec::new());
        let (agents, records, leases) = (Vec::new(), Vec::new(), Vec::new());
        let mut story =
            Story { own, locks, candidacies, hosts: hosts_in_etcd, agents, records, leases };
        for number in 1..=hosts {
            story.host(number);
            let value = r#"{"answers":true,"version":"v1.2.3","started":1000}"#;
            story.agents.push(kv(format!("/link/agents/h{number}"), value, number));
            story.leases.push((number, TimeToLive { left: 4, granted: 5 }));
        }
        story
    }

    fn host(&mut self, number: i64) {
        let value = format!(r#"{{"hostname":"h{number}","lease_id":{number}}}"#);
        self.hosts.push(kv(format!("/link/config/h{number}"), &value, 0));
    }

    /// The host is there no more; its record says that it offers this.
    fn gone(mut self, number: i64, ip: &str) -> Story {
        let (host, id) = (format!("h{number}"), "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427");
        self.agents.retain(|kv| kv.lease != number);
        self.candidacies.retain(|kv| kv.lease != number);
        self.leases.retain(|(lease, _)| *lease != number);
        self.leases.push((number, TimeToLive { left: -1, granted: 0 }));
        let value = format!(r#"{{"id":"{id}","ip":"{ip}"}}"#);
        self.records.push((host.clone(), vec![kv(format!("/link/hosts/{host}/{id}"), &value, 0)]));
        self
    }

    fn lock(mut self, key: &str, host: &str, lease: i64) -> Story {
        self.locks.push(kv(format!("/link/default/{key}"), host, lease));
        self
    }

    fn offers(mut self, key: &str, host: &str, lease: i64) -> Story {
        let value = r#"{"updated_at":"2026-11-22T07:35:39Z"}"#;
        self.candidacies.push(kv(format!("/link/ips/{key}/{host}"), value, lease));
        self
    }

    fn fails(mut self, key: &str, host: &str, lease: i64) -> Story {
        let value = r#"{"updated_at":"2026-11-22T07:35:39Z","available":false}"#;
        self.candidacies.push(kv(format!("/link/ips/{key}/{host}"), value, lease));
        self
    }

    fn facts(self) -> Facts {
        let all = Reply::new(true, 9, vec![self.locks, self.candidacies, self.hosts, self.agents]);
        let read = Read { all, records: self.records, leases: self.leases };
        Facts { own: self.own, now: 1060, etcd: Ok(read) }
    }

    fn status(self) -> Status {
        status(&self.facts())
    }

    /// The findings: kind, what they are about, and text.
    #[track_caller]
    fn finds(self, expected: &[(&str, &str, &str)]) {
        let status = self.status();
        let found = status.findings.iter();
        let found: Vec<(&str, &str, &str)> =
            found.map(|it| (it.kind.as_str(), it.about.as_str(), it.text.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(status.ok, expected.is_empty());
    }
}

/// Three hosts that offer one IP.
fn well() -> Story {
    let story = Story::of(3).lock(IP, "h2", 2);
    story.offers(IP, "h1", 1).offers(IP, "h2", 2).offers(IP, "h3", 3)
}

fn own_ip(ip: &str, owner: Option<&str>, bound: bool) -> wire::Ip {
    let json = format!(r#"{{"id":"vip-1","ip":"{ip}","interface":"eth0","status":"ACTIVATED"}}"#);
    let ip: wire::Ip = serde_json::from_str(&json).unwrap();
    wire::Ip { owner: owner.map(str::to_owned), bound, ..ip }
}

#[test]
fn a_cluster_that_is_well_is_shown_and_nothing_is_found() {
    let status = well().status();
    assert_eq!((status.host.as_str(), status.ok, status.etcd.as_str()), ("h1", true, "ok"));
    assert_eq!((status.more_ips, status.more_findings), (0, 0));
    let [ip] = &status.ips[..] else { panic!("{status:?}") };
    assert_eq!((ip.ip.as_str(), ip.owner.as_deref()), ("10.0.0.1/32", Some("h2")));
    let candidates = ip.candidates.iter().map(|it| (it.hostname.as_str(), it.alive, it.available));
    let expected = ["h1", "h2", "h3"].map(|host| (host, Some(true), true));
    assert_eq!(candidates.collect::<Vec<_>>(), expected);
    let host = &status.hosts[1];
    assert_eq!((host.hostname.as_str(), host.alive, host.up), ("h2", Some(true), Some(60)));
    assert_eq!((host.lease_left, host.lease_ttl, host.gone), (Some(4), Some(5), None));
    assert_eq!((host.version.as_deref(), host.offers, host.owns), (Some("v1.2.3"), 1, 1));
    well().finds(&[]);
}

#[test]
fn a_host_that_is_gone_is_found_with_what_it_offers_and_when_it_went() {
    let text = "the host is gone; it offers 1 IP";
    well().gone(3, "10.0.0.1/32").finds(&[("host", "h3", text)]);
    let mut story = well().gone(3, "10.0.0.1/32");
    story.own.gone = vec![("h3".to_owned(), 70), ("h2".to_owned(), 80)];
    let status = story.status();
    let [Finding { about, since, .. }] = &status.findings[..] else { panic!("{status:?}") };
    assert_eq!((about.as_str(), *since), ("h3", Some(70)), "h2 is back");
    let gone: Vec<_> = status.hosts.iter().map(|host| (host.alive, host.gone)).collect();
    assert_eq!(gone, [(Some(true), None), (Some(true), None), (Some(false), Some(70))]);
    let candidate = &status.ips[0].candidates[2];
    assert_eq!((candidate.alive, candidate.available), (Some(false), false));
}

#[test]
fn a_host_that_went_and_has_left_nothing_is_found_for_an_hour() {
    let mut story = well();
    story.own.gone = vec![("h4".to_owned(), 70)];
    story.finds(&[("host", "h4", "the host is gone")]);
    let mut story = well();
    story.host(4);
    story.leases.push((4, TimeToLive { left: -1, granted: 0 }));
    let status = story.status();
    assert!(status.ok && status.hosts.len() == 3, "it offers nothing: {status:?}");
}

#[test]
fn an_ip_with_one_candidate_left_has_lost_its_redundancy() {
    let lone = || Story::of(3).lock(IP, "h1", 1).offers(IP, "h1", 1);
    lone().finds(&[("redundancy", "10.0.0.1/32", "h1 is the only candidate")]);
    lone().fails(IP, "h2", 2).gone(3, "10.0.0.1/32").finds(&[
        ("redundancy", "10.0.0.1/32", "h1 is the only candidate: h2 is failing, h3 is gone"),
        ("host", "h3", "the host is gone; it offers 1 IP"),
    ]);
    Story::of(1).lock(IP, "h1", 1).fails(IP, "h1", 1).finds(&[(
        "redundancy",
        "10.0.0.1/32",
        "no candidate is well: h1 is failing",
    )]);
}

#[test]
fn an_ip_that_nobody_owns_is_found() {
    let text = "no host owns it: h1 could, h2 is failing";
    Story::of(2).offers(IP, "h1", 1).fails(IP, "h2", 2).finds(&[("no_owner", "10.0.0.1/32", text)]);
}

#[test]
fn two_masks_are_a_conflict_with_both_owners() {
    let other = "10.0.0.1_24";
    let story = well().lock(other, "h4", 4).offers(other, "h4", 4).offers(other, "h5", 5);
    let text =
        "offered with two masks: /24 (h4, h5, owned by h4) and /32 (h1, h2, h3, owned by h2)";
    story.finds(&[("conflict", "10.0.0.1", text)]);
}

#[test]
fn a_lock_that_never_ends_and_one_in_another_spelling_are_conflicts() {
    let story = Story::of(2).offers(IP, "h1", 1).offers(IP, "h2", 2).lock(IP, "h2", 0);
    let text = "the lock of h2 has no lease, so that it never ends: delete it";
    story.finds(&[("conflict", "10.0.0.1/32", text)]);
    let ours = "fd00::5_128";
    let story = Story::of(2).offers(ours, "h1", 1).offers(ours, "h2", 2).lock(ours, "h2", 2);
    let text = "/link/default/FD00::5_128 is the lock of the same address in another spelling";
    story.lock("FD00::5_128", "h3", 3).finds(&[("conflict", "fd00::5/128", text)]);
}

#[test]
fn an_ip_that_the_asked_host_has_and_another_owns_is_a_conflict() {
    let mut story = well();
    story.own.ips = vec![own_ip("10.0.0.1/32", Some("h1"), true)];
    let text = "h1 has it on eth0, and h2 owns it";
    story.finds(&[("conflict", "10.0.0.1/32", text)]);
    let mut story = well();
    story.own.ips = vec![own_ip("10.0.0.1/32", Some("h2"), false)];
    story.finds(&[]);
}

#[test]
fn a_second_machine_under_a_name_is_a_conflict_and_a_mark_is_none() {
    let mut story = well();
    story.hosts.push(kv("/link/config/h2/0123".to_owned(), "{}", 2));
    story.hosts.push(kv("/link/config/.written/h2".to_owned(), "x", 0));
    story.finds(&[("conflict", "h2", "another machine starts under this name")]);
}

#[test]
fn a_drained_host_is_shown_as_one_and_needs_nobody() {
    let mut story = well();
    let value = r#"{"answers":true,"version":"v1.2.3","started":1000,"drained":true}"#;
    story.agents[1].value = value.as_bytes().to_vec();
    let status = story.status();
    let drained: Vec<bool> = status.hosts.iter().map(|host| host.drained).collect();
    assert_eq!((drained, status.ok), (vec![false, true, false], true));
}

#[test]
fn what_is_wrong_with_the_asked_host_is_told() {
    let mut story = well();
    story.own.problems = vec!["eth0 is down".to_owned()];
    story.finds(&[("problem", "h1", "eth0 is down")]);
}

#[test]
fn what_cannot_be_understood_is_named_and_hides_nothing() {
    let mut story = well();
    story.agents.push(kv("/link/agents/h9".to_owned(), "rubbish", 9));
    story.hosts.push(kv("/link/config/h8".to_owned(), "rubbish", 0));
    story.hosts.push(kv("/link/config/a b".to_owned(), "{}", 0));
    story =
        story.lock("rubbish", "h1", 1).lock("10.0.0.9_32", "a b", 1).offers("10.0.0.9_32", "", 1);
    story.candidacies.push(kv(format!("/link/ips/{IP}/h7"), "rubbish", 7));
    let status = story.status();
    assert!(status.findings.iter().all(|finding| finding.kind == "bad_value"), "{status:?}");
    let about: Vec<&str> = status.findings.iter().map(|it| it.about.as_str()).collect();
    let expected = [
        "/link/agents/h9",
        "/link/config/h8",
        "/link/config/a b",
        "/link/ips/10.0.0.9_32/",
        "/link/ips/10.0.0.1_32/h7",
        "/link/default/rubbish",
        "/link/default/10.0.0.9_32",
    ];
    assert_eq!(about, expected);
    assert_eq!(status.ips[0].candidates.len(), 4, "h7 counts: {status:?}");
}

#[test]
fn a_host_without_an_agent_of_ours_lives_as_long_as_its_lease() {
    let mut story = well();
    story.host(4);
    story.leases.push((4, TimeToLive { left: 3, granted: 15 }));
    let story = story.offers(IP, "h4", 0);
    let all = story.status();
    let (host, candidate) = (&all.hosts[3], &all.ips[0].candidates[3]);
    assert_eq!((host.alive, host.version.as_deref(), host.lease_left), (Some(true), None, Some(3)));
    assert_eq!((candidate.alive, all.ok), (Some(true), true));
}

#[test]
fn etcd_is_asked_for_what_the_first_read_does_not_tell() {
    let mut story = well().gone(3, "10.0.0.1/32");
    story.hosts.push(kv("/link/config/h2/claim".to_owned(), "{}", 2));
    let Ok(read) = story.facts().etcd else { unreachable!() };
    assert_eq!(silent_hosts(&read.all), ["h3"]);
    assert_eq!(leases(&read.all), [1, 2, 3]);
    let txn = records_txn(&["h3".to_owned()]);
    assert_eq!(txn, Txn::unconditional(vec![Op::GetPrefix("/link/hosts/h3/".to_owned())]));
}

#[test]
fn without_etcd_the_host_tells_what_it_knows() {
    let mut own = well().own;
    own.ips = vec![own_ip("10.0.0.1/32", None, true), own_ip("10.0.0.2/32", Some("h2"), false)];
    own.agents = vec!["h2".to_owned()];
    own.problems = vec!["etcd is lost".to_owned()];
    let status = status(&Facts { own, now: 0, etcd: Err("etcd is lost".to_owned()) });
    assert_eq!((status.etcd.as_str(), status.ok), ("etcd is lost", false));
    let kinds: Vec<&str> = status.findings.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds, ["etcd"]);
    let hosts: Vec<_> = status.hosts.iter().map(|it| (it.hostname.as_str(), it.alive)).collect();
    assert_eq!(hosts, [("h1", Some(true)), ("h2", None)]);
    let ips: Vec<_> = status.ips.iter().map(|it| (it.ip.as_str(), it.owner.as_deref())).collect();
    assert_eq!(ips, [("10.0.0.1/32", Some("h1")), ("10.0.0.2/32", Some("h2"))]);
}

#[test]
fn without_etcd_the_last_known_owner_is_told_with_its_age() {
    let mut own = well().own;
    let standby = |ip: &str| wire::Ip { status: "STANDBY".to_owned(), ..own_ip(ip, None, false) };
    own.ips =
        vec![own_ip("10.0.0.1/32", None, true), standby("10.0.0.2/32"), standby("10.0.0.3/32")];
    let last = |ip: &str| (ip.parse().unwrap(), "h2".to_owned(), 63);
    own.owners = vec![last("10.0.0.1/32"), last("10.0.0.2/32")];
    let status = status(&Facts { own, now: 0, etcd: Err("etcd is lost".to_owned()) });
    let told = status.ips.iter().map(|it| {
        (it.owner.as_deref(), it.last_owner.as_ref().map(|last| (last.host.as_str(), last.ago)))
    });
    let expected = [(Some("h1"), None), (None, Some(("h2", 63))), (None, None)];
    assert_eq!(told.collect::<Vec<_>>(), expected, "it was taken, it was another's, nobody knows");
    let owns: Vec<u64> = status.hosts.iter().map(|host| host.owns).collect();
    assert_eq!(owns, [1]);
}

#[test]
fn a_host_that_does_not_answer_is_told_before_its_lease_ends() {
    let silent = |since: u64, left: i64| {
        let mut story = well();
        story.own.away = vec![("h2".to_owned(), since), ("h9".to_owned(), since)];
        story.leases[1].1.left = left;
        story
    };
    let story = silent(1, 4);
    let status = story.status();
    assert_eq!((status.hosts[1].alive, status.hosts[1].away), (Some(true), Some(1)));
    let alive: Vec<_> = status.ips[0].candidates.iter().map(|it| it.alive).collect();
    assert_eq!(alive, [Some(true), Some(false), Some(true)]);
    assert_eq!(status.findings[0].since, Some(1));
    let expected = [("host", "h2", "the host does not answer; it offers 1 IP")];
    silent(0, 5).finds(&expected);
    silent(4, 1).finds(&expected);
    // It has renewed its lease since.
    silent(4, 3).finds(&[]);
    silent(600, 4).finds(&[]);
    // Etcd has ended it.
    let mut story = silent(5, 0).gone(2, "10.0.0.1/32");
    story.own.gone = vec![("h2".to_owned(), 0)];
    story.finds(&[("host", "h2", "the host is gone; it offers 1 IP")]);
}

#[test]
fn an_answer_that_would_be_too_large_says_what_is_left_out() {
    let mut story = Story::of(2);
    for number in 1..=60_000 {
        let key = format!("fd00::{number:x}_128");
        story = story.lock(&key, "h1", 1).offers(&key, "h1", 1);
    }
    let status = story.status();
    assert_eq!(status.findings.len() as u64 + status.more_findings, 60_000);
    assert_eq!(status.ips.len() as u64 + status.more_ips, 60_000);
    let json = serde_json::to_vec(&status).unwrap();
    assert!(json.len() < 8 << 20, "{}", json.len());
    assert!(!status.ok && status.more_ips > 0);
}
