//! About which addresses the network is asked, when, and what its answers and its silence mean.
//!
//! Pure: time comes in as an argument. An address is asked about at once and twice more soon, because
//! a frame may be lost, then once a second; after an answer once a second too, until one is missing.
//! Silence is two questions that nobody has answered, and about a second without a word.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::net::bucket::Bucket;
use crate::net::codec::heard::Kind;
use crate::network::ProbeResult;
use crate::vip::Cidr;

/// How many questions in a row are asked eagerly if none is answered: as in RFC 5227, 1.1
/// (`PROBE_NUM`), but in less than its seven seconds.
const EAGER: u32 = 3;
/// Between these, and between all others.
const EAGER_GAP: Duration = Duration::from_millis(300);
const GAP: Duration = Duration::from_secs(1);
/// How many questions nobody has answered when nobody answers.
const UNANSWERED: u32 = 2;
/// How long nobody has said a word when nobody answers: after the first question, and after an
/// answer. The latter is longer than the gap at which a host asks that wants the address too.
const SILENCE: Duration = Duration::from_secs(1);
const SILENCE_AFTER_ANSWER: Duration = Duration::from_millis(1500);
/// Of several hosts that answer, one that wins the tie-break is remembered for so long: longer than the gap.
const TIE_BREAK_MEMORY: Duration = Duration::from_secs(2);

/// Frames per second and at once: twice what a thousand addresses need in the long run, 1 Mbit/s.
const RATE: (u32, u32) = (2000, 50);

/// The addresses about which is asked.
#[derive(Debug)]
pub(crate) struct Probes {
    asked: HashMap<Cidr, Asked>,
    due: BTreeSet<(Instant, Cidr)>,
    silences: BTreeSet<(Instant, Cidr)>,
    bucket: Bucket,
}

/// How far the asking about one address has come.
#[derive(Debug)]
struct Asked {
    /// When to ask next.
    due: Instant,
    /// When it was asked last; never, if nobody could have heard.
    last: Option<Instant>,
    /// How often it was asked since somebody answered.
    unanswered: u32,
    /// When somebody answered last or, before that, when it was asked first.
    quiet_since: Option<Instant>,
    /// When it is silence, if nobody answers until then.
    silent_at: Option<Instant>,
    /// When somebody answered last who wins the tie-break.
    lost_tie_break_at: Option<Instant>,
    told: Option<ProbeResult>,
}

impl Probes {
    /// Nothing is asked yet.
    pub(super) fn new() -> Probes {
        Probes {
            asked: HashMap::new(),
            due: BTreeSet::new(),
            silences: BTreeSet::new(),
            bucket: Bucket::new(RATE.0, RATE.1),
        }
    }

    /// Asks about an address from now on, if that is not being done.
    pub(crate) fn start(&mut self, cidr: Cidr, now: Instant) {
        if let Entry::Vacant(place) = self.asked.entry(cidr) {
            place.insert(Asked::new(now));
            self.due.insert((now, cidr));
        }
    }

    /// Asks about an address no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        if let Some(asked) = self.asked.remove(&cidr) {
            self.forget(cidr, (asked.due, asked.silent_at));
        }
    }

    /// Starts afresh with an address about which is asked: what was heard before counts no more.
    pub(crate) fn restart(&mut self, cidr: Cidr, now: Instant) {
        self.change(cidr, |asked| *asked = Asked::new(now));
    }

    /// Starts afresh with all of them.
    pub(crate) fn restart_all(&mut self, now: Instant) {
        for cidr in self.asked.keys().copied().collect::<Vec<_>>() {
            self.restart(cidr, now);
        }
    }

    /// Nobody can be heard at the moment: starts afresh in a while.
    pub(super) fn suspend(&mut self, cidr: Cidr, now: Instant) {
        self.restart(cidr, now + GAP);
    }

    /// The address about which to ask now, if one is due and the limit allows it. It counts as asked.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Cidr> {
        let (due, cidr) = *self.due.first()?;
        if due > now || self.bucket.take(1, now).is_err() {
            return None;
        }
        self.change(cidr, |asked| asked.ask(now));
        Some(cidr)
    }

    /// An address about which there is silence now.
    pub(super) fn pop_silent(&mut self, now: Instant) -> Option<Cidr> {
        let (at, cidr) = *self.silences.first()?;
        if at > now {
            return None;
        }
        self.change(cidr, |asked| {
            asked.silent_at = None;
            asked.told = Some(ProbeResult::Silent);
        });
        Some(cidr)
    }

    /// Takes note of what another host says; what that tells of the address, if it is new.
    ///
    /// Of two hosts that want an address the one that wins the tie-break hears nothing of the other.
    pub(crate) fn heard(
        &mut self,
        cidr: Cidr,
        kind: Kind,
        wins_tie_break: bool,
        now: Instant,
    ) -> Option<ProbeResult> {
        if kind == Kind::Probe && !wins_tie_break {
            return None;
        }
        self.change(cidr, |asked| asked.answered(wins_tie_break, now))?
    }

    /// When there is something to do next, if nothing changes until then.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        let ask = self.due.first().map(|(due, _)| self.bucket.ready_at(1, now).max(*due));
        let silence = self.silences.first().map(|(at, _)| *at);
        ask.into_iter().chain(silence).min()
    }

    /// Changes what is known of an address; the result, if it is one about which is asked.
    fn change<T>(&mut self, cidr: Cidr, change: impl FnOnce(&mut Asked) -> T) -> Option<T> {
        let asked = self.asked.get_mut(&cidr)?;
        let before = (asked.due, asked.silent_at);
        let result = change(asked);
        let after = (asked.due, asked.silent_at);
        self.forget(cidr, before);
        self.due.insert((after.0, cidr));
        self.silences.extend(after.1.map(|at| (at, cidr)));
        Some(result)
    }

    fn forget(&mut self, cidr: Cidr, (due, silent_at): (Instant, Option<Instant>)) {
        self.due.remove(&(due, cidr));
        if let Some(at) = silent_at {
            self.silences.remove(&(at, cidr));
        }
    }
}

impl Asked {
    fn new(due: Instant) -> Asked {
        Asked {
            due,
            last: None,
            unanswered: 0,
            quiet_since: None,
            silent_at: None,
            lost_tie_break_at: None,
            told: None,
        }
    }

    fn ask(&mut self, now: Instant) {
        self.last = Some(now);
        self.unanswered = self.unanswered.saturating_add(1);
        self.due = now + if self.unanswered < EAGER { EAGER_GAP } else { GAP };
        let quiet_since = *self.quiet_since.get_or_insert(now);
        let silence = match self.told {
            Some(ProbeResult::Silent) => return,
            Some(ProbeResult::Answered { .. }) => SILENCE_AFTER_ANSWER,
            None => SILENCE,
        };
        if self.unanswered == UNANSWERED {
            self.silent_at = Some((quiet_since + silence).max(now + EAGER_GAP));
        }
    }

    fn answered(&mut self, wins_tie_break: bool, now: Instant) -> Option<ProbeResult> {
        self.unanswered = 0;
        self.quiet_since = Some(now);
        self.silent_at = None;
        self.due = self.last.map_or(self.due, |last| last + GAP);
        if wins_tie_break {
            self.lost_tie_break_at = Some(now);
        }
        let recently = |at| now.saturating_duration_since(at) < TIE_BREAK_MEMORY;
        let result =
            ProbeResult::Answered { wins_tie_break: self.lost_tie_break_at.is_some_and(recently) };
        let new = self.told.replace(result) != Some(result);
        new.then_some(result)
    }
}

#[cfg(test)]
mod tests;
