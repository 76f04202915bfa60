//! One mistake after the other in a host that is well: each is named, and nothing else is.

use std::time::Duration;

use super::*;
use crate::ctl::doctor::facts::{
    Answer, Certificate, Claim, Interface, Manager, Member, Parameters, Process, Told, Unit,
};
use crate::ctl::failure::{Failure, Next};
use crate::wire;

const NOW: i64 = 1_795_948_185;
const DAY: i64 = 86_400;

fn ip(ip: &str) -> wire::Ip {
    let text = format!(r#"{{"id":"i","ip":"{ip}","interface":"eth0","status":"STANDBY"}}"#);
    serde_json::from_str(&text).unwrap()
}

fn member(number: u8) -> Member {
    let answer = Answer {
        latency: Duration::from_millis(3),
        version: "3.5.30".to_owned(),
        cluster: "77".to_owned(),
        ahead: Some(1),
        certificate_ends: Some(NOW + 90 * DAY),
        ..Answer::default()
    };
    Member { endpoint: format!("https://10.0.0.8{number}:2379"), answer: Ok(answer) }
}

fn host(name: &str) -> wire::ClusterHost {
    let text = format!(
        r#"{{"hostname":"{name}","alive":true,"version":"v1","up":1,"lease_left":4,"lease_ttl":5,"offers":2,"owns":1,"gone":null}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// A host on which nothing is wrong.
fn well() -> Facts {
    let eth0 = Interface {
        name: "eth0".to_owned(),
        exists: true,
        up: true,
        carrier: true,
        addresses: vec![("10.0.0.11".parse().unwrap(), 24), ("10.0.0.100".parse().unwrap(), 32)],
        beside: Vec::new(),
        parameters: Parameters { rp_filter: 2, ..Parameters::default() },
    };
    let status = wire::Status {
        host: "h1".to_owned(),
        ok: true,
        etcd: "ok".to_owned(),
        findings: Vec::new(),
        more_findings: 0,
        hosts: vec![host("h1"), host("h2")],
        ips: Vec::new(),
        more_ips: 0,
    };
    let manager = Manager {
        name: "systemd-networkd",
        interface: "eth0".to_owned(),
        keeps: true,
        file: "/etc/systemd/network/a.network".to_owned(),
    };
    let service = Some("link.service".to_owned());
    let capabilities = Some(0x3000);
    Facts {
        told: Told {
            server: "127.0.0.1:1313".to_owned(),
            ips: vec![ip("10.0.0.100/32"), ip("fd00::1/128")],
            status: Some(status),
            ..Told::default()
        },
        process: Some(Process { pid: 7, capabilities, service, ..Process::default() }),
        unit: Some(Unit { name: "link.service".to_owned(), enabled: true, runs: true }),
        interfaces: vec![eth0],
        default_routes: vec!["eth0".to_owned()],
        managers: vec![manager],
        members: (1..=3).map(member).collect(),
        certificates: vec![Certificate {
            variable: "ETCD_TLS_CERT",
            path: "/c.pem".to_owned(),
            ends: NOW + 90 * DAY,
        }],
        now: NOW,
        is_root: true,
        ..Facts::default()
    }
}

fn eth0(facts: &mut Facts) -> &mut Interface {
    &mut facts.interfaces[0]
}

fn answer(facts: &mut Facts) -> &mut Answer {
    facts.members[1].answer.as_mut().unwrap()
}

fn told(facts: &mut Facts, kind: &str, text: &str) {
    let finding = wire::Finding {
        kind: kind.to_owned(),
        about: "10.0.0.100/32".to_owned(),
        text: text.to_owned(),
        since: None,
        remedy: "as the agent says".to_owned(),
    };
    facts.told.status.as_mut().unwrap().findings.push(finding);
}

/// A mistake, and what is said of it: a part of the text, and one of the remedy.
type Case = (Level, &'static str, &'static str, fn(&mut Facts));

#[track_caller]
fn assert_named(cases: &[Case]) {
    for (level, text, remedy, mistake) in cases {
        let mut facts = well();
        mistake(&mut facts);
        let found = all(&facts);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert_eq!(found[0].level, *level, "{found:#?}");
        let said = format!("{}: {}", found[0].about, found[0].text);
        assert!(said.contains(text), "{text} is not in {found:#?}");
        assert!(found[0].remedy.contains(remedy), "{remedy} is not in {found:#?}");
    }
}

#[test]
fn a_host_that_is_well_has_no_finding() {
    assert_eq!(all(&well()), []);
    // Nor has one of which nothing is known but that its agent answers.
    assert_eq!(all(&Facts::default()), []);
}

#[test]
fn mistakes_of_the_agent_and_its_unit_are_named() {
    use Level::{Error, Warning};
    assert_named(&[
        (Error, "cannot connect", "journalctl -u link.service", |it| {
            it.told = Told {
                failure: Some(Failure::new(Next::ReachAgent, "cannot connect to 127.0.0.1:1313")),
                ..Told::default()
            };
            it.process = None;
        }),
        (Error, "cannot connect", "PORT and LISTEN", |it| {
            let why = "cannot connect to 127.0.0.1:1313";
            it.told.failure = Some(Failure::new(Next::ReachAgent, why));
        }),
        (Error, "asks for a user", "LINK_PASSWORD", |it| {
            it.told.failure = Some(Failure::new(Next::GivePassword, "it asks for a user"));
        }),
        (Error, "lacks CAP_NET_RAW", "AmbientCapabilities", |it| {
            it.process.as_mut().unwrap().capabilities = Some(0x1000);
        }),
        (Error, "lacks CAP_NET_ADMIN", "AmbientCapabilities", |it| {
            it.process.as_mut().unwrap().capabilities = Some(0x2000);
        }),
        (Warning, "not enabled", "systemctl enable link.service", |it| {
            it.unit.as_mut().unwrap().enabled = false;
        }),
        (Warning, "not started by its unit", "systemctl start link.service", |it| {
            it.unit.as_mut().unwrap().runs = false;
        }),
        (Error, "the next start would fail: PORT=x", "linkd --check", |it| {
            it.next_start.mistakes.push("PORT=x is not a number".into());
        }),
        (Warning, "ETCD_HOST (is ETCD_HOSTS meant?)", "correct or remove", |it| {
            it.next_start.warnings.push("variables: ETCD_HOST (is ETCD_HOSTS meant?)".into());
        }),
        (Warning, "INTERFACE=eth7: no such interface", "correct or remove", |it| {
            let said = |name: &str| format!("INTERFACE={name}: no such interface; IPs");
            // Of the one that the agent has it is said elsewhere.
            it.next_start.warnings = vec![said("eth0"), said("eth7")];
        }),
        (Warning, "says otherwise of ETCD_HOSTS, PORT", "restart the agent", |it| {
            it.next_start.changed = vec!["ETCD_HOSTS".into(), "PORT".into()];
        }),
    ]);
}

#[test]
fn mistakes_of_the_interface_and_the_kernel_are_named() {
    use Level::{Error, Warning};
    assert_named(&[
        (Error, "eth0: there is no such interface", "INTERFACE", |it| eth0(it).exists = false),
        (Error, "eth0: the interface is down", "ip link set eth0 up", |it| eth0(it).up = false),
        (Error, "eth0: the interface has no carrier", "cable", |it| eth0(it).carrier = false),
        (Error, "arp_ignore is 8", "arp_ignore=1", |it| eth0(it).parameters.arp_ignore = 8),
        (Warning, "eth1 is on the same network", "arp_announce=2", |it| {
            eth0(it).beside.push("eth1".into());
        }),
        (Warning, "rp_filter is 1 and the default route is by eth1", "rp_filter=2", |it| {
            eth0(it).parameters.rp_filter = 1;
            it.default_routes = vec!["eth1".into()];
        }),
        (Warning, "promote_secondaries is 0: the kernel removes 10.0.0.9/24", "=1", |it| {
            it.told.ips.push(ip("10.0.0.9/24"));
        }),
        (Error, "IPv6 is off here, and fd00::1/128", "disable_ipv6=0", |it| {
            eth0(it).parameters.ipv6_disabled = true;
        }),
        (Warning, "systemd-networkd manages it", "KeepConfiguration=yes", |it| {
            it.managers[0].keeps = false;
        }),
        (Warning, "NetworkManager manages it", "nmcli device set eth0 managed no", |it| {
            it.managers[0] =
                Manager { name: "NetworkManager", keeps: false, ..it.managers[0].clone() };
        }),
        (Warning, "dhclient manages it", "static address", |it| {
            it.managers[0] = Manager { name: "dhclient", keeps: false, ..it.managers[0].clone() };
        }),
        (Warning, "has removed IPs", "look at systemd-networkd first", |it| it.told.restored = 3),
        (Error, "drops ARP (table arp filter)", "nft list table arp filter", |it| {
            it.drops_arp = Some("filter".into());
        }),
    ]);
    let mut facts = well();
    eth0(&mut facts).parameters =
        Parameters { rp_filter: 1, arp_ignore: 1, arp_announce: 2, ..Parameters::default() };
    eth0(&mut facts).beside.push("eth1".to_owned());
    assert_eq!(all(&facts), [], "what does no harm is no finding");
}

#[test]
fn mistakes_of_etcd_are_named() {
    use Level::{Error, Warning};
    assert_named(&[
        (Warning, "https://10.0.0.82:2379: this endpoint cannot be used", "ETCD_HOSTS", |it| {
            it.members[1].answer = Err("connection refused".into());
        }),
        (Warning, "certificate has expired", "ETCD_CACERT", |it| {
            it.members[1].answer =
                Err("curl: (60) SSL certificate problem: certificate has expired".into());
        }),
        (Warning, "it hangs up", "--listen-client-urls", |it| {
            it.members[1].answer = Err("it hangs up (does it speak TLS?): end of file".into());
        }),
        (Warning, "curl is not installed", "install curl", |it| {
            it.members = vec![member(1)];
            it.members[0].answer = Err("curl is not installed, by which".into());
        }),
        (Error, "cannot be used", "systemctl status etcd", |it| {
            it.members = vec![member(1)];
            it.members[0].answer = Err("no answer in time".into());
        }),
        (Error, "alarm NOSPACE", "etcdctl alarm disarm", |it| {
            answer(it).errors.push("memberID:7 alarm:NOSPACE ".into());
            answer(it).unhealthy = Some("/health says so".into());
        }),
        (Error, "alarm CORRUPT", "remove the member", |it| {
            answer(it).errors.push("memberID:7 alarm:CORRUPT ".into());
        }),
        (Error, "it has no leader", "more than half", |it| {
            answer(it).errors.push("etcdserver: no leader".into());
        }),
        (Error, "not healthy: RAFT NO LEADER", "etcdctl endpoint health", |it| {
            answer(it).unhealthy = Some("RAFT NO LEADER".into());
        }),
        (Warning, "takes 400 ms", "disk", |it| answer(it).latency = Duration::from_millis(400)),
        (Warning, "its clock is 1m0s behind", "NTP", |it| answer(it).ahead = Some(-60)),
        (Warning, "certificate of https://10.0.0.82:2379: it ends in 3d0h", "renew", |it| {
            answer(it).certificate_ends = Some(NOW + 3 * DAY);
        }),
        (Error, "ETCD_TLS_CERT=/c.pem: it ended 1d0h ago", "renew", |it| {
            it.certificates[0].ends = NOW - DAY;
        }),
        (Error, "they are 2 clusters", "ETCD_HOSTS", |it| answer(it).cluster = "78".into()),
        (Warning, "etcd 3.4.23, which is mended no more, has 8 known faults", "3.5.28", |it| {
            answer(it).version = "3.4.23".into();
        }),
        (Warning, "a read is stale after a pause (etcd #20418)", "3.5.28", |it| {
            answer(it).version = "3.5.27".into();
        }),
    ]);
}

#[test]
fn mistakes_in_the_cluster_are_named() {
    use Level::{Error, Warning};
    assert_named(&[
        (Error, "claimed it 1m0s ago: hardware address 02:00:00:00:00:09", "the switch", |it| {
            let hardware_address = "02:00:00:00:00:09".to_owned();
            it.told.claims.push(Claim { ip: "10.0.0.100/32".into(), hardware_address, ago: 60 });
            // What the agent says of the same machine is said already.
            told(it, "problem", "another machine has it, too: hardware address 02:00:00:00:00:09");
        }),
        (Error, "another machine has 10.0.0.100", "as the agent says", |it| {
            told(
                it,
                "problem",
                "another machine has 10.0.0.100, too: hardware address 02:00:00:00:00:09",
            );
        }),
        (Error, "another machine starts under this name", "as the agent says", |it| {
            told(it, "conflict", "another machine starts under this name");
        }),
        (Error, "offered with two masks", "as the agent says", |it| {
            told(it, "conflict", "offered with two masks: /24 (h1) and /32 (h2)");
        }),
        (Warning, "the host is gone", "as the agent says", |it| {
            told(it, "host", "the host is gone; it offers 2 IPs");
        }),
        (Warning, "h1 is the only candidate", "as the agent says", |it| {
            told(it, "redundancy", "h1 is the only candidate");
        }),
        (Error, "no host owns it", "as the agent says", |it| {
            told(it, "no_owner", "no host owns it")
        }),
        (Error, "isolated on eth0", "as the agent says", |it| {
            told(it, "problem", "10.0.0.100/32: isolated on eth0: nobody is heard there");
        }),
        (Warning, "h2: the host is drained", "linkctl undrain", |it| {
            it.told.status.as_mut().unwrap().hosts[1].drained = true;
        }),
        (Warning, "2 versions: v1, v2", "update", |it| {
            it.told.status.as_mut().unwrap().hosts[1].version = Some("v2".into());
        }),
        (Error, "eth0: the interface is down", "up", |it| {
            eth0(it).up = false;
            told(it, "problem", "10.0.0.100/32: eth0: the interface is down");
        }),
    ]);
}
