//! What the policies for the loss of etcd come to: on the kernels of the hosts and for the client.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::*;

/// Until the lock of a dead owner is taken, whose lease begins again with etcd and lives for 5 s.
const TAKEN: Duration = Duration::from_millis(3500);

/// A lab of three hosts whose agents have this policy, and that share the VIP.
fn sharing(policy: &str) -> Lab {
    let mut lab = Lab::new(3);
    for id in lab.ids() {
        lab[id].start_with(&[("ETCD_LOSS_POLICY", policy)]);
    }
    lab.offer(VIP);
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    lab
}

/// Waits until each agent has noticed that etcd does not answer.
fn await_loss(lab: &Lab) {
    for id in lab.ids() {
        eventually("etcd is lost", || lab[id].agent().log().contains("etcd is lost"));
    }
}

/// Has etcd answer again: from then on exactly one host has the VIP, and the client finds it there.
fn await_peace(lab: &mut Lab) -> HostId {
    lab.etcd.start_all();
    let answered = Instant::now();
    let owner = lab.await_owner(VIP);
    println!("one owner {:?} after etcd answers", answered.elapsed());
    let mac = lab[owner].mac().to_string();
    eventually("the client sends to the owner", || {
        lab.client.reaches(VIP.ip()) && lab.client.neighbour(VIP.ip()).as_ref() == Some(&mac)
    });
    holds_for(Duration::from_secs(2), "one owner", || lab.bound_on(VIP) == [owner]);
    owner
}

#[test]
fn by_take_every_host_has_the_ip_while_etcd_is_away() {
    let mut lab = sharing("take");
    lab.etcd.stop();
    eventually("all have it", || lab.bound_on(VIP).len() == 3);
    assert!(lab.client.reaches(VIP.ip()));
    await_peace(&mut lab);
}

/// A mistake in the configuration looks like an etcd that is lost.
#[test]
fn by_take_an_agent_that_never_heard_etcd_takes_what_no_other_host_has() {
    let mut lab = sharing("take");
    let owner = lab.await_owner(VIP);
    let mistaken = lab.other_than(owner);
    lab[mistaken].terminate();
    lab[mistaken].start_without_etcd(&[("ETCD_HOSTS", "http://10.0.0.250:2379")]);
    let reason = || lab[mistaken].api().find(VIP).map_or_else(String::new, |ip| ip.reason);
    eventually("it has asked the network", || reason().contains("another host answers"));
    holds_for(Duration::from_secs(3), "the owner alone", || lab.bound_on(VIP) == [owner]);
    for id in lab.ids().into_iter().filter(|id| *id != mistaken) {
        lab[id].power_off();
    }
    eventually("it takes what nobody has", || lab[mistaken].binds(VIP.ip()));
    lab.await_reachable(VIP);
}

#[test]
fn by_probe_the_owner_alone_keeps_the_ip_while_etcd_is_away() {
    let mut lab = sharing("probe");
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    await_loss(&lab);
    holds_for(Duration::from_secs(3), "the owner alone", || lab.bound_on(VIP) == [owner]);
    let standby = lab.other_than(owner);
    let shown = lab[standby].api().find(VIP).unwrap();
    assert_eq!((shown.status.as_str(), shown.bound), ("STANDBY", false));
    assert!(shown.reason.contains("another host answers"), "{}", shown.reason);
    assert_eq!(await_peace(&mut lab), owner, "and it keeps it then");
}

#[test]
fn by_probe_the_owner_keeps_the_ip_though_a_stranger_claims_it() {
    let mut lab = sharing("probe");
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    await_loss(&lab);
    let mut capture = Capture::start(lab[owner].namespace());
    // No host wins a tie-break against that one.
    let _stranger = Stranger::start(lab.client.namespace(), Mac([0, 0, 0, 0, 0, 1]), VIP);
    capture.wait_for_announcement(VIP.ip());
    holds_for(Duration::from_secs(4), "the owner alone", || lab.bound_on(VIP) == [owner]);
}

#[test]
fn by_probe_an_owner_that_restarts_without_etcd_keeps_the_ip_though_others_ask_for_it() {
    let mut lab = Lab::new(3);
    lab.start_all_with(&[("KEEPALIVE_INTERVAL", "500ms"), ("ETCD_LOSS_POLICY", "probe")]);
    // Of hosts that ask at the same time it comes last: its hardware address is the highest.
    let owner = H3;
    lab[owner].api().add(VIP);
    [H1, H2].iter().for_each(|host| drop(lab[*host].api().add(VIP)));
    lab.await_reachable(VIP);
    eventually("it is in the local copy", || {
        let copy = std::fs::read_to_string(lab[owner].state_file()).unwrap_or_default();
        copy.contains(&VIP.to_string())
    });
    let mut addresses = lab[owner].monitor_addresses();
    lab.etcd.stop();
    lab[owner].kill();
    lab[owner].restart_without_etcd();
    await_loss(&lab);
    eventually("it takes what it has", || {
        lab[owner].api().find(VIP).is_some_and(|ip| ip.status == "ACTIVATED")
    });
    assert_eq!(await_peace(&mut lab), owner);
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    assert!(!addresses.changes().iter().any(was_away), "it was away");
}

#[test]
fn by_probe_exactly_one_takes_the_ip_of_an_owner_that_dies_while_etcd_is_away() {
    let mut lab = sharing("probe");
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    await_loss(&lab);
    lab[owner].power_off();
    let mut heirs = Vec::new();
    let died = Instant::now();
    eventually("one of the others takes it", || {
        heirs = lab.bound_on(VIP);
        !heirs.is_empty()
    });
    println!("taken {:?} after the owner died", died.elapsed());
    eventually("the others leave it to one", || lab.bound_on(VIP).len() == 1);
    let heir = lab.bound_on(VIP)[0];
    holds_for(Duration::from_secs(5), "one owner", || lab.bound_on(VIP) == [heir]);
    lab.await_reachable(VIP);
    await_peace_unnoticed(&mut lab, owner);
}

#[test]
fn by_take_the_ip_of_an_owner_that_dies_while_etcd_is_away_stays_with_those_that_took_it() {
    let mut lab = sharing("take");
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    eventually("all have it", || lab.bound_on(VIP).len() == 3);
    lab[owner].power_off();
    lab.await_reachable(VIP);
    await_peace_unnoticed(&mut lab, owner);
}

/// As [`await_peace`], but the lock that comes back with etcd is that of an owner that has died: whoever
/// has the IP keeps it, so that the client notices nothing, and takes the lock before that ends.
fn await_peace_unnoticed(lab: &mut Lab, dead: HostId) {
    let pinger = lab.client.ping(VIP.ip());
    lab.etcd.start_all();
    let holder = || lab.lock(VIP).map(|lock| lock.holder);
    let took = within(TAKEN, "a host that lives takes the lock", || {
        holder().is_some_and(|holder| holder != dead.to_string())
    });
    println!("the lock is taken {took:?} after etcd answers");
    await_peace(lab);
    let pings = pinger.stop();
    println!("longest gap {:?}", pings.longest_gap);
    assert!(pings.longest_gap < Duration::from_millis(500), "{pings:?}");
}

#[test]
fn by_hold_everything_stays_as_it_is_while_etcd_is_away() {
    let mut lab = sharing("hold");
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    await_loss(&lab);
    holds_for(Duration::from_secs(3), "it stays", || lab.bound_on(VIP) == [owner]);
    lab[owner].power_off();
    holds_for(Duration::from_secs(3), "nobody takes it", || lab.bound_on(VIP).is_empty());
    let after = await_peace(&mut lab);
    assert_ne!(after, owner);
}

#[test]
fn an_ip_may_have_a_policy_of_its_own() {
    let mut lab = Lab::new(2);
    lab.start_all();
    for id in lab.ids() {
        let body = json!({ "ip": VIP.to_string(), "etcd_loss_policy": "hold" });
        lab[id].api().create(&body);
    }
    lab.offer(VIP2);
    let (owner, _) = (lab.await_owner(VIP), lab.await_owner(VIP2));
    lab.etcd.stop();
    eventually("the other IP is taken by both", || lab.bound_on(VIP2).len() == 2);
    assert_eq!(lab.bound_on(VIP), [owner]);
}

/// Boots all hosts without etcd; gives the time after which the first of them has the VIP.
fn boot_without_etcd(lab: &mut Lab, policy: &str) -> Duration {
    lab.etcd.stop();
    for id in lab.ids() {
        lab[id].power_off();
        lab[id].power_on();
    }
    let booted = Instant::now();
    for id in lab.ids() {
        lab[id].start_without_etcd(&[("ETCD_LOSS_POLICY", policy)]);
    }
    eventually("somebody has it", || !lab.bound_on(VIP).is_empty());
    let taken = booted.elapsed();
    println!("{policy}: taken {taken:?} after the boot");
    taken
}

/// The promise of the default settings: 2.5 s of silence, and one of listening.
const BOOT: Duration = Duration::from_millis(3500);

#[test]
fn hosts_that_boot_without_etcd_have_the_ip_soon_and_by_probe_only_one_of_them() {
    let mut lab = sharing("probe");
    let taken = boot_without_etcd(&mut lab, "probe");
    eventually("it is left to one", || lab.bound_on(VIP).len() == 1);
    let owner = lab.bound_on(VIP)[0];
    holds_for(Duration::from_secs(4), "one owner", || lab.bound_on(VIP) == [owner]);
    lab.await_reachable(VIP);
    assert!(taken < BOOT * 2, "{taken:?}");
    await_peace(&mut lab);
}

#[test]
fn by_hold_an_agent_that_boots_without_etcd_keeps_what_is_there_and_takes_nothing() {
    let mut lab = sharing("hold");
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    for id in lab.ids() {
        lab[id].kill();
        lab[id].restart_without_etcd();
    }
    await_loss(&lab);
    lab[owner].await_status(VIP, "ACTIVATED");
    assert_eq!(lab.bound_on(VIP), [owner]);
    await_peace(&mut lab);
}
