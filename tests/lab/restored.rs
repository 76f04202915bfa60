//! An etcd that comes back with less than it had, or another one: no IP is lost.

use std::time::Duration;

use link::store::LocalCopy;

use crate::harness::*;

/// A lease of 3 s, so that what depends on it need not be waited for.
const QUICK: [(&str, &str); 1] = [("KEEPALIVE_INTERVAL", "500ms")];

/// Longer than that lease.
const LEASE_AND_MORE: Duration = Duration::from_secs(5);

/// How many revisions are between what is saved and what is lost.
const NOISE: usize = 100;

/// Two hosts that share one VIP, and etcd as it was then in a file; then a second VIP.
fn saved() -> (Lab, std::path::PathBuf) {
    let mut lab = Lab::new(2);
    // What is written after etcd began anew does not come near to that.
    lab.etcd.put_again_and_again("/other/noise", "x", NOISE);
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    let snapshot = lab.folder().join("snapshot");
    lab.etcd.save(&snapshot);
    // What the agents write after a restore does not make up for that.
    lab.etcd.put_again_and_again("/other/noise", "x", NOISE);
    lab.offer(VIP2);
    await_all(&lab);
    (lab, snapshot)
}

/// Waits until both IPs are registered on both hosts, and each has an owner.
fn await_all(lab: &Lab) {
    for host in [H1, H2] {
        eventually("all records are there", || {
            [VIP, VIP2].iter().all(|vip| lab.find_record(host, *vip).is_some())
        });
        eventually("all IPs are known", || {
            [VIP, VIP2].iter().all(|vip| lab[host].api().find(*vip).is_some())
        });
    }
    for vip in [VIP, VIP2] {
        lab.await_owner(vip);
        lab.await_reachable(vip);
    }
}

/// Waits until the local copies know both IPs.
fn await_copies(lab: &Lab) {
    for host in [H1, H2] {
        eventually("the copy is written", || {
            let copy = std::fs::read_to_string(lab[host].state_file()).unwrap_or_default();
            [VIP, VIP2].iter().all(|vip| copy.contains(&vip.to_string()))
        });
    }
}

fn kill_all(lab: &mut Lab) {
    [H1, H2].iter().for_each(|host| lab[*host].kill());
}

fn restart_all(lab: &mut Lab) {
    [H1, H2].iter().for_each(|host| lab[*host].restart());
}

/// All agents are restarted, more than once: what has survived that is in etcd.
fn await_all_after_restarts(lab: &mut Lab) {
    await_all(lab);
    for _ in 0..2 {
        kill_all(lab);
        restart_all(lab);
        await_all(lab);
    }
    await_copies(lab);
    holds_for(LEASE_AND_MORE, "they stay", || {
        [VIP, VIP2].iter().all(|vip| lab.bound_on(*vip).len() == 1)
    });
}

#[test]
fn an_etcd_that_comes_back_empty_under_running_agents_gets_everything_again() {
    let (mut lab, _) = saved();
    lab.etcd.wipe();
    await_all_after_restarts(&mut lab);
    [H1, H2].iter().for_each(|host| lab[*host].await_warning(&[&VIP.to_string()]));
}

#[test]
fn an_etcd_that_comes_back_older_under_running_agents_gets_what_it_lacks() {
    let (mut lab, snapshot) = saved();
    lab.etcd.restore(&snapshot);
    await_all_after_restarts(&mut lab);
    [H1, H2].iter().for_each(|host| lab[*host].await_warning(&[&VIP2.to_string()]));
}

#[test]
fn an_etcd_that_comes_back_empty_and_agents_that_restart_lose_nothing() {
    let (mut lab, _) = saved();
    await_copies(&lab);
    kill_all(&mut lab);
    lab.etcd.wipe();
    restart_all(&mut lab);
    await_all_after_restarts(&mut lab);
    [H1, H2].iter().for_each(|host| lab[*host].await_warning(&[&VIP.to_string()]));
}

#[test]
fn an_etcd_that_comes_back_older_and_agents_that_restart_lose_nothing() {
    let (mut lab, snapshot) = saved();
    await_copies(&lab);
    kill_all(&mut lab);
    lab.etcd.restore(&snapshot);
    restart_all(&mut lab);
    await_all_after_restarts(&mut lab);
    [H1, H2].iter().for_each(|host| lab[*host].await_warning(&[&VIP2.to_string()]));
}

#[test]
fn an_etcd_that_comes_back_older_and_has_gone_on_since_loses_nothing() {
    let (mut lab, snapshot) = saved();
    await_copies(&lab);
    kill_all(&mut lab);
    lab.etcd.restore(&snapshot);
    // Its revision is newer than that of the copies, and tells nothing.
    lab.etcd.put_again_and_again("/other/noise", "x", 3 * NOISE);
    restart_all(&mut lab);
    await_all_after_restarts(&mut lab);
    [H1, H2].iter().for_each(|host| lab[*host].await_warning(&[&VIP2.to_string()]));
}

/// Of two histories of one cluster, revisions tell nothing.
#[test]
fn an_etcd_that_began_anew_and_comes_back_as_it_was_before_loses_nothing() {
    let (mut lab, snapshot) = saved();
    lab.etcd.wipe();
    await_all(&lab);
    for host in [H1, H2] {
        eventually("the copy is of the new history", || {
            let copy = std::fs::read(lab[host].state_file()).expect("there is one");
            let copy = LocalCopy::read(&copy).expect("it is a copy");
            usize::try_from(copy.written).is_ok_and(|written| (1..NOISE).contains(&written))
        });
    }
    kill_all(&mut lab);
    lab.etcd.restore(&snapshot);
    restart_all(&mut lab);
    await_all_after_restarts(&mut lab);
    [H1, H2].iter().for_each(|host| lab[*host].await_warning(&[&VIP2.to_string()]));
}

#[test]
fn another_cluster_and_agents_that_restart_lose_nothing() {
    let (mut lab, _) = saved();
    await_copies(&lab);
    kill_all(&mut lab);
    lab.etcd.replace();
    restart_all(&mut lab);
    await_all_after_restarts(&mut lab);
}

#[test]
fn agents_that_boot_without_etcd_and_find_it_empty_lose_nothing() {
    let (mut lab, _) = saved();
    await_copies(&lab);
    kill_all(&mut lab);
    lab.etcd.stop();
    for host in [H1, H2] {
        lab[host].restart_without_etcd();
    }
    // Neither has heard etcd: each asks the network before it takes an IP.
    eventually("they take what they know", || !lab.bound_on(VIP).is_empty());
    lab.etcd.wipe();
    await_all_after_restarts(&mut lab);
}

#[test]
fn a_copy_is_never_overwritten_with_fewer_ips_in_silence() {
    let (mut lab, _) = saved();
    await_copies(&lab);
    lab[H1].kill();
    let record = lab.record(H1, VIP2);
    lab.etcd.delete(&record.key);
    lab[H1].restart();
    lab[H1].await_warning(&[&VIP2.to_string()]);
    eventually("it is given up here", || lab[H1].api().find(VIP2).is_none());
    assert_eq!(lab.await_owner(VIP2), H2);
}

#[test]
fn the_lock_of_a_former_lease_of_its_owner_is_no_reason_to_be_silent() {
    // A lease of 10 s: who waits for its end is silent for longer than others are.
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all_with(&[("KEEPALIVE_INTERVAL", "2s")]);
    lab.offer_in_order(VIP);
    let snapshot = lab.folder().join("snapshot");
    lab.etcd.save(&snapshot);
    // Its next life has another lease.
    lab[H1].kill();
    eventually("the other has it", || lab.lock(VIP).is_some_and(|lock| lock.holder == "h2"));
    lab[H1].restart();
    lab[H1].await_status(VIP, "STANDBY");
    lab.etcd.stop();
    eventually("both take it", || lab.bound_on(VIP) == [H1, H2]);
    lab.await_reachable(VIP);
    let pinger = lab.client.ping(VIP.ip());
    lab.etcd.restore(&snapshot);
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let pings = pinger.stop();
    assert!(pings.longest_gap < LEASE_AND_MORE, "{pings:?}");
}
