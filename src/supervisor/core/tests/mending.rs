//! Changes whose outcome is not known, and what is found in etcd then.

use super::*;
use crate::command::Change;

/// The IP by the policy `hold`, as the operator wants it.
fn by_hold(revision: i64) -> Record {
    Record { loss: Some(LossPolicy::Hold), ..record(1, revision) }
}

/// An operator waits for a change, of which nobody knows whether it was made; then etcd says this, and has this record.
fn found_after(failure: Failure, there: Record) -> (Story, Token) {
    let mut story = Story::running(&[record(1, 5)]);
    let change = Change { loss: Some(Some(LossPolicy::Hold)), ..Change::default() };
    let token = story.command(Command::Change(id(1), change));
    let write = Request::WriteRecord(by_hold(5));
    story.expect_ask(&write);
    story.fail(write.clone(), unknown());
    story.timer(Timer::Retry);
    story.expect_ask(&write);
    story.fail(write, failure);
    story.expect_ask(&Request::Load);
    story.answer_load(found(&[there]));
    (story, token)
}

fn writes(story: &mut Story) -> Option<Request> {
    story.take_ask(|request| matches!(request, Request::WriteRecord(_)))
}

#[test]
fn an_operator_hears_that_etcd_refuses_a_change_unless_it_is_found_to_be_made() {
    let (mut story, token) = found_after(refused(), record(1, 98));
    let Err(Refusal::Unavailable(why)) = story.reply(token) else { panic!("it was made") };
    assert!(why.contains("permission denied"), "{why}");
    assert_eq!(writes(&mut story), None);
    let (mut story, token) = found_after(refused(), by_hold(98));
    assert!(story.reply(token).is_ok());
    assert_eq!(writes(&mut story), None);
}

#[test]
fn what_another_program_has_written_meanwhile_is_not_made_part_of_the_change() {
    let other = Record { priority: Some(3), ..record(1, 98) };
    let (mut story, token) = found_after(unknown(), other);
    assert!(!story.did(|it| matches!(it, Action::Tell(_, Order::Priority(_)))));
    story.timer(Timer::Retry);
    let again = Request::WriteRecord(by_hold(98));
    assert_eq!(writes(&mut story), Some(again.clone()));
    story.answer(again, written(101));
    assert!(story.reply(token).is_ok());
}
