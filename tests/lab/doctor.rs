//! `linkctl doctor` on a host of the lab.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

/// What it finds on the first host, as `about: text`.
fn findings(lab: &Lab) -> Vec<String> {
    let words = ["doctor", "--json"];
    let begun = Instant::now();
    let output = lab.run_on(H1, &Program::new(linkctl()).args(words));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["findings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found: Vec<_> =
        found.iter().map(|it| format!("{}: {}", text(&it["about"]), text(&it["text"]))).collect();
    let expected = if found.is_empty() { 0 } else { 9 };
    let code = output.status.code().unwrap();
    assert!(code == 8 || code == expected, "{code}: {found:#?}");
    found
}

/// etcd's version is what it is; everything else is seeded here.
#[test]
fn nine_mistakes_on_one_host_are_named_and_none_on_one_that_is_well() {
    let mut lab = Lab::sharing(2, VIP);
    lab.await_calm(VIP);
    let is_version = |found: &String| found.contains("known faults");
    eventually("nothing is found", || findings(&lab).iter().all(is_version));

    let endpoints = format!("{},http://10.0.0.89:2379", lab.etcd.endpoints());
    lab[H1].terminate();
    lab[H1].start_with(&[("ETCD_HOSTS", &endpoints), ("ETCD_HOST", "x")]);
    for ip in ["10.0.2.2/16", "fd00::2:2"] {
        lab[H1].api().post("/ips", &json!({ "ip": ip })).expect(201);
    }
    lab[H2].kill();
    let host = lab[H1].namespace();
    host.ip("link add eth1 type veth peer name eth9");
    host.ip("addr add 10.0.9.1/16 dev eth1");
    host.ip("link set eth1 up");
    host.ip("route add default dev eth1");
    host.sysctl("net/ipv4/conf/eth0/arp_ignore", "8");
    host.sysctl("net/ipv4/conf/all/rp_filter", "1");
    host.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1");
    for interface in ["all", "eth0"] {
        host.sysctl(&format!("net/ipv4/conf/{interface}/promote_secondaries"), "0");
    }
    host.nft("add table arp doctor");
    host.nft("add chain arp doctor in { type filter hook input priority 0 ; }");
    host.nft("add rule arp doctor in arp operation 9 drop");
    let expected = [
        "eth0: arp_ignore is 8",
        "eth0: eth1 is on the same network",
        "eth0: rp_filter is 1 and the default route is by eth1",
        "eth0: IPv6 is off here, and fd00::2:2/128 is to be on it",
        "eth0: promote_secondaries is 0",
        "firewall: the firewall has a rule that drops ARP (table arp doctor)",
        "ETCD_HOST (is ETCD_HOSTS meant?)",
        "http://10.0.0.89:2379: this endpoint cannot be used",
        "h2: the host is gone",
    ];
    let mut found = Vec::new();
    let named = until(Duration::from_secs(15), || {
        found = findings(&lab);
        expected.iter().all(|part| found.iter().any(|it| it.contains(part)))
    });
    assert!(named, "{found:#?}");

    lab[H1].kill();
    let found = findings(&lab);
    assert!(found[0].starts_with("agent: cannot connect to 127.0.0.1:1313"), "{found:#?}");
}
