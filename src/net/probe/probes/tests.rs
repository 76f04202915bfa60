use std::net::Ipv4Addr;

use super::*;

/// What happened: asked, or what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Asked,
    Told(ProbeResult),
}

use Event::{Asked as Ask, Told};

const SILENT: Event = Told(ProbeResult::Silent);
const ANSWERED: Event = Told(ProbeResult::Answered { wins_tie_break: false });
const PRECEDED: Event = Told(ProbeResult::Answered { wins_tie_break: true });

fn vip(n: u32) -> Cidr {
    Cidr::new(Ipv4Addr::from_bits(0x0a00_0000 + n).into(), 32).unwrap()
}

/// Probes, and the time in milliseconds after the start.
struct Bench {
    probes: Probes,
    start: Instant,
    now: Instant,
}

impl Bench {
    /// Begins to ask about so many addresses.
    fn new(count: u32) -> Bench {
        let start = Instant::now();
        let mut probes = Probes::new();
        for n in 0..count {
            probes.start(vip(n), start);
        }
        Bench { probes, start, now: start }
    }

    /// Goes on to that time; what happened when, of which address.
    fn run_all(&mut self, millis: u64) -> Vec<(u128, Cidr, Event)> {
        let end = self.start + Duration::from_millis(millis);
        let mut log = Vec::new();
        for _ in 0..1_000_000 {
            let time = (self.now - self.start).as_millis();
            while let Some(cidr) = self.probes.pop_silent(self.now) {
                log.push((time, cidr, SILENT));
            }
            while let Some(cidr) = self.probes.pop(self.now) {
                log.push((time, cidr, Ask));
            }
            match self.probes.next_due(self.now) {
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

    /// The same of a single address.
    fn run(&mut self, millis: u64) -> Vec<(u128, Event)> {
        self.run_all(millis).into_iter().map(|(time, _, event)| (time, event)).collect()
    }

    /// What is told when this is heard of the first address.
    fn hear(&mut self, kind: Kind, wins_tie_break: bool) -> Option<Event> {
        self.probes.heard(vip(0), kind, wins_tie_break, self.now).map(Told)
    }
}

#[test]
fn nobody_answers() {
    let log = Bench::new(1).run(3500);
    let expected = [(0, Ask), (300, Ask), (600, Ask), (1000, SILENT), (1600, Ask), (2600, Ask)];
    assert_eq!(log, expected);
}

#[test]
fn nothing_wakes_up_when_nothing_is_asked() {
    let mut bench = Bench::new(1);
    bench.run(700);
    bench.probes.stop(vip(0));
    assert_eq!(bench.probes.next_due(bench.now), None);
    assert_eq!(bench.hear(Kind::Claim, true), None);
}

#[test]
fn an_owner_is_told_at_once_and_once() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.run(2), [(0, Ask)]);
    assert_eq!(bench.hear(Kind::Claim, false), Some(ANSWERED));
    for second in 1..10 {
        let time = second * 1000;
        assert_eq!(bench.run(time + 2), [(u128::from(time), Ask)]);
        assert_eq!(bench.hear(Kind::Claim, false), None);
    }
}

#[test]
fn an_owner_that_goes_away_is_missed_after_two_questions() {
    let mut bench = Bench::new(1);
    bench.run(2);
    bench.hear(Kind::Claim, false);
    let log = bench.run(3000);
    assert_eq!(log, [(1000, Ask), (1300, Ask), (1600, SILENT), (1600, Ask), (2600, Ask)][..]);
    assert_eq!(bench.hear(Kind::Claim, false), Some(ANSWERED), "he is back");
}

#[test]
fn one_answer_that_is_lost_is_no_silence() {
    let mut bench = Bench::new(1);
    bench.run(2);
    bench.hear(Kind::Claim, false);
    assert_eq!(bench.run(1302), [(1000, Ask), (1300, Ask)]);
    assert_eq!(bench.hear(Kind::Claim, false), None);
    assert_eq!(bench.run(2600), [(2300, Ask)]);
}

#[test]
fn of_several_owners_one_that_precedes_decides() {
    let mut bench = Bench::new(1);
    bench.run(2);
    assert_eq!(bench.hear(Kind::Claim, false), Some(ANSWERED));
    assert_eq!(bench.hear(Kind::Claim, true), Some(PRECEDED));
    for time in [1002, 2002, 3002] {
        bench.run(time);
        assert_eq!(bench.hear(Kind::Claim, false), None);
        assert_eq!(bench.hear(Kind::Claim, true), None);
    }
    bench.run(4002);
    assert_eq!(bench.hear(Kind::Claim, false), None);
    bench.run(5002);
    assert_eq!(
        bench.hear(Kind::Claim, false),
        Some(ANSWERED),
        "it has not answered for two seconds"
    );
}

#[test]
fn who_asks_too_counts_only_if_he_precedes() {
    let mut bench = Bench::new(1);
    bench.run(2);
    assert_eq!(bench.hear(Kind::Probe, false), None);
    assert!(bench.run(1002).contains(&(1000, SILENT)));
    assert_eq!(bench.hear(Kind::Probe, true), Some(PRECEDED));
}

/// Two hosts ask, one some time after the other, each hears the other, and neither binds the
/// address; what each is told in ten seconds. The first of them wins_tie_break.
fn ask_together(late: usize, offset: u64) -> [Vec<Event>; 2] {
    let start = Instant::now();
    let mut hosts = [Probes::new(), Probes::new()];
    hosts[1 - late].start(vip(0), start);
    hosts[late].start(vip(0), start + Duration::from_millis(offset));
    let mut told = [Vec::new(), Vec::new()];
    let mut now = start;
    while now < start + Duration::from_secs(10) {
        for (me, other) in [(0, 1), (1, 0)] {
            told[me].extend(hosts[me].pop_silent(now).map(|_| SILENT));
            if hosts[me].pop(now).is_some() {
                let heard = hosts[other].heard(vip(0), Kind::Probe, me == 0, now);
                told[other].extend(heard.map(Told));
            }
        }
        now = hosts.iter().filter_map(|host| host.next_due(now)).min().unwrap();
    }
    told
}

#[test]
fn of_two_hosts_that_ask_at_the_same_time_only_the_one_that_precedes_hears_silence() {
    for late in [0, 1] {
        for offset in 0..1000 {
            let told = ask_together(late, offset);
            assert_eq!(told, [[SILENT], [PRECEDED]], "{late} is {offset} ms later");
        }
    }
}

#[test]
fn starting_twice_changes_nothing_and_starting_afresh_tells_again() {
    let mut bench = Bench::new(1);
    bench.run(500);
    bench.probes.start(vip(0), bench.now);
    assert_eq!(bench.run(1200), [(600, Ask), (1000, SILENT)]);
    bench.probes.restart(vip(0), bench.now);
    assert_eq!(bench.run(2300), [(1200, Ask), (1500, Ask), (1800, Ask), (2200, SILENT)]);
    bench.probes.restart_all(bench.now);
    assert_eq!(bench.run(2400), [(2300, Ask)]);
}

#[test]
fn who_cannot_be_heard_is_asked_afresh_later() {
    let mut bench = Bench::new(1);
    bench.run(700);
    bench.probes.suspend(vip(0), bench.now);
    let log = bench.run(2800);
    assert_eq!(log, [(1700, Ask), (2000, Ask), (2300, Ask), (2700, SILENT)]);
}

#[test]
fn a_thousand_addresses_are_asked_about_at_the_rate_and_silent_a_second_after_that() {
    let mut bench = Bench::new(1000);
    let mut first: HashMap<Cidr, u128> = HashMap::new();
    let mut silences = 0;
    let mut each_second = [0; 10];
    for (time, cidr, event) in bench.run_all(10_000) {
        if event == SILENT {
            silences += 1;
            let wait = time - first[&cidr];
            assert!((999..2500).contains(&wait), "{cidr} was silent after {wait} ms");
        } else {
            first.entry(cidr).or_insert(time);
            each_second[usize::try_from(time / 1000).unwrap()] += 1;
        }
    }
    assert_eq!((first.len(), silences), (1000, 1000));
    assert!(first.values().all(|time| *time <= 500));
    assert!(each_second.iter().all(|asked| *asked <= 2050), "{each_second:?}");
    assert!(each_second[9] >= 990, "{each_second:?}");
}
