use super::*;

const OWNER: Mac = [2, 0, 0, 0, 0, 1];
const ROUTER: Mac = [2, 0, 0, 0, 0, 2];
const INTERVAL: Duration = Duration::from_millis(100);
const TIMING: MonitorTiming = every(INTERVAL);
/// The time that the silent host has to answer.
const ANSWER: Duration = Duration::from_millis(50);

const fn every(interval: Duration) -> MonitorTiming {
    MonitorTiming { interval, doubt: interval, count: 3, alone: true }
}

fn vip() -> Cidr {
    "10.0.0.1/32".parse().unwrap()
}

fn router() -> IpAddr {
    [10, 0, 0, 254].into()
}

fn says(kind: Kind, ip: IpAddr, mac: Mac) -> Heard {
    Heard { ip, kind, mac, source: mac, router: false }
}

fn take(reference_probes: &mut ReferenceProbes, now: Instant) -> Vec<(Cidr, bool)> {
    reference_probes.take_news(now, |_| true)
}

/// A host has fallen silent, and the router was asked on interface 3.
fn asked(now: Instant) -> ReferenceProbes {
    let mut reference_probes = ReferenceProbes::default();
    reference_probes.begin(vip(), OWNER, TIMING, now);
    assert_eq!(reference_probes.next_due(), Some(now));
    assert_eq!(reference_probes.due(now), [(vip(), OWNER)]);
    reference_probes.asked(vip(), 3, vec![router()], now);
    assert_eq!(reference_probes.due(now + INTERVAL), []);
    // It has turned out to be silent.
    assert_eq!(take(&mut reference_probes, now), []);
    reference_probes
}

#[test]
fn a_neighbour_that_answers_shows_that_this_host_is_not_deaf() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    assert_eq!(take(&mut reference_probes, now + ANSWER), [(vip(), true)]);
    assert_eq!(reference_probes.next_due(), Some(now + ANSWER + GAP), "it is asked again");
}

#[test]
fn the_silent_host_has_its_time_to_answer_though_another_has_answered() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    assert_eq!(take(&mut reference_probes, now), []);
    assert_eq!(reference_probes.next_due(), Some(now + ANSWER));
    reference_probes.end(vip());
    assert_eq!(take(&mut reference_probes, now + ANSWER), []);
}

#[test]
fn an_answer_that_has_come_before_a_host_is_silent_is_told_as_soon_as_it_is() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    assert_eq!(reference_probes.take_news(now + ANSWER, |_| false), []);
    assert_eq!(reference_probes.next_due(), None, "that the host is silent is told by others");
    assert_eq!(reference_probes.take_news(now + INTERVAL, |_| false), []);
    assert_eq!(take(&mut reference_probes, now + INTERVAL), [(vip(), true)]);
    reference_probes.keep(|_| false);
    assert_eq!(reference_probes.next_due(), None);
}

#[test]
fn neighbours_that_do_not_answer_are_asked_again_at_once_until_the_host_is_silent() {
    let mut now = Instant::now();
    let mut reference_probes = asked(now);
    for _ in 0..3 {
        assert_eq!(reference_probes.take_news(now + ANSWER, |_| false), []);
        assert_eq!(reference_probes.due(now + ANSWER), []);
        now += INTERVAL;
        assert_eq!(reference_probes.next_due(), Some(now));
        assert_eq!(reference_probes.take_news(now, |_| false), []);
        assert_eq!(reference_probes.due(now), [(vip(), OWNER)]);
        reference_probes.asked(vip(), 3, vec![router()], now);
    }
    assert_eq!(take(&mut reference_probes, now + INTERVAL), []);
    assert_eq!(reference_probes.next_due(), Some(now + INTERVAL + GAP));
}

#[test]
fn a_host_that_falls_silent_is_not_begun_with_again() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.begin(vip(), OWNER, TIMING, now);
    assert_eq!(reference_probes.due(now + INTERVAL), []);
}

#[test]
fn who_asks_everybody_for_the_silent_host_as_often_as_one_that_misses_it_does_so_as_well() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.heard(3, &says(Kind::Probe, vip().addr(), ROUTER), now);
    assert_eq!(take(&mut reference_probes, now + ANSWER), [], "it may have lost one answer");
    reference_probes.heard(3, &says(Kind::Probe, vip().addr(), ROUTER), now + INTERVAL);
    assert_eq!(take(&mut reference_probes, now + INTERVAL), [(vip(), true)]);
}

#[test]
fn two_hosts_that_ask_once_each_or_one_that_asks_now_and_then_are_no_answer() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    let asks = |mac| says(Kind::Probe, vip().addr(), mac);
    reference_probes.heard(3, &asks(ROUTER), now);
    reference_probes.heard(3, &asks([2, 0, 0, 0, 0, 3]), now);
    reference_probes.heard(3, &asks(ROUTER), now + INTERVAL * 3);
    assert_eq!(take(&mut reference_probes, now + INTERVAL), []);
    // Also between two times that neighbours are asked, it is counted.
    reference_probes.heard(3, &asks(ROUTER), now + INTERVAL * 4);
    reference_probes.asked(vip(), 3, vec![router()], now + INTERVAL * 5);
    reference_probes.heard(3, &asks(ROUTER), now + INTERVAL * 5);
    assert_eq!(take(&mut reference_probes, now + INTERVAL * 6), [(vip(), true)]);
}

#[test]
fn what_somebody_says_of_something_else_or_elsewhere_is_no_answer() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    let other = IpAddr::from([10, 0, 0, 9]);
    reference_probes.heard(4, &says(Kind::Claim, router(), ROUTER), now);
    reference_probes.heard(3, &says(Kind::Claim, other, ROUTER), now);
    reference_probes.heard(3, &says(Kind::Probe, other, ROUTER), now);
    reference_probes.heard(3, &says(Kind::Claim, router(), OWNER), now);
    let in_its_name = Heard { source: OWNER, ..says(Kind::Claim, router(), ROUTER) };
    reference_probes.heard(3, &in_its_name, now);
    assert_eq!(take(&mut reference_probes, now + INTERVAL), []);
}

#[test]
fn what_was_said_before_anybody_was_asked_is_no_answer() {
    let now = Instant::now();
    let mut reference_probes = ReferenceProbes::default();
    reference_probes.begin(vip(), OWNER, TIMING, now);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    reference_probes.heard(3, &says(Kind::Probe, vip().addr(), ROUTER), now);
    assert_eq!(take(&mut reference_probes, now), []);
}

#[test]
fn nobody_is_waited_for_longer_than_an_interval_and_all_are_asked_every_second() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    assert_eq!(reference_probes.next_due(), Some(now + INTERVAL));
    assert_eq!(take(&mut reference_probes, now + INTERVAL), []);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    let again = now + INTERVAL + GAP;
    assert_eq!(take(&mut reference_probes, again), [], "that was too late");
    assert_eq!(reference_probes.due(again), [(vip(), OWNER)]);
    reference_probes.asked(vip(), 3, vec![router()], again);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    assert_eq!(take(&mut reference_probes, again + ANSWER), [(vip(), true)]);
}

#[test]
fn others_that_fall_silent_too_are_told_and_told_once() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
    take(&mut reference_probes, now + ANSWER);
    let mut news = Vec::new();
    for second in 1..5 {
        let now = now + GAP * second * 2;
        reference_probes.asked(vip(), 3, vec![router()], now);
        news.push(take(&mut reference_probes, now + INTERVAL));
    }
    assert_eq!(news, [vec![(vip(), false)], vec![], vec![], vec![]]);
}

#[test]
fn an_answer_that_may_be_worth_nothing_is_waited_for_anew() {
    let postpones: [fn(&mut ReferenceProbes, Instant); 2] =
        [|all, now| all.postpone(vip(), now), |all, now| all.postpone_all(now)];
    for postpone in postpones {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER), now);
        postpone(&mut reference_probes, now);
        assert_eq!(take(&mut reference_probes, now), []);
        assert_eq!(reference_probes.next_due(), Some(now + GAP));
    }
}

#[test]
fn nothing_is_due_when_nobody_is_silent() {
    let now = Instant::now();
    let mut reference_probes = asked(now);
    reference_probes.end(vip());
    reference_probes.asked(vip(), 3, vec![router()], now);
    assert_eq!((reference_probes.next_due(), reference_probes.due(now)), (None, Vec::new()));
}

#[test]
fn at_the_shortest_interval_a_neighbour_has_twenty_milliseconds() {
    let now = Instant::now();
    let mut reference_probes = ReferenceProbes::default();
    reference_probes.begin(vip(), OWNER, every(Duration::from_millis(10)), now);
    reference_probes.asked(vip(), 3, vec![router()], now);
    assert_eq!(reference_probes.next_due(), Some(now + PATIENCE));
}
