//! The death of an owner's host, found before its lease has ended.

use std::time::Duration;

use crate::harness::*;

/// A lease of 15 s: what moves in less was not moved by its end.
const SLOW_LEASE: (&str, &str) = ("KEEPALIVE_INTERVAL", "3s");

/// Less than the lease has left when its owner dies, at the least.
const SOONER: Duration = Duration::from_secs(10);

/// Three hosts that share the VIP, with etcd on a network of its own, and the owner.
fn sharing(settings: &[(&str, &str)]) -> (Lab, HostId) {
    let mut lab = Lab::builder(3).management_network().build();
    for id in lab.ids() {
        lab[id].start_with(&[&[SLOW_LEASE], settings].concat());
    }
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    (lab, owner)
}

/// Waits until each standby has heard the owner's host: from then on it asks four times a second.
fn await_watched(lab: &Lab, owner: HostId) {
    let question = format!("asked who has {VIP}");
    for id in lab.ids().into_iter().filter(|id| *id != owner) {
        let asked = || lab[id].agent().log().matches(&question).count();
        eventually("it is watched", || asked() >= 8);
    }
}

fn says(lab: &Lab, host: HostId, text: &str) -> bool {
    lab[host].agent().log().contains(text)
}

#[test]
fn a_host_that_dies_is_replaced_before_its_lease_ends() {
    let (mut lab, owner) = sharing(&[]);
    await_watched(&lab, owner);
    let lease = lab.lock(VIP).unwrap().lease;
    lab[owner].power_off();
    let heir = || lab.bound_on(VIP).first().copied();
    let took = within(SOONER, "another host has it", || heir().is_some());
    println!("taken {took:?} after the death");
    assert!(lab.etcd.has_lease(lease), "its lease goes on");
    let heir = lab.await_owner_other_than(owner, VIP);
    assert!(says(&lab, heir, &format!("host {owner} is dead")));
    lab.await_reachable(VIP);
}

#[test]
fn without_crash_detection_the_lease_has_to_end() {
    let (mut lab, owner) = sharing(&[("CRASH_DETECTION", "off")]);
    lab[owner].power_off();
    holds_for(SOONER, "nobody takes it", || lab.bound_on(VIP).is_empty());
    lab.await_owner_other_than(owner, VIP);
}

#[test]
fn a_host_that_is_silent_on_the_network_but_renews_its_lease_keeps_its_ips() {
    let (lab, owner) = sharing(&[("KEEPALIVE_INTERVAL", "1s")]);
    await_watched(&lab, owner);
    lab.isolate(owner);
    let standby = lab.other_than(owner);
    let told = format!("host {owner} is not heard on the network, but renews its lease");
    eventually("it is told", || says(&lab, standby, &told));
    assert_eq!((lab.owner(VIP), lab.bound_on(VIP)), (Some(owner), vec![owner]));
    lab.heal_wire();
    let back = format!("host {owner} is heard on the network again");
    eventually("that, too", || says(&lab, standby, &back));
    assert_eq!(lab.owner(VIP), Some(owner));
    lab.await_reachable(VIP);
}

#[test]
fn a_host_that_answers_on_the_network_keeps_its_ips_until_its_lease_ends() {
    let (lab, owner) = sharing(&[]);
    lab.cut_from_etcd(owner, Way::Both);
    holds_for(SOONER, "no move", || lab.bound_on(VIP) == [owner]);
    lab[owner].heal();
    lab.await_owner(VIP);
}
