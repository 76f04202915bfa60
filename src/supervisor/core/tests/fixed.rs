//! What a change says of fields that cannot be changed.

use super::*;
use crate::command::Change;

#[test]
fn what_cannot_be_changed_has_to_be_said_as_it_is() {
    let mut story = Story::running(&[record(1, 5)]);
    let fixed = |said: &[(&'static str, &str)]| {
        let fixed = said.iter().map(|(field, text)| (*field, (*text).to_owned())).collect();
        Command::Change(id(1), Change { interval: Some(7), fixed, ..Change::default() })
    };
    let wrong = [("ip", "10.0.0.2/32"), ("interface", "eth0"), ("owner", "h2"), ("bound", "false")];
    let token = story.command(fixed(&wrong));
    let refusal = story.reply(token).unwrap_err().to_string();
    let expected = "ip: 10.0.0.2/32 cannot be set: it is 10.0.0.1/32; \
                    owner: h2 cannot be set: it is null";
    assert_eq!(refusal, expected);
    assert!(story.take_ask(|_| true).is_none(), "nothing is stored");
    let token = story.command(fixed(&[("ip", "10.0.0.1/32"), ("interface", "eth0")]));
    let write = story.take_ask(|request| matches!(request, Request::WriteRecord(_)));
    story.answer(write.expect("it is stored"), written(102));
    assert!(story.reply(token).is_ok());
    // Where all is said as it is, there is nothing to do.
    let Command::Change(id, change) = fixed(&[("ip", "10.0.0.1/32")]) else { panic!("another") };
    let token = story.command(Command::Change(id, Change { interval: None, ..change }));
    assert!(matches!(story.reply(token), Ok(Answer::One(_))));
    assert!(story.take_ask(|_| true).is_none());
}
