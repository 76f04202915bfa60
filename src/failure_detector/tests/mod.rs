//! What follows from silence, calls and votes; each test is one story.

mod deaths;
mod heirs;
mod limits;
mod monitoring;

use super::*;
use crate::network::Hearing;

const LEASE: i64 = 9;
const TIMING: Timing = Timing {
    interval: Duration::from_millis(100),
    alone: false,
    last_sign: Duration::from_millis(150),
};
const MAC: Mac = [2, 0, 0, 0, 0, 3];

const NO_ANSWER: &str = "host h2 is dead: silent on the network, and does not answer in etcd";
const ISOLATED: &str = "host h2 is isolated: silent on the network, where it hears nobody itself";
const OTHERS_ARE_HEARD: &str = "host h2 is dead: silent on the network, where others are heard";

fn id(number: u32) -> Slot {
    Slot(number)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A detector for which the network alone is to tell.
fn alone() -> FailureDetector {
    FailureDetector::new(Timing { alone: true, ..TIMING })
}

/// A standby of an owner that is heard, and whose agent answers calls.
fn standby() -> (FailureDetector, Instant) {
    let now = Instant::now();
    let mut detector = FailureDetector::new(TIMING);
    let monitor = Step::Monitor(id(1), true);
    assert_eq!(detector.awaits(id(1), Route::Ipv4, Some(("h2", LEASE)), now), [monitor]);
    detector.agent("h2".to_owned(), LEASE, 5, now);
    assert_eq!(detector.heard(id(1), Liveness::Alive, now), []);
    (detector, now)
}

/// The same, when the owner has not answered a question and was called.
fn doubting() -> (FailureDetector, Instant) {
    let (mut detector, now) = standby();
    assert_eq!(detector.heard(id(1), Liveness::Doubted, now), [call(1)]);
    (detector, now)
}

/// The same, when etcd has shown the call after 5 ms, and the owner is silent.
fn silent() -> (FailureDetector, Instant) {
    let (mut detector, sent) = doubting();
    assert_eq!(detector.call_news("h2", 1, CallNews::CameBack, sent + ms(5)), []);
    assert_eq!(detector.heard(id(1), Liveness::Suspect, sent + ms(100)), []);
    (detector, sent)
}

fn call(number: u64) -> Step {
    call_for(number, ms(100))
}

fn call_for(number: u64, within: Duration) -> Step {
    Step::Call { host: "h2".to_owned(), ip: id(1), number, within }
}

fn end_call() -> Step {
    Step::EndCall("h2".to_owned())
}

fn dead(ips: &[u32], text: &str) -> Step {
    let ips = ips.iter().map(|number| id(*number)).collect();
    Step::Dead { lease: LEASE, ips, text: text.to_owned() }
}

fn missed(by: &[Mac], neighbours: bool, turn: u32) -> Step {
    let agents = vec![("h2".to_owned(), 5)];
    let missed = Missed { lease: LEASE, by: by.to_vec(), neighbours, turn, agents };
    Step::Missed([id(1)].into(), missed)
}

/// What is said of a host that is silent and not dead.
fn says(steps: &[Step], text: &str) -> bool {
    matches!(steps, [Step::Log(said)] if said.contains(text))
}

/// The next life of the owner, or the next time that it owns its IP, and it is silent where others
/// are heard; whether it is declared dead.
fn gone_again(detector: &mut FailureDetector, lease: i64, now: Instant) -> bool {
    detector.awaits(id(1), Route::Ipv4, Some(("h2", lease)), now);
    detector.heard(id(1), Liveness::Alive, now);
    let steps = detector.heard(id(1), Liveness::Dead, now);
    // This host has its IP now.
    detector.awaits(id(1), Route::Ipv4, None, now);
    steps.iter().any(|step| matches!(step, Step::Dead { .. }))
}

#[test]
fn a_host_is_dead_that_is_silent_and_does_not_answer_a_call_that_etcd_has_shown() {
    let (mut detector, sent) = silent();
    // What it listens, four times what the call has taken, and half an interval.
    let due = sent + ms(5) + ms(100) + ms(20) + ms(50);
    assert_eq!(detector.deadline(), Some(due));
    assert_eq!(detector.wake(due - ms(1)), []);
    // It is asked once more, to see that etcd works still.
    assert_eq!(detector.wake(due), [call(2)]);
    let seen = detector.call_news("h2", 2, CallNews::CameBack, due + ms(5));
    assert_eq!(seen, [dead(&[1], NO_ANSWER)]);
}

#[test]
fn a_host_that_loses_etcd_before_the_answer_does_not_take_the_other_for_dead() {
    let (mut detector, sent) = silent();
    let due = sent + ms(175);
    assert_eq!(detector.wake(due), [call(2)]);
    assert_eq!(detector.deadline(), Some(due + ms(150)));
    assert_eq!(detector.wake(due + ms(150)), [missed(&[], false, 2)]);
}

#[test]
fn an_answer_that_is_seen_with_the_second_question_saves_it() {
    for number in [1, 2] {
        let (mut detector, sent) = silent();
        assert_eq!(detector.wake(sent + ms(175)), [call(2)]);
        // That of the first is no sign of etcd's.
        assert_eq!(detector.call_news("h2", 1, CallNews::CameBack, sent + ms(176)), []);
        let answers = CallNews::Answered(Hearing::Others.into());
        let said = detector.call_news("h2", number, answers, sent + ms(180));
        assert!(says(&said, "this host is deaf"), "{said:?}");
        assert_eq!(detector.call_news("h2", 2, CallNews::CameBack, sent + ms(180)), []);
    }
}

#[test]
fn who_asks_through_a_slow_etcd_waits_for_longer() {
    let (mut detector, sent) = doubting();
    detector.call_news("h2", 1, CallNews::CameBack, sent + ms(100));
    detector.heard(id(1), Liveness::Suspect, sent + ms(100));
    assert_eq!(detector.deadline(), Some(sent + ms(100) + ms(100) + ms(400) + ms(50)));
}

#[test]
fn an_answer_from_the_network_saves_it() {
    let (mut detector, sent) = silent();
    let heard = detector.heard(id(1), Liveness::Alive, sent + ms(150));
    assert_eq!(heard[1..], [end_call()]);
    assert!(matches!(heard[0], Step::HeardAgain(_)));
    assert_eq!(detector.deadline(), None);
    assert_eq!(detector.call_news("h2", 1, CallNews::Answered(Hearing::Nobody.into()), sent), []);
}

#[test]
fn one_question_that_is_not_answered_moves_nothing() {
    let (mut detector, sent) = doubting();
    let answers = CallNews::Answered(Hearing::Nobody.into());
    assert_eq!(detector.call_news("h2", 1, answers, sent), []);
    assert_eq!(detector.heard(id(1), Liveness::Alive, sent + ms(50)), [end_call()]);
}

#[test]
fn a_host_that_hears_others_stays_and_is_called_again_slowly() {
    let (mut detector, sent) = silent();
    let hears = CallNews::Answered(Hearing::Others.into());
    let said = detector.call_news("h2", 1, hears, sent + ms(110));
    assert!(says(&said, "this host is deaf"), "{said:?}");
    assert_eq!(detector.deadline(), Some(sent + ms(1000)));
    assert_eq!(detector.wake(sent + ms(1000)), [call(2)]);
    assert_eq!(detector.call_news("h2", 2, CallNews::CameBack, sent + ms(1005)), []);
    let now = sent + ms(1010);
    assert_eq!(detector.call_news("h2", 2, hears, now), [], "that was said");
    // For as long as that lasts, less and less is asked.
    let mut calls = 0;
    for second in 2..100 {
        let now = sent + Duration::from_secs(second);
        let called = detector.wake(now).iter().any(|step| matches!(step, Step::Call { .. }));
        calls += u32::from(called);
        let number = detector.calls;
        detector.call_news("h2", number, hears, now);
    }
    assert!((14..=16).contains(&calls), "{calls}");
}

#[test]
fn a_host_that_was_asked_long_ago_is_asked_at_once_when_its_agent_has_something_to_say() {
    let (mut detector, sent) = silent();
    let hears = |hearing: Hearing| CallNews::Answered(hearing.into());
    detector.call_news("h2", 1, hears(Hearing::Others), sent + ms(110));
    let mut now = sent;
    while now < sent + Duration::from_secs(12) {
        now = detector.deadline().unwrap();
        detector.wake(now);
        detector.call_news("h2", detector.calls, hears(Hearing::Others), now);
    }
    let asked = now;
    assert_eq!(detector.deadline(), Some(asked + Duration::from_secs(10)));
    // A presence that is read again, or of another agent, is no news.
    assert_eq!(detector.agent("h2".to_owned(), LEASE, 5, asked + ms(2000)), []);
    assert_eq!(detector.agent("h3".to_owned(), 11, 6, asked + ms(2000)), []);
    let number = detector.calls + 1;
    let calls = [call_for(number, ms(1100))];
    assert_eq!(detector.agent("h2".to_owned(), LEASE, 7, asked + ms(2000)), calls);
    // One question at a time.
    assert_eq!(detector.agent("h2".to_owned(), LEASE, 8, asked + ms(2001)), []);
    assert_eq!(detector.deadline(), Some(asked + ms(2150)));
    assert_eq!(detector.heard(id(1), Liveness::Dead, asked + ms(2010)), []);
    let answered = detector.call_news("h2", number, hears(Hearing::Nobody), asked + ms(3100));
    assert_eq!(answered, [dead(&[1], ISOLATED)]);
}

#[test]
fn a_host_that_answers_no_longer_is_dead_though_it_was_isolated_from_this_one_before() {
    let (mut detector, sent) = silent();
    detector.call_news("h2", 1, CallNews::Answered(Hearing::Others.into()), sent + ms(110));
    detector.wake(sent + ms(1000));
    detector.call_news("h2", 2, CallNews::CameBack, sent + ms(1005));
    let due = detector.deadline().unwrap();
    assert_eq!(detector.wake(due), [call(3)]);
    let seen = detector.call_news("h2", 3, CallNews::CameBack, due);
    assert_eq!(seen, [dead(&[1], NO_ANSWER)]);
}

#[test]
fn a_host_that_hears_nobody_where_others_are_heard_is_isolated() {
    for hears in [
        |detector: &mut FailureDetector, now| detector.heard(id(1), Liveness::Dead, now),
        |detector: &mut FailureDetector, now| {
            assert_eq!(detector.also_missed(id(1), MAC, now), []);
            detector.also_missed(id(1), MAC, now)
        },
    ] {
        let (mut detector, sent) = silent();
        let nobody = CallNews::Answered(Hearing::Nobody.into());
        let said = detector.call_news("h2", 1, nobody, sent + ms(110));
        assert!(says(&said, "nobody hears anybody there"), "{said:?}");
        assert_eq!(hears(&mut detector, sent + ms(120)), [dead(&[1], ISOLATED)]);
    }
}

#[test]
fn an_interface_of_which_the_other_agent_knows_nothing_moves_nothing() {
    let (mut detector, sent) = silent();
    let said =
        detector.call_news("h2", 1, CallNews::Answered(Hearing::Unknown.into()), sent + ms(110));
    assert!(says(&said, "answers in etcd"), "{said:?}");
}

#[test]
fn while_etcd_is_silent_the_host_is_missed_and_each_has_its_turn() {
    let (mut detector, sent) = doubting();
    detector.heard(id(1), Liveness::Suspect, sent + ms(100));
    let due = sent + ms(150);
    assert_eq!(detector.deadline(), Some(due));
    assert_eq!(detector.wake(due), [missed(&[], false, 0)]);
    assert_eq!(detector.also_missed(id(1), MAC, due), [], "it may not know the owner yet");
    assert_eq!(detector.also_missed(id(1), MAC, due), [missed(&[MAC], false, 0)]);
    assert_eq!(detector.also_missed(id(1), MAC, due), [], "that is known");
    let next = due + ms(100);
    assert_eq!(detector.deadline(), Some(next));
    assert_eq!(detector.wake(next), [missed(&[MAC], false, 1)]);
    assert_eq!(detector.heard(id(1), Liveness::Dead, next), [missed(&[MAC], true, 1)]);
    // etcd is there after all, and slow.
    assert_eq!(detector.call_news("h2", 1, CallNews::CameBack, next), []);
}

#[test]
fn what_another_has_missed_before_this_host_did_is_no_vote() {
    let (mut detector, now) = standby();
    for _ in 0..3 {
        detector.also_missed(id(1), MAC, now);
    }
    detector.heard(id(1), Liveness::Doubted, now);
    detector.heard(id(1), Liveness::Suspect, now + ms(100));
    assert_eq!(detector.wake(now + ms(150)), [missed(&[], false, 0)]);
}

#[test]
fn a_call_that_etcd_does_not_take_is_as_good_as_a_silent_etcd() {
    let (mut detector, sent) = doubting();
    detector.call_news("h2", 1, CallNews::Failed, sent);
    let steps = detector.heard(id(1), Liveness::Suspect, sent + ms(100));
    assert_eq!(steps, [missed(&[], false, 0)]);
}

#[test]
fn news_of_another_call_say_nothing() {
    let (mut detector, sent) = silent();
    let nobody = CallNews::Answered(Hearing::Nobody.into());
    assert_eq!(detector.call_news("h2", 7, nobody, sent), []);
    assert_eq!(detector.call_news("h3", 1, nobody, sent), []);
    // etcd has lost what it had shown: no answer can come.
    let lost = detector.call_news("h2", 1, CallNews::Failed, sent);
    assert_eq!(lost, [missed(&[], false, 0)]);
}

#[test]
fn a_host_whose_agent_answers_no_calls_is_left_to_the_end_of_its_lease() {
    for (lease, host) in [(LEASE, "h3"), (8, "h2"), (0, "h2")] {
        let (mut detector, now) = standby();
        detector.agent("h2".to_owned(), 0, 6, now);
        detector.agent(host.to_owned(), lease, 7, now);
        assert_eq!(detector.heard(id(1), Liveness::Doubted, now), []);
        let said = detector.heard(id(1), Liveness::Suspect, now);
        assert!(says(&said, "its lease decides"), "{said:?}");
        assert_eq!(detector.heard(id(1), Liveness::Dead, now), []);
        assert_eq!(detector.deadline(), None);
    }
}

#[test]
fn a_host_whose_agent_answers_no_calls_any_more_is_not_asked_again_and_again() {
    let (mut detector, sent) = silent();
    detector.call_news("h2", 1, CallNews::Answered(Hearing::Others.into()), sent + ms(110));
    let again = detector.deadline().unwrap();
    assert_eq!(detector.agent("h2".to_owned(), 0, 6, sent + ms(200)), []);
    let steps = detector.wake(again);
    assert_eq!(steps[0], end_call());
    assert!(says(&steps[1..], "its lease decides"), "{steps:?}");
    assert_eq!(detector.deadline(), None, "there is nothing to wait for");
}

#[test]
fn a_call_is_taken_back_with_the_ip() {
    let (mut detector, now) = doubting();
    let steps = detector.awaits(id(1), Route::Ipv4, None, now);
    assert_eq!(steps, [Step::Monitor(id(1), false), end_call()]);
    assert_eq!(detector.deadline(), None);
}

#[test]
fn many_ips_of_a_host_are_one_call() {
    let (mut detector, now) = standby();
    detector.awaits(id(2), Route::Ipv4, Some(("h2", LEASE)), now);
    assert_eq!(detector.heard(id(1), Liveness::Doubted, now), [call(1)]);
    detector.call_news("h2", 1, CallNews::CameBack, now);
    detector.heard(id(1), Liveness::Suspect, now);
    assert_eq!(detector.wake(now + ms(150)), [call(2)]);
    let seen = detector.call_news("h2", 2, CallNews::CameBack, now + ms(150));
    assert_eq!(seen, [dead(&[1, 2], NO_ANSWER)]);
}

#[test]
fn after_a_standstill_nobody_is_silent() {
    let (mut detector, sent) = silent();
    assert_eq!(detector.forget(sent), [end_call()]);
    assert_eq!(detector.deadline(), None);
}
