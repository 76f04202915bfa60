//! What systemd is told: how far the agent is, and that it lives, for as long as all its threads do.
//!
//! Owns: the check of the threads that were asked for a sign of life. The main thread calls the
//! watchdog when its turn is due, three times in the time after which systemd would kill the agent
//! (`WatchdogSec` in the unit). It waits for nobody: a thread that was asked in one turn has until the
//! next one to answer. Threads that have not are named once, and systemd is not fed until they have.
//! Without `WATCHDOG_USEC` in the environment there is no watchdog, and nobody is asked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use sd_notify::NotifyState;

use crate::ping::LivenessCheck;
use crate::text::{clean, first_of};

/// Turns in the time that systemd waits, so that one may be missed by a thread that is slow.
const TURNS: u32 = 3;

/// Names in a line of the log.
const NAMES: usize = 5;

/// Tells systemd of a state; does nothing without systemd.
pub(crate) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("tell systemd: {error}");
    }
}

/// The line that `systemctl status` shows.
#[derive(Debug, Default)]
pub(crate) struct StatusLine(String);

impl StatusLine {
    /// Shows this one, if it is another than before.
    pub(crate) fn show(&mut self, line: &str) {
        // A line end would begin another message.
        let line = clean(line);
        if line != self.0 {
            notify(NotifyState::Status(&line));
            self.0 = line;
        }
    }
}

/// What the main thread does for systemd's watchdog.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Between two turns.
    interval: Duration,
    due: Instant,
    check: LivenessCheck,
    /// The threads of which it was logged that they do not answer.
    logged: BTreeSet<String>,
}

impl Watchdog {
    /// A watchdog if systemd wants one of this process; its first turn is now.
    pub(crate) fn start() -> Option<Watchdog> {
        let patience = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())?;
        let interval = patience / TURNS;
        info!("systemd is told every {interval:?} that all threads are alive");
        Some(Watchdog {
            interval,
            due: Instant::now(),
            check: LivenessCheck::new(),
            logged: BTreeSet::new(),
        })
    }

    /// Takes its turn if that is due: feeds if all have answered, and has everybody asked anew.
    /// Returns when the next turn is due.
    pub(crate) fn turn(&mut self, now: Instant, ask: impl Fn(&LivenessCheck)) -> Instant {
        if now < self.due {
            return self.due;
        }
        self.due = now + self.interval;
        if self.look() {
            notify(NotifyState::Watchdog);
            ask(&self.check);
        }
        self.due
    }

    /// Whether all have answered; names those that have not, when that changes.
    fn look(&mut self) -> bool {
        let missing = self.check.missing();
        if *missing != self.logged {
            if missing.is_empty() {
                info!("all threads answer again");
            } else {
                let names = first_of(missing.iter(), NAMES, ", ");
                error!("no answer within {:?}: {names}; systemd is not fed", self.interval);
            }
            self.logged.clone_from(missing);
        }
        missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn everybody_is_asked_when_it_is_due_and_only_if_all_have_answered() {
        let start = Instant::now();
        let mut watchdog = Watchdog {
            interval: INTERVAL,
            due: start,
            check: LivenessCheck::new(),
            logged: BTreeSet::new(),
        };
        let (asked, open) = (Cell::new(0), RefCell::new(None));
        let ask = |check: &LivenessCheck| {
            asked.set(asked.get() + 1);
            open.replace(Some(check.ask("net")));
        };
        assert_eq!(watchdog.turn(start, ask), start + INTERVAL);
        assert_eq!(watchdog.turn(start + INTERVAL / 2, ask), start + INTERVAL);
        assert_eq!(asked.get(), 1, "nothing was due");
        for turn in 1..4 {
            watchdog.turn(start + INTERVAL * turn, ask);
            assert_eq!(asked.get(), 1, "net has not answered");
        }
        open.take();
        watchdog.turn(start + INTERVAL * 4, ask);
        assert_eq!(asked.get(), 2);
    }
}
