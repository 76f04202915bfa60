//! What a host pays for doing nothing: memory, processor time, requests to etcd; and the binary.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::contender::{Contender, measured};
use super::harness::{self, HostId, Lab};
use super::keepalived::Keepalived;
use super::linkd::Linkd;
use super::options::Options;
use super::table::Row;
use super::watch::pause;

/// After the last of the announcements that follow a takeover, at 30 s.
const CALM: Duration = Duration::from_secs(35);

/// The same with many IPs: each is announced five times more, at 250 a second, and at last after
/// another 25 s. In the minute that is measured the refresh has begun, and does not end any more.
const CALM_WITH_MANY: Duration = Duration::from_secs(110);

/// How long is measured: the slowest of what is repeated comes once a minute.
const IDLE: Duration = Duration::from_secs(60);

/// Ticks per second in `/proc/PID/stat`: `USER_HZ` of all architectures that matter.
const TICKS: f64 = 100.0;

pub(crate) fn idle(options: &Options) -> Vec<Row> {
    let keepalived = || Keepalived::advertising("1");
    let idling = |contender: &mut dyn Contender, _| idling(contender, "1 IP", CALM, 4.0);
    measured(options, || Linkd::sharing(&[]), keepalived, idling)
}

pub(crate) fn idle_with_many(options: &Options) -> Vec<Row> {
    let idling =
        |contender: &mut dyn Contender, _| idling(contender, "1000 IPs", CALM_WITH_MANY, 14.0);
    measured(options, Linkd::sharing_many, Keepalived::sharing_many, idling)
}

pub(crate) fn size(_: &Options) -> Vec<Row> {
    let metadata = fs::metadata(harness::linkd()).expect("the agent is there");
    #[allow(clippy::cast_precision_loss, reason = "megabytes with two digits")]
    let megabytes = metadata.len() as f64 / 1e6;
    vec![Row::new("size of the agent", "MB", [megabytes]).mark(3.0)]
}

/// Rows with a value for each host: the owner, and those that would take over.
fn idling(contender: &dyn Contender, what: &str, calm: Duration, memory: f64) -> Vec<Row> {
    contender.owner();
    pause(calm);
    let usage = || contender.lab().ids().into_iter().map(|id| Usage::of(contender, id));
    let (before, received_before): (Vec<_>, _) = (usage().collect(), received(contender.lab()));
    pause(IDLE);
    let (after, received_after): (Vec<_>, _) = (usage().collect(), received(contender.lab()));
    let each = |change: fn(&Usage, &Usage) -> f64| {
        before.iter().zip(&after).map(move |(before, after)| change(before, after))
    };
    let resident = Row::new(&format!("idle with {what}: RSS"), "MB", each(|_, now| now.resident));
    let mut rows = vec![
        resident.marks(memory, memory),
        Row::new("  with its part of what is shared (PSS)", "MB", each(|_, now| now.share)),
        Row::new("  processor time", "% of a core", each(Usage::processor_since)).marks(0.1, 0.1),
        Row::new("  times a thread began to wait", "1/s", each(Usage::waits_since)),
    ];
    rows.extend(requests(&received_before, &received_after, before.len()));
    rows
}

/// What the processes of a program on a host have used.
struct Usage {
    at: Instant,
    /// Memory in megabytes.
    resident: f64,
    /// The same, with its part only of what several processes share.
    share: f64,
    /// User and system time in seconds.
    processor: f64,
    /// Voluntary context switches of all threads.
    waits: f64,
}

impl Usage {
    fn of(contender: &dyn Contender, host: HostId) -> Usage {
        let none =
            Usage { at: Instant::now(), resident: 0.0, share: 0.0, processor: 0.0, waits: 0.0 };
        contender.processes(host).into_iter().fold(none, |mut usage, pid| {
            usage.resident += number(&format!("/proc/{pid}/status"), "VmRSS:") * 1024.0 / 1e6;
            usage.share += number(&format!("/proc/{pid}/smaps_rollup"), "Pss:") * 1024.0 / 1e6;
            usage.processor += processor_time(pid);
            usage.waits += waits(pid);
            usage
        })
    }

    /// Percent of a core, between two moments.
    fn processor_since(before: &Usage, now: &Usage) -> f64 {
        (now.processor - before.processor) / (now.at - before.at).as_secs_f64() * 100.0
    }

    fn waits_since(before: &Usage, now: &Usage) -> f64 {
        (now.waits - before.waits) / (now.at - before.at).as_secs_f64()
    }
}

/// The number behind a name in a file of a process or thread.
fn number(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name} in {file}"))
}

/// The 14th and 15th field of `stat` (proc(5)), in seconds.
fn processor_time(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The second field may contain blanks, but ends with the last parenthesis.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

fn waits(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let files = threads.flatten().map(|thread| thread.path().join("status").display().to_string());
    files.map(|file| number(&file, "voluntary_ctxt_switches:")).sum()
}

/// The messages that etcd has received from its clients, by method: one for a unary request, and
/// each of those on a stream, such as the renewals of a lease. Nothing in a lab without etcd.
fn received(lab: &Lab) -> BTreeMap<String, f64> {
    if lab.etcd.addresses().is_empty() {
        return BTreeMap::new();
    }
    let mut received = BTreeMap::new();
    for line in lab.etcd.metrics().lines() {
        let counter = line.strip_prefix("grpc_server_msg_received_total{");
        if let Some((method, count)) = counter.and_then(parse_counter) {
            // Two services may have methods of the same name.
            *received.entry(method).or_default() += count;
        }
    }
    received
}

/// The method and the count in the rest of a line: `grpc_method="Txn",grpc_service="…"} 12`.
fn parse_counter(counter: &str) -> Option<(String, f64)> {
    let (_, method) = counter.split_once("grpc_method=\"")?;
    let (method, _) = method.split_once('"')?;
    let (_, count) = counter.rsplit_once(' ')?;
    Some((method.to_owned(), count.parse().ok()?))
}

/// The rows that tell of the messages between two moments.
fn requests(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    hosts: usize,
) -> Vec<Row> {
    #[allow(clippy::cast_precision_loss, reason = "a handful of hosts")]
    let minutes = IDLE.as_secs_f64() / 60.0 * hosts as f64;
    let rates = after
        .iter()
        .map(|(method, count)| (method, (count - before.get(method).unwrap_or(&0.0)) / minutes));
    let rates: Vec<_> = rates.filter(|(_, rate)| *rate > 0.0).collect();
    if rates.is_empty() {
        return Vec::new();
    }
    let all = rates.iter().map(|(_, rate)| rate).sum();
    let each: Vec<String> =
        rates.iter().map(|(method, rate)| format!("{method} {rate:.1}")).collect();
    vec![
        Row::new("  messages to etcd, per host", "1/min", [all]).mark(70.0),
        Row::note("  of these", each.join(", ")),
    ]
}
