//! A host that its operator has switched off, and says so.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crash::sharing;
use crate::harness::*;

/// Nothing else than the end of the lease, of 15 s, moves an IP.
const OFF: [(&str, &str); 1] = [("CRASH_DETECTION", "off")];

/// Less than the lease of the dead host has left, by far.
const AT_ONCE: Duration = Duration::from_secs(3);

fn order(host: HostId, force: bool) -> Value {
    json!({ "host": host.to_string(), "force": force })
}

fn fence(lab: &Lab, by: HostId, host: HostId) -> Response {
    lab[by].api().post("/fence", &order(host, false))
}

fn linkctl_on(host: &Host, args: &[&str]) -> Output {
    host.namespace().output(Command::new(linkctl()).args(args))
}

/// The events of a host, one on a line.
fn events(host: &Host) -> String {
    let events: link::wire::Events = host.api().get("/events").expect(200).read();
    let line = |it: &link::wire::Event| {
        let by = it.by.as_deref().unwrap_or_default();
        format!("{} {} {}: {} by {by}\n", it.kind, it.ip.as_deref().unwrap_or("-"), it.what, it.why)
    };
    events.events.iter().map(line).collect()
}

#[test]
fn the_ips_of_a_host_that_is_off_move_when_that_is_said() {
    let (mut lab, mut owner) = sharing(&OFF);
    for times in 0..3 {
        let lease = lab.lock(VIP).expect("it has an owner").lease;
        let by = lab.other_than(owner);
        // It may have been so ordered in the round before the last.
        let asked = format!("change - fence {owner}:  by 127.0.0.1");
        let before = events(&lab[by]).matches(&asked).count();
        lab[owner].power_off();
        let begin = Instant::now();
        let answer = fence(&lab, by, owner).expect(200).json();
        let told = begin.elapsed();
        let heir = || lab.bound_on(VIP).first().copied();
        within(AT_ONCE, "another host has it", || heir().is_some());
        println!("taken {:?} after the order, which was answered after {told:?}", begin.elapsed());
        assert!(told < AT_ONCE && !lab.etcd.has_lease(lease), "{told:?}");
        let heir = lab.await_owner_other_than(owner, VIP);
        let ips = json!([{"ip": VIP.to_string(), "owner": heir.to_string()}]);
        assert_eq!(answer, json!({"host": owner.to_string(), "ips": ips}));
        lab.await_reachable(VIP);
        let events = events(&lab[by]);
        assert_eq!(events.matches(&asked).count(), before + 1, "round {times}: {events}");
        assert!(events.contains(&format!("host {owner} is fenced by order")), "{events}");
        let log = lab[by].agent().log();
        assert!(log.contains(&format!("POST /fence {owner} from 127.0.0.1: done")), "{log}");
        assert!(log.contains(&format!("host {owner} is fenced by order; it had 1 IPs")), "{log}");

        // It boots, and is a candidate as any.
        lab[owner].power_on();
        lab[owner].restart();
        lab[owner].await_status(VIP, "STANDBY");
        assert_eq!(lab.bound_on(VIP), [heir]);
        owner = heir;
    }
}

#[test]
fn a_host_that_lives_is_not_fenced() {
    for settings in [&[][..], &OFF] {
        let (mut lab, owner) = sharing(settings);
        let by = lab.other_than(owner);
        let refused = |lab: &Lab, part: &str| {
            let answer = fence(lab, by, owner).expect(409).error();
            assert!(
                answer.contains(&format!("{owner} lives")) && answer.contains(part),
                "{answer}"
            );
            assert_eq!((lab.owner(VIP), lab.bound_on(VIP)), (Some(owner), vec![owner]));
        };
        // Whichever of the two answers first.
        refused(&lab, "");
        // It is asked in two ways, of which one is enough.
        lab.block_wire(owner, by);
        refused(&lab, "its agent answers in etcd");
        lab.heal_wire();
        lab[owner].agent().freeze();
        refused(&lab, "on the network");
        lab[owner].agent().thaw();
        lab[owner].kill();
        refused(&lab, "on the network");
        lab[owner].restart();
        lab[owner].await_status(VIP, "ACTIVATED");
        let run = linkctl_on(&lab[by], &["fence", &owner.to_string()]);
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.code() == Some(1) && told.contains("-> switch it off"), "{run:?}");
        assert_eq!((lab.owner(VIP), lab.bound_on(VIP)), (Some(owner), vec![owner]));
        // A standby has no IP for which it could answer.
        let standby = lab.ids().into_iter().find(|id| *id != owner && *id != by).expect("three");
        let answer = fence(&lab, by, standby).expect(409).error();
        assert!(answer.contains("its agent answers in etcd"), "{answer}");
    }
}

#[test]
fn a_host_that_is_fenced_by_force_and_lives_lets_go_and_comes_after_the_others() {
    let (lab, owner) = sharing(&OFF);
    let by = lab.other_than(owner);
    let lease = lab.lock(VIP).expect("it has an owner").lease;
    let mut holders = lab.watch_holders(VIP);
    let run = linkctl_on(&lab[by], &["fence", &owner.to_string(), "--force", "--yes"]);
    assert!(run.status.success(), "{run:?}");
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(told.starts_with(&format!("{owner} is fenced; 1 of its 1 IPs")), "{told}");
    let heir = lab.await_owner_other_than(owner, VIP);
    eventually("one alone has it", || lab.bound_on(VIP) == [heir]);
    lab[owner].await_status(VIP, "STANDBY");
    assert!(!lab.etcd.has_lease(lease));
    lab.await_reachable(VIP);
    println!("two hosts had it for {:?}", holders.shared_for());
    let events = events(&lab[by]);
    assert!(events.contains(&format!("fence {owner} by force")), "{events}");
}

#[test]
fn who_is_no_other_host_of_the_cluster_is_not_fenced() {
    let (lab, owner) = sharing(&OFF);
    let by = lab.other_than(owner);
    for force in [false, true] {
        let stranger = json!({ "host": "h99", "force": force });
        let answer = lab[by].api().post("/fence", &stranger).expect(409).error();
        let named = lab.ids().into_iter().all(|id| answer.contains(&id.to_string()));
        assert!(answer.contains("\"h99\" is no host of this cluster") && named, "{answer}");
        let answer = lab[by].api().post("/fence", &order(by, force)).expect(409).error();
        assert!(answer.contains(&format!("{by} is this host")), "{answer}");
    }
    assert_eq!((lab.owner(VIP), lab.bound_on(VIP)), (Some(owner), vec![owner]));
}

#[test]
fn without_etcd_nobody_is_fenced_and_the_answer_says_so() {
    let (mut lab, owner) = sharing(&OFF);
    let by = lab.other_than(owner);
    lab[owner].power_off();
    lab.etcd.stop();
    let answer = fence(&lab, by, owner).expect(503);
    assert!(
        answer.header("Retry-After").is_some() && answer.error().contains("etcd"),
        "{answer:?}"
    );
    // The lease has begun anew with etcd.
    lab.etcd.restart();
    eventually("it is fenced", || fence(&lab, by, owner).status == 200);
    within(AT_ONCE, "another host has it", || !lab.bound_on(VIP).is_empty());
    lab.await_owner_other_than(owner, VIP);
}
