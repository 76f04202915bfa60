use super::*;

const LEASE: i64 = 9;

fn id(number: u32) -> Slot {
    Slot(number)
}

fn left(seconds: i64) -> Option<(i64, i64)> {
    Some((seconds, 5))
}

/// A detector whose owner has just fallen silent.
fn silent(now: Instant) -> FailureDetector {
    let mut detector = FailureDetector::default();
    let watch = Step::Monitor(id(1), true);
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE))), [watch]);
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), []);
    assert_eq!(detector.heard(id(1), Liveness::Suspect, now), [Step::ReadLease(LEASE)]);
    detector
}

fn dead(ips: &[u32]) -> Step {
    dead_because(ips, NOT_RENEWED)
}

fn dead_because(ips: &[u32], because: &'static str) -> Step {
    let ips = ips.iter().map(|number| id(*number)).collect();
    Step::Dead { host: "h2".to_owned(), lease: LEASE, ips, because }
}

/// The next life of the owner, or the next time that it owns its IP, and it is silent where others
/// are heard; whether it is declared dead.
fn gone_again(detector: &mut FailureDetector, lease: i64, now: Instant) -> bool {
    detector.awaits(id(1), Route::Ipv4, Some(("h2", lease)));
    detector.heard(id(1), Liveness::Alive, now);
    let steps = detector.heard(id(1), Liveness::Dead, now);
    // This host has its IP now.
    detector.awaits(id(1), Route::Ipv4, None);
    steps.iter().any(|step| matches!(step, Step::Dead { .. }))
}

#[test]
fn a_host_is_dead_when_the_network_and_etcd_do_not_hear_of_it() {
    let now = Instant::now();
    let mut detector = silent(now);
    assert_eq!(detector.lease_is(LEASE, left(4), now), []);
    assert_eq!(detector.deadline(), Some(now + ASK));
    assert_eq!(detector.wake(now + ASK), [Step::ReadLease(LEASE)]);
    assert_eq!(detector.deadline(), None, "one question at a time");
    assert_eq!(detector.lease_is(LEASE, left(3), now + ASK), []);
    let due = now + ASK + LATE;
    assert_eq!(detector.deadline(), Some(due));
    assert_eq!(detector.wake(due), [Step::ReadLease(LEASE)]);
    assert_eq!(detector.lease_is(LEASE, left(3), due), [dead(&[1])]);
}

#[test]
fn a_renewal_that_comes_a_little_late_saves_it() {
    let now = Instant::now();
    let mut detector = silent(now);
    detector.lease_is(LEASE, left(3), now);
    assert_eq!(detector.lease_is(LEASE, left(4), now + LATE), []);
    assert_eq!(detector.lease_is(LEASE, left(3), now + LATE * 2), [], "that is another one");
}

#[test]
fn an_answer_from_the_network_saves_it() {
    let now = Instant::now();
    let mut detector = silent(now);
    detector.lease_is(LEASE, left(3), now);
    detector.heard(id(1), Liveness::Alive, now);
    assert_eq!(detector.lease_is(LEASE, left(0), now + LATE), []);
    assert_eq!(detector.deadline(), None);
}

#[test]
fn without_an_answer_from_etcd_nothing_moves() {
    let now = Instant::now();
    let mut detector = silent(now);
    detector.lease_is(LEASE, left(3), now);
    assert_eq!(detector.lease_is(LEASE, None, now + LATE), []);
    assert_eq!(
        detector.lease_is(LEASE, left(2), now + LATE * 2),
        [],
        "it counts from the beginning"
    );
}

#[test]
fn a_host_that_is_silent_and_alive_is_told_once_and_asked_for_slowly() {
    let now = Instant::now();
    let mut detector = silent(now);
    let later = now + Duration::from_secs(5);
    let told = detector.lease_is(LEASE, left(4), later);
    let alive = "host h2 is not heard on the network, but renews its lease";
    assert_eq!(told, [Step::Log(alive.to_owned())]);
    assert_eq!(detector.deadline(), Some(later + ASK_SLOWLY));
    assert_eq!(detector.lease_is(LEASE, left(4), later), []);
    let back = Step::Log("host h2 is heard on the network again".to_owned());
    assert_eq!(detector.heard(id(1), Liveness::Alive, later)[0], back);
}

#[test]
fn a_host_that_is_silent_where_others_are_heard_is_dead_without_a_word_of_etcd() {
    let now = Instant::now();
    let mut detector = silent(now);
    let gone = dead_because(&[1], OTHERS_ARE_HEARD);
    assert_eq!(detector.heard(id(1), Liveness::Dead, now), [gone]);
    assert_eq!(detector.lease_is(LEASE, left(4), now), [], "that was said a moment ago");
}

#[test]
fn a_dead_host_whose_locks_were_not_taken_is_declared_dead_again_a_second_later() {
    let now = Instant::now();
    let mut detector = silent(now);
    let gone = dead_because(&[1], OTHERS_ARE_HEARD);
    detector.heard(id(1), Liveness::Dead, now);
    let due = now + ASK_SLOWLY;
    assert_eq!(detector.deadline(), Some(due));
    assert_eq!(detector.wake(due), [Step::ReadLease(LEASE)]);
    assert_eq!(detector.lease_is(LEASE, None, due), [gone]);
}

#[test]
fn when_nobody_is_heard_any_more_both_witnesses_are_needed_again() {
    let now = Instant::now();
    let mut detector = silent(now);
    detector.heard(id(1), Liveness::Dead, now);
    assert_eq!(detector.heard(id(1), Liveness::Suspect, now), []);
    let due = now + ASK_SLOWLY;
    assert_eq!(detector.lease_is(LEASE, left(4), due), []);
    assert_eq!(detector.lease_is(LEASE, left(3), due), []);
    assert_eq!(detector.lease_is(LEASE, left(3), due + LATE), [dead(&[1])]);
}

#[test]
fn who_has_really_died_is_found_dead_as_soon_the_next_time() {
    let start = Instant::now();
    let mut detector = FailureDetector::default();
    for life in 0..20 {
        let now = start + Duration::from_millis(500) * life;
        assert!(gone_again(&mut detector, LEASE + i64::from(life), now), "life {life}");
    }
}

#[test]
fn a_host_that_was_declared_dead_and_lives_is_so_again_only_after_a_while() {
    let start = Instant::now();
    let mut detector = FailureDetector::default();
    let mut declared = Vec::new();
    for second in 0..200 {
        let now = start + Duration::from_secs(second);
        if gone_again(&mut detector, LEASE, now) {
            declared.push(second);
            assert_eq!(detector.acknowledged(id(1), now).len(), 1, "it is logged");
            assert_eq!(detector.acknowledged(id(1), now), [], "once");
        }
    }
    assert_eq!(declared, [0, 60, 120, 180]);
}

#[test]
fn an_owner_that_was_not_heard_for_a_while_is_told_when_it_is() {
    let now = Instant::now();
    let mut detector = silent(now);
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)));
    let again = Step::HeardAgain([id(1), id(2)].into());
    let told = detector.heard(id(1), Liveness::Alive, now);
    assert_eq!(told, std::slice::from_ref(&again));
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), [], "it was no suspect");
    // A network that comes and goes does not make it announce all the time.
    detector.heard(id(1), Liveness::Suspect, now);
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), []);
    detector.heard(id(1), Liveness::Suspect, now);
    assert_eq!(detector.heard(id(1), Liveness::Alive, now + HEARD_AGAIN), [again]);
}

#[test]
fn an_owner_is_monitored_through_an_interface_that_can_be_used_here() {
    let mut detector = FailureDetector::default();
    let owner = Some(("h2", LEASE));
    assert_eq!(detector.awaits(id(1), Route::Down, owner), [Step::Monitor(id(1), true)]);
    let change = [Step::Monitor(id(1), false), Step::Monitor(id(2), true)];
    assert_eq!(detector.awaits(id(2), Route::Ipv6, owner), change);
    // The interface of the second goes down, that of the first comes up.
    assert_eq!(detector.awaits(id(2), Route::Down, owner), []);
    let change = [Step::Monitor(id(2), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(1), Route::Ipv4, owner), change);
}

#[test]
fn while_it_is_held_down_it_is_not_declared_dead_and_at_the_end_of_that_it_is() {
    let now = Instant::now();
    let mut detector = FailureDetector::default();
    assert!(gone_again(&mut detector, LEASE, now));
    detector.acknowledged(id(1), now);
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)));
    detector.heard(id(1), Liveness::Alive, now);
    assert_eq!(detector.heard(id(1), Liveness::Dead, now), []);
    let end = now + HOLD_DOWN;
    assert_eq!(detector.lease_is(LEASE, left(4), end - ASK), []);
    assert_eq!(detector.lease_is(LEASE, left(4), end), [dead_because(&[1], OTHERS_ARE_HEARD)]);
}

#[test]
fn what_was_taken_before_it_was_declared_dead_again_can_be_yielded_yet() {
    let now = Instant::now();
    let mut detector = silent(now);
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)));
    detector.heard(id(1), Liveness::Dead, now);
    // The first is taken, the second is not: it is monitored through that one from now on.
    detector.awaits(id(1), Route::Ipv4, None);
    detector.heard(id(2), Liveness::Alive, now);
    let gone = dead_because(&[2], OTHERS_ARE_HEARD);
    assert_eq!(detector.heard(id(2), Liveness::Dead, now + ASK_SLOWLY), [gone]);
    assert_eq!(detector.acknowledged(id(1), now + ASK_SLOWLY).len(), 1);
}

#[test]
fn it_is_the_last_who_lost_the_ip_that_yields() {
    let now = Instant::now();
    let mut detector = FailureDetector::default();
    assert_eq!(detector.acknowledged(id(1), now), [], "nobody was declared dead");
    for (host, after) in [("h2", 0), ("h3", 1)] {
        let now = now + Duration::from_secs(after);
        detector.awaits(id(1), Route::Ipv4, Some((host, LEASE)));
        detector.heard(id(1), Liveness::Alive, now);
        detector.heard(id(1), Liveness::Dead, now);
        detector.awaits(id(1), Route::Ipv4, None);
    }
    assert_eq!(detector.acknowledged(id(2), now), [], "that is another IP");
    let lives = "host h3 was declared dead and lives: it is not declared dead again for 60s";
    assert_eq!(detector.acknowledged(id(1), now), [Step::Log(lives.to_owned())]);
}

#[test]
fn each_host_is_monitored_through_one_of_its_ips() {
    let now = Instant::now();
    let mut detector = silent(now);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE))), []);
    detector.lease_is(LEASE, left(3), now);
    assert_eq!(detector.lease_is(LEASE, left(3), now + LATE), [dead(&[1, 2])]);
    // The one through which it was monitored is owned by somebody else now.
    let other =
        [Step::Monitor(id(1), false), Step::Monitor(id(2), true), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h3", 11))), other);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, None), [Step::Monitor(id(2), false)]);
    assert_eq!(detector.heard(id(2), Liveness::Suspect, now), []);
}

#[test]
fn a_host_is_monitored_through_an_ip_of_ipv4_if_it_has_one() {
    let mut detector = FailureDetector::default();
    let owner = Some(("h2", LEASE));
    assert_eq!(detector.awaits(id(1), Route::Ipv6, owner), [Step::Monitor(id(1), true)]);
    let change = [Step::Monitor(id(1), false), Step::Monitor(id(3), true)];
    assert_eq!(detector.awaits(id(3), Route::Ipv4, owner), change);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, owner), [], "one is as good as another");
    let change = [Step::Monitor(id(3), false), Step::Monitor(id(2), true)];
    assert_eq!(detector.awaits(id(3), Route::Ipv4, None), change);
    let change = [Step::Monitor(id(2), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(2), Route::Ipv4, None), change);
    assert_eq!(detector.awaits(id(1), Route::Ipv6, None), [Step::Monitor(id(1), false)]);
}

#[test]
fn a_lease_is_late_when_more_than_a_fifth_is_over() {
    // As granted: 5 s renewed every second, 3 s every half, 15 s every three.
    for (left, granted, late) in [
        (4, 5, false),
        (3, 5, true),
        (2, 3, false),
        (1, 3, true),
        (1, 2, false),
        (0, 2, true),
        (12, 15, false),
        (11, 15, true),
        (-1, 0, false),
    ] {
        assert_eq!(is_late(left, granted), late, "{left} of {granted}");
    }
}

#[test]
fn what_is_told_of_the_owner_before_does_not_count_against_the_new_one() {
    let now = Instant::now();
    let mut detector = FailureDetector::default();
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)));
    detector.heard(id(1), Liveness::Alive, now);
    // h3 has found h2 dead, and has the lock, before this host is told of h2.
    let watches_anew = [Step::Monitor(id(1), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h3", 11))), watches_anew);
    for late in [Liveness::Suspect, Liveness::Dead] {
        assert_eq!(detector.heard(id(1), late, now), []);
    }
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), []);
    assert_eq!(detector.heard(id(1), Liveness::Suspect, now), [Step::ReadLease(11)]);
}
