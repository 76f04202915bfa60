//! Passwords that take etcd long to check, as bcrypt is meant to.

use std::time::Duration;

use crate::harness::*;

/// A check of a password takes a core of etcd's a third of a second.
const SLOW: &[&str] = &["--bcrypt-cost=12"];

/// Longer than agents are patient with an etcd that is silent.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often the leader is killed: twice, or as often as `LEADERS` says.
fn leaders() -> usize {
    std::env::var("LEADERS").ok().and_then(|count| count.parse().ok()).unwrap_or(2)
}

/// So many hosts that share the VIP, and an etcd of so many members that asks them for slow passwords.
fn sharing(hosts: u8, members: u8, flags: &'static [&'static str]) -> Lab {
    let mut lab = Lab::builder(hosts).etcd_members(members).password().etcd_flags(flags).build();
    lab.start_all();
    lab.offer(VIP);
    lab
}

/// Nobody has said that etcd is lost.
fn expect_never_lost(lab: &Lab) {
    for host in lab.ids() {
        let log = lab[host].agent().log();
        assert!(!log.contains("etcd is lost"), "{host}:\n{log}");
    }
}

#[test]
fn leaders_that_die_move_nothing_where_passwords_take_long_to_check() {
    let mut lab = sharing(12, 3, SLOW);
    let (owner, lock) = (lab.await_owner(VIP), lab.lock(VIP));
    for _ in 0..leaders() {
        let leader = lab.etcd.leader().expect("a member leads");
        lab.etcd.kill(leader);
        holds_for(Duration::from_secs(2), "no move", || lab.bound_on(VIP) == [owner]);
        lab.etcd.start_all();
        holds_for(Duration::from_secs(2), "no move", || lab.bound_on(VIP) == [owner]);
    }
    assert_eq!(lab.lock(VIP), lock);
    expect_never_lost(&lab);
}

/// No token survives a restart of all members.
fn restart_moves_nothing(hosts: u8, flags: &'static [&'static str]) {
    let mut lab = sharing(hosts, 1, flags);
    let (owner, lock) = (lab.await_owner(VIP), lab.lock(VIP));
    lab.etcd.restart();
    holds_for(PATIENCE, "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    expect_never_lost(&lab);
}

#[test]
fn many_agents_that_need_a_token_at_the_same_moment_lose_nothing() {
    restart_moves_nothing(12, &[]);
}

#[test]
fn many_agents_that_need_a_token_at_the_same_moment_may_wait_for_it_for_long() {
    restart_moves_nothing(12, SLOW);
}

#[test]
fn passwords_that_take_longer_to_check_than_a_renewal_may_take_let_everybody_in() {
    let mut lab = sharing(2, 3, &["--bcrypt-cost=13"]);
    let owner = lab.await_owner(VIP);
    lab[owner].terminate();
    lab.await_owner_other_than(owner, VIP);
}

#[test]
fn a_token_of_a_later_time_than_that_of_a_restored_etcd_is_not_kept() {
    let mut lab = sharing(3, 3, &[]);
    lab.await_owner(VIP);
    let saved = lab.folder().join("saved");
    lab.etcd.save(&saved);
    lab.etcd.stop();
    eventually("all have lost etcd", || lab.bound_on(VIP).len() == 3);
    lab.etcd.bring_back(&saved);
    lab.etcd.start_all();
    eventually("one owner", || lab.bound_on(VIP).len() == 1);
}
