//! Two faults of any kind with three hosts: all of it, on all processors.
//!
//! Each line has one fault first, at a certain host, and after it all faults of one kind. So no order is left
//! out, and none is in two lines. Worlds may be: what is left of two faults when both are over is often the
//! same. How many there are without these is estimated by a sample of their fingerprints.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::explore::{SAMPLE, Search, Size};
use crate::host::Policies;
use crate::step::Fault;
use crate::world::World;
use crate::{all_policies, kinds, limit, quiet, quiet_since_a_failover, setting, story};

const HOSTS: usize = 3;

/// Worlds of a line.
const LIMIT: usize = 100_000_000;

/// The faults of a line.
struct Line {
    what: String,
    first: Fault,
    second: Vec<Fault>,
    /// From a cluster whose backup has the lock of another host.
    since_a_failover: bool,
}

/// What all lines have found.
#[derive(Default)]
struct Sum {
    lines: usize,
    worlds: usize,
    steps: usize,
    ends: usize,
    sample: HashSet<u128>,
    failed: Vec<String>,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for first in Fault::all(HOSTS) {
        for (kind, second) in kinds(HOSTS) {
            let restores = [first.kind(), kind].contains(&Fault::EtcdRestored.kind());
            for since_a_failover in [false, true].into_iter().take(1 + usize::from(restores)) {
                let since = if since_a_failover { ", since a failover" } else { "" };
                let what = format!("{HOSTS} hosts, {first}, then {kind}{since}");
                lines.push(Line { what, first, second: second.clone(), since_a_failover });
            }
        }
    }
    let wanted = setting("LINK_SEARCH").unwrap_or_default();
    lines.into_iter().filter(|line| line.what.contains(&wanted)).collect()
}

impl Sum {
    #[allow(clippy::print_stdout, reason = "the lines are what a person has it run for")]
    fn add(&mut self, line: &Line, from: &World, search: &Search) {
        let what = &line.what;
        match search.run(from) {
            // The first fault could not happen.
            Ok(Size { worlds: 1, .. }) => {}
            Ok(Size { worlds, steps, ends, took, cut_off, sample, .. }) => {
                println!("{what}: {worlds} worlds, {steps} steps, {ends} ends, {took:.1?}");
                self.failed.extend(cut_off.then(|| format!("{what}: more worlds than that")));
                self.lines += 1;
                self.worlds += worlds;
                self.steps += steps;
                self.ends += ends;
                self.sample.extend(sample);
            }
            Err(failure) => {
                // The story is long: there is a shorter one.
                let wide = Search { deep: false, ..search.clone() };
                let failure = wide.run(from).err().unwrap_or(failure);
                println!("{what}: {}", story::tell(from, &failure));
                self.failed.push(format!("{what}: {}", failure.why));
            }
        }
    }
}

/// The most memory that this process has had.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.expect("Linux tells it").trim().to_owned()
}

fn search(policies: Policies) -> Sum {
    let (lines, next, sum) = (lines(), AtomicUsize::new(0), Mutex::new(Sum::default()));
    let work = || {
        let from = [quiet(HOSTS, policies), quiet_since_a_failover(HOSTS, policies)];
        let mut own = Sum::default();
        while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
            let faults = vec![vec![line.first], line.second.clone()];
            let search =
                Search { faults, delays: 0, limit: limit(LIMIT), reduces: true, deep: true };
            own.add(line, &from[usize::from(line.since_a_failover)], &search);
        }
        let mut sum = sum.lock().expect("nobody panics");
        sum.lines += own.lines;
        sum.worlds += own.worlds;
        sum.steps += own.steps;
        sum.ends += own.ends;
        sum.sample.extend(own.sample);
        sum.failed.extend(own.failed);
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    sum.into_inner().expect("nobody panics")
}

#[test]
#[ignore = "takes half an hour"]
fn three_hosts_and_two_faults_of_any_kind() {
    let begun = Instant::now();
    let sum = search(all_policies()[0]);
    let distinct = sum.sample.len() as u128 * SAMPLE;
    println!(
        "{} lines: {} worlds, about {distinct} of them distinct, {} steps, {} ends, {:.0?}, {}",
        sum.lines,
        sum.worlds,
        sum.steps,
        sum.ends,
        begun.elapsed(),
        memory()
    );
    assert!(sum.failed.is_empty(), "{}", sum.failed.join("\n"));
}
