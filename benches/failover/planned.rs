//! Moves that somebody wants.

use std::time::Instant;

use super::contender::{Contender, measured};
use super::harness::PingReport;
use super::keepalived::{Keepalived, Setting};
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, gaps};
use super::watch::Watch;

/// keepalived has no order for that; what comes nearest is SIGHUP after two hosts have exchanged
/// their priorities.
pub(crate) fn failover(options: &Options) -> Vec<Row> {
    let setting = Setting { advert: "1", preempt: true, ..Setting::default() };
    let keepalived = || Keepalived::start(setting);
    measured(options, || Linkd::sharing(&[]), keepalived, handed_over)
}

pub(crate) fn sigterm(options: &Options) -> Vec<Row> {
    let keepalived = || Keepalived::advertising("1");
    measured(options, || Linkd::sharing(&[]), keepalived, terminated)
}

fn handed_over(contender: &mut dyn Contender, runs: usize) -> Vec<Row> {
    let mut owner = contender.owner();
    let (mut announced, mut shared) = (Vec::new(), Vec::new());
    let once = |_| {
        let mut watch = Watch::start(contender.lab());
        let ordered = contender.hand_over(owner);
        let announcement = watch.await_announcement(contender.lab()[owner].mac());
        announced.push(announcement - ordered);
        owner = watch.await_heir(owner);
        shared.push(watch.holders.shared_for());
        watch.end()
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let [gap, lost, noise] = gaps("failover by order", &pings);
    let announced = Row::milliseconds("  to the new owner's announcement", announced);
    let shared = Row::milliseconds("  two hosts have the IP for", shared);
    vec![
        gap.marks(2.0, 5.0),
        lost.marks(0.0, 0.0),
        noise,
        announced.marks(5.0, 12.0),
        shared.marks(15.0, 50.0),
    ]
}

fn terminated(contender: &mut dyn Contender, runs: usize) -> Vec<Row> {
    let mut owner = contender.owner();
    let mut alone = Vec::new();
    let once = |_| {
        let mut watch = Watch::start(contender.lab());
        let asked = Instant::now();
        contender.terminate(owner);
        let heir = watch.await_heir(owner);
        alone.push(watch.settled_after(asked));
        let report = watch.end();
        contender.restart(owner);
        owner = heir;
        report
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let [gap, lost, noise] = gaps("SIGTERM of the owner", &pings);
    let alone = Row::milliseconds("  to another owner alone", alone);
    vec![gap.marks(2.0, 5.0), lost, noise, alone.marks(50.0, 50.0)]
}
