//! The one place in which the actuator waits.
//!
//! Blocks in `ppoll`, whose timeout has nanoseconds: that of `poll` would have to be rounded up to
//! whole milliseconds. A wait that took much longer than it should have was a standstill.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::error::words;
use crate::clock;

/// A wait that is so late was no wait: the process was stopped, or the machine suspended.
pub(super) const STANDSTILL: Duration = Duration::from_millis(500);

/// Waits until one of the descriptors is readable, or the time is over. If that took much longer
/// than it should have, `since` that time since boot, how long the process or the machine stood still.
pub(super) fn wait<'a>(
    descriptors: impl Iterator<Item = BorrowedFd<'a>>,
    timeout: Option<Duration>,
    since: Duration,
) -> Option<Duration> {
    let mut descriptors: Vec<_> =
        descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
    match ppoll(&mut descriptors, timeout.map(TimeSpec::from_duration), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => log::error!("ppoll: {}", words(errno)),
    }
    standstill(timeout, clock::since_boot().saturating_sub(since))
}

/// How much longer than its timeout a wait has taken, if that is so long that others may have acted.
fn standstill(timeout: Option<Duration>, waited: Duration) -> Option<Duration> {
    let late = waited.saturating_sub(timeout?);
    (late >= STANDSTILL).then_some(late)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_wait_that_is_half_a_second_late_was_a_standstill() {
        let timeout = Some(Duration::from_secs(1));
        for (millis, late) in [(0, None), (1000, None), (1499, None), (1500, Some(500))] {
            let waited = Duration::from_millis(millis);
            assert_eq!(standstill(timeout, waited), late.map(Duration::from_millis));
        }
        let hour = Duration::from_secs(3600);
        assert_eq!(standstill(Some(Duration::ZERO), hour), Some(hour));
        assert_eq!(standstill(None, hour), None, "nothing was to be done");
    }

    #[test]
    fn a_wait_ends_when_its_time_has_come_and_not_at_the_next_millisecond() {
        let timeout = Duration::from_micros(100);
        let waits = (0..1000).map(|_| {
            let start = Instant::now();
            wait(std::iter::empty(), Some(timeout), clock::since_boot());
            start.elapsed()
        });
        let shortest = waits.min().unwrap();
        assert!((timeout..Duration::from_millis(1)).contains(&shortest), "{shortest:?}");
    }
}
