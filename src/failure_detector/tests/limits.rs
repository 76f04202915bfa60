//! Where one answer ends and the next begins, and what the detector tells of an owner.

use super::*;
use crate::failure_detector::call::listens;

#[test]
fn an_owner_is_heard_until_it_is_silent_and_unknown_before() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    assert_eq!(detector.hears_owner(id(1)), None, "nobody owns it");
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    assert_eq!(detector.hears_owner(id(1)), None, "it was not heard yet");
    for (liveness, heard) in [
        (Liveness::Alive, true),
        // One question without an answer is no silence.
        (Liveness::Doubted, true),
        (Liveness::Suspect, false),
        (Liveness::Dead, false),
        (Liveness::Alive, true),
    ] {
        detector.heard(id(1), liveness, now);
        assert_eq!(detector.hears_owner(id(1)), Some(heard), "{liveness:?}");
    }
}

#[test]
fn an_ip_that_is_registered_no_more_is_monitored_no_more() {
    let (mut detector, now) = doubting();
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.gone(id(1));
    let change = [Step::Monitor(id(1), false), Step::Monitor(id(2), true)];
    assert_eq!(detector.settle(now), change);
    assert_eq!(detector.settle(now), [], "once");
    detector.gone(id(2));
    assert_eq!(detector.settle(now), [Step::Monitor(id(2), false), end_call()]);
    assert_eq!(detector.deadline(), None);
}

#[test]
fn what_is_heard_of_a_dead_owner_does_not_declare_it_dead_again_within_a_second() {
    let now = Instant::now();
    let mut detector = alone();
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.heard(id(1), Liveness::Alive, now);
    assert_eq!(detector.heard(id(1), Liveness::Dead, now).len(), 1);
    for after in [ms(1), ms(500), ms(999)] {
        assert_eq!(detector.heard(id(1), Liveness::Dead, now + after), [], "{after:?}");
        assert_eq!(detector.deadline(), Some(now + DECLARED), "{after:?}");
    }
    assert_eq!(detector.wake(now + DECLARED), [dead(&[1], OTHERS_ARE_HEARD)]);
}

#[test]
fn a_host_that_was_declared_dead_twice_before_its_lock_was_taken_can_still_be_acknowledged() {
    let now = Instant::now();
    let mut detector = alone();
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.heard(id(1), Liveness::Alive, now);
    detector.heard(id(1), Liveness::Dead, now);
    assert_eq!(detector.wake(now + DECLARED), [dead(&[1], OTHERS_ARE_HEARD)]);
    detector.awaits(id(1), Route::Ipv4, None, now + DECLARED);
    assert_eq!(detector.acknowledged(id(1), now + DECLARED).len(), 1, "it lives");
}

#[test]
fn after_ten_turns_a_missed_owner_is_looked_at_once_a_second() {
    let (mut detector, sent) = doubting();
    detector.heard(id(1), Liveness::Suspect, sent);
    let is_last = |step: &Step| matches!(step, Step::Missed(_, missed) if missed.turn == 10);
    let mut now = sent;
    while !detector.wake(now).iter().any(is_last) {
        now = detector.deadline().expect("the next turn");
    }
    assert!(now >= sent + ms(1000), "that is ten intervals");
    assert_eq!(detector.deadline(), Some(now + ms(1000)));
}

#[test]
fn the_vote_of_a_host_counts_for_two_seconds_after_its_last_question() {
    let vote = |questions: [Duration; 2], now: Duration| {
        let (mut detector, sent) = doubting();
        detector.call_news("h2", 1, CallNews::Failed, sent);
        detector.heard(id(1), Liveness::Suspect, sent);
        for at in questions {
            detector.also_missed(id(1), MAC, sent + at);
        }
        // Meanwhile it is called again, and etcd is silent still.
        detector.wake(sent + now);
        let steps = detector.call_news("h2", detector.calls, CallNews::Failed, sent + now);
        let [Step::Missed(_, missed)] = steps.as_slice() else { panic!("{steps:?}") };
        missed.by == [MAC]
    };
    assert!(vote([ms(0), ms(0)], ms(1999)));
    assert!(!vote([ms(0), ms(0)], ms(2000)));
    // Two questions that are as far from each other are two first ones.
    assert!(vote([ms(0), ms(1999)], ms(1999)));
    assert!(!vote([ms(0), ms(2000)], ms(2000)));
}

#[test]
fn an_owner_is_not_dead_for_an_heir_that_has_let_go_while_it_was_being_asked() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    detector.agent("h2".to_owned(), LEASE, 5, now);
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.awaits(id(1), Route::Taken, Some(("h2", LEASE)), now);
    detector.call_news("h2", 1, CallNews::CameBack, now);
    let due = detector.deadline().expect("an answer is waited for");
    assert_eq!(detector.wake(due), [call_for(2, ms(1100))]);
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), due), []);
    assert_eq!(detector.call_news("h2", 2, CallNews::CameBack, due), []);
}

#[test]
fn an_owner_that_will_be_asked_seldom_on_the_network_listens_for_a_second_more() {
    let seldom = TIMING.interval + ms(1000);
    assert_eq!(listens(TIMING, None), seldom, "it was never heard");
    assert_eq!(listens(TIMING, Some(ms(3999))), TIMING.interval);
    assert_eq!(listens(TIMING, Some(ms(4000))), seldom);
}

#[test]
fn after_more_than_ten_seconds_of_silence_a_host_is_called_each_ten_seconds() {
    let sent = Instant::now();
    let call = Call::sent(1, TIMING.interval, sent);
    assert_eq!(call.again_at(sent - ms(10_000)), sent + ms(1000));
    assert_eq!(call.again_at(sent - ms(10_001)), sent + ms(10_000));
}
