//! Who owns an IP, and when it moves.

use std::time::{Duration, Instant};

use crate::harness::*;

/// Longer than a lease (5 s) lasts without renewals: what holds for this long is not an after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(7);

#[test]
fn the_first_host_that_offers_an_ip_owns_it_and_the_client_reaches_it() {
    let lab = Lab::sharing(1, VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    lab.await_reachable(VIP);
    eventually("the API says so", || {
        let ip = lab[H1].api().find(VIP).unwrap();
        ip.status == "ACTIVATED" && ip.bound && ip.owner.as_deref() == Some("h1")
    });
}

#[test]
fn of_three_hosts_exactly_one_owns_an_ip() {
    let lab = Lab::sharing(3, VIP);
    let owner = lab.await_owner(VIP);
    eventually("one is ACTIVATED, two are STANDBY", || {
        lab.ids().into_iter().all(|id| {
            let expected = if id == owner { "ACTIVATED" } else { "STANDBY" };
            lab[id].api().status(VIP) == expected
        })
    });
    holds_for(Duration::from_secs(2), "one owner", || lab.bound_on(VIP) == [owner]);
}

#[test]
fn two_ips_move_independently() {
    let lab = Lab::sharing(2, VIP);
    lab.offer(VIP2);
    let (first, second) = (lab.await_owner(VIP), lab.await_owner(VIP2));
    lab[first].api().failover(VIP).expect(204);
    lab.await_owner_other_than(first, VIP);
    assert_eq!(lab.await_owner(VIP2), second);
}

#[test]
fn the_ip_of_a_dead_host_is_answered_by_another_after_its_lease() {
    let mut lab = Lab::sharing(3, VIP);
    let dead = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let died = Instant::now();
    lab[dead].power_off();
    let heir = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    println!("answered again after {:?}", died.elapsed());
    eventually("the dead host no longer offers it", || {
        let hosts = lab[heir].api().hosts(VIP);
        hosts.len() == 2 && !hosts.contains(&dead.to_string())
    });
    let mac = lab[heir].mac().to_string();
    assert_eq!(lab.client.neighbour(VIP.ip()), Some(mac));
}

#[test]
fn a_dead_host_that_comes_back_does_not_take_its_ip_back() {
    let mut lab = Lab::sharing(2, VIP);
    let dead = lab.await_owner(VIP);
    lab[dead].power_off();
    let heir = lab.await_owner(VIP);
    lab[dead].power_on();
    lab[dead].restart();
    lab[dead].await_status(VIP, "STANDBY");
    holds_for(Duration::from_secs(2), "no fail-back", || lab.bound_on(VIP) == [heir]);
}

#[test]
fn sigterm_hands_over_then_removes_the_address_and_revokes_the_lease() {
    let mut lab = Lab::sharing(3, VIP);
    let owner = lab.await_owner(VIP);
    let lease = lab.lock(VIP).unwrap().lease;
    lab.await_reachable(VIP);
    let pinger = lab.client.ping(VIP.ip());
    let status = lab[owner].terminate();
    assert_eq!(status.code(), Some(0));
    assert!(!lab[owner].binds(VIP.ip()), "the address is gone when the agent is");
    assert!(!lab.etcd.has_lease(lease), "the lease is revoked when the agent is gone");
    let heir = lab.await_owner(VIP);
    assert_ne!(heir, owner);
    println!("{:?}", pinger.stop());
    let hosts = lab[heir].api().hosts(VIP);
    assert!(!hosts.contains(&owner.to_string()), "{hosts:?}");
}

#[test]
fn sigterm_of_the_last_host_ends_within_a_bound_and_leaves_nothing_bound() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    assert_eq!(lab[H1].terminate().code(), Some(0));
    assert_eq!(lab.bound_on(VIP), []);
    assert_eq!(lab.lock(VIP), None);
}

#[test]
fn sigterm_of_a_standby_moves_nothing() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let standby = lab.other_than(owner);
    assert_eq!(lab[standby].terminate().code(), Some(0));
    holds_for(Duration::from_secs(2), "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
}

#[test]
fn deleting_an_ip_on_its_owner_moves_it() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let api = lab[owner].api();
    api.delete(&api.path(VIP)).expect(204);
    assert!(!lab[owner].binds(VIP.ip()), "it is off the interface when the answer comes");
    assert_eq!(lab.await_owner(VIP), lab.other_than(owner));
    assert_eq!(api.list(), []);
    lab.await_reachable(VIP);
}

#[test]
fn an_ip_deleted_while_etcd_does_not_let_go_of_its_lock_moves_when_it_does() {
    let mut lab = Lab::builder(2).password().build();
    lab.start_all();
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    let heir = lab.other_than(owner);
    // The records can still be changed, the locks cannot.
    lab.etcd.permit("readwrite", "/link/hosts/");
    lab.etcd.permit("readwrite", "/link/config/");
    lab.etcd.permit("read", "/link/default/");
    lab.etcd.forbid("/link/");
    let api = lab[owner].api();
    api.delete(&api.path(VIP)).expect(204);
    lab.etcd.permit("readwrite", "/link/");
    assert_eq!(lab.await_owner(VIP), heir);
    let hosts = lab[heir].api().hosts(VIP);
    assert_eq!(hosts, [heir.to_string()]);
}

#[test]
fn deleting_an_ip_on_its_last_host_ends_it() {
    let lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let api = lab[H1].api();
    api.delete(&api.path(VIP)).expect(204);
    assert_eq!(lab.bound_on(VIP), []);
    for prefix in ["/link/default/", "/link/ips/", "/link/hosts/"] {
        assert_eq!(lab.etcd.list(prefix), []);
    }
    assert!(!lab.client.reaches(VIP.ip()));
}

#[test]
fn an_agent_killed_and_restarted_within_its_lease_keeps_the_ip() {
    let mut lab = Lab::sharing(3, VIP);
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let before = lab.lock(VIP);
    let mut addresses = lab[owner].monitor_addresses();
    let pinger = lab.client.ping(VIP.ip());
    lab[owner].kill();
    lab[owner].restart();
    lab[owner].await_status(VIP, "ACTIVATED");
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    let pings = pinger.stop();
    assert_eq!(lab.lock(VIP), before, "the same lock on the same lease");
    assert!(!addresses.changes().contains(&AddressChange::Removed(VIP.ip())), "it was away");
    assert_eq!(pings.lost, 0, "{pings:?}");
}

#[test]
fn no_address_leaves_an_owner_of_many_ips_that_is_restarted_again_and_again() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let vips: Vec<Vip> = (1..=20).map(Vip::v4).collect();
    for vip in &vips {
        lab[H1].api().add(*vip);
    }
    let all_are_owned = |lab: &Lab| lab[H1].api().list().iter().all(|ip| ip.status == "ACTIVATED");
    eventually("all are owned", || all_are_owned(&lab));
    let mut addresses = lab[H1].monitor_addresses();
    for _ in 0..3 {
        lab[H1].kill();
        lab[H1].restart();
        eventually("all are owned again", || all_are_owned(&lab));
    }
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    assert_eq!(addresses.changes().iter().filter(|change| was_away(change)).count(), 0);
    assert_eq!(lab[H1].api().list().len(), vips.len());
}

#[test]
fn a_standby_killed_and_restarted_changes_nothing() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let standby = lab.other_than(owner);
    lab[standby].kill();
    lab[standby].restart();
    lab[standby].await_status(VIP, "STANDBY");
    assert_eq!((lab.await_owner(VIP), lab.lock(VIP)), (owner, lock));
}

#[test]
fn a_lock_deleted_by_hand_is_taken_again() {
    let lab = Lab::sharing(3, VIP);
    lab.await_owner(VIP);
    let before = lab.lock(VIP).unwrap();
    assert!(lab.etcd.delete(&before.key));
    eventually("there is a new lock", || lab.lock(VIP).is_some_and(|lock| lock != before));
    let owner = lab.await_owner(VIP);
    holds_for(Duration::from_secs(2), "one owner", || lab.bound_on(VIP) == [owner]);
}

#[test]
fn a_lease_revoked_by_hand_is_survived() {
    let lab = Lab::sharing(3, VIP);
    lab.await_owner(VIP);
    let before = lab.lock(VIP).unwrap();
    lab.etcd.revoke(before.lease);
    eventually("there is a new lock", || lab.lock(VIP).is_some_and(|lock| lock != before));
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    eventually("all hosts offer it again", || lab[H1].api().hosts(VIP) == ["h1", "h2", "h3"]);
    let owner = lab.await_owner(VIP);
    holds_for(LEASE_AND_MORE, "one owner", || lab.bound_on(VIP) == [owner]);
}

#[test]
fn a_frozen_owner_yields_when_it_wakes_up() {
    let lab = Lab::sharing(2, VIP);
    let frozen = lab.await_owner(VIP);
    lab[frozen].agent().freeze();
    let heir = lab.other_than(frozen);
    eventually("the other takes it", || {
        lab[heir].binds(VIP.ip())
            && lab.lock(VIP).is_some_and(|lock| lock.holder == heir.to_string())
    });
    lab[frozen].agent().thaw();
    assert_eq!(lab.await_owner(VIP), heir);
    lab.await_reachable(VIP);
}
