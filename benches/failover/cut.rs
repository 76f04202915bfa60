//! Networks that fail apart from each other, and come back.

use std::time::{Duration, Instant};

use serde_json::json;

use super::contender::{Contender, measured};
use super::harness::{HostId, Lab, PingReport, VIP, Way, eventually, until};
use super::keepalived::Keepalived;
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, attempt, lost};
use super::watch::{Watch, pause, random_phase};

/// How long the owner is off the LAN: long enough for others to know, whatever they go by.
const ISOLATION: Duration = Duration::from_secs(7);

/// How long the owner is off etcd, and how long with `--long`.
const CUT: Duration = Duration::from_secs(15);
const LONG_CUT: Duration = Duration::from_secs(60);

/// How long after the healing is listened to: a client asks again once a second for an address that
/// nobody had (`retrans_time_ms`).
const CONVALESCENCE: Duration = Duration::from_secs(2);

/// The longest outage that is waited out: as long as it takes a client to doubt by itself what it
/// knows of an address (45 s of `base_reachable_time_ms`, 5 of `delay_first_probe_time`, 3 probes).
const OUTAGE: Duration = Duration::from_secs(60);

pub(crate) fn isolated(options: &Options) -> Vec<Row> {
    let keepalived = || Keepalived::advertising("1");
    let mut rows = measured(
        options,
        || Linkd::sharing(&[]),
        keepalived,
        |contender, runs| {
            is_isolated(contender, runs, "owner off the LAN and back: gap from then on")
        },
    );
    rows.extend(attempt(|| {
        let lab = Lab::builder(3).management_network().build();
        let mut apart = Linkd::start(lab, &[], &json!([]));
        let what = "owner off the LAN, not off etcd, and back: gap from then on";
        is_isolated(&mut apart, options.runs, what)
    }));
    rows
}

fn is_isolated(contender: &mut dyn Contender, runs: usize, what: &str) -> Vec<Row> {
    let mut owner = contender.owner();
    let once = |_| {
        let lab = contender.lab();
        let mut watch = Watch::start(lab);
        lab.isolate(owner);
        pause(ISOLATION);
        random_phase();
        let healed = Instant::now();
        lab.heal_wire();
        owner = watch.await_one();
        until(OUTAGE, || lab.client.reaches(VIP.ip()));
        pause(CONVALESCENCE);
        watch.end_since(healed)
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let gaps = pings.iter().map(|report| report.longest_gap);
    vec![Row::milliseconds(what, gaps).marks(100.0, 100.0), lost(&pings)]
}

/// The owner is cut off and stays alive, after something was done to the lab: when another serves, and
/// when one alone has the IP after the heal; with a mark for each.
pub(crate) fn is_cut_off(
    contender: &mut dyn Contender,
    runs: usize,
    what: &str,
    [taken_mark, alone_mark]: [f64; 2],
    prepare: impl Fn(&Lab, HostId),
) -> Vec<Row> {
    let mut owner = contender.owner();
    let (mut taken, mut alone) = (Vec::new(), Vec::new());
    let once = |_| {
        let lab = contender.lab();
        prepare(lab, owner);
        let mut watch = Watch::start(lab);
        let cut = Instant::now();
        lab.isolate(owner);
        let heard = watch.find_announcement(lab[owner].mac(), ISOLATION);
        taken.extend(heard.map(|at| at.saturating_duration_since(cut)));
        pause(ISOLATION.saturating_sub(cut.elapsed()));
        random_phase();
        let healed = Instant::now();
        lab.heal_wire();
        watch.await_one();
        pause(CONVALESCENCE);
        alone.push(watch.settled_after(healed));
        owner = watch.await_one();
        until(OUTAGE, || lab.client.reaches(VIP.ip()));
        watch.end_since(healed)
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let gaps = pings.iter().map(|report| report.longest_gap);
    vec![
        Row::milliseconds(&format!("{what}: another serves after"), taken).mark(taken_mark),
        Row::milliseconds("  the heal to one owner", alone).mark(alone_mark),
        Row::milliseconds("  gap from then on", gaps),
    ]
}

pub(crate) fn from_etcd(options: &Options) -> Vec<Row> {
    let cut = if options.long { LONG_CUT } else { CUT };
    let mut linkd = Linkd::sharing(&[]);
    let mut owner = linkd.owner();
    let mut alone = Vec::new();
    let once = |_| {
        let lab = linkd.lab_mut();
        let mut watch = Watch::start(lab);
        lab.cut_from_etcd(owner, Way::Both);
        pause(cut);
        random_phase();
        let healed = Instant::now();
        lab[owner].heal();
        let former = owner;
        owner = watch.await_one();
        pause(CONVALESCENCE);
        alone.push(watch.settled_after(healed));
        if owner != former {
            linkd.await_standby(former);
        }
        watch.end()
    };
    let pings: Vec<PingReport> = (0..options.runs).map(once).collect();
    let what = format!("owner off etcd for {cut:?} and back: one owner after");
    let gaps = pings.iter().map(|report| report.longest_gap);
    vec![
        Row::milliseconds(&what, alone).marks(500.0, 1000.0),
        Row::milliseconds("  gap during all that", gaps),
        lost(&pings),
    ]
}

pub(crate) fn etcd_loss(options: &Options) -> Vec<Row> {
    let mut linkd = Linkd::sharing(&[]);
    let lab = linkd.lab_mut();
    let standby = lab.other_than(lab.await_owner(VIP));
    let (mut black_hole, mut stopped) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        black_hole.push(time_to_fault(lab, |lab| lab.cut_from_etcd(standby, Way::Both)));
        lab[standby].heal();
        lab[standby].await_status(VIP, "STANDBY");
    }
    for _ in 0..options.runs {
        stopped.push(time_to_fault(lab, |lab| lab.etcd.stop()));
        lab.etcd.start_all();
        lab.await_owner(VIP);
        eventually("one candidate at least", || {
            lab.ids().into_iter().any(|id| lab[id].api().status(VIP) == "STANDBY")
        });
    }
    vec![
        Row::seconds("etcd behind a black hole: a standby announces the IP after", black_hole),
        Row::seconds("etcd stopped: a standby announces the IP after", stopped),
    ]
}

/// From a fault to the first announcement by a host that did not own the IP before.
fn time_to_fault(lab: &mut Lab, fault: impl FnOnce(&mut Lab)) -> Duration {
    random_phase();
    let owner = lab[lab.await_owner(VIP)].mac();
    let mut capture = lab.client.capture();
    let began = Instant::now();
    fault(lab);
    let announced = capture.wait_for("a standby's announcement", |frame| {
        frame.announces(VIP.ip()) && frame.source != owner
    });
    announced.at - began
}
