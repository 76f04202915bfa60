//! etcd on the hosts that share the IP: what dies with a host is also a part of what decides about it.

use std::time::{Duration, Instant};

use crate::harness::*;

/// Twice what an owner may cost in the worst case that dies, or is cut off, with etcd's leader.
const WITH_LEADER: Duration = Duration::from_millis(1600);

/// Twice what an owner may cost that dies with the only member of etcd.
const WITH_ETCD: Duration = Duration::from_millis(1200);

/// Twice what it may take after a boot of all hosts until one has the IP: half of the time after which etcd
/// counts as lost, and a second in which the network is asked.
const BOOT: Duration = Duration::from_secs(8);

/// For which etcd has no quorum then.
const NO_QUORUM: Duration = Duration::from_secs(10);

/// Longer than a lease lasts without renewals: what holds for so long is no after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(6);

/// Three hosts, each with an agent and a member of etcd, on one network with their gateway.
fn three_hosts() -> Lab {
    let mut lab = Lab::builder(3).etcd_on_hosts(3).gateway().build();
    lab.start_all();
    lab.offer(VIP);
    lab
}

/// Waits until another host than the owner has the IP, for so long at most since that moment.
#[track_caller]
fn await_taken(holders: &mut Holders, owner: HostId, since: Instant, limit: Duration) -> HostId {
    let mut taken = None;
    eventually("another host has it", || {
        let mut changes = holders.changes().iter();
        taken = changes.find(|change| change.holds && change.host != owner).copied();
        taken.is_some()
    });
    let taken = taken.expect("there is one");
    let took = taken.at - since;
    println!("{} has it {took:?} after that", taken.host);
    assert!(took < limit, "{took:?}");
    taken.host
}

/// Waits until a host that died has come back, and the IP stays where it is.
#[track_caller]
fn come_back(lab: &mut Lab, dead: HostId, owner: HostId) {
    lab.power_on(dead);
    lab[dead].restart();
    assert_eq!(lab.await_calm(VIP), owner);
}

#[test]
fn an_owner_that_dies_with_etcds_leader_is_replaced_before_etcd_has_another() {
    let mut lab = three_hosts();
    for _ in 0..2 {
        let owner = lab.await_owner(VIP);
        lab.lead_on(owner);
        lab.await_calm(VIP);
        let mut holders = lab.watch_holders(VIP);
        let died = Instant::now();
        lab.power_off(owner);
        let heir = await_taken(&mut holders, owner, died, WITH_LEADER);
        lab.await_reachable(VIP);
        lab.etcd.await_ready();
        assert_eq!(lab.await_owner_other_than(owner, VIP), heir);
        holds_for(LEASE_AND_MORE, "one owner", || lab.bound_on(VIP) == [heir]);
        assert_eq!(holders.changes().len(), 2, "it has moved once: {:?}", holders.changes());
        come_back(&mut lab, owner, heir);
    }
}

#[test]
fn an_owner_that_is_cut_off_with_etcds_leader_is_replaced_and_lets_go_when_it_is_back() {
    let lab = three_hosts();
    let owner = lab.await_owner(VIP);
    lab.lead_on(owner);
    lab.await_calm(VIP);
    let mut holders = lab.watch_holders(VIP);
    let cut = Instant::now();
    lab.isolate(owner);
    let heir = await_taken(&mut holders, owner, cut, WITH_LEADER);
    lab.await_reachable(VIP);
    holds_for(LEASE_AND_MORE, "one of the others has it", || {
        lab.bound_on(VIP).into_iter().filter(|host| *host != owner).eq([heir])
    });
    lab.heal_wire();
    let took = within(Duration::from_secs(1), "one owner", || holders.now() == [heir]);
    println!("{heir} alone {took:?} after the heal");
    assert_eq!(lab.await_owner(VIP), heir);
    lab.await_reachable(VIP);
    holds_for(LEASE_AND_MORE, "it stays there", || lab.bound_on(VIP) == [heir]);
}

#[test]
fn an_owner_that_dies_with_the_only_etcd_is_replaced_where_the_gateway_answers() {
    for policy in ["take", "probe"] {
        let mut lab = Lab::builder(2).etcd_on_hosts(1).gateway().build();
        lab.start_all_with(&[("ETCD_LOSS_POLICY", policy)]);
        lab.offer_in_order(VIP);
        lab.await_calm(VIP);
        let mut holders = lab.watch_holders(VIP);
        let died = Instant::now();
        lab.power_off(H1);
        assert_eq!(await_taken(&mut holders, H1, died, WITH_ETCD), H2);
        lab.await_reachable(VIP);
        come_back(&mut lab, H1, H2);
    }
}

#[test]
fn the_last_of_three_hosts_keeps_the_ip_when_the_others_are_back() {
    let mut lab = three_hosts();
    let owner = lab.await_calm(VIP);
    let dead = [owner, lab.other_than(owner)];
    dead.into_iter().for_each(|id| lab.power_off(id));
    let last = lab.ids().into_iter().find(|id| !dead.contains(id)).expect("there are three");
    eventually("the last one takes it", || lab.bound_on(VIP) == [last]);
    lab.await_reachable(VIP);
    let ping = lab.client.ping(VIP.ip());
    // etcd has neither a quorum nor, afterwards, forgotten whose the lock was: its leases begin again.
    dead.into_iter().for_each(|id| lab.power_on(id));
    dead.into_iter().for_each(|id| lab[id].spawn());
    assert_eq!(lab.await_calm(VIP), last);
    holds_for(LEASE_AND_MORE, "one owner", || lab.bound_on(VIP) == [last]);
    assert_eq!(ping.stop().lost, 0);
}

#[test]
fn an_agent_goes_back_to_the_member_on_its_own_host() {
    let mut lab = three_hosts();
    lab.await_calm(VIP);
    let own = lab.member_on(H1).expect("a member on each host");
    assert_eq!(lab.member_in_use(H1), own);
    // It starts before its member does.
    lab[H1].terminate();
    lab.etcd.stop_member(own);
    lab[H1].restart();
    assert_ne!(lab.member_in_use(H1), own);
    let mut holders = lab.watch_holders(VIP);
    lab.etcd.start_member(own);
    eventually("its own member is in use", || lab.member_in_use(H1) == own);
    lab.await_calm(VIP);
    assert!(holders.changes().is_empty(), "{:?}", holders.changes());
}

#[test]
fn hosts_that_boot_together_have_one_owner_however_long_etcd_has_no_quorum() {
    let mut lab = three_hosts();
    lab.await_calm(VIP);
    let hosts = lab.ids();
    hosts.iter().for_each(|host| lab.power_off(*host));
    let mut holders = lab.watch_holders(VIP);
    let booted = Instant::now();
    for host in &hosts {
        lab[*host].power_on();
        lab[*host].spawn();
    }
    // Two of the three take their time.
    lab.etcd.start_member(0);
    let took = within(BOOT, "a host has it", || !holders.now().is_empty());
    println!("{:?} has it after {took:?}", holders.now());
    holds_for(NO_QUORUM.saturating_sub(booted.elapsed()), "one owner", || holders.now().len() == 1);
    lab.etcd.start_all();
    let owner = lab.await_calm(VIP);
    lab.await_reachable(VIP);
    // It may have moved to the host whose lock it is: the new owner is there before the old one goes.
    println!("{owner} has it in the end: {:?}", holders.changes());
    let shared = holders.shared_for();
    assert!(shared < Duration::from_millis(500), "two had it for {shared:?}");
}
