//! The cluster at a glance, from any host.

use link::wire::{Finding, Status};

use crate::harness::*;

fn status(lab: &Lab, host: HostId) -> Status {
    lab[host].api().get("/status").expect(200).read()
}

/// What is found of that kind, when it is found.
fn found(lab: &Lab, host: HostId, kind: &str, about: &str) -> Finding {
    let look = || {
        let all = status(lab, host).findings;
        all.into_iter().find(|finding| finding.kind == kind && finding.about == about)
    };
    eventually("it is found", || look().is_some());
    look().expect("it was found a moment ago")
}

/// The exit code of `linkctl status`, and what it says.
fn told(lab: &Lab, host: HostId) -> (Option<i32>, String) {
    let output = lab.run_on(host, &Program::new(linkctl()).args(["status"]));
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a host has it has; who had the rest is remembered.
fn expect_owners_without_etcd(lab: &Lab, asked: HostId) {
    let (code, text) = told(lab, asked);
    assert_eq!(code, Some(8));
    let line = |ip: &str| text.lines().find(|line| line.starts_with(ip)).unwrap_or_default();
    let name = lab[asked].name();
    assert!(line("10.0.1.2/32").split_whitespace().nth(1) == Some(&name), "it has it:\n{text}");
    assert!(!line("10.0.1.1/32").contains(" - "), "somebody has it:\n{text}");
}

#[test]
fn each_host_tells_of_the_cluster_what_needs_a_person() {
    let mut lab = Lab::sharing(3, VIP);
    let owner = lab.await_calm(VIP);
    for host in [H1, H2, H3] {
        eventually("all is well", || status(&lab, host).ok);
        let status = status(&lab, host);
        let names: Vec<&str> = status.hosts.iter().map(|host| host.hostname.as_str()).collect();
        assert_eq!(names, ["h1", "h2", "h3"]);
        assert!(status.hosts.iter().all(|it| it.version.is_some() && it.lease_left.is_some()));
        assert!(
            status
                .hosts
                .iter()
                .all(|it| it.alive == Some(true) && it.up.is_some_and(|up| up < 600))
        );
        assert_eq!(status.ips.len(), 1);
        assert_eq!(status.ips[0].owner, Some(lab[owner].name()));
        assert!(status.ips[0].candidates.iter().all(|it| it.available), "{status:?}");
        let (code, text) = told(&lab, host);
        assert_eq!(code, Some(0), "{text}");
    }

    let (asked, dead) = (lab.other_than(owner), owner);
    lab.power_off(dead);
    eventually("its lease has ended", || {
        found(&lab, asked, "host", &lab[dead].name()).text.contains("is gone")
    });
    let gone = found(&lab, asked, "host", &lab[dead].name());
    assert!(gone.since.is_some() && gone.text.contains("1 IP"), "{gone:?}");
    let (code, text) = told(&lab, asked);
    assert_eq!(code, Some(8), "{text}");
    assert!(text.contains("(gone)") && text.contains(" ago "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    lab[asked].api().add(VIP2);
    let lone = found(&lab, asked, "redundancy", "10.0.1.2/32");
    assert!(lone.text.contains("is the only candidate"), "{lone:?}");
    lab.etcd.put("/link/ips/10.0.1.1_24/h9", "{\"updated_at\":\"\"}");
    let masks = found(&lab, asked, "conflict", "10.0.1.1");
    assert!(masks.text.contains("/24 (h9)") && masks.text.contains("owned by"), "{masks:?}");
    lab.etcd.put("/link/config/h8", "rubbish");
    found(&lab, asked, "bad_value", "/link/config/h8");

    lab.etcd.stop();
    found(&lab, asked, "etcd", "etcd");
    let alone = status(&lab, asked);
    assert_eq!(alone.ips.len(), 2, "{alone:?}");
    assert!(alone.etcd != "ok" && alone.hosts.len() >= 2, "{alone:?}");
    expect_owners_without_etcd(&lab, asked);
}

#[test]
fn a_host_that_has_died_is_told_before_its_lease_ends() {
    let mut lab = Lab::new(3);
    for host in [H1, H2, H3] {
        lab[host].start_with(&[("KEEPALIVE_INTERVAL", "6s")]);
        lab[host].api().add(VIP);
    }
    let dead = lab.await_calm(VIP);
    let name = lab[dead].name();
    lab.power_off(dead);
    // Who has found it dead knows; the third host may only see that the IP has moved.
    let asked = lab.await_owner_other_than(dead, VIP);
    eventually("it is known that it does not answer", || {
        let is_it = |it: &Finding| {
            it.about == name && it.text.starts_with("the host does not answer; it offers 1 IP")
        };
        status(&lab, asked).findings.iter().any(is_it)
    });
    let (code, text) = told(&lab, asked);
    assert_eq!(code, Some(8), "{text}");
    assert!(text.contains(" silent ") && text.contains("(gone)"), "{text}");
}

#[test]
fn an_ip_is_shown_with_what_its_host_has_seen_and_also_without_etcd() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_calm(VIP);
    let standby = lab.other_than(owner);
    let checks =
        serde_json::json!({ "healthchecks": [{ "type": "TCP", "host": "127.0.0.1", "port": 9 }] });
    lab[standby].api().put(&lab[standby].api().path(VIP), &checks).expect(200);
    let shown = |lab: &Lab| -> link::wire::OneIp {
        lab[standby].api().get(&lab[standby].api().path(VIP)).expect(200).read()
    };
    eventually("its check fails, and the owner's host is heard", || {
        let seen = shown(&lab).ip.seen.expect("one IP is shown in full");
        let is_heard = seen.owners_host.is_some_and(|host| host.network == "answers");
        is_heard
            && seen.checked.is_some_and(|checked| !checked.passed && checked.last_error.is_some())
    });
    let show = |lab: &Lab| {
        let output = lab.run_on(standby, &Program::new(linkctl()).args(["show", "10.0.1.1"]));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = show(&lab);
    for part in ["answers for", "failing for", "ago: check TCP 127.0.0.1:9", "5000 ms after"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    lab.etcd.stop();
    found(&lab, standby, "etcd", "etcd");
    let text = show(&lab);
    assert!(text.contains("check result") && text.contains("bound"), "{text}");
}
