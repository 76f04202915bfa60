//! The lease, an etcd that refuses, crashes of owners, and the end.

use super::*;
use crate::call::{Purpose, Question};
use crate::failure_detector::CallNews;
use crate::fsm::State;

const OWNERS: i64 = 33;

impl Story {
    /// 10.0.0.`number` waits for its owner, h2.
    fn waits(&mut self, number: u8) {
        let status = Status {
            state: State::Standby,
            owner: Some("h2".to_owned()),
            awaited: Some(("h2".to_owned(), OWNERS)),
            interface_usable: true,
            ..Status::starting()
        };
        self.notice(self.slot(number), Notice::Status(Arc::new(status)));
    }
}

#[test]
fn a_lease_is_written_down_before_it_is_used() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::LeaseHeld { id: 8, ttl: TTL });
    let write = Request::WriteHost { lease: 8, revision: 50 };
    story.expect_ask(&write);
    let held = |action: &Action| *action == Action::Tell(Slot(1), Order::Lease(Lease::Held(8)));
    assert!(!story.did(held));
    story.feed(Event::LeaseHeld { id: 8, ttl: TTL });
    assert_eq!(story.take_ask(|it| matches!(it, Request::WriteHost { .. })), None, "once");
    story.answer(write, written(101));
    story.expect_tell(slot, Order::Lease(Lease::Held(8)));
    assert_eq!(story.copy().unwrap().lease, Some(8));
    story.expect_ask(&Request::Load);
}

#[test]
fn a_lease_that_could_not_be_written_down_is_tried_with_the_next_renewal() {
    let mut story = Story::running(&[record(1, 5)]);
    let write = Request::WriteHost { lease: 8, revision: 50 };
    for failure in [unknown(), not_sent(), refused()] {
        story.feed(Event::LeaseHeld { id: 8, ttl: TTL });
        story.expect_ask(&write);
        story.fail(write.clone(), failure);
    }
    story.expect_problem("write down the lease");
}

#[test]
fn a_lease_that_is_not_renewed_in_time_is_a_problem() {
    let mut story = Story::running(&[record(1, 5)]);
    story.held();
    story.timer(Timer::LeaseOverdue);
    story.expect_problem("not renewed in time");
    story.held();
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn the_loss_of_etcd_is_told_to_all_and_so_is_its_end() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::EtcdLost { why: "silent for 5 s".to_owned(), revision: 120 });
    story.expect_tell(slot, Order::EtcdHeard(120));
    story.expect_tell(slot, Order::Lease(Lease::Lost));
    story.expect_problem("silent for 5 s");
    story.held();
    story.expect_tell(slot, Order::Lease(Lease::Held(LEASE)));
    story.expect_ask(&Request::Load);
}

#[test]
fn an_etcd_that_refuses_for_too_long_is_lost_for_the_ips_that_it_refuses() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    let (first, second) = (story.slot(1), story.slot(2));
    story.notice(first, Notice::Refused("mvcc: database space exceeded".to_owned()));
    story.expect_warning("10.0.0.1/32: etcd refuses its election: mvcc: database space exceeded");
    story.expect_problem("etcd refuses");
    let lost = |slot| move |it: &Action| *it == Action::Tell(slot, Order::Lease(Lease::Lost));
    assert!(!story.did(lost(first)));
    // Renewals succeed all the time.
    story.held();
    story.timer(Timer::Refused);
    story.expect_tell(first, Order::Lease(Lease::Lost));
    assert!(!story.did(lost(second)), "nothing was asked for that one");
    story.expect_warning("etcd is lost");
    story.expect_problem("etcd is lost");
    // The other one asks something now.
    story.notice(second, Notice::Refused("mvcc: database space exceeded".to_owned()));
    story.expect_tell(second, Order::Lease(Lease::Lost));
    // It is found out when that ends.
    let write = Request::DryRun([1, 2].map(|number| record(number, 5).cidr.into()).into());
    story.timer(Timer::ServeCheck);
    story.expect_ask(&write);
    story.fail(write.clone(), refused());
    story.timer(Timer::ServeCheck);
    story.expect_ask(&write);
    story.answer(write, store::Answer::Done);
    story.expect_tell(first, Order::Lease(Lease::Held(LEASE)));
    story.expect_tell(second, Order::Lease(Lease::Held(LEASE)));
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn a_refusal_that_is_over_soon_is_no_loss() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.notice(slot, Notice::Refused("no".to_owned()));
    story.notice(slot, Notice::Served);
    story.timer(Timer::ServeCheck);
    let write = Request::DryRun(Vec::new());
    story.expect_ask(&write);
    story.answer(write, store::Answer::Done);
    story.expect(&Action::Disarm(Timer::Refused));
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn a_lease_that_is_renewed_while_etcd_refuses_is_not_told_of_again_and_again() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.fail(Request::Load, refused());
    let write = Request::DryRun(Vec::new());
    for _ in 0..3 {
        story.timer(Timer::ServeCheck);
        story.expect_ask(&write);
        story.fail(write.clone(), refused());
        story.held();
        assert!(!story.did(|action| matches!(action, Action::Happened(..))), "{:?}", story.done);
    }
}

#[test]
fn an_etcd_that_refuses_from_the_start_is_lost_for_all() {
    let mut story = Story::begin(None);
    story.load(&[record(1, 5)]);
    story.held();
    let mut story = Story::begin(None);
    story.answer_load(Found { host: None, ..found(&[record(1, 5)]) });
    story.held();
    let write = Request::WriteHost { lease: LEASE, revision: 0 };
    story.expect_ask(&write);
    story.fail(write, refused());
    story.timer(Timer::Refused);
    story.expect_tell(Slot(1), Order::Lease(Lease::Lost));
}

#[test]
fn an_owner_that_is_silent_and_does_not_answer_a_call_is_dead() {
    let (mut story, slot) = calling();
    story.feed(Event::Call("h2".to_owned(), Purpose::Detection, 1, CallNews::CameBack));
    story.notice(slot, Notice::Owner(Liveness::Suspect));
    story.now += Duration::from_millis(150);
    story.timer(Timer::Detector);
    story.feed(Event::Call("h2".to_owned(), Purpose::Detection, 2, CallNews::CameBack));
    story.expect_tell(slot, Order::OwnerDead(OWNERS));
    story.expect_warning("host h2 is dead");
    story.notice(slot, Notice::Acknowledged);
    let lives =
        |it: &Action| matches!(it, Action::Happened(_, it) if it.what.contains("and lives"));
    assert!(story.did(lives));
}

/// A standby that has called the owner of its IP.
fn calling() -> (Story, Slot) {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::Agent { host: "h2".to_owned(), lease: OWNERS, revision: 5 });
    story.waits(1);
    story.expect_tell(slot, Order::Monitor(true));
    story.notice(slot, Notice::Owner(Liveness::Alive));
    story.notice(slot, Notice::Owner(Liveness::Doubted));
    let (host, cidr) = ("h2".to_owned(), record(1, 5).cidr);
    let question = Question { cidr, number: 1, within: Duration::from_millis(100) };
    story.expect(&Action::Call { host, purpose: Purpose::Detection, lease: LEASE, question });
    (story, slot)
}

#[test]
fn an_owner_that_is_silent_while_etcd_is_silent_is_missed() {
    let (mut story, slot) = calling();
    story.notice(slot, Notice::Owner(Liveness::Suspect));
    story.notice(slot, Notice::AlsoMissed([2, 0, 0, 0, 0, 3]));
    story.notice(slot, Notice::AlsoMissed([2, 0, 0, 0, 0, 3]));
    story.now += Duration::from_millis(150);
    story.timer(Timer::Detector);
    let missed = |it: &Action| matches!(it, Action::Tell(_, Order::OwnerMissed(missed)) if missed.by == [[2, 0, 0, 0, 0, 3]]);
    assert!(story.did(missed));
    // It is heard again.
    story.notice(slot, Notice::Owner(Liveness::Alive));
    story.expect(&Action::EndCall("h2".to_owned(), Purpose::Detection));
}

#[test]
fn an_owner_that_is_heard_again_is_told() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.waits(1);
    for liveness in [Liveness::Alive, Liveness::Suspect, Liveness::Alive] {
        story.notice(slot, Notice::Owner(liveness));
    }
    story.expect_tell(slot, Order::OwnerHeardAgain);
}

#[test]
fn after_a_standstill_each_election_looks_and_an_event_tells_how_long_it_was() {
    let mut story = Story::running(&[record(1, 5)]);
    let nine = Duration::from_secs(9);
    story.feed(Event::Paused(nine));
    story.expect_tell(Slot(1), Order::Paused);
    assert!(story.did(|it| matches!(it, Action::Happened(_, it) if it.took == Some(nine))));
}

#[test]
fn a_stop_hands_over_and_revokes_the_lease() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::Stop(StopPolicy::Release));
    story.expect_tell(slot, Order::Leave);
    let late = story.command(Command::List);
    assert!(matches!(story.reply(late), Err(Refusal::Unavailable(_))));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    story.expect(&Action::Revoke(LEASE));
    story.feed(Event::Revoked(Ok(())));
    story.expect(&Action::Ended);
    assert_eq!(story.copy().map(|copy| copy.records.len()), None, "what is registered stays so");
}

#[test]
fn a_stop_that_takes_too_long_ends_all_the_same() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::Stop(StopPolicy::Release));
    story.timer(Timer::StopAtLast);
    story.expect_warning("not handed over in time: 10.0.0.1/32");
    story.expect(&Action::Revoke(LEASE));
    story.feed(Event::Revoked(Err("no answer".to_owned())));
    story.expect_warning("ends by itself");
    story.expect(&Action::Ended);
}

#[test]
fn a_stop_that_keeps_leaves_all_as_it_is() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::Stop(StopPolicy::Keep));
    story.expect(&Action::Ended);
    assert!(!story.did(|it| matches!(it, Action::Tell(..) | Action::Revoke(_) | Action::End(_))));
}

#[test]
fn without_a_lease_a_stop_revokes_none() {
    let mut story = Story::begin(None);
    story.fail(Request::Load, not_sent());
    story.feed(Event::Stop(StopPolicy::Release));
    story.expect(&Action::Ended);
}
