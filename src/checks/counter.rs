//! How often a check has to fail or to succeed before that counts. Pure.

/// What the results of one check come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    standing: Standing,
    /// Successes in a row that bring a check up that is down.
    rise: u32,
    /// Failures in a row that bring a check down that is up.
    fall: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// No result yet: the first counts at once.
    Unknown,
    /// The last success was this many failures ago.
    Up { failures: u32 },
    /// The last failure was this many successes ago.
    Down { successes: u32 },
}

impl Counter {
    /// One that needs this many results in a row to change. It is up to begin with if what was checked before has
    /// passed.
    pub fn new(rise: u32, fall: u32, is_up: bool) -> Counter {
        let standing = if is_up { Standing::Up { failures: 0 } } else { Standing::Unknown };
        Counter { standing, rise, fall }
    }

    /// Takes note of a result.
    pub fn count(&mut self, passed: bool) {
        self.standing = match (self.standing, passed) {
            (Standing::Down { successes }, true) if successes + 1 < self.rise => {
                Standing::Down { successes: successes + 1 }
            }
            (Standing::Unknown | Standing::Up { .. } | Standing::Down { .. }, true) => {
                Standing::Up { failures: 0 }
            }
            (Standing::Up { failures }, false) if failures + 1 < self.fall => {
                Standing::Up { failures: failures + 1 }
            }
            (Standing::Unknown | Standing::Up { .. } | Standing::Down { .. }, false) => {
                Standing::Down { successes: 0 }
            }
        };
    }

    /// Whether the check is up, if that is known.
    pub fn is_up(&self) -> Option<bool> {
        match self.standing {
            Standing::Unknown => None,
            Standing::Up { .. } => Some(true),
            Standing::Down { .. } => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a counter says after each of these results.
    fn story(mut counter: Counter, results: &str) -> String {
        let mut said = String::new();
        for result in results.chars() {
            counter.count(result == '+');
            said.push(match counter.is_up() {
                None => '?',
                Some(true) => 'U',
                Some(false) => 'D',
            });
        }
        said
    }

    #[test]
    fn it_takes_as_many_results_in_a_row_as_configured_and_the_first_counts_at_once() {
        for (rise, fall, is_up, results, said) in [
            (1, 3, false, "+", "U"),
            (1, 3, false, "-+", "DU"),
            (3, 3, false, "-++-+++", "DDDDDDU"),
            (3, 3, false, "+", "U"),
            (1, 3, false, "+--+--+---", "UUUUUUUUUD"),
            (1, 3, true, "--+---", "UUUUUD"),
            (1, 1, true, "-+-", "DUD"),
            (2, 1, false, "+-+-++", "UDDDDU"),
        ] {
            let counter = Counter::new(rise, fall, is_up);
            assert_eq!(story(counter, results), said, "{rise} {fall} {is_up} {results}");
        }
        assert_eq!(Counter::new(1, 1, false).is_up(), None);
        assert_eq!(Counter::new(1, 1, true).is_up(), Some(true));
    }
}
