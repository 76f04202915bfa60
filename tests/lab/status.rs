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
    assert_eq!(told(&lab, asked).0, Some(8));
}
