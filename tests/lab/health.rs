//! `GET /health` tells of every IP for which its host does not do what it should.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

#[test]
fn an_ip_whose_interface_is_down_is_named() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    for take_down in [Host::link_down, Host::remove_card] {
        take_down(&lab[H1]);
        lab[H1].api().await_unwell(&[&VIP.to_string(), "eth0"]);
        lab.await_owner_other_than(H1, VIP);
        lab[H2].api().await_well();
        if lab[H1].has_card() {
            lab[H1].link_up();
        } else {
            lab[H1].insert_card();
        }
        lab[H1].api().await_well();
        lab[H2].api().failover(VIP).expect(204);
        lab.await_owner_other_than(H2, VIP);
    }
}

#[test]
fn an_ip_whose_interface_has_no_carrier_is_named() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    lab.set_carrier(H1, false);
    lab[H1].api().await_unwell(&[&VIP.to_string(), "eth0"]);
    lab.await_owner_other_than(H1, VIP);
    lab.set_carrier(H1, true);
    lab[H1].api().await_well();
}

#[test]
fn an_ip_whose_interface_is_missing_is_named() {
    let mut lab = Lab::new(1);
    lab.start_all();
    lab[H1].api().add(VIP);
    lab[H1].api().await_well();
    lab[H1].api().create(&json!({ "ip": VIP2.to_string(), "interface": "eth7" }));
    let body = lab[H1].api().await_unwell(&[&VIP2.to_string(), "eth7"]);
    assert!(!body.contains(&VIP.to_string()), "{body}");
    let path = lab[H1].api().path(VIP2);
    lab[H1].api().delete(&path).expect(204);
    lab[H1].api().await_well();
}

#[test]
fn a_service_that_fails_is_no_fault_of_the_agent() {
    let mut lab = Lab::new(1);
    lab.start_all();
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": 8080 });
    lab[H1].api().create(&json!({ "ip": VIP.to_string(), "checks": [check] }));
    lab[H1].await_status(VIP, "FAILING");
    assert_eq!(lab[H1].api().health().0, 200);
}

#[test]
fn a_host_is_watched_through_an_interface_that_is_up_here() {
    // The lease lasts 15 s: what moves in less was not moved by its end.
    let slow = [("KEEPALIVE_INTERVAL", "3s")];
    let mut lab = Lab::builder(2).management_network().build();
    lab[H1].start_with(&slow);
    lab[H1].api().add(VIP);
    lab[H1].api().create(&json!({ "ip": VIP2.to_string(), "interface": "eth1" }));
    for (id, vip, interface) in [("0", VIP, "eth0"), ("f", VIP2, "eth1")] {
        let id = format!("vip-{}-0000-4000-8000-000000000000", id.repeat(8));
        let record = json!({ "id": id, "ip": vip.to_string(), "checks": [], "plugin": "arp", "interface": interface });
        lab.etcd.put(&record_key("h2", &id), &record.to_string());
    }
    lab[H2].start_with(&slow);
    [VIP, VIP2].iter().for_each(|vip| lab[H2].await_status(*vip, "STANDBY"));
    lab[H2].link_down();
    lab[H2].await_status(VIP, "FAILING");
    // It needs to have heard of the other before it can miss it.
    holds_for(Duration::from_secs(2), "the other has it", || lab.owner(VIP2) == Some(H1));
    let lease = lab.lock(VIP2).unwrap().lease;
    lab[H1].power_off();
    let took = within(Duration::from_secs(10), "it takes it", || lab[H2].binds(VIP2.ip()));
    println!("taken {took:?} after the death");
    assert!(lab.etcd.has_lease(lease), "the lease of the dead host goes on");
}
