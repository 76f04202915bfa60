//! What a client hears of a request whose outcome is not known.

use super::commands::new;
use super::*;
use crate::command::Change;

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
