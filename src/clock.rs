//! Time as it passes for the others: also while this process, or its whole machine, stands still.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Seconds since 1970, as the machine's clock tells; 0 if that is before.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The time since the machine booted, suspends included (`CLOCK_BOOTTIME`, clock_gettime(2)).
/// [`std::time::Instant`] stands still while the machine is suspended.
pub(crate) fn since_boot() -> Duration {
    // The kernel has had this clock since 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
