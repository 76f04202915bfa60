//! What came of all rounds, as a table that is also Markdown.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use comfy_table::{Table as Grid, presets::ASCII_MARKDOWN};

use super::audit::Seen;
use super::bounds::Bound;
use super::calls::Counts;
use super::noise::Noise;
use super::outcome::Outcome;

/// What was seen of a kind of fault, or of two at once.
#[derive(Clone, Debug, Default)]
struct Row {
    count: usize,
    moves: usize,
    nobody: Extreme,
    silence: Extreme,
    peace: Extreme,
    violations: usize,
    /// Rounds in which the machine itself stood still: they do not count.
    drowned: usize,
}

/// The longest time, with the bound it had.
#[derive(Clone, Copy, Debug, Default)]
struct Extreme {
    seen: Duration,
    bound: Duration,
}

/// The rows so far, by what was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<String, Row>,
    rounds: usize,
    calls: Counts,
    /// How often what an agent tells of an IP was compared with its kernel.
    scrapes: u64,
    /// The worst of the others.
    noise: Noise,
}

/// How often at least an agent and its kernel are compared in a run.
const COMPARED: u64 = 200;

impl Table {
    /// Whether what agents tell of their kernels was looked at, if anything was.
    pub(crate) fn compared_enough(&self) -> bool {
        self.rounds == 0 || self.scrapes >= COMPARED
    }

    /// Takes note of a round.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.rounds += 1;
        self.calls = self.calls.and(outcome.calls);
        self.scrapes += outcome.scrapes;
        let name = match outcome.faults.as_slice() {
            [] => "nothing".to_owned(),
            [one] => one.fault.kind.to_string(),
            _ => "two at once".to_owned(),
        };
        let row = self.rows.entry(name).or_default();
        if outcome.noise.drowns_everything() {
            row.drowned += 1;
            return;
        }
        self.noise = self.noise.max(outcome.noise);
        row.count += 1;
        row.violations += outcome.violations.len();
        outcome.seen.iter().for_each(|(seen, bound)| row.add(seen, bound));
    }

    /// The number of rounds so far.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// The number of violations so far.
    pub(crate) fn violations(&self) -> usize {
        self.rows.values().map(|row| row.violations).sum()
    }
}

impl Row {
    fn add(&mut self, seen: &Seen, bound: &Bound) {
        self.moves += seen.moves;
        self.nobody.add(seen.nobody, bound.nobody);
        self.silence.add(seen.silence, bound.silence);
        self.peace.add(seen.peace, bound.peace);
    }
}

impl Extreme {
    fn add(&mut self, seen: Duration, bound: Duration) {
        if (seen, bound) > (self.seen, self.bound) {
            *self = Extreme { seen, bound };
        }
    }
}

impl fmt::Display for Extreme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms ({} ms)", self.seen.as_millis(), self.bound.as_millis())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new();
        grid.load_preset(ASCII_MARKDOWN).set_header([
            "fault",
            "rounds",
            "moves",
            "nobody binds it (bound)",
            "ping unanswered (bound)",
            "two owners after healing (bound)",
            "violations",
            "not judged",
        ]);
        for (name, row) in &self.rows {
            grid.add_row([
                name.clone(),
                row.count.to_string(),
                row.moves.to_string(),
                row.nobody.to_string(),
                row.silence.to_string(),
                row.peace.to_string(),
                row.violations.to_string(),
                row.drowned.to_string(),
            ]);
        }
        writeln!(f, "{grid}")?;
        let drowned: usize = self.rows.values().map(|row| row.drowned).sum();
        writeln!(
            f,
            "{} rounds: {} judged, {drowned} not judged because the machine itself stood still for a \
             second or more; {} violations; in the others, the machine was late by {:.1?} at most",
            self.rounds,
            self.rounds - drowned,
            self.violations(),
            self.noise.late(),
        )?;
        writeln!(f, "linkd_vip_bound was compared with the kernel {} times", self.scrapes)?;
        write!(f, "{}", self.calls)
    }
}
