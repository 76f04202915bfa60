//! The table: rows of values, and the marks that they are to reach.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::harness::PingReport;

/// A line of the table.
pub(crate) struct Row {
    /// The program that is measured.
    program: &'static str,
    what: String,
    content: Content,
}

enum Content {
    Values {
        values: Vec<f64>,
        mark: Option<Mark>,
    },
    Note(String),
    /// Why there are no values.
    Failure(String),
}

/// What is to be reached, at most.
#[derive(Clone, Copy)]
struct Mark {
    median: f64,
    worst: Option<f64>,
}

impl Row {
    /// Values in that unit.
    pub(crate) fn new(what: &str, unit: &str, values: impl IntoIterator<Item = f64>) -> Row {
        let values = values.into_iter().collect();
        let content = Content::Values { values, mark: None };
        Row { program: "linkd", what: format!("{what} [{unit}]"), content }
    }

    /// Times in milliseconds.
    pub(crate) fn milliseconds(what: &str, values: impl IntoIterator<Item = Duration>) -> Row {
        Row::new(what, "ms", values.into_iter().map(|value| value.as_secs_f64() * 1e3))
    }

    /// Times in seconds.
    pub(crate) fn seconds(what: &str, values: impl IntoIterator<Item = Duration>) -> Row {
        Row::new(what, "s", values.into_iter().map(|value| value.as_secs_f64()))
    }

    /// What cannot be told by a number.
    pub(crate) fn note(what: &str, text: String) -> Row {
        Row { program: "linkd", what: what.to_owned(), content: Content::Note(text) }
    }

    /// True for what stands in the place of rows that could not be measured.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.content, Content::Failure(_))
    }

    /// The same; where nothing was measured, with the name of the case.
    pub(crate) fn of_case(self, name: &str) -> Row {
        let what = if self.is_failure() { format!("{name} FAILED") } else { self.what };
        Row { what, ..self }
    }

    /// With the median that is to be reached.
    pub(crate) fn mark(self, median: f64) -> Row {
        self.with_mark(Mark { median, worst: None })
    }

    /// With the median and the worst that are to be reached.
    pub(crate) fn marks(self, median: f64, worst: f64) -> Row {
        self.with_mark(Mark { median, worst: Some(worst) })
    }

    /// The same, measured with another program, for which there are no marks.
    pub(crate) fn of(mut self, program: &'static str) -> Row {
        self.program = program;
        if let Content::Values { mark, .. } = &mut self.content {
            *mark = None;
        }
        self
    }

    fn with_mark(mut self, new: Mark) -> Row {
        if let Content::Values { mark, .. } = &mut self.content {
            *mark = Some(new);
        }
        self
    }
}

/// Measures. Where something that is waited for does not come, the lab panics, with a report on
/// stderr: that is all there is to tell then, and others go on.
pub(crate) fn attempt(measure: impl FnOnce() -> Vec<Row>) -> Vec<Row> {
    catch_unwind(AssertUnwindSafe(measure)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map_or("see stderr", String::as_str);
        let said = said.lines().next().unwrap_or_default().to_owned();
        vec![Row { program: "linkd", what: String::new(), content: Content::Failure(said) }]
    })
}

/// The rows of a case that pings: the gap, first of all, what was lost, and the lab's own noise.
pub(crate) fn gaps(what: &str, pings: &[PingReport]) -> [Row; 3] {
    let gaps = pings.iter().map(|report| report.longest_gap);
    let gap = Row::milliseconds(&format!("{what}: gap"), gaps);
    let noise = Row::milliseconds("  noise", pings.iter().map(|report| report.longest_stall));
    [gap, lost(pings), noise]
}

/// The row that tells how many pings were lost.
pub(crate) fn lost(pings: &[PingReport]) -> Row {
    #[allow(clippy::cast_precision_loss, reason = "a count of pings")]
    Row::new("  pings lost", "1", pings.iter().map(|report| report.lost as f64))
}

/// The first line.
pub(crate) fn head() -> String {
    line("case", "program", ["median", "min", "max", "runs"].map(str::to_owned), "at most")
}

fn line(what: &str, program: &str, numbers: [String; 4], end: &str) -> String {
    let [median, min, max, runs] = numbers;
    let line = format!("{what:<66} {program:<10} {median:>9} {min:>9} {max:>9} {runs:>4}  {end}");
    line.trim_end().to_owned()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { program, what, content } = self;
        let (values, mark) = match content {
            Content::Note(text) | Content::Failure(text) => {
                return write!(f, "{what:<66} {program:<10} {text}");
            }
            Content::Values { values, .. } if values.is_empty() => {
                return write!(f, "{what:<66} {program:<10} never");
            }
            Content::Values { values, mark } => (values, mark),
        };
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let (median, min, max) = (median(&sorted), sorted[0], sorted[sorted.len() - 1]);
        let end = mark.map_or_else(String::new, |mark| mark.judge(median, max));
        let [median, min, max] = [median, min, max].map(|value| format!("{value:.2}"));
        f.write_str(&line(what, program, [median, min, max, sorted.len().to_string()], &end))
    }
}

impl Mark {
    /// The mark, and what of it was missed.
    fn judge(self, median: f64, max: f64) -> String {
        let worst = self.worst.map_or_else(String::new, |worst| format!(" ({worst})"));
        let missed = match (median > self.median, self.worst.is_some_and(|worst| max > worst)) {
            (false, false) => "",
            (true, false) => " missed",
            (false, true) => " worst missed",
            (true, true) => " both missed",
        };
        format!("{}{worst}{missed}", self.median)
    }
}

/// The median of values in order.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}
