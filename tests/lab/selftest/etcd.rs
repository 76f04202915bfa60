//! The etcd of a lab: its keys, its members, its passwords.

use std::process::Command;

use crate::harness::*;

#[test]
fn etcd_keeps_its_keys_over_a_restart_and_says_which_lease_they_have() {
    let mut lab = Lab::new(1);
    assert_eq!(lab.lock(VIP), None);
    lab.etcd.put("/link/x/1", "{\"a\": 1}");
    let puts = "grpc_server_started_total{grpc_method=\"Put\"";
    assert!(lab.etcd.metrics().lines().any(|line| line.starts_with(puts)));
    lab.etcd.put("/link/x/2", "--two");
    lab.etcd.restart();
    let keys: Vec<_> = lab.etcd.list("/link/x/").into_iter().map(|entry| entry.value).collect();
    assert_eq!(keys, ["{\"a\": 1}", "--two"]);
    assert!(lab.etcd.delete("/link/x/1") && !lab.etcd.delete("/link/x/1"));

    let lease = lab.etcd.ctl(&["lease", "grant", "60"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    lab.etcd.ctl(&["put", "--lease", lease, "/link/default/10.0.1.1_32", "h1"]);
    let lock = lab.lock(VIP).unwrap();
    assert_eq!(lock.holder, "h1");
    assert_eq!(format!("{:x}", lock.lease), lease);
    assert!(lab.etcd.has_lease(lock.lease));
    lab.etcd.revoke(lock.lease);
    assert!(!lab.etcd.has_lease(lock.lease));
    assert_eq!(lab.lock(VIP), None);
}

#[test]
fn etcd_asks_for_certificates_and_passwords() {
    let lab = Lab::builder(1).tls().password().build();
    let environment = lab.etcd.environment();
    let variable = |name: &str| environment[name].as_str();
    assert!(variable("ETCD_HOSTS").starts_with("https://10.0.0.81:2379"));
    let get = |user: &str, key: &str, certificate: bool| {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").args([
            "--endpoints",
            variable("ETCD_HOSTS"),
            "--user",
            user,
        ]);
        etcdctl.args(["--cacert", variable("ETCD_CACERT"), "get", key]);
        if certificate {
            etcdctl.args(["--cert", variable("ETCD_TLS_CERT"), "--key", variable("ETCD_TLS_KEY")]);
        }
        lab[H1].namespace().output(&mut etcdctl).status.success()
    };
    let agent = format!("{}:{ETCD_PASSWORD}", variable("ETCD_USER"));
    assert!(get(&agent, "/link/x", true));
    assert!(!get(&agent, "/link/x", false), "without a certificate");
    assert!(!get("link:wrong", "/link/x", true), "with a wrong password");
    assert!(!get(&agent, "/elsewhere", true), "outside its keys");
    lab.etcd.put("/link/x", "the lab itself may");
}

#[test]
fn three_members_go_on_when_one_is_killed() {
    let mut lab = Lab::builder(1).etcd_members(3).build();
    assert_eq!(lab.etcd.endpoints().split(',').count(), 3);
    lab.etcd.put("/link/x", "1");
    lab.etcd.kill(0);
    lab.etcd.await_ready();
    lab.etcd.put("/link/x", "2");
    lab.etcd.start_all();
    assert_eq!(lab.etcd.get("/link/x").unwrap().value, "2");
}

#[test]
fn members_lead_in_turn_and_one_can_be_cut_off() {
    let lab = Lab::builder(1).etcd_members(3).build();
    for member in [2, 0] {
        eventually("it leads", || {
            lab.etcd.move_leader(member);
            lab.etcd.leader() == Some(member)
        });
    }
    lab.etcd.put("/link/x", "1");
    // The lab itself asks the others then; a leader that has nobody is none.
    for cut in [Lab::isolate_member, Lab::cut_from_members] {
        let leader = lab.etcd.leader().expect("there is one");
        cut(&lab, leader);
        let has_successor = || lab.etcd.leader().is_some_and(|successor| successor != leader);
        eventually("another leads", has_successor);
        assert_eq!(lab.etcd.get("/link/x").unwrap().value, "1");
        lab.heal_wire();
        lab.etcd.await_ready();
    }
}

#[test]
fn etcd_forgets_and_goes_back_when_it_is_told_to() {
    let mut lab = Lab::builder(1).etcd_members(3).build();
    lab.etcd.put_again_and_again("/link/x", "before", 3);
    let snapshot = lab.folder().join("snapshot");
    lab.etcd.save(&snapshot);
    lab.etcd.put("/link/x", "after");
    assert!(lab.etcd.compact());
    let first = lab.etcd.get("/link/x").unwrap().created;
    let past = lab.etcd.try_ctl(&["get", "/link/x", "--rev", &first.to_string()]);
    assert!(past.unwrap_err().contains("compacted"));
    lab.etcd.restore(&snapshot);
    assert_eq!(lab.etcd.get("/link/x").unwrap().value, "before");
}
