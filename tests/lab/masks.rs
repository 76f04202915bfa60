//! One address with two prefix lengths, or in two spellings, would be two elections.

use serde_json::json;

use crate::harness::*;

/// One address as two IPs.
const PAIRS: [(&str, &str); 2] =
    [("10.0.1.1/32", "10.0.1.1/16"), ("fd00::1:1/128", "fd00::1:1/64")];

#[test]
fn an_address_that_another_host_has_with_another_prefix_is_refused() {
    let mut lab = Lab::new(2);
    lab.start_all();
    for (first, second) in PAIRS {
        lab[H1].api().create(&json!({ "ip": first }));
        let candidacy = format!("/link/ips/{}/h1", first.replace('/', "_"));
        eventually("h1 offers it", || lab.etcd.get(&candidacy).is_some());
        let refused = lab[H2].api().post("/ips", &json!({ "ip": second })).expect(409).error();
        let (_, mask) = first.split_once('/').expect("a prefix length");
        assert!(refused.contains("h1") && refused.contains(&format!("/{mask}")), "{refused}");
        // Nothing was stored, and the right prefix is welcome.
        assert_eq!(lab.etcd.list(&format!("/link/ips/{}", second.replace('/', "_"))), []);
        lab[H2].api().create(&json!({ "ip": first }));
    }
    assert_eq!(lab.records(H2).len(), 2);
    lab[H2].api().await_well();
}

#[test]
fn an_address_with_another_prefix_in_etcd_is_said_when_it_is_found() {
    let mut lab = Lab::new(2);
    lab[H1].start();
    let id = "vip-6e5d9b1c-8c5b-4bb5-9a2d-6b6f3a1d1c0e";
    let (first, second) = PAIRS[0];
    lab[H1].api().create(&json!({ "ip": first }));
    lab.await_owner(VIP);
    let record = json!({ "id": id, "ip": second, "checks": [], "plugin": "arp" });
    lab.etcd.put(&record_key("h2", id), &record.to_string());
    lab[H2].start();
    lab[H2].api().await_unwell(&["10.0.1.1", "h1", "/32"]);
    lab[H2].await_warning(&["10.0.1.1", "h1", "/32"]);
    lab[H2].api().delete(&format!("/ips/{id}")).expect(204);
    lab[H2].api().await_well();
    lab[H1].api().await_well();
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn an_address_in_another_spelling_is_refused() {
    let mut lab = Lab::new(1);
    lab.start_all();
    lab[H1].api().add(VIP6);
    lab.await_owner(VIP6);
    // The Go LinK takes an address as it is written.
    let key = "/link/default/FD00::1:0001_128";
    lab.etcd.put(key, "gohost");
    lab[H1].api().await_unwell(&[key]);
    lab[H1].api().delete(&lab[H1].api().path(VIP6)).expect(204);
    let refused = lab[H1].api().post_vip(VIP6).expect(409).error();
    assert!(refused.contains(key), "{refused}");
    assert!(lab.etcd.delete(key));
    eventually("it is welcome", || lab[H1].api().post_vip(VIP6).status == 201);
    assert_eq!(lab.await_owner(VIP6), H1);
}

#[test]
fn another_spelling_that_is_gone_when_the_watch_comes_back_is_forgotten() {
    let mut lab = Lab::new(1);
    let key = "/link/default/FD00::1:0001_128";
    lab.start_all();
    lab[H1].api().add(VIP6);
    lab.await_owner(VIP6);
    lab.etcd.put(key, "gohost");
    lab[H1].api().await_unwell(&[key]);
    lab.cut_from_etcd(H1, Way::Both);
    lab[H1].api().await_unwell(&["etcd is lost"]);
    assert!(lab.etcd.delete(key));
    lab[H1].heal();
    lab[H1].api().await_well();
}
