//! Health checks: who may own an IP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// Checks in a hurry; two failures in a row count.
const HURRY: [(&str, &str); 3] = [
    ("HEALTH_CHECK_INTERVAL", "200ms"),
    ("HEALTH_CHECK_TIMEOUT", "300ms"),
    ("FAIL_COUNT_BEFORE_FAILOVER", "2"),
];

/// The port of the service behind the VIP, on each host's loopback.
const PORT: u16 = 8080;

fn with_check(vip: Vip) -> Value {
    json!({ "ip": vip.to_string(), "checks": [{ "type": "TCP", "host": "127.0.0.1", "port": PORT }] })
}

/// Two hosts with a service and a check of it.
fn checked_pair() -> Lab {
    let mut lab = Lab::new(2);
    for id in lab.ids() {
        lab[id].start_with(&HURRY);
    }
    lab
}

#[test]
fn a_failing_check_moves_the_ip_at_once() {
    let lab = checked_pair();
    let mut services: Vec<_> = lab.ids().iter().map(|id| Some(lab[*id].listen(PORT))).collect();
    for id in lab.ids() {
        lab[id].api().create(&with_check(VIP));
    }
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let pinger = lab.client.ping(VIP.ip());
    services[usize::from(owner.0) - 1] = None;
    lab.await_owner_other_than(owner, VIP);
    println!("{:?}", pinger.stop());
    lab[owner].await_status(VIP, "FAILING");

    services[usize::from(owner.0) - 1] = Some(lab[owner].listen(PORT));
    lab[owner].await_status(VIP, "STANDBY");
    let heir = lab.other_than(owner);
    holds_for(Duration::from_secs(1), "no fail-back", || lab.bound_on(VIP) == [heir]);
}

#[test]
fn when_the_checks_fail_on_every_host_the_last_one_keeps_the_ip_until_one_recovers() {
    let lab = checked_pair();
    let services: Vec<_> = lab.ids().into_iter().map(|id| lab[id].listen(PORT)).collect();
    lab.ids().iter().for_each(|id| drop(lab[*id].api().create(&with_check(VIP))));
    let owner = lab.await_owner(VIP);
    let other = lab.other_than(owner);
    lab.await_reachable(VIP);
    drop(services);
    lab[H1].await_status(VIP, "FAILING");
    lab[H2].await_status(VIP, "FAILING");
    let last = lab.await_owner(VIP);
    let shown = lab[last].api().find(VIP).unwrap();
    assert_eq!((shown.status.as_str(), shown.bound), ("FAILING", true));
    holds_for(Duration::from_secs(2), "it stays", || lab.bound_on(VIP) == [last]);
    assert!(lab.client.reaches(VIP.ip()));
    let recovered = if last == owner { other } else { owner };
    let _service = lab[recovered].listen(PORT);
    assert_eq!(lab.await_owner_other_than(last, VIP), recovered);
}

#[test]
fn a_service_that_hangs_is_a_failure_and_recovers() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[&HURRY[..], &[("ALL_FAILING_POLICY", "none")]].concat());
    let _service = lab[H1].listen(PORT);
    lab[H1].api().create(&with_check(VIP));
    lab.await_owner(VIP);
    lab[H1].cut_port(PORT);
    lab[H1].await_status(VIP, "FAILING");
    eventually("it lets go", || lab.bound_on(VIP).is_empty() && lab.lock(VIP).is_none());
    lab[H1].heal();
    assert_eq!(lab.await_owner(VIP), H1);
    lab.await_reachable(VIP);
}

#[test]
fn a_host_whose_check_fails_from_the_start_never_campaigns() {
    let mut lab = Lab::new(2);
    lab[H1].start_with(&HURRY);
    lab[H1].api().create(&with_check(VIP));
    lab[H1].await_status(VIP, "FAILING");
    holds_for(Duration::from_secs(2), "nobody owns it", || {
        lab.bound_on(VIP).is_empty() && lab.lock(VIP).is_none()
    });
    lab[H2].start();
    lab[H2].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H2);
}

#[test]
fn a_single_failure_moves_nothing() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[HURRY[0], HURRY[1], ("FAIL_COUNT_BEFORE_FAILOVER", "20")]);
    let service = lab[H1].listen(PORT);
    lab[H1].api().create(&with_check(VIP));
    lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    drop(service);
    holds_for(Duration::from_secs(1), "still owner", || lab.bound_on(VIP) == [H1]);
    let _service = lab[H1].listen(PORT);
    holds_for(Duration::from_secs(4), "still owner", || lab.bound_on(VIP) == [H1]);
    assert_eq!(lab.lock(VIP), lock);
}

#[test]
fn changed_checks_take_effect_at_once() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[&HURRY[..], &[("ALL_FAILING_POLICY", "none")]].concat());
    let api = lab[H1].api();
    api.create(&with_check(VIP));
    eventually("it is FAILING", || api.status(VIP) == "FAILING");
    let changed = api.put(&api.path(VIP), &json!({ "healthchecks": [] })).expect(200);
    assert_eq!(changed.json()["checks"], json!([]));
    assert_eq!(lab.await_owner(VIP), H1);
    let checks = json!({ "healthchecks": with_check(VIP)["checks"] });
    let changed = api.put(&api.path(VIP), &checks).expect(200);
    assert_eq!(changed.json()["checks"], checks["healthchecks"]);
    eventually("it is FAILING again", || api.status(VIP) == "FAILING");
    eventually("it lets go", || lab.bound_on(VIP).is_empty());
}

#[test]
fn a_check_that_was_replaced_while_it_hung_has_nothing_more_to_say() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[("HEALTH_CHECK_TIMEOUT", "2s"), ("FAIL_COUNT_BEFORE_FAILOVER", "1")]);
    let _hanging = lab[H1].listen(PORT);
    lab[H1].cut_port(PORT);
    let api = lab[H1].api();
    api.create(&with_check(VIP));
    let _service = lab[H1].listen(PORT + 1);
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": PORT + 1 });
    api.put(&api.path(VIP), &json!({ "healthchecks": [check] })).expect(200);
    within(Duration::from_secs(1), "it passes at once", || api.status(VIP) == "ACTIVATED");
    holds_for(Duration::from_secs(3), "it stays", || api.status(VIP) == "ACTIVATED");
}

#[test]
fn a_hanging_check_of_one_ip_does_not_hold_up_another() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[HURRY[0], ("HEALTH_CHECK_TIMEOUT", "20s")]);
    let _service = lab[H1].listen(PORT);
    lab[H1].cut_port(PORT);
    lab[H1].api().create(&with_check(VIP));
    let _other = lab[H1].listen(PORT + 1);
    let check = json!([{ "type": "TCP", "host": "127.0.0.1", "port": PORT + 1 }]);
    lab[H1].api().create(&json!({ "ip": VIP2.to_string(), "checks": check }));
    within(Duration::from_secs(10), "the other IP is owned", || lab.owner(VIP2) == Some(H1));
    assert_eq!(lab.bound_on(VIP), []);
}

#[test]
fn the_interval_of_the_checks_can_be_changed() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let id = lab[H1].api().add(VIP).id;
    let path = format!("/ips/{id}");
    let changed = lab[H1].api().put(&path, &json!({ "healthcheck_interval": 7 })).expect(200);
    assert_eq!(changed.json()["healthcheck_interval"], 7);
    let stored = lab.etcd.get(&record_key("h1", &id)).unwrap().value;
    assert!(stored.contains("\"healthcheck_interval\":7"), "{stored}");
    let answer = lab[H1].api().put(&format!("/endpoints/{id}"), &json!({ "healthchecks": [] }));
    assert_eq!(answer.expect(200).json()["id"], json!(id), "bare, as the Go LinK answers");
}
