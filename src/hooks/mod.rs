//! Hooks: what the operator has named to be told of each change of an IP on this host, a command and a URL.
//!
//! Owns: for each hook a queue and a thread, `notify-command` and `notify-url`, which delivers one notification after
//! the other. Whoever tells something never waits: what a hook cannot take in time is kept in order, and when there
//! is too much of it, what is not the last of its IP is left out and told of. What came of a delivery is a report, which the owner
//! has to take (`Hooks::reports`, `Hooks::take`). Nothing here is waited for by an election.

mod means;
mod notification;
mod queue;
mod settings;
mod signature;
mod worker;

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use log::{Level, debug};

use self::means::Means;
pub use self::notification::{Event, Notification, Standing};
use self::queue::{Item, Outcome, Queue};
pub use self::settings::{CommandPath, Settings, WebhookSettings};
pub(crate) use self::worker::Report;
use self::worker::Worker;
use crate::history::{Happening, Kind};
use crate::metrics::HookCounts;

/// Before the first repetition, in seconds, and before each further one.
const BACK_OFF: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];

/// What is to be logged, and recorded.
pub type News = Vec<(Level, Happening)>;

/// The hooks of this host.
#[derive(Debug)]
pub struct Hooks {
    hooks: Vec<Hook>,
    /// From the threads. One sender is kept, so that it does not end when there are none.
    reports: Receiver<Report>,
    _reports_tx: Sender<Report>,
}

/// One of them.
#[derive(Debug)]
struct Hook {
    /// The variable that names it.
    name: &'static str,
    queue: Queue,
    worker: Worker,
    /// Something is being delivered, or waits for its repetition.
    is_busy: bool,
    /// How often it could not be told, one after the other.
    failures: u32,
    /// Attempts fail, and that was told.
    is_failing: bool,
    /// Something was left out since the queue was last empty.
    is_behind: bool,
    counts: HookCounts,
}

impl Hooks {
    /// Starts the threads of those that are configured.
    ///
    /// # Errors
    ///
    /// There is no thread.
    pub fn start(settings: Settings) -> io::Result<Hooks> {
        let (reports, reports_rx) = unbounded();
        let Settings { command, webhook, timeout } = settings;
        let command = command.map(|it| ("NOTIFY_COMMAND", "notify-command", Means::command(it)));
        let webhook = webhook.map(|it| ("NOTIFY_URL", "notify-url", Means::webhook(it)));
        let mut hooks = Vec::new();
        for (name, thread, means) in command.into_iter().chain(webhook) {
            let worker = Worker::start(hooks.len(), thread, means, timeout, reports.clone())?;
            hooks.push(Hook::new(name, worker));
        }
        Ok(Hooks { hooks, reports: reports_rx, _reports_tx: reports })
    }

    /// Whether nobody is to be told.
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Tells all of them.
    pub fn tell(&mut self, notification: &Notification) -> News {
        let mut news = News::new();
        for hook in &mut self.hooks {
            hook.tell(notification.clone(), &mut news);
        }
        news
    }

    /// What came of deliveries.
    pub(crate) fn reports(&self) -> &Receiver<Report> {
        &self.reports
    }

    /// Takes note of what came of a delivery.
    pub(crate) fn take(&mut self, report: Report) -> News {
        let mut news = News::new();
        if let Some(hook) = self.hooks.get_mut(report.hook) {
            hook.take(report, &mut news);
            hook.go_on();
        }
        news
    }

    /// What was counted.
    pub fn counts(&self) -> Vec<HookCounts> {
        self.hooks.iter().map(Hook::counts).collect()
    }

    /// Delivers what waits, each once, until then, and tells what is not delivered any more.
    pub fn finish(&mut self, until: Instant) -> News {
        let mut news = News::new();
        self.hooks.iter_mut().for_each(|hook| hook.worker.hurry());
        while self.hooks.iter().any(|hook| hook.is_busy) {
            let Ok(report) = self.reports.recv_deadline(until) else { break };
            let Some(hook) = self.hooks.get_mut(report.hook) else { continue };
            let is_there = matches!(report.outcome, Outcome::Delivered | Outcome::Failed(_));
            hook.take(report, &mut news);
            if is_there {
                hook.go_on();
            }
        }
        self.hooks.iter_mut().for_each(|hook| hook.give_up(&mut news));
        news
    }
}

impl Hook {
    fn new(name: &'static str, worker: Worker) -> Hook {
        let counts = HookCounts { hook: name, ..HookCounts::default() };
        Hook {
            name,
            queue: Queue::default(),
            worker,
            is_busy: false,
            failures: 0,
            is_failing: false,
            is_behind: false,
            counts,
        }
    }

    fn tell(&mut self, notification: Notification, news: &mut News) {
        let dropped = self.queue.push(notification);
        self.count_dropped(dropped, news);
        self.go_on();
    }

    /// Has the next one delivered, if nothing is under way.
    fn go_on(&mut self) {
        if self.is_busy {
            return;
        }
        let Some(item) = self.queue.pop() else {
            self.is_behind = false;
            return;
        };
        self.is_busy = true;
        let wait = match self.failures {
            0 => 0,
            failures => {
                let place = usize::try_from(failures - 1).unwrap_or(usize::MAX);
                BACK_OFF[place.min(BACK_OFF.len() - 1)]
            }
        };
        self.worker.deliver(item, Duration::from_secs(wait));
    }

    fn take(&mut self, Report { item, outcome, .. }: Report, news: &mut News) {
        self.is_busy = false;
        match &outcome {
            Outcome::Delivered => {
                self.counts.delivered += 1;
                self.failures = 0;
                if std::mem::take(&mut self.is_failing) {
                    let what = format!("{} works again: {}", self.name, item.notification);
                    news.push((Level::Info, Kind::Trouble.of(what)));
                }
            }
            // It is there, so that the next one need not wait.
            Outcome::Failed(why) => {
                self.failures = 0;
                self.fails(&item, "has failed", why, news);
            }
            Outcome::NotThere(why) | Outcome::Refused(why) => {
                self.failures = self.failures.saturating_add(1);
                self.fails(&item, "cannot be told, and is tried again", why, news);
            }
        }
        let dropped = self.queue.settle(item, &outcome);
        self.count_dropped(dropped, news);
    }

    /// Logged once, until it works again: a thousand IPs may move together.
    fn fails(&mut self, item: &Item, how: &str, why: &str, news: &mut News) {
        self.counts.failed += 1;
        let what = format!("{} {how}: {}", self.name, item.notification);
        if std::mem::replace(&mut self.is_failing, true) {
            debug!("{what}: {why}");
        } else {
            news.push((Level::Warn, Kind::Trouble.of(what).because(why)));
        }
    }

    fn count_dropped(&mut self, dropped: u64, news: &mut News) {
        self.counts.dropped += dropped;
        if dropped > 0 && !std::mem::replace(&mut self.is_behind, true) {
            let what = format!("{} is not told everything", self.name);
            let why = "there are newer notifications, which say how many were missed";
            news.push((Level::Warn, Kind::Trouble.of(what).because(why)));
        }
    }

    fn give_up(&mut self, news: &mut News) {
        let lost = self.queue.len() + usize::from(self.is_busy);
        if lost > 0 {
            self.counts.dropped += u64::try_from(lost).unwrap_or(u64::MAX);
            let what =
                format!("{} was not told everything: {lost} notifications are lost", self.name);
            let why = "the agent ends and waits no longer";
            news.push((Level::Warn, Kind::Trouble.of(what).because(why)));
        }
    }

    fn counts(&self) -> HookCounts {
        let queued = self.queue.len() + usize::from(self.is_busy);
        HookCounts { queued: u64::try_from(queued).unwrap_or(u64::MAX), ..self.counts.clone() }
    }
}

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
