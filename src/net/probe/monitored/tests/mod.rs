mod repeats;

use std::net::Ipv4Addr;

use super::*;

/// What happened: asked one host, asked all, repeated the question to one host, or what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    One(Mac),
    All,
    Again(Mac),
    Told(Liveness),
}

use Event::{Again, All, One, Told};

const PRESENT: Option<Liveness> = Some(Liveness::Alive);
const DOUBTED: Event = Told(Liveness::Doubted);
const SILENT: Event = Told(Liveness::Suspect);

const OWNER: Mac = [2, 0, 0, 0, 0, 1];
const OTHER: Mac = [2, 0, 0, 0, 0, 2];

const TIMING: MonitorTiming = every(100, 3);

/// At one pace, whether it answers or not.
const fn every(millis: u64, count: u32) -> MonitorTiming {
    let interval = Duration::from_millis(millis);
    MonitorTiming { interval, doubt: interval, count, alone: false }
}

fn vip(n: u32) -> Cidr {
    Cidr::new(Ipv4Addr::from_bits(0x0a00_0000 + n).into(), 32).unwrap()
}

/// Monitored, and the time in milliseconds after the first question.
struct Bench {
    monitored: Monitored,
    start: Instant,
    now: Instant,
}

impl Bench {
    /// Begins to host one host.
    fn new(timing: MonitorTiming) -> Bench {
        let begin = Instant::now();
        let mut monitored = Monitored::new(RandomState::new());
        monitored.start(vip(0), timing, begin);
        let start = monitored.next_due(begin).unwrap();
        Bench { monitored, start, now: start }
    }

    /// The same, and it has answered the first question.
    fn present(timing: MonitorTiming) -> Bench {
        let mut bench = Bench::new(timing);
        // The time starts anew when that one host is asked for the first time.
        bench.run(1);
        assert_eq!(bench.hear(OWNER), PRESENT);
        bench.start = bench.monitored.next_due(bench.now).unwrap();
        bench.now = bench.start;
        bench
    }

    fn time(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    /// What is to be done at this moment.
    fn round(&mut self) -> Vec<(u128, Event)> {
        let (now, time) = (self.now, self.time());
        let silent = self.monitored.take_silent(now, |_| true);
        let mut log: Vec<_> = silent.into_iter().map(|(_, told)| (time, Told(told))).collect();
        while let Some((cidr, whom)) = self.monitored.pop(now) {
            log.push((time, whom.map_or(All, One)));
            log.extend(self.monitored.doubt(cidr).then_some((time, DOUBTED)));
        }
        while let Some((_, owner)) = self.monitored.pop_repeat(now) {
            log.push((time, Again(owner)));
        }
        log
    }

    /// Goes on to that time, always at the moment that is due; what happened when, but for repetitions.
    fn run(&mut self, millis: u64) -> Vec<(u128, Event)> {
        let mut log = self.run_on(millis);
        log.retain(|(_, event)| !matches!(event, Again(_)));
        log
    }

    /// Goes on to that time, always at the moment that is due; what happened when.
    fn run_on(&mut self, millis: u64) -> Vec<(u128, Event)> {
        let end = self.start + Duration::from_millis(millis);
        let mut log = Vec::new();
        for _ in 0..10_000 {
            log.extend(self.round());
            match self.monitored.next_due(self.now) {
                Some(due) if due < end => {
                    assert!(due > self.now, "a wake-up without work");
                    self.now = due;
                }
                _ => {
                    self.now = end;
                    return log;
                }
            }
        }
        panic!("it does not come to an end");
    }

    /// Goes on to that time, but sleeps until then; what is to be done after that.
    fn oversleep(&mut self, millis: u64) -> Vec<(u128, Event)> {
        self.now = self.start + Duration::from_millis(millis);
        self.round()
    }

    fn hear(&mut self, mac: Mac) -> Option<Liveness> {
        self.monitored.heard(vip(0), Kind::Claim, mac, self.now)
    }
}

#[test]
fn all_are_asked_once_a_second_until_it_is_known_whom_to_ask() {
    let mut bench = Bench::new(TIMING);
    let log = bench.run(5500);
    assert_eq!(log, [0, 1000, 2000, 3000, 4000, 5000].map(|time| (time, All)));
    assert_eq!(bench.hear(OWNER), PRESENT);
    let log = bench.run(5700);
    let expected = matches!(log[..], [(5500..5600, One(OWNER)), (5600..5700, All), (_, DOUBTED)]);
    assert!(expected, "{log:?}");
}

#[test]
fn who_answers_is_asked_alone_at_every_interval_and_told_once() {
    let mut bench = Bench::present(TIMING);
    for n in 0..50 {
        assert_eq!(bench.run(n * 100 + 1), [(u128::from(n) * 100, One(OWNER))]);
        assert_eq!(bench.hear(OWNER), None);
    }
}

#[test]
fn who_does_not_answer_so_many_questions_is_silent_half_a_gap_after_the_last() {
    let mut bench = Bench::present(TIMING);
    let log = bench.run(500);
    let expected = [
        (0, One(OWNER)),
        (100, All),
        (100, DOUBTED),
        (200, All),
        (250, SILENT),
        (300, All),
        (400, All),
    ];
    assert_eq!(log, expected);
    assert_eq!(bench.hear(OWNER), PRESENT);
    bench.run(501);
    assert_eq!(bench.hear(OWNER), None);
    assert!(bench.run(901).contains(&(850, SILENT)));
}

#[test]
fn who_is_doubted_is_told_once_until_he_is_heard() {
    let mut bench = Bench::present(TIMING);
    assert!(bench.run(201).contains(&(100, DOUBTED)));
    assert!(bench.monitored.is_doubted(vip(0)));
    bench.monitored.recount(vip(0));
    assert!(!bench.monitored.is_doubted(vip(0)));
    assert_eq!(bench.run(401), [(300, One(OWNER)), (400, All)]);
    assert!(bench.monitored.is_doubted(vip(0)));
    assert_eq!(bench.hear(OWNER), PRESENT);
    assert!(!bench.monitored.is_doubted(vip(0)));
    assert!(bench.run(601).contains(&(600, DOUBTED)));
}

#[test]
fn who_has_been_silent_for_a_while_is_asked_once_a_second() {
    let mut bench = Bench::present(TIMING);
    let asked = bench.run(5300).iter().filter(|(_, event)| *event == All).count();
    assert_eq!(asked, 52);
    assert_eq!(bench.run(8000), [(5300, All), (6300, All), (7300, All)]);
    assert_eq!(bench.hear(OWNER), PRESENT);
    assert_eq!(bench.run(8200), [(8000, One(OWNER)), (8100, All), (8100, DOUBTED)]);
}

#[test]
fn the_count_is_honoured_and_a_single_question_is_for_one_host() {
    for count in [1, 2, 100] {
        let mut bench = Bench::present(MonitorTiming { count, ..TIMING });
        let log = bench.run(20_000);
        let silent = u128::from(count - 1) * 100 + 50;
        let asked = log.iter().filter(|(time, event)| *time < silent && *event != DOUBTED);
        assert_eq!(asked.count(), usize::try_from(count).unwrap());
        let told: Vec<_> = log.iter().filter(|(_, event)| matches!(event, Told(_))).collect();
        assert_eq!(told, [&(silent.min(100), DOUBTED), &(silent, SILENT)]);
        assert_eq!(log.iter().any(|(_, event)| *event == All), count > 1);
    }
}

#[test]
fn who_the_owner_was_is_known_when_it_is_silent() {
    let mut bench = Bench::present(MonitorTiming { count: 2, ..TIMING });
    let log = bench.run(201);
    let expected = [(0, One(OWNER)), (100, All), (100, DOUBTED), (150, SILENT), (200, All)];
    assert_eq!(log, expected);
    assert_eq!(bench.monitored.owner(vip(0)).map(|(owner, _)| owner), Some(OWNER));
}

#[test]
fn who_has_not_answered_is_asked_at_another_pace_until_he_is_heard() {
    let timing = MonitorTiming { interval: Duration::from_millis(400), ..TIMING };
    let mut bench = Bench::present(timing);
    for n in 0..5 {
        let time = u128::from(n) * 400;
        assert_eq!(bench.run(n * 400 + 1), [(time, One(OWNER))]);
        assert_eq!(bench.hear(OWNER), None);
    }
    let log = bench.run(2501);
    let expected = [
        (2000, One(OWNER)),
        (2100, All),
        (2100, DOUBTED),
        (2200, All),
        (2250, SILENT),
        (2300, All),
        (2400, All),
        (2500, All),
    ];
    assert_eq!(log, expected);
    assert_eq!(timing.silence(), Duration::from_millis(650), "from the answer at 1600 on");
    assert_eq!(bench.hear(OWNER), PRESENT);
    assert_eq!(bench.run(2901), [(2900, One(OWNER))]);
}

#[test]
fn an_answer_that_comes_before_silence_counts_however_late_it_is() {
    let mut bench = Bench::present(TIMING);
    bench.run(250);
    assert_eq!(bench.hear(OWNER), PRESENT, "it was doubted");
    let log = bench.run(700);
    assert_eq!(log[0], (300, One(OWNER)));
    assert_eq!(log[4], (550, SILENT));
}

#[test]
fn who_has_never_answered_is_not_silent() {
    let mut bench = Bench::new(TIMING);
    assert_eq!(bench.monitored.heard(vip(0), Kind::Probe, OWNER, bench.now), None);
    assert!(bench.run(10_000).iter().all(|(_, event)| *event == All));
}

#[test]
fn a_new_hardware_address_is_asked_from_then_on() {
    let mut bench = Bench::present(TIMING);
    bench.run(50);
    assert_eq!(bench.hear(OTHER), None);
    assert_eq!(bench.run(101), [(100, One(OTHER))]);
}

#[test]
fn who_asks_too_late_does_not_count_what_was_asked_before() {
    let mut bench = Bench::present(TIMING);
    bench.run(150);
    // Half an interval late is in time, and the next question is not late for that.
    assert_eq!(bench.oversleep(250), [(250, All)]);
    assert_eq!(bench.run(400), [(300, SILENT), (300, All)]);

    let mut bench = Bench::present(TIMING);
    bench.run(150);
    assert_eq!(bench.oversleep(251), [(251, One(OWNER))]);
    assert_eq!(bench.run(551), [(351, All), (451, All), (501, SILENT)]);
}

#[test]
fn who_looks_too_late_for_an_answer_does_not_find_silence() {
    for late in [51, 100, 1000, 3_600_000] {
        let mut bench = Bench::present(TIMING);
        bench.run(249);
        assert_eq!(bench.oversleep(250 + late), [(u128::from(250 + late), One(OWNER))]);
        let first = if late > 100 { 250 + late } else { 300 };
        let log = bench.run(first + 251);
        assert_eq!(log[2], (u128::from(first) + 250, SILENT));
    }
}

#[test]
fn after_a_new_start_nobody_is_silent_who_was_not_heard_again() {
    let restarts: [fn(&mut Monitored, Instant); 3] = [
        |monitored, now| monitored.restart(vip(0), now),
        |monitored, now| monitored.restart_all(now),
        |monitored, now| monitored.suspend(vip(0), now),
    ];
    for restart in restarts {
        let mut bench = Bench::present(TIMING);
        bench.run(50);
        restart(&mut bench.monitored, bench.now);
        assert!(bench.run(10_000).iter().all(|(_, event)| *event == All));
        assert_eq!(bench.hear(OWNER), None, "that was told");
        assert!(bench.run(10_600).iter().any(|(_, event)| *event == SILENT));
        restart(&mut bench.monitored, bench.now);
        assert_eq!(bench.hear(OWNER), PRESENT);
    }
}

#[test]
fn nobody_is_asked_for_a_second_where_nobody_can_be_heard() {
    let mut bench = Bench::present(TIMING);
    bench.run(250);
    assert!(bench.monitored.is_silence_due(bench.now));
    assert_eq!(bench.monitored.take_silent(bench.now, |_| false), []);
    assert!(!bench.monitored.is_silence_due(bench.now));
    assert_eq!(bench.run(1250), []);
    assert!(matches!(bench.run(1350)[..], [(1250..1350, All)]));
}

#[test]
fn what_was_not_sent_or_may_have_been_lost_does_not_count() {
    let recounts: [fn(&mut Monitored); 2] =
        [|monitored| monitored.recount(vip(0)), |monitored| monitored.recount_all()];
    for recount in recounts {
        let mut bench = Bench::present(TIMING);
        bench.run(249);
        recount(&mut bench.monitored);
        let log = bench.run(601);
        let expected = [(300, One(OWNER)), (400, All), (500, All), (550, SILENT), (600, All)];
        assert_eq!(log, expected);
    }
}

#[test]
fn another_timing_holds_at_once_and_the_same_one_changes_nothing() {
    let mut bench = Bench::present(TIMING);
    bench.run(250);
    bench.monitored.start(vip(0), TIMING, bench.now);
    assert_eq!(bench.run(301), [(250, SILENT), (300, All)]);

    let slow = every(10_000, 1);
    let mut bench = Bench::present(slow);
    bench.run(1);
    bench.monitored.start(vip(0), TIMING, bench.now);
    let log = bench.run(401);
    assert!(matches!(log[4], (250..353, SILENT)), "{log:?}");
    bench.hear(OWNER);
    bench.monitored.start(vip(0), slow, bench.now);
    assert_eq!(bench.run(4_000).len(), 1);
}

#[test]
fn nothing_wakes_up_when_nobody_is_monitored() {
    let mut bench = Bench::present(TIMING);
    bench.monitored.stop(vip(0));
    assert_eq!(bench.monitored.next_due(bench.now), None);
    assert_eq!(bench.hear(OWNER), None);
    bench.monitored.restart(vip(0), bench.now);
    assert_eq!(bench.run(1000), []);
}

#[test]
fn many_hosts_are_asked_at_different_times_within_the_first_interval() {
    let start = Instant::now();
    let mut monitored = Monitored::new(RandomState::new());
    for n in 0..100 {
        monitored.start(vip(n), TIMING, start);
    }
    let mut dues: Vec<_> = monitored.hosts.values().map(|host| host.due).collect();
    assert!(dues.iter().all(|due| (start..start + TIMING.interval).contains(due)));
    dues.sort();
    dues.dedup();
    assert!(dues.len() > 50, "{} different times", dues.len());
}

#[test]
fn no_more_is_asked_than_the_limit_allows_and_then_nobody_is_silent() {
    let start = Instant::now();
    let timing = every(10, 2);
    let mut monitored = Monitored::new(RandomState::new());
    for n in 0..100 {
        monitored.start(vip(n), timing, start);
        monitored.heard(vip(n), Kind::Claim, OWNER, start);
    }
    let (mut now, mut asked) = (start, 0);
    while now < start + Duration::from_secs(1) {
        assert_eq!(monitored.take_silent(now, |_| true), []);
        asked += std::iter::from_fn(|| monitored.pop(now)).count();
        asked += std::iter::from_fn(|| monitored.pop_repeat(now)).count();
        now = monitored.next_due(now).unwrap();
    }
    assert!((1990..=2050).contains(&asked), "{asked}");
}
