//! How fast an IP appears and moves, and what the agent costs.
//!
//! `cargo bench --features lab --bench failover [-- [--runs N] [CASE]…]`, as root. The lab is the one
//! of the tests: hosts, etcd and a client in network namespaces on one machine. `LINKD` names
//! another agent than the one that cargo builds.
//!
//! Moments on the wire are the kernel's time stamps at the client. A gap is the longest time
//! without an answer to a ping every millisecond; `noise` beside it is the longest time between two
//! probes, which a busy machine stretches.

#![allow(clippy::print_stdout, reason = "a table on stdout is what this program is for")]

#[allow(dead_code, unused_imports, reason = "the tests use the rest of the lab")]
#[path = "../tests/lab/harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant, SystemTime};

use etcd_client::{Client, EventType, WatchOptions};
use harness::{H1, HostId, Lab, PingReport, VIP, Vip, Way, eventually, linkd, until};

/// Runs of a case, unless `--runs` says otherwise; a median of fewer than five says little.
const RUNS: usize = 7;

/// A case, with the name by which it is chosen.
struct Case {
    name: &'static str,
    run: fn(runs: usize) -> Vec<Row>,
}

/// A line of the table.
struct Row {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
}

const CASES: [Case; 9] = [
    Case { name: "create", run: create },
    Case { name: "lock", run: lock },
    Case { name: "failover", run: failover },
    Case { name: "sigterm", run: sigterm },
    Case { name: "down", run: down },
    Case { name: "restart", run: restart },
    Case { name: "etcd", run: etcd_loss },
    Case { name: "memory", run: memory },
    Case { name: "size", run: size },
];

fn main() {
    let (runs, chosen) = arguments();
    println!("{:<66} {:>9} {:>9} {:>9} {:>5}", "case", "median", "min", "max", "runs");
    let wanted = |case: &&Case| chosen.is_empty() || chosen.iter().any(|name| name == case.name);
    for case in CASES.iter().filter(wanted) {
        (case.run)(runs).iter().for_each(Row::print);
    }
}

/// The number of runs, and the names of the cases to run; cargo adds `--bench`.
fn arguments() -> (usize, Vec<String>) {
    let (mut runs, mut chosen) = (RUNS, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--runs" => {
                let number = arguments.next().and_then(|text| text.parse().ok());
                runs = number.filter(|runs| *runs > 0).expect("--runs takes a number");
            }
            name => {
                assert!(CASES.iter().any(|case| case.name == name), "there is no case {name}");
                chosen.push(name.to_owned());
            }
        }
    }
    (runs, chosen)
}

impl Row {
    fn print(&self) {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        let what = format!("{} [{}]", self.what, self.unit);
        println!("{what:<66} {median:>9.2} {min:>9.2} {max:>9.2} {:>5}", sorted.len());
    }
}

fn row(what: &str, unit: &'static str, values: impl IntoIterator<Item = f64>) -> Row {
    Row { what: what.to_owned(), unit, values: values.into_iter().collect() }
}

fn milliseconds(what: &str, values: impl IntoIterator<Item = Duration>) -> Row {
    row(what, "ms", values.into_iter().map(|value| value.as_secs_f64() * 1e3))
}

/// The rows of a case that pings: the gap, what was lost, and the lab's own noise.
fn gaps(what: &str, pings: &[PingReport]) -> Vec<Row> {
    #[allow(clippy::cast_precision_loss, reason = "a count of pings")]
    let lost = pings.iter().map(|report| report.lost as f64);
    vec![
        milliseconds(&format!("{what}: gap"), pings.iter().map(|report| report.longest_gap)),
        row("  pings lost", "1", lost),
        milliseconds("  noise", pings.iter().map(|report| report.longest_stall)),
    ]
}

/// Waits for a moment that has nothing to do with the agents' timers.
fn random_phase() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let moment = Duration::from_micros(u64::from(now.subsec_nanos() / 7 % 1_000_000));
    until(Duration::from_secs(1) + moment, || false);
}

/// A lab of three hosts that share an IP which the client reaches.
fn sharing() -> (Lab, HostId) {
    let lab = Lab::sharing(3, VIP);
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    (lab, owner)
}

fn create(runs: usize) -> Vec<Row> {
    let mut lab = Lab::new(3);
    lab.start_all();
    let mut once = |number: u16| {
        let vip = Vip::v4(number);
        let mut capture = lab.client.capture();
        random_phase();
        let asked = Instant::now();
        let api = lab[H1].api();
        api.add(vip);
        let announced = capture.wait_for_announcement(vip.ip());
        api.delete(&api.path(vip)).expect(204);
        announced.at - asked
    };
    let times: Vec<Duration> = (10..).take(runs).map(&mut once).collect();
    vec![milliseconds("POST /ips to the first gratuitous ARP", times)]
}

/// The owner is frozen, so that the lock goes to another host for certain.
fn lock(runs: usize) -> Vec<Row> {
    let (lab, _) = sharing();
    let once = |_| {
        random_phase();
        let owner = lab.await_owner(VIP);
        let lock = lab.lock(VIP).expect("the owner has the lock");
        let mut capture = lab.client.capture();
        lab[owner].agent().freeze();
        let (asked, seen) = revoke(&lab, &lock.key, lock.lease);
        let announced = capture.wait_for("the new owner's announcement", |frame| {
            frame.announces(VIP.ip()) && frame.source != lab[owner].mac()
        });
        lab[owner].agent().thaw();
        lab[owner].await_status(VIP, "STANDBY");
        (announced.at - asked, announced.at.saturating_duration_since(seen))
    };
    let (asked, seen): (Vec<_>, Vec<_>) = (0..runs).map(once).unzip();
    vec![
        milliseconds("DELETE event of the lock to the new owner's first ARP", seen),
        milliseconds("  the same from before the lease was revoked", asked),
    ]
}

/// Revokes the lease of a lock: when that was asked for, and when a watch of the lock has seen it.
fn revoke(lab: &Lab, key: &str, lease: i64) -> (Instant, Instant) {
    let watch = async {
        let mut etcd = Client::connect([lab.etcd.endpoints()], None).await?;
        let options = WatchOptions::new().with_filters([etcd_client::WatchFilterType::NoPut]);
        let mut stream = etcd.watch(key, Some(options)).await?;
        let asked = Instant::now();
        etcd.lease_revoke(lease).await?;
        loop {
            let events = stream.message().await?.expect("the watch goes on");
            if events.events().iter().any(|event| event.event_type() == EventType::Delete) {
                return Ok::<_, etcd_client::Error>((asked, Instant::now()));
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("start a runtime");
    let moments = lab.client.namespace().run(|| runtime.block_on(watch));
    moments.expect("watch the lock and revoke its lease")
}

fn failover(runs: usize) -> Vec<Row> {
    let (lab, mut owner) = sharing();
    let mut first = Vec::new();
    let mut once = |_| {
        random_phase();
        let mut capture = lab.client.capture();
        let pinger = lab.client.ping(VIP.ip());
        let asked = Instant::now();
        lab[owner].api().failover(VIP).expect(204);
        let announced = capture.wait_for("the new owner's announcement", |frame| {
            frame.announces(VIP.ip()) && frame.source != lab[owner].mac()
        });
        first.push(announced.at - asked);
        owner = lab.await_owner_other_than(owner, VIP);
        pinger.stop()
    };
    let pings: Vec<PingReport> = (0..runs).map(&mut once).collect();
    let mut rows = gaps("failover by the API", &pings);
    rows.push(milliseconds("  request to the new owner's first ARP", first));
    rows
}

fn sigterm(runs: usize) -> Vec<Row> {
    let (mut lab, mut owner) = sharing();
    let mut once = |_| {
        random_phase();
        let pinger = lab.client.ping(VIP.ip());
        assert!(lab[owner].terminate().success());
        let heir = lab.await_owner_other_than(owner, VIP);
        let report = pinger.stop();
        lab[owner].restart();
        lab[owner].await_status(VIP, "STANDBY");
        owner = heir;
        report
    };
    let pings: Vec<PingReport> = (0..runs).map(&mut once).collect();
    gaps("SIGTERM of the owner", &pings)
}

fn down(runs: usize) -> Vec<Row> {
    let (mut lab, mut owner) = sharing();
    let mut once = |_| {
        random_phase();
        let pinger = lab.client.ping(VIP.ip());
        until(Duration::from_millis(100), || false);
        lab[owner].power_off();
        let heir = lab.await_owner(VIP);
        lab.await_reachable(VIP);
        let report = pinger.stop();
        lab[owner].power_on();
        lab[owner].restart();
        lab[owner].await_status(VIP, "STANDBY");
        owner = heir;
        report
    };
    let pings: Vec<PingReport> = (0..runs).map(&mut once).collect();
    gaps("owner's host dies, KEEPALIVE_INTERVAL=1s", &pings)
}

fn restart(runs: usize) -> Vec<Row> {
    let (mut lab, owner) = sharing();
    let mut once = |_| {
        random_phase();
        let pinger = lab.client.ping(VIP.ip());
        lab[owner].kill();
        lab[owner].restart();
        lab[owner].await_status(VIP, "ACTIVATED");
        // As long as the lease it had when it was killed.
        until(Duration::from_secs(5), || false);
        assert_eq!(lab.owner(VIP), Some(owner), "the IP has moved");
        pinger.stop()
    };
    let pings: Vec<PingReport> = (0..runs).map(&mut once).collect();
    gaps("kill -9 of the owner's agent and restart", &pings)
}

fn etcd_loss(runs: usize) -> Vec<Row> {
    let (mut lab, owner) = sharing();
    let standby = lab.other_than(owner);
    let mut black_hole = Vec::new();
    for _ in 0..runs {
        random_phase();
        black_hole.push(time_to_fault(&mut lab, |lab| lab.cut_from_etcd(standby, Way::Both)));
        lab[standby].heal();
        lab[standby].await_status(VIP, "STANDBY");
    }
    let mut stopped = Vec::new();
    for _ in 0..runs {
        random_phase();
        stopped.push(time_to_fault(&mut lab, |lab| lab.etcd.stop()));
        lab.etcd.start_all();
        lab.await_owner(VIP);
        eventually("one candidate at least", || {
            lab.ids().into_iter().any(|id| lab[id].api().status(VIP) == "STANDBY")
        });
    }
    vec![
        milliseconds("etcd behind a black hole to the standby's first ARP", black_hole),
        milliseconds("etcd stopped to a standby's first ARP", stopped),
    ]
}

/// From a fault to the first announcement by a host that did not own the IP before.
fn time_to_fault(lab: &mut Lab, fault: impl FnOnce(&mut Lab)) -> Duration {
    let owner = lab[lab.await_owner(VIP)].mac();
    let mut capture = lab.client.capture();
    let began = Instant::now();
    fault(lab);
    let announced = capture.wait_for("a standby's announcement", |frame| {
        frame.announces(VIP.ip()) && frame.source != owner
    });
    announced.at - began
}

fn memory(runs: usize) -> Vec<Row> {
    let mut values = Vec::new();
    for _ in 0..runs.div_ceil(3) {
        let (lab, _) = sharing();
        until(Duration::from_secs(6), || false);
        #[allow(clippy::cast_precision_loss, reason = "megabytes with two digits")]
        values.extend(lab.ids().into_iter().map(|id| lab[id].agent().rss() as f64 / 1e6));
    }
    vec![row("memory (RSS) with one IP, after 6 s", "MB", values)]
}

fn size(_: usize) -> Vec<Row> {
    let metadata = std::fs::metadata(linkd()).expect("the agent is there");
    #[allow(clippy::cast_precision_loss, reason = "megabytes with two digits")]
    let megabytes = metadata.len() as f64 / 1e6;
    vec![row(&format!("size of {}", linkd().display()), "MB", [megabytes])]
}
