//! The one place in which the actuator waits, and what tells a standstill from work.
//!
//! Blocks in `ppoll`, whose timeout has nanoseconds: that of `poll` would have to be rounded up to
//! whole milliseconds. A wait that took much longer than it should have was a standstill, and so was
//! work that took much longer than it had a CPU or waited for the kernel, which may be busy.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::error::words;
use crate::clock;

/// A wait that is so late was no wait: the process was stopped, or the machine suspended.
pub(super) const STANDSTILL: Duration = Duration::from_millis(500);

/// Work, from its beginning on.
pub(super) struct Work {
    begun: Duration,
    /// What was busy by then.
    busy: Duration,
}

impl Work {
    /// Begins now. `busy` is for how long this thread has had a CPU or waited for the kernel, ever.
    pub(super) fn begin(busy: Duration) -> Work {
        Work { begun: clock::since_boot(), busy }
    }

    /// How long it has taken.
    pub(super) fn taken(&self) -> Duration {
        clock::since_boot().saturating_sub(self.begun)
    }

    /// How much longer it has taken than this thread was busy, if that is so long that others may have
    /// acted. How busy it was is asked for only if it has taken so long: that is a system call.
    pub(super) fn standstill(&self, busy: impl FnOnce() -> Duration) -> Option<Duration> {
        let taken = self.taken();
        let late = standstill(Some(Duration::ZERO), taken)?;
        standstill(Some(busy().saturating_sub(self.busy)), late)
    }
}

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

/// How much longer than it should have something has taken, if that is so long that others may have acted.
fn standstill(should: Option<Duration>, taken: Duration) -> Option<Duration> {
    let late = taken.saturating_sub(should?);
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
    fn work_stood_still_for_as_long_as_it_neither_ran_nor_waited_for_the_kernel() {
        let begun = clock::since_boot().checked_sub(Duration::from_secs(1)).unwrap();
        let work = Work { begun, busy: Duration::from_secs(9) };
        assert_eq!(work.standstill(|| Duration::from_secs(3600)), None);
        assert!(work.standstill(|| Duration::from_millis(9_400)) >= Some(STANDSTILL));
        let just_begun = Work::begin(Duration::ZERO);
        assert_eq!(just_begun.standstill(|| panic!("it has not taken long")), None);
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
