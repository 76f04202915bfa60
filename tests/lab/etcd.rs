//! What happens to the IPs when something happens to etcd.

use std::time::{Duration, Instant};

use crate::harness::*;

/// Waits until both hosts bind the VIP: each thinks that it has to.
fn await_two_owners(lab: &Lab) {
    let started = Instant::now();
    eventually("both hosts bind it", || lab.bound_on(VIP) == [H1, H2]);
    println!("both bind it after {:?}", started.elapsed());
}

/// Waits until that host owns the VIP and nobody else binds it, and looks whether that lasts.
fn await_peace(lab: &Lab, owner: HostId) {
    let healed = Instant::now();
    assert_eq!(lab.await_owner(VIP), owner);
    println!("one owner after {:?}", healed.elapsed());
    holds_for(Duration::from_secs(2), "one owner", || lab.bound_on(VIP) == [owner]);
    lab.await_reachable(VIP);
}

/// Waits until a change is refused with a reason that contains this text.
fn await_refusal(lab: &Lab, reason: &str) {
    let mut error = String::new();
    let refused = until(Duration::from_secs(20), || {
        error = lab[H1].api().post_vip(VIP).expect(503).error();
        error.contains(reason)
    });
    assert!(refused, "the reason is {error:?} instead of {reason:?}");
}

#[test]
fn a_restart_of_etcd_moves_nothing() {
    let mut lab = Lab::sharing(3, VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut addresses = lab[owner].monitor_addresses();
    lab.etcd.restart();
    holds_for(Duration::from_secs(8), "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(addresses.changes(), []);
    assert_eq!(lab.lock(VIP), lock);
    lab[owner].api().failover(VIP).expect(204);
    lab.await_owner_other_than(owner, VIP);
}

#[test]
fn without_etcd_every_host_takes_the_ip_and_one_keeps_it_when_etcd_is_back() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    lab.etcd.stop();
    await_two_owners(&lab);
    assert!(lab.client.reaches(VIP.ip()));
    lab.etcd.start_all();
    let after = lab.await_owner(VIP);
    await_peace(&lab, after);
    println!("{owner} owned it before, {after} does after");
}

#[test]
fn a_standby_in_a_black_hole_takes_the_ip_and_is_demoted_when_healed() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let standby = lab.other_than(owner);
    let lock = lab.lock(VIP);
    lab.cut_from_etcd(standby, Way::Both);
    await_two_owners(&lab);
    lab[standby].heal();
    await_peace(&lab, owner);
    assert_eq!(lab.lock(VIP), lock, "the owner never lost it");
}

#[test]
fn the_owner_is_reached_again_as_soon_as_a_host_that_took_its_ip_lets_go() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let standby = lab.other_than(owner);
    lab.cut_from_etcd(standby, Way::Both);
    await_two_owners(&lab);
    // Both announce it, and the client sends to the one it heard last.
    lab.client.learn(VIP.ip(), lab[standby].mac());
    lab[standby].heal();
    eventually("it lets go", || lab.bound_on(VIP) == [owner]);
    within(Duration::from_secs(4), "the owner is reached", || lab.client.reaches(VIP.ip()));
}

#[test]
fn an_owner_in_a_black_hole_is_replaced_and_yields_when_healed() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    lab.cut_from_etcd(owner, Way::Both);
    await_two_owners(&lab);
    lab[owner].heal();
    await_peace(&lab, lab.other_than(owner));
}

#[test]
fn an_owner_that_etcd_hears_but_that_hears_nothing_is_replaced_too() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    lab.cut_from_etcd(owner, Way::In);
    await_two_owners(&lab);
    lab[owner].heal();
    let after = lab.await_owner(VIP);
    await_peace(&lab, after);
}

#[test]
fn a_frozen_etcd_is_noticed_like_a_stopped_one() {
    let lab = Lab::sharing(2, VIP);
    lab.await_owner(VIP);
    lab.etcd.freeze();
    await_two_owners(&lab);
    lab.etcd.thaw();
    let after = lab.await_owner(VIP);
    await_peace(&lab, after);
}

#[test]
fn an_outage_shorter_than_the_patience_of_the_agents_is_not_noticed() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let standby = lab.other_than(owner);
    lab.cut_from_etcd(standby, Way::Both);
    holds_for(Duration::from_secs(2), "no fault yet", || lab.bound_on(VIP) == [owner]);
    lab[standby].heal();
    holds_for(Duration::from_secs(6), "no fault", || lab.bound_on(VIP) == [owner]);
}

#[test]
fn an_ip_of_which_etcd_does_not_tell_whether_it_was_stored_is_registered_as_the_answer_says() {
    let lab = Lab::sharing(1, VIP2);
    let records = || lab.etcd.list("/link/hosts/").len();
    // What the agent asks for is done, but it does not hear of it.
    lab.cut_from_etcd(H1, Way::In);
    let answer = lab[H1].api().post_vip(VIP).expect(503).json();
    assert_eq!(answer["outcome"], "unknown", "{answer}");
    assert_eq!(records(), 2);
    lab[H1].heal();
    eventually("it is served", || lab[H1].api().find(VIP).is_some_and(|ip| ip.bound));
    assert_eq!(records(), 2);
}

#[test]
fn with_a_single_retry_a_healthy_etcd_is_not_lost() {
    let mut lab = Lab::builder(2).build();
    for host in [H1, H2] {
        lab[host].start_with(&[("KEEPALIVE_RETRY", "1")]);
    }
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    holds_for(Duration::from_secs(4), "one owner", || lab.bound_on(VIP) == [owner]);
    let log = lab[owner].agent().log();
    assert!(!log.contains("etcd is lost"), "{log}");
}

#[test]
fn etcd_with_tls_and_client_certificates() {
    let mut lab = Lab::builder(2).tls().build();
    lab.start_all();
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    lab[owner].terminate();
    lab.await_owner_other_than(owner, VIP);
}

#[test]
fn etcd_of_a_wrong_authority_is_refused_and_the_agent_says_why() {
    let mut lab = Lab::builder(1).tls().build();
    let wrong = Authority::new(lab.folder().join("another")).certificate();
    lab[H1].start_without_etcd(&[("ETCD_CACERT", &wrong.display().to_string())]);
    await_refusal(&lab, "certificate");
    holds_for(Duration::from_secs(3), "it goes on", || lab[H1].api().get("/version").status == 200);
    assert_eq!(lab[H1].api().get("/health").status, 503);
}

#[test]
fn etcd_with_passwords_and_a_user_who_may_do_no_more_than_needed() {
    let mut lab = Lab::builder(2).password().build();
    lab.start_all();
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    // Tokens do not survive a restart of etcd.
    lab.etcd.restart();
    holds_for(Duration::from_secs(7), "no move", || lab.bound_on(VIP) == [owner]);
    lab[owner].terminate();
    lab.await_owner_other_than(owner, VIP);
}

#[test]
fn what_etcd_refuses_is_said_once() {
    let mut lab = Lab::builder(1).password().build();
    lab.etcd.forbid("/link/");
    lab[H1].start_without_etcd(&[]);
    await_refusal(&lab, "permission denied");
    let warnings = |about: &str| {
        let log = lab[H1].agent().log();
        log.lines().filter(|line| line.contains(" WARN ") && line.contains(about)).count()
    };
    let once = |about: &str| {
        eventually(about, || warnings(about) > 0);
        holds_for(Duration::from_secs(4), about, || warnings(about) == 1);
    };
    once("watch /link/default/: ");
    once("etcd was not read yet: ");
    lab.etcd.permit("readwrite", "/link/hosts/");
    lab.etcd.permit("read", "/link/config/");
    lab.etcd.permit("read", "/link/default/");
    // etcd 3.4 lets a write through that comes in one transaction with something else: then once more.
    eventually("the lease cannot be written down", || {
        let told = warnings("write down the lease: ") > 0;
        if !told {
            lab.etcd.delete("/link/config/h1");
        }
        told
    });
    once("write down the lease: ");
    lab.etcd.permit("readwrite", "/link/config/");
    eventually("the lease is stored", || lab[H1].api().get("/health").status == 200);
    lab.etcd.permit("read", "/link/ips/");
    lab.offer(VIP);
    once("10.0.1.1/32: etcd refuses its election: ");
}

#[test]
fn a_wrong_password_for_etcd_is_reported_and_the_agent_goes_on() {
    let mut lab = Lab::builder(1).password().build();
    lab[H1].start_without_etcd(&[("ETCD_PASSWORD", "not-this-one")]);
    await_refusal(&lab, "authentication failed");
    assert_eq!(lab[H1].api().get("/health").status, 503);
    let log = lab[H1].agent().log();
    assert!(!log.contains("not-this-one"), "a secret in the log");
    assert!(log.lines().count() < 100, "the log is flooded:\n{log}");
}

#[test]
fn the_etcd_member_in_use_may_die() {
    let mut lab = Lab::builder(2).etcd_members(3).build();
    lab.start_all();
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let addresses = lab.etcd.addresses();
    let in_use = addresses.iter().position(|address| lab[owner].is_connected_to(*address, 2379));
    lab.etcd.kill(in_use.expect("the owner is connected to a member"));
    holds_for(Duration::from_secs(8), "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    lab[owner].api().failover(VIP).expect(204);
    lab.await_owner_other_than(owner, VIP);
}

#[test]
fn the_lan_may_fail_without_etcd_noticing() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    lab.isolate(owner);
    assert!(!lab.client.reaches(VIP.ip()));
    lab.heal_wire();
    lab.await_reachable(VIP);
    assert_eq!(lab.await_owner(VIP), owner);
}

#[test]
fn leases_that_last_longer_than_configured_are_told() {
    let flags = &["--election-timeout=10000", "--heartbeat-interval=1000"];
    let mut lab = Lab::builder(1).etcd_flags(flags).build();
    lab[H1].start();
    lab[H1].await_warning(&["15 s, not 5 s"]);
}

#[test]
fn a_stop_and_a_start_with_a_silent_etcd_say_what_is_true() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    lab[H1].terminate();
    lab[H1].start();
    lab.await_owner(VIP);
    assert_eq!(lab[H1].warnings(&["lease"]), Vec::<String>::new());
    lab[H1].terminate();
    lab.etcd.freeze();
    lab[H1].start_without_etcd(&[]);
    lab[H1].await_warning(&["etcd is lost: silent since the start"]);
}
