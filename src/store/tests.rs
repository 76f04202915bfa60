//! The formats, against what Go and Rust agents have written, and the transactions.

use super::record::record_value;
use super::request::written;
use super::*;
use crate::etcd::{Compare, Kv, Op, Reply, Txn};
use crate::policy::LossPolicy;
use crate::vip::{Check, Cidr, LONGEST_INTERVAL};

const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

fn cidr() -> Cidr {
    "10.0.0.1/32".parse().unwrap()
}

fn machine() -> Instance {
    Instance::new("i1".to_owned(), "b1".to_owned(), Some([2, 0, 0, 0, 0, 1]))
}

fn kv(key: &str, value: &str) -> Kv {
    Kv { key: key.to_owned(), value: value.as_bytes().to_vec(), lease: 0, mod_revision: 5 }
}

fn reply(succeeded: bool, found: Vec<Vec<Kv>>) -> Reply {
    Reply::new(succeeded, 9, found)
}

fn found(host: Vec<Kv>, records: Vec<Kv>) -> Found {
    let reply = reply(true, vec![host, vec![], records]);
    let answer = answer_of(&Request::Load, "h1", &machine(), &reply);
    let Answer::Loaded(found) = answer else { panic!("{answer:?}") };
    *found
}

fn load(values: &[&str]) -> Found {
    found(vec![], values.iter().map(|value| kv(&format!("/link/hosts/h1/{ID}"), value)).collect())
}

fn skipped(found: &Found) -> Vec<&str> {
    found.unreadable.iter().map(|it| it.why.as_str()).collect()
}

fn record() -> Record {
    Record {
        id: ID.parse().unwrap(),
        cidr: cidr(),
        checks: vec![],
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority: None,
        group: None,
        revision: 0,
    }
}

#[test]
fn records_of_all_versions_of_the_go_link_are_read() {
    let checks = r#"[{"type":"TCP","host":"127.0.0.1","port":80}]"#;
    for value in [
        format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32","checks":{checks},"healthcheck_interval":7}}"#),
        format!(
            r#"{{"id":"{ID}","ip":"","checks":{checks},"healthcheck_interval":7,"plugin":"arp",
            "plugin_config":{{"ip":"10.0.0.1/32"}},"status":"x"}}"#
        ),
    ] {
        let stored = load(&[&value]);
        assert_eq!(skipped(&stored), [""; 0]);
        let record = &stored.records[0];
        assert_eq!((record.cidr, record.healthcheck_interval), (cidr(), 7));
        assert_eq!((record.checks.len(), record.revision), (1, 5));
    }
    let bare = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32","checks":null}}"#);
    assert_eq!(load(&[&bare]).records[0].checks, []);
}

#[test]
fn an_interval_that_no_clock_can_add_is_cut_to_the_longest() {
    let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1","healthcheck_interval":{}}}"#, u64::MAX);
    assert_eq!(load(&[&value]).records[0].healthcheck_interval, LONGEST_INTERVAL);
}

#[test]
fn records_of_other_plugins_are_left_alone() {
    let value =
        format!(r#"{{"id":"{ID}","ip":"","plugin":"webhook","plugin_config":{{"url":"x"}}}}"#);
    assert_eq!(load(&[&value]), Found::default());
}

#[test]
fn what_cannot_be_understood_is_named_and_skipped() {
    for (value, named) in [
        ("", "EOF"),
        ("[]", "invalid"),
        (r#"{"id":"x","ip":"10.0.0.1/32"}"#, r#"id "x""#),
        (&format!(r#"{{"id":"{ID}","ip":"10.0.0.300"}}"#), "10.0.0.300"),
        (&format!(r#"{{"id":"{ID}","ip":"127.0.0.1"}}"#), "loopback"),
        (&format!(r#"{{"id":"{ID}"}}"#), r#"ip """#),
        (&format!(r#"{{"id":"{ID}","ip":"10.0.0.1","checks":[{{"type":"UDP"}}]}}"#), "type UDP"),
        (r#"{"id":"vip-00000000-2fa1-41d2-883f-0016d3cca427","ip":"10.0.0.1"}"#, "vip-00000000"),
    ] {
        let stored = load(&[value]);
        assert_eq!(stored.records, [], "{value}");
        assert!(skipped(&stored)[0].contains(named), "{}", skipped(&stored)[0]);
        assert!(skipped(&stored)[0].starts_with("/link/hosts/h1/vip-"), "{}", skipped(&stored)[0]);
    }
}

#[test]
fn a_policy_that_is_unknown_counts_as_not_set_and_is_named() {
    for (policy, named) in [
        (r#""panic""#, r#"etcd_loss_policy "panic" is not a policy (take, probe, hold)"#),
        ("7", "etcd_loss_policy 7 is"),
        (r#"{"a":[]}"#, r#"etcd_loss_policy {"a":[]} is"#),
    ] {
        let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32","etcd_loss_policy":{policy}}}"#);
        let stored = load(&[&value]);
        assert_eq!((stored.records.len(), stored.records[0].loss), (1, None), "{policy}");
        let named = format!("/link/hosts/h1/{ID}: {named}");
        assert!(skipped(&stored)[0].starts_with(&named), "{}", skipped(&stored)[0]);
    }
    let null = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32","etcd_loss_policy":null}}"#);
    assert_eq!(skipped(&load(&[&null])), [""; 0]);
}

#[test]
fn a_policy_is_written_only_if_it_is_set() {
    let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32"}}"#);
    let record = load(&[&value]).records.remove(0);
    let written = |record: &Record| String::from_utf8(record_value(record)).unwrap();
    assert!(!written(&record).contains("policy"));
    let record = Record { loss: Some(LossPolicy::Probe), ..record };
    assert!(written(&record).ends_with(r#","etcd_loss_policy":"probe"}"#));
}

#[test]
fn a_priority_is_written_only_if_it_is_set_and_none_that_makes_no_sense_loses_an_ip() {
    let value = |priority: &str| format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32"{priority}}}"#);
    let written = |record: &Record| String::from_utf8(record_value(record)).unwrap();
    let plain = load(&[&value("")]).records.remove(0);
    assert!(plain.priority.is_none() && !written(&plain).contains("priority"));
    let high = load(&[&value(r#","priority":255"#)]).records.remove(0);
    assert_eq!(high.priority, Some(255));
    assert!(written(&high).ends_with(r#","priority":255}"#));
    for odd in ["256", "-1", r#""high""#, "{}"] {
        let stored = load(&[&value(&format!(r#","priority":{odd}"#))]);
        assert_eq!(stored.records[0].priority, None);
        assert!(skipped(&stored)[0].contains("is not in 0-255"), "{:?}", stored.unreadable);
    }
}

#[test]
fn a_group_is_written_only_if_it_is_set_and_none_that_makes_no_sense_loses_an_ip() {
    let value = |group: &str| format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32"{group}}}"#);
    let written = |record: &Record| String::from_utf8(record_value(record)).unwrap();
    let plain = load(&[&value("")]).records.remove(0);
    assert!(plain.group.is_none() && !written(&plain).contains("group"));
    let of_group = load(&[&value(r#","group":"gw""#)]).records.remove(0);
    assert!(written(&of_group).ends_with(r#","group":"gw"}"#));
    let stored = load(&[&value(r#","group":"a/b""#)]);
    assert_eq!(stored.records[0].group, None);
    assert!(skipped(&stored)[0].contains("group"), "{:?}", stored.unreadable);
}

#[test]
fn an_address_is_registered_once() {
    let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32"}}"#);
    let stored = load(&[&value, &value]);
    assert_eq!((stored.records.len(), stored.unreadable.len()), (1, 1));
}

#[test]
fn an_interface_that_cannot_be_one_makes_a_record_unreadable() {
    for name in ["", "0123456789abcdef", "a b", "\\u001b[2J"] {
        let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1","interface":"{name}"}}"#);
        let stored = load(&[&value]);
        assert_eq!(stored.records, [], "{name}");
        assert!(skipped(&stored)[0].contains("interface"), "{:?}", stored.unreadable);
        assert_eq!(stored.unreadable[0].id, Some(ID.parse().unwrap()));
        assert!(!skipped(&stored)[0].contains('\u{1b}'), "it is escaped");
    }
}

#[test]
fn a_new_record_is_written_only_where_nobody_offers_the_address_with_another_mask() {
    let txn = txn_of(&Request::WriteRecord(record()), "h1", &machine(), "history");
    let key = format!("/link/hosts/h1/{ID}");
    let none_in = |from: &str, to: &str| {
        let key = |end: &str| format!("/link/ips/10.0.0.1{end}");
        Compare::NoneIn(key(from), key(to))
    };
    let when = [Compare::Absent(key.clone()), none_in("_", "_32/"), none_in("_320", "`")];
    assert_eq!(txn.when, when);
    let value = format!(
        r#"{{"id":"{ID}","ip":"10.0.0.1/32","checks":[],"healthcheck_interval":0,"plugin":"arp","plugin_config":{{"ip":"10.0.0.1/32"}}}}"#
    );
    let mark = Op::Put {
        key: "/link/config/.written/h1".to_owned(),
        value: b"history".to_vec(),
        lease: 0,
    };
    assert_eq!(txn.then, [Op::Put { key, value: value.into_bytes(), lease: 0 }, mark]);
    let offered = kv("/link/ips/10.0.0.1_24/h2", "{}");
    let refused = reply(false, vec![vec![], vec![kv("/link/ips/10.0.0.1_32/h3", "{}"), offered]]);
    let answer = answer_of(&Request::WriteRecord(record()), "h1", &machine(), &refused);
    let other = crate::lock::OtherPrefix { cidr: "10.0.0.1/24".to_owned(), host: "h2".to_owned() };
    assert_eq!(answer, Answer::Written(Err(Obstacle::OtherPrefix(other))));
}

#[test]
fn a_record_that_is_known_is_guarded_by_its_revision_alone() {
    let known = Record { revision: 5, ..record() };
    let txn = txn_of(&Request::WriteRecord(known), "h1", &machine(), "history");
    assert_eq!(txn.when, [Compare::ModRevision(format!("/link/hosts/h1/{ID}"), 5)]);
    let delete = Request::DeleteRecord(ID.parse().unwrap(), 5);
    assert_eq!(txn_of(&delete, "h1", &machine(), "history").when, txn.when);
    let answer = |succeeded, found| answer_of(&delete, "h1", &machine(), &reply(succeeded, found));
    assert_eq!(answer(true, vec![vec![]]), Answer::Deleted(Ok(())));
    assert_eq!(answer(false, vec![vec![]]), Answer::Deleted(Ok(())), "it was gone before");
    assert_eq!(answer(false, vec![vec![kv("k", "x")]]), Answer::Deleted(Err(5)));
}

#[test]
fn a_local_copy_is_read_as_it_was_written() {
    let check = r#"{"type":"TCP","host":"::1","port":80}"#;
    let value = format!(
        r#"{{"id":"{ID}","ip":"10.0.0.1/32","checks":[{check}],"interface":"eth1","etcd_loss_policy":"hold"}}"#
    );
    let stored = load(&[&value]);
    assert_eq!(stored.records[0].loss, Some(LossPolicy::Hold));
    let copy = LocalCopy {
        host: "h1".to_owned(),
        lease: Some(7),
        cluster: u64::MAX,
        written: 9,
        history: "one".to_owned(),
        instance: Some(machine()),
        drained_until: Some(1_800_000_000),
        ..LocalCopy::default()
    };
    let bytes = copy.to_bytes(stored.records.iter());
    let read = LocalCopy::read(&bytes).unwrap();
    let records = stored.records.into_iter().map(|record| Record { revision: 0, ..record });
    assert_eq!(read, LocalCopy { records: records.collect(), ..copy });
    assert!(LocalCopy::read(&bytes[..bytes.len() - 2]).is_err());
}

#[test]
fn checks_that_go_does_not_know_stand_beside_those_that_it_reads() {
    let [link, tcp] = ["link://eth1,fall=1", "h:80,rise=2"].map(|it| Check::from_word(it).unwrap());
    let record = Record { checks: Check::in_order(vec![link.clone(), tcp.clone()]), ..record() };
    let txn = txn_of(&Request::WriteRecord(record.clone()), "h1", &machine(), "history");
    let written = txn.then.iter().find_map(|op| {
        let Op::Put { key, value, .. } = op else { return None };
        key.ends_with(ID).then(|| String::from_utf8(value.clone()).unwrap())
    });
    let written = written.unwrap();
    let known = r#""checks":[{"type":"TCP","host":"h","port":80,"rise":2}],"more_checks":[{"#;
    assert!(written.contains(known), "{written}");
    assert_eq!(load(&[&written]).records[0].checks, record.checks);
    // What is not understood costs no IP, and is told.
    for more in [r#"[{"type":"LINK","interface":"eth1","fall":1},{"type":"NEW"}]"#, "null", "7"] {
        let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1","more_checks":{more}}}"#);
        let found = load(&[&value]);
        let expected = if more.starts_with('[') { vec![link.clone()] } else { vec![] };
        assert_eq!(found.records[0].checks, expected);
        assert_eq!(found.unreadable.is_empty(), more == "null", "{:?}", found.unreadable);
    }
}

#[test]
fn what_is_written_behind_a_local_copy_counts_up_to_where_it_was_cut_off() {
    let [first, second, third] = [1, 2, 3].map(|number| Record {
        id: format!("vip-00000000-0000-4000-8000-00000000000{number}").parse().unwrap(),
        cidr: format!("10.0.0.{number}").parse().unwrap(),
        ..load(&[&format!(r#"{{"id":"{ID}","ip":"10.0.0.9"}}"#)]).records[0].clone()
    });
    let copy = LocalCopy { host: "h1".to_owned(), lease: Some(7), ..LocalCopy::default() };
    let mut bytes = copy.to_bytes([&first, &second].into_iter());
    let later = LocalCopy { lease: Some(8), written: 9, ..copy };
    let changed = Record { healthcheck_interval: 5, ..second };
    let change = [(&first.id, None), (&changed.id, Some(&changed)), (&third.id, Some(&third))];
    bytes.extend(later.change_to_bytes(&change));
    let read = |bytes: &[u8]| LocalCopy::read(bytes).unwrap();
    let ids = |copy: &LocalCopy| copy.records.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    let whole = read(&bytes);
    assert_eq!(ids(&whole), [changed.id.clone(), third.id.clone()]);
    assert_eq!(whole.records[0].healthcheck_interval, 5);
    assert_eq!((whole.lease, whole.written, &whole.skipped[..]), (Some(8), 9, &[][..]));
    bytes.extend(later.change_to_bytes(&[(&third.id, None)]));
    let cut = read(&bytes[..bytes.len() - 9]);
    assert_eq!(ids(&cut), ids(&whole));
    assert!(cut.skipped[0].contains("the end of the local copy"), "{:?}", cut.skipped);
}

#[test]
fn what_a_local_copy_says_of_deletions_is_read_or_named() {
    let text =
        r#"{"hostname":"h1","lease_id":7,"ips":[],"deleted":["10.0.0.1","fd00::1","vip-1"]}"#;
    let read = LocalCopy::read(text.as_bytes()).unwrap();
    let expected: Vec<std::net::IpAddr> =
        ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into();
    assert_eq!(read.deleted, expected);
    assert_eq!(read.skipped, ["deleted vip-1: not an address"]);
}

#[test]
fn a_local_copy_of_the_version_before_is_read() {
    let old =
        format!(r#"{{"hostname":"h1","lease_id":7,"ips":[{{"id":"{ID}","ip":"10.0.0.1/32"}}]}}"#);
    let read = LocalCopy::read(old.as_bytes()).unwrap();
    assert_eq!(
        (read.lease, read.cluster, read.instance, read.records.len()),
        (Some(7), 0, None, 1)
    );
}

#[test]
fn the_host_of_a_former_life_is_read_and_garbage_is_not() {
    let config = |value: &str| found(vec![kv("/link/config/h1", value)], vec![]);
    let host = config(r#"{"hostname":"h1","lease_id":6070186003021012240,"data_version":3}"#).host;
    let lease = Some(6070186003021012240);
    assert_eq!(host, Some(HostKey { lease, instance: None, revision: 5 }));
    let old = config(r#"{"hostname":"h1","lease_id":7}"#).host;
    assert_eq!(old.unwrap().lease, Some(7), "version 1.9 of the Go LinK has no data_version");
    let stored = config("rubbish");
    assert_eq!(stored.host, Some(HostKey { lease: None, instance: None, revision: 5 }));
    assert_eq!(stored.unreadable.len(), 1);
    let txn = txn_of(&Request::WriteHost { lease: 7, revision: 5 }, "h1", &machine(), "history");
    let [Op::Put { value, .. }, _] = &txn.then[..] else { panic!("{txn:?}") };
    let host = config(std::str::from_utf8(value).unwrap()).host;
    assert_eq!(host, Some(HostKey { lease: Some(7), instance: Some(machine()), revision: 5 }));
}

#[test]
fn a_machine_is_known_by_its_hardware_address_or_by_its_id_as_long_as_it_runs() {
    let mac = |last| Some([2, 0, 0, 0, 0, last]);
    let machine = |id: &str, boot: &str, mac| Instance::new(id.to_owned(), boot.to_owned(), mac);
    let first = machine("i1", "b1", mac(1));
    assert!(first.is_same(&machine("i2", "b2", mac(1))), "its state was lost");
    assert!(first.is_same(&machine("i1", "b1", mac(2))), "its interface was made anew");
    assert!(first.is_same(&machine("i1", "b1", None)), "its interface is missing");
    assert!(!first.is_same(&machine("i1", "b2", mac(2))), "a cloned image");
    assert!(!machine("i1", "", None).is_same(&machine("i1", "", None)), "nothing tells");
}

#[test]
fn what_is_released_is_still_attached_to_that_lease() {
    let keys = vec!["/link/default/10.0.0.1_32".to_owned()];
    let txn =
        txn_of(&Request::Release { lease: 7, keys: keys.clone() }, "h1", &machine(), "history");
    let [Op::Nested(nested)] = &txn.then[..] else { panic!("{txn:?}") };
    assert_eq!(nested.when, [Compare::Lease(keys[0].clone(), 7)]);
    assert_eq!(nested.then, [Op::Delete(keys[0].clone())]);
}

#[test]
fn other_hosts_are_told_from_claims_to_their_names() {
    let kvs = vec![kv("/link/config/h2", r#"{"lease_id":8}"#), kv("/link/config/h2/i9", "{}")];
    let answer = answer_of(&Request::Hosts, "h1", &machine(), &reply(true, vec![kvs]));
    let Answer::Hosts(hosts) = answer else { panic!("{answer:?}") };
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].0.as_str(), hosts[0].1.lease), ("h2", Some(8)));
}

#[test]
fn a_write_that_was_repeated_finds_its_own_value() {
    let changed = |revision| Err(Obstacle::Changed(revision));
    assert_eq!(written(b"a", &reply(true, vec![vec![]])), Ok(9));
    assert_eq!(written(b"a", &reply(false, vec![vec![kv("k", "a")]])), Ok(5));
    assert_eq!(written(b"a", &reply(false, vec![vec![kv("k", "b")]])), changed(5));
    assert_eq!(written(b"a", &reply(false, vec![vec![]])), changed(0));
}

#[test]
fn a_start_learns_whether_other_hosts_have_records() {
    let load = txn_of(&Request::Load, "h1", &machine(), "history");
    let none = |from: &str, to: &str| Compare::NoneIn(from.to_owned(), to.to_owned());
    let before = none("/link/hosts/", "/link/hosts/h1/");
    let when = vec![before, none("/link/hosts/h10", "/link/hosts0")];
    let others = Txn { when, then: Vec::new(), otherwise: Vec::new() };
    assert_eq!(load.then.last(), Some(&Op::Nested(others)));
    for alone in [true, false] {
        let nested = vec![reply(alone, vec![])];
        let reply = Reply { nested, ..reply(true, vec![vec![]; 5]) };
        let Answer::Loaded(found) = answer_of(&Request::Load, "h1", &machine(), &reply) else {
            panic!("another answer")
        };
        assert_eq!(found.others, !alone);
    }
}
