//! Whether this host can serve an IP: its interface and the checks of the service behind it.

/// What is known of the interface and of the checks.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    interface: Option<Result<(), String>>,
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
        Health { interface: None, checks, fall }
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

    pub(crate) fn interface(&mut self, usable: Result<(), String>) {
        self.interface = Some(usable);
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
        health.interface(Ok(()));
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

    #[test]
    fn an_unusable_interface_fails_the_host_whatever_the_checks_say() {
        let mut health = healthy(true);
        health.checked(Ok(()));
        health.interface(Err("eth0 is down".to_owned()));
        assert_eq!(health.verdict(), Some(Err("eth0 is down".to_owned())));
        health.interface(Ok(()));
        assert_eq!(health.verdict(), Some(Ok(())));
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
