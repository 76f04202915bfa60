//! What must not grow with time: of an agent that runs all the time its memory, descriptors, threads and what it logs, and
//! what all of them write to etcd.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use comfy_table::{Table as Grid, presets::ASCII_MARKDOWN};

use super::stage::Stage;
use crate::harness::HostId;

/// Into so many periods of the same length a run is divided. In the first one an agent still gets what it needs.
const PERIODS: u32 = 12;

/// How much more memory an agent may have in the last period than in the second, in bytes.
const MEMORY: u64 = 1_000_000;

/// How many more descriptors or threads: an IP that comes and goes has two threads, a client has a connection.
const FEW: u64 = 8;

/// How many times as much may be logged, or written to etcd, in the second half as in the first: the faults are random.
const MORE: f64 = 1.5;

/// What was found in the calm after a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since the first round began.
    pub(crate) at: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Lines of the log since the agent was started.
    pub(crate) lines: u64,
    /// How many revisions etcd has had since then, also where it has forgotten some of them.
    pub(crate) revisions: u64,
}

/// What was found of one agent, which is never ended.
pub(crate) struct Growth {
    host: HostId,
    pid: u32,
    began: Instant,
    /// The revision of etcd that was found last.
    revision: i64,
    samples: Vec<Sample>,
}

/// One period: what is usual in it, and what is added in it, per hour.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Period {
    resident: u64,
    descriptors: u64,
    threads: u64,
    lines: f64,
    revisions: f64,
}

impl Growth {
    /// Begins with the agent that this host has now.
    pub(crate) fn begin(stage: &Stage, host: HostId) -> Growth {
        let (pid, revision) = (stage.lab[host].agent().pid(), stage.lab.etcd.revision());
        Growth { host, pid, began: Instant::now(), revision, samples: Vec::new() }
    }

    /// Looks at the agent and at etcd.
    pub(crate) fn look(&mut self, stage: &Stage) {
        let agent = stage.lab[self.host].agent();
        assert_eq!(agent.pid(), self.pid, "the agent of {} was started again", self.host);
        let entries = |what: &str| {
            let folder = format!("/proc/{}/{what}", self.pid);
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}")).count() as u64
        };
        let now = stage.lab.etcd.revision();
        // An etcd that was wiped or restored counts from a smaller one.
        let added = if now < self.revision { now } else { now - self.revision };
        self.revision = now;
        let before = self.samples.last().map_or(0, |sample| sample.revisions);
        self.samples.push(Sample {
            at: self.began.elapsed(),
            resident: agent.rss(),
            descriptors: entries("fd"),
            threads: entries("task"),
            lines: agent.log().lines().count() as u64,
            revisions: before + u64::try_from(added).unwrap_or_default(),
        });
    }

    /// Tells what was found, and what has grown; the number of such things.
    pub(crate) fn judge(&self, tell: &mut dyn FnMut(&str)) -> usize {
        tell(&self.to_string());
        let violations = violations(&self.samples);
        violations.iter().for_each(|what| tell(&format!("VIOLATION {what}")));
        violations.len()
    }
}

/// What has grown between the second period and the last, or between the halves of the run.
pub(crate) fn violations(samples: &[Sample]) -> Vec<String> {
    let periods = periods(samples);
    let [_, first, .., last] = periods.as_slice() else { return Vec::new() };
    let mut violations = Vec::new();
    let mut hold = |what: &str, before: u64, after: u64, allowed: u64| {
        if after > before + allowed {
            violations.push(format!("{what}: {before} in the second period, {after} in the last"));
        }
    };
    hold("resident memory in bytes", first.resident, last.resident, MEMORY);
    hold("descriptors", first.descriptors, last.descriptors, FEW);
    hold("threads", first.threads, last.threads, FEW);
    let mut hold = |what: &str, rate: fn(&Period) -> f64| {
        let (early, late) = periods.split_at(periods.len() / 2);
        let mean = |half: &[Period]| half.iter().map(rate).sum::<f64>() / half.len() as f64;
        let (before, after) = (mean(early), mean(late));
        if after > before * MORE {
            violations.push(format!("{what} in an hour: {before:.0} at first, {after:.0} later"));
        }
    };
    hold("lines of the log", |period| period.lines);
    hold("revisions of etcd", |period| period.revisions);
    violations
}

/// The periods in which something was found.
fn periods(samples: &[Sample]) -> Vec<Period> {
    let Some(last) = samples.last() else { return Vec::new() };
    let length = last.at / PERIODS;
    let number = |sample: &Sample| {
        (sample.at.as_nanos() / length.as_nanos().max(1)).min(u128::from(PERIODS) - 1)
    };
    let mut before = Sample::default();
    let groups = samples.chunk_by(|one, another| number(one) == number(another));
    let period = |group: &[Sample]| {
        let usual = |of: fn(&Sample) -> u64| median(group.iter().map(of).collect());
        let end = group[group.len() - 1];
        let hours = (end.at - before.at).as_secs_f64().max(f64::MIN_POSITIVE) / 3600.0;
        let period = Period {
            resident: usual(|sample| sample.resident),
            descriptors: usual(|sample| sample.descriptors),
            threads: usual(|sample| sample.threads),
            lines: (end.lines - before.lines) as f64 / hours,
            revisions: (end.revisions - before.revisions) as f64 / hours,
        };
        before = end;
        period
    };
    groups.map(period).collect()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new();
        grid.load_preset(ASCII_MARKDOWN).set_header([
            "period",
            "RSS",
            "descriptors",
            "threads",
            "log lines in an hour",
            "etcd's revisions in an hour",
        ]);
        for (number, period) in periods(&self.samples).iter().enumerate() {
            grid.add_row([
                (number + 1).to_string(),
                format!("{:.2} MB", period.resident as f64 / 1e6),
                period.descriptors.to_string(),
                period.threads.to_string(),
                format!("{:.0}", period.lines),
                format!("{:.0}", period.revisions),
            ]);
        }
        let minutes = self.samples.last().map_or(0.0, |last| last.at.as_secs_f64() / 60.0);
        writeln!(f, "the agent of {}, which ran for {minutes:.0} minutes:", self.host)?;
        write!(f, "{grid}")
    }
}
