//! A host that is cut off: from etcd, from the LAN, from both, in one direction or in both.

use std::time::Duration;

use crate::harness::*;

/// Longer than a lease of 3 s lasts without renewals.
const LEASE_AND_MORE: Duration = Duration::from_secs(4);

/// Until an owner that is not heard was called some times, the last ones seldom.
const CALLED_SELDOM: Duration = Duration::from_secs(14);

/// For the processes of a dozen labs on one machine to do what they have to.
const LOAD: Duration = Duration::from_secs(2);

/// Three hosts that share the VIP, and etcd on a network of its own.
fn three_hosts() -> Lab {
    let mut lab = Lab::builder(3).management_network().build();
    lab.start_all_with(&[("KEEPALIVE_INTERVAL", "500ms")]);
    lab.offer(VIP);
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    lab
}

/// Waits until the client reaches the VIP at that host.
fn await_heard(lab: &Lab, owner: HostId) {
    let mac = Some(lab[owner].mac().to_string());
    eventually("the client sends to the owner", || {
        lab.client.reaches(VIP.ip()) && lab.client.neighbour(VIP.ip()) == mac
    });
}

/// Waits until one host has the VIP within the second that is promised, and the client knows it.
fn await_peace(lab: &Lab) -> HostId {
    let took = within(Duration::from_secs(1) + LOAD, "one owner", || lab.bound_on(VIP).len() == 1);
    let owner = lab.await_owner(VIP);
    println!("{owner} alone after {took:?}");
    await_heard(lab, owner);
    holds_for(Duration::from_secs(1), "it stays so", || lab.bound_on(VIP) == [owner]);
    owner
}

/// Waits until another host than the owner has the VIP too, and holds its lock.
fn await_heir(lab: &Lab, owner: HostId) -> HostId {
    let mut heir = None;
    eventually("another host holds the lock and has it", || {
        let holder = lab.lock(VIP).map(|lock| lock.holder);
        heir = lab.bound_on(VIP).into_iter().find(|host| Some(host.to_string()) == holder);
        heir.is_some_and(|heir| heir != owner)
    });
    heir.expect("there is one")
}

#[test]
fn an_owner_cut_off_etcd_alone_is_replaced_and_lets_go_when_it_is_back() {
    let lab = three_hosts();
    for way in [Way::Both, Way::Out] {
        let owner = lab.await_owner(VIP);
        lab.cut_from_etcd(owner, way);
        let heir = await_heir(&lab, owner);
        assert!(lab[owner].binds(VIP.ip()), "it cannot know that it was replaced");
        // Both announce it, and the client sends to the one it heard last.
        lab.client.learn(VIP.ip(), lab[owner].mac());
        lab[owner].heal();
        assert_eq!(await_peace(&lab), heir);
    }
    // etcd hears its renewals, but it does not hear that: nobody is replaced before it falls silent.
    let owner = lab.await_owner(VIP);
    lab.cut_from_etcd(owner, Way::In);
    holds_for(LEASE_AND_MORE, "it is bound", || lab[owner].binds(VIP.ip()));
    lab[owner].heal();
    await_peace(&lab);
}

#[test]
fn an_owner_that_hears_nobody_on_the_lan_is_replaced_and_lets_go() {
    let lab = three_hosts();
    for way in [Way::Both, Way::In] {
        let owner = lab.await_owner(VIP);
        lab.isolate_one_way(owner, way);
        // etcd hears from it, and it from etcd.
        let heir = lab.await_owner_other_than(owner, VIP);
        await_heard(&lab, heir);
        assert_eq!(lab.bound_on(VIP), [heir]);
        lab.heal_wire();
        assert_eq!(await_peace(&lab), heir);
    }
}

#[test]
fn an_owner_that_is_not_heard_on_the_lan_but_hears_others_keeps_the_ip() {
    let mut lab = three_hosts();
    let (owner, lock) = (lab.await_owner(VIP), lab.lock(VIP));
    lab.isolate_one_way(owner, Way::Out);
    eventually("the client does not reach it", || !lab.client.reaches(VIP.ip()));
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    // Standbys that have never heard it ask seldom, and it hears them only now and then.
    for standby in lab.ids().into_iter().filter(|host| *host != owner) {
        lab[standby].reload();
    }
    holds_for(CALLED_SELDOM, "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    lab.heal_wire();
    assert_eq!(await_peace(&lab), owner);
}

#[test]
fn an_owner_off_both_networks_is_replaced_and_lets_go_when_it_is_back() {
    let lab = three_hosts();
    for way in [Way::Both, Way::Out] {
        let owner = lab.await_owner(VIP);
        lab.isolate_one_way(owner, way);
        lab.cut_from_etcd(owner, way);
        let heir = await_heir(&lab, owner);
        await_heard(&lab, heir);
        lab.heal_wire();
        lab[owner].heal();
        assert_eq!(await_peace(&lab), heir);
    }
}

#[test]
fn a_standby_that_took_the_ip_asks_the_owner_through_etcd_when_that_is_back_alone() {
    let lab = three_hosts();
    let (owner, lock) = (lab.await_owner(VIP), lab.lock(VIP));
    let mut addresses = lab[owner].monitor_addresses();
    let standby = lab.other_than(owner);
    lab.isolate(standby);
    lab.cut_from_etcd(standby, Way::Both);
    eventually("it takes the IP", || lab[standby].binds(VIP.ip()));
    lab[standby].heal();
    let limit = Duration::from_secs(1) + LOAD;
    let took = within(limit, "it lets go", || !lab[standby].binds(VIP.ip()));
    println!("{standby} lets go {took:?} after that");
    lab.heal_wire();
    assert_eq!(await_peace(&lab), owner);
    assert_eq!((lab.lock(VIP), addresses.changes()), (lock, Vec::new().as_slice()));
}

#[test]
fn standbys_cut_off_etcd_one_after_the_other_cost_the_owner_nothing() {
    let lab = three_hosts();
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut addresses = lab[owner].monitor_addresses();
    for standby in lab.ids().into_iter().filter(|host| *host != owner) {
        lab.cut_from_etcd(standby, Way::Both);
        eventually("it takes the IP", || lab[standby].binds(VIP.ip()));
        lab[standby].heal();
        assert_eq!(await_peace(&lab), owner);
    }
    assert_eq!(lab.lock(VIP), lock);
    assert_eq!(addresses.changes(), []);
}
