//! `linkctl doctor` with agents and members of etcd that answer as they are told, and an environment file.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::answers::WELL;
use crate::run::Run;
use crate::server::{Closed, Server, http};
use crate::{ID, ip, list};

/// An environment file of the agent, which goes with the test.
struct EnvFile(PathBuf);

impl EnvFile {
    fn new(text: &str) -> EnvFile {
        let path = std::env::temp_dir().join(format!("link-doctor-{}.env", uuid::Uuid::new_v4()));
        fs::write(&path, text).unwrap();
        EnvFile(path)
    }

    fn doctor(&self, agent: &Server, more: &[&str]) -> Run {
        let path = self.0.display().to_string();
        agent.linkctl(&[&["doctor", "--env", &path], more].concat())
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// A member of etcd of this version and cluster, with these errors.
fn member(version: &str, cluster: &str, errors: &str) -> Server {
    let status = format!(r#"{{"header":{{"cluster_id":"{cluster}"}},"errors":[{errors}]}}"#);
    let version = http("200 OK", &format!(r#"{{"etcdserver":"{version}","etcdcluster":"3.5.0"}}"#));
    // A clock that stands still.
    let version = String::from_utf8(version).unwrap();
    let slow = version.replacen("\r\n", "\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n", 1);
    let dated = if errors.is_empty() { version } else { slow };
    Server::agent(&[
        ("GET /version", dated.into_bytes()),
        ("GET /health", http("200 OK", r#"{"health":"true"}"#)),
        ("POST /v3/maintenance/status", http("200 OK", &status)),
    ])
}

/// An agent that shares an IP on the loopback interface.
fn agent(status: &str, seen: &str, restored: u8) -> Server {
    let shared = ip(ID, "10.0.0.1/32").replace("eth0", "lo");
    let one = shared.replacen('{', &format!(r#"{{"seen":{seen},"#), 1);
    let metrics = format!("linkd_address_restored_total {restored}\n");
    let hosts = r#"{"hosts":[{"hostname":"h1","hardware_address":"02:00:00:00:00:01"}]}"#;
    Server::agent(&[
        ("GET /ips", http("200 OK", &list(&[shared]))),
        (&format!("GET /ips/{ID}"), http("200 OK", &format!(r#"{{"ip":{one}}}"#))),
        (&format!("GET /ips/{ID}/hosts"), http("200 OK", hosts)),
        ("GET /status", http("200 OK", status)),
        ("GET /metrics", http("200 OK", &metrics)),
    ])
}

fn seen(claimed: &str) -> String {
    format!(
        r#"{{"owner_since":1,"bound_since":1,"owners_host":null,"claimed":{claimed},"checked":null,"etcd_loss_after_ms":5000}}"#
    )
}

#[test]
fn a_host_that_is_well_has_no_finding() {
    let etcd = member("3.5.30", "1", "");
    let claimed = r#"{"hardware_address":"02:00:00:00:00:01","ago":5}"#;
    let agent = agent(WELL, &seen(claimed), 0);
    let file = EnvFile::new(&format!("INTERFACE=lo\nETCD_HOSTS=http://{}\n", etcd.address));
    let run = file.doctor(&agent, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.ends_with("\nnothing was found\n"), "{run:?}");
    assert!(run.stdout.contains("interface: lo up"), "{run:?}");
    assert!(run.stdout.contains(&format!("http://{} 3.5.30, ", etcd.address)), "{run:?}");
    let run = file.doctor(&agent, &["--json"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "{\"findings\":[]}\n"));
}

#[test]
fn what_nothing_says_where_it_is_is_not_looked_at_and_told_so() {
    let claimed = r#"{"hardware_address":"02:00:00:00:00:01","ago":5}"#;
    let run = EnvFile::new("").doctor(&agent(WELL, &seen(claimed), 0), &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("\netcd: not known\n\nnothing was found\n"), "{run:?}");
    assert!(
        run.stdout.contains("was not looked at: run it as root, or give --env FILE"),
        "{run:?}"
    );
}

#[test]
fn the_port_for_other_members_of_etcd_is_no_endpoint() {
    let version = http("200 OK", r#"{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}"#);
    let etcd = Server::agent(&[
        ("GET /version", version),
        ("GET /health", http("404 Not Found", "404 page not found\n")),
    ]);
    let claimed = r#"{"hardware_address":"02:00:00:00:00:01","ago":5}"#;
    let file = EnvFile::new(&format!("INTERFACE=lo\nETCD_HOSTS=http://{}\n", etcd.address));
    let run = file.doctor(&agent(WELL, &seen(claimed), 0), &[]);
    assert_eq!(run.code, Some(8), "{run:?}");
    assert!(run.stdout.contains("etcd does not\n         serve clients"), "{run:?}");
    assert!(run.stdout.contains("--advertise-client-urls"), "{run:?}");
}

/// What is named, but for the endpoint at which nobody listens.
const EXPECTED: [&str; 16] = [
    "nosuch0: there is no such interface",
    "environment: the next start would fail: PORT=http",
    "environment: the next start would fail: ETCD_HOSTS=ftp://x",
    "ETCD_HOST (is ETCD_HOSTS meant?)",
    "alarm NOSPACE",
    "they are 2 clusters",
    "behind this host's",
    "etcd 3.4.23, which is mended no more",
    "ftp://x: this endpoint cannot be used",
    "10.0.0.1/32: a machine that does not offer it claimed it 5s ago",
    "offered with two masks",
    "another machine starts under this name",
    "h2: the host is gone",
    "isolated on lo",
    "h1: the host is drained",
    "something has removed IPs",
];

/// Findings as `about: text`.
fn said(found: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    found.iter().map(|it| format!("{}: {}", text(&it["about"]), text(&it["text"]))).collect()
}

#[test]
fn what_is_wrong_is_named_within_five_seconds_with_what_to_do() {
    let (good, closed) = (member("3.5.30", "1", ""), Closed::new());
    let bad = member("3.4.23", "2", r#""memberID:7 alarm:NOSPACE ""#);
    let findings = [
        ("conflict", "10.0.0.1", "offered with two masks: /24 (h1) and /32 (h2)"),
        ("conflict", "h1", "another machine starts under this name"),
        ("host", "h2", "the host is gone; it offers 1 IP"),
        ("problem", "h1", "10.0.0.1/32: isolated on lo: nobody is heard there"),
    ];
    let findings = findings.map(|(kind, about, text)| {
        serde_json::json!({ "kind": kind, "about": about, "text": text }).to_string()
    });
    let status = WELL
        .replace(r#""findings":[]"#, &format!(r#""findings":[{}]"#, findings.join(",")))
        .replace(r#""gone":null"#, r#""gone":null,"drained":true"#);
    let claimed = r#"{"hardware_address":"02:00:00:00:00:09","ago":5}"#;
    let agent = agent(&status, &seen(claimed), 3);
    let file = EnvFile::new(&format!(
        "INTERFACE=nosuch0\nPORT=http\nETCD_HOST=x\nETCD_HOSTS=http://{},{},ftp://x,http://{}\n",
        good.address, bad.address, closed.address
    ));
    let begun = Instant::now();
    let run = file.doctor(&agent, &["--json"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(run.code, Some(8), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let found = report["findings"].as_array().unwrap();
    let endpoint = format!("http://{}: this endpoint cannot be used", closed.address);
    let expected = EXPECTED.iter().copied().chain([endpoint.as_str()]);
    let said = said(found);
    for part in expected.clone() {
        assert_eq!(said.iter().filter(|it| it.contains(part)).count(), 1, "{part}: {said:#?}");
    }
    assert_eq!(said.len(), expected.count(), "{said:#?}");
    let remedies = found.iter().map(|it| it["remedy"].as_str().unwrap());
    assert!(remedies.into_iter().all(|it| it.len() > 10), "{found:#?}");

    let shown = file.doctor(&agent, &[]);
    assert_eq!(shown.code, Some(8), "{shown:?}");
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 80), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("\nERROR    nosuch0: there is no such interface"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("\n      -> correct INTERFACE"), "{}", shown.stdout);
    assert!(shown.stderr.contains(" errors"), "{shown:?}");
}

#[test]
fn an_agent_that_does_not_answer_is_a_finding_and_another_machine_is_refused() {
    let (closed, etcd) = (Closed::new(), member("3.5.30", "1", ""));
    let file = EnvFile::new(&format!("INTERFACE=lo\nETCD_HOSTS={}\n", etcd.address));
    let path = file.0.display().to_string();
    let run = crate::linkctl(&closed.address, &["doctor", "--env", &path]);
    assert_eq!(run.code, Some(8), "{run:?}");
    assert!(run.stdout.contains("ERROR    agent: cannot connect to"), "{run:?}");
    assert!(run.stdout.contains("journalctl -u link.service"), "{run:?}");
    crate::linkctl("192.0.2.1", &["doctor"]).assert_fails(2, "run linkctl doctor on that host");
    crate::linkctl("127.0.0.1", &["doctor", "--env", "/nonexistent"])
        .assert_fails(2, "no such file");
}
