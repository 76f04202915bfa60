//! What is counted: how long failovers took, and how long an IP was bound here without its lock.

use super::*;
use crate::fsm::State;
use crate::metrics::HostCounts;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn story() -> (Story, Slot) {
    let story = Story::running(&[record(1, 40)]);
    let slot = story.slot(1);
    (story, slot)
}

/// What a scrape tells.
fn scrape(story: &mut Story) -> HostCounts {
    let token = story.command(Command::Metrics);
    let place =
        story.done.iter().position(|it| matches!(it, Action::ReplyCounts(to, _) if *to == token));
    match place.and_then(|place| story.done.remove(place)) {
        Some(Action::ReplyCounts(_, counts)) => *counts,
        other => panic!("{other:?}"),
    }
}

fn status(state: State, owner: Option<&str>, bound: bool, since: Instant) -> Notice {
    let awaited = owner.filter(|owner| *owner != "h1").map(|owner| (owner.to_owned(), 9));
    let owner = owner.map(str::to_owned);
    let interface_usable = true;
    Notice::Status(Arc::new(Status {
        state,
        owner,
        awaited,
        bound,
        since,
        interface_usable,
        ..Status::starting()
    }))
}

/// What one who asks for the IP is told.
fn last_failover(story: &mut Story) -> Option<crate::wire::LastFailover> {
    let token = story.command(Command::Get(id(1)));
    match story.reply(token) {
        Ok(Answer::One(ip)) => ip.seen.unwrap().last_failover,
        other => panic!("{other:?}"),
    }
}

/// This host waits for the IP, of which h2 is the owner.
fn waiting() -> (Story, Slot) {
    let (mut story, slot) = story();
    story.notice(slot, status(State::Standby, Some("h2"), false, story.now));
    story.notice(slot, Notice::Owner(Liveness::Alive));
    story.now += SECOND;
    (story, slot)
}

#[test]
fn a_crash_counts_from_the_middle_between_the_last_answer_and_the_first_question_without_one() {
    let (mut story, slot) = waiting();
    story.notice(slot, Notice::Owner(Liveness::Doubted));
    assert_eq!(scrape(&mut story).vips[0].owner_heard, Some(true));
    story.now += ms(40);
    story.notice(slot, Notice::Owner(Liveness::Suspect));
    assert_eq!(scrape(&mut story).vips[0].owner_heard, Some(false));
    story.now += ms(60);
    story.notice(slot, status(State::Activated, Some("h1"), false, story.now));
    story.now += ms(3);
    story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    let failovers = scrape(&mut story).failovers;
    assert_eq!((failovers.crash.count(), failovers.handover.count()), (1, 0));
    assert_eq!(failovers.crash.sum(), DETECTION.last_sign + ms(103));
    story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    assert_eq!(scrape(&mut story).failovers.crash.count(), 1, "it is counted once");
    let last = last_failover(&mut story).unwrap();
    let took = u64::try_from((DETECTION.last_sign + ms(103)).as_micros()).unwrap();
    assert_eq!((last.kind.as_str(), last.took_us), ("crash", took));
    assert_eq!(last.give_or_take_us, 87_500, "half of 175 ms");
}

#[test]
fn each_ip_of_a_host_that_has_died_counts_from_the_same_moment() {
    let mut story = Story::running(&[record(1, 40), record(2, 41)]);
    let slots = [story.slot(1), story.slot(2)];
    for slot in slots {
        story.notice(slot, status(State::Standby, Some("h2"), false, story.now));
    }
    for slot in slots {
        // Whichever it is monitored through.
        story.notice(slot, Notice::Owner(Liveness::Alive));
    }
    for slot in slots {
        story.notice(slot, Notice::Owner(Liveness::Suspect));
    }
    for slot in slots {
        story.now += ms(100);
        story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    }
    let failovers = scrape(&mut story).failovers;
    assert_eq!((failovers.crash.count(), failovers.handover.count()), (2, 0));
    assert_eq!(failovers.crash.sum(), DETECTION.last_sign * 2 + ms(300));
}

#[test]
fn a_handover_counts_from_when_this_host_has_known_that_it_has_the_lock() {
    let (mut story, slot) = waiting();
    let known = story.now;
    story.now += ms(1);
    story.notice(slot, status(State::Activated, Some("h1"), false, known));
    story.now += ms(1);
    story.notice(slot, status(State::Activated, Some("h1"), true, known));
    let failovers = scrape(&mut story).failovers;
    assert_eq!((failovers.crash.count(), failovers.handover.count()), (0, 1));
    assert_eq!(failovers.handover.sum(), ms(2));
    let last = last_failover(&mut story).unwrap();
    assert_eq!((last.kind.as_str(), last.took_us, last.give_or_take_us), ("handover", 2000, 0));
}

#[test]
fn an_ip_that_nobody_had_or_another_host_gets_is_no_failover_of_this_one() {
    let (mut story, slot) = story();
    story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    assert_eq!(scrape(&mut story).failovers, Default::default());
    let (mut story, slot) = waiting();
    story.notice(slot, status(State::Standby, None, false, story.now));
    story.notice(slot, status(State::Standby, Some("h3"), false, story.now));
    assert_eq!(scrape(&mut story).failovers, Default::default());
    assert_eq!(last_failover(&mut story), None);
}

#[test]
fn an_ip_that_is_bound_here_without_its_lock_may_be_bound_elsewhere_too() {
    let (mut story, slot) = story();
    story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    story.now += SECOND;
    assert_eq!(scrape(&mut story).dual_ownership, Duration::ZERO);
    // etcd is lost.
    story.notice(slot, status(State::Activated, None, true, story.now));
    for seconds in 1..=3 {
        story.now += SECOND;
        assert_eq!(scrape(&mut story).dual_ownership, SECOND * seconds);
    }
    story.now += SECOND;
    story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    story.now += SECOND;
    assert_eq!(scrape(&mut story).dual_ownership, SECOND * 4);
}

#[test]
fn what_is_known_of_etcd_is_told_and_a_scrape_needs_none() {
    let (mut story, slot) = story();
    story.notice(slot, status(State::Activated, Some("h1"), true, story.now));
    let counts = scrape(&mut story);
    assert!(counts.etcd_up && counts.vips[0].lock_held, "{counts:?}");
    assert_eq!(counts.lease_remaining, Some(TTL));
    story.now += SECOND;
    assert_eq!(scrape(&mut story).lease_remaining, Some(TTL - SECOND));
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 200 });
    story.now += TTL;
    let counts = scrape(&mut story);
    assert!(!counts.etcd_up && counts.problems > 0, "{counts:?}");
    assert_eq!(counts.lease_remaining, Some(Duration::ZERO));
    let mut story = Story::begin(None);
    let counts = scrape(&mut story);
    assert!(counts.vips.is_empty() && counts.lease_remaining.is_none(), "{counts:?}");
}
