//! One host, one name.

use std::time::Duration;

use crate::harness::*;

/// A lease of 3 s, so that what depends on it need not be waited for.
const QUICK: (&str, &str) = ("KEEPALIVE_INTERVAL", "500ms");

/// Longer than that lease.
const LEASE_AND_MORE: Duration = Duration::from_secs(5);

/// A host whose agent owns the VIP; another has an agent with the same name and is to share it.
fn clone_of_an_owner() -> Lab {
    let mut lab = Lab::new(2);
    lab[H1].start_with(&[QUICK]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    let key = lab.etcd.get("/link/config/h1");
    let lock = lab.lock(VIP);
    lab[H2].start_without_etcd(&[QUICK, ("HOSTNAME", "h1")]);
    lab[H2].api().await_unwell(&["h1"]);
    assert_eq!((lab.etcd.get("/link/config/h1"), lab.lock(VIP)), (key, lock));
    lab
}

#[test]
fn a_second_host_of_the_same_name_owns_nothing_and_says_why() {
    let mut lab = clone_of_an_owner();
    let lock = lab.lock(VIP);
    let mut capture = lab.client.capture();
    holds_for(LEASE_AND_MORE, "the first alone has it", || lab.bound_on(VIP) == [H1]);
    assert_eq!(lab.lock(VIP), lock, "the first goes on undisturbed");
    let twice = capture.announcements(VIP.ip()).len();
    assert!(twice <= 12, "{twice} announcements, more than one owner makes");
    // The name, and who has it.
    let mac = lab[H1].mac().to_string();
    lab[H2].await_warning(&["h1", &mac]);
    let refused = lab[H2].api().post_vip(VIP2);
    assert!(refused.status >= 400, "{refused:?}");
    assert_eq!(lab.records(H1).len(), 1);
    lab[H2].kill();
    lab[H1].api().add(VIP2);
    assert_eq!((lab.await_owner(VIP), lab.await_owner(VIP2)), (H1, H1));
}

#[test]
fn the_first_of_two_hosts_of_one_name_says_so_too() {
    let lab = clone_of_an_owner();
    let mac = lab[H2].mac().to_string();
    lab[H1].await_warning(&["h1", &mac]);
}

#[test]
fn a_second_host_of_the_same_name_has_it_when_the_first_has_left() {
    let mut lab = clone_of_an_owner();
    let lease = lab.lock(VIP).unwrap().lease;
    lab[H1].terminate();
    eventually("it serves the IP of that name", || lab.bound_on(VIP) == [H2]);
    lab[H2].api().await_well();
    assert_ne!(lab.lock(VIP).unwrap().lease, lease);
}

#[test]
fn a_host_that_was_replaced_takes_its_name_over_when_the_old_lease_has_ended() {
    let mut lab = Lab::new(2);
    // 15 s: what happens before its end is seen to happen before it.
    lab[H1].start_with(&[("KEEPALIVE_INTERVAL", "3s")]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    let lease = lab.lock(VIP).unwrap().lease;
    lab[H1].power_off();
    lab[H2].start_without_etcd(&[QUICK, ("HOSTNAME", "h1")]);
    let mut ended = false;
    eventually("it serves the IP", || {
        ended = ended || !lab.etcd.has_lease(lease);
        assert!(ended || !lab[H2].binds(VIP.ip()), "the lease is not its own");
        lab.bound_on(VIP) == [H2]
    });
    let lock = lab.lock(VIP).expect("it has the lock");
    assert_eq!(lock.holder, "h1");
    assert_ne!(lock.lease, lease);
    lab[H2].api().await_well();
}

#[test]
fn an_agent_that_restarts_beside_its_lease_is_the_same_host() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    for _ in 0..3 {
        lab[H1].kill();
        lab[H1].restart();
    }
    lab[H1].api().await_well();
    assert_eq!(lab.lock(VIP), lock);
    assert_eq!(lab[H1].warnings(&["h1"]), Vec::<String>::new());
}

#[test]
fn a_second_agent_of_the_same_name_on_the_same_host_is_refused() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut second = lab[H1].spawn_beside();
    let mut ended = None;
    eventually("it ends", || {
        ended = second.ended();
        ended.is_some()
    });
    let log = second.log();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{log}");
    assert!(log.contains("an agent that runs works with"), "{log}");
    assert_eq!((lab.lock(VIP), lab.bound_on(VIP)), (lock, vec![H1]));
    // Neither the next program of the same process nor the next process is a second one.
    lab[H1].reload();
    lab[H1].kill();
    lab[H1].restart();
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn an_agent_whose_key_is_written_by_another_says_so() {
    let lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let lock = lab.lock(VIP).unwrap();
    let key = lab.etcd.get("/link/config/h1").unwrap();
    let other = key.value.replace(&lock.lease.to_string(), "4711");
    assert_ne!(other, key.value);
    lab.etcd.put(&key.key, &other);
    lab[H1].await_warning(&["h1"]);
    // Its next life finds its lease.
    eventually("its own is written again", || lab.lease_of(H1) == lock.lease);
    assert_eq!(lab.owner(VIP), Some(H1));
}

#[test]
fn a_host_that_was_renamed_says_which_ips_it_leaves_behind() {
    let mut lab = Lab::sharing(2, VIP);
    lab.await_owner(VIP);
    eventually("the copy is written", || {
        let copy = std::fs::read_to_string(lab[H1].state_file());
        copy.is_ok_and(|copy| copy.contains(&VIP.to_string()))
    });
    lab[H1].terminate();
    lab[H1].start_with(&[("HOSTNAME", "web1")]);
    lab[H1].await_warning(&["h1", &VIP.to_string(), "HOSTNAME"]);
    assert_eq!(lab.records(H1).len(), 1, "nobody has decided that");
}

#[test]
fn a_host_that_was_renamed_and_has_no_copy_is_known_by_its_hardware() {
    let mut lab = Lab::sharing(2, VIP);
    lab.await_owner(VIP);
    lab[H1].terminate();
    let empty = lab.folder().join("empty").display().to_string();
    lab[H1].start_with(&[("HOSTNAME", "web1"), ("STATE_DIR", &empty)]);
    lab[H1].await_warning(&["h1", &VIP.to_string(), "HOSTNAME"]);
}
