//! Health checks: whether the service behind an IP answers on this host.
//!
//! Owns: one thread per IP that has checks, `check-<address>`. It connects to the targets, one after
//! the other, and reports each round; what a failure means is decided elsewhere. What this process lacks
//! for a check (descriptors, threads, ports) is no failure of the service, and is reported as such.
//! Nothing blocks it for longer than the timeout of one check: a name is resolved on a thread of its own,
//! because the resolver knows no deadline, and keeps the addresses that it had until there are others.
//! It stops when its handle is dropped, within one timeout.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::tcp::{self, Name, Resolving};
use crate::thread;
use crate::vip::{Check, CheckKind, Cidr};

/// Why a round of checks has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPassed {
    /// The service does not answer.
    Failed(String),
    /// Nothing is known of the service: a check could not be made, because this agent lacks something.
    NotMade(String),
}

/// Hears of each round; called on the checks' thread, must not block.
pub type CheckReports = Box<dyn Fn(Result<(), NotPassed>) + Send>;

/// When and for how long to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the beginnings of two rounds.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
}

/// How IPs are checked that do not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckDefaults {
    /// Between two checks.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Failed checks in a row before the host is failing.
    pub fall: u32,
    /// Successful checks in a row before a failing host is healthy again.
    pub rise: u32,
}

impl CheckDefaults {
    /// When an IP is checked that says so many seconds; 0: as others.
    pub fn timing(&self, seconds: u64) -> Timing {
        let interval = match seconds {
            0 => self.interval,
            seconds => Duration::from_secs(seconds),
        };
        Timing { interval, timeout: self.timeout }
    }
}

/// Owns the thread that checks one IP.
#[derive(Debug)]
pub struct Checks {
    // Dropped first: the thread ends when its sender is gone. It is not joined, because a check that
    // is under way would be waited for; all it can do is report to a channel that nobody reads.
    _stop: Sender<()>,
    _thread: JoinHandle<()>,
}

impl Checks {
    /// Starts to check, at once and then at every interval. The error is that there is no thread for it.
    pub fn start(
        cidr: Cidr,
        checks: &[Check],
        timing: Timing,
        reports: CheckReports,
    ) -> Result<Checks, NotPassed> {
        let (stop_tx, stop_rx) = bounded(0);
        let mut targets: Vec<Target> = checks.iter().cloned().map(Target::new).collect();
        let run = move || {
            let mut due = Instant::now();
            // Nothing is ever sent: only the end of the channel, or the time, ends the wait.
            while stop_rx.recv_deadline(due) == Err(RecvTimeoutError::Timeout) {
                due = due.max(Instant::now() - timing.interval) + timing.interval;
                reports(round(&mut targets, timing.timeout));
            }
        };
        let thread = thread::spawn(&format!("check-{}", cidr.addr()), run);
        let thread =
            thread.map_err(|error| not_made(&cidr, tcp::lack(&error).unwrap_or("threads")))?;
        Ok(Checks { _stop: stop_tx, _thread: thread })
    }
}

/// Tries every target; the first that fails ends the round.
fn round(targets: &mut [Target], timeout: Duration) -> Result<(), NotPassed> {
    let mut passed = Ok(());
    for target in targets {
        let Err(error) = target.connect(Instant::now() + timeout) else { continue };
        let check = &target.check;
        match tcp::lack(&error) {
            None => return Err(NotPassed::Failed(format!("check {check}: {error}"))),
            Some(what) => passed = Err(not_made(check, what)),
        }
    }
    passed
}

fn not_made(check: &dyn Display, what: &str) -> NotPassed {
    NotPassed::NotMade(format!("check {check} cannot be made: this agent lacks {what}"))
}

/// One check, with what is known of its name.
struct Target {
    check: Check,
    name: Name,
    /// What the resolver has found last.
    known: Vec<SocketAddr>,
    /// The question to the resolver that is still open.
    resolving: Option<Resolving>,
}

impl Target {
    fn new(check: Check) -> Target {
        let name = Name::new(&check.host, check.port);
        Target { check, name, known: Vec::new(), resolving: None }
    }

    /// Connects to one of the target's addresses and closes the connection.
    fn connect(&mut self, until: Instant) -> io::Result<()> {
        match self.check.kind {
            CheckKind::Tcp => {
                let addresses = self.addresses(until)?;
                tcp::connect_to_any(&addresses, until).map(drop)
            }
        }
    }

    fn addresses(&mut self, until: Instant) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.name.address() {
            return Ok(vec![address]);
        }
        match self.resolve(until) {
            Ok(found) => self.known = found,
            Err(error) if self.known.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(self.known.clone())
    }

    /// Asks the resolver. If there are addresses already, half of the time is left to connect; and a
    /// question that was not answered in time stays the only one, and is not waited for again.
    fn resolve(&mut self, until: Instant) -> io::Result<Vec<SocketAddr>> {
        let now = Instant::now();
        let (answer, patience) = match self.resolving.take() {
            Some(answer) => (answer, now),
            None => (self.name.ask()?, now + until.saturating_duration_since(now) / 2),
        };
        match answer.recv_deadline(if self.known.is_empty() { until } else { patience }) {
            Ok(addresses) => addresses,
            Err(RecvTimeoutError::Timeout) => {
                self.resolving = Some(answer);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the name is not resolved in time"))
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the resolver has ended")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crossbeam_channel::Receiver;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn check(host: &str, port: u16) -> Check {
        Check { kind: CheckKind::Tcp, host: host.to_owned(), port }
    }

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn start(checks: &[Check]) -> (Checks, Receiver<Result<(), NotPassed>>) {
        let (tx, rx) = crossbeam_channel::unbounded();
        let interval = Duration::from_millis(10);
        let timing = Timing { interval, timeout: Duration::from_secs(2) };
        let reports = Box::new(move |result| drop(tx.send(result)));
        let cidr = "10.0.0.1".parse().unwrap();
        (Checks::start(cidr, checks, timing, reports).unwrap(), rx)
    }

    /// The first report that is as wanted, however many others come before it.
    fn first(rx: &Receiver<Result<(), NotPassed>>, wanted: fn(&Result<(), NotPassed>) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !wanted(&rx.recv_deadline(until).expect("a report")) {}
    }

    #[test]
    fn a_service_passes_fails_when_it_ends_and_passes_again() {
        let (service, port) = listener();
        let (_checks, rx) = start(&[check("127.0.0.1", port)]);
        assert_eq!(rx.recv_timeout(PATIENCE).unwrap(), Ok(()));
        drop(service);
        first(&rx, Result::is_err);
        let _service = TcpListener::bind(("127.0.0.1", port)).unwrap();
        first(&rx, Result::is_ok);
    }

    #[test]
    fn one_target_that_fails_fails_the_round_and_is_named() {
        let (_service, port) = listener();
        let (gone, closed) = listener();
        drop(gone);
        let (_checks, rx) = start(&[check("127.0.0.1", port), check("127.0.0.1", closed)]);
        let Err(NotPassed::Failed(error)) = rx.recv_timeout(PATIENCE).unwrap() else { panic!() };
        assert!(error.starts_with(&format!("check TCP 127.0.0.1:{closed}: ")), "{error}");
    }

    #[test]
    fn names_are_resolved() {
        let (_service, port) = listener();
        let (_checks, rx) = start(&[check("localhost", port)]);
        first(&rx, Result::is_ok);
    }

    #[test]
    fn the_checks_end_with_their_handle() {
        let (_service, port) = listener();
        let (checks, rx) = start(&[check("127.0.0.1", port)]);
        drop(checks);
        while rx.recv_timeout(PATIENCE).is_ok() {}
        assert_eq!(rx.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected));
    }
}
