//! A question to the agent of a host, through etcd.
//!
//! The question is a key, which the other agent finds in the watch that it has anyway and answers at
//! once. This host sees its own question in its own watch, too. That is the control: from then on, what
//! is missing is missing at the other host. And it is the measure: who asks through an etcd that takes
//! long waits as long for the answer.
//!
//! A question that has got no answer in time is asked once more. When etcd shows that one, all that was
//! answered before has been seen, and this host has not lost etcd meanwhile: the other host is dead.

use std::time::{Duration, Instant};

use super::Timing;
use crate::network::{Heard, Hearing};

/// After how long etcd counts as silent that has not shown this host its own question. A healthy one
/// takes milliseconds, one on a busy disk some tens of them.
const UNSEEN: Duration = Duration::from_millis(150);

/// Between two questions to a host that has answered, or that is dead and still has its locks; and
/// how long that is so. Later, the questions are further apart.
const AGAIN: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);

/// Between two questions on the network to an owner that was never heard, or that has been silent for
/// a while: see [`crate::net::MonitorTiming`]. A host that is to hear one of them listens for longer.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// For how long a silent owner is asked on the network as often as before.
const ASKED_EAGERLY: Duration = Duration::from_secs(5);

/// For how long the owner is to listen, so that it hears the hosts that miss it if it hears anything:
/// its own questions may reach nobody. `silent` is how long it has been silent, if it was heard before.
pub(super) fn listens(timing: Timing, silent: Option<Duration>) -> Duration {
    match silent {
        Some(time) if time + ASKED_AGAIN < ASKED_EAGERLY => timing.interval,
        Some(_) | None => timing.interval + ASKED_AGAIN,
    }
}

/// How far a question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Tells its answer from that to an older one.
    number: u64,
    sent: Instant,
    /// For how long the host listens on its network.
    within: Duration,
    progress: Progress,
    /// The question before, which was not answered in time.
    unanswered: Option<u64>,
    /// The other agent has something to say since.
    news: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// etcd has not shown it yet.
    Sent,
    /// etcd has shown it, at that time.
    Seen(Instant),
    Answered(Heard),
    /// etcd did not take it, or has lost it.
    Failed,
}

/// What a question tells of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing until then.
    Open(Instant),
    /// It answers, and hears that on its interface.
    Answers(Hearing),
    /// It has not answered in time: it is to be asked once more.
    Overdue,
    /// It does not answer, though etcd works.
    NoAnswer,
    /// etcd does not work.
    EtcdIsSilent,
}

impl Call {
    pub(super) fn sent(number: u64, within: Duration, now: Instant) -> Call {
        Call { number, sent: now, within, progress: Progress::Sent, unanswered: None, news: false }
    }

    /// The same question once more, with another number.
    pub(super) fn again(self, number: u64, now: Instant) -> Call {
        Call { unanswered: Some(self.number), ..Call::sent(number, self.within, now) }
    }

    /// Takes note of what became of it; whether it is the question with this number.
    pub(super) fn note(&mut self, number: u64, news: CallNews, now: Instant) -> bool {
        let late = self.unanswered == Some(number) && matches!(news, CallNews::Answered(_));
        let is_it = number == self.number || late;
        if is_it {
            self.go_on(news, now);
        }
        is_it
    }

    fn go_on(&mut self, news: CallNews, now: Instant) {
        self.progress = match (self.progress, news) {
            (Progress::Sent | Progress::Failed, CallNews::CameBack) => Progress::Seen(now),
            (Progress::Sent | Progress::Seen(_), CallNews::Failed) => Progress::Failed,
            (_, CallNews::Answered(heard)) => Progress::Answered(heard),
            (same @ (Progress::Seen(_) | Progress::Answered(_)), CallNews::CameBack)
            | (same @ (Progress::Answered(_) | Progress::Failed), CallNews::Failed) => same,
        };
    }

    /// What it tells by now.
    pub(super) fn finding(&self, timing: Timing, now: Instant) -> Finding {
        let open_until =
            |at: Instant, then: Finding| if now < at { Finding::Open(at) } else { then };
        match self.progress {
            Progress::Sent => open_until(self.sent + UNSEEN, Finding::EtcdIsSilent),
            Progress::Failed => Finding::EtcdIsSilent,
            Progress::Answered(heard) => Finding::Answers(heard.hearing),
            Progress::Seen(_) if self.unanswered.is_some() => Finding::NoAnswer,
            Progress::Seen(at) => {
                let took = at.saturating_duration_since(self.sent);
                // The answer is a write and an event, as the question was, and comes over a busy host.
                let answer = self.within + took * 4 + timing.interval / 2;
                open_until(at + answer, Finding::Overdue)
            }
        }
    }

    /// Whether the host has answered that it has the IP.
    pub(super) fn has_address(&self) -> bool {
        matches!(self.progress, Progress::Answered(heard) if heard.has_address)
    }

    /// Whether the host has answered that it has not got the IP.
    pub(super) fn lacks_address(&self) -> bool {
        matches!(self.progress, Progress::Answered(heard) if !heard.has_address)
    }

    /// The host is asked again as soon as one that was not silent for long.
    pub(super) fn has_news(&mut self) {
        self.news = true;
    }

    /// Whether the host has answered.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.progress, Progress::Answered(_))
    }

    /// When the host is asked again that has been silent on the network since then.
    pub(super) fn again_at(&self, silent_since: Instant) -> Instant {
        let long = self.sent.saturating_duration_since(silent_since) > SOON && !self.news;
        self.sent + if long { SOON } else { AGAIN.max(self.within + AGAIN / 2) }
    }

    /// The same for a host that is heard there.
    pub(super) fn again_soon(&self) -> Instant {
        self.again_at(self.sent)
    }

    /// For how long the host listens on its network.
    pub(super) fn within(&self) -> Duration {
        self.within
    }
}

/// What became of a question to the agent of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallNews {
    /// This host has seen it in its own watch.
    CameBack,
    /// The other agent has answered: what it hears on the interface in question, and whether it has the IP.
    Answered(Heard),
    /// etcd did not take it.
    Failed,
}
