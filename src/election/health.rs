//! Whether this host can serve an IP: its interface, the checks of the service behind it, whether the
//! kernel takes the addresses, and whether the host is drained.
//!
//! Pure, and without times: what has to last for a while is armed as a [`Timer`].

use super::core::Timer;
use crate::network::{Mac, Unusable};

/// What is known of the interface, of the checks and of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Health {
    interface: Interface,
    checks: Checks,
    addition: Addition,
    drained: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Interface {
    /// Nothing was heard of it yet.
    Unknown,
    Usable(Mac),
    /// Unusable; that counts when it has lasted.
    GoingDown(Mac, Unusable),
    Down(Unusable),
    /// Usable again; that counts when it has lasted.
    ComingUp(Mac, Unusable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Checks {
    /// None are configured.
    None,
    /// Configured, and no result yet.
    Waiting,
    /// All are up.
    Passing,
    /// One is down.
    Failing,
}

/// Whether the kernel adds the addresses that it was told to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Addition {
    /// As far as is known.
    Works,
    /// They were not on the interface in time.
    Failed,
}

/// Whether this host can serve the IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// Not known yet.
    Unknown,
    /// It can.
    Healthy,
    /// It cannot.
    Unhealthy(Cause),
}

/// Why a host cannot serve an IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its interface is unusable.
    Interface(Unusable),
    /// The checks of the service fail.
    Checks,
    /// The kernel does not take the address.
    Addition,
    /// The host is drained: its operator wants its IPs elsewhere.
    Drained,
}

impl Health {
    /// Nothing is known yet.
    pub(crate) fn new(checked: bool) -> Health {
        let checks = if checked { Checks::Waiting } else { Checks::None };
        let (interface, addition) = (Interface::Unknown, Addition::Works);
        Health { interface, checks, addition, drained: false }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match (self.interface, self.checks, self.addition) {
            (Interface::Down(why) | Interface::ComingUp(_, why), _, _) => {
                Verdict::Unhealthy(Cause::Interface(why))
            }
            (_, Checks::Failing, _) => Verdict::Unhealthy(Cause::Checks),
            (_, _, Addition::Failed) => Verdict::Unhealthy(Cause::Addition),
            (Interface::Unknown, _, _) | (_, Checks::Waiting, _) => Verdict::Unknown,
            _ if self.drained => Verdict::Unhealthy(Cause::Drained),
            (
                Interface::Usable(_) | Interface::GoingDown(..),
                Checks::None | Checks::Passing,
                Addition::Works,
            ) => Verdict::Healthy,
        }
    }

    /// The interface can carry the addresses, or why not. The first word counts at once, a change
    /// when it has lasted.
    pub(crate) fn interface(&mut self, usable: Result<Mac, Unusable>) {
        self.interface = match (self.interface, usable) {
            (Interface::Unknown | Interface::Usable(_) | Interface::GoingDown(..), Ok(mac)) => {
                Interface::Usable(mac)
            }
            (Interface::Down(why) | Interface::ComingUp(_, why), Ok(mac)) => {
                Interface::ComingUp(mac, why)
            }
            (Interface::Usable(mac) | Interface::GoingDown(mac, _), Err(why)) => {
                Interface::GoingDown(mac, why)
            }
            (Interface::Unknown | Interface::Down(_) | Interface::ComingUp(..), Err(why)) => {
                Interface::Down(why)
            }
        };
    }

    /// A change of the interface has lasted.
    pub(crate) fn settle_interface(&mut self) {
        self.interface = match self.interface {
            Interface::GoingDown(_, why) => Interface::Down(why),
            Interface::ComingUp(mac, _) => Interface::Usable(mac),
            settled @ (Interface::Unknown | Interface::Usable(_) | Interface::Down(_)) => settled,
        };
    }

    /// The timer for which a change of the interface waits.
    pub(crate) fn awaits(&self) -> Option<Timer> {
        match self.interface {
            Interface::GoingDown(..) => Some(Timer::InterfaceDown),
            Interface::ComingUp(..) => Some(Timer::InterfaceUp),
            Interface::Unknown | Interface::Usable(_) | Interface::Down(_) => None,
        }
    }

    /// The hardware address of the interface, if traffic can pass it, settled or not.
    pub(crate) fn usable_interface(&self) -> Option<Mac> {
        match self.interface {
            Interface::Usable(mac) | Interface::ComingUp(mac, _) => Some(mac),
            Interface::Unknown | Interface::GoingDown(..) | Interface::Down(_) => None,
        }
    }

    /// The hardware address of the interface, as last known.
    pub(crate) fn hardware_address(&self) -> Option<Mac> {
        match self.interface {
            Interface::Usable(mac) | Interface::GoingDown(mac, _) | Interface::ComingUp(mac, _) => {
                Some(mac)
            }
            Interface::Unknown | Interface::Down(_) => None,
        }
    }

    /// The addresses are on the interface, or were not in time.
    pub(crate) fn added(&mut self, added: bool) {
        self.addition = if added { Addition::Works } else { Addition::Failed };
    }

    /// The kernel did not take the addresses when it was last told to.
    pub(crate) fn cannot_add(&self) -> bool {
        self.addition == Addition::Failed
    }

    /// The host is drained, or no longer.
    pub(crate) fn drain(&mut self, drained: bool) {
        self.drained = drained;
    }

    /// The host could serve the IP, and is drained.
    pub(crate) fn is_drained(&self) -> bool {
        self.verdict() == Verdict::Unhealthy(Cause::Drained)
    }

    /// All checks are up, or one is down.
    pub(crate) fn checked(&mut self, up: bool) {
        self.checks = match (self.checks, up) {
            // A late result of checks that are no longer configured.
            (Checks::None, _) => Checks::None,
            (Checks::Waiting | Checks::Passing | Checks::Failing, true) => Checks::Passing,
            (Checks::Waiting | Checks::Passing | Checks::Failing, false) => Checks::Failing,
        };
    }

    /// No check is down, as far as is known: others that replace them begin as if they had passed.
    pub(crate) fn checks_pass(&self) -> bool {
        matches!(self.checks, Checks::None | Checks::Passing)
    }

    /// Other checks are configured. A service that passed keeps the benefit of the doubt until one of them is down;
    /// one that failed, or was never checked, has to pass first.
    pub(crate) fn replace_checks(&mut self, checked: bool) {
        self.checks = match (checked, self.checks_pass()) {
            (false, _) => Checks::None,
            (true, true) => Checks::Passing,
            (true, false) => Checks::Waiting,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn healthy(checked: bool) -> Health {
        let mut health = Health::new(checked);
        health.interface(Ok(MAC));
        health
    }

    const DOWN: Verdict = Verdict::Unhealthy(Cause::Interface(Unusable::Down));
    const CHECKS_FAIL: Verdict = Verdict::Unhealthy(Cause::Checks);

    #[test]
    fn nothing_is_known_before_the_interface_and_the_first_check() {
        assert_eq!(Health::new(false).verdict(), Verdict::Unknown);
        let mut health = healthy(true);
        assert_eq!(health.verdict(), Verdict::Unknown);
        health.checked(true);
        assert_eq!(health.verdict(), Verdict::Healthy);
    }

    #[test]
    fn a_drained_host_does_not_serve_what_it_could() {
        let mut health = healthy(true);
        health.drain(true);
        assert_eq!(health.verdict(), Verdict::Unknown, "it is not known yet what it could");
        health.checked(true);
        assert_eq!(health.verdict(), Verdict::Unhealthy(Cause::Drained));
        health.checked(false);
        assert_eq!(health.verdict(), CHECKS_FAIL, "that is worse");
        health.checked(true);
        health.drain(false);
        assert_eq!(health.verdict(), Verdict::Healthy);
    }

    #[test]
    fn a_check_that_is_down_fails_the_host_until_all_are_up() {
        let mut health = healthy(true);
        for (up, verdict) in [(false, CHECKS_FAIL), (true, Verdict::Healthy), (false, CHECKS_FAIL)]
        {
            health.checked(up);
            assert_eq!((health.verdict(), health.checks_pass()), (verdict, up));
        }
    }

    #[test]
    fn an_interface_that_stays_unusable_fails_the_host_whatever_the_checks_say() {
        let mut health = healthy(true);
        health.checked(true);
        health.interface(Err(Unusable::Down));
        assert_eq!((health.verdict(), health.usable_interface()), (Verdict::Healthy, None));
        assert_eq!(health.awaits(), Some(Timer::InterfaceDown));
        health.settle_interface();
        assert_eq!(health.verdict(), DOWN);
        health.interface(Ok(MAC));
        assert_eq!((health.verdict(), health.awaits()), (DOWN, Some(Timer::InterfaceUp)));
        health.settle_interface();
        assert_eq!((health.verdict(), health.awaits()), (Verdict::Healthy, None));
    }

    #[test]
    fn an_interface_that_comes_back_in_time_was_never_away() {
        let mut health = healthy(false);
        health.interface(Err(Unusable::Down));
        health.interface(Ok(MAC));
        assert_eq!(health.awaits(), None);
        health.settle_interface();
        assert_eq!(health.verdict(), Verdict::Healthy);
    }

    #[test]
    fn the_first_word_of_the_interface_counts_at_once() {
        let mut health = Health::new(false);
        health.interface(Err(Unusable::Down));
        assert_eq!(health.verdict(), DOWN);
    }

    #[test]
    fn a_host_whose_kernel_does_not_take_the_address_is_unhealthy_until_it_does() {
        let mut health = healthy(false);
        health.added(false);
        assert_eq!(health.verdict(), Verdict::Unhealthy(Cause::Addition));
        health.added(true);
        assert_eq!(health.verdict(), Verdict::Healthy);
    }

    #[test]
    fn replaced_checks_take_effect_without_failing_a_service_that_passed() {
        let mut health = healthy(false);
        health.replace_checks(true);
        assert_eq!(health.verdict(), Verdict::Healthy);
        health.checked(false);
        health.replace_checks(true);
        assert_eq!(health.verdict(), Verdict::Unknown);
        health.replace_checks(false);
        health.checked(false);
        assert_eq!(health.verdict(), Verdict::Healthy);
    }
}
