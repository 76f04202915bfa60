//! The owner's agent dies alone: its kernel goes on answering.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::contender::Contender;
use super::harness::{HostId, Lab, PingReport, VIP, until};
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, gaps, lost};
use super::watch::{Watch, pause};

/// The longest that the lease of a dead agent stands in the way: its TTL, and the delay with which
/// etcd tells of its end.
const LEASE: Duration = Duration::from_millis(5500);

/// Long after the lease: who has not taken the IP by then will not.
const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) fn restart(options: &Options) -> Vec<Row> {
    let mut linkd = Linkd::sharing(&[]);
    let owner = linkd.owner();
    let lab = linkd.lab_mut();
    let once = |_| {
        let mut watch = Watch::start(lab);
        lab[owner].kill();
        lab[owner].restart();
        lab[owner].await_status(VIP, "ACTIVATED");
        pause(LEASE);
        assert_eq!(watch.holders.now(), [owner], "the IP has moved");
        watch.end()
    };
    let pings: Vec<PingReport> = (0..options.runs).map(once).collect();
    gaps("kill -9 of the owner's agent and restart", &pings).into()
}

/// Nobody restarts the agent, for long: what is seen then is told and not judged.
pub(crate) fn killed(options: &Options) -> Vec<Row> {
    let mut linkd = Linkd::sharing(&[]);
    let mut owner = linkd.owner();
    let (mut taken, mut healed) = (Vec::new(), Vec::new());
    let mut seen = BTreeMap::new();
    let once = |_| {
        let lab = linkd.lab_mut();
        let mut watch = Watch::start(lab);
        let killed = Instant::now();
        lab[owner].kill();
        until(PATIENCE, || watch.holders.now().len() > 1);
        taken.extend(watch.holders.changes().first().map(|change| change.at - killed));
        *seen.entry(told(lab, owner, &watch.holders.now())).or_insert(0) += 1;
        let restarted = Instant::now();
        lab[owner].restart();
        owner = watch.await_one();
        healed.push(watch.settled_after(restarted));
        watch.end()
    };
    let pings: Vec<PingReport> = (0..options.runs).map(once).collect();
    let taken = Row::seconds("kill -9 of the owner's agent: another takes the IP after", taken);
    let healed = Row::milliseconds("  restart to one owner", healed);
    let notes = seen.iter().map(|(text, runs)| {
        Row::note("  seen before the restart", format!("{text} ({runs} of {})", options.runs))
    });
    [taken].into_iter().chain(notes).chain([lost(&pings), healed]).collect()
}

/// How the hosts with the IP are, as far as they tell.
fn told(lab: &Lab, dead: HostId, holders: &[HostId]) -> String {
    let mut told = vec![format!("{} kernels have it", holders.len())];
    for holder in holders.iter().filter(|holder| **holder != dead) {
        let api = lab[*holder].api();
        let ip = api.find(VIP).expect("the new owner offers the IP");
        told.push(format!("the new owner's API: {}, {}", ip.status, ip.reason));
    }
    told.join("; ")
}
