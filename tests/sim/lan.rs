//! What a host hears of an address on the network: while it asks who has it, and while it monitors the
//! host that owns it. By the rules and times of `link::net`.

use link::network::{Liveness, ProbeResult};

use crate::memory_etcd::Millis;
use crate::times::{
    EAGER, EAGER_GAP, MONITOR_COUNT, PRECEDENCE, PROBE_GAP, SILENCE, SILENCE_AFTER_ANSWER,
    UNANSWERED,
};

/// How far the asking about one address has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probing {
    /// How often it was asked since somebody answered.
    unanswered: u32,
    /// When somebody answered last or, before that, when it was asked first.
    quiet_since: Option<Millis>,
    preceded_at: Option<Millis>,
    told: Option<ProbeResult>,
}

impl Probing {
    /// Asks once; after how long the next question is due.
    pub(crate) fn ask(&mut self, now: Millis) -> Millis {
        self.unanswered = self.unanswered.saturating_add(1);
        self.quiet_since.get_or_insert(now);
        if self.unanswered < EAGER { EAGER_GAP } else { PROBE_GAP }
    }

    /// Another host has answered, or wants the address and comes first; that, if it is news.
    pub(crate) fn answered(&mut self, wins_tie_break: bool, now: Millis) -> Option<ProbeResult> {
        self.unanswered = 0;
        self.quiet_since = Some(now);
        if wins_tie_break {
            self.preceded_at = Some(now);
        }
        let wins_tie_break = self.preceded_at.is_some_and(|at| now < at + PRECEDENCE);
        self.tell(ProbeResult::Answered { wins_tie_break })
    }

    /// Silence, if it is and that is news.
    pub(crate) fn silent(&mut self, now: Millis) -> Option<ProbeResult> {
        let silence = match self.told {
            Some(ProbeResult::Silent) => return None,
            Some(ProbeResult::Answered { .. }) => SILENCE_AFTER_ANSWER,
            None => SILENCE,
        };
        let due = self.quiet_since.is_some_and(|since| now >= since + silence);
        if due && self.unanswered >= UNANSWERED { self.tell(ProbeResult::Silent) } else { None }
    }

    fn tell(&mut self, result: ProbeResult) -> Option<ProbeResult> {
        (self.told.replace(result) != Some(result)).then_some(result)
    }
}

/// How far the monitoring of an owner has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Monitoring {
    /// Whether the owner was heard since it was started afresh.
    known: bool,
    unanswered: u32,
    told: Option<Liveness>,
}

impl Monitoring {
    /// What the next question brings, if that is news; where the network alone is to tell, `others` are
    /// asked for, and are heard or not.
    pub(crate) fn ask(&mut self, answered: bool, others: Option<bool>) -> Option<Liveness> {
        if answered {
            *self = Monitoring { known: true, unanswered: 0, told: self.told };
            return self.tell(Liveness::Alive);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if !self.known || self.unanswered < MONITOR_COUNT {
            return None;
        }
        match others {
            Some(true) => self.tell(Liveness::Dead),
            Some(false) | None => self.tell(Liveness::Suspect),
        }
    }

    /// Nobody can be heard, or the process stood still: the owner has to be heard before its silence
    /// means anything.
    pub(crate) fn restart(&mut self) {
        *self = Monitoring { told: self.told, ..Monitoring::default() };
    }

    fn tell(&mut self, liveness: Liveness) -> Option<Liveness> {
        (self.told.replace(liveness) != Some(liveness)).then_some(liveness)
    }
}
