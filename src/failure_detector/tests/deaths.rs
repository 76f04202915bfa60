//! What comes of a host that was declared dead.

use std::collections::BTreeSet;

use super::*;
use crate::failure_detector::death::HOLD_DOWN;
use crate::network::Heard;

#[test]
fn a_host_that_is_silent_where_others_are_heard_is_dead_without_a_word_of_etcd_if_so_configured() {
    let mut detector = alone();
    assert!(gone_again(&mut detector, LEASE, Instant::now()));
    let mut detector = FailureDetector::new(TIMING);
    assert!(!gone_again(&mut detector, LEASE, Instant::now()));
}

#[test]
fn a_dead_host_whose_locks_were_not_taken_is_declared_dead_again_a_second_later() {
    let now = Instant::now();
    let mut detector = alone();
    let gone = dead(&[1], OTHERS_ARE_HEARD);
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.heard(id(1), Liveness::Alive, now);
    assert_eq!(detector.heard(id(1), Liveness::Dead, now), std::slice::from_ref(&gone));
    let due = now + DECLARED;
    assert_eq!(detector.deadline(), Some(due));
    assert_eq!(detector.wake(due), [gone]);
}

#[test]
fn who_has_really_died_is_found_dead_as_soon_the_next_time() {
    let start = Instant::now();
    let mut detector = alone();
    for life in 0..20 {
        let now = start + Duration::from_millis(500) * life;
        assert!(gone_again(&mut detector, LEASE + i64::from(life), now), "life {life}");
    }
}

#[test]
fn a_host_that_was_declared_dead_and_lives_is_so_again_only_after_a_while() {
    let start = Instant::now();
    let mut detector = alone();
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
fn a_host_that_has_died_and_owns_its_ip_anew_is_not_taken_for_one_that_lives() {
    let (mut detector, now) = (alone(), Instant::now());
    assert!(gone_again(&mut detector, LEASE, now));
    // It is back, and this host, from which it has the IP, acknowledges that.
    detector.awaits(id(1), Route::Ipv4, Some(("h2", 8)), now);
    assert_eq!(detector.acknowledged(id(1), now), []);
    assert!(gone_again(&mut detector, 8, now));
}

#[test]
fn while_it_is_held_down_it_is_not_declared_dead_and_at_the_end_of_that_it_is() {
    let now = Instant::now();
    let mut detector = alone();
    assert!(gone_again(&mut detector, LEASE, now));
    detector.acknowledged(id(1), now);
    detector.agent("h2".to_owned(), LEASE, 5, now);
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.heard(id(1), Liveness::Alive, now);
    assert_eq!(detector.heard(id(1), Liveness::Doubted, now), [call(1)]);
    assert_eq!(detector.heard(id(1), Liveness::Dead, now), []);
    let end = now + HOLD_DOWN;
    while let Some(due) = detector.deadline().filter(|due| *due < end) {
        let called = detector.wake(due);
        assert!(matches!(&called[..], [Step::Call { .. }]), "{called:?}");
    }
    assert_eq!(detector.deadline(), Some(end));
    assert_eq!(detector.wake(end), [dead(&[1], OTHERS_ARE_HEARD)]);
}

#[test]
fn a_host_that_says_itself_that_it_is_isolated_is_replaced_each_time() {
    for (held_down, alone) in [(false, false), (true, false), (true, true)] {
        let (mut detector, mut now) = standby();
        detector.timing.alone = alone;
        if held_down {
            detector.deaths.insert(
                "h2".to_owned(),
                Death {
                    at: now,
                    lease: LEASE,
                    ips: BTreeSet::new(),
                    lives: false,
                    held_down: Some(now + HOLD_DOWN),
                },
            );
        }
        for number in 1..5 {
            assert_eq!(detector.heard(id(1), Liveness::Doubted, now), [call(number)]);
            detector.heard(id(1), Liveness::Dead, now);
            let nobody = CallNews::Answered(Hearing::Nobody.into());
            assert_eq!(detector.call_news("h2", number, nobody, now), [dead(&[1], ISOLATED)]);
            // This host has its IP, and the other lets go; then that one owns it again.
            detector.awaits(id(1), Route::Ipv4, None, now);
            assert_eq!(detector.acknowledged(id(1), now), [], "nobody was mistaken");
            now += Duration::from_secs(5);
            detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
            detector.heard(id(1), Liveness::Alive, now);
        }
        let still = detector.held_down(LEASE, now).is_some();
        assert_eq!(still, held_down, "what holds for its deaths holds as before");
    }
}

#[test]
fn what_was_taken_before_it_was_declared_dead_again_can_be_yielded_yet() {
    let now = Instant::now();
    let mut detector = alone();
    for ip in [1, 2] {
        detector.awaits(id(ip), Route::Ipv4, Some(("h2", LEASE)), now);
    }
    detector.heard(id(1), Liveness::Alive, now);
    detector.heard(id(1), Liveness::Dead, now);
    // The first is taken, the second is not: it is monitored through that one from now on.
    detector.awaits(id(1), Route::Ipv4, None, now);
    detector.heard(id(2), Liveness::Alive, now);
    let gone = dead(&[2], OTHERS_ARE_HEARD);
    assert_eq!(detector.heard(id(2), Liveness::Dead, now + DECLARED), [gone]);
    assert_eq!(detector.acknowledged(id(1), now + DECLARED).len(), 1);
}

#[test]
fn it_is_the_last_who_lost_the_ip_that_yields() {
    let now = Instant::now();
    let mut detector = alone();
    assert_eq!(detector.acknowledged(id(1), now), [], "nobody was declared dead");
    for (host, after) in [("h2", 0), ("h3", 1)] {
        let now = now + Duration::from_secs(after);
        detector.awaits(id(1), Route::Ipv4, Some((host, LEASE)), now);
        detector.heard(id(1), Liveness::Alive, now);
        detector.heard(id(1), Liveness::Dead, now);
        detector.awaits(id(1), Route::Ipv4, None, now);
    }
    assert_eq!(detector.acknowledged(id(2), now), [], "that is another IP");
    let lives = "host h3 was declared dead and lives: it is not declared dead again for 60s";
    assert_eq!(detector.acknowledged(id(1), now), [Step::Log(lives.to_owned())]);
}

#[test]
fn a_host_that_is_dead_is_known_not_to_answer_also_when_its_ips_have_moved() {
    let away = |detector: &FailureDetector| {
        let away = detector.away();
        away.into_iter().map(|(host, since)| (host.to_owned(), since)).collect::<Vec<_>>()
    };
    let (detector, _) = doubting();
    assert_eq!(away(&detector), [], "one question that was lost says nothing");
    let (mut detector, sent) = silent();
    let expected = [("h2".to_owned(), sent + ms(100))];
    assert_eq!(away(&detector), expected);
    detector.awaits(id(1), Route::Taken, None, sent + ms(300));
    assert_eq!(away(&detector), expected, "this host has its IP");
    // The same is told anew by another watch.
    detector.agent("h2".to_owned(), LEASE, 5, sent + ms(400));
    assert_eq!(away(&detector), expected);
    for (lease, revision) in [(LEASE, 6), (LEASE + 1, 5), (0, 7)] {
        let mut detector = detector.clone();
        detector.agent("h2".to_owned(), lease, revision, sent + ms(500));
        assert_eq!(away(&detector), [], "its agent lives, or etcd tells itself that it has gone");
    }
    detector.forget(sent + ms(600));
    assert_eq!(away(&detector), [], "this process stood still");
    // It answers in etcd: this host is deaf.
    let (mut detector, sent) = silent();
    let heard = Heard { hearing: Hearing::Others, has_address: true };
    detector.call_news("h2", 1, CallNews::Answered(heard), sent + ms(110));
    assert_eq!(away(&detector), []);
}
