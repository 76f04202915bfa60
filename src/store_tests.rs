//! The formats, against what Go and Rust agents have written.

use super::*;
use crate::policy::LossPolicy;
use crate::vip::Cidr;
use crate::vip::LONGEST_INTERVAL;

const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

fn cidr() -> Cidr {
    "10.0.0.1/32".parse().unwrap()
}

fn kv(key: &str, value: &str) -> Kv {
    Kv { key: key.to_owned(), value: value.as_bytes().to_vec(), lease: 0, mod_revision: 5 }
}

fn reply(succeeded: bool, found: Vec<Vec<Kv>>) -> Reply {
    Reply::new(succeeded, 9, found)
}

fn load(values: &[&str]) -> Stored {
    let kvs = values.iter().map(|value| kv(&format!("/link/hosts/h1/{ID}"), value)).collect();
    loaded("h1", &reply(true, vec![vec![], kvs]))
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
        assert_eq!(stored.skipped, [""; 0]);
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
    assert_eq!(load(&[&value]), Stored::default());
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
        (&format!(r#"{{"id":"{ID}","ip":"10.0.0.1","checks":[{{"type":"HTTP"}}]}}"#), "HTTP"),
        (r#"{"id":"vip-00000000-2fa1-41d2-883f-0016d3cca427","ip":"10.0.0.1"}"#, "vip-00000000"),
    ] {
        let stored = load(&[value]);
        assert_eq!(stored.records, [], "{value}");
        assert!(stored.skipped[0].contains(named), "{}", stored.skipped[0]);
        assert!(stored.skipped[0].starts_with("/link/hosts/h1/vip-"), "{}", stored.skipped[0]);
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
        assert!(stored.skipped[0].starts_with(&named), "{}", stored.skipped[0]);
    }
    let null = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32","etcd_loss_policy":null}}"#);
    assert_eq!(load(&[&null]).skipped, [""; 0]);
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
fn an_address_is_registered_once() {
    let value = format!(r#"{{"id":"{ID}","ip":"10.0.0.1/32"}}"#);
    let stored = load(&[&value, &value]);
    assert_eq!((stored.records.len(), stored.skipped.len()), (1, 1));
}

#[test]
fn a_record_is_written_so_that_the_go_link_can_read_it() {
    let record = Record {
        id: ID.parse().unwrap(),
        cidr: cidr(),
        checks: vec![],
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        revision: 0,
    };
    let txn = write_record_txn("h1", &record);
    let key = format!("/link/hosts/h1/{ID}");
    assert_eq!(txn.when, [Compare::Absent(key.clone())]);
    let value = format!(
        r#"{{"id":"{ID}","ip":"10.0.0.1/32","checks":[],"healthcheck_interval":0,"plugin":"arp","plugin_config":{{"ip":"10.0.0.1/32"}}}}"#
    );
    assert_eq!(txn.then, [Op::Put { key, value: value.into_bytes(), lease: 0 }]);
}

#[test]
fn a_local_copy_is_read_by_the_host_that_wrote_it() {
    let check = r#"{"type":"TCP","host":"::1","port":80}"#;
    let value = format!(
        r#"{{"id":"{ID}","ip":"10.0.0.1/32","checks":[{check}],"interface":"eth1","etcd_loss_policy":"hold"}}"#
    );
    let stored = load(&[&value]);
    assert_eq!(stored.records[0].loss, Some(LossPolicy::Hold));
    let copy = local_copy("h1", Some(7), stored.records.iter());
    let local = read_local_copy("h1", &copy).unwrap();
    assert_eq!((local.lease, local.lease_revision), (Some(7), 0));
    let records = stored.records.into_iter().map(|record| Record { revision: 0, ..record });
    assert_eq!(local.records, records.collect::<Vec<_>>());
    assert!(read_local_copy("h2", &copy).is_err());
    assert!(read_local_copy("h1", &copy[..copy.len() - 1]).is_err());
}

#[test]
fn the_lease_of_a_former_life_is_read_and_garbage_is_not() {
    let config =
        |value: &str| loaded("h1", &reply(true, vec![vec![kv("/link/config/h1", value)], vec![]]));
    let stored = config(r#"{"hostname":"h1","lease_id":6070186003021012240,"data_version":3}"#);
    assert_eq!((stored.lease, stored.lease_revision), (Some(6070186003021012240), 5));
    let stored = config("rubbish");
    assert_eq!((stored.lease, stored.lease_revision, stored.skipped.len()), (None, 5, 1));
}

#[test]
fn a_write_that_was_repeated_finds_its_own_value() {
    assert_eq!(written(b"a", &reply(true, vec![vec![]])), Ok(9));
    assert_eq!(written(b"a", &reply(false, vec![vec![kv("k", "a")]])), Ok(5));
    assert_eq!(written(b"a", &reply(false, vec![vec![kv("k", "b")]])), Err(Conflict(5)));
    assert_eq!(written(b"a", &reply(false, vec![vec![]])), Err(Conflict(0)));
}
