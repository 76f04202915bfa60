//! What came of a round, for people.

use std::fmt;
use std::time::Instant;

use super::audit::Seen;
use super::bounds::Bound;
use super::calls::Counts;
use super::noise::Noise;
use super::round::Done;
use super::stage::{HOSTS, Stage, VIPS};
use super::strike::Struck;
use super::surroundings::answer;
use crate::harness::{PingReport, tail};

/// How many lines of each agent's log are told with a violation.
const LOG_LINES: usize = 60;

/// What came of a round; prints in one line.
pub(crate) struct Outcome {
    /// The faults that were done.
    pub(crate) faults: Vec<Struck>,
    /// What was seen of each IP, and its bounds.
    pub(crate) seen: Vec<(Seen, Bound)>,
    pub(crate) violations: Vec<String>,
    pub(crate) noise: Noise,
    pub(crate) began: Instant,
    /// How the calls of the APIs were answered.
    pub(crate) calls: Counts,
    /// How often what an agent tells of an IP in the kernel was compared with the kernel.
    pub(crate) scrapes: u64,
    /// Whether the lab can be used again.
    pub(crate) is_well: bool,
    /// All that helps to understand a violation.
    pub(crate) story: String,
}

/// A fault in words, with the time since the round began.
struct Told<'a>(&'a Struck, Instant);

/// All that helps to understand a violation.
pub(crate) struct Story<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) began: Instant,
    pub(crate) done: &'a [Done],
    pub(crate) violations: &'a [String],
    pub(crate) pings: &'a [PingReport],
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> =
            self.faults.iter().map(|struck| Told(struck, self.began).to_string()).collect();
        write!(f, "{} | ", faults.join("; "))?;
        match self.violations.len() {
            _ if self.noise.drowns_everything() => {
                write!(f, "not judged: the machine stood still for {:.1?}", self.noise.late())
            }
            0 => f.write_str("ok"),
            count => write!(f, "{count} VIOLATIONS (noise: {:.1?})", self.noise.late()),
        }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Struck { fault, host, at } = self.0;
        write!(f, "{:.1} s: {}", seconds(self.1, *at), fault.kind)?;
        if let Some(host) = host {
            write!(f, " ({host})")?;
        }
        if fault.lasts.is_zero() {
            return Ok(());
        }
        write!(f, " for {:.1} s", fault.lasts.as_secs_f64())
    }
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in self.violations {
            writeln!(f, "  VIOLATION {violation}")?;
        }
        for Done { struck, healed, .. } in self.done {
            let healed = seconds(self.began, *healed);
            writeln!(f, "  {}, healed at {healed:.3} s", Told(struck, self.began))?;
            if let Some(answer) = answer(struck.fault.kind, self.stage.seed) {
                writeln!(f, "    its answer: {answer:?}")?;
            }
        }
        for change in &self.stage.watch.changes {
            let what = if change.bound { "binds" } else { "binds no more" };
            let (at, vip) = (seconds(self.began, change.at), VIPS[change.vip]);
            writeln!(f, "  {at:.3} s: {} {what} {vip}", change.host)?;
        }
        for (at, call) in &self.stage.ledger.calls {
            writeln!(f, "  {:.3} s: {call}", seconds(self.began, *at))?;
        }
        for (vip, ping) in VIPS.iter().zip(self.pings) {
            let PingReport { sent, lost, longest_gap, gap_began, .. } = ping;
            let from = gap_began.map(|at| seconds(self.began, at)).unwrap_or_default();
            write!(f, "  {vip}: {longest_gap:.3?} without an answer from {from:.3} s on")?;
            writeln!(f, ", {lost} of {sent} pings lost")?;
        }
        for host in HOSTS {
            writeln!(f, "  ---- {host}\n{}", tail(&self.stage.lab[host].log(), LOG_LINES))?;
        }
        Ok(())
    }
}

fn seconds(began: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(began).as_secs_f64()
}
