//! An etcd of several members that asks for certificates and passwords, and lets the agents do no more than they need.

use serde_json::{Value, json};

use crate::harness::*;

/// So many IPs in one request: they are stored in transactions within transactions.
const MANY: u16 = 40;

/// What the lab itself asks of etcd has its password checked each time.
const FAST: &[&str] = &["--bcrypt-cost=4"];

/// All keys that there are, whoever has written them.
fn keys(lab: &Lab) -> Vec<String> {
    lab.etcd.list("").into_iter().map(|entry| entry.key).collect()
}

#[test]
fn a_role_for_exactly_the_prefix_is_enough_for_all_that_agents_do() {
    let mut lab = Lab::builder(3).etcd_members(3).tls().password().etcd_flags(FAST).build();
    let role = lab.etcd.ctl(&["role", "get", "link"]);
    let permitted: Vec<&str> =
        role.lines().filter(|line| line.contains('/')).map(str::trim).collect();
    assert_eq!(permitted, ["[/link/, /link0) (prefix /link/)"; 2], "to read and to write");
    lab.start_all();
    let many: Vec<Value> =
        (1..=MANY).map(|number| json!({ "ip": Vip::v4(number).to_string() })).collect();
    for host in [H1, H2, H3] {
        lab[host].api().post("/ips", &json!(many)).expect(201);
    }
    eventually("each has an owner", || {
        let ips = lab[H1].api().list();
        ips.len() == usize::from(MANY) && ips.iter().all(|ip| ip.owner.is_some())
    });
    let owner = lab.await_calm(VIP);
    lab[owner].api().failover(VIP).expect(204);
    let owner = lab.await_owner_other_than(owner, VIP);
    // The leases of all hosts are asked for.
    let told = lab[H1].api().get("/status").expect(200).body;
    assert!(told.contains(&VIP.to_string()) && !told.contains("denied"), "{told}");
    // A host that stops takes all that is its own along.
    assert!(lab[owner].terminate().success());
    let second = lab.await_owner_other_than(owner, VIP);
    lab[owner].restart();
    // One that dies is found out by the others, which call each other through etcd, and its lease is ended by order.
    lab[second].power_off();
    let third = lab.await_owner_other_than(second, VIP);
    let gone = json!({ "host": second.to_string() });
    eventually("it is fenced", || lab[third].api().post("/fence", &gone).status == 200);
    let rest = lab.ids().into_iter().find(|host| ![second, third].contains(host)).unwrap();
    lab[rest].api().post("/drain", &json!({})).expect(200);
    lab[rest].api().delete(&lab[rest].api().path(VIP2)).expect(204);
    let strays: Vec<String> =
        keys(&lab).into_iter().filter(|key| !key.starts_with("/link/")).collect();
    assert_eq!(strays, [""; 0]);
    for host in [H1, H2, H3] {
        let denied = lab[host].warnings(&["denied"]);
        assert_eq!(denied, [""; 0], "{host}");
    }
}
