//! The service behind the IP fails on its owner, and the health check finds out.

use std::net::TcpListener;
use std::time::Instant;

use serde_json::json;

use super::contender::{Contender, measured};
use super::harness::{HostId, Lab, PingReport, Refusals, eventually};
use super::keepalived::{Keepalived, Setting};
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, gaps};
use super::watch::Watch;

/// The port of the service, on each host's loopback.
const PORT: u16 = 8080;

/// Failed checks in a row after which a host gives the IP up, for both programs.
const FALL: usize = 3;

pub(crate) fn check(options: &Options) -> Vec<Row> {
    measured(options, agents, keepalived, service_fails)
}

fn agents() -> Linkd {
    let variables = [("HEALTH_CHECK_INTERVAL", "1s"), ("FAIL_COUNT_BEFORE_FAILOVER", "3")];
    let checks = json!([{ "type": "TCP", "host": "127.0.0.1", "port": PORT }]);
    Linkd::start(Lab::new(3), &variables, &checks)
}

fn keepalived() -> Keepalived {
    Keepalived::start(Setting { advert: "1", check: Some(PORT), ..Setting::default() })
}

fn service_fails(contender: &mut dyn Contender, runs: usize) -> Vec<Row> {
    let listen = |contender: &dyn Contender, host: HostId| contender.lab()[host].listen(PORT);
    let ids = contender.lab().ids();
    let mut services: Vec<Option<TcpListener>> =
        ids.iter().map(|id| Some(listen(contender, *id))).collect();
    let mut owner = contender.owner();
    let mut moved = Vec::new();
    let once = |_| {
        let mut watch = Watch::start(contender.lab());
        let mut refusals = Refusals::start(contender.lab()[owner].namespace(), PORT);
        let service = usize::from(owner.0) - 1;
        services[service] = None;
        let decided = await_refusals(&mut refusals);
        let announced = watch.await_announcement(contender.lab()[owner].mac());
        moved.push(announced.saturating_duration_since(decided));
        let heir = watch.await_heir(owner);
        let report = watch.end();
        services[service] = Some(listen(contender, owner));
        contender.await_standby(owner);
        owner = heir;
        report
    };
    let pings: Vec<PingReport> = (0..runs).map(once).collect();
    let [gap, lost, noise] = gaps("the owner's health check fails (1 s, 3 times)", &pings);
    let moved = Row::milliseconds("  third failure to the new owner's announcement", moved);
    vec![gap.mark(8.0), lost, noise, moved.mark(8.0)]
}

/// Waits for the failed check that decides, and says when it failed.
fn await_refusals(refusals: &mut Refusals) -> Instant {
    eventually("the check has failed often enough", || refusals.moments().len() >= FALL);
    refusals.moments()[FALL - 1]
}
