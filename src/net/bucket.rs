//! A token bucket: so many at once, so many per second after that.
//!
//! Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// A rate limit, kept as one instant (the "generic cell rate algorithm" of ITU-T I.371).
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// The time that one token needs to grow.
    period: Duration,
    /// The time that a full bucket needed to grow.
    depth: Duration,
    /// When the bucket is full; in the past, it is.
    full_at: Option<Instant>,
}

impl Bucket {
    /// A full bucket with `depth` tokens, which grow back at `per_second`.
    pub(super) fn new(per_second: u32, depth: u32) -> Bucket {
        let period = Duration::from_secs(1) / per_second.max(1);
        Bucket { period, depth: period * depth, full_at: None }
    }

    /// Takes tokens out, or says when there will be enough; never more than the depth at once.
    pub(super) fn take(&mut self, tokens: u32, now: Instant) -> Result<(), Instant> {
        let ready = self.ready_at(tokens, now);
        if ready > now {
            return Err(ready);
        }
        self.full_at = Some(self.full_at(now) + self.period * tokens);
        Ok(())
    }

    /// When so many tokens are there: `now`, or later.
    pub(super) fn ready_at(&self, tokens: u32, now: Instant) -> Instant {
        let cost = (self.period * tokens).min(self.depth);
        let full_then = self.full_at(now) + cost;
        full_then.checked_sub(self.depth).map_or(now, |ready| ready.max(now))
    }

    fn full_at(&self, now: Instant) -> Instant {
        self.full_at.map_or(now, |full_at| full_at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_gives_its_depth_at_once_and_then_one_per_period() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, now), Ok(()));
        }
        let ready = now + Duration::from_millis(100);
        assert_eq!(bucket.take(1, now), Err(ready));
        assert_eq!(bucket.take(1, ready), Ok(()));
        assert!(bucket.take(1, ready).is_err());
    }

    #[test]
    fn it_never_holds_more_than_its_depth() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 2);
        assert_eq!(bucket.take(2, now), Ok(()));
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(bucket.take(2, much_later), Ok(()));
        assert!(bucket.take(1, much_later).is_err());
    }

    #[test]
    fn two_tokens_take_twice_as_long() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 2);
        assert_eq!(bucket.take(2, now), Ok(()));
        assert_eq!(bucket.take(2, now), Err(now + Duration::from_millis(200)));
        assert_eq!(bucket.ready_at(1, now), now + Duration::from_millis(100));
    }

    #[test]
    fn the_rate_holds_over_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(5000, 100);
        let taken = (0..1000).filter(|millis| {
            let now = start + Duration::from_millis(*millis);
            (0..20).filter(|_| bucket.take(1, now).is_ok()).count() == 20
        });
        // 20 each millisecond are asked for: 100 were there and 5 grow back.
        assert!(taken.count() < 10);
        let end = start + Duration::from_secs(1);
        assert!(bucket.ready_at(100, end) > end);
    }
}
