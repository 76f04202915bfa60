//! An etcd that answers, renews leases, and does not serve.

use std::time::Duration;

use crate::harness::*;

/// A lease of 3 s, so that what depends on it need not be waited for; 2.5 s of refusals are a loss.
const QUICK: [(&str, &str); 1] = [("KEEPALIVE_INTERVAL", "500ms")];

/// The lease of a dead owner has to end, then etcd has to refuse for long enough, on a busy machine.
const LEASE_AND_LOSS: Duration = Duration::from_secs(15);

/// Two hosts that share the VIP; the first owns it.
fn sharing(lab: &mut Lab) {
    lab.start_all_with(&QUICK);
    lab.offer_in_order(VIP);
    lab.await_reachable(VIP);
}

/// The owner's host dies while etcd refuses to write: the other has the VIP by its policy, and says why.
fn await_loss(lab: &mut Lab, why: &str) {
    lab[H1].power_off();
    within(LEASE_AND_LOSS, "the other takes it", || lab.bound_on(VIP) == [H2]);
    lab.await_reachable(VIP);
    lab[H2].api().await_unwell(&["etcd", why]);
    lab[H2].await_warning(&["etcd", why]);
}

/// etcd serves again: one owner, with the lock, and all is well.
fn await_end_of_loss(lab: &mut Lab) {
    lab[H1].power_on();
    lab[H1].restart();
    for host in [H1, H2] {
        lab[host].api().await_well();
    }
    let owner = lab.await_owner(VIP);
    // On a busy machine, the other may not be heard in time.
    eventually("it is handed over", || lab[owner].api().failover(VIP).status == 204);
    lab.await_owner_other_than(owner, VIP);
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

fn make_space(lab: &Lab) {
    lab.etcd.ctl(&["del", "--prefix", "/ballast/"]);
    assert!(lab.etcd.compact());
    lab.etcd.ctl(&["defrag"]);
    lab.etcd.ctl(&["alarm", "disarm"]);
}

#[test]
fn an_etcd_without_space_is_lost_until_it_has_some() {
    let builder = Lab::builder(2).management_network();
    let mut lab = builder.etcd_flags(&["--quota-backend-bytes=4194304"]).build();
    sharing(&mut lab);
    fill(&lab);
    await_loss(&mut lab, "space");
    make_space(&lab);
    await_end_of_loss(&mut lab);
}

#[test]
fn an_owner_that_is_stopped_while_etcd_has_no_space_does_not_leave_the_ip_to_nobody() {
    let builder = Lab::builder(2).management_network();
    let mut lab = builder.etcd_flags(&["--quota-backend-bytes=4194304"]).build();
    sharing(&mut lab);
    fill(&lab);
    let before = lab[H1].warnings(&[]).len();
    lab[H1].terminate();
    within(LEASE_AND_LOSS, "the other takes it", || lab.bound_on(VIP) == [H2]);
    let warnings = lab[H1].warnings(&[]).len() - before;
    assert!(warnings < 10, "{warnings} warnings while it stops");
    make_space(&lab);
    lab[H1].restart();
    lab[H2].api().await_well();
    lab.await_owner(VIP);
}

#[test]
fn an_etcd_that_lets_nobody_write_is_lost_until_it_does() {
    let mut lab = Lab::builder(2).password().management_network().build();
    sharing(&mut lab);
    lab.etcd.forbid("/link/");
    lab.etcd.permit("read", "/link/");
    await_loss(&mut lab, "permission denied");
    lab.etcd.forbid("/link/");
    lab.etcd.permit("readwrite", "/link/");
    await_end_of_loss(&mut lab);
}

#[test]
fn an_etcd_that_takes_all_but_what_elections_write_is_lost_until_it_takes_that() {
    let mut lab = Lab::builder(2).password().management_network().build();
    sharing(&mut lab);
    lab.etcd.forbid("/link/");
    lab.etcd.permit("read", "/link/");
    for prefix in ["/link/config/", "/link/hosts/", "/link/agents/"] {
        lab.etcd.permit("readwrite", prefix);
    }
    await_loss(&mut lab, "permission denied");
    let before = lab[H2].agent().log().matches("etcd serves again").count();
    holds_for(Duration::from_secs(5), "etcd is lost", || {
        lab[H2].agent().log().matches("etcd serves again").count() == before
    });
    lab.etcd.forbid("/link/");
    lab.etcd.permit("readwrite", "/link/");
    await_end_of_loss(&mut lab);
}

#[test]
fn an_etcd_that_begins_to_ask_for_passwords_is_lost_until_it_does_not() {
    let mut lab = Lab::builder(2).management_network().build();
    sharing(&mut lab);
    lab.etcd.demand_passwords();
    await_loss(&mut lab, "user name is empty");
    lab.etcd.demand_no_passwords();
    await_end_of_loss(&mut lab);
}

#[test]
fn a_policy_of_holding_holds_when_etcd_does_not_serve() {
    let builder = Lab::builder(2).management_network();
    let mut lab = builder.etcd_flags(&["--quota-backend-bytes=4194304"]).build();
    lab[H1].start_with(&QUICK);
    lab[H2].start_with(&[&QUICK[..], &[("ETCD_LOSS_POLICY", "hold")]].concat());
    lab.offer_in_order(VIP);
    fill(&lab);
    lab[H1].power_off();
    lab[H2].api().await_unwell(&["etcd", "space"]);
    holds_for(Duration::from_secs(3), "it takes nothing", || lab.bound_on(VIP).is_empty());
    make_space(&lab);
    eventually("it serves it with etcd", || lab.owner(VIP) == Some(H2));
    lab[H2].api().await_well();
}

#[test]
fn an_endpoint_of_another_cluster_is_refused() {
    let mut lab = Lab::new(2);
    let other = lab.another_etcd();
    let both = format!("{},{}", lab.etcd.endpoints(), other.endpoints());
    lab.start_all_with(&[QUICK[0], ("ETCD_HOSTS", &both)]);
    lab.offer(VIP);
    lab.await_owner(VIP);
    lab.etcd.stop();
    for host in [H1, H2] {
        eventually("etcd is lost", || lab[host].agent().log().contains("etcd is lost"));
        lab[host].await_warning(&[&other.endpoints(), "cluster"]);
    }
    assert_eq!(other.list("/link/"), []);
    lab.etcd.start_all();
    lab.await_owner(VIP);
    [H1, H2].iter().for_each(|host| lab[*host].api().await_well());
}
