//! An etcd that answers and refuses: what ends the doubt in it, and what does not.

use super::*;
use crate::command::Change;

const WHY: &str = "permission denied";

impl Story {
    /// A host with two IPs, of which etcd refuses the first.
    fn refusing() -> (Story, Slot) {
        let mut story = Story::running(&[record(1, 5), record(2, 6)]);
        let slot = story.slot(1);
        story.notice(slot, Notice::Refused(WHY.to_owned()));
        (story, slot)
    }

    /// etcd tells what it has.
    fn etcd_is_read(&mut self) {
        self.feed(Event::WatchOpened(Gap::Reconnected));
        self.expect_ask(&Request::Load);
        self.answer_load(found(&[record(1, 5), record(2, 6)]));
    }
}

#[test]
fn an_etcd_that_takes_the_key_of_the_host_and_refuses_an_ip_is_lost_for_that_ip() {
    let (mut story, slot) = Story::refusing();
    story.timer(Timer::ServeCheck);
    story.answer(Request::WriteHost { lease: LEASE, revision: 50 }, written(101));
    story.expect_problem("etcd refuses: permission denied");
    story.timer(Timer::Refused);
    story.expect_tell(slot, Order::Lease(Lease::Lost));
}

#[test]
fn an_etcd_that_can_be_read_takes_no_writes_for_that() {
    // What it refuses is a request of the host itself.
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    let change = Change { priority: Some(Some(7)), ..Change::default() };
    story.command(Command::Change(id(1), change));
    let write = story.take_ask(|it| matches!(it, Request::WriteRecord(_))).expect("a write");
    story.fail(write, refused());
    story.etcd_is_read();
    story.expect_problem("etcd refuses: permission denied");
    // It has refused an IP for too long.
    let (mut story, slot) = Story::refusing();
    story.timer(Timer::Refused);
    story.expect_tell(slot, Order::Lease(Lease::Lost));
    story.etcd_is_read();
    story.expect_problem("etcd is lost: it answers, and refuses");
    let held = Action::Tell(slot, Order::Lease(Lease::Held(LEASE)));
    assert!(!story.did(|action| *action == held));
}

#[test]
fn that_etcd_refuses_is_said_of_the_first_ip_and_not_of_each() {
    let (mut story, _) = Story::refusing();
    story.expect_warning("10.0.0.1/32: etcd refuses its election");
    for number in [2, 1] {
        story.notice(story.slot(number), Notice::Refused(WHY.to_owned()));
        assert_eq!(story.warnings(), [""; 0], "10.0.0.{number}");
    }
}

#[test]
fn an_etcd_that_is_lost_for_an_ip_serves_again_when_it_would_take_what_it_has_refused() {
    let (mut story, slot) = Story::refusing();
    story.timer(Timer::Refused);
    story.expect_tell(slot, Order::Lease(Lease::Lost));
    story.timer(Timer::ServeCheck);
    // It is asked about what it has refused, and not about the other.
    let dry_run = Request::DryRun(vec![record(1, 5).cidr.into()]);
    story.expect_ask(&dry_run);
    // That it takes the key of the host says nothing of that.
    story.answer(Request::WriteHost { lease: LEASE, revision: 50 }, written(101));
    story.expect_problem("etcd is lost: it answers, and refuses");
    story.fail(dry_run.clone(), refused());
    story.expect_problem("etcd is lost: it answers, and refuses");
    story.timer(Timer::ServeCheck);
    story.answer(dry_run, store::Answer::Done);
    story.expect_tell(slot, Order::Lease(Lease::Held(LEASE)));
    assert_eq!(story.problems(), [""; 0]);
}
