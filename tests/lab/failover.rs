//! What the API says of a failover, and of the lock.

use serde_json::json;

use crate::harness::*;

#[test]
fn a_failover_is_for_the_owner_with_another_candidate() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    assert!(!lab[H1].api().failover(VIP).expect(409).error().is_empty(), "nobody else offers it");
    lab[H2].api().add(VIP);
    assert!(!lab[H2].api().failover(VIP).expect(409).error().is_empty(), "it is not the owner");
    lab[H1].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H2);
    lab.await_reachable(VIP);
    lab[H2].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn a_failover_goes_to_the_host_that_was_named_or_nowhere() {
    let lab = Lab::sharing(3, VIP);
    let owner = lab.await_owner(VIP);
    let named = lab.ids().into_iter().rev().find(|id| *id != owner).unwrap();
    let to = |host: &str| {
        let api = lab[owner].api();
        let body = json!({ "host": host }).to_string();
        api.send("POST", &format!("{}/failover", api.path(VIP)), Some(&body))
    };
    let nobody = to("h9").expect(409).error();
    assert!(nobody.contains("h9"), "{nobody}");
    to(&owner.to_string()).expect(409);
    assert_eq!(lab.await_owner(VIP), owner);
    to(&named.to_string()).expect(204);
    assert_eq!(lab.await_owner(VIP), named);
}

#[test]
fn a_failover_to_a_host_that_does_not_announce_the_ip_comes_back() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let frozen = lab.other_than(owner);
    lab[frozen].agent().freeze();
    let mut addresses = lab[owner].monitor_addresses();
    let refused = lab[owner].api().failover(VIP).expect(409).error();
    assert!(refused.contains(&frozen.to_string()), "{refused}");
    assert_eq!(lab.await_owner(VIP), owner);
    assert_eq!(addresses.changes(), [], "it was never away");
    lab[frozen].agent().thaw();
    // It hears late that it had the lock, and that it has lost it.
    let let_go = || lab[frozen].agent().log().contains("ACTIVATED -> STANDBY");
    eventually("it knows", || let_go() && lab.bound_on(VIP) == [owner]);
    lab[owner].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), frozen);
}

#[test]
fn a_failover_that_a_delete_overtakes_is_refused() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    // A candidate that does not react.
    let other = lab.other_than(owner);
    lab[other].agent().freeze();
    let api = lab[owner].api();
    std::thread::scope(|scope| {
        let failover = scope.spawn(|| api.failover(VIP));
        let holder = || lab.lock(VIP).map(|lock| lock.holder);
        eventually("the lock is passed on", || holder() == Some(other.to_string()));
        api.delete(&api.path(VIP)).expect(204);
        failover.join().unwrap().expect(409);
    });
}

#[test]
fn the_lock_can_be_asked_for_and_is_not_taken_from_its_owner() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    for id in lab.ids() {
        let api = lab[id].api();
        api.send("POST", &format!("{}/lock", api.path(VIP)), None).expect(204);
    }
    assert_eq!((lab.await_owner(VIP), lab.lock(VIP)), (owner, lock));
}
