//! What is in etcd has its limits: how many IPs, and which interfaces.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

const LIMIT: [(&str, &str); 1] = [("MAX_NUMBER_OF_ENDPOINTS", "3")];

fn id(number: u16) -> String {
    format!("vip-{number:08}-0000-4000-8000-000000000000")
}

fn vip(number: u16) -> Vip {
    Vip::v4(number)
}

/// A lab whose host has more records in etcd than it may serve.
fn crowded() -> Lab {
    let lab = Lab::new(1);
    for number in 1..=8 {
        let record = json!({ "id": id(number), "ip": vip(number).to_string(), "plugin": "arp" });
        lab.etcd.put(&record_key("h1", &id(number)), &record.to_string());
    }
    lab
}

/// Three IPs are served, and one warning names the others.
fn expect_limited(lab: &Lab) {
    eventually("three are known", || lab[H1].api().list().len() == 3);
    let served: Vec<String> = lab[H1].api().list().into_iter().map(|ip| ip.ip).collect();
    let left: Vec<String> = (1..=8).map(|number| vip(number).to_string()).collect();
    let left: Vec<&str> =
        left.iter().filter(|ip| !served.contains(ip)).map(String::as_str).collect();
    assert_eq!(left.len(), 5);
    lab[H1].await_warning(&[&["MAX_NUMBER_OF_ENDPOINTS"], left.as_slice()].concat());
    let warnings = lab[H1].warnings(&["MAX_NUMBER_OF_ENDPOINTS"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(lab.records(H1).len(), 8, "the records stay");
}

#[test]
fn more_records_than_are_allowed_are_named_once_and_the_limit_holds() {
    let mut lab = crowded();
    lab.start_all_with(&LIMIT);
    expect_limited(&lab);
    lab[H1].api().post_vip(vip(20)).expect(422);
    let bound = || (1..=8).filter(|number| lab[H1].binds(vip(*number).ip())).count();
    eventually("three are bound", || bound() == 3);
    holds_for(Duration::from_secs(2), "no more than three", || bound() == 3);
    // Those that are served stay the same ones.
    let before = lab[H1].api().list();
    lab[H1].kill();
    lab[H1].restart();
    let ids = |ips: &[link::wire::Ip]| ips.iter().map(|ip| ip.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&lab[H1].api().list()), ids(&before));
}

#[test]
fn more_ips_in_the_local_copy_than_are_allowed_are_not_served() {
    let mut lab = crowded();
    lab.start_all();
    eventually("the copy is written", || {
        let copy = std::fs::read_to_string(lab[H1].state_file()).unwrap_or_default();
        (1..=8).all(|number| copy.contains(&vip(number).to_string()))
    });
    lab[H1].terminate();
    lab.etcd.stop();
    lab[H1].start_without_etcd(&LIMIT);
    let bound = || (1..=8).filter(|number| lab[H1].binds(vip(*number).ip())).count();
    eventually("three are bound", || bound() == 3);
    holds_for(Duration::from_secs(2), "no more than three", || bound() == 3);
    lab.etcd.start_all();
    expect_limited(&lab);
}

#[test]
fn a_record_whose_interface_cannot_be_one_is_skipped_and_said() {
    let mut lab = Lab::new(1);
    let names = ["", "a-name-of-16-let", "eth0\u{1b}[31m", "a/b", "a b", ".", ".."];
    for (number, interface) in (1..).zip(names) {
        let ip = vip(number).to_string();
        let record = json!({ "id": id(number), "ip": ip, "plugin": "arp", "interface": interface });
        lab.etcd.put(&record_key("h1", &id(number)), &record.to_string());
    }
    lab[H1].start();
    assert_eq!(lab[H1].api().list(), []);
    for number in (1..).take(names.len()) {
        lab[H1].await_warning(&[&id(number), "interface"]);
    }
    assert!(!lab[H1].agent().log().contains('\u{1b}'), "the log is written by the record");
    assert_eq!(lab.records(H1).len(), names.len(), "the records stay");
}
