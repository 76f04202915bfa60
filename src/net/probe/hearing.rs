//! Whether others are heard on an interface, and when those that should be there are asked.
//!
//! Pure: time comes in as an argument. Any frame of another host that is about addresses is enough. As
//! long as such frames come by themselves nobody is asked: a standby hears the answers of the owner that
//! it monitors. Where none has come for a while, the *ear is open*: the kernel lets through what it
//! drops otherwise, the ordinary questions of all and those of the hosts that monitor this one. The first
//! frame closes it: a busy network does not wake anybody for each frame. If none comes through an open ear either,
//! others are asked, three times; who hears nobody then asks once a second.

use std::time::{Duration, Instant};

use crate::network::{Hearing, Mac};

/// How long after a frame nothing is expected. To open and to close an ear takes the kernel 0.1 ms each,
/// which is to be a ten-thousandth of the time; whoever has reason to want to know does not wait.
const REST: Duration = Duration::from_millis(2500);

/// How long the ear is open before anybody is asked.
const OPEN: Duration = Duration::from_millis(500);

/// How often others are asked before nobody is heard, and how long answers are waited for.
const ROUNDS: u32 = 3;
const GAP: Duration = Duration::from_millis(50);

/// The same where nobody is known who could be asked: frames have to come by themselves. A standby asks
/// an owner at least every 17.5 s, at the longest `PROBE_INTERVAL`.
const WAIT: Duration = Duration::from_secs(6);

/// Between two questions of a host that hears nobody.
const LONE: Duration = Duration::from_secs(1);

/// The interfaces on which is listened. They are few, so all are looked through.
#[derive(Debug, Default)]
pub(super) struct Hearings {
    ears: Vec<Ear>,
    news: Vec<(u32, Hearing)>,
}

/// What is known of one interface.
#[derive(Debug)]
struct Ear {
    /// The interface's index.
    index: u32,
    hearing: Hearing,
    /// Who was heard last.
    last: Option<Mac>,
    step: Step,
    /// When the next step is due.
    due: Instant,
}

/// What is done to hear somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing: somebody was heard a moment ago.
    Rest,
    /// The ear is open.
    Open,
    /// The same, and others were asked so often.
    Ask(u32),
}

impl Hearings {
    /// Listens on the interfaces with these indexes, and on no others.
    pub(super) fn attend(&mut self, indexes: &[u32], now: Instant) {
        let news = &mut self.news;
        self.ears.retain(|ear| {
            let stays = indexes.contains(&ear.index);
            if !stays && ear.hearing != Hearing::Unknown {
                news.push((ear.index, Hearing::Unknown));
            }
            stays
        });
        for index in indexes {
            if !self.ears.iter().any(|ear| ear.index == *index) {
                self.ears.push(Ear::new(*index, now));
            }
        }
    }

    /// Starts afresh on an interface: its neighbours may be others.
    pub(super) fn restart(&mut self, index: u32, now: Instant) {
        if let Some(ear) = self.ears.iter_mut().find(|ear| ear.index == index) {
            ear.hear(Hearing::Unknown, &mut self.news);
            (ear.last, ear.step, ear.due) = (None, Step::Ask(0), now);
        }
    }

    /// This process stood still: what was heard before is old.
    pub(super) fn restart_all(&mut self, now: Instant) {
        for ear in &mut self.ears {
            (ear.step, ear.due) = (Step::Ask(0), now);
        }
    }

    /// Whether somebody with this hardware address was the last one to be heard on an interface. None
    /// if nobody listens there.
    pub(super) fn is_known(&self, index: u32, mac: Mac) -> Option<bool> {
        let ear = self.ears.iter().find(|ear| ear.index == index)?;
        Some(ear.last == Some(mac))
    }

    /// Whether somebody was heard on an interface since then.
    pub(super) fn was_heard(&self, index: u32, since: Instant) -> bool {
        let rests = |ear: &&Ear| ear.index == index && ear.step == Step::Rest;
        self.ears.iter().find(rests).is_some_and(|ear| ear.due >= since + REST)
    }

    /// Takes note of another host that was heard on an interface.
    pub(super) fn heard(&mut self, index: u32, mac: Mac, now: Instant) {
        if let Some(ear) = self.ears.iter_mut().find(|ear| ear.index == index) {
            ear.hear(Hearing::Others, &mut self.news);
            (ear.last, ear.step, ear.due) = (Some(mac), Step::Rest, now + REST);
        }
    }

    /// It is of interest who is heard from now on: others are asked at once. Whether anybody
    /// listens there.
    pub(super) fn listen(&mut self, index: u32, now: Instant) -> bool {
        let Some(ear) = self.ears.iter_mut().find(|ear| ear.index == index) else {
            return false;
        };
        match ear.step {
            Step::Rest | Step::Open => (ear.step, ear.due) = (Step::Ask(0), now),
            Step::Ask(_) if ear.hearing == Hearing::Nobody => ear.due = now,
            Step::Ask(_) => {}
        }
        true
    }

    /// Goes on where the time of a step is over. All that has come until `now` must have been heard.
    pub(super) fn go_on(&mut self, now: Instant) {
        for ear in self.ears.iter_mut().filter(|ear| ear.due <= now) {
            match ear.step {
                Step::Rest => (ear.step, ear.due) = (Step::Open, now + OPEN),
                Step::Open => ear.step = Step::Ask(0),
                Step::Ask(times) if times >= ROUNDS && ear.hearing != Hearing::Nobody => {
                    ear.hear(Hearing::Nobody, &mut self.news);
                    ear.due = now + LONE;
                }
                Step::Ask(_) => {}
            }
        }
    }

    /// The interfaces on which others are to be asked now, with how often that was done before.
    pub(super) fn due(&self, now: Instant) -> Vec<(u32, u32)> {
        let due = self.ears.iter().filter(|ear| ear.due <= now);
        let asks = |ear: &Ear| match ear.step {
            Step::Ask(times) if times < ROUNDS || ear.hearing == Hearing::Nobody => {
                Some((ear.index, times))
            }
            Step::Rest | Step::Open | Step::Ask(_) => None,
        };
        due.filter_map(asks).collect()
    }

    /// Others were asked on an interface, or there was nobody to ask.
    pub(super) fn asked(&mut self, index: u32, anybody: bool, now: Instant) {
        let Some(ear) = self.ears.iter_mut().find(|ear| ear.index == index) else { return };
        if let Step::Ask(times) = &mut ear.step {
            *times = times.saturating_add(1);
            ear.due = now
                + match (ear.hearing, anybody) {
                    (Hearing::Nobody, _) => LONE,
                    (Hearing::Unknown | Hearing::Others, true) => GAP,
                    (Hearing::Unknown | Hearing::Others, false) => WAIT,
                };
        }
    }

    /// The interfaces with an open ear.
    pub(super) fn open(&self) -> impl Iterator<Item = u32> {
        self.ears.iter().filter(|ear| ear.step != Step::Rest).map(|ear| ear.index)
    }

    /// What is new, each with the index of the interface.
    pub(super) fn take_news(&mut self) -> Vec<(u32, Hearing)> {
        std::mem::take(&mut self.news)
    }

    /// When there is something to do next, if nothing is heard until then.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.ears.iter().map(|ear| ear.due).min()
    }
}

impl Ear {
    /// Nothing is known, so others are asked at once.
    fn new(index: u32, now: Instant) -> Ear {
        Ear { index, hearing: Hearing::Unknown, last: None, step: Step::Ask(0), due: now }
    }

    fn hear(&mut self, hearing: Hearing, news: &mut Vec<(u32, Hearing)>) {
        if std::mem::replace(&mut self.hearing, hearing) != hearing {
            news.push((self.index, hearing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: u32 = 3;
    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    /// What was told and when others were asked, in milliseconds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Event {
        Told(Hearing),
        Asked,
    }

    use Event::{Asked, Told};

    struct Bench {
        hearings: Hearings,
        start: Instant,
        now: Instant,
        /// There is somebody who can be asked.
        anybody: bool,
    }

    impl Bench {
        fn new() -> Bench {
            let (mut hearings, now) = (Hearings::default(), Instant::now());
            hearings.attend(&[INDEX], now);
            Bench { hearings, start: now, now, anybody: true }
        }

        /// Somebody has just been heard, and the time starts anew.
        fn hearing() -> Bench {
            let mut bench = Bench::new();
            bench.heard();
            assert_eq!(bench.run(1), [(0, Told(Hearing::Others))]);
            (bench.start, bench.now) = (bench.now, bench.now);
            bench.heard();
            bench
        }

        fn heard(&mut self) {
            self.hearings.heard(INDEX, MAC, self.now);
        }

        fn is_open(&self) -> bool {
            self.hearings.open().next().is_some()
        }

        /// Goes on to that time, always at the moment that is due; what happened when.
        fn run(&mut self, millis: u64) -> Vec<(u128, Event)> {
            let end = self.start + Duration::from_millis(millis);
            let mut log = Vec::new();
            loop {
                let time = self.now.duration_since(self.start).as_millis();
                self.hearings.go_on(self.now);
                for (index, _) in self.hearings.due(self.now) {
                    self.hearings.asked(index, self.anybody, self.now);
                    log.push((time, Asked));
                }
                log.extend(
                    self.hearings.take_news().into_iter().map(|(_, told)| (time, Told(told))),
                );
                match self.hearings.next_due() {
                    Some(due) if due < end => {
                        assert!(due > self.now, "a wake-up without work");
                        self.now = due;
                    }
                    _ => break,
                }
            }
            self.now = end;
            log
        }
    }

    #[test]
    fn others_are_asked_three_times_at_a_start_and_then_once_a_second() {
        let mut bench = Bench::new();
        let nobody = (150, Told(Hearing::Nobody));
        let expected =
            [(0, Asked), (50, Asked), (100, Asked), nobody, (1150, Asked), (2150, Asked)];
        assert_eq!(bench.run(3000), expected);
        assert!(bench.is_open(), "anybody is heard at once");
        bench.heard();
        assert!(!bench.is_open());
        assert_eq!(bench.run(3001), [(3000, Told(Hearing::Others))]);
    }

    #[test]
    fn who_hears_somebody_again_and_again_asks_nobody_and_opens_no_ear() {
        let mut bench = Bench::hearing();
        for n in 1..20 {
            assert_eq!(bench.run(n * 600), []);
            assert!(!bench.is_open());
            bench.heard();
        }
    }

    #[test]
    fn the_ear_opens_before_anybody_is_asked() {
        let mut bench = Bench::hearing();
        assert_eq!(bench.run(2501), []);
        assert!(bench.is_open());
        assert_eq!(bench.run(3000), []);
        bench.heard();
        assert!(!bench.is_open());
        let nobody = (6150, Told(Hearing::Nobody));
        assert_eq!(bench.run(6500), [(6000, Asked), (6050, Asked), (6100, Asked), nobody]);
    }

    #[test]
    fn where_nobody_can_be_asked_it_takes_longer_until_nobody_is_heard() {
        let mut bench = Bench { anybody: false, ..Bench::new() };
        let nobody = (18_000, Told(Hearing::Nobody));
        assert_eq!(bench.run(18_500), [(0, Asked), (6000, Asked), (12_000, Asked), nobody]);
    }

    #[test]
    fn who_wants_to_know_has_others_asked_at_once() {
        let mut bench = Bench::hearing();
        bench.run(300);
        assert!(bench.hearings.was_heard(INDEX, bench.start));
        assert!(!bench.hearings.was_heard(INDEX, bench.start + Duration::from_millis(1)));
        assert!(bench.hearings.listen(INDEX, bench.now));
        assert!(bench.is_open());
        assert!(!bench.hearings.listen(4, bench.now), "nobody listens there");
        assert!(!bench.hearings.was_heard(INDEX, bench.start), "that is over");
        assert_eq!(bench.run(301), [(300, Asked)]);
        bench.hearings.listen(INDEX, bench.now);
        let nobody = (450, Told(Hearing::Nobody));
        assert_eq!(bench.run(500), [(350, Asked), (400, Asked), nobody], "it was under way");
        bench.hearings.listen(INDEX, bench.now);
        assert_eq!(bench.run(1499), [(500, Asked)]);
    }

    #[test]
    fn what_was_heard_before_a_new_start_counts_no_more() {
        let mut bench = Bench::hearing();
        assert_eq!(bench.hearings.is_known(INDEX, MAC), Some(true));
        bench.hearings.restart(INDEX, bench.now);
        assert_eq!(bench.hearings.is_known(INDEX, MAC), Some(false));
        assert_eq!(bench.run(1), [(0, Asked), (0, Told(Hearing::Unknown))]);

        let mut bench = Bench::hearing();
        bench.hearings.restart_all(bench.now);
        assert_eq!(bench.run(1), [(0, Asked)], "only that nobody is heard would be news");
    }

    #[test]
    fn of_an_interface_that_cannot_be_used_nothing_is_known() {
        let mut bench = Bench::hearing();
        bench.hearings.attend(&[4], bench.now);
        assert_eq!(bench.run(1), [(0, Asked), (0, Told(Hearing::Unknown))]);
        assert_eq!(bench.hearings.is_known(INDEX, MAC), None);
        bench.heard();
        assert_eq!(bench.hearings.take_news(), []);
        bench.hearings.attend(&[], bench.now);
        assert_eq!(bench.hearings.next_due(), None);
    }
}
