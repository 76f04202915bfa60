//! When an address is announced again.
//!
//! Pure: it knows gaps between announcements and neither clock nor socket.

use std::time::Duration;

/// The gaps after the first five announcements: they leave at 0, 1.1, 2.2, 3.3, 5 and 30 s.
///
/// A Linux neighbour ignores an update that comes within a second of another (`locktime`,
/// arp(7)), so a gap is never shorter than that. The last one is for a switch port that forwards
/// nothing for its first 30 s (IEEE 802.1D: listening and learning).
const BURST: [Duration; 5] = [
    Duration::from_millis(1100),
    Duration::from_millis(1100),
    Duration::from_millis(1100),
    Duration::from_millis(1700),
    Duration::from_secs(25),
];

/// The refresh comes every 54 to 66 s: well before a switch forgets a MAC address (300 s), and
/// spread, so that addresses that were bound together are not refreshed together for ever. The last
/// second is what it may wait in the queue.
const REFRESH: Duration = Duration::from_secs(54);
const REFRESH_JITTER_MILLIS: u64 = 11_000;

/// How announcements are spaced.
#[derive(Clone, Debug)]
pub struct Announce {
    /// `ARP_GRATUITOUS_INTERVAL` and `_COUNT`: a fixed schedule instead of the built-in one. So
    /// many announcements, so far apart, and no refresh after them.
    pub fixed: Option<(Duration, u32)>,
    /// `ARP_GRATUITOUS_RATE`: how many frames per second leave when addresses are announced for the
    /// first time; 200 at least.
    pub rate: u32,
}

impl Announce {
    /// The rate unless another is wanted: 7 Mbit/s and, at 3 µs a frame, 3 % of one CPU. A thousand
    /// IPv4 addresses, each with two frames, are out in 0.2 s.
    pub const RATE: u32 = 10_000;
}

impl Default for Announce {
    fn default() -> Announce {
        Announce { fixed: None, rate: Announce::RATE }
    }
}

/// How much is said of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of the burst: neighbours may know another owner.
    Full,
    /// One announcement: a restarted owner, whom neighbours know already.
    Once,
}

/// Which limit an announcement counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The first one after a takeover.
    First,
    /// Its repeats.
    Repeat,
    /// The refresh.
    Refresh,
}

/// The gaps between the announcements of one address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schedule {
    /// The burst above and the refresh.
    BuiltIn,
    /// So many announcements, so far apart, and nothing after them.
    Fixed(Duration, u32),
}

impl Schedule {
    /// How many announcements count as made before the first one of this extent; none if none is
    /// to be made at all.
    pub(super) fn start(&self, extent: Extent) -> Option<u32> {
        let last = match *self {
            Schedule::BuiltIn => BURST_LENGTH - 1,
            Schedule::Fixed(_, count) => count.checked_sub(1)?,
        };
        match extent {
            Extent::Full => Some(0),
            Extent::Once => Some(last),
        }
    }

    /// The gap to the next announcement when `made` have been made, and where that one queues.
    /// `random` is any number; it decides the jitter.
    pub(super) fn next(&self, made: u32, random: u64) -> Option<(Lane, Duration)> {
        match *self {
            Schedule::Fixed(gap, count) => (made < count).then_some((Lane::Repeat, gap)),
            Schedule::BuiltIn => match burst_gap(made) {
                Some(gap) => Some((Lane::Repeat, gap)),
                None => Some((Lane::Refresh, refresh_gap(random))),
            },
        }
    }
}

/// The announcements of a whole burst: one more than it has gaps.
const BURST_LENGTH: u32 = 6;

/// The gap after the burst's announcement with this number, counted from 1.
fn burst_gap(made: u32) -> Option<Duration> {
    let position = usize::try_from(made.checked_sub(1)?).ok()?;
    BURST.get(position).copied()
}

fn refresh_gap(random: u64) -> Duration {
    REFRESH + Duration::from_millis(random % (REFRESH_JITTER_MILLIS + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of the announcements up to a minute, in milliseconds after the first.
    fn times(schedule: Schedule, extent: Extent) -> Vec<u128> {
        let mut times = Vec::new();
        let mut time = Duration::ZERO;
        let Some(mut made) = schedule.start(extent) else {
            return times;
        };
        while time < Duration::from_secs(60) && times.len() < 100 {
            times.push(time.as_millis());
            made += 1;
            let Some((_, gap)) = schedule.next(made, 0) else {
                break;
            };
            time += gap;
        }
        times
    }

    #[test]
    fn a_takeover_is_announced_six_times_and_then_refreshed() {
        let expected = [0, 1100, 2200, 3300, 5000, 30_000];
        assert_eq!(times(Schedule::BuiltIn, Extent::Full), expected);
        assert_eq!(Schedule::BuiltIn.next(5, 0), Some((Lane::Repeat, BURST[4])));
        assert_eq!(Schedule::BuiltIn.next(6, 0), Some((Lane::Refresh, REFRESH)));
        assert_eq!(Schedule::BuiltIn.next(7, 0), Some((Lane::Refresh, REFRESH)));
    }

    #[test]
    fn no_gap_is_inside_the_lock_time_of_a_neighbour() {
        assert!(BURST.iter().all(|gap| *gap > Duration::from_secs(1)));
        assert_eq!(BURST.len() + 1, usize::try_from(BURST_LENGTH).unwrap());
    }

    #[test]
    fn an_address_that_was_already_there_is_announced_once_and_then_refreshed() {
        assert_eq!(times(Schedule::BuiltIn, Extent::Once), [0, 54_000]);
    }

    #[test]
    fn the_refresh_is_a_minute_give_or_take_a_tenth() {
        for random in [0, 1, 6000, 12_000, 12_001, u64::MAX] {
            let gap = refresh_gap(random);
            assert!((Duration::from_secs(54)..=Duration::from_secs(66)).contains(&gap));
        }
        assert_ne!(refresh_gap(1), refresh_gap(2));
    }

    #[test]
    fn a_fixed_schedule_ends_after_its_count() {
        let fixed = Schedule::Fixed(Duration::from_millis(500), 3);
        assert_eq!(times(fixed, Extent::Full), [0, 500, 1000]);
        assert_eq!(times(fixed, Extent::Once), [0]);
        let never = Schedule::Fixed(Duration::from_millis(500), 0);
        assert_eq!(times(never, Extent::Full), Vec::<u128>::new());
    }
}
