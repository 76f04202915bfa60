//! How long something took, counted by ranges.

use std::time::Duration;

/// The upper ends of the ranges, as they are shown and as they are.
pub(super) const BOUNDS: [(&str, Duration); 13] = [
    ("0.001", Duration::from_micros(1_000)),
    ("0.0025", Duration::from_micros(2_500)),
    ("0.005", Duration::from_millis(5)),
    ("0.01", Duration::from_millis(10)),
    ("0.025", Duration::from_millis(25)),
    ("0.05", Duration::from_millis(50)),
    ("0.1", Duration::from_millis(100)),
    ("0.25", Duration::from_millis(250)),
    ("0.5", Duration::from_millis(500)),
    ("1", Duration::from_secs(1)),
    ("2.5", Duration::from_millis(2_500)),
    ("5", Duration::from_secs(5)),
    ("10", Duration::from_secs(10)),
];

/// Durations from a millisecond to ten seconds, and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many were within each bound and not within the one before.
    counts: [u64; BOUNDS.len()],
    /// How many were longer than all bounds.
    longer: u64,
    sum: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, time: Duration) {
        let place = BOUNDS.iter().position(|(_, bound)| time <= *bound);
        *place.map_or(&mut self.longer, |place| &mut self.counts[place]) += 1;
        self.sum += time;
    }

    /// The sum of all.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    /// Each bound as it is shown, and how many were within it.
    pub(super) fn within(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut sum = 0;
        BOUNDS.iter().zip(self.counts).map(move |((shown, _), count)| {
            sum += count;
            (*shown, sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_shown_as_they_are_and_each_holds_those_before() {
        let mut histogram = Histogram::default();
        for (shown, bound) in BOUNDS {
            let seconds: f64 = shown.parse().unwrap();
            assert_eq!(Duration::from_secs_f64(seconds), bound);
            histogram.observe(bound);
        }
        histogram.observe(Duration::from_secs(60));
        let within: Vec<u64> = histogram.within().map(|(_, count)| count).collect();
        assert_eq!(within, (1..=13).collect::<Vec<u64>>());
        assert_eq!(histogram.count(), 14);
        assert!(histogram.sum() > Duration::from_secs(79));
    }
}
