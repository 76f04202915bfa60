//! etcd on one network, the IP on another: a host that hears nobody where the IP is serves nobody
//! there, though etcd hears it.

use std::time::{Duration, Instant};

use crate::harness::*;

/// Twice what an owner may cost that is cut off the network of the IP.
const CUT_OFF: Duration = Duration::from_millis(1200);

/// For a host that owns the IP alone, and hears nobody, to give it to the first that can serve it.
const GIVEN_UP: Duration = Duration::from_secs(3);

/// Much more than an order takes to be carried out, and less than an owner waits to hear another.
const AT_ONCE: Duration = Duration::from_millis(400);

/// For whatever may still follow.
const AFTERMATH: Duration = Duration::from_secs(3);

/// For three agents to start, on a machine that is busy with other labs.
const START: Duration = Duration::from_secs(10);

/// Three hosts that share the VIP, with their gateway on its network, and etcd on a network of its own.
fn three_hosts() -> Lab {
    three_hosts_with(&[])
}

fn three_hosts_with(settings: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::builder(3).management_network().gateway().build();
    lab.start_all_with(settings);
    lab.offer(VIP);
    lab.await_calm(VIP);
    lab
}

/// Waits until a host knows its gateway, as one does that has to do with anybody elsewhere.
fn await_gateway(lab: &Lab, host: HostId) {
    eventually("it knows its gateway", || lab.client.reaches(lab[host].address().into()));
}

/// Lets time pass in which that host alone has the IP.
#[track_caller]
fn await_nothing(lab: &Lab, owner: HostId) {
    holds_for(AFTERMATH, "nothing moves", || lab.bound_on(VIP) == [owner]);
}

/// Waits until another host than that one owns the IP.
#[track_caller]
fn await_moved(lab: &Lab, from: HostId, limit: Duration) -> HostId {
    let other = || lab.owner(VIP).filter(|owner| *owner != from);
    let took = within(limit, "another host alone has it", || other().is_some());
    println!("moved from {from} after {took:?}");
    lab.await_owner(VIP)
}

#[test]
fn an_owner_that_hears_nobody_gives_the_ip_to_a_host_that_is_heard() {
    let lab = three_hosts();
    for way in [Way::Both, Way::In] {
        let owner = lab.await_calm(VIP);
        lab.isolate_one_way(owner, way);
        let heir = await_moved(&lab, owner, CUT_OFF);
        lab.await_reachable(VIP);
        await_nothing(&lab, heir);
        lab.heal_wire();
        await_nothing(&lab, heir);
    }
}

#[test]
fn an_owner_that_hears_others_keeps_the_ip_though_they_do_not_hear_it() {
    let lab = three_hosts();
    let owner = lab.await_owner(VIP);
    lab.isolate_one_way(owner, Way::Out);
    await_nothing(&lab, owner);
    lab.heal_wire();
    await_nothing(&lab, owner);
    lab.await_reachable(VIP);
}

#[test]
fn a_standby_that_hears_nobody_or_is_not_heard_moves_nothing() {
    let lab = three_hosts();
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    for way in [Way::Both, Way::In, Way::Out] {
        lab.isolate_one_way(lab.other_than(owner), way);
        await_nothing(&lab, owner);
        lab.heal_wire();
        await_nothing(&lab, owner);
    }
    assert_eq!(lab.lock(VIP), lock);
}

/// Takes all hosts out, waits until etcd has forgotten them, and cuts one off; it has the lowest
/// hardware address.
fn shut_down(lab: &mut Lab) -> HostId {
    lab.ids().into_iter().for_each(|host| lab.power_off(host));
    eventually("nobody has the lock", || lab.lock(VIP).is_none());
    lab.isolate(H1);
    H1
}

#[test]
fn a_host_that_hears_nobody_and_boots_first_has_the_ip_until_another_can_have_it() {
    let mut lab = three_hosts();
    let deaf = shut_down(&mut lab);
    lab.power_on(deaf);
    lab[deaf].restart();
    assert_eq!(lab.await_owner(VIP), deaf, "an IP must have an owner");
    for host in [H2, H3] {
        lab.power_on(host);
        lab[host].restart();
    }
    let owner = await_moved(&lab, deaf, GIVEN_UP);
    lab.await_reachable(VIP);
    await_nothing(&lab, owner);
    lab.heal_wire();
    await_nothing(&lab, owner);
}

#[test]
fn a_host_that_hears_nobody_and_boots_with_others_does_not_stay_the_owner() {
    let mut lab = three_hosts();
    for _ in 0..3 {
        let deaf = shut_down(&mut lab);
        for host in lab.ids() {
            lab.power_on(host);
            lab[host].spawn();
        }
        let owner = await_moved(&lab, deaf, START);
        lab.await_reachable(VIP);
        await_nothing(&lab, owner);
        lab.heal_wire();
        lab.await_calm(VIP);
    }
}

#[test]
fn a_standby_that_hears_nobody_does_not_get_the_ip_of_an_owner_that_dies() {
    let mut lab = three_hosts();
    for _ in 0..4 {
        let owner = lab.await_calm(VIP);
        let deaf = lab.other_than(owner);
        lab.ids().into_iter().for_each(|host| await_gateway(&lab, host));
        lab.isolate(deaf);
        await_nothing(&lab, owner);
        let mut holders = lab.watch_holders(VIP);
        lab.power_off(owner);
        assert_ne!(await_moved(&lab, owner, CUT_OFF), deaf);
        lab.await_reachable(VIP);
        let got_it = holders.changes().iter().any(|change| change.host == deaf);
        assert!(!got_it, "{deaf} hears nobody: {:?}", holders.changes());
        lab.heal_wire();
        lab.power_on(owner);
        lab[owner].restart();
    }
}

/// What has an IP leave a host.
#[derive(Clone, Copy, Debug)]
enum Order {
    Failover,
    Terminate,
    Delete,
}

impl Order {
    /// Gives it. An agent that has moved the IP by itself meanwhile refuses the first.
    fn give(self, host: &mut Host) {
        let api = host.api();
        match self {
            Order::Failover => drop(api.failover(VIP)),
            Order::Terminate => assert!(host.terminate().success()),
            Order::Delete => drop(api.delete(&api.path(VIP)).expect(204)),
        }
    }

    /// Has the host stand by again.
    fn undo(self, host: &mut Host) {
        match self {
            Order::Failover => {}
            Order::Terminate => host.restart(),
            Order::Delete => drop(host.api().add(VIP)),
        }
    }
}

#[test]
fn what_an_owner_that_hears_nobody_gives_up_is_served_at_once_and_not_taken_back() {
    // So that it stays the owner until it is told something.
    let mut lab = three_hosts_with(&[("CRASH_DETECTION", "off")]);
    let orders = [Order::Failover, Order::Terminate, Order::Delete];
    for (order, knows) in orders.into_iter().flat_map(|order| [(order, true), (order, false)]) {
        let owner = lab.await_calm(VIP);
        lab.isolate(owner);
        // It finds that out by itself only after some seconds.
        if knows {
            lab[owner].api().await_unwell(&["isolated on eth0"]);
        }
        let mut holders = lab.watch_holders(VIP);
        let ordered = Instant::now();
        order.give(&mut lab[owner]);
        let heir = await_moved(&lab, owner, CUT_OFF);
        await_nothing(&lab, heir);
        let &[first, second] = holders.changes() else {
            panic!("{order:?}, {knows}: it went to and fro: {:?}", holders.changes());
        };
        // Nobody has the IP from an owner that hears nobody: it may let go first.
        let gained = if first.holds { first } else { second };
        let lost = if first.holds { second } else { first };
        assert_eq!((gained.host, lost.host), (heir, owner), "{order:?}");
        let took = first.at.max(second.at).saturating_duration_since(ordered);
        println!("{order:?}, {knows}: {heir} alone after {took:?}");
        assert!(took < AT_ONCE, "{order:?}, {knows}: {took:?}");
        lab.await_reachable(VIP);
        lab.heal_wire();
        order.undo(&mut lab[owner]);
    }
}
