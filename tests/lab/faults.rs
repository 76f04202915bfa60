//! What happens to the IP when something happens to its owner: its process, its address, its card.

use std::time::{Duration, Instant};

use crate::harness::*;

/// A lease of 3 s, so that what depends on it need not be waited for.
const QUICK: [(&str, &str); 1] = [("KEEPALIVE_INTERVAL", "500ms")];

/// Longer than that lease lasts without renewals: what holds for this long is no after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(4);

/// For the processes of a dozen labs on one machine to do what they have to.
const LOAD: Duration = Duration::from_secs(2);

/// Three hosts that share the VIP, and etcd on a network of its own.
fn three_hosts() -> Lab {
    let mut lab = Lab::builder(3).management_network().build();
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    lab
}

#[test]
fn fifty_kills_and_fifty_reloads_of_the_owner_move_nothing_and_cost_no_ping() {
    let mut lab = three_hosts();
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut monitors: Vec<_> = lab.ids().iter().map(|id| lab[*id].monitor_addresses()).collect();
    let pinger = lab.client.ping(VIP.ip());
    for _ in 0..50 {
        lab[owner].kill();
        lab[owner].restart();
    }
    let pid = lab[owner].agent().pid();
    for _ in 0..50 {
        lab[owner].reload();
    }
    assert_eq!(lab[owner].agent().pid(), pid);
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    let pings = pinger.stop();
    assert_eq!(pings.lost, 0, "{pings:?}");
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    for monitor in &mut monitors {
        assert!(!monitor.changes().iter().any(was_away), "{:?}", monitor.changes());
    }
    assert_eq!(lab.lock(VIP), lock, "the same lock on the same lease");
}

#[test]
fn an_owner_that_was_frozen_for_long_lets_go_before_it_says_anything() {
    let lab = three_hosts();
    let frozen = lab.await_owner(VIP);
    lab[frozen].agent().freeze();
    // Twice as long as its lease.
    holds_for(Duration::from_secs(6), "it is bound", || !lab.bound_on(VIP).is_empty());
    let holder = lab.lock(VIP).expect("another host holds the lock").holder;
    assert_ne!(holder, frozen.to_string());
    let mut capture = lab.client.capture();
    lab[frozen].agent().thaw();
    within(Duration::from_secs(1) + LOAD, "it lets go", || !lab[frozen].binds(VIP.ip()));
    let gone = Instant::now();
    let heir = lab.await_owner(VIP);
    let told = capture.wait_for("the owner announces again", |frame| {
        frame.announces(VIP.ip()) && frame.source == lab[heir].mac() && frame.at > gone
    });
    println!("announced {:?} after the other has let go", told.at - gone);
    let frames = capture.announcements(VIP.ip());
    assert!(frames.iter().all(|frame| frame.source != lab[frozen].mac()), "{frames:?}");
    assert_eq!(lab.client.neighbour(VIP.ip()), Some(lab[heir].mac().to_string()));
}

#[test]
fn an_address_removed_ten_times_in_a_row_is_back_each_time() {
    let lab = three_hosts();
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut capture = lab.client.capture();
    for _ in 0..10 {
        capture.forget();
        lab[owner].ip(&format!("addr del {VIP} dev eth0"));
        within(Duration::from_secs(1) + LOAD, "it is back", || lab[owner].binds(VIP.ip()));
        capture.wait_for_announcement(VIP.ip());
    }
    lab.await_reachable(VIP);
    assert_eq!(lab.lock(VIP), lock);
    holds_for(Duration::from_secs(1), "no move", || lab.bound_on(VIP) == [owner]);
}

#[test]
fn an_owner_without_its_interface_is_replaced_and_says_why() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    for take_it in [Host::link_down, Host::remove_card] {
        let owner = lab.await_owner(VIP);
        take_it(&lab[owner]);
        let heir = lab.await_owner_other_than(owner, VIP);
        lab.await_reachable(VIP);
        lab[owner].await_status(VIP, "FAILING");
        let reason = lab[owner].api().find(VIP).expect("it is registered").reason;
        assert!(reason.contains("eth0"), "{reason}");
        if lab[owner].has_card() {
            lab[owner].link_up();
        } else {
            lab[owner].insert_card();
        }
        lab[owner].await_status(VIP, "STANDBY");
        holds_for(Duration::from_secs(1), "no fail-back", || lab.bound_on(VIP) == [heir]);
        // The card that came back carries the IP again.
        lab[heir].api().failover(VIP).expect(204);
        assert_eq!(lab.await_owner(VIP), owner);
        lab.await_reachable(VIP);
    }
}

#[test]
fn an_owner_that_loses_its_carrier_is_replaced_but_not_for_a_moment() {
    let lab = three_hosts();
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    lab.set_carrier(owner, false);
    until(Duration::from_millis(200), || false);
    lab.set_carrier(owner, true);
    holds_for(Duration::from_secs(2), "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    lab.await_reachable(VIP);

    lab.set_carrier(owner, false);
    // Debounced for half a second; etcd is on a network of its own.
    let took = within(Duration::from_millis(750) + LOAD, "another host has it", || {
        lab.owner(VIP).is_some_and(|heir| heir != owner)
    });
    println!("replaced after {took:?}");
    let heir = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    lab[owner].await_status(VIP, "FAILING");
    let reason = lab[owner].api().find(VIP).expect("it is registered").reason;
    assert!(reason.contains("eth0") && reason.contains("carrier"), "{reason}");
    lab.set_carrier(owner, true);
    lab[owner].await_status(VIP, "STANDBY");
    holds_for(Duration::from_secs(1), "no fail-back", || lab.bound_on(VIP) == [heir]);
    assert_eq!(lab.client.neighbour(VIP.ip()), Some(lab[heir].mac().to_string()));
}

#[test]
fn an_address_with_another_prefix_is_somebody_elses() {
    let mut lab = three_hosts();
    let owner = lab.await_owner(VIP);
    let standby = lab.other_than(owner);
    let foreign = format!("{}/24", VIP.ip());
    lab[standby].ip(&format!("addr add {foreign} dev eth0"));
    lab[standby].kill();
    lab[standby].restart();
    lab[standby].await_status(VIP, "FAILING");
    lab[standby].api().await_unwell(&["the host itself has the address"]);
    lab[owner].terminate();
    eventually("another host holds the lock", || {
        lab.lock(VIP).is_some_and(|lock| lock.holder != owner.to_string())
    });
    holds_for(Duration::from_secs(1), "the admin's address stays", || {
        lab[standby].ip("addr show dev eth0").contains(&foreign)
    });
}

#[test]
fn a_dead_host_is_no_candidate_for_a_failover() {
    let mut lab = Lab::builder(2).build();
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    let dead = lab.other_than(owner);
    lab[dead].power_off();
    let took = eventually("it is no candidate any more", || {
        lab[owner].api().hosts(VIP) == [owner.to_string()]
    });
    println!("no candidate after {took:?}");
    assert!(took < LEASE_AND_MORE + LOAD, "{took:?}");
    lab[owner].api().failover(VIP).expect(409);
    lab[owner].api().failover_to(VIP, &dead.to_string()).expect(409);
    holds_for(Duration::from_secs(1), "it stays", || lab.owner(VIP) == Some(owner));
}
