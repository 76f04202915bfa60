//! How long the agent says that a failover took, beside what the client has measured.

use std::time::Duration;

use crate::crash::await_watched;
use crate::harness::*;

/// The agent's figure is to be that near.
const NEAR: Duration = Duration::from_millis(5);

/// Runs of which the median counts.
const RUNS: usize = 5;

/// What the new owner tells: how long it took, and by how much that may be wrong.
fn told(host: &Host, kind: &str) -> (Duration, Duration) {
    let api = host.api();
    let mut told = Default::default();
    eventually("the new owner tells of it", || {
        let shown = api.get(&api.path(VIP)).expect(200).json();
        let last = &shown["ip"]["seen"]["last_failover"];
        let micros = |name: &str| Duration::from_micros(last[name].as_u64().unwrap_or_default());
        told = (micros("took_us"), micros("give_or_take_us"));
        last["kind"] == kind && last["ago"].as_u64().is_some_and(|ago| ago < 20)
    });
    told
}

/// How far the client's figure is from the agent's, without what the lab itself has added.
fn difference(told: Duration, report: &PingReport) -> Duration {
    println!("told {told:?}, measured {:?}, stall {:?}", report.longest_gap, report.longest_stall);
    told.abs_diff(report.longest_gap).saturating_sub(report.longest_stall)
}

#[test]
fn a_planned_failover_is_told_as_the_client_has_seen_it() {
    let lab = Lab::sharing(2, VIP);
    let mut owner = lab.await_calm(VIP);
    lab.await_reachable(VIP);
    let mut differences = Vec::new();
    for _ in 0..RUNS {
        let ping = lab.client.ping(VIP.ip());
        lab[owner].api().failover(VIP).expect(204);
        owner = lab.await_owner_other_than(owner, VIP);
        let (took, blur) = told(&lab[owner], "handover");
        assert_eq!(blur, Duration::ZERO);
        differences.push(difference(took, &ping.stop()));
    }
    differences.sort_unstable();
    assert!(differences[RUNS / 2] <= NEAR, "{differences:?}");
}

#[test]
fn a_crash_is_told_as_the_client_has_seen_it_as_far_as_anybody_knows_when_it_was() {
    let mut lab = Lab::sharing(2, VIP);
    let mut differences = Vec::new();
    for _ in 0..RUNS {
        let owner = lab.await_calm(VIP);
        lab.await_reachable(VIP);
        await_watched(&lab, owner);
        let ping = lab.client.ping(VIP.ip());
        lab.power_off(owner);
        let heir = lab.await_owner_other_than(owner, VIP);
        lab.await_reachable(VIP);
        let (took, blur) = told(&lab[heir], "crash");
        differences.push(difference(took, &ping.stop()).saturating_sub(blur));
        lab.power_on(owner);
        lab[owner].restart();
    }
    differences.sort_unstable();
    assert!(differences[RUNS / 2] <= NEAR, "{differences:?}");
}
