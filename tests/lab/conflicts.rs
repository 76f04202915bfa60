//! Two machines with one address: defended as RFC 5227 says, shown, and never a storm.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::*;

/// RFC 5227, section 2.4: between two defences of an address.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// After that time an owner has announced what it announces by schedule, until it does at 30 s.
const SCHEDULE: Duration = Duration::from_secs(6);

/// What two owners announce in the time of one defence: each of them a request and a reply, five
/// times, as after a takeover.
const DEFENCES: usize = 20;

/// Waits until both hosts have the VIP and have announced it; gives the frames in the time of one
/// defence after that, and how many transactions etcd has done meanwhile.
fn traffic(lab: &Lab) -> (usize, u64) {
    eventually("both hosts have it", || lab.bound_on(VIP) == [H1, H2]);
    let mut capture = lab.client.capture();
    holds_for(SCHEDULE, "both have it", || lab.bound_on(VIP).len() == 2);
    capture.forget();
    let before = transactions(lab);
    let began = Instant::now();
    holds_for(DEFEND_INTERVAL, "both have it", || lab.bound_on(VIP).len() == 2);
    let (frames, count) = (capture.announcements(VIP.ip()).len(), transactions(lab) - before);
    println!("{frames} frames, {count} transactions in {:?}", began.elapsed());
    (frames, count)
}

/// The transactions that etcd has done so far.
fn transactions(lab: &Lab) -> u64 {
    let metrics = lab.etcd.metrics();
    let of_kind = |line: &&str| {
        line.starts_with("grpc_server_handled_total") && line.contains("grpc_method=\"Txn\"")
    };
    let counts = metrics.lines().filter(of_kind).filter_map(|line| line.rsplit_once(' '));
    counts.filter_map(|(_, count)| count.parse::<u64>().ok()).sum()
}

/// A way to etcd as long as one in a real network.
fn slow_way(lab: &Lab, host: HostId, address: IpAddr) -> Proxy {
    Proxy::start(lab[host].namespace(), SocketAddr::new(address, 2379))
}

/// Both owners say that another machine has the address, and which, once.
fn expect_said(lab: &Lab) {
    for (host, other) in [(H1, H2), (H2, H1)] {
        let mac = lab[other].mac().to_string();
        lab[host].api().await_unwell(&["10.0.1.1", &mac]);
        let warnings = lab[host].warnings(&["10.0.1.1", &mac]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}

#[test]
fn two_clusters_with_one_address_make_no_storm() {
    let mut lab = Lab::new(2);
    let other = lab.another_etcd();
    let etcds = [lab.etcd.addresses()[0], other.addresses()[0]];
    let ways = [slow_way(&lab, H1, etcds[0]), slow_way(&lab, H2, etcds[1])];
    for (host, way) in [H1, H2].into_iter().zip(&ways) {
        lab[host].start_with(&[("ETCD_HOSTS", &way.url())]);
        lab[host].api().create(&json!({ "ip": VIP.to_string(), "force": true }));
    }
    let (frames, transactions) = traffic(&lab);
    assert!(frames <= DEFENCES, "{frames} frames");
    assert!(transactions <= 10, "{transactions} transactions");
    expect_said(&lab);
    // It is over when one of them gives it up.
    let path = lab[H2].api().path(VIP);
    lab[H2].api().delete(&path).expect(204);
    lab[H1].api().await_well();
    lab.await_reachable(VIP);
}

#[test]
fn one_address_with_two_prefixes_makes_no_storm() {
    let mut lab = Lab::new(2);
    let etcd = lab.etcd.addresses()[0];
    let ways = [slow_way(&lab, H1, etcd), slow_way(&lab, H2, etcd)];
    for ((host, way), prefix) in [H1, H2].into_iter().zip(&ways).zip([32, 16]) {
        // By hand: the agents would not take it.
        let id = "vip-6e5d9b1c-8c5b-4bb5-9a2d-6b6f3a1d1c0e";
        let record = json!({ "id": id, "ip": format!("10.0.1.1/{prefix}"), "plugin": "arp" });
        lab.etcd.put(&record_key(&host.to_string(), id), &record.to_string());
        lab[host].start_with(&[("ETCD_HOSTS", &way.url())]);
    }
    let (frames, transactions) = traffic(&lab);
    assert!(frames <= DEFENCES, "{frames} frames");
    assert!(transactions <= 10, "{transactions} transactions");
    [H1, H2].iter().for_each(|host| drop(lab[*host].api().await_unwell(&["10.0.1.1"])));
}

#[test]
fn a_renamed_interface_does_not_keep_the_ip() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    lab[H1].ip("link set eth0 down");
    lab[H1].ip("link set eth0 name lan0");
    lab[H1].ip("link set lan0 up");
    eventually("another host has it", || lab[H2].binds(VIP.ip()));
    eventually("it is removed wherever it is", || lab.bound_on(VIP) == [H2]);
    assert_eq!(lab.await_owner(VIP), H2);
}

#[test]
fn a_strangers_claim_is_not_the_announcement_of_the_new_owner() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    let mut addresses = lab[H1].monitor_addresses();
    let mac = Mac([2, 0, 0, 0, 0, 99]);
    let stranger = Stranger::start(lab.client.namespace(), mac, VIP);
    let mut capture = Capture::start(lab[H1].namespace());
    capture.wait_for_announcement(VIP.ip());
    // It is a candidate for as long as its lease lasts.
    lab[H2].power_off();
    let answer = lab[H1].api().failover_to(VIP, "h2");
    println!("{answer:?}");
    assert!(answer.status == 409 || answer.status == 503, "{answer:?}");
    holds_for(Duration::from_secs(6), "it is kept", || lab[H1].binds(VIP.ip()));
    let was_away = |change: &AddressChange| *change == AddressChange::Removed(VIP.ip());
    assert!(!addresses.changes().iter().any(was_away), "nobody had it");
    drop(stranger);
    lab.await_reachable(VIP);
}

#[test]
fn a_static_duplicate_is_said_once() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let mac = Mac([2, 0, 0, 0, 0, 99]);
    let stranger = Stranger::start(lab.client.namespace(), mac, VIP);
    lab[H1].api().await_unwell(&["10.0.1.1", &mac.to_string()]);
    holds_for(DEFEND_INTERVAL * 2, "it is kept", || lab.owner(VIP) == Some(H1));
    let warnings = lab[H1].warnings(&[&mac.to_string()]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    drop(stranger);
    lab[H1].api().await_well();
    lab[H1].kill();
}
