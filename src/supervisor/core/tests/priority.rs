//! The priority of this host for an IP.

use super::*;
use crate::command::Change;

#[test]
fn a_priority_is_the_agents_until_the_ip_has_one() {
    let mut story = Story::running(&[record(1, 5)]);
    let shown = |answer: Result<Answer, Refusal>| match answer {
        Ok(Answer::One(ip)) => ip.priority,
        other => panic!("{other:?}"),
    };
    for (priority, told) in [(Some(7), 7), (None, 100)] {
        let change = Change { priority: Some(priority), ..Change::default() };
        let token = story.command(Command::Change(id(1), change));
        let write = story.take_ask(|it| matches!(it, Request::WriteRecord(_))).expect("a write");
        story.answer(write, written(101));
        story.expect_tell(story.slot(1), Order::Priority(told));
        assert_eq!(shown(story.reply(token)), Some(told));
    }
}
