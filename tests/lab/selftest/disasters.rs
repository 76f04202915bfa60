//! What can happen to etcd's data and to the way to it, and who else is on the LAN.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::bare;
use crate::harness::*;

#[test]
fn etcd_can_be_wiped_and_replaced_by_another_cluster() {
    let mut lab = Lab::builder(1).etcd_members(3).build();
    lab.etcd.put("/a", "1");
    let (cluster, revision) = (cluster_id(&lab), lab.etcd.get("/a").unwrap().created);
    lab.etcd.wipe();
    assert_eq!(lab.etcd.list("/"), []);
    lab.etcd.put("/a", "1");
    assert!(lab.etcd.get("/a").unwrap().created <= revision, "revisions begin again");
    lab.etcd.replace();
    assert_eq!(lab.etcd.get("/a"), None);
    lab.etcd.put("/a", "1");
    assert!(lab.etcd.get("/a").unwrap().created > revision, "revisions go on");
    lab.etcd.restart();
    assert!(lab.etcd.get("/a").is_some(), "it keeps what it has");
    assert_ne!(cluster_id(&lab), cluster);
}

fn cluster_id(lab: &Lab) -> u64 {
    let answer = lab.etcd.ctl(&["member", "list", "-w", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["header"]["cluster_id"].as_u64().expect("a cluster has an id")
}

#[test]
fn two_clusters_know_nothing_of_each_other() {
    let lab = Lab::new(1);
    let other = lab.another_etcd();
    lab.etcd.put("/a", "1");
    assert_eq!(other.get("/a"), None);
    other.put("/b", "2");
    assert_eq!(lab.etcd.get("/b"), None);
    assert_ne!(lab.etcd.endpoints(), other.endpoints());
}

#[test]
fn a_write_to_a_stalled_disk_waits_until_it_goes_on() {
    let lab = Lab::builder(1).etcd_on_a_disk().build();
    lab.etcd.put("/a", "1");
    let stall = lab.etcd.stall_disk();
    thread::scope(|scope| {
        let put = scope.spawn(|| lab.etcd.try_ctl(&["--command-timeout=20s", "put", "/a", "2"]));
        holds_for(Duration::from_secs(1), "it waits", || !put.is_finished());
        drop(stall);
        assert!(put.join().unwrap().is_ok());
    });
    assert_eq!(lab.etcd.get("/a").unwrap().value, "2");
}

#[test]
fn passwords_can_be_asked_for_and_no_more() {
    let mut lab = Lab::new(1);
    lab.etcd.put("/a", "1");
    lab.etcd.demand_passwords();
    lab.etcd.put("/a", "2");
    lab.etcd.demand_no_passwords();
    assert_eq!(lab.etcd.get("/a").unwrap().value, "2");
}

#[test]
fn a_key_can_be_there_for_a_moment_only() {
    let lab = Lab::new(1);
    lab.etcd.put_and_delete("/a", "1");
    assert_eq!(lab.etcd.get("/a"), None);
    lab.etcd.put("/a", "2");
    assert!(lab.etcd.get("/a").unwrap().created > 3, "it was there");
}

#[test]
fn a_proxy_passes_on_later_and_ends_when_it_is_told_to() {
    let mut lab = Lab::new(1);
    let etcd = SocketAddr::new(lab.etcd.addresses()[0], 2379);
    let way = Proxy::start(lab[H1].namespace(), etcd);
    lab[H1].start_with(&[("ETCD_HOSTS", &way.url())]);
    let began = Instant::now();
    lab[H1].api().add(VIP);
    // A request and its answer: a millisecond each way at the least.
    assert!(began.elapsed() >= Duration::from_millis(2), "{:?}", began.elapsed());
    assert_eq!(lab.await_owner(VIP), H1);
    lab[H1].kill();
    drop(way);
}

#[test]
fn a_stranger_announces_until_it_is_gone() {
    let lab = bare(1);
    let mut capture = Capture::start(lab[H1].namespace());
    let mac = Mac([2, 0, 0, 0, 0, 99]);
    let stranger = Stranger::start(lab.client.namespace(), mac, VIP);
    eventually("it goes on", || capture.announcements(VIP.ip()).len() >= 3);
    let frames = capture.announcements(VIP.ip());
    assert!(frames.iter().all(|frame| frame.arp().sender_mac == mac), "{frames:?}");
    drop(stranger);
    capture.forget();
    holds_for(Duration::from_millis(300), "it is silent", || {
        capture.announcements(VIP.ip()).is_empty()
    });
}

#[test]
fn what_an_agent_has_in_etcd_is_found_and_can_be_imitated() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let lease = lab.lock(VIP).unwrap().lease;
    assert_eq!(lab.lease_of(H1), lease);
    let record = lab.record(H1, VIP);
    assert_eq!(lab.records(H1), [record]);
    assert_eq!(lab.find_record(H1, VIP2), None);
    lab.put_leased(lease, &lock_key(VIP2), "h1");
    assert_eq!(lab.lock(VIP2).unwrap().lease, lease);
    lab.put_candidacy("h9", VIP);
    assert_eq!(lab[H1].api().hosts(VIP), ["h1", "h9"]);
    lab[H1].kill();
    lab.delete_records(H1);
    assert_eq!(lab.records(H1), []);
}

#[test]
fn what_an_agent_says_of_its_health_and_its_warnings_is_waited_for() {
    let mut lab = Lab::new(1);
    lab.start_all();
    lab[H1].api().await_well();
    assert_eq!(lab[H1].warnings(&["etcd is lost"]), Vec::<String>::new());
    lab.etcd.stop();
    let body = lab[H1].api().await_unwell(&["etcd"]);
    assert_eq!(lab[H1].api().health(), (503, body));
    lab[H1].await_warning(&["etcd is lost", "policy"]);
    assert_eq!(lab[H1].warnings(&["etcd is lost", "no such word"]), Vec::<String>::new());
    lab.etcd.start_all();
    lab[H1].api().await_well();
}
