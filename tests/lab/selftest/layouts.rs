//! The layouts that users have: etcd on the hosts and a gateway, and what can happen there.

use std::time::{Duration, Instant};

use super::{bare, bind, pause, ping_during};
use crate::harness::*;

#[test]
fn each_agent_asks_the_member_of_its_own_host_first() {
    let lab = Lab::builder(3).etcd_on_hosts(2).build();
    let first = |host: HostId| {
        let hosts = &lab[host].changed_environment(&[])["ETCD_HOSTS"];
        assert_eq!(hosts.split(',').count(), 2);
        hosts.split(',').next().map(str::to_owned)
    };
    for (host, member, address) in
        [(H1, Some(0), "10.0.0.11"), (H2, Some(1), "10.0.0.12"), (H3, None, "10.0.0.11")]
    {
        assert_eq!(lab.member_on(host), member);
        assert_eq!(first(host), Some(format!("http://{address}:2379")));
    }
}

#[test]
fn a_leader_dies_with_its_host_and_comes_back_with_it() {
    let mut lab = Lab::builder(3).etcd_on_hosts(3).build();
    lab.etcd.put("/a", "1");
    for host in [H3, H1] {
        lab.lead_on(host);
        assert_eq!(lab.etcd.leader(), lab.member_on(host));
        lab.power_off(host);
        eventually("another leads", || lab.etcd.leader().is_some());
        assert_ne!(lab.etcd.leader(), lab.member_on(host));
        lab.etcd.put("/a", "2");
        lab.power_on(host);
        lab.etcd.await_ready();
        assert_eq!(lab.etcd.get("/a").unwrap().value, "2");
    }
}

#[test]
fn a_leader_is_cut_off_with_its_host_and_is_back_after_the_heal() {
    let lab = Lab::builder(3).etcd_on_hosts(3).build();
    lab.lead_on(H2);
    lab.isolate(H2);
    let leads = || lab.etcd.leader().filter(|leader| Some(*leader) != lab.member_on(H2));
    eventually("another leads", || leads().is_some());
    lab.heal_wire();
    lab.etcd.await_ready();
    eventually("all know", || leads().is_some());
}

#[test]
fn a_member_on_a_host_may_be_on_the_management_network() {
    let lab = Lab::builder(3).etcd_on_hosts(3).management_network().build();
    lab.isolate(H1);
    assert_eq!(lab.etcd.addresses()[0].to_string(), "10.1.0.11");
    lab.lead_on(H1);
    lab.etcd.put("/a", "1");
}

#[test]
fn a_single_member_can_be_stopped_and_started() {
    let mut lab = Lab::builder(1).etcd_members(3).build();
    lab.etcd.lead(1);
    lab.etcd.stop_member(1);
    eventually("another leads", || lab.etcd.leader().is_some_and(|leader| leader != 1));
    lab.etcd.start_member(1);
    lab.etcd.await_ready();
}

#[test]
fn the_client_is_the_gateway_also_after_a_boot() {
    let mut lab = Lab::builder(1).etcd_members(0).gateway().build();
    let route = |lab: &Lab| lab[H1].ip("route get 192.0.2.1");
    assert!(route(&lab).contains("via 10.0.0.99 dev eth0"), "{}", route(&lab));
    lab.power_off(H1);
    lab.power_on(H1);
    assert!(route(&lab).contains("via 10.0.0.99 dev eth0"), "{}", route(&lab));
}

#[test]
fn the_wire_pauses_for_as_long_as_it_is_told() {
    let lab = bare(2);
    bind(&lab, H1, VIP);
    lab.await_reachable(VIP);
    let own = |host: HostId| lab[host].address().into();
    for _ in 0..2 {
        let began = Instant::now();
        let pings = ping_during(&lab, VIP, || {
            lab.pause_wire(H1, Duration::from_millis(200));
            assert!(lab.client.reaches(own(H2)));
            pause(400);
        });
        let gap = pings.longest_gap;
        assert!((190..300).contains(&gap.as_millis()), "{gap:?} of {:?}", began.elapsed());
    }
    assert!(lab.client.reaches(own(H1)));
}

#[test]
fn frames_are_lost_at_random() {
    let lab = bare(1);
    bind(&lab, H1, VIP);
    lab.await_reachable(VIP);
    lab.lose_frames(20);
    let pings = ping_during(&lab, VIP, || pause(2000));
    // Of questions and of answers.
    let lost = pings.lost * 100 / pings.sent;
    assert!((25..50).contains(&lost), "{lost} % of {pings:?}");
}

#[test]
fn a_lab_is_calm_when_all_others_stand_by() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_calm(VIP);
    assert_eq!(lab[lab.other_than(owner)].api().status(VIP), "STANDBY");
    assert_eq!(lab.owner(VIP), Some(owner));
}
