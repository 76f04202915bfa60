//! What a host hears of an address on the network: while it asks who has it, and while it monitors the
//! host that owns it. By the rules and times of `link::net`.

use link::network::{Liveness, ProbeResult};

use crate::memory_etcd::Millis;
use crate::times::{
    EAGER, EAGER_GAP, LONG_SILENT, PRECEDENCE, PROBE_GAP, Pace, SILENCE, SILENCE_AFTER_ANSWER,
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
    pub(crate) known: bool,
    unanswered: u32,
    told: Option<Liveness>,
}

impl Monitoring {
    /// What a question brings at once, if that is news; what its silence means is known later.
    pub(crate) fn ask(&mut self, answered: bool) -> Option<Liveness> {
        if answered {
            *self = Monitoring { known: true, unanswered: 0, told: self.told };
            return self.tell(Liveness::Alive);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        let doubts = self.known && self.unanswered == 2 && self.told == Some(Liveness::Alive);
        if doubts { self.tell(Liveness::Doubted) } else { None }
    }

    /// After how long the next question is due.
    pub(crate) fn gap(&self, pace: Pace) -> Millis {
        match self.unanswered {
            0 => pace.calm,
            many if many > LONG_SILENT.0 => LONG_SILENT.1,
            _ => pace.doubt,
        }
    }

    /// The owner was not heard for so long that it is asked seldom.
    pub(crate) fn is_long_silent(&self) -> bool {
        self.unanswered > LONG_SILENT.0
    }

    /// The last question was for everybody: the one before it was not answered.
    pub(crate) fn asks_everybody(&self) -> bool {
        self.known && self.unanswered >= 2
    }

    /// The patience after the last question is over: silence, if it is and that is news. Other hosts are
    /// heard there, or not.
    pub(crate) fn silent(&mut self, pace: Pace, others: bool) -> Option<Liveness> {
        if !self.known || self.unanswered < pace.count {
            return None;
        }
        self.tell(if others { Liveness::Dead } else { Liveness::Suspect })
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
