//! Keeps what happens again and again from filling the log: the first time is told at once, the
//! rest is counted and told later, in one line.
//!
//! Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// How long nothing is told after a line.
const QUIET: Duration = Duration::from_secs(10);

/// The occurrences of one thing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repeats {
    untold: u32,
    quiet_until: Option<Instant>,
}

impl Repeats {
    /// It happened once more. If it is time to tell, how often since the last line.
    pub(super) fn count(&mut self, now: Instant) -> Option<u32> {
        self.untold = self.untold.saturating_add(1);
        self.tell(now)
    }

    /// As `count`, when it did not happen: a tail of repeats is told too.
    pub(super) fn tell(&mut self, now: Instant) -> Option<u32> {
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        if quiet || self.untold == 0 {
            return None;
        }
        self.quiet_until = Some(now + QUIET);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_in_one_line() {
        let now = Instant::now();
        let mut repeats = Repeats::default();
        assert_eq!(repeats.tell(now), None);
        assert_eq!(repeats.count(now), Some(1));
        assert_eq!(repeats.count(now), None);
        assert_eq!(repeats.count(now + QUIET / 2), None);
        assert_eq!(repeats.tell(now + QUIET / 2), None);
        assert_eq!(repeats.tell(now + QUIET), Some(2));
        assert_eq!(repeats.tell(now + QUIET * 3), None);
        assert_eq!(repeats.count(now + QUIET * 3), Some(1));
    }
}
