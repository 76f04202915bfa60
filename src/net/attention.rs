//! Whether others ask if this host is still there: who owns addresses is asked all the time, unless the
//! network between was cut. When it is healed nobody else tells: the carrier was there all along, and
//! clients that gave an address up ask for it again only once a second.
//!
//! Pure: time comes in as an argument. Most of the time questions are not listened to. From time to
//! time they are, until the first comes; if that takes long, there was a silence.

use std::time::{Duration, Instant};

/// So long nobody asks only if nobody can. The longest usual gap is half a second.
const SILENCE: Duration = Duration::from_secs(3);

/// How long nothing follows from another silence: whoever is asked more seldom, and by one host alone,
/// finds a silence each time.
const PAUSE: Duration = Duration::from_secs(60);

/// What is known of the others.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// Since when questions are listened to; none while they are not.
    since: Option<Instant>,
    /// When a silence was ended last.
    ended: Option<Instant>,
}

impl Attention {
    /// Listens to the next question from now on, if it does not yet.
    pub(super) fn listen(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Listens no more, and nothing follows.
    pub(super) fn rest(&mut self) {
        self.since = None;
    }

    /// Whether questions are listened to.
    pub(super) fn is_listening(&self) -> bool {
        self.since.is_some()
    }

    /// Takes note of a question, and listens no more. How long the silence was, if it was one.
    pub(super) fn asked(&mut self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.since.take()?);
        let again = self.ended.is_some_and(|ended| now < ended + PAUSE);
        if silence < SILENCE || again {
            return None;
        }
        self.ended = Some(now);
        Some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_comes_soon_ends_no_silence() {
        let mut attention = Attention::default();
        let start = Instant::now();
        for n in 0..100 {
            let now = start + Duration::from_secs(5) * n;
            attention.listen(now);
            assert!(attention.is_listening());
            assert_eq!(attention.asked(now + Duration::from_millis(500)), None);
            assert!(!attention.is_listening());
        }
    }

    #[test]
    fn the_first_question_after_a_while_ends_a_silence_once() {
        let mut attention = Attention::default();
        let start = Instant::now();
        attention.listen(start);
        attention.listen(start + Duration::from_secs(5));
        let healed = start + Duration::from_secs(7);
        assert_eq!(attention.asked(healed), Some(Duration::from_secs(7)));
        assert_eq!(attention.asked(healed), None);
        // Within a minute nothing follows from another one, and after it does again.
        attention.listen(healed);
        assert_eq!(attention.asked(healed + PAUSE / 2), None);
        attention.listen(healed + PAUSE / 2);
        assert_eq!(attention.asked(healed + PAUSE), Some(PAUSE / 2));
    }

    #[test]
    fn who_rests_finds_nothing() {
        let mut attention = Attention::default();
        let start = Instant::now();
        attention.listen(start);
        attention.rest();
        assert!(!attention.is_listening());
        assert_eq!(attention.asked(start + PAUSE), None);
    }
}
