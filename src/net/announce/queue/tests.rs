use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;
use crate::net::announce::schedule::Announce;

const RATE: u32 = Announce::RATE;

fn queue() -> Queue {
    Queue::new(Schedule::BuiltIn, RATE, RandomState::new())
}

fn vip(n: u32) -> Cidr {
    Cidr::new(Ipv4Addr::from_bits(0x0a00_0000 + n).into(), 32).unwrap()
}

fn pop_all(queue: &mut Queue, now: Instant) -> Vec<(Cidr, Form)> {
    let popped = std::iter::from_fn(|| queue.pop(now));
    popped.map(|announcement| (announcement.cidr, announcement.form)).collect()
}

/// The addresses whose announcement begins now.
fn begun(queue: &mut Queue, now: Instant) -> Vec<Cidr> {
    let popped = pop_all(queue, now).into_iter();
    popped.filter(|(_, form)| *form != Form::Second).map(|(cidr, _)| cidr).collect()
}

/// Runs the queue for a while and tells which announcements began when, in milliseconds.
fn run(queue: &mut Queue, start: Instant, length: Duration) -> Vec<(u128, Cidr)> {
    let log = run_all(queue, start, length).into_iter();
    log.filter(|(_, _, form)| *form != Form::Second).map(|(time, cidr, _)| (time, cidr)).collect()
}

/// The same with the second forms.
fn run_all(queue: &mut Queue, start: Instant, length: Duration) -> Vec<(u128, Cidr, Form)> {
    let mut log = Vec::new();
    let mut now = start;
    for _ in 0..1_000_000 {
        let time = (now - start).as_millis();
        log.extend(pop_all(queue, now).into_iter().map(|(cidr, form)| (time, cidr, form)));
        match queue.next_due(now) {
            Some(due) if due <= start + length => {
                assert!(due > now, "a wake-up without work");
                now = due;
            }
            _ => return log,
        }
    }
    panic!("it does not come to an end");
}

#[test]
fn one_address_leaves_at_once_and_on_its_schedule() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    let log = run(&mut queue, start, Duration::from_secs(96));
    let times: Vec<_> = log.iter().map(|(time, _)| *time).collect();
    assert_eq!(times[..6], [0, 1100, 2200, 3300, 5000, 30_000]);
    assert_eq!(times.len(), 7);
    assert!((84_000..=96_000).contains(&times[6]));
}

#[test]
fn a_first_announcement_has_its_second_form_when_all_have_had_the_first() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..3 {
        queue.start(vip(n), Extent::Full, Cause::Order, start);
    }
    let firsts = [2, 1, 0].map(|n| (vip(n), Form::First));
    let seconds = [2, 1, 0].map(|n| (vip(n), Form::Second));
    assert_eq!(pop_all(&mut queue, start), [firsts, seconds].concat());
    let repeats = run_all(&mut queue, start, Duration::from_millis(1100));
    assert_eq!(repeats, [0, 1, 2].map(|n| (1100, vip(n), Form::All)));
}

#[test]
fn a_thousand_second_forms_follow_within_a_tenth_of_a_second() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..1000 {
        queue.start(vip(n), Extent::Full, Cause::Order, start);
    }
    let log = run_all(&mut queue, start, Duration::from_millis(200));
    let seconds = log.iter().skip_while(|(_, _, form)| *form == Form::First);
    assert_eq!(seconds.clone().count(), 1000);
    assert!(seconds.clone().all(|(_, _, form)| *form == Form::Second));
}

#[test]
fn the_second_form_of_what_is_stopped_or_held_back_does_not_leave() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    assert_eq!(queue.pop(start).map(|first| first.form), Some(Form::First));
    queue.stop(vip(1));
    assert_eq!(pop_all(&mut queue, start), []);
    queue.start(vip(2), Extent::Full, Cause::Order, start);
    assert_eq!(queue.pop(start).map(|first| first.form), Some(Form::First));
    queue.hold(start + Duration::from_secs(2));
    let log = run_all(&mut queue, start, Duration::from_millis(2500));
    assert_eq!(log, [(2000, vip(2), Form::All)]);
}

#[test]
fn a_single_announcement_of_a_fixed_schedule_has_both_forms() {
    let start = Instant::now();
    let fixed = Schedule::Fixed(Duration::from_secs(1), 1);
    let mut queue = Queue::new(fixed, RATE, RandomState::new());
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    let log = run_all(&mut queue, start, Duration::from_secs(10));
    assert_eq!(log, [(0, vip(1), Form::First), (0, vip(1), Form::Second)]);
}

#[test]
fn a_thousand_are_refreshed_at_a_low_rate_and_before_a_switch_forgets() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..1000 {
        queue.start(vip(n), Extent::Once, Cause::Order, start);
    }
    let log = run(&mut queue, start, Duration::from_secs(600));
    let mut refreshed: HashMap<Cidr, Vec<u128>> = HashMap::new();
    for (time, cidr) in log.iter().copied() {
        refreshed.entry(cidr).or_default().push(time);
    }
    for times in refreshed.values() {
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 300_000), "{times:?}");
        assert!(times.len() >= 3, "{times:?}");
    }
    let calm = log.iter().filter(|(time, _)| (300_000..400_000).contains(time)).count();
    assert!((450..=510).contains(&calm), "{calm} in 100 s");
}

#[test]
fn the_newest_takeover_is_announced_first() {
    let now = Instant::now();
    let mut queue = queue();
    for n in 0..3 {
        queue.start(vip(n), Extent::Full, Cause::Order, now);
    }
    assert_eq!(begun(&mut queue, now), [vip(2), vip(1), vip(0)]);
}

#[test]
fn first_announcements_go_before_repeats_and_repeats_before_the_refresh() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Once, Cause::Order, start);
    queue.start(vip(2), Extent::Full, Cause::Order, start - Duration::from_secs(10));
    assert_eq!(begun(&mut queue, start - Duration::from_secs(10)), [vip(2)]);
    assert_eq!(begun(&mut queue, start), [vip(2), vip(1)], "by the times they are due");

    let later = start + Duration::from_secs(100);
    queue.start(vip(3), Extent::Full, Cause::Order, later);
    assert_eq!(begun(&mut queue, later), [vip(3), vip(2), vip(1)]);
}

#[test]
fn an_address_that_is_stopped_is_not_announced() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    queue.stop(vip(1));
    assert_eq!(begun(&mut queue, start), []);
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    assert_eq!(begun(&mut queue, start), [vip(1)]);
    queue.stop(vip(1));
    let log = run(&mut queue, start, Duration::from_secs(200));
    assert_eq!(log, []);
}

#[test]
fn starting_again_begins_a_new_burst_and_forgets_the_old_one() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    assert_eq!(begun(&mut queue, start), [vip(1)]);
    let again = start + Duration::from_millis(500);
    queue.start(vip(1), Extent::Full, Cause::Order, again);
    let times: Vec<_> = run(&mut queue, again, Duration::from_secs(6));
    let times: Vec<_> = times.into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [0, 1100, 2200, 3300, 5000]);
}

#[test]
fn a_thousand_takeovers_are_announced_within_a_tenth_of_a_second_and_spaced_after_it() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..1000 {
        queue.start(vip(n), Extent::Full, Cause::Order, start);
    }
    let log = run(&mut queue, start, Duration::from_secs(40));
    let mut announced: HashMap<Cidr, Vec<u128>> = HashMap::new();
    for (time, cidr) in log {
        announced.entry(cidr).or_default().push(time);
    }
    assert_eq!(announced.len(), 1000);
    for times in announced.values() {
        assert!(times[0] <= 100, "the first one left after {} ms", times[0]);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1099), "{times:?}");
        assert!(times.len() >= 5, "{times:?}");
    }
}

#[test]
fn no_second_has_more_frames_than_the_limits_allow() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..3000 {
        queue.start(vip(n), Extent::Full, Cause::Order, start);
    }
    let log = run_all(&mut queue, start, Duration::from_secs(20));
    let most = u128::from(RATE + RATE / AT_ONCE + REPEAT.0 + REPEAT.1);
    for second in 0..20 {
        let window = second * 1000..(second + 1) * 1000;
        let then = log.iter().filter(|(time, _, _)| window.contains(time));
        let frames: u128 = then.map(|(_, _, form)| if *form == Form::All { 2 } else { 1 }).sum();
        assert!(frames <= most, "{frames} in second {second}");
    }
}

#[test]
fn an_announcement_of_ipv6_counts_as_one_frame() {
    let now = Instant::now();
    let mut queue = queue();
    for n in 0..1000u128 {
        let ip = Ipv6Addr::from_bits((0xfd00 << 112) + n);
        queue.start(Cidr::new(ip.into(), 128).unwrap(), Extent::Full, Cause::Order, now);
    }
    assert_eq!(pop_all(&mut queue, now).len(), usize::try_from(RATE / AT_ONCE).unwrap());
}

#[test]
fn what_is_held_back_waits_and_what_is_ordered_after_that_does_not() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    assert_eq!(begun(&mut queue, start), [vip(1)]);
    queue.start(vip(2), Extent::Full, Cause::Order, start);
    queue.start(vip(3), Extent::Full, Cause::Order, start);
    queue.hold(start + Duration::from_secs(2));
    assert_eq!(begun(&mut queue, start), []);
    queue.start(vip(4), Extent::Full, Cause::Order, start);
    let log = run(&mut queue, start, Duration::from_millis(3500));
    let expected = [
        (0, vip(4)),
        (1100, vip(4)),
        (2000, vip(1)),
        (2000, vip(2)),
        (2000, vip(3)),
        (2200, vip(4)),
        (3100, vip(1)),
        (3100, vip(2)),
        (3100, vip(3)),
        (3300, vip(4)),
    ];
    assert_eq!(log, expected);
}

#[test]
fn what_is_held_back_can_be_taken_back_or_started_anew() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, Cause::Order, start);
    queue.start(vip(2), Extent::Full, Cause::Order, start);
    queue.hold(start + Duration::from_secs(2));
    queue.stop(vip(1));
    queue.start(vip(2), Extent::Full, Cause::Order, start);
    let log = run(&mut queue, start, Duration::from_millis(2500));
    assert_eq!(log, [(0, vip(2)), (1100, vip(2)), (2200, vip(2))]);
}

#[test]
fn what_is_not_ordered_is_held_back_too_and_changes_nothing_for_what_is() {
    let start = Instant::now();
    let mut queue = queue();
    queue.hold(start + Duration::from_secs(2));
    queue.start(vip(1), Extent::Full, Cause::Change, start);
    queue.start(vip(2), Extent::Full, Cause::Change, start);
    queue.start(vip(2), Extent::Full, Cause::Order, start);
    queue.start(vip(2), Extent::Full, Cause::Change, start);
    let log = run(&mut queue, start, Duration::from_millis(2100));
    assert_eq!(log, [(0, vip(2)), (1100, vip(2)), (2000, vip(1))]);
    queue.start(vip(3), Extent::Full, Cause::Change, start + Duration::from_secs(2));
    assert_eq!(begun(&mut queue, start + Duration::from_secs(2)), [vip(3)]);
}
