//! The history of this host as its thread keeps it: what is logged is recorded, and who waits for news is
//! woken.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;
use log::{Level, log};

use super::core::Token;
use crate::bell::Bell;
use crate::command::{Answer, Command, Refusal};
use crate::history::{After, Happening, History, Kind};
use crate::hooks::{self, Hooks, News, Notification, Report, Standing};
use crate::metrics::HookCounts;
use crate::policy::StopPolicy;
use crate::vip::Cidr;

/// For how long hooks are waited for when the agent ends: its IPs have been given up by then, or nobody serves them
/// until the next life, which tells all states anew.
pub(super) fn patience(policy: StopPolicy) -> Duration {
    match policy {
        StopPolicy::Release => Duration::from_secs(5),
        StopPolicy::Keep => Duration::from_secs(1),
    }
}

pub(super) struct Chronicle {
    history: History,
    hooks: Hooks,
    news: Bell,
    /// The changes that clients of the API wait for.
    asked: HashMap<Token, Asked>,
}

/// A change that was asked for.
struct Asked {
    what: String,
    ip: Option<Cidr>,
    by: String,
    since: Instant,
}

impl Chronicle {
    /// A life of the agent begins.
    pub(super) fn begin(history: History, news: Bell, hooks: Hooks) -> Chronicle {
        let what = if history.is_new() { "starts" } else { "goes on after a reload" };
        let mut chronicle = Chronicle { history, hooks, news, asked: HashMap::new() };
        chronicle.record(&Kind::Agent.of(format!("LinK {} {what}", crate::VERSION)));
        chronicle
    }

    /// Logs an event and records it.
    pub(super) fn tell(&mut self, level: Level, happening: &Happening) {
        log!(level, "{happening}");
        self.record(happening);
    }

    /// Records an event that is logged elsewhere.
    pub(super) fn record(&mut self, happening: &Happening) {
        self.history.record(happening, time_stamp(), Instant::now());
        self.news.ring();
    }

    /// Has hooks told of an IP.
    pub(super) fn notify(&mut self, standing: Standing) {
        if self.hooks.is_empty() {
            return;
        }
        let of_ip = |kind| self.history.newest_of(kind, &standing.cidr.to_string());
        let sequence = match standing.event {
            // It is none of its own: what happened before this life is over, and nothing has since.
            hooks::Event::Start => self.history.last(),
            hooks::Event::Changed(_) | hooks::Event::Removed => of_ip(Kind::Transition),
            hooks::Event::ConflictOver => of_ip(Kind::Conflict),
        };
        let notification = Notification {
            host: self.history.host().to_owned(),
            history: self.history.id().to_owned(),
            sequence,
            time: time_stamp(),
            standing,
        };
        let news = self.hooks.tell(&notification);
        self.tell_all(news);
    }

    /// What hooks have to say; nothing without hooks.
    pub(super) fn reports(&self) -> &Receiver<Report> {
        self.hooks.reports()
    }

    pub(super) fn take(&mut self, report: Report) {
        let news = self.hooks.take(report);
        self.tell_all(news);
    }

    pub(super) fn hook_counts(&self) -> Vec<HookCounts> {
        self.hooks.counts()
    }

    /// Delivers to hooks what waits, for so long at most.
    pub(super) fn finish(&mut self, patience: Duration) {
        let news = self.hooks.finish(Instant::now() + patience);
        self.tell_all(news);
    }

    fn tell_all(&mut self, news: News) {
        news.iter().for_each(|(level, happening)| self.tell(*level, happening));
    }

    pub(super) fn after(&self, after: &After) -> Answer {
        Answer::Events(Box::new(self.history.after(after)))
    }

    /// Takes note of a change that is asked for.
    pub(super) fn asked(&mut self, token: Token, command: &Command, ip: Option<Cidr>, by: String) {
        if command.changes() {
            let (verb, details) = command.words();
            let what = format!("{verb}{details}");
            self.asked.insert(token, Asked { what, ip, by, since: Instant::now() });
        }
    }

    /// Records what came of it. The API logs it, with the whole request.
    pub(super) fn answered(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        let Some(Asked { what, ip, by, since }) = self.asked.remove(&token) else { return };
        let (kind, why) = match answer {
            Ok(_) => (Kind::Change, String::new()),
            Err(Refusal::OutcomeUnknown(why)) => (Kind::Change, format!("outcome unknown: {why}")),
            Err(refusal) => (Kind::Refused, refusal.to_string()),
        };
        let happening =
            Happening { ip, why, took: Some(since.elapsed()), by: Some(by), ..kind.of(what) };
        self.record(&happening);
    }

    /// The history, for the next life of the agent.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.history.to_bytes()
    }
}

/// Now, as events have it.
fn time_stamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
