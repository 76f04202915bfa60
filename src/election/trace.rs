//! What elections are told and what they answer, written down step by step: only in builds with the feature `lab`,
//! whose tests feed the same to a model and demand the same answers (`tests/lab/harness/replay`).
//!
//! A line of JSON for each step, in the file that `LINK_TRACE` names. It is written before the actions of the step are
//! performed, so that an agent that is killed has done nothing that is not written down.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::ops::Deref;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::core::{Core, CoreConfig};
use super::driver::Driver;
use super::handle::Params;
use super::message::{Action, Input};
use crate::clock;

/// The variable with the path of the file.
pub const VARIABLE: &str = "LINK_TRACE";

/// A line of the file. Times are nanoseconds since the machine booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// An election begins.
    Begin(Begin),
    /// It was told something.
    Step(Step),
}

/// An election that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Which election: the process, and a number in it.
    pub election: (u32, u64),
    /// When.
    pub at: u64,
    /// What its lock is named by.
    pub key: String,
    /// The addresses that come with the lock.
    pub addresses: Vec<String>,
    /// What its core was told.
    pub config: CoreConfig,
}

/// What an election was told, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which election.
    pub election: (u32, u64),
    /// When.
    pub at: u64,
    /// What it was told; nothing if it woke by itself, to see which timers are due.
    pub input: Option<Input>,
    /// What it wants done.
    pub actions: Vec<Action>,
    /// What it is afterwards: [`fingerprint`].
    pub core: u64,
    /// When its next timer is due.
    pub deadline: Option<u64>,
}

/// A number that tells a core from any other.
pub fn fingerprint(core: &Core) -> u64 {
    let mut hasher = DefaultHasher::new();
    core.hash(&mut hasher);
    hasher.finish()
}

/// A driver of which it is written down what it is told.
#[derive(Debug)]
pub(super) struct Traced {
    driver: Driver,
    trace: Option<Trace>,
}

/// Where the steps of an election are written.
#[derive(Debug)]
struct Trace {
    file: &'static File,
    election: (u32, u64),
}

impl Traced {
    /// Traces a driver from its beginning.
    pub(super) fn new(driver: Driver, params: &Params) -> Traced {
        let trace = Trace::begin(params, driver.core().config(), driver.since());
        Traced { driver, trace }
    }

    /// As [`Driver::handle`].
    pub(super) fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let told = self.trace.is_some().then(|| input.clone());
        let actions = self.driver.handle(input, now);
        self.write(told, &actions, now);
        actions
    }

    /// As [`Driver::wake`].
    pub(super) fn wake(&mut self, now: Instant) -> Vec<Action> {
        let actions = self.driver.wake(now);
        self.write(None, &actions, now);
        actions
    }

    #[inline(never)]
    fn write(&self, input: Option<Input>, actions: &[Action], now: Instant) {
        let Some(trace) = &self.trace else { return };
        trace.write(&Line::Step(Step {
            election: trace.election,
            at: nanoseconds(now),
            input,
            actions: actions.to_vec(),
            core: fingerprint(self.driver.core()),
            deadline: self.driver.deadline().map(nanoseconds),
        }));
    }
}

impl Deref for Traced {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl Trace {
    fn begin(params: &Params, config: &CoreConfig, now: Instant) -> Option<Trace> {
        static FILE: OnceLock<Option<File>> = OnceLock::new();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let file = FILE.get_or_init(open).as_ref()?;
        let trace = Trace { file, election: (process::id(), NEXT.fetch_add(1, Ordering::Relaxed)) };
        trace.write(&Line::Begin(Begin {
            election: trace.election,
            at: nanoseconds(now),
            key: params.key.text(),
            addresses: params.members.iter().map(|member| member.cidr.to_string()).collect(),
            config: config.clone(),
        }));
        Some(trace)
    }

    /// In one call, so that lines of several threads are not mixed. What is missing is found by whoever reads it.
    fn write(&self, line: &Line) {
        let mut bytes = serde_json::to_vec(line).unwrap_or_default();
        bytes.push(b'\n');
        let mut file = self.file;
        let _ = file.write_all(&bytes);
    }
}

fn open() -> Option<File> {
    let path = std::env::var_os(VARIABLE)?;
    OpenOptions::new().append(true).open(path).ok()
}

/// Since the machine booted. All are counted from one moment: so the time between two of them is exact.
fn nanoseconds(instant: Instant) -> u64 {
    static BASE: OnceLock<(Instant, Duration)> = OnceLock::new();
    let (base, boot) = BASE.get_or_init(|| (Instant::now(), clock::since_boot()));
    let since = match instant.checked_duration_since(*base) {
        Some(after) => *boot + after,
        None => boot.saturating_sub(base.saturating_duration_since(instant)),
    };
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
