//! How many checks in a row have to succeed before a host that failed is one to be elected again.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// Checks in a hurry; two failures in a row count, and three successes.
const HURRY: [(&str, &str); 4] = [
    ("HEALTH_CHECK_INTERVAL", "200ms"),
    ("HEALTH_CHECK_TIMEOUT", "300ms"),
    ("FAIL_COUNT_BEFORE_FAILOVER", "2"),
    ("RISE_COUNT", "3"),
];

/// The port of the service behind the VIP, on each host's loopback.
const PORT: u16 = 8080;

/// Has one connection of four succeed, and the others refused.
fn unsettle(host: &Host) {
    let nft = |command: &str| host.namespace().nft(command);
    nft("add table inet service");
    nft("add chain inet service incoming { type filter hook input priority 0 ; }");
    let refuse = "numgen inc mod 4 != 0 reject with tcp reset";
    nft(&format!("add rule inet service incoming tcp dport {PORT} tcp flags syn {refuse}"));
}

fn settle(host: &Host) {
    host.namespace().nft("delete table inet service");
}

fn checked_pair() -> (Lab, [std::net::TcpListener; 2]) {
    let mut lab = Lab::new(2);
    lab.start_all_with(&HURRY);
    let services = [H1, H2].map(|host| lab[host].listen(PORT));
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": PORT });
    for host in [H1, H2] {
        lab[host].api().create(&json!({ "ip": VIP.to_string(), "checks": [check] }));
        lab[host].await_status(VIP, if host == H1 { "ACTIVATED" } else { "STANDBY" });
    }
    lab.await_owner(VIP);
    (lab, services)
}

#[test]
fn services_that_answer_now_and_then_do_not_swap_the_ip_for_ever() {
    let (lab, _services) = checked_pair();
    let mut holders = lab.watch_holders(VIP);
    [H1, H2].iter().for_each(|host| unsettle(&lab[*host]));
    let moves =
        |holders: &mut Holders| holders.changes().iter().filter(|change| change.holds).count();
    let swaps = until(Duration::from_secs(20), || moves(&mut holders) > 2);
    assert!(!swaps, "{:?}", holders.changes());
    [H1, H2].iter().for_each(|host| settle(&lab[*host]));
    lab.await_owner(VIP);
    [H1, H2].iter().for_each(|host| {
        eventually("it is well", || {
            ["ACTIVATED", "STANDBY"].contains(&lab[*host].api().status(VIP).as_str())
        });
    });
}

#[test]
fn a_host_whose_service_has_recovered_is_a_candidate_again() {
    let (lab, [first, _second]) = checked_pair();
    drop(first);
    lab[H1].await_status(VIP, "FAILING");
    lab.await_owner_other_than(H1, VIP);
    let _again = lab[H1].listen(PORT);
    lab[H1].await_status(VIP, "STANDBY");
    lab[H2].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H1);
}
