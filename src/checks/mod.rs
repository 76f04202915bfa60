//! Health checks: whether the service behind an IP answers on this host.
//!
//! Owns: one thread per check, `check-<address>`. It tries its target at every interval and reports each result;
//! how often a check has to fail is counted by the [`Board`], what a failure means is decided elsewhere. What this
//! process lacks for a check (descriptors, threads, ports) is no failure of the service, and is reported as such.
//! Nothing blocks a thread for longer than the timeout of its check: a name is resolved on a thread of its own,
//! because the resolver knows no deadline, and keeps the addresses that it had until there are others.
//! It stops when its handle is dropped, within one timeout.

mod addresses;
mod board;
mod counter;
mod exec;
mod folder;
mod http;
mod target;
mod tls;
mod web;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

pub use self::board::{Board, CheckStanding, Checked};
pub use self::counter::Counter;
pub(crate) use self::exec::{Exec, bury};
pub(crate) use self::folder::find as find_command;
use self::target::Trial;
pub(crate) use self::web::Web;
use crate::tcp;
use crate::thread;
use crate::vip::{Check, Cidr};

/// Why a check has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPassed {
    /// The service does not answer.
    Failed(String),
    /// Nothing is known of the service: the check could not be made, because this agent lacks something.
    NotMade(String),
}

/// Hears of each result, with the number of the check in the list; called on the checks' threads, must not block.
pub type CheckReports = Arc<dyn Fn(usize, Result<(), NotPassed>) + Send + Sync>;

/// When and for how long to check, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the beginnings of two tries.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Where the commands are that may be run; none: none is run.
    pub commands: Option<Arc<Path>>,
}

/// How IPs are checked that do not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckDefaults {
    /// Between two checks.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Failed checks in a row before the host is failing.
    pub fall: u32,
    /// Successful checks in a row before a failing host is healthy again.
    pub rise: u32,
    /// Where the commands are that may be run for a check; none: none is run.
    pub commands: Option<Arc<Path>>,
}

impl CheckDefaults {
    #[cfg(test)]
    pub(crate) fn for_tests() -> CheckDefaults {
        let second = Duration::from_secs(1);
        CheckDefaults { interval: second, timeout: second, fall: 1, rise: 1, commands: None }
    }

    /// When an IP is checked that says so many seconds; 0: as others.
    pub fn timing(&self, seconds: u64) -> Timing {
        let interval = match seconds {
            0 => self.interval,
            seconds => Duration::from_secs(seconds),
        };
        Timing { interval, timeout: self.timeout, commands: self.commands.clone() }
    }
}

/// Owns the threads that check one IP.
#[derive(Debug)]
pub struct Checks {
    // Dropped first: the threads end when the sender is gone. They are not joined, because a check that
    // is under way would be waited for; all it can do is report to a channel that nobody reads.
    _stop: Sender<()>,
    _threads: Vec<JoinHandle<()>>,
}

impl Checks {
    /// Starts to check, at once and then at every interval. The error is that there is no thread for one of them.
    pub fn start(
        cidr: Cidr,
        checks: &[Check],
        timing: &Timing,
        reports: &CheckReports,
    ) -> Result<Checks, NotPassed> {
        let (stop_tx, stop_rx) = bounded(0);
        let mut threads = Vec::with_capacity(checks.len());
        for (number, check) in checks.iter().enumerate() {
            let trial = Trial::new(check.clone(), cidr, timing.commands.clone());
            let (stop, reports, timing) = (stop_rx.clone(), Arc::clone(reports), timing.clone());
            let run = move || run(trial, &timing, &stop, &|result| reports(number, result));
            let thread = thread::spawn(&format!("check-{}", cidr.addr()), run);
            let lack = |error| not_made(&cidr, tcp::lack(&error).unwrap_or("threads"));
            threads.push(thread.map_err(lack)?);
        }
        Ok(Checks { _stop: stop_tx, _threads: threads })
    }
}

/// Until the sender of `stop` is gone.
fn run(
    mut trial: Trial,
    timing: &Timing,
    stop: &Receiver<()>,
    report: &dyn Fn(Result<(), NotPassed>),
) {
    let mut due = Instant::now();
    // Nothing is ever sent: only the end of the channel, or the time, ends the wait.
    while stop.recv_deadline(due) == Err(RecvTimeoutError::Timeout) {
        due = due.max(Instant::now() - timing.interval) + timing.interval;
        let result = trial.make(Instant::now() + timing.timeout);
        report(result.map_err(|error| match tcp::lack(&error) {
            None => NotPassed::Failed(format!("check {}: {error}", trial.check().target)),
            Some(what) => not_made(&trial.check().target, what),
        }));
    }
}

fn not_made(check: &dyn Display, what: &str) -> NotPassed {
    NotPassed::NotMade(format!("check {check} cannot be made: this agent lacks {what}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crossbeam_channel::Receiver;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    type Told = (usize, Result<(), NotPassed>);

    fn start(checks: &[Check]) -> (Checks, Receiver<Told>) {
        let (tx, rx) = crossbeam_channel::unbounded();
        let interval = Duration::from_millis(10);
        let timing = Timing { interval, timeout: Duration::from_secs(2), commands: None };
        let reports: CheckReports = Arc::new(move |number, result| drop(tx.send((number, result))));
        let cidr = "10.0.0.1".parse().unwrap();
        (Checks::start(cidr, checks, &timing, &reports).unwrap(), rx)
    }

    /// The first report that is as wanted, however many others come before it.
    fn first(rx: &Receiver<Told>, wanted: fn(&Told) -> bool) -> Told {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = rx.recv_deadline(until).expect("a report");
            if wanted(&told) {
                return told;
            }
        }
    }

    #[test]
    fn a_service_passes_fails_when_it_ends_and_passes_again() {
        let (service, port) = listener();
        let (_checks, rx) = start(&[Check::tcp("127.0.0.1", port)]);
        assert_eq!(rx.recv_timeout(PATIENCE).unwrap(), (0, Ok(())));
        drop(service);
        let _ = first(&rx, |(_, result)| result.is_err());
        let _service = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let _ = first(&rx, |(_, result)| result.is_ok());
    }

    #[test]
    fn each_check_is_told_by_its_number_and_a_failure_by_its_target() {
        let (_service, port) = listener();
        let (gone, closed) = listener();
        drop(gone);
        let (_checks, rx) =
            start(&[Check::tcp("127.0.0.1", port), Check::tcp("127.0.0.1", closed)]);
        assert_eq!(first(&rx, |(number, _)| *number == 0).1, Ok(()));
        let (_, Err(NotPassed::Failed(error))) = first(&rx, |(number, _)| *number == 1) else {
            panic!("nobody listens there")
        };
        assert!(error.starts_with(&format!("check TCP 127.0.0.1:{closed}: ")), "{error}");
    }

    #[test]
    fn names_are_resolved() {
        let (_service, port) = listener();
        let (_checks, rx) = start(&[Check::tcp("localhost", port)]);
        let _ = first(&rx, |(_, result)| result.is_ok());
    }

    #[test]
    fn the_checks_end_with_their_handle() {
        let (_service, port) = listener();
        let (checks, rx) = start(&[Check::tcp("127.0.0.1", port)]);
        drop(checks);
        while rx.recv_timeout(PATIENCE).is_ok() {}
        assert_eq!(rx.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected));
    }
}
