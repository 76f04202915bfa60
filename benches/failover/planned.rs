//! Moves that somebody wants.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::contender::{Contender, measured};
use super::harness::{Connection, PingReport, VIP};
use super::keepalived::{Keepalived, Setting};
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, gaps};
use super::watch::Watch;

/// Where the service behind the IP listens.
const PORT: u16 = 7000;

/// A client that does not know after so long may wait for ever.
const NEVER: Duration = Duration::from_secs(2);

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
    let (mut announced, mut shared, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let once = |_| {
        let lab = contender.lab();
        let service = lab[owner].listen_at(Ipv4Addr::UNSPECIFIED, PORT);
        let connection = Connection::open(&lab.client, &service, VIP.ip(), NEVER);
        let mut watch = Watch::start(lab);
        let [idle, _] = connection.listen();
        let ordered = contender.hand_over(owner);
        let announcement = watch.await_announcement(contender.lab()[owner].mac());
        announced.push(announcement - ordered);
        owner = watch.await_heir(owner);
        shared.push(watch.holders.shared_for());
        let (heard, at) = idle.join().expect("the client waits");
        told.extend((heard == Some(ErrorKind::ConnectionReset)).then(|| at - ordered));
        watch.end()
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let [gap, lost, noise] = gaps("failover by order", &pings);
    let announced = Row::milliseconds("  to the new owner's announcement", announced);
    let shared = Row::milliseconds("  two hosts have the IP for", shared);
    let told = Row::milliseconds("  an idle TCP client knows after", told);
    vec![
        gap.marks(2.0, 5.0),
        lost.marks(0.0, 0.0),
        noise,
        announced.marks(5.0, 12.0),
        shared.marks(15.0, 50.0),
        told.marks(50.0, 50.0),
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
