//! News for clients that wait for it: when the server is asked again for them.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use crate::bell::Bell;

/// Between two rounds in which it is asked for all who wait. News that comes in between comes together:
/// a thousand events at once are no thousand rounds.
const ROUND: Duration = Duration::from_millis(100);

/// The bell of the supervisor, as the gate hears it.
#[derive(Debug)]
pub(crate) struct News {
    bell: Option<Bell>,
    /// How often it was heard.
    turn: u64,
    /// When the next round may be.
    next_round: Option<Instant>,
}

impl News {
    pub(crate) fn new(bell: Option<Bell>) -> News {
        News { bell, turn: 0, next_round: None }
    }

    /// What to poll.
    pub(crate) fn polled(&self) -> Option<PollFd<'_>> {
        self.bell.as_ref().map(|bell| PollFd::new(bell.as_fd(), PollFlags::POLLIN))
    }

    /// The turn of the bell that was heard last.
    pub(crate) fn turn(&mut self) -> u64 {
        if self.bell.as_ref().is_some_and(Bell::has_rung) {
            self.turn += 1;
        }
        self.turn
    }

    /// Whether the next round may be now; then that is it.
    pub(crate) fn may_ask(&mut self, now: Instant) -> bool {
        let may = self.next_round.is_none_or(|next| now >= next);
        if may {
            self.next_round = Some(now + ROUND);
        }
        may
    }

    /// When the next round may be, if somebody waits for it since before the last turn of the bell.
    /// The bell may have been heard where nobody was asked again for it.
    pub(crate) fn deadline(
        &self,
        now: Instant,
        has_waited: impl FnOnce(u64) -> bool,
    ) -> Option<Instant> {
        has_waited(self.turn).then(|| self.next_round.unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_news_is_asked_for_at_once_and_more_of_it_in_rounds() {
        let bell = Bell::new().unwrap();
        let mut news = News::new(Some(bell.clone()));
        let now = Instant::now();
        assert_eq!(news.turn(), 0);
        bell.ring();
        bell.ring();
        assert_eq!((news.turn(), news.turn()), (1, 1));
        assert_eq!(news.deadline(now, |turn| turn == 1), Some(now), "it was heard, and no more");
        assert!(news.may_ask(now));
        bell.ring();
        assert_eq!(news.turn(), 2);
        assert!(!news.may_ask(now + ROUND / 2));
        assert_eq!(news.deadline(now, |turn| turn == 2), Some(now + ROUND));
        assert_eq!(news.deadline(now, |_| false), None);
        assert!(news.may_ask(now + ROUND));
        assert_eq!(News::new(None).turn(), 0);
    }
}
