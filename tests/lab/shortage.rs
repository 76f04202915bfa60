//! What an agent lacks itself says nothing of the services that it checks.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// Checks in a hurry; two failures in a row count.
const HURRY: [(&str, &str); 4] = [
    ("HEALTH_CHECK_INTERVAL", "200ms"),
    ("HEALTH_CHECK_TIMEOUT", "400ms"),
    ("FAIL_COUNT_BEFORE_FAILOVER", "2"),
    ("RUST_LOG", "info"),
];

const PORT: u16 = 8080;

/// Many rounds of checks.
const MANY: Duration = Duration::from_secs(3);

fn checked(target: &str) -> serde_json::Value {
    json!({ "ip": VIP.to_string(), "checks": [{ "type": "TCP", "host": target, "port": PORT }] })
}

/// A host that owns an IP whose service it checks.
fn owner() -> (Lab, TcpListener) {
    let mut lab = Lab::new(1);
    let service = lab[H1].listen(PORT);
    lab[H1].start_with(&HURRY);
    lab[H1].api().create(&checked("127.0.0.1"));
    lab.await_owner(VIP);
    (lab, service)
}

/// The agent lacks something for a while, which `lack` takes from it and `give` gives back; the service
/// works all the time, and fails after it.
fn costs_no_ip(lack: impl Fn(&Lab), give: impl Fn(&Lab), what: &str) {
    let (lab, service) = owner();
    lack(&lab);
    lab[H1].await_warning(&["cannot be made", what]);
    holds_for(MANY, "it stays", || lab.bound_on(VIP) == [H1]);
    give(&lab);
    eventually("the checks are made again", || lab[H1].agent().log().contains("made again"));
    assert_eq!(lab[H1].api().status(VIP), "ACTIVATED");
    let log = lab[H1].agent().log();
    assert!(!log.contains("FAILING"), "{log}");
    assert_eq!(log.matches("cannot be made").count(), 1, "said once: {log}");
    drop(service);
    lab[H1].await_status(VIP, "FAILING");
}

#[test]
fn an_agent_without_descriptors_has_no_service_that_fails() {
    let limit = |lab: &Lab, soft: &str| {
        let pid = lab[H1].agent().pid().to_string();
        let program =
            Program::new("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:4096")]);
        assert!(lab.run_on(H1, &program).status.success());
    };
    // What it has open stays open.
    costs_no_ip(|lab| limit(lab, "3"), |lab| limit(lab, "1024"), "descriptors");
}

#[test]
fn a_host_without_free_ports_has_no_service_that_fails() {
    let range = |lab: &Lab, range: &str| {
        lab[H1].namespace().sysctl("net/ipv4/ip_local_port_range", range);
    };
    let taken = std::cell::RefCell::new(None);
    let lack = |lab: &Lab| {
        *taken.borrow_mut() = Some(lab[H1].listen(61_001));
        range(lab, "61001 61001");
    };
    costs_no_ip(lack, |lab| range(lab, "32768 60999"), "ports");
}

/// A host whose name server, the last, is silent, and its file of names.
fn with_names() -> (Lab, PathBuf, UdpSocket) {
    let mut lab = Lab::new(1);
    let (hosts, servers) = (lab.folder().join("hosts"), lab.folder().join("resolv.conf"));
    fs::write(&hosts, "127.0.0.1 service.example\n").unwrap();
    fs::write(&servers, "nameserver 127.0.0.1\n").unwrap();
    let mount = |file: &PathBuf| format!("mount --bind {} /etc/", file.display());
    let script = format!("{}hosts && {}resolv.conf && exec \"$0\"", mount(&hosts), mount(&servers));
    lab[H1].wrap(&["unshare", "--mount", "sh", "-c", &script]);
    let silent = lab[H1].namespace().run(|| UdpSocket::bind("127.0.0.1:53")).unwrap();
    (lab, hosts, silent)
}

/// How many names the agent is looking up.
fn lookups(lab: &Lab) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", lab[H1].agent().pid())).unwrap();
    let names = threads.map(|it| fs::read_to_string(it.unwrap().path().join("comm")));
    names.filter(|name| name.as_ref().is_ok_and(|name| name.trim() == "resolver")).count()
}

#[test]
fn a_name_keeps_its_address_while_its_server_is_silent() {
    let (mut lab, hosts, _silent) = with_names();
    let service = lab[H1].listen(PORT);
    lab[H1].start_with(&HURRY);
    lab[H1].api().create(&checked("service.example"));
    lab.await_owner(VIP);
    fs::write(&hosts, "").unwrap();
    eventually("it asks", || lookups(&lab) == 1);
    holds_for(MANY, "it stays", || lab.bound_on(VIP) == [H1]);
    assert_eq!(lab[H1].api().status(VIP), "ACTIVATED");
    drop(service);
    lab[H1].await_status(VIP, "FAILING");
    // The service moves, and its name with it.
    let _moved = lab[H1].listen_at([127, 0, 0, 2].into(), PORT);
    fs::write(&hosts, "127.0.0.2 service.example\n").unwrap();
    lab[H1].await_status(VIP, "ACTIVATED");
}

#[test]
fn names_that_nobody_resolves_take_few_threads_and_cost_no_other_service() {
    let (mut lab, hosts, _silent) = with_names();
    let _service = lab[H1].listen(PORT);
    lab[H1].start_with(&HURRY);
    let api = lab[H1].api();
    api.create(&checked("service.example"));
    lab.await_owner(VIP);
    fs::write(&hosts, "").unwrap();
    api.add(VIP2);
    let other = api.path(VIP2);
    let mut most = 0;
    for number in 0..100 {
        let name = format!("s{number}.example");
        let check = json!({ "type": "TCP", "host": name, "port": PORT });
        api.put(&other, &json!({ "healthchecks": [check] })).expect(200);
        std::thread::sleep(Duration::from_millis(5));
        most = most.max(lookups(&lab));
    }
    assert!(most <= 32, "{most} threads look up names");
    let body = api.await_unwell(&[&VIP2.to_string(), "name server"]);
    println!("{body}");
    lab[H1].await_warning(&["cannot be made", "name server"]);
    let shown = api.find(VIP2).unwrap();
    assert!(shown.reason.contains("name server"), "{shown:?}");
    assert_eq!(lab.bound_on(VIP), [H1], "its name has an address");
}
