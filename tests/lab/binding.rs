//! A host that cannot add an address does not keep its lock.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// An address that is not there 500 ms after it was ordered makes its host unusable for it.
const AT_ONCE: Duration = Duration::from_secs(2);

/// After so long a host that failed to add an address is given another try.
const ADDITION_RETRY: Duration = Duration::from_secs(60);

/// For the processes of a dozen labs on one machine to do what they have to.
const LOAD: Duration = Duration::from_secs(3);

/// What can be done to a host's `eth0` so that it takes no IPv6 address.
const OBSTACLES: [fn(&Host); 2] = [
    |host| host.namespace().sysctl("net/ipv6/conf/eth0/disable_ipv6", "1"),
    // IPv6 asks for 1280 bytes (RFC 8200, section 5).
    |host| drop(host.ip("link set eth0 mtu 1279")),
];

/// Undoes that.
fn clear(host: &Host) {
    host.ip("link set eth0 mtu 1500");
    host.namespace().sysctl("net/ipv6/conf/eth0/disable_ipv6", "0");
    host.link_up();
}

#[test]
fn a_host_that_cannot_add_the_address_leaves_it_to_one_that_can() {
    for obstacle in OBSTACLES {
        let mut lab = Lab::new(2);
        lab.start_all();
        obstacle(&lab[H1]);
        lab[H1].api().add(VIP6);
        lab[H2].api().add(VIP6);
        let took = within(AT_ONCE + LOAD, "the other has it", || lab.owner(VIP6) == Some(H2));
        println!("the other has it after {took:?}");
        lab.await_reachable(VIP6);
        holds_for(Duration::from_secs(3), "it stays", || lab.owner(VIP6) == Some(H2));
        let shown = lab[H1].api().find(VIP6).expect("it is registered");
        assert!(!shown.bound && shown.status != "ACTIVATED", "{shown:?}");
    }
}

#[test]
fn a_host_that_could_not_add_the_address_is_a_candidate_again_after_a_minute() {
    let mut lab = Lab::new(2);
    lab.start_all();
    OBSTACLES[1](&lab[H1]);
    lab[H1].api().add(VIP6);
    lab[H2].api().add(VIP6);
    eventually("the other has it", || lab.owner(VIP6) == Some(H2));
    lab[H1].await_status(VIP6, "FAILING");
    clear(&lab[H1]);
    within(ADDITION_RETRY + LOAD, "it is given another try", || {
        lab[H1].api().find(VIP6).is_some_and(|shown| shown.status == "STANDBY")
    });
    eventually("it is a candidate", || lab[H2].api().failover(VIP6).status == 204);
    assert_eq!(lab.await_owner(VIP6), H1);
    [H1, H2].iter().for_each(|host| lab[*host].api().await_well());
}

#[test]
fn a_host_that_cannot_add_the_address_and_is_alone_says_so_and_goes_on_trying() {
    for obstacle in OBSTACLES {
        let mut lab = Lab::new(1);
        lab.start_all();
        obstacle(&lab[H1]);
        lab[H1].api().add(VIP6);
        lab[H1].api().await_unwell(&[&VIP6.to_string()]);
        holds_for(Duration::from_secs(3), "it is unwell", || lab[H1].api().health().0 == 503);
        let warnings = lab[H1].warnings(&[&VIP6.ip().to_string()]).len();
        assert!((1..=3).contains(&warnings), "{warnings} warnings");
        clear(&lab[H1]);
        assert_eq!(lab.await_owner(VIP6), H1);
        lab[H1].api().await_well();
        lab.await_reachable(VIP6);
    }
}

#[test]
fn when_no_host_can_add_the_address_the_first_that_can_has_it() {
    let mut lab = Lab::new(2);
    lab.start_all();
    let [obstacle, _] = OBSTACLES;
    for host in [H1, H2] {
        obstacle(&lab[host]);
        lab[host].api().add(VIP6);
    }
    let unwell = || [H1, H2].iter().any(|host| lab[*host].api().health().0 == 503);
    eventually("somebody says so", unwell);
    holds_for(Duration::from_secs(3), "somebody says so", unwell);
    clear(&lab[H2]);
    eventually("it has it", || lab.owner(VIP6) == Some(H2));
    lab.await_reachable(VIP6);
}

#[test]
fn an_election_that_cannot_be_started_is_started_when_it_can() {
    const COUNT: u16 = 40;
    const FEW: usize = 10;
    // A user of whom nothing else runs: limits count what a user has.
    const LIMITED: u32 = 61_313;
    let mut lab = Lab::new(1);
    for number in 1..=COUNT {
        let id = format!("vip-{number:08}-0000-4000-8000-000000000000");
        let record = json!({ "id": id, "ip": Vip::v4(number).to_string(), "plugin": "arp" });
        lab.etcd.put(&record_key("h1", &id), &record.to_string());
    }
    lab.cut_from_etcd(H1, Way::Both);
    lab[H1].run_as_nobody(LIMITED);
    lab[H1].start_without_etcd(&[]);
    let pid = lab[H1].agent().pid();
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    let limit = |limit: usize| {
        let [user, group] = ["reuid", "regid"].map(|id| format!("--{id}={LIMITED}"));
        let prlimit = ["prlimit", "--pid", &pid.to_string(), &format!("--nproc={limit}:1000")];
        tool("setpriv", &[&[user.as_str(), &group, "--clear-groups"], &prlimit[..]].concat());
    };
    // Threads of the API come when they are needed.
    limit(threads() + FEW);
    lab[H1].heal();
    let body = lab[H1].api().await_unwell(&["10.0.1."]);
    println!("{body}");
    limit(1000);
    eventually("all are started", || lab[H1].api().list().len() == usize::from(COUNT));
    lab[H1].api().await_well();
    (1..=COUNT).for_each(|number| assert_eq!(lab.await_owner(Vip::v4(number)), H1));
}
