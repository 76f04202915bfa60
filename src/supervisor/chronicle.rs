//! The history of this host as its thread keeps it: what is logged is recorded, and who waits for news is
//! woken.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use log::{Level, log};

use super::core::Token;
use crate::bell::Bell;
use crate::command::{Answer, Command, Refusal};
use crate::history::{After, Happening, History, Kind};
use crate::vip::Cidr;

pub(super) struct Chronicle {
    history: History,
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
    pub(super) fn begin(history: History, news: Bell) -> Chronicle {
        let what = if history.is_new() { "starts" } else { "goes on after a reload" };
        let mut chronicle = Chronicle { history, news, asked: HashMap::new() };
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
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        self.history.record(happening, time, Instant::now());
        self.news.ring();
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
