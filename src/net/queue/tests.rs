use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;
use crate::net::Announce;

const RATE: u32 = Announce::RATE;

fn queue() -> Queue {
    Queue::new(Schedule::BuiltIn, RATE, RandomState::new())
}

fn vip(n: u32) -> Cidr {
    Cidr::new(Ipv4Addr::from_bits(0x0a00_0000 + n).into(), 32).unwrap()
}

fn pop_all(queue: &mut Queue, now: Instant) -> Vec<Cidr> {
    std::iter::from_fn(|| queue.pop(now)).collect()
}

/// Runs the queue for a while and tells what left when, in milliseconds.
fn run(queue: &mut Queue, start: Instant, length: Duration) -> Vec<(u128, Cidr)> {
    let mut log = Vec::new();
    let mut now = start;
    for _ in 0..1_000_000 {
        let time = (now - start).as_millis();
        log.extend(pop_all(queue, now).into_iter().map(|cidr| (time, cidr)));
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
    queue.start(vip(1), Extent::Full, start);
    let log = run(&mut queue, start, Duration::from_secs(96));
    let times: Vec<_> = log.iter().map(|(time, _)| *time).collect();
    assert_eq!(times[..6], [0, 1100, 2200, 3300, 5000, 30_000]);
    assert_eq!(times.len(), 7);
    assert!((84_000..=96_000).contains(&times[6]));
}

#[test]
fn the_newest_takeover_is_announced_first() {
    let now = Instant::now();
    let mut queue = queue();
    for n in 0..3 {
        queue.start(vip(n), Extent::Full, now);
    }
    assert_eq!(pop_all(&mut queue, now), [vip(2), vip(1), vip(0)]);
}

#[test]
fn first_announcements_go_before_repeats_and_repeats_before_the_refresh() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Once, start);
    queue.start(vip(2), Extent::Full, start - Duration::from_secs(10));
    assert_eq!(queue.pop(start - Duration::from_secs(10)), Some(vip(2)));
    assert_eq!(queue.pop(start), Some(vip(2)), "due earlier than the other repeat");
    assert_eq!(queue.pop(start), Some(vip(1)));

    let later = start + Duration::from_secs(100);
    queue.start(vip(3), Extent::Full, later);
    assert_eq!(pop_all(&mut queue, later), [vip(3), vip(2), vip(1)]);
}

#[test]
fn an_address_that_is_stopped_is_not_announced() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, start);
    queue.stop(vip(1));
    assert_eq!(pop_all(&mut queue, start), []);
    queue.start(vip(1), Extent::Full, start);
    assert_eq!(pop_all(&mut queue, start), [vip(1)]);
    queue.stop(vip(1));
    let log = run(&mut queue, start, Duration::from_secs(200));
    assert_eq!(log, []);
}

#[test]
fn starting_again_begins_a_new_burst_and_forgets_the_old_one() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, start);
    queue.start(vip(1), Extent::Full, start);
    assert_eq!(pop_all(&mut queue, start), [vip(1)]);
    let again = start + Duration::from_millis(500);
    queue.start(vip(1), Extent::Full, again);
    let times: Vec<_> = run(&mut queue, again, Duration::from_secs(6));
    let times: Vec<_> = times.into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [0, 1100, 2200, 3300, 5000]);
}

#[test]
fn a_thousand_takeovers_are_announced_within_a_quarter_of_a_second_and_spaced_after_it() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..1000 {
        queue.start(vip(n), Extent::Full, start);
    }
    let log = run(&mut queue, start, Duration::from_secs(40));
    let mut announced: HashMap<Cidr, Vec<u128>> = HashMap::new();
    for (time, cidr) in log {
        announced.entry(cidr).or_default().push(time);
    }
    assert_eq!(announced.len(), 1000);
    for times in announced.values() {
        assert!(times[0] <= 250, "the first one left after {} ms", times[0]);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1099), "{times:?}");
        assert!(times.len() >= 5, "{times:?}");
    }
}

#[test]
fn no_second_has_more_frames_than_the_limits_allow() {
    let start = Instant::now();
    let mut queue = queue();
    for n in 0..3000 {
        queue.start(vip(n), Extent::Full, start);
    }
    let log = run(&mut queue, start, Duration::from_secs(20));
    let most = u128::from(RATE + RATE / AT_ONCE + REPEAT.0 + REPEAT.1);
    for second in 0..20 {
        let window = second * 1000..(second + 1) * 1000;
        let announcements = log.iter().filter(|(time, _)| window.contains(time)).count();
        assert!(announcements as u128 * 2 <= most, "{announcements} in second {second}");
    }
}

#[test]
fn an_announcement_of_ipv6_counts_as_one_frame() {
    let now = Instant::now();
    let mut queue = queue();
    for n in 0..1000u128 {
        let ip = Ipv6Addr::from_bits((0xfd00 << 112) + n);
        queue.start(Cidr::new(ip.into(), 128).unwrap(), Extent::Full, now);
    }
    assert_eq!(pop_all(&mut queue, now).len(), usize::try_from(RATE / AT_ONCE).unwrap());
}

#[test]
fn what_is_held_back_waits_and_what_comes_after_that_does_not() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, start);
    assert_eq!(pop_all(&mut queue, start), [vip(1)]);
    queue.start(vip(2), Extent::Full, start);
    queue.start(vip(3), Extent::Full, start);
    queue.hold(start + Duration::from_secs(2));
    assert_eq!(pop_all(&mut queue, start), []);
    queue.start(vip(4), Extent::Full, start);
    let log = run(&mut queue, start, Duration::from_millis(3500));
    let expected = [
        (0, vip(4)),
        (2000, vip(3)),
        (2000, vip(2)),
        (2000, vip(1)),
        (2000, vip(4)),
        (3100, vip(1)),
        (3100, vip(2)),
        (3100, vip(3)),
        (3100, vip(4)),
    ];
    assert_eq!(log, expected);
}

#[test]
fn what_is_held_back_can_be_taken_back_or_started_anew() {
    let start = Instant::now();
    let mut queue = queue();
    queue.start(vip(1), Extent::Full, start);
    queue.start(vip(2), Extent::Full, start);
    queue.hold(start + Duration::from_secs(2));
    queue.stop(vip(1));
    queue.start(vip(2), Extent::Full, start);
    let log = run(&mut queue, start, Duration::from_millis(2500));
    assert_eq!(log, [(0, vip(2)), (2000, vip(2))]);
}
