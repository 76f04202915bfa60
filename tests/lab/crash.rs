//! The death of an owner's host, found before its lease has ended.

use std::time::Duration;

use crate::harness::*;

/// A lease of 15 s: what moves in less was not moved by its end.
const SLOW_LEASE: (&str, &str) = ("KEEPALIVE_INTERVAL", "3s");

/// Less than the lease has left when its owner dies, at the least.
const SOONER: Duration = Duration::from_secs(10);

/// The network alone tells, in a fifth of a second at the most.
const FAST: [(&str, &str); 3] =
    [("CRASH_DETECTION", "fast"), ("PROBE_INTERVAL", "50ms"), ("PROBE_COUNT", "3")];

/// Less than it takes etcd to tell that a lease of 15 s is not renewed, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Three hosts that share the VIP, with etcd on a network of its own, and the owner.
pub(crate) fn sharing(settings: &[(&str, &str)]) -> (Lab, HostId) {
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
pub(crate) fn await_watched(lab: &Lab, owner: HostId) {
    let question = format!("asked who has {VIP}");
    for id in lab.ids().into_iter().filter(|id| *id != owner) {
        let asked = || count(lab, id, &question);
        let before = asked();
        eventually("it is watched", || asked() >= before + 8);
    }
}

/// The same where the network alone tells.
fn sharing_fast(settings: &[(&str, &str)]) -> (Lab, HostId) {
    let (lab, owner) = sharing(&[&FAST, settings].concat());
    lab.ids().into_iter().for_each(|id| await_neighbour(&lab, id));
    await_watched(&lab, owner);
    (lab, owner)
}

/// Waits until a host knows the client, with which it has to do as others have with their gateway.
fn await_neighbour(lab: &Lab, host: HostId) {
    eventually("it knows the client", || lab.client.reaches(lab[host].address().into()));
}

fn says(lab: &Lab, host: HostId, text: &str) -> bool {
    count(lab, host, text) > 0
}

fn count(lab: &Lab, host: HostId, text: &str) -> usize {
    lab[host].agent().log().matches(text).count()
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
    assert!(says(&lab, heir, &format!("host {owner} is dead:")));
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
fn a_host_that_is_not_heard_but_hears_others_keeps_its_ips() {
    let (lab, owner) = sharing(&[]);
    await_watched(&lab, owner);
    let standbys = lab.ids().into_iter().filter(|id| *id != owner);
    standbys.for_each(|standby| lab.block_wire(owner, standby));
    let standby = lab.other_than(owner);
    let told = format!("host {owner} is not heard on the network, but answers in etcd and hears");
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

#[test]
fn where_the_network_alone_tells_a_host_that_dies_is_replaced_at_once() {
    let (mut lab, mut owner) = sharing_fast(&[]);
    // Each host really dies: that it did so before does not delay the next time.
    for _ in 0..4 {
        await_watched(&lab, owner);
        lab[owner].power_off();
        let heir = || lab.bound_on(VIP).first().copied();
        let took = within(AT_ONCE, "another host has it", || heir().is_some());
        println!("taken {took:?} after the death");
        let heir = lab.await_owner_other_than(owner, VIP);
        assert!(says(&lab, heir, &format!("host {owner} is dead:")));
        lab.await_reachable(VIP);
        lab[owner].power_on();
        lab[owner].restart();
        lab[owner].await_status(VIP, "STANDBY");
        await_neighbour(&lab, owner);
        owner = heir;
    }
}

#[test]
fn where_the_network_alone_tells_a_standby_that_is_deaf_itself_takes_nothing() {
    let (lab, owner) = sharing_fast(&[("KEEPALIVE_INTERVAL", "1s")]);
    let deaf = lab.other_than(owner);
    let heard = format!("host {owner} is heard on the network again");
    for (times, way) in [Way::Both, Way::In, Way::Out].into_iter().enumerate() {
        lab.isolate_one_way(deaf, way);
        // As long as the lease lasts it does not tell; it asks neighbours from the first moment.
        let silent = format!("host {owner} is not heard on the network");
        eventually("it is told", || count(&lab, deaf, &silent) > times);
        assert_eq!((lab.owner(VIP), lab.bound_on(VIP)), (Some(owner), vec![owner]), "{way:?}");
        lab.heal_wire();
        eventually("that, too", || count(&lab, deaf, &heard) > times);
    }
    assert!(!lab.ids().into_iter().any(|id| says(&lab, id, "is dead:")));
}

#[test]
fn where_the_network_alone_tells_an_owner_that_is_cut_off_it_yields_though_etcd_hears_it() {
    let (lab, owner) = sharing_fast(&[]);
    lab.isolate(owner);
    let took = within(AT_ONCE, "another host alone has it", || {
        lab.owner(VIP).is_some_and(|heir| heir != owner)
    });
    println!("moved {took:?} after the cut");
    lab.await_reachable(VIP);
    let heir = lab.await_owner(VIP);
    let lives = format!("host {owner} was declared dead and lives");
    // Its agent may have said first that it hears nobody.
    let isolated = format!("host {owner} is isolated");
    let is_seen = || says(&lab, heir, &lives) || says(&lab, heir, &isolated);
    eventually("that it lives is seen", is_seen);
    lab.heal_wire();
    holds_for(Duration::from_secs(1), "it stays there", || lab.bound_on(VIP) == [heir]);
    lab.await_reachable(VIP);
}
