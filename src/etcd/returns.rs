//! When something is gone back to that was left: soon, and later and later if each return is a short one.
//!
//! Pure but for its memory: no clock, no I/O.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks whether it can be used.
const LOOK: Duration = Duration::from_secs(5);

/// The longest time that what was left soon after the last return is not gone back to.
const LONGEST: Duration = Duration::from_secs(300);

/// How much longer than that it has to be used for the next return to be the first again.
const LASTING: Duration = Duration::from_secs(60);

/// When to look, and to go back.
pub(super) struct Returns {
    next_look: Cell<Instant>,
    looking: Cell<bool>,
    /// When it was gone back to, and for how long that is not done again.
    returned: Cell<Option<Instant>>,
    pause: Cell<Duration>,
}

impl Returns {
    pub(super) fn new() -> Returns {
        Returns {
            next_look: Cell::new(Instant::now() + LOOK),
            looking: Cell::new(false),
            returned: Cell::new(None),
            pause: Cell::new(LOOK),
        }
    }

    /// Whether it is time to look; then the next look is later.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let due = now >= self.next_look.get();
        if due {
            self.next_look.set(now + LOOK);
        }
        due
    }

    /// It is gone back to.
    pub(super) fn returns(&self, now: Instant) {
        let before = self.returned.replace(Some(now));
        let soon = before.is_some_and(|before| now < before + self.pause.get() + LASTING);
        let pause = if soon { (self.pause.get() * 2).min(LONGEST) } else { LOOK };
        self.pause.set(pause);
        self.next_look.set(now + pause);
    }

    /// Whether somebody is looking.
    pub(super) fn looks(&self) -> bool {
        self.looking.get()
    }

    /// Takes note that somebody begins to look, or ends.
    pub(super) fn set_looking(&self, looking: bool) {
        self.looking.set(looking);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_soon_after_each_return_is_gone_back_to_later_and_later() {
        let (returns, start) = (Returns::new(), Instant::now());
        assert!(!returns.is_due(start));
        let mut now = start + LOOK + LOOK;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(returns.is_due(now));
            returns.returns(now);
            let again = returns.next_look.get();
            assert!(!returns.is_due(again - Duration::from_millis(1)));
            pauses.push((again - now).as_secs());
            now = again;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        now += LASTING;
        returns.returns(now);
        assert_eq!(returns.next_look.get() - now, LOOK);
    }
}
