//! Waiting for a condition: the only place in the lab that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take that nobody measures. A loaded machine must not fail a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks: short against what is awaited, long against the cost of a look.
const PAUSE: Duration = Duration::from_millis(5);

/// True as soon as the condition holds, false when it did not in that time.
pub(crate) fn until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
}

/// Returns when the condition holds, and says how long that took; panics after [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) -> Duration {
    within(PATIENCE, what, condition)
}

/// Returns when the condition holds, and says how long that took; panics after the timeout.
#[track_caller]
pub(crate) fn within(timeout: Duration, what: &str, condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    assert!(until(timeout, condition), "not within {timeout:?}: {what}");
    started.elapsed()
}

/// Returns after that time; panics at once when the condition ceases to hold.
#[track_caller]
pub(crate) fn holds_for(duration: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let broken = until(duration, || !condition());
    assert!(!broken, "did not hold for {duration:?}: {what}");
}
