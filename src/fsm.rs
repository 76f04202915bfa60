//! The state machine of one IP on one host: a pure function, every cell written out.
//!
//! It has no clock, no channel, no log line and no I/O. Effects are values; the election performs
//! them, in order.
//!
//! ```text
//!               elected, fault                     health_check_fail
//!   STANDBY ──────────────────────► ACTIVATED ──────────────────────► FAILING
//!      ▲ ▲                              │                               │ ▲
//!      │ └──────────── demoted ─────────┘                               │ │
//!      │                                                                │ │
//!      └─────────────────── health_check_success ───────────────────────┘ │
//!      └─────────────────── health_check_fail ────────────────────────────┘
//! ```

use std::fmt;

/// Where an IP stands on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// This host has the IP.
    Activated,
    /// This host does not have it, and would take it.
    Standby,
    /// Its health checks or its interface fail on this host: another one is preferred.
    Failing,
}

/// What can happen to an IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// etcd is lost, and this host is to have the IP by the policy.
    Fault,
    /// This host holds the lock. To a host that fails: and no other host could have the IP.
    Elected,
    /// The IP is not for this host: another host holds the lock or is heard to have the IP, this host
    /// has given it up, or it fails and no failing host is to have it.
    Demoted,
    /// The service behind the IP, or the interface, is not usable on this host.
    HealthCheckFail,
    /// They are usable again.
    HealthCheckSuccess,
}

/// What has to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Add the addresses to the interface and announce them.
    Bind,
    /// Remove the addresses from the interface.
    Unbind,
    /// Give up the lock, if it is held.
    Release,
    /// Try to get the lock.
    Campaign,
}

use Effect::{Bind, Campaign, Release, Unbind};
use Event::{Demoted, Elected, Fault, HealthCheckFail, HealthCheckSuccess};
use State::{Activated, Failing, Standby};

/// The next state and what to do, for every state and event.
///
/// This is the whole table: nothing else adds or removes an address. A step into the same state may
/// still have effects: they repair what may differ from the state, such as an address that a previous
/// process left on the interface.
pub fn step(state: State, event: Event) -> (State, &'static [Effect]) {
    match (state, event) {
        (Activated, Fault) => (Activated, &[]),
        (Activated, Elected) => (Activated, &[]),
        (Activated, Demoted) => (Standby, &[Unbind]),
        // The address stays until another host has it, or it is known that none will.
        (Activated, HealthCheckFail) => (Failing, &[Release]),
        (Activated, HealthCheckSuccess) => (Activated, &[]),

        (Standby, Fault) => (Activated, &[Bind]),
        (Standby, Elected) => (Activated, &[Bind]),
        (Standby, Demoted) => (Standby, &[Unbind]),
        // A lock may be on its way to us, and a left-over address may be on the interface.
        (Standby, HealthCheckFail) => (Failing, &[Release]),
        (Standby, HealthCheckSuccess) => (Standby, &[Campaign]),

        (Failing, Fault) => (Failing, &[]),
        // The last one keeps the IP, or gets it back, though its checks fail.
        (Failing, Elected) => (Failing, &[Bind]),
        // The address that it kept until then goes.
        (Failing, Demoted) => (Failing, &[Unbind]),
        (Failing, HealthCheckFail) => (Failing, &[]),
        (Failing, HealthCheckSuccess) => (Standby, &[Campaign]),
    }
}

impl State {
    /// All states.
    pub const ALL: [State; 3] = [Activated, Standby, Failing];
}

impl Event {
    /// All events.
    pub const ALL: [Event; 5] = [Fault, Elected, Demoted, HealthCheckFail, HealthCheckSuccess];
}

impl fmt::Display for State {
    /// The state as the API shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activated => "ACTIVATED",
            Standby => "STANDBY",
            Failing => "FAILING",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault => "fault",
            Elected => "elected",
            Demoted => "demoted",
            HealthCheckFail => "health_check_fail",
            HealthCheckSuccess => "health_check_success",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, cell by cell.
    const TABLE: [(State, [State; 5]); 3] = [
        // fault, elected, demoted, health_check_fail, health_check_success
        (Activated, [Activated, Activated, Standby, Failing, Activated]),
        (Standby, [Activated, Activated, Standby, Failing, Standby]),
        (Failing, [Failing, Failing, Failing, Failing, Standby]),
    ];

    #[test]
    fn every_cell_of_the_table_holds() {
        for (state, row) in TABLE {
            for (event, next) in Event::ALL.into_iter().zip(row) {
                assert_eq!(step(state, event).0, next, "{state} {event}");
            }
        }
    }

    #[test]
    fn whatever_enters_activated_binds_and_whatever_is_demoted_unbinds() {
        for state in State::ALL {
            for event in Event::ALL {
                let (next, effects) = step(state, event);
                let entered = state != Activated && next == Activated;
                let last_one = state == Failing && event == Elected;
                assert_eq!(effects.contains(&Bind), entered || last_one, "{state} {event}");
                assert_eq!(effects.contains(&Unbind), event == Demoted, "{state} {event}");
            }
        }
    }

    #[test]
    fn a_host_that_begins_to_fail_gives_the_lock_up_and_keeps_the_address_until_then() {
        for state in [Activated, Standby] {
            assert_eq!(step(state, HealthCheckFail).1, &[Release]);
        }
    }
}
