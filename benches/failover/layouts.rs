//! etcd on the hosts that share the IP: what dies with a host is also a part of what decides about it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::contender::{Contender, measured};
use super::crash::dies;
use super::cut::is_cut_off;
use super::harness::{H1, HolderChange, HostId, Lab, PingReport, VIP, eventually};
use super::keepalived::Keepalived;
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, attempt, gaps, lost};
use super::watch::{Watch, pause, random_phase};

/// How long after the boot of all hosts etcd has a quorum, and two hosts that died are back.
const NO_QUORUM: Duration = Duration::from_secs(10);
const DEAD: Duration = Duration::from_secs(15);

/// How long a host takes to boot.
const BOOT: Duration = Duration::from_secs(2);

/// Three hosts with a member each, and their gateway.
fn three_hosts() -> Linkd {
    Linkd::start(Lab::builder(3).etcd_on_hosts(3).gateway().build(), &[], &json!([]))
}

fn keepalived() -> Keepalived {
    Keepalived::advertising("1")
}

/// Has the member on the owner's host lead.
fn lead(lab: &Lab, owner: HostId) {
    lab.lead_on(owner);
}

/// Has the member on another host lead.
fn follow(lab: &Lab, owner: HostId) {
    lab.lead_on(lab.other_than(owner));
}

pub(crate) fn host_dies(options: &Options) -> Vec<Row> {
    let mut rows = measured(options, three_hosts, keepalived, |contender, runs| {
        dies(contender, runs, "with etcd's leader", (500.0, 800.0), lead)
    });
    rows.extend(attempt(|| {
        let what = "with a member of etcd";
        dies(&mut three_hosts(), options.runs, what, (350.0, 550.0), follow)
    }));
    rows
}

pub(crate) fn cut_off(options: &Options) -> Vec<Row> {
    measured(options, three_hosts, keepalived, |contender, runs| {
        let what = "owner off the switch with etcd's leader";
        is_cut_off(contender, runs, what, [500.0, 300.0], lead)
    })
}

/// Two hosts, and the only member of etcd dies with the owner.
pub(crate) fn pair(options: &Options) -> Vec<Row> {
    let of_policy = |policy: &str| {
        let lab = Lab::builder(2).etcd_on_hosts(1).gateway().build();
        let mut linkd = Linkd::start(lab, &[("ETCD_LOSS_POLICY", policy)], &json!([]));
        let once = |_| {
            if linkd.lab().await_calm(VIP) != H1 {
                linkd.hand_over(linkd.owner());
            }
            assert_eq!(linkd.lab().await_calm(VIP), H1);
            let mut watch = Watch::start(linkd.lab());
            linkd.power_off(H1);
            watch.await_heir(H1);
            linkd.lab().await_reachable(VIP);
            let report = watch.end();
            linkd.power_on(H1);
            report
        };
        let pings: Vec<PingReport> = (0..options.runs).map(once).collect();
        let [gap, ..] = gaps(&format!("owner's host dies with the only etcd, {policy}"), &pings);
        vec![gap.mark(600.0)]
    };
    ["take", "probe"].into_iter().flat_map(|policy| attempt(|| of_policy(policy))).collect()
}

/// All hosts are powered on at once, two members of etcd later.
pub(crate) fn boot(options: &Options) -> Vec<Row> {
    let mut linkd = three_hosts();
    let (mut first, mut owners, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let lab = linkd.lab_mut();
        lab.await_calm(VIP);
        lab.ids().into_iter().for_each(|id| lab.power_off(id));
        let mut holders = lab.watch_holders(VIP);
        random_phase();
        let booted = Instant::now();
        for id in lab.ids() {
            lab[id].power_on();
            lab[id].spawn();
        }
        lab.etcd.start_member(0);
        pause(NO_QUORUM);
        let changes = holders.changes();
        first.extend(changes.first().map(|change| change.at - booted));
        owners.push(most(changes));
        lab.etcd.start_all();
        lab.await_calm(VIP);
        shared.push(holders.shared_for());
    }
    vec![
        Row::seconds("all hosts powered on: one has the IP after", first).mark(4.0),
        Row::new("  owners until etcd has its quorum", "1", owners).marks(1.0, 1.0),
        Row::milliseconds("  two hosts have the IP for, all in all", shared),
    ]
}

/// How many hosts had the IP at the same time, if nobody had it at first.
#[allow(clippy::cast_precision_loss, reason = "three hosts at most")]
fn most(changes: &[HolderChange]) -> f64 {
    let (mut now, mut most) = (0_usize, 0);
    for change in changes {
        now = if change.holds { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most as f64
}

/// Two of three hosts die, the owner among them, and come back.
pub(crate) fn last(options: &Options) -> Vec<Row> {
    let mut linkd = three_hosts();
    let (mut taken, mut moves) = (Vec::new(), Vec::new());
    let once = |_| {
        let lab = linkd.lab_mut();
        let owner = lab.await_calm(VIP);
        let dead = [owner, lab.other_than(owner)];
        let mut watch = Watch::start(lab);
        let died = Instant::now();
        dead.into_iter().for_each(|id| lab.power_off(id));
        let heir = watch.await_heir(owner);
        taken.extend(watch.taken_after(died, heir));
        pause(DEAD.saturating_sub(died.elapsed()));
        let back = Instant::now();
        dead.into_iter().for_each(|id| lab.power_on(id));
        dead.into_iter().for_each(|id| lab[id].spawn());
        lab.await_calm(VIP);
        moves.push(gains_since(&mut watch, back));
        watch.end_since(back)
    };
    let pings: Vec<PingReport> = (0..options.runs).map(once).collect();
    let gap = pings.iter().map(|report| report.longest_gap);
    vec![
        Row::seconds("two of three hosts die: the last takes the IP after", taken).mark(5.0),
        Row::milliseconds("  they are back: gap from then on", gap),
        lost(&pings).marks(0.0, 0.0),
        Row::new("  moves from then on", "1", moves).marks(0.0, 0.0),
    ]
}

/// How often a host got the IP since that moment.
#[allow(clippy::cast_precision_loss, reason = "a handful")]
pub(crate) fn gains_since(watch: &mut Watch, moment: Instant) -> f64 {
    let changes = watch.holders.changes().iter();
    changes.filter(|change| change.holds && change.at > moment).count() as f64
}

/// One host after the other is told to boot.
pub(crate) fn reboot(options: &Options) -> Vec<Row> {
    let mut linkd = three_hosts();
    let once = |_| {
        linkd.lab().await_calm(VIP);
        let watch = Watch::start(linkd.lab());
        for id in linkd.lab().ids() {
            linkd.terminate(id);
            let lab = linkd.lab_mut();
            lab.etcd.stop_member(lab.member_on(id).expect("a member on each host"));
            lab.power_off(id);
            pause(BOOT);
            linkd.power_on(id);
            eventually("etcd is complete", || linkd.lab().etcd.is_ready());
        }
        watch.end()
    };
    let pings: Vec<PingReport> = (0..options.runs).map(once).collect();
    let [gap, lost, noise] = gaps("three hosts boot one after the other", &pings);
    vec![gap.mark(20.0), lost.marks(0.0, 0.0), noise]
}
