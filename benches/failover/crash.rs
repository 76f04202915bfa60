//! The owner's host dies, without a farewell.

use super::contender::{Contender, measured};
use super::harness::{HostId, Lab, PingReport, VIP};
use super::keepalived::Keepalived;
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, gaps};
use super::watch::Watch;

/// As an operator would leave it, with VRRP's usual second between two advertisements.
pub(crate) fn defaults(options: &Options) -> Vec<Row> {
    let keepalived = || Keepalived::advertising("1");
    measured(
        options,
        || Linkd::sharing(&[]),
        keepalived,
        |contender, runs| {
            dies(contender, runs, "as configured by default", (350.0, 550.0), as_it_is)
        },
    )
}

/// The lease alone tells.
pub(crate) fn lease(options: &Options) -> Vec<Row> {
    let variables = [("KEEPALIVE_INTERVAL", "1s"), ("CRASH_DETECTION", "off")];
    let mut linkd = Linkd::sharing(&variables);
    dies(&mut linkd, options.runs, "no crash detection", (5000.0, 5600.0), as_it_is)
}

pub(crate) fn fast(options: &Options) -> Vec<Row> {
    let linkd = || Linkd::sharing(&probing("100ms"));
    let keepalived = || Keepalived::advertising("0.1");
    measured(options, linkd, keepalived, |contender, runs| {
        dies(contender, runs, "a probe or advert in 100 ms", (250.0, 350.0), as_it_is)
    })
}

pub(crate) fn fastest(options: &Options) -> Vec<Row> {
    let linkd = || Linkd::sharing(&probing("10ms"));
    let keepalived = || Keepalived::advertising("0.01");
    measured(options, linkd, keepalived, |contender, runs| {
        dies(contender, runs, "a probe or advert in 10 ms", (28.0, 60.0), as_it_is)
    })
}

pub(crate) fn strict20(options: &Options) -> Vec<Row> {
    let mut linkd = Linkd::sharing(&[("PROBE_INTERVAL", "20ms")]);
    dies(&mut linkd, options.runs, "strict, PROBE_INTERVAL=20ms", (120.0, 200.0), as_it_is)
}

fn probing(interval: &str) -> [(&str, &str); 3] {
    [("CRASH_DETECTION", "fast"), ("PROBE_INTERVAL", interval), ("PROBE_COUNT", "2")]
}

/// Nothing is done before the owner's host dies.
fn as_it_is(_: &Lab, _: HostId) {}

/// The owner's host dies, after something was done to the lab.
pub(crate) fn dies(
    contender: &mut dyn Contender,
    runs: usize,
    what: &str,
    (median, worst): (f64, f64),
    prepare: impl Fn(&Lab, HostId),
) -> Vec<Row> {
    let mut owner = contender.owner();
    let mut off = Vec::new();
    let once = |_| {
        prepare(contender.lab(), owner);
        let mut watch = Watch::start(contender.lab());
        assert_eq!(watch.holders.now(), [owner], "nothing has moved since the last time");
        contender.power_off(owner);
        let heir = watch.await_heir(owner);
        contender.lab().await_reachable(VIP);
        let report = watch.end();
        let said = contender.says_it_took(heir);
        off.extend(said.map(|said| (said.as_secs_f64() - report.longest_gap.as_secs_f64()) * 1e3));
        contender.power_on(owner);
        // The first heir may have been one whose member of etcd had died: then it has moved on.
        owner = contender.owner();
        report
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let [gap, lost, noise] = gaps(&format!("owner's host dies, {what}"), &pings);
    let said =
        (!off.is_empty()).then(|| Row::new("  what the program says, less the gap", "ms", off));
    [gap.marks(median, worst), lost, noise].into_iter().chain(said).collect()
}
