//! Health checks: whether the service behind an IP answers on this host.
//!
//! Owns: one thread per IP that has checks, `check-<address>`. It connects to the targets, one after
//! the other, and reports each round; what a failure means is decided elsewhere. Nothing blocks it
//! for longer than the timeout of one check: a name is resolved on a thread of its own, because the
//! resolver knows no deadline. It stops when its handle is dropped, within one timeout.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::tcp::{self, Resolving};
use crate::thread;
use crate::vip::{Check, CheckKind, Cidr};

/// Hears of each round; called on the checks' thread, must not block.
pub type CheckReports = Box<dyn Fn(Result<(), String>) + Send>;

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

/// Owns the thread that checks one IP.
#[derive(Debug)]
pub struct Checks {
    // Dropped first: the thread ends when its sender is gone. It is not joined, because a check that
    // is under way would be waited for; all it can do is report to a channel that nobody reads.
    _stop: Sender<()>,
    _thread: JoinHandle<()>,
}

impl Checks {
    /// Starts to check, at once and then at every interval.
    pub fn start(
        cidr: Cidr,
        checks: &[Check],
        timing: Timing,
        reports: CheckReports,
    ) -> io::Result<Checks> {
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
        let thread = thread::spawn(&format!("check-{}", cidr.addr()), run)?;
        Ok(Checks { _stop: stop_tx, _thread: thread })
    }
}

/// Tries every target; the first that fails ends the round.
fn round(targets: &mut [Target], timeout: Duration) -> Result<(), String> {
    for target in targets {
        let result = target.connect(Instant::now() + timeout);
        result.map_err(|error| format!("check {}: {error}", target.check))?;
    }
    Ok(())
}

/// One check, with the question to the resolver that may still be open.
struct Target {
    check: Check,
    resolving: Option<Resolving>,
}

impl Target {
    fn new(check: Check) -> Target {
        Target { check, resolving: None }
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
        if let Ok(address) = self.check.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.check.port)]);
        }
        // A question that was not answered in time stays the only one.
        let answer = match self.resolving.take() {
            Some(answer) => answer,
            None => tcp::resolve(self.check.host.clone(), self.check.port)?,
        };
        match answer.recv_deadline(until) {
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

    fn start(checks: &[Check]) -> (Checks, Receiver<Result<(), String>>) {
        let (tx, rx) = crossbeam_channel::unbounded();
        let interval = Duration::from_millis(10);
        let timing = Timing { interval, timeout: Duration::from_secs(2) };
        let reports = Box::new(move |result| drop(tx.send(result)));
        let cidr = "10.0.0.1".parse().unwrap();
        (Checks::start(cidr, checks, timing, reports).unwrap(), rx)
    }

    /// The first report that is as wanted, however many others come before it.
    fn first(rx: &Receiver<Result<(), String>>, wanted: fn(&Result<(), String>) -> bool) {
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
        let error = rx.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert!(error.starts_with(&format!("check TCP 127.0.0.1:{closed}: ")), "{error}");
    }

    #[test]
    fn names_are_resolved() {
        let (_service, port) = listener();
        let (_checks, rx) = start(&[check("localhost", port)]);
        assert_eq!(rx.recv_timeout(PATIENCE).unwrap(), Ok(()));
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
