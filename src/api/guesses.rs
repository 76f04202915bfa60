//! Requests that are refused because of who sends them: those with a wrong password are slowed, address by
//! address, and of all of them the log tells the number. Pure: it is fed with the time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many wrong passwords in a row are looked at, as they come from a user who mistypes.
const BURST: u32 = 10;
/// After them one is looked at in this time.
const PACE: Duration = Duration::from_secs(1);
/// Addresses that are remembered. Who has more of them gets that many times the pace.
const MOST: usize = 1024;
/// Between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(60);

/// Wrong passwords by where they came from.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    /// When all that came from there will be paid off, at one guess in [`PACE`].
    paid: BTreeMap<IpAddr, Instant>,
}

impl Guesses {
    /// A wrong password came from this address.
    pub(crate) fn wrong(&mut self, address: IpAddr, now: Instant) {
        self.paid.retain(|_, paid| *paid > now);
        let network = network(address);
        if self.paid.len() >= MOST && !self.paid.contains_key(&network) {
            let first = self.paid.iter().min_by_key(|(_, paid)| **paid);
            if let Some(first) = first.map(|(first, _)| *first) {
                self.paid.remove(&first);
            }
        }
        *self.paid.entry(network).or_insert(now) += PACE;
    }

    /// Whether passwords from this address are not looked at now.
    pub(crate) fn is_slowed(&self, address: IpAddr, now: Instant) -> bool {
        let paid = self.paid.get(&network(address));
        paid.is_some_and(|paid| *paid > now + PACE * (BURST - 1))
    }
}

/// An IPv6 host has a network of addresses: they count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What happens again and again, in few lines: the first at once, then a sum each minute.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    count: u64,
    last: Option<IpAddr>,
    /// No line before this.
    quiet: Option<Instant>,
}

impl Summary {
    /// It has happened, because of this address.
    pub(crate) fn add(&mut self, address: IpAddr) {
        self.count += 1;
        self.last = Some(address);
    }

    /// When there will be something to tell.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.quiet.filter(|_| self.count > 0)
    }

    /// How often it has happened since it was told last, and the last address, if that is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(u64, IpAddr)> {
        if self.count == 0 || self.quiet.is_some_and(|quiet| now < quiet) {
            return None;
        }
        self.quiet = Some(now + INTERVAL);
        Some((std::mem::take(&mut self.count), self.last.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_guesses_are_looked_at_and_then_one_in_a_second() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let guesser = address("10.0.0.7");
        let mut looked_at = 0;
        for tenth in 0..100 {
            let now = start + Duration::from_millis(100) * tenth;
            if !guesses.is_slowed(guesser, now) {
                looked_at += 1;
                guesses.wrong(guesser, now);
            }
        }
        assert!((19..=20).contains(&looked_at), "{looked_at} in ten seconds");
        let later = start + Duration::from_secs(60);
        assert!(!guesses.is_slowed(guesser, later));
    }

    #[test]
    fn guesses_from_elsewhere_slow_nobody() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..100 {
            guesses.wrong(address("10.0.0.7"), now);
            guesses.wrong(address("2001:db8::1"), now);
        }
        for (slowed, text) in [
            (true, "10.0.0.7"),
            (true, "::ffff:10.0.0.7"),
            (true, "2001:db8::2"),
            (false, "10.0.0.8"),
            (false, "2001:db8:0:1::1"),
            (false, "::1"),
        ] {
            assert_eq!(guesses.is_slowed(address(text), now), slowed, "{text}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_who_guesses_most_is_not_forgotten() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let guesser = address("10.0.0.7");
        (0..=BURST).for_each(|_| guesses.wrong(guesser, now));
        for number in 0..5000_u32 {
            guesses.wrong(std::net::Ipv4Addr::from(0x0b00_0000 + number).into(), now);
        }
        assert_eq!(guesses.paid.len(), MOST);
        assert!(guesses.is_slowed(guesser, now));
        guesses.wrong(address("::1"), now + PACE * 100);
        assert_eq!(guesses.paid.len(), 1, "what is paid off is forgotten");
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_in_a_sum() {
        let (mut summary, now) = (Summary::default(), Instant::now());
        assert_eq!((summary.take(now), summary.deadline()), (None, None));
        summary.add(address("10.0.0.7"));
        assert_eq!(summary.take(now), Some((1, address("10.0.0.7"))));
        assert_eq!(summary.deadline(), None);
        for _ in 0..1000 {
            summary.add(address("10.0.0.8"));
            assert_eq!(summary.take(now), None);
        }
        let due = summary.deadline().unwrap();
        assert_eq!(due, now + INTERVAL);
        assert_eq!(summary.take(due), Some((1000, address("10.0.0.8"))));
    }
}
