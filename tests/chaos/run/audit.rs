//! What was seen of an IP in a round, held against its bounds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::bounds::Bound;
use super::watch::Binding;
use crate::harness::{HostId, PingReport};

/// What was seen of an IP in a round.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The longest time that nobody bound it.
    pub(crate) nobody: Duration,
    /// The longest time that two hosts bound it before everything was healed.
    pub(crate) rivals: Duration,
    /// How long after everything was healed two hosts bound it for the last time.
    pub(crate) peace: Duration,
    /// The longest time without an answer to the client.
    pub(crate) silence: Duration,
    /// Who owned it before, and who did after, if all was well again.
    pub(crate) owners: (HostId, Option<HostId>),
    /// How often another host bound it than the one before.
    pub(crate) moves: usize,
}

/// When a round began, when everything was healed, when it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) begun: Instant,
    pub(crate) healed: Instant,
    pub(crate) ended: Instant,
}

/// A time with the same hosts that bind an IP.
struct Span {
    from: Instant,
    to: Instant,
    binders: BTreeSet<HostId>,
}

impl Seen {
    /// What the changes of an IP amount to. `before` bound it when the round began.
    pub(crate) fn new(
        before: &BTreeSet<HostId>,
        changes: &[Binding],
        times: Times,
        ping: &PingReport,
        owners: (HostId, Option<HostId>),
    ) -> Seen {
        let spans = spans(before, changes, times);
        let several = |span: &Span| span.binders.len() > 1;
        let last = spans.iter().rev().find(|span| several(span));
        Seen {
            nobody: longest(&spans, times.ended, |span| span.binders.is_empty()),
            rivals: longest(&spans, times.healed, several),
            peace: last
                .map_or(Duration::ZERO, |span| span.to.saturating_duration_since(times.healed)),
            silence: ping.longest_gap,
            owners,
            moves: moves(&spans),
        }
    }

    /// What is against the bounds, in words. The lab's own noise is not held against anybody.
    pub(crate) fn violations(&self, bound: &Bound, noise: Duration) -> Vec<String> {
        let mut violations = Vec::new();
        let mut hold = |what: &str, seen: Duration, bound: Option<Duration>| {
            if let Some(bound) = bound.filter(|bound| seen > *bound + noise) {
                violations.push(format!("{what} for {seen:.3?}, at most {bound:.3?}"));
            }
        };
        hold("nobody binds it", self.nobody, Some(bound.nobody));
        hold("the client gets no answer", self.silence, Some(bound.silence));
        hold("two hosts bind it", self.rivals, bound.rivals);
        hold("two hosts bind it after everything was healed", self.peace, Some(bound.peace));
        let (before, after) = self.owners;
        if let Some(after) = after.filter(|after| !bound.moves && *after != before) {
            violations.push(format!("it has moved from {before} to {after} without a reason"));
        }
        violations
    }
}

fn spans(before: &BTreeSet<HostId>, changes: &[Binding], times: Times) -> Vec<Span> {
    let (mut binders, mut from) = (before.clone(), times.begun);
    let mut spans = Vec::new();
    for change in changes {
        let to = change.at.clamp(from, times.ended);
        spans.push(Span { from, to, binders: binders.clone() });
        from = to;
        if change.bound {
            binders.insert(change.host)
        } else {
            binders.remove(&change.host)
        };
    }
    spans.push(Span { from, to: times.ended.max(from), binders });
    spans
}

/// The longest time without interruption of spans that are such, before the end given.
fn longest(spans: &[Span], end: Instant, such: impl Fn(&Span) -> bool) -> Duration {
    let (mut longest, mut together) = (Duration::ZERO, Duration::ZERO);
    for span in spans.iter().filter(|span| span.from < end) {
        let length = span.to.min(end).saturating_duration_since(span.from);
        together = if such(span) { together + length } else { Duration::ZERO };
        longest = longest.max(together);
    }
    longest
}

fn moves(spans: &[Span]) -> usize {
    let mut alone = spans.iter().filter(|span| span.binders.len() == 1);
    let Some(first) = alone.next() else {
        return 0;
    };
    let (mut owner, mut moves) = (&first.binders, 0);
    for span in alone {
        if span.binders != *owner {
            (owner, moves) = (&span.binders, moves + 1);
        }
    }
    moves
}
