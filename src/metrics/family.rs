//! A family of samples, and how it is written.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::histogram::Histogram;
use super::snapshot::Snapshot;
use crate::text::is_harmless;

/// Samples of one name.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it tells, for people.
    pub help: &'static str,
    /// What may be calculated with it.
    pub kind: Kind,
    /// What tells its samples from each other.
    pub(super) labels: &'static [&'static str],
    /// Adds its samples.
    pub(super) samples: fn(&Snapshot, &mut Samples<'_>),
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows, for as long as the agent runs.
    Counter,
    /// A number as it is now.
    Gauge,
    /// Durations, counted by ranges.
    Histogram,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of something; 0 and 1 for no and yes.
    Count(u64),
    /// Seconds.
    Time(Duration),
}

/// The samples of a family that are being written.
pub(super) struct Samples<'a> {
    family: &'a Family,
    text: &'a mut String,
}

/// What is written between the quotation marks of a label, as the format wants it and as a terminal
/// shows it.
struct LabelText<'a>(&'a mut String);

impl Family {
    /// Writes the family: help, type and samples.
    pub(super) fn write(&self, snapshot: &Snapshot, text: &mut String) {
        put(text, format_args!("# HELP {} {}\n", self.name, self.help));
        put(text, format_args!("# TYPE {} {}\n", self.name, self.kind));
        (self.samples)(snapshot, &mut Samples { family: self, text });
    }
}

impl Samples<'_> {
    /// Adds a sample with these values of the family's labels.
    pub(super) fn add(&mut self, labels: &[&dyn Display], value: impl Into<Value>) {
        self.sample("", labels, None, value.into());
    }

    /// Adds the samples of a histogram.
    pub(super) fn histogram(&mut self, labels: &[&dyn Display], histogram: &Histogram) {
        for (bound, count) in histogram.within() {
            self.sample("_bucket", labels, Some(bound), Value::Count(count));
        }
        let count = Value::Count(histogram.count());
        self.sample("_bucket", labels, Some("+Inf"), count);
        self.sample("_sum", labels, None, Value::Time(histogram.sum()));
        self.sample("_count", labels, None, count);
    }

    fn sample(&mut self, suffix: &str, labels: &[&dyn Display], le: Option<&str>, value: Value) {
        self.text.push_str(self.family.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, label) in self.family.labels.iter().zip(labels) {
            self.label(before, name, label);
            before = ',';
        }
        if let Some(le) = le {
            self.label(before, "le", &le);
            before = ',';
        }
        self.text.push_str(if before == '{' { " " } else { "} " });
        put(self.text, format_args!("{value}\n"));
    }

    fn label(&mut self, before: char, name: &str, label: &dyn Display) {
        self.text.push(before);
        self.text.push_str(name);
        self.text.push_str("=\"");
        // Writing to a String cannot fail.
        let _ = write!(LabelText(self.text), "{label}");
        self.text.push('"');
    }
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(what);
}

impl Write for LabelText<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                _ if is_harmless(c) => self.0.push(c),
                _ => write!(self.0, "\\{}", c.escape_unicode())?,
            }
        }
        Ok(())
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => write!(f, "{count}"),
            Value::Time(time) => write!(f, "{}.{:06}", time.as_secs(), time.subsec_micros()),
        }
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Count(count)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Count(yes.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Value {
        Value::Time(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(family: &Family) -> String {
        let mut text = String::new();
        family.write(&Snapshot::default(), &mut text);
        text
    }

    #[test]
    fn a_label_is_escaped_as_the_format_has_it_and_no_terminal_obeys_it() {
        let family = Family {
            name: "linkd_x",
            help: "X.",
            kind: Kind::Gauge,
            labels: &["a", "b"],
            samples: |_, out| out.add(&[&"q\"b\\n\nl", &"\u{1b}[2J\u{202e}"], true),
        };
        let expected = "# HELP linkd_x X.\n# TYPE linkd_x gauge\n\
             linkd_x{a=\"q\\\"b\\\\n\\nl\",b=\"\\\\u{1b}[2J\\\\u{202e}\"} 1\n";
        assert_eq!(written(&family), expected);
    }

    #[test]
    fn a_duration_is_written_in_seconds() {
        let family = Family {
            name: "linkd_x_seconds",
            help: "X.",
            kind: Kind::Gauge,
            labels: &[],
            samples: |_, out| out.add(&[], Duration::from_micros(61_000_050)),
        };
        assert!(written(&family).ends_with("\nlinkd_x_seconds 61.000050\n"));
    }

    #[test]
    fn a_histogram_has_its_bounds_its_sum_and_its_count() {
        let family = Family {
            name: "linkd_x_seconds",
            help: "X.",
            kind: Kind::Histogram,
            labels: &["kind"],
            samples: |_, out| {
                let mut histogram = Histogram::default();
                histogram.observe(Duration::from_millis(20));
                histogram.observe(Duration::from_secs(20));
                out.histogram(&[&"crash"], &histogram);
            },
        };
        let text = written(&family);
        for line in [
            "linkd_x_seconds_bucket{kind=\"crash\",le=\"0.01\"} 0",
            "linkd_x_seconds_bucket{kind=\"crash\",le=\"0.025\"} 1",
            "linkd_x_seconds_bucket{kind=\"crash\",le=\"10\"} 1",
            "linkd_x_seconds_bucket{kind=\"crash\",le=\"+Inf\"} 2",
            "linkd_x_seconds_sum{kind=\"crash\"} 20.020000",
            "linkd_x_seconds_count{kind=\"crash\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
