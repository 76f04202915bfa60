//! New IPs whose address a machine has already.

use super::commands::new;
use super::*;

const ADDRESS: &str = "02:00:00:00:00:63";

fn shared_by() -> Request {
    Request::SharedBy("10.0.0.1/32".parse().unwrap())
}

/// A new IP is started, and a machine answers for it.
fn answered() -> (Story, Token) {
    let mut story = Story::running(&[]);
    story.no_threads = Some(StartError::Answered([2, 0, 0, 0, 0, 0x63]));
    let token = story.command(new(1));
    story.expect_ask(&shared_by());
    (story, token)
}

fn is_asked_to_write(story: &mut Story) -> bool {
    story.take_ask(|request| matches!(request, Request::WriteRecord(_))).is_some()
}

#[test]
fn an_address_that_a_stranger_has_is_refused() {
    let (mut story, token) = answered();
    assert!(!is_asked_to_write(&mut story));
    story.answer(shared_by(), store::Answer::Names(Vec::new()));
    let Err(Refusal::Conflict(why)) = story.reply(token) else { panic!("it was registered") };
    assert!(why.contains(ADDRESS) && why.contains("10.0.0.1/32"), "{why}");
    assert!(story.did(|action| matches!(action, Action::End(_))));
    assert!(story.listed().is_empty() && !is_asked_to_write(&mut story));
}

#[test]
fn an_address_that_another_host_shares_is_registered() {
    let (mut story, token) = answered();
    story.answer(shared_by(), store::Answer::Names(vec!["h2".to_owned()]));
    let write = story.take_ask(|request| matches!(request, Request::WriteRecord(_)));
    story.answer(write.expect("it is stored"), written(101));
    assert!(story.reply(token).is_ok());
}

#[test]
fn an_etcd_that_does_not_tell_who_shares_an_address_registers_nothing() {
    let (mut story, token) = answered();
    story.fail(shared_by(), not_sent());
    assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
    assert!(story.listed().is_empty());
}

#[test]
fn an_address_that_is_forced_is_not_looked_for() {
    let mut story = Story::running(&[]);
    let Command::Create(new) = new(1) else { panic!("another command") };
    story.command(Command::Create(crate::command::NewVip { force: true, ..new }));
    let forced = |action: &Action| matches!(action, Action::Start { origin: Origin::Forced, .. });
    assert!(story.did(forced));
}
