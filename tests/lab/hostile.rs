//! Names and values that are meant for the terminal or the log of those who look at them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::*;

const ID: &str = "vip-6e5d9b1c-8c5b-4bb5-9a2d-6b6f3a1d1c0e";

/// A forged line of the log with journald's priority, a colour, a control sequence in one character, text
/// that is shown from right to left, a line separator, and characters that are not seen.
const EVIL: &str = "x\n<0>2026 ERROR forged\r\u{1b}[31m\u{9b}2J\u{202e}gpj\u{2028}\u{feff}\u{7f}";

/// What is obeyed instead of shown.
fn obeyed(c: char) -> bool {
    c.is_control() || "\u{202e}\u{2028}\u{feff}".contains(c)
}

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    for line in text.split('\n') {
        assert!(!line.contains(obeyed), "{what}: {line:?}");
    }
}

fn linkctl_says(lab: &Lab, arguments: &[&str]) -> String {
    let program = Program {
        environment: BTreeMap::new(),
        ..Program::new(linkctl()).args(arguments.iter().map(|argument| (*argument).to_owned()))
    };
    let output = lab.run_on(H1, &program);
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// A lab in whose etcd somebody has written what an operator should not see as it is.
fn poisoned() -> Lab {
    let lab = Lab::new(1);
    let ip = VIP2.to_string();
    for record in [
        json!({ "id": ID, "ip": ip, "plugin": "arp", "interface": EVIL }),
        json!({ "id": ID, "ip": EVIL, "plugin": "arp" }),
        json!({ "id": EVIL, "ip": ip, "plugin": "arp" }),
        json!({ "id": ID, "ip": ip, "plugin": EVIL }),
        json!({ "id": ID, "ip": ip, "checks": [{ "type": EVIL, "host": EVIL, "port": 1 }] }),
    ] {
        let id = format!("vip-{}", uuid::Uuid::new_v4());
        lab.etcd.put(&record_key("h1", &id), &record.to_string());
    }
    lab.etcd.put(&record_key("h1", EVIL), EVIL);
    lab.etcd.put(&lock_key(VIP), EVIL);
    lab.etcd.put(&format!("/link/default/{EVIL}"), EVIL);
    lab.etcd.put(&format!("/link/ips/10.0.1.1_32/{EVIL}"), EVIL);
    lab.etcd.put(&format!("/link/config/{EVIL}"), EVIL);
    lab
}

#[test]
fn nothing_that_others_wrote_is_obeyed_where_it_is_shown() {
    let mut lab = poisoned();
    lab[H1].start();
    let id = lab[H1].api().add(VIP).id;
    let unwell = lab[H1].api().await_unwell(&["10.0.1.1/32"]);
    assert!(unwell.contains("forged"), "the lock's value is shown: {unwell}");
    let mut bodies = vec![unwell];
    for (method, path, body) in [
        ("GET", "/ips".to_owned(), None),
        ("GET", format!("/ips/{id}/hosts"), None),
        ("POST", "/ips".to_owned(), Some(json!({ "ip": EVIL }))),
        ("POST", "/ips".to_owned(), Some(json!({ "ip": "10.0.1.3", "interface": EVIL }))),
        ("POST", "/endpoints".to_owned(), Some(json!({ "plugin": EVIL, "plugin_config": {} }))),
        ("POST", format!("/ips/{id}/failover"), Some(json!({ "host": EVIL }))),
        ("PUT", format!("/ips/{id}"), Some(json!({ "etcd_loss_policy": EVIL }))),
    ] {
        let body = body.map(|body| body.to_string());
        bodies.push(lab[H1].api().send(method, &path, body.as_deref()).body);
    }
    assert!(bodies.iter().filter(|body| body.contains("forged")).count() >= 6, "{bodies:#?}");
    for body in &bodies {
        assert_clean("the API", body);
    }
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["show", "10.0.1.1"],
        &["show", "10.0.1.1", "--json"],
        &["failover", "10.0.1.1", "--to", EVIL],
        &["add", "10.0.1.4", "--interface", EVIL],
        &["show", EVIL],
    ] {
        assert_clean("linkctl", &linkctl_says(&lab, arguments));
    }
    lab[H1].terminate();
    let log = std::fs::read_to_string(lab[H1].log()).unwrap();
    assert!(log.matches("forged").count() >= 5, "{log}");
    assert_clean("the log", &log);
    let is_ours = |line: &str| line.starts_with("20") && line.contains("T");
    assert!(log.lines().all(is_ours), "a forged line: {log}");
}
