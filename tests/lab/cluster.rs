//! What happens to the IPs when something happens to a cluster of three etcd members.

use std::time::Duration;

use crate::harness::*;

/// A lease of 3 s, so that what depends on it need not be waited for.
const QUICK: [(&str, &str); 1] = [("KEEPALIVE_INTERVAL", "500ms")];

/// Patience enough for an election among etcd's members, though their votes be split.
const PATIENT: [(&str, &str); 1] = [("KEEPALIVE_RETRY", "12")];

/// Longer than that lease lasts without renewals: what holds for this long is no after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(4);

/// How long etcd without its leader needs to elect another, and a lease that begins again with it
/// to end: 3 s at most (two rounds of votes), 3 s, and 0.5 s between two looks at the leases.
const ELECTION_AND_LEASE: Duration = Duration::from_millis(6_500);

/// For the processes of a dozen labs on one machine to do what they have to.
const LOAD: Duration = Duration::from_secs(2);

/// Three hosts that share the VIP, and three members on a network of their own. Whatever is done to the
/// members may have them elect a leader, also when it is over.
fn cluster(agents: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::builder(3).etcd_members(3).management_network().build();
    lab.start_all_with(&[&QUICK[..], &PATIENT, agents].concat());
    lab.offer(VIP);
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    lab
}

/// Waits until exactly one host has the VIP within the second that is promised, and the client sends
/// to it.
fn await_one_owner(lab: &Lab) -> HostId {
    let took = within(Duration::from_secs(1) + LOAD, "one owner", || lab.bound_on(VIP).len() == 1);
    let owner = lab.await_owner(VIP);
    println!("{owner} alone after {took:?}");
    await_heard(lab, owner);
    holds_for(Duration::from_secs(1), "it stays so", || lab.bound_on(VIP) == [owner]);
    owner
}

/// Waits until the client reaches the VIP at that host.
fn await_heard(lab: &Lab, owner: HostId) {
    let mac = Some(lab[owner].mac().to_string());
    eventually("the client sends to the owner", || {
        lab.client.reaches(VIP.ip()) && lab.client.neighbour(VIP.ip()) == mac
    });
}

#[test]
fn an_owner_that_dies_with_the_member_it_uses_is_replaced_when_its_lease_ends() {
    let mut lab = cluster(&[]);
    // The other agents use the same member, and find out that it is gone without any farewell.
    for leader_too in [false, true] {
        let owner = lab.await_owner(VIP);
        let member = lab.member_in_use(owner);
        lab.etcd.lead(if leader_too { member } else { (member + 1) % 3 });
        lab.isolate_member(member);
        lab[owner].power_off();
        let took = within(ELECTION_AND_LEASE + LOAD, "another host has it", || {
            !lab.bound_on(VIP).is_empty()
        });
        lab.await_reachable(VIP);
        println!("bound again after {took:?}, the leader died: {leader_too}");
        lab.heal_wire();
        lab.etcd.await_ready();
        lab[owner].power_on();
        lab[owner].restart();
        await_one_owner(&lab);
    }
}

/// What can be done to all members at once.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    Killed,
    Frozen,
    BlackHole,
}

impl Outage {
    fn begin(self, lab: &mut Lab) {
        match self {
            Outage::Stopped => lab.etcd.stop(),
            Outage::Killed => (0..3).for_each(|member| lab.etcd.kill(member)),
            Outage::Frozen => lab.etcd.freeze(),
            Outage::BlackHole => (0..3).for_each(|member| lab.isolate_member(member)),
        }
    }

    fn end(self, lab: &mut Lab) {
        match self {
            Outage::Stopped | Outage::Killed => lab.etcd.start_members(),
            Outage::Frozen => lab.etcd.thaw(),
            Outage::BlackHole => lab.heal_wire(),
        }
        lab.etcd.await_ready();
    }
}

#[test]
fn whatever_takes_all_members_away_all_hosts_take_the_ip_and_one_keeps_it() {
    let mut lab = cluster(&[]);
    for outage in [Outage::Stopped, Outage::Killed, Outage::Frozen, Outage::BlackHole] {
        outage.begin(&mut lab);
        let took = eventually("all hosts take it", || lab.bound_on(VIP) == [H1, H2, H3]);
        println!("{outage:?}: all take it after {took:?}");
        assert!(lab.client.reaches(VIP.ip()));
        outage.end(&mut lab);
        await_one_owner(&lab);
    }
}

#[test]
fn by_policy_the_owner_alone_has_the_ip_whatever_takes_all_members_away() {
    for policy in ["probe", "hold"] {
        let mut lab = cluster(&[("ETCD_LOSS_POLICY", policy)]);
        let owner = lab.await_owner(VIP);
        for (number, outage) in [Outage::Killed, Outage::BlackHole].into_iter().enumerate() {
            outage.begin(&mut lab);
            for host in [H1, H2, H3] {
                let losses = || lab[host].agent().log().matches("etcd is lost").count();
                eventually("it has lost etcd", || losses() == number + 1);
            }
            holds_for(Duration::from_secs(3), "no move", || lab.bound_on(VIP) == [owner]);
            outage.end(&mut lab);
            assert_eq!(await_one_owner(&lab), owner);
        }
    }
}

#[test]
fn a_probing_standby_takes_the_ip_when_the_owner_falls_silent_too() {
    let mut lab = cluster(&[("ETCD_LOSS_POLICY", "probe")]);
    let owner = lab.await_owner(VIP);
    Outage::BlackHole.begin(&mut lab);
    for host in [H1, H2, H3] {
        eventually("it has lost etcd", || lab[host].agent().log().contains("etcd is lost"));
    }
    lab[owner].power_off();
    // Without etcd nobody decides between them but the network: the lower hardware address.
    let took = within(Duration::from_secs(3) + LOAD, "another host has it", || {
        lab.bound_on(VIP).len() == 1 && lab.client.reaches(VIP.ip())
    });
    println!("taken after {took:?}");
    let heir = lab.bound_on(VIP);
    holds_for(Duration::from_secs(3), "one owner", || lab.bound_on(VIP) == heir);
    Outage::BlackHole.end(&mut lab);
    // The dead owner's lease may have begun again with etcd.
    eventually("one owner, with its lock", || lab.owner(VIP).is_some_and(|heir| heir != owner));
    await_one_owner(&lab);
}

#[test]
fn a_member_without_the_others_is_left_for_one_that_has_them() {
    let lab = cluster(&[]);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    // All agents use it, and it goes on answering them.
    let member = lab.member_in_use(owner);
    lab.cut_from_members(member);
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    for host in [H1, H2, H3] {
        assert_ne!(lab.member_in_use(host), member);
        assert_eq!(lab[host].api().get("/health").status, 200);
    }
    // Nobody is blind for what happens at the others.
    lab[owner].api().failover(VIP).expect(204);
    let heir = lab.await_owner_other_than(owner, VIP);
    lab.heal_wire();
    lab.etcd.await_ready();
    assert_ne!(lab.lock(VIP), lock);
    holds_for(Duration::from_secs(1), "no move back", || lab.bound_on(VIP) == [heir]);
}

#[test]
fn leaders_may_come_and_go_without_a_move() {
    let mut lab = cluster(&[]);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut addresses: Vec<_> = lab.ids().iter().map(|id| lab[*id].monitor_addresses()).collect();
    for round in 0..9 {
        lab.etcd.lead(round % 3);
    }
    for _ in 0..3 {
        let leader = lab.etcd.leader().expect("there is a leader");
        lab.etcd.kill(leader);
        lab.etcd.start_all();
    }
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    for monitor in &mut addresses {
        assert_eq!(monitor.changes(), []);
    }
    assert_eq!(lab.lock(VIP), lock);
}

#[test]
fn a_leader_that_is_frozen_and_wakes_up_costs_the_ip_nothing() {
    let lab = cluster(&[]);
    let pinger = lab.client.ping(VIP.ip());
    let leader = lab.etcd.leader().expect("there is a leader");
    lab.etcd.freeze_member(leader);
    let owner = lab.await_owner(VIP);
    holds_for(Duration::from_secs(8), "no move", || lab.bound_on(VIP) == [owner]);
    lab.etcd.thaw();
    lab.etcd.await_ready();
    // It may end leases that its successor has renewed (etcd #15247): then the IP may move.
    holds_for(LEASE_AND_MORE, "it is bound", || !lab.bound_on(VIP).is_empty());
    await_one_owner(&lab);
    let pings = pinger.stop();
    assert!(pings.longest_gap < Duration::from_secs(1), "{pings:?}");
}

#[test]
fn a_watch_that_was_compacted_away_is_made_up_for() {
    let lab = cluster(&[]);
    let owner = lab.await_owner(VIP);
    let sleeper = lab.other_than(owner);
    lab[sleeper].agent().freeze();
    // More than the connection holds, and than the 128 answers that etcd keeps for a watcher that
    // does not read (etcd: mvcc/watchable_store.go): what it missed is compacted.
    lab.etcd.put_again_and_again("/link/default/noise", &"x".repeat(10_000), 500);
    lab[owner].api().failover(VIP).expect(204);
    let heir = lab.await_owner_other_than(owner, VIP);
    assert!(lab.etcd.compact());
    lab[sleeper].agent().thaw();
    eventually("it knows the new owner", || {
        let shown = lab[sleeper].api().find(VIP);
        shown.is_some_and(|ip| ip.owner == Some(heir.to_string()))
    });
    // Its lease may have ended, so that it has asked for the lock before the watch has said so.
    eventually("the watch has said so", || lab[sleeper].agent().log().contains("compacted"));
    assert_eq!(lab.await_owner(VIP), heir);
}

#[test]
fn a_restore_from_an_older_snapshot_leaves_every_ip_with_one_owner() {
    let mut lab = cluster(&[]);
    let snapshot = lab.folder().join("snapshot");
    lab.etcd.save(&snapshot);
    let former = lab.await_owner(VIP);
    // All of this has never happened for the snapshot. It is more than the agents write when they are back.
    lab.etcd.put_again_and_again("/other/noise", "x", 500);
    lab[former].api().failover(VIP).expect(204);
    lab.await_owner_other_than(former, VIP);
    lab.offer(VIP2);
    let second = lab.await_owner(VIP2);
    let revision = lab.lock(VIP2).map(|lock| lock.created);
    lab.etcd.restore(&snapshot);
    for vip in [VIP, VIP2] {
        lab.await_owner(vip);
        lab.await_reachable(vip);
    }
    assert!(lab.lock(VIP2).map(|lock| lock.created) < revision, "revisions went back");
    println!("{second} had {VIP2} before");
    let owners = [VIP, VIP2].map(|vip| vec![lab.await_owner(vip)]);
    holds_for(LEASE_AND_MORE, "no move", || [VIP, VIP2].map(|vip| lab.bound_on(vip)) == owners);
    // Everybody hears of what happens now, though its revisions are lower than those heard before.
    let owner = lab.await_owner(VIP);
    lab[owner].api().failover(VIP).expect(204);
    let heir = lab.await_owner_other_than(owner, VIP).to_string();
    for host in [H1, H2, H3] {
        eventually("everybody knows the owner", || {
            lab[host].api().find(VIP).is_some_and(|ip| ip.owner.as_ref() == Some(&heir))
        });
    }
}

#[test]
fn etcd_without_space_moves_nothing_and_what_it_refuses_is_said() {
    let builder = Lab::builder(2).management_network();
    let mut lab = builder.etcd_flags(&["--quota-backend-bytes=4194304"]).build();
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    let standby = lab.other_than(owner);
    let lock = lab.lock(VIP);
    fill(&lab);
    // Renewals go on, changes are refused.
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    let refused = lab[owner].api().post_vip(VIP2).expect(503).error();
    assert!(refused.contains("space"), "{refused}");
    lab.etcd.ctl(&["del", "--prefix", "/ballast/"]);
    assert!(lab.etcd.compact());
    lab.etcd.ctl(&["defrag"]);
    lab.etcd.ctl(&["alarm", "disarm"]);
    lab[owner].api().add(VIP2);
    lab[owner].terminate();
    assert_eq!(lab.await_owner(VIP), standby);
}

/// Fills etcd until it refuses to store anything.
fn fill(lab: &Lab) {
    lab.etcd.ctl(&["defrag"]);
    let ballast = "x".repeat(100_000);
    let mut number = 0;
    eventually("the alarm is raised", || {
        number += 1;
        lab.etcd.try_ctl(&["put", &format!("/ballast/{number}"), &ballast]).is_err()
    });
}
