//! Owners in whose place this host has an IP, because it had lost etcd.

use super::*;
use crate::network::Heard;

const NOT_BACK: &str = "host h2 is dead: it has not come back, and does not answer in etcd";

fn has_it(hearing: Hearing) -> CallNews {
    CallNews::Answered(Heard { hearing, has_address: true })
}

fn lives(ips: &[u32]) -> Step {
    Step::Lives(LEASE, ips.iter().map(|number| id(*number)).collect())
}

/// A question for which the owner listens for as long as one that was never heard.
fn asks(number: u64) -> Step {
    call_for(number, ms(1100))
}

/// A host that has an IP in place of its owner, whose agent answers calls.
fn heir() -> (FailureDetector, Instant) {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    detector.agent("h2".to_owned(), LEASE, 5, now);
    assert_eq!(detector.awaits(id(1), Route::Taken, Some(("h2", LEASE)), now), [asks(1)]);
    (detector, now)
}

#[test]
fn the_owner_is_called_at_once_and_not_monitored_and_its_word_counts() {
    for hearing in [Hearing::Others, Hearing::Nobody] {
        let (mut detector, now) = heir();
        assert_eq!(detector.call_news("h2", 1, CallNews::CameBack, now + ms(5)), []);
        let said = detector.call_news("h2", 1, has_it(hearing), now + ms(10));
        assert_eq!(said, [lives(&[1])], "{hearing:?}");
        // Another IP of which that comes out a moment later.
        let more = detector.awaits(id(2), Route::Taken, Some(("h2", LEASE)), now + ms(11));
        assert_eq!(more, [lives(&[2])]);
        let back = detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now + ms(12));
        assert_eq!(back, [Step::Monitor(id(1), true)]);
        assert_eq!(detector.awaits(id(2), Route::Ipv4, None, now + ms(12)), [end_call()]);
    }
}

#[test]
fn an_owner_that_does_not_answer_two_questions_is_dead() {
    let (mut detector, now) = heir();
    // What is only waited for here, and was never heard, may be heard by others.
    let monitored = detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), now);
    assert_eq!(monitored, [Step::Monitor(id(2), true)]);
    detector.call_news("h2", 1, CallNews::CameBack, now + ms(5));
    let due = detector.deadline().expect("an answer is waited for");
    assert_eq!(due, now + ms(5) + ms(1100) + ms(20) + ms(50));
    assert_eq!(detector.wake(due), [asks(2)]);
    assert_eq!(
        detector.call_news("h2", 2, CallNews::CameBack, due + ms(5)),
        [dead(&[1], NOT_BACK)]
    );
}

#[test]
fn an_owner_that_has_not_got_the_ip_yet_is_called_again() {
    let (mut detector, now) = heir();
    let answers = CallNews::Answered(Hearing::Others.into());
    assert_eq!(detector.call_news("h2", 1, answers, now + ms(10)), []);
    let again = detector.deadline().expect("it is called again");
    assert_eq!(detector.wake(again), [asks(2)]);
    assert_eq!(detector.call_news("h2", 2, has_it(Hearing::Others), again), [lives(&[1])]);
}

#[test]
fn an_owner_that_hears_nobody_where_this_host_hears_others_is_isolated() {
    let (mut detector, now) = heir();
    detector.hears(id(1), true);
    let said = detector.call_news("h2", 1, has_it(Hearing::Nobody), now + ms(1100));
    assert_eq!(said, [dead(&[1], ISOLATED)]);
}

#[test]
fn while_etcd_is_silent_again_nothing_follows_and_it_is_asked_again() {
    let (mut detector, now) = heir();
    let silent = detector.deadline().expect("the question should have come back");
    assert_eq!(detector.wake(silent), []);
    let again = detector.deadline().expect("it is called again");
    assert!(again > now + ms(1000), "after a while");
    assert_eq!(detector.wake(again), [asks(2)]);
}

#[test]
fn an_owner_that_is_heard_through_another_ip_is_asked_all_the_same() {
    let (mut detector, now) = standby();
    let call = detector.awaits(id(2), Route::Taken, Some(("h2", LEASE)), now);
    let [Step::Call { ip, number: 1, .. }] = call.as_slice() else { panic!("{call:?}") };
    assert_eq!(*ip, id(2));
    assert_eq!(detector.call_news("h2", 1, has_it(Hearing::Others), now), [lives(&[2])]);
}

const WITHOUT: &str = "host h2 is back without its IPs";

#[test]
fn an_owner_that_goes_on_without_the_ip_has_booted_and_is_replaced() {
    let (mut detector, now) = heir();
    // What is only waited for is not at stake: it may have that.
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), now);
    let without = || CallNews::Answered(Hearing::Others.into());
    let first = now + ms(10);
    assert_eq!(detector.call_news("h2", 1, without(), first), []);
    let again = detector.deadline().expect("it is called again");
    assert_eq!(detector.wake(again), [asks(2)]);
    assert_eq!(detector.call_news("h2", 2, CallNews::CameBack, again + ms(5)), []);
    assert_eq!(detector.call_news("h2", 2, without(), again + ms(10)), []);
    assert_eq!(detector.deadline(), Some(first + ms(2000)));
    assert_eq!(detector.wake(first + ms(2000)), [dead(&[1], WITHOUT)]);
    assert!(detector.deadline() > Some(first + ms(2000)), "not again at once");
}

#[test]
fn an_owner_that_says_that_it_has_the_ip_is_not_replaced_however_long_this_host_keeps_it() {
    let (mut detector, now) = heir();
    detector.call_news("h2", 1, has_it(Hearing::Others), now + ms(10));
    for second in 1..5 {
        let now = now + ms(1000) * second;
        let steps = detector.wake(now);
        assert!(!steps.iter().any(|step| matches!(step, Step::Dead { .. })), "{steps:?}");
        detector.call_news("h2", detector.calls, has_it(Hearing::Others), now);
    }
}

#[test]
fn an_owner_whose_agent_has_another_lease_is_replaced_if_it_does_not_take_its_lock_back() {
    let (mut detector, now) = heir();
    let anew = now + ms(300);
    assert_eq!(detector.agent("h2".to_owned(), LEASE + 1, 6, anew), [end_call()]);
    // The next word of the same agent is no new start.
    assert_eq!(detector.agent("h2".to_owned(), LEASE + 1, 7, anew + ms(900)), []);
    assert_eq!(detector.deadline(), Some(anew + ms(2000)));
    assert_eq!(detector.wake(anew + ms(2000)), [dead(&[1], WITHOUT)]);
    // It was there before this host has had its IP.
    let mut detector = FailureDetector::new(TIMING);
    detector.agent("h2".to_owned(), LEASE + 1, 5, now);
    let heir = detector.awaits(id(1), Route::Taken, Some(("h2", LEASE)), now + ms(2000));
    assert_eq!(heir, [dead(&[1], WITHOUT)]);
}

#[test]
fn what_an_owner_has_said_once_does_not_count_the_next_time_that_this_host_has_its_ip() {
    let (mut detector, now) = heir();
    detector.call_news("h2", 1, CallNews::Answered(Hearing::Others.into()), now + ms(10));
    // It takes its lock back, and etcd is lost again a minute later.
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now + ms(300));
    let again = now + ms(60_000);
    let steps = detector.awaits(id(1), Route::Taken, Some(("h2", LEASE)), again);
    assert!(!steps.iter().any(|step| matches!(step, Step::Dead { .. })), "{steps:?}");
}
