//! A drained host.

use super::*;
use crate::wire;

const NOW: u64 = 1_000_000;
const LOOK: Duration = Duration::from_secs(60);

fn drained_until(until: u64) -> LocalCopy {
    LocalCopy { drained_until: Some(until), ..copy_of(&[record(1, 5)]) }
}

impl Story {
    fn drain(&mut self, time: Option<Duration>) -> wire::Drain {
        let token = self.command(Command::Drain(time));
        drain_of(self.reply(token))
    }

    fn drained(&mut self) -> wire::Drain {
        let token = self.command(Command::Drained);
        drain_of(self.reply(token))
    }
}

fn drain_of(answer: Result<Answer, Refusal>) -> wire::Drain {
    match answer {
        Ok(Answer::Drain(drain)) => drain,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_election_is_told_that_the_host_is_drained_and_those_that_begin_before_the_lease() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let shown = story.drain(None);
    assert_eq!((shown.drained, shown.seconds_left), (true, None));
    story.expect_tell(slot, Order::Drained(true));
    assert!(!story.did(|it| matches!(it, Action::Arm(Timer::Undrain, _))));
    story.feed(Event::Timer(Timer::Presence));
    let tells =
        |it: &Action| matches!(it, Action::Ask(Request::WritePresence { drained: true, .. }));
    assert!(story.did(tells), "other hosts see it");
    story.feed(Event::Timer(Timer::Copy));
    assert_eq!(story.copy().unwrap().drained_until, Some(0));

    let token = story.command(Command::Undrain);
    assert_eq!(story.reply(token), Ok(Answer::Done));
    story.expect_tell(slot, Order::Drained(false));
    assert!(!story.drained().drained);
    story.feed(Event::Timer(Timer::Copy));
    assert_eq!(story.copy().unwrap().drained_until, None);
}

#[test]
fn the_time_is_over_and_the_host_is_a_candidate_again() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let half = Duration::from_secs(1800);
    assert_eq!(story.drain(Some(half)).seconds_left, Some(1800));
    story.expect_tell(slot, Order::Drained(true));
    story.timer(Timer::Undrain);
    assert!(story.drained().drained, "only the clock tells when it is over");
    story.expect(&Action::Arm(Timer::Undrain, LOOK));
    story.feed(Event::Timer(Timer::Copy));
    assert_eq!(story.copy().unwrap().drained_until, Some(NOW + 1800));
    // It is later now than the clock has told so far.
    story.core.copy.drained_until = Some(NOW);
    story.feed(Event::Timer(Timer::Undrain));
    story.expect_tell(slot, Order::Drained(false));
    assert!(!story.drained().drained);
}

#[test]
fn which_ips_the_host_has_is_told_and_which_of_them_stay() {
    let mut story = Story::running(&[record(1, 5), record(2, 6), record(3, 7)]);
    for (number, bound, drained_last) in [(3, true, true), (2, true, false), (1, false, false)] {
        let status = Status { bound, drained_last, ..Status::starting() };
        story.notice(story.slot(number), Notice::Status(Arc::new(status)));
    }
    let has = |number: u8, stays| wire::DrainedIp { ip: format!("10.0.0.{number}/32"), stays };
    assert_eq!(story.drain(None).ips, [has(2, false), has(3, true)]);
}

#[test]
fn a_host_that_was_drained_begins_drained() {
    for (until, left) in [(0, None), (NOW + 59, Some(59)), (NOW - 1, Some(0)), (u64::MAX, Some(60))]
    {
        let mut story = Story::begin(Some(drained_until(until)));
        match left {
            Some(left) => story.expect(&Action::Arm(Timer::Undrain, Duration::from_secs(left))),
            None => assert!(!story.did(|it| matches!(it, Action::Arm(Timer::Undrain, _)))),
        }
        story.load(&[record(1, 5)]);
        let slot = story.slot(1);
        let told = |it: &Action| matches!(it, Action::Tell(to, Order::Drained(_) | Order::Lease(_)) if *to == slot);
        let order = story.done.iter().find(|it| told(it));
        assert_eq!(order, Some(&Action::Tell(slot, Order::Drained(true))), "before the lease");
    }
}

#[test]
fn a_cloned_image_is_not_drained() {
    let copy = LocalCopy { instance: Some(machine(2)), ..drained_until(0) };
    let mut story = Story::begin(Some(copy));
    story.load(&[record(1, 5)]);
    assert!(!story.drained().drained);
}

#[test]
fn a_host_without_etcd_can_be_drained_and_remembers_it() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));

    story.fail(Request::Load, not_sent());
    assert!(story.drain(None).drained);
    let copy = story.copy().unwrap();
    assert_eq!((copy.drained_until, copy.records.len()), (Some(0), 1));
}
