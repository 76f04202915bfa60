//! Addresses that are not LinK's: the host's own, and those of etcd.

use serde_json::json;

use crate::harness::*;

const ID: &str = "vip-2d7bd2d0-7bb5-4b36-9d8c-2b2c6e8a2f10";

/// The address of an interface that comes after the IP was registered, with its route.
const OWN: &str = "10.99.0.1/24";

fn own_address(lab: &Lab) -> String {
    lab[H1].ip("-4 route show dev dm0") + &lab[H1].ip("-4 addr show dev dm0")
}

#[test]
fn an_address_that_the_host_has_itself_outlives_the_ip_of_that_address() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let id = lab[H1].api().create(&json!({ "ip": OWN, "interface": "dm0" })).id;
    lab[H1].ip("link add dm0 type veth peer name dm1");
    lab[H1].ip(&format!("addr add {OWN} dev dm0"));
    lab[H1].ip("link set dm1 up");
    lab[H1].ip("link set dm0 up");
    lab[H1].api().await_unwell(&["10.99.0.1", "the host itself has the address"]);
    let before = own_address(&lab);
    assert!(before.contains("10.99.0.0/24") && before.contains(OWN), "{before}");
    lab[H1].api().delete(&format!("/ips/{id}")).expect(204);
    lab[H1].api().await_well();
    assert_eq!(own_address(&lab), before);
    lab[H1].terminate();
    assert_eq!(own_address(&lab), before);
}

#[test]
fn a_record_of_an_address_that_the_host_has_itself_is_shown() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    lab[H1].terminate();
    let own = format!("{}/24", lab[H1].address());
    let record = json!({ "id": ID, "ip": own, "checks": [], "plugin": "arp" });
    lab.etcd.put(&record_key("h1", ID), &record.to_string());
    let before = lab[H1].ip("-4 addr show dev eth0");
    lab[H1].restart();
    lab[H1].api().await_unwell(&[&own, "the host itself has the address"]);
    lab[H1].api().delete(&format!("/ips/{ID}")).expect(204);
    lab[H1].terminate();
    assert_eq!(lab[H1].ip("-4 addr show dev eth0"), before);
}

#[test]
fn an_address_that_the_host_has_on_whatever_interface_is_refused() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    lab[H1].ip("addr add 10.99.0.7/32 dev lo");
    for address in ["10.99.0.7", "10.99.0.7/24", &lab[H1].address().to_string()] {
        let answer = lab[H1].api().post("/ips", &json!({ "ip": address })).expect(422);
        assert!(answer.error().contains("address of the host itself"), "{answer:?}");
    }
    assert_eq!(lab[H1].api().list(), []);
}

#[test]
fn an_address_of_etcd_is_refused_and_not_bound_where_it_is_registered() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let etcd = format!("{}/32", lab.etcd.addresses()[0]);
    let answer = lab[H1].api().post("/ips", &json!({ "ip": etcd })).expect(422);
    assert!(answer.error().contains("address of etcd"), "{answer:?}");
    let record = json!({ "id": ID, "ip": etcd, "checks": [], "plugin": "arp" });
    lab[H1].terminate();
    lab.etcd.put(&record_key("h1", ID), &record.to_string());
    lab[H1].restart();
    lab[H1].api().await_unwell(&[&etcd, "address of etcd"]);
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    assert!(!lab[H1].binds(lab.etcd.addresses()[0]));
    lab[H1].api().delete(&format!("/ips/{ID}")).expect(204);
    lab[H1].api().await_well();
}

#[test]
fn an_ip_can_be_deleted_while_etcd_is_lost_and_stays_deleted() {
    let mut lab = Lab::sharing(2, VIP);
    lab.offer(VIP2);
    let owner = lab.await_owner(VIP);
    lab.await_owner(VIP2);
    lab.cut_from_etcd(owner, Way::Both);
    lab[owner].api().await_unwell(&["etcd"]);
    eventually("it takes both", || [VIP, VIP2].iter().all(|vip| lab[owner].binds(vip.ip())));
    let path = lab[owner].api().path(VIP);
    lab[owner].api().delete(&path).expect(204);
    assert!(!lab[owner].binds(VIP.ip()), "it was done");
    lab[owner].kill();
    lab[owner].restart_without_etcd();
    eventually("the local copy has the other one", || lab[owner].binds(VIP2.ip()));
    assert_eq!(lab[owner].api().find(VIP), None);
    lab[owner].heal();
    let heir = lab.other_than(owner);
    eventually("etcd knows it", || lab.find_record(owner, VIP).is_none());
    lab[owner].api().await_well();
    assert_eq!(lab.await_owner(VIP), heir);
    assert!(lab.find_record(owner, VIP2).is_some());
}

#[test]
fn an_address_that_a_machine_on_the_network_has_is_taken_only_by_force() {
    let mut lab = Lab::new(2);
    lab.start_all();
    let client = "02:00:00:00:00:63";
    let another = lab[H2].mac().to_string();
    lab[H2].ip("addr add 10.0.0.55/24 dev eth0");
    for (address, mac) in
        [("10.0.0.99", client), ("fd00::99", client), ("10.0.0.55", another.as_str())]
    {
        let refused = lab[H1].api().post("/ips", &json!({ "ip": address })).expect(409).error();
        assert!(refused.contains(mac) && refused.contains("force"), "{refused}");
    }
    assert_eq!(lab.records(H1), []);
    lab[H1].api().create(&json!({ "ip": "10.0.0.55", "force": true }));
    // The owner is no stranger to the others.
    lab.offer(VIP);
    lab.await_reachable(VIP);
}
