//! Time as it passes for the others: also while this process, or its whole machine, stands still.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The time since 1970 (UTC), as the machine's clock tells; nothing if that is before.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time since the machine booted, suspends included (`CLOCK_BOOTTIME`, clock_gettime(2)).
/// [`std::time::Instant`] stands still while the machine is suspended.
pub(crate) fn since_boot() -> Duration {
    // The kernel has had this clock since 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// How long this thread has had a CPU (`CLOCK_THREAD_CPUTIME_ID`, clock_gettime(2)): not while it waits,
/// is stopped, or has to let others run.
pub(crate) fn of_this_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
