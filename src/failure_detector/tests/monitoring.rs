//! Through which IP an owner is monitored, and what is told of it.

use super::*;

#[test]
fn an_owner_that_was_not_heard_for_a_while_is_told_when_it_is() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    for ip in [1, 2] {
        detector.awaits(id(ip), Route::Ipv4, Some(("h2", LEASE)), now);
    }
    detector.heard(id(1), Liveness::Alive, now);
    let again = Step::HeardAgain([id(1), id(2)].into());
    let mut heard_again = |after| {
        detector.heard(id(1), Liveness::Suspect, now + after);
        detector.heard(id(1), Liveness::Alive, now + after).contains(&again)
    };
    assert!(heard_again(ms(0)));
    // A network that comes and goes does not make it announce all the time.
    assert!(!heard_again(ms(9999)));
    assert!(heard_again(ms(10_000)));
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), [], "it was no suspect");
}

#[test]
fn an_owner_is_monitored_through_an_interface_that_can_be_used_here() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    let owner = Some(("h2", LEASE));
    assert_eq!(detector.awaits(id(1), Route::Down, owner, now), [Step::Monitor(id(1), true)]);
    let change = [Step::Monitor(id(1), false), Step::Monitor(id(2), true)];
    assert_eq!(detector.awaits(id(2), Route::Ipv6, owner, now), change);
    // The interface of the second goes down, that of the first comes up.
    assert_eq!(detector.awaits(id(2), Route::Down, owner, now), []);
    let change = [Step::Monitor(id(2), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(1), Route::Ipv4, owner, now), change);
}

#[test]
fn each_host_is_monitored_through_one_of_its_ips() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    let owner = Some(("h2", LEASE));
    assert_eq!(detector.awaits(id(1), Route::Ipv4, owner, now), [Step::Monitor(id(1), true)]);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, owner, now), []);
    // The one through which it was monitored is owned by somebody else now.
    let other =
        [Step::Monitor(id(1), false), Step::Monitor(id(2), true), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h3", 11)), now), other);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, None, now), [Step::Monitor(id(2), false)]);
    assert_eq!(detector.heard(id(2), Liveness::Suspect, now), []);
}

#[test]
fn a_host_is_monitored_through_an_ip_of_ipv4_if_it_has_one() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    let owner = Some(("h2", LEASE));
    assert_eq!(detector.awaits(id(1), Route::Ipv6, owner, now), [Step::Monitor(id(1), true)]);
    let change = [Step::Monitor(id(1), false), Step::Monitor(id(3), true)];
    assert_eq!(detector.awaits(id(3), Route::Ipv4, owner, now), change);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, owner, now), [], "one is as good as another");
    let change = [Step::Monitor(id(3), false), Step::Monitor(id(2), true)];
    assert_eq!(detector.awaits(id(3), Route::Ipv4, None, now), change);
    let change = [Step::Monitor(id(2), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(2), Route::Ipv4, None, now), change);
    assert_eq!(detector.awaits(id(1), Route::Ipv6, None, now), [Step::Monitor(id(1), false)]);
}

#[test]
fn a_host_is_monitored_through_an_ip_that_no_other_standby_takes_before_unless_it_is_doubted() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    let owner = Some(("h2", LEASE));
    assert_eq!(detector.awaits(id(1), Route::Ipv4, owner, now), [Step::Monitor(id(1), true)]);
    let change = [Step::Monitor(id(1), false), Step::Monitor(id(2), true)];
    assert_eq!(detector.awaits(id(2), Route::Next, owner, now), change);
    detector.heard(id(2), Liveness::Alive, now);
    detector.heard(id(2), Liveness::Doubted, now);
    assert_eq!(detector.awaits(id(1), Route::Next, owner, now), []);
    assert_eq!(detector.awaits(id(2), Route::Ipv4, owner, now), [], "it would begin anew");
    let change = [Step::Monitor(id(2), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(2), Route::Down, owner, now), change);
}

#[test]
fn what_is_told_of_the_owner_before_does_not_count_against_the_new_one() {
    let now = Instant::now();
    let mut detector = alone();
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    detector.heard(id(1), Liveness::Alive, now);
    // h3 has found h2 dead, and has the lock, before this host is told of h2.
    let watches_anew = [Step::Monitor(id(1), false), Step::Monitor(id(1), true)];
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h3", 11)), now), watches_anew);
    for late in [Liveness::Doubted, Liveness::Suspect, Liveness::Dead] {
        assert_eq!(detector.heard(id(1), late, now), []);
    }
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), []);
    assert!(!detector.heard(id(1), Liveness::Dead, now).is_empty());
}

#[test]
fn a_doubt_goes_on_when_another_host_takes_the_ip_through_which_the_owner_is_monitored() {
    let (mut detector, sent) = standby();
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), sent);
    assert_eq!(detector.heard(id(1), Liveness::Doubted, sent), [call(1)]);
    detector.call_news("h2", 1, CallNews::CameBack, sent + ms(5));
    // h3 was a little faster, and begins with this one.
    detector.awaits(id(1), Route::Ipv4, Some(("h3", 11)), sent + ms(10));
    let again = Step::Call { host: "h2".to_owned(), ip: id(2), number: 2, within: ms(100) };
    assert_eq!(detector.wake(sent + ms(175)), [again]);
    let seen = detector.call_news("h2", 2, CallNews::CameBack, sent + ms(180));
    assert_eq!(seen, [dead(&[2], NO_ANSWER)]);
}

#[test]
fn an_owner_that_is_heard_through_its_other_ip_lives_though_the_first_was_taken_while_it_was_doubted()
 {
    let (mut detector, sent) = standby();
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), sent);
    detector.heard(id(1), Liveness::Doubted, sent);
    detector.awaits(id(1), Route::Ipv4, Some(("h3", 11)), sent + ms(10));
    let steps = detector.heard(id(2), Liveness::Alive, sent + ms(20));
    assert!(steps.contains(&end_call()), "{steps:?}");
    assert_eq!(detector.call_news("h2", 1, CallNews::CameBack, sent + ms(25)), []);
    assert_eq!(detector.wake(sent + ms(500)), []);
}

#[test]
fn where_the_network_alone_tells_another_ip_is_monitored_from_the_beginning() {
    let now = Instant::now();
    let mut detector = alone();
    for ip in [1, 2] {
        detector.awaits(id(ip), Route::Ipv4, Some(("h2", LEASE)), now);
    }
    detector.agent("h2".to_owned(), LEASE, 5, now);
    detector.heard(id(1), Liveness::Alive, now);
    detector.heard(id(1), Liveness::Doubted, now);
    detector.awaits(id(1), Route::Ipv4, Some(("h3", 11)), now);
    let dead = detector.heard(id(2), Liveness::Dead, now);
    assert!(!dead.iter().any(|step| matches!(step, Step::Dead { .. })), "{dead:?}");
}

#[test]
fn an_owner_that_was_never_heard_and_hears_nobody_is_in_the_wrong_network() {
    for (hears, answer, is_isolated) in [
        (true, Hearing::Nobody, true),
        (false, Hearing::Nobody, false),
        (true, Hearing::Others, false),
        (true, Hearing::Unknown, false),
    ] {
        let now = Instant::now();
        let mut detector = FailureDetector::new(TIMING);
        detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
        detector.hears(id(1), hears);
        detector.agent("h2".to_owned(), LEASE, 5, now);
        let due = now + Duration::from_secs(1);
        assert_eq!(detector.deadline(), Some(due));
        assert_eq!(detector.wake(due), [call_for(1, ms(1100))]);
        let steps = detector.call_news("h2", 1, CallNews::Answered(answer.into()), due);
        let isolated = [dead(&[1], ISOLATED)];
        assert_eq!(steps, if is_isolated { &isolated[..] } else { &[] }, "{hears} {answer:?}");
        assert!(detector.deadline().unwrap() > due);
    }
}

#[test]
fn who_is_asked_seldom_on_the_network_listens_for_long_enough_to_hear_it() {
    let (mut detector, sent) = silent();
    let others = CallNews::Answered(Hearing::Others.into());
    let mut calls = Vec::new();
    for second in 0..60 {
        let now = sent + Duration::from_secs(second);
        for step in detector.wake(now) {
            if let Step::Call { number, within, .. } = step {
                calls.push((second, within));
                detector.call_news("h2", number, others, now);
            }
        }
        detector.call_news("h2", 1, others, now);
    }
    let seldom = ms(1100);
    assert!(calls.iter().all(|(at, within)| *within == if *at < 5 { ms(100) } else { seldom }));
    assert!(calls.len() > 5, "{calls:?}");
}

#[test]
fn an_owner_that_was_never_heard_and_does_not_answer_is_left_to_its_lease() {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now);
    let due = now + Duration::from_secs(1);
    assert_eq!(detector.wake(due), [], "it answers no calls");
    assert_eq!(detector.deadline(), None);
    assert_eq!(detector.agent("h2".to_owned(), LEASE, 5, due), [call_for(1, ms(1100))]);
    detector.call_news("h2", 1, CallNews::CameBack, due);
    let answer = detector.deadline().unwrap();
    assert_eq!(detector.wake(answer), []);
    assert!(detector.deadline().unwrap() > answer);
}
