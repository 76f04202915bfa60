//! What a change of one IP costs the agent, by how many it has: that is not to grow.
//!
//! The agent's own processor time is measured, of all its threads, with what the kernel does for
//! them. IPs are announced once, so that nothing is under way when a measurement begins.

use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde_json::json;

use super::harness::{H1, H2, HostId, Lab, Vip, until};
use super::linkd::{Connection, offer, start_agents};
use super::options::Options;
use super::table::{Row, attempt};
use super::watch::pause;

/// How many IPs the agent has when it is measured.
const NUMBERS: [u16; 5] = [10, 100, 1000, 4000, 10_000];

/// How many more come, are changed, move and go.
const MORE: u16 = 100;

/// The first of these.
const FIRST: u16 = 20_001;

/// Repetitions, unless fewer are asked for.
const RUNS: usize = 5;

/// The processor time of a second in which the agent does nothing, and how long that is waited for.
const QUIET: Duration = Duration::from_millis(8);
const PATIENCE: Duration = Duration::from_secs(120);

/// What a change brings about at once: it is over by then.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What a change brings about later: etcd is read again after 10 s.
const LATER: Duration = Duration::from_secs(12);

/// How long it is watched while it does nothing: longer than what is repeated every minute.
const IDLE: Duration = Duration::from_secs(75);

/// For as many IPs as are measured, announced once.
const VARIABLES: [(&str, &str); 4] = [
    ("MAX_NUMBER_OF_ENDPOINTS", "-1"),
    ("ARP_GRATUITOUS_INTERVAL", "1s"),
    ("ARP_GRATUITOUS_COUNT", "1"),
    ("KEEPALIVE_INTERVAL", ""),
];

/// The changes that are measured.
const CHANGES: [&str; 4] =
    ["POST /ips", "PUT /ips/:id", "POST /ips/:id/failover", "DELETE /ips/:id"];

pub(crate) fn cost_per_ip(options: &Options) -> Vec<Row> {
    let mut lab = Lab::new(2);
    start_agents(&mut lab, &VARIABLES);
    let mut rows = Vec::new();
    let mut has = 0;
    for number in NUMBERS {
        // What was measured with fewer is told whatever becomes of it.
        rows.extend(attempt(|| {
            let mut client = Connection::to(&lab, H1);
            (has + 1..=number).for_each(|ip| drop(offer(&mut client, ip, true)));
            has = number;
            let mut rows = changes(&lab, number, options.runs.min(RUNS));
            rows.extend(idle(&lab, number));
            rows
        }));
        if has < number {
            break;
        }
    }
    rows
}

/// What changes cost an agent that has so many IPs.
fn changes(lab: &Lab, number: u16, runs: usize) -> Vec<Row> {
    let mut costs = [const { Vec::new() }; CHANGES.len()];
    for _ in 0..runs {
        for (costs, cost) in costs.iter_mut().zip(Change::all(lab)) {
            costs.push(cost);
        }
    }
    let mut rows = Vec::new();
    for (change, costs) in CHANGES.iter().zip(costs) {
        let (at_once, later): (Vec<_>, Vec<_>) = costs.into_iter().unzip();
        let what = format!("{change} with {number} IPs: the agent's processor time");
        rows.push(Row::milliseconds(&what, at_once).mark(0.6));
        let what = format!("  all in the {LATER:?} after {MORE} of these");
        rows.push(Row::milliseconds(&what, later));
    }
    rows
}

/// What a change costs for each IP, and what all of them cost later.
type Cost = (Duration, Duration);

/// IPs that come, change, move to another host and back, and go.
struct Change<'a> {
    lab: &'a Lab,
    client: Connection,
    other: Connection,
    /// Their ids on the host that is measured, and on the other one.
    ids: Vec<[String; 2]>,
}

impl Change<'_> {
    /// What each kind costs.
    fn all(lab: &Lab) -> [Cost; CHANGES.len()] {
        let (client, other) = (Connection::to(lab, H1), Connection::to(lab, H2));
        let mut it = Change { lab, client, other, ids: Vec::new() };
        let created = it.cost(Change::create);
        it.offer_elsewhere();
        let changed = it.cost(Change::change);
        let (moved, later) = it.cost(Change::move_away_and_back);
        let moved = (moved / 2, later);
        it.offer_here_alone();
        let deleted = it.cost(Change::delete);
        [created, changed, moved, deleted]
    }

    /// The processor time of something that is done with each.
    fn cost(&mut self, change: fn(&mut Self)) -> Cost {
        calm(self.lab);
        let before = processor_time(self.lab, H1);
        change(self);
        pause(AT_ONCE);
        let done = processor_time(self.lab, H1);
        pause(LATER);
        ((done - before) / u32::from(MORE), processor_time(self.lab, H1) - done)
    }

    fn create(&mut self) {
        for ip in FIRST..FIRST + MORE {
            self.ids.push([offer(&mut self.client, ip, true), String::new()]);
        }
        self.await_on(H1);
    }

    fn offer_elsewhere(&mut self) {
        for (ip, ids) in (FIRST..).zip(&mut self.ids) {
            ids[1] = offer(&mut self.other, ip, true);
        }
    }

    fn change(&mut self) {
        for [id, _] in &self.ids {
            let body = json!({ "healthcheck_interval": 7 });
            self.client.send("PUT", &format!("/ips/{id}"), Some(&body)).expect(200);
        }
    }

    fn move_away_and_back(&mut self) {
        let clients = [(&mut self.client, 0), (&mut self.other, 1)];
        for (client, host) in clients {
            for ids in &self.ids {
                let path = format!("/ips/{}/failover", ids[host]);
                client.send("POST", &path, None).expect(204);
            }
        }
        self.await_on(H1);
    }

    fn offer_here_alone(&mut self) {
        for [_, id] in &self.ids {
            self.other.send("DELETE", &format!("/ips/{id}"), None).expect(204);
        }
    }

    fn delete(&mut self) {
        for [id, _] in self.ids.drain(..) {
            self.client.send("DELETE", &format!("/ips/{id}"), None).expect(204);
        }
    }

    /// Waits until a host has all of them: the kernel is asked, and not the agent.
    fn await_on(&self, host: HostId) {
        let wanted: Vec<_> = (FIRST..FIRST + MORE).map(|ip| Vip::v4(ip).ip()).collect();
        let there = || {
            let addresses = self.lab[host].addresses();
            wanted.iter().all(|ip| addresses.contains(ip))
        };
        assert!(until(PATIENCE, there), "{host} does not have all IPs");
    }
}

/// Waits until an agent has nothing more to do.
fn calm(lab: &Lab) {
    let is_calm = || {
        let before = processor_time(lab, H1);
        pause(Duration::from_secs(1));
        processor_time(lab, H1) - before < QUIET
    };
    assert!(until(PATIENCE, is_calm), "the agent does not come to rest");
}

fn idle(lab: &Lab, number: u16) -> [Row; 2] {
    calm(lab);
    let (before, begun) = (processor_time(lab, H1), Instant::now());
    pause(IDLE);
    let used = processor_time(lab, H1) - before;
    let percent = used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    #[allow(clippy::cast_precision_loss, reason = "megabytes with two digits")]
    let resident = lab[H1].agent().rss() as f64 / 1e6;
    let what = format!("  idle with {number} IPs: processor time");
    [
        Row::new(&what, "% of a core", [percent]).mark(0.3),
        Row::new("  resident memory", "MB", [resident]).mark(100.0),
    ]
}

/// What all threads of an agent have used, those that have ended included.
pub(crate) fn processor_time(lab: &Lab, host: HostId) -> Duration {
    let pid = i32::try_from(lab[host].agent().pid()).expect("a process number");
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).expect("the agent runs");
    Duration::from(clock_gettime(clock).expect("the agent runs"))
}
