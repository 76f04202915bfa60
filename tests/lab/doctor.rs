//! `linkctl doctor` on a host of the lab.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

/// In which it has found everything.
const LIMIT: Duration = Duration::from_secs(5);

/// What it finds on the first host, as `about: text`, and how long it took. Each finding says what to do.
fn findings(lab: &Lab, env_file: Option<&Path>) -> (Vec<String>, Duration) {
    let file = env_file.map(|path| path.display().to_string());
    let words = ["doctor", "--json"].map(str::to_owned).into_iter();
    let words = words.chain(file.into_iter().flat_map(|path| ["--env".to_owned(), path]));
    let begun = Instant::now();
    let output = lab.run_on(H1, &Program::new(linkctl()).args(words));
    let took = begun.elapsed();
    assert!(took < LIMIT, "{took:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["findings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert!(found.iter().all(|it| text(&it["remedy"]).len() > 10), "{found:#?}");
    let found: Vec<_> =
        found.iter().map(|it| format!("{}: {}", text(&it["about"]), text(&it["text"]))).collect();
    let expected = if found.is_empty() { 0 } else { 9 };
    let code = output.status.code().unwrap();
    assert!(code == 8 || code == expected, "{code}: {found:#?}");
    (found, took)
}

/// What is seeded, as it is named.
const SEEDED: [&str; 20] = [
    "eth0: arp_ignore is 8",
    "eth0: eth1 is on the same network",
    "eth0: rp_filter is 1 and the default route is by eth1",
    "eth0: IPv6 is off here, and fd00::2:2/128 is to be on it",
    "eth0: promote_secondaries is 0",
    "firewall: the firewall has a rule that drops ARP (table arp doctor)",
    "ETCD_HOST (is ETCD_HOSTS meant?)",
    "http://10.0.0.89:2379: this endpoint cannot be used",
    "h2: the host is gone",
    "environment: the next start would fail: PORT=http",
    "environment: the next start would fail: ETCD_HOSTS=ftp://x",
    "eth7: there is no such interface",
    "eth8: the interface is down",
    "eth5: the interface has no carrier",
    "10.0.1.1/32: a machine that does not offer it claimed it",
    "10.0.1.1: offered with two masks",
    "h1: another machine starts under this name",
    "h1: the host is drained",
    "addresses: something has removed IPs",
    "they are 2 clusters",
];

/// Sets the machine up as it should not be.
fn misconfigure(host: &Namespace) {
    for link in [
        "eth1 type veth peer name eth9",
        "eth5 type veth peer name eth6",
        "eth8 type veth peer name eth18",
    ] {
        host.ip(&format!("link add {link}"));
    }
    host.ip("link set eth5 up");
    host.ip("addr add 10.0.9.1/16 dev eth1");
    host.ip("link set eth1 up");
    host.ip("route add default dev eth1");
    host.sysctl("net/ipv4/conf/eth0/arp_ignore", "8");
    host.sysctl("net/ipv4/conf/all/rp_filter", "1");
    host.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1");
    for interface in ["all", "eth0"] {
        host.sysctl(&format!("net/ipv4/conf/{interface}/promote_secondaries"), "0");
    }
    host.nft("add table arp doctor");
    host.nft("add chain arp doctor in { type filter hook input priority 0 ; }");
    host.nft("add rule arp doctor in arp operation 9 drop");
}

/// A process of another user that calls itself `linkd`, and has settings as an agent has.
fn impostor(host: &Namespace) -> Child {
    let script = "printf linkd > /proc/$$/comm; echo; read line";
    let mut command = Command::new("setpriv");
    command.args(["--reuid=54321", "--clear-groups", "--", "sh", "-c", script]);
    command.env("ETCD_HOSTS", "http://10.0.0.90:1").env("INTERFACE", "lo");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = host.start(command).expect("start a process");
    child.stdout.take().unwrap().read_exact(&mut [0]).expect("it has its name");
    child
}

/// etcd's version is what it is; everything else is seeded here.
#[test]
fn twenty_mistakes_on_one_host_are_named_within_seconds_and_none_on_one_that_is_well() {
    let mut lab = Lab::builder(2).etcd_members(3).build();
    // What it has in its environment is none of ours. It is there before the agent, so that it is met first.
    let mut impostor = impostor(lab[H1].namespace());
    lab.start_all();
    lab.offer_in_order(VIP);
    lab.await_calm(VIP);
    let is_version = |found: &String| found.contains("known faults");
    let mut well = Duration::ZERO;
    eventually("nothing is found", || {
        let (found, took) = findings(&lab, None);
        well = took;
        found.iter().all(is_version)
    });

    drop(impostor.stdin.take());
    impostor.wait().unwrap();

    let another = lab.another_etcd();
    let endpoints = [&lab.etcd.endpoints(), "http://10.0.0.89:2379", &another.endpoints()];
    lab[H1].terminate();
    lab[H1].start_with(&[("ETCD_HOSTS", &endpoints.join(",")), ("ETCD_HOST", "x")]);
    for ip in ["10.0.2.2/16", "fd00::2:2"] {
        lab[H1].api().post("/ips", &json!({ "ip": ip })).expect(201);
    }
    for (ip, interface) in [("10.7.0.1", "eth7"), ("10.7.0.2", "eth8"), ("10.7.0.3", "eth5")] {
        lab[H1].api().post("/ips", &json!({ "ip": ip, "interface": interface })).expect(201);
    }
    lab[H2].kill();
    lab[H1].await_status(VIP, "ACTIVATED");
    lab[H1].api().post("/drain", &json!({})).expect(200);
    lab[H1].ip(&format!("addr del {VIP} dev eth0"));
    misconfigure(lab[H1].namespace());
    let _stranger = Stranger::start(lab.client.namespace(), Mac([2, 0, 0, 0, 0, 99]), VIP);
    let file = lab.folder().join("link.env");
    let text = "INTERFACE=eth0\nPORT=http\nETCD_HOSTS=ftp://x\nETCD_HOST=x\n";
    std::fs::write(&file, text).expect("write a file");

    let (mut found, mut took) = (Vec::new(), Duration::ZERO);
    let missing = |found: &[String]| -> Vec<&str> {
        SEEDED.into_iter().filter(|part| !found.iter().any(|it| it.contains(part))).collect()
    };
    let named = until(Duration::from_secs(30), || {
        // An agent removes what is not renewed.
        lab.etcd.put("/link/config/h1/another", r#"{"id":"another"}"#);
        lab.etcd.put("/link/ips/10.0.1.1_24/h9", "{}");
        (found, took) = findings(&lab, Some(&file));
        missing(&found).is_empty()
    });
    assert!(named, "{:#?} are missing in {found:#?}", missing(&found));
    println!(
        "a host that is well: {well:?}; {} mistakes of {}: {took:?}",
        SEEDED.len(),
        found.len()
    );

    lab[H1].kill();
    let (found, _) = findings(&lab, None);
    assert!(found[0].starts_with("agent: cannot connect to 127.0.0.1:1313"), "{found:#?}");
}
