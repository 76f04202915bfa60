//! A host that is drained.

use std::process::{Command, Output};

use crate::harness::*;

/// A test of three hosts in which the first owns two IPs, of which nobody else offers the second.
fn owner_of_two() -> Lab {
    let mut lab = Lab::new(3);
    lab.start_all();
    lab.offer_in_order(VIP);
    lab[H1].api().add(VIP2);
    lab[H1].await_status(VIP2, "ACTIVATED");
    lab
}

fn linkctl_on(host: &Host, args: &[&str]) -> Output {
    host.namespace().output(Command::new(linkctl()).args(args))
}

#[test]
fn a_drained_host_hands_over_without_a_gap_and_keeps_what_nobody_else_can_have() {
    let mut lab = owner_of_two();
    let ping = lab.client.ping(VIP.ip());
    let run = linkctl_on(&lab[H1], &["drain", "--wait"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(String::from_utf8_lossy(&run.stderr).contains(&format!("{VIP2} stay")), "{run:?}");
    let owner = lab.await_owner(VIP);
    assert_ne!(owner, H1);
    assert_eq!(lab.bound_on(VIP), [owner]);
    assert_eq!(lab.bound_on(VIP2), [H1]);
    assert_eq!(ping.stop().lost, 0);

    // It outlives the agent, and the other IP moves as soon as another host offers it.
    lab[H1].reload();
    lab[H1].kill();
    lab[H1].restart();
    assert_eq!(lab.bound_on(VIP2), [H1]);
    lab[H2].api().add(VIP2);
    eventually("the other host has it", || lab.bound_on(VIP2) == [H2]);
    assert!(linkctl_on(&lab[H1], &["drain", "--wait"]).status.success());

    // Of the hosts that are left, the drained one is the last.
    lab[owner].terminate();
    let next = lab.await_owner_other_than(owner, VIP);
    assert_ne!(next, H1);
    lab[next].terminate();
    assert_eq!(lab.await_owner_other_than(next, VIP), H1);

    assert!(linkctl_on(&lab[H1], &["undrain"]).status.success());
    lab[H1].await_status(VIP, "ACTIVATED");
}

#[test]
fn a_drained_host_has_the_ip_when_the_others_have_died() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    assert!(linkctl_on(&lab[H2], &["drain", "--wait"]).status.success());
    lab[H2].await_status(VIP, "FAILING");
    lab[H1].power_off();
    eventually("the drained host has it", || lab.bound_on(VIP) == [H2]);
    lab.await_reachable(VIP);

    // The same without etcd.
    lab.power_on(H1);
    lab[H1].restart();
    eventually("the other host has it again", || lab.bound_on(VIP) == [H1]);
    lab.etcd.stop();
    lab[H1].power_off();
    eventually("the drained host has it", || lab.bound_on(VIP) == [H2]);
}
