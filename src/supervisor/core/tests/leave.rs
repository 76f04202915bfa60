//! A host that leaves the cluster.

use super::*;

fn forgets(story: &mut Story) -> Option<Request> {
    story.take_ask(|it| matches!(it, Request::ForgetHost(_)))
}

/// A running host without IPs that is to leave.
fn leaving() -> Story {
    let mut story = Story::running(&[]);
    let token = story.command(Command::Leave);
    assert_eq!(story.reply(token), Ok(Answer::Done));
    assert_eq!(forgets(&mut story), None, "as long as the agent lives it keeps its key");
    story
}

#[test]
fn a_host_that_leaves_has_its_key_deleted_before_its_lease_ends() {
    let mut story = leaving();
    story.feed(Event::Stop(StopPolicy::Release));
    assert!(!story.did(|it| matches!(it, Action::Revoke(_))));
    let request = forgets(&mut story).unwrap();
    story.answer(request, store::Answer::Done);
    story.expect(&Action::Revoke(LEASE));
    story.feed(Event::Revoked(Ok(())));
    story.expect(&Action::Ended);
}

#[test]
fn an_etcd_that_does_not_delete_it_ends_the_agent_all_the_same() {
    let mut story = leaving();
    story.feed(Event::Stop(StopPolicy::Release));
    let request = forgets(&mut story).unwrap();
    story.fail(request, refused());
    story.expect_warning("what etcd has of this host stays there");
    story.expect(&Action::Revoke(LEASE));

    let mut story = leaving();
    story.feed(Event::Stop(StopPolicy::Release));
    assert!(forgets(&mut story).is_some());
    story.timer(Timer::StopAtLast);
    story.expect(&Action::Ended);
}

#[test]
fn a_host_with_an_ip_cannot_leave_and_one_that_gets_an_ip_stays() {
    let mut story = Story::running(&[record(1, 5)]);
    let token = story.command(Command::Leave);
    let refusal = story.reply(token).unwrap_err();
    assert!(refusal.to_string().contains("10.0.0.1/32 is registered on this host"), "{refusal}");

    let mut story = leaving();
    let new = crate::command::NewVip {
        cidr: record(2, 0).cidr,
        checks: Vec::new(),
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority: None,
        group: None,
        force: false,
    };
    story.command(Command::Create(new));
    story.feed(Event::Stop(StopPolicy::Release));
    story.timer(Timer::StopAtLast);
    assert_eq!(forgets(&mut story), None);
    story.expect(&Action::Revoke(LEASE));
}

#[test]
fn a_stop_that_keeps_keeps_the_key() {
    let mut story = leaving();
    story.feed(Event::Stop(StopPolicy::Keep));
    story.expect(&Action::Ended);
    assert_eq!(forgets(&mut story), None);
}
