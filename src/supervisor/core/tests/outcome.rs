//! What a client hears of a request whose outcome is not known.

use super::commands::new;
use super::*;
use crate::command::Change;
use crate::lock::OtherPrefix;
use crate::store::Obstacle;

fn hold(number: u8) -> Command {
    let loss = Some(Some(LossPolicy::Hold));
    Command::Change(id(number), Change { loss, ..Change::default() })
}

impl Story {
    /// Has something of 10.0.0.1 or another IP stored or deleted.
    fn begins(&mut self, command: Command) -> (Token, Request) {
        let token = self.command(command);
        let is_it =
            |it: &Request| matches!(it, Request::WriteRecord(_) | Request::DeleteRecord(..));
        (token, self.take_ask(is_it).expect("etcd is asked"))
    }
}

#[test]
fn a_client_that_has_waited_long_enough_hears_what_goes_on_with_its_own_ip_and_nothing_after_that()
{
    let delete = |number| Command::Delete(id(number));
    for (commands, said) in [
        ([(3, new(3)), (4, new(4))], "registering"),
        ([(1, delete(1)), (2, delete(2))], "deleting"),
        ([(1, hold(1)), (2, hold(2))], "changing"),
    ] {
        let mut story = Story::running(&[record(1, 5), record(2, 6)]);
        let begun = commands.map(|(number, command)| {
            let (token, request) = story.begins(command);
            story.fail(request.clone(), unknown());
            (number, token, request)
        });
        for (number, token, _) in &begun {
            story.timer(Timer::Answer(*token));
            let Err(Refusal::OutcomeUnknown(text)) = story.reply(*token) else { panic!("{said}") };
            assert!(text.contains(&format!("{said} 10.0.0.{number}/32")), "{text}");
        }
        story.timer(Timer::Retry);
        for (number, token, request) in begun {
            story.expect_ask(&request);
            if let Request::DeleteRecord(..) = request {
                story.answer(request, store::Answer::Deleted(Ok(())));
                let slot = story.slot(number);
                story.notice(slot, Notice::Left { cleanup_pending: false });
            } else {
                story.answer(request, written(101));
            }
            assert!(!story.replied(token), "it was answered");
        }
    }
}

#[test]
fn a_client_whose_change_etcd_did_not_take_is_not_told_by_a_stop_that_it_may_have_been_made() {
    let mut story = Story::running(&[record(1, 5)]);
    let (token, write) = story.begins(hold(1));
    let other = OtherPrefix { cidr: "10.0.0.1/24".to_owned(), host: "h2".to_owned() };
    story.answer(write, store::Answer::Written(Err(Obstacle::OtherPrefix(other))));
    assert!(!story.replied(token), "it is tried again");
    story.feed(Event::Stop(StopPolicy::Release));
    let Err(Refusal::Conflict(why)) = story.reply(token) else { panic!("it may have been made") };
    assert!(why.contains("is being given up"), "{why}");
}

#[test]
fn a_lost_record_whose_address_is_offered_with_another_mask_is_written_again_after_a_while() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Restored));
    story.expect_ask(&Request::Load);
    story.answer_load_at(found(&[]), 102);
    let write = Request::WriteRecord(record(1, 0));
    story.expect_ask(&write);
    let other = OtherPrefix { cidr: "10.0.0.1/24".to_owned(), host: "h2".to_owned() };
    let in_the_way = Obstacle::OtherPrefix(other);
    story.answer(write.clone(), store::Answer::Written(Err(in_the_way)));
    story.expect(&Action::Arm(Timer::Retry, Duration::from_millis(500)));
    let at_once = story.take_ask(|it| matches!(it, Request::WriteRecord(_)));
    assert_eq!(at_once, None, "as fast as etcd says no");
    story.feed(Event::Timer(Timer::Retry));
    story.expect_ask(&write);
}
