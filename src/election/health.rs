//! Whether this host can serve an IP: its interface and the checks of the service behind it.
//!
//! Pure: the time comes in as an argument.

use std::time::{Duration, Instant};

/// How long an interface has to be unusable before the host counts as failing. A bond that fails
/// over and a cable that is seated anew are over by then, and a move costs more than they do.
pub(crate) const DOWN: Duration = Duration::from_millis(500);

/// How long it has to be usable again before the host counts as healthy: one that comes and goes
/// must not make the IP come and go.
pub(crate) const UP: Duration = Duration::from_secs(1);

/// What is known of the interface and of the checks.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    interface: Option<Result<(), String>>,
    /// What the interface was last seen as, and when that begins to count.
    unsettled: Option<(Result<(), String>, Instant)>,
    checks: Checks,
    /// Failed checks in a row that make a passing service a failing one.
    fall: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Checks {
    /// None are configured.
    None,
    /// Configured, and no result yet.
    Waiting,
    /// The last success was this many failures ago.
    Passing { failures: u32 },
    /// Failing, for this reason.
    Failing(String),
}

impl Health {
    /// Nothing is known yet.
    pub(crate) fn new(checked: bool, fall: u32) -> Health {
        let checks = if checked { Checks::Waiting } else { Checks::None };
        Health { interface: None, unsettled: None, checks, fall }
    }

    /// `Ok` when this host can serve the IP, an error with the reason when it cannot, `None` while
    /// that is not known.
    pub(crate) fn verdict(&self) -> Option<Result<(), String>> {
        match (&self.interface, &self.checks) {
            (Some(Err(reason)), _) => Some(Err(reason.clone())),
            (_, Checks::Failing(reason)) => Some(Err(reason.clone())),
            (None, Checks::None | Checks::Waiting | Checks::Passing { .. }) => None,
            (Some(Ok(())), Checks::Waiting) => None,
            (Some(Ok(())), Checks::None | Checks::Passing { .. }) => Some(Ok(())),
        }
    }

    /// The interface can carry the address, or why not. The first word counts at once, a change
    /// when it has lasted.
    pub(crate) fn interface(&mut self, usable: Result<(), String>, now: Instant) {
        let lasts = match (&self.interface, &usable) {
            (None, Ok(()) | Err(_)) | (Some(Ok(())), Ok(())) | (Some(Err(_)), Err(_)) => {
                self.interface = Some(usable);
                self.unsettled = None;
                return;
            }
            (Some(Ok(())), Err(_)) => DOWN,
            (Some(Err(_)), Ok(())) => UP,
        };
        let since = self.unsettled.take().map_or(now + lasts, |(_, at)| at);
        self.unsettled = Some((usable, since));
    }

    /// Takes a change of the interface that has lasted for what it is.
    pub(crate) fn settle(&mut self, now: Instant) {
        if let Some((usable, _)) = self.unsettled.take_if(|(_, at)| now >= *at) {
            self.interface = Some(usable);
        }
    }

    /// When [`Health::settle`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.unsettled.as_ref().map(|(_, at)| *at)
    }

    /// Whether the network can be reached through the interface, settled or not.
    pub(crate) fn interface_is_usable(&self) -> bool {
        let last = self.unsettled.as_ref().map(|(usable, _)| usable).or(self.interface.as_ref());
        last.is_some_and(Result::is_ok)
    }

    /// The result of one round of checks. The first failure at start counts at once.
    pub(crate) fn checked(&mut self, result: Result<(), String>) {
        self.checks = match (&self.checks, result) {
            // A late result of checks that are no longer configured.
            (Checks::None, Ok(()) | Err(_)) => Checks::None,
            (Checks::Waiting | Checks::Passing { .. } | Checks::Failing(_), Ok(())) => {
                Checks::Passing { failures: 0 }
            }
            (Checks::Waiting | Checks::Failing(_), Err(reason)) => Checks::Failing(reason),
            (Checks::Passing { failures }, Err(reason)) if failures + 1 >= self.fall => {
                Checks::Failing(reason)
            }
            (Checks::Passing { failures }, Err(_)) => Checks::Passing { failures: failures + 1 },
        };
    }

    /// Other checks are configured. A service that passed keeps the benefit of the doubt until they
    /// have failed in a row; one that failed, or was never checked, has to pass first.
    pub(crate) fn replace_checks(&mut self, checked: bool) {
        let passed = matches!(self.checks, Checks::None | Checks::Passing { .. });
        self.checks = match (checked, passed) {
            (false, _) => Checks::None,
            (true, true) => Checks::Passing { failures: 0 },
            (true, false) => Checks::Waiting,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Result<(), String> {
        Err("refused".to_owned())
    }

    fn healthy(checked: bool) -> Health {
        let mut health = Health::new(checked, 3);
        health.interface(Ok(()), Instant::now());
        health
    }

    #[test]
    fn nothing_is_known_before_the_interface_and_the_first_check() {
        assert_eq!(Health::new(false, 3).verdict(), None);
        let mut health = healthy(true);
        assert_eq!(health.verdict(), None);
        health.checked(Ok(()));
        assert_eq!(health.verdict(), Some(Ok(())));
    }

    #[test]
    fn the_first_failure_at_start_counts_at_once() {
        let mut health = healthy(true);
        health.checked(failure());
        assert_eq!(health.verdict(), Some(failure()));
    }

    #[test]
    fn later_it_takes_as_many_failures_in_a_row_as_configured() {
        let mut health = healthy(true);
        for result in [Ok(()), failure(), failure(), Ok(()), failure(), failure()] {
            health.checked(result);
            assert_eq!(health.verdict(), Some(Ok(())));
        }
        health.checked(failure());
        assert_eq!(health.verdict(), Some(failure()));
    }

    fn down() -> Result<(), String> {
        Err("eth0: interface is down".to_owned())
    }

    #[test]
    fn an_interface_that_stays_unusable_fails_the_host_whatever_the_checks_say() {
        let mut health = healthy(true);
        health.checked(Ok(()));
        let now = Instant::now();
        health.interface(down(), now);
        assert_eq!((health.verdict(), health.interface_is_usable()), (Some(Ok(())), false));
        health.settle(now + DOWN);
        assert_eq!(health.verdict(), Some(down()));
        health.interface(Ok(()), now);
        assert_eq!(health.verdict(), Some(down()));
        assert_eq!(health.deadline(), Some(now + UP));
        health.settle(now + UP);
        assert_eq!((health.verdict(), health.deadline()), (Some(Ok(())), None));
    }

    #[test]
    fn an_interface_that_comes_back_in_time_was_never_away() {
        let mut health = healthy(false);
        let now = Instant::now();
        health.interface(down(), now);
        health.interface(Ok(()), now + DOWN / 2);
        assert_eq!(health.deadline(), None);
        health.settle(now + DOWN);
        assert_eq!(health.verdict(), Some(Ok(())));
    }

    #[test]
    fn another_reason_does_not_begin_the_wait_again() {
        let mut health = healthy(false);
        let now = Instant::now();
        health.interface(down(), now);
        health.interface(Err("eth0: no such interface".to_owned()), now + DOWN / 2);
        assert_eq!(health.deadline(), Some(now + DOWN));
    }

    #[test]
    fn the_first_word_of_the_interface_counts_at_once() {
        let mut health = Health::new(false, 3);
        health.interface(down(), Instant::now());
        assert_eq!(health.verdict(), Some(down()));
    }

    #[test]
    fn replaced_checks_take_effect_without_failing_a_service_that_passed() {
        let mut health = healthy(false);
        health.replace_checks(true);
        health.checked(failure());
        assert_eq!(health.verdict(), Some(Ok(())));
        health.checked(failure());
        health.checked(failure());
        health.replace_checks(true);
        assert_eq!(health.verdict(), None);
        health.replace_checks(false);
        health.checked(failure());
        assert_eq!(health.verdict(), Some(Ok(())));
    }
}
