//! What the checks of one IP have found, each by itself, and what follows for the IP. Pure: it is told the time.

use std::sync::Arc;
use std::time::Instant;

use super::counter::Counter;
use super::{CheckDefaults, NotPassed};
use crate::vip::Check;

/// All checks of an IP.
#[derive(Debug, Default)]
pub struct Board {
    rows: Vec<Row>,
    /// What is shown of them, as long as it is so.
    shown: Option<Arc<Vec<CheckStanding>>>,
}

#[derive(Debug)]
struct Row {
    counter: Counter,
    standing: CheckStanding,
    /// Why it could not be made the last time.
    shortage: Option<String>,
}

/// What is known of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckStanding {
    /// The check, as people read it.
    pub check: String,
    /// Whether it counts as up: after as many results in a row as configured. Nothing before the first one.
    pub up: Option<bool>,
    /// What it has found, once it could be made.
    pub checked: Option<Checked>,
}

/// What was found, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The last result was a success.
    pub passed: bool,
    /// Since when that is so.
    pub since: Instant,
    /// Why it has failed last, and when that began.
    pub last_error: Option<(String, Instant)>,
}

impl Board {
    /// Checks of which nothing is known. They are up to begin with if those before them have passed.
    pub fn new<'a>(
        checks: impl IntoIterator<Item = &'a Check>,
        defaults: &CheckDefaults,
        are_up: bool,
    ) -> Board {
        let row = |check: &Check| Row {
            counter: Counter::new(
                check.rise.unwrap_or(defaults.rise),
                check.fall.unwrap_or(defaults.fall),
                are_up,
            ),
            standing: CheckStanding { check: check.to_string(), up: None, checked: None },
            shortage: None,
        };
        Board { rows: checks.into_iter().map(row).collect(), shown: None }
    }

    /// Takes note of a result of the check with this number. What follows for the IP, if something does: true
    /// when all checks are up, false when one is down.
    pub fn note(
        &mut self,
        number: usize,
        result: Result<(), NotPassed>,
        now: Instant,
    ) -> Option<bool> {
        let row = self.rows.get_mut(number)?;
        row.shortage = None;
        match result {
            Ok(()) => row.found(None, now),
            Err(NotPassed::Failed(why)) => row.found(Some(why), now),
            Err(NotPassed::NotMade(why)) => {
                row.shortage = Some(why);
                return None;
            }
        }
        self.shown = None;
        let mut all = Some(true);
        for row in &self.rows {
            match row.counter.is_up() {
                Some(false) => return Some(false),
                Some(true) => {}
                None => all = None,
            }
        }
        all
    }

    /// Whether the last result of each was a success.
    pub fn all_pass(&self) -> bool {
        let passed = |row: &Row| row.standing.checked.as_ref().is_some_and(|it| it.passed);
        self.rows.iter().all(passed)
    }

    /// Why a check cannot be made, if one cannot.
    pub fn shortage(&self) -> Option<&String> {
        self.rows.iter().find_map(|row| row.shortage.as_ref())
    }

    /// Why the IP fails: the last error of the first check that is down.
    pub fn why_down(&self) -> Option<&str> {
        let down = self.rows.iter().find(|row| row.standing.up == Some(false))?;
        let (why, _) = down.standing.checked.as_ref()?.last_error.as_ref()?;
        Some(why)
    }

    /// What is known of each check.
    pub fn standings(&mut self) -> Arc<Vec<CheckStanding>> {
        let rows = &self.rows;
        let show = || Arc::new(rows.iter().map(|row| row.standing.clone()).collect());
        Arc::clone(self.shown.get_or_insert_with(show))
    }
}

impl Row {
    fn found(&mut self, error: Option<String>, now: Instant) {
        let passed = error.is_none();
        self.counter.count(passed);
        self.standing.up = self.counter.is_up();
        let first = Checked { passed, since: now, last_error: None };
        self.standing.checked.get_or_insert(first).note(error, now);
    }
}

impl Checked {
    /// Of results that are the same, nothing changes.
    pub fn note(&mut self, error: Option<String>, now: Instant) {
        let passed = error.is_none();
        let is_turn = self.passed != passed;
        if is_turn {
            (self.passed, self.since) = (passed, now);
        }
        if let Some(why) = error {
            let is_known = self.last_error.as_ref().is_some_and(|(last, _)| *last == why);
            if is_turn || !is_known {
                self.last_error = Some((why, now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn board(counts: &[(Option<u32>, Option<u32>)], are_up: bool) -> Board {
        let checks: Vec<Check> = counts
            .iter()
            .map(|(rise, fall)| Check { rise: *rise, fall: *fall, ..Check::tcp("h", 1) })
            .collect();
        let defaults = CheckDefaults { rise: 1, fall: 3, ..CheckDefaults::for_tests() };
        Board::new(&checks, &defaults, are_up)
    }

    fn failed() -> Result<(), NotPassed> {
        Err(NotPassed::Failed("refused".to_owned()))
    }

    #[test]
    fn an_ip_passes_when_all_checks_are_up_and_fails_when_one_is_down() {
        let now = Instant::now();
        let mut board = board(&[(None, None), (Some(2), Some(1))], false);
        assert_eq!(board.note(0, Ok(()), now), None, "the other has said nothing yet");
        assert_eq!(board.note(1, Ok(()), now), Some(true));
        assert_eq!(board.note(0, failed(), now), Some(true));
        assert_eq!(board.note(0, failed(), now), Some(true));
        assert_eq!(board.note(1, failed(), now), Some(false), "by its own count");
        assert_eq!(board.why_down(), Some("refused"));
        assert_eq!(board.note(1, Ok(()), now), Some(false));
        assert_eq!(board.note(0, Ok(()), now), Some(false), "one is not the other");
        assert_eq!(board.note(1, Ok(()), now), Some(true));
        assert_eq!(board.why_down(), None);
        assert_eq!(board.note(2, failed(), now), None, "there is no such check");
    }

    #[test]
    fn checks_that_replace_such_as_have_passed_are_up_until_they_have_failed_in_a_row() {
        let now = Instant::now();
        let mut board = board(&[(None, None), (None, Some(2))], true);
        assert_eq!(board.standings()[0].up, None, "it is shown when it has said something");
        assert_eq!(board.note(0, failed(), now), Some(true));
        assert_eq!(board.note(1, failed(), now), Some(true));
        assert_eq!(board.note(1, failed(), now), Some(false));
    }

    #[test]
    fn a_check_that_cannot_be_made_counts_for_nothing_and_is_told() {
        let now = Instant::now();
        let mut board = board(&[(None, Some(1)), (None, None)], false);
        board.note(0, Ok(()), now);
        board.note(1, Ok(()), now);
        let lacking = Err(NotPassed::NotMade("no threads".to_owned()));
        assert_eq!(board.note(0, lacking, now), None);
        assert_eq!(board.shortage().map(String::as_str), Some("no threads"));
        assert_eq!(board.standings()[0].up, Some(true), "what was found before holds");
        assert_eq!(board.note(1, Ok(()), now), Some(true));
        assert!(board.shortage().is_some());
        board.note(0, Ok(()), now);
        assert_eq!(board.shortage(), None);
    }

    #[test]
    fn the_last_error_and_since_when_are_told_of_each_check() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut board = board(&[(None, None)], false);
        board.note(0, Ok(()), begin);
        board.note(0, failed(), begin + second);
        board.note(0, failed(), begin + 2 * second);
        board.note(0, Ok(()), begin + 3 * second);
        let standings = board.standings();
        let checked = standings[0].checked.as_ref().unwrap();
        assert_eq!((checked.passed, checked.since), (true, begin + 3 * second));
        assert_eq!(checked.last_error, Some(("refused".to_owned(), begin + second)));
        assert_eq!(standings[0].check, "TCP h:1");
        assert!(Arc::ptr_eq(&standings, &board.standings()), "nothing has changed");
    }
}
