//! What the facts mean: a pure function.

mod agent;
mod cluster;
mod etcd;
mod interface;
#[cfg(test)]
mod tests;
mod versions;

use serde::Serialize;

use super::facts::Facts;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// An IP is not served, or would not be after the next fault or start.
    Error,
    /// It does no harm yet.
    Warning,
}

/// Something to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The part that it is about.
    pub(super) about: String,
    pub(super) text: String,
    /// What to do.
    pub(super) remedy: String,
}

/// Findings as they are made.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, about: &str, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Error, about, text.into(), remedy.into());
    }

    fn warning(&mut self, about: &str, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Warning, about, text.into(), remedy.into());
    }

    fn add(&mut self, level: Level, about: &str, text: String, remedy: String) {
        self.0.push(Finding { level, about: about.to_owned(), text, remedy });
    }
}

/// All findings, errors first.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut found = Findings::default();
    agent::look(facts, &mut found);
    interface::look(facts, &mut found);
    etcd::look(facts, &mut found);
    cluster::look(facts, &mut found);
    found.0.sort_by_key(|finding| finding.level);
    found.0
}
