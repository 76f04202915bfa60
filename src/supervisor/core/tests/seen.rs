//! What an IP that is asked for is shown with.

use super::*;
use crate::checks::{CheckStanding, Checked};
use crate::election::Part;
use crate::fsm::State;
use crate::network::Liveness;
use crate::wire;

/// What is shown of the only IP when it is asked for.
fn seen(story: &mut Story) -> wire::Seen {
    let token = story.command(Command::Get(id(1)));
    let Ok(Answer::One(shown)) = story.reply(token) else { panic!("no IP") };
    *shown.seen.expect("one that is asked for is shown in full")
}

#[test]
fn an_ip_that_is_asked_for_is_shown_with_what_was_seen_of_it_and_when() {
    let mut story = Story::running(&[record(1, 5)]);
    assert_eq!(seen(&mut story).owner_since, None, "nothing was told yet");
    let slot = story.slot(1);
    let now = std::time::Instant::now();
    let checked = Checked { passed: false, since: now, last_error: Some(("x".to_owned(), now)) };
    let status = Status {
        owner: Some("h2".to_owned()),
        checked: Some(Box::new(checked.clone())),
        checks: Arc::new(vec![CheckStanding {
            check: "TCP h:1".to_owned(),
            up: Some(true),
            checked: Some(checked),
        }]),
        claimed: Some(Box::new((record(1, 5).cidr, [2, 0, 0, 0, 0, 9], now))),
        ..Status::starting()
    };
    story.notice(slot, Notice::Status(Arc::new(status.clone())));
    story.notice(slot, Notice::Owner(Liveness::Alive));
    let told = seen(&mut story);
    assert_eq!((told.owner_since, told.bound_since), (Some(0), Some(0)));
    assert_eq!(told.owners_host.map(|host| host.network).as_deref(), Some("answers"));
    assert_eq!(told.claimed.map(|it| it.hardware_address).as_deref(), Some("02:00:00:00:00:09"));
    let checked = told.checked.expect("checks were told");
    assert_eq!((checked.passed, checked.last_error.as_deref()), (false, Some("x")));
    let [one] = &told.checks[..] else { panic!("{:?}", told.checks) };
    assert_eq!((one.check.as_str(), one.up), ("TCP h:1", Some(true)));
    assert_eq!(one.checked.as_ref().map(|found| found.passed), Some(false));
    assert_eq!(told.etcd_loss_after_ms, 5000);
    story.notice(slot, Notice::Status(Arc::new(Status { owner: Some("h3".to_owned()), ..status })));
    assert_eq!(seen(&mut story).owners_host, None, "that was about another host");
    let list = story.command(Command::List);
    let Ok(Answer::List(ips)) = story.reply(list) else { panic!("no list") };
    assert_eq!(ips[0].seen, None, "a list is short");
}

#[test]
fn since_when_the_kernel_has_an_ip_and_nobody_hears_its_owner_is_told_from_when_that_began() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let now = std::time::Instant::now();
    let hour = Duration::from_secs(3600);
    for (hours_ago, bound, liveness) in
        [(5, false, Liveness::Alive), (4, true, Liveness::Suspect), (3, true, Liveness::Suspect)]
    {
        story.now = now - hour * hours_ago;
        let status = Status { owner: Some("h2".to_owned()), bound, ..Status::starting() };
        story.notice(slot, Notice::Status(Arc::new(status)));
        story.notice(slot, Notice::Owner(liveness));
    }
    let told = seen(&mut story);
    let hours = |since: u64| since / hour.as_secs();
    assert_eq!((told.owner_since.map(hours), told.bound_since.map(hours)), (Some(5), Some(4)));
    let host = told.owners_host.map(|host| (host.network, hours(host.since)));
    assert_eq!(host, Some(("silent".to_owned(), 4)));
}

#[test]
fn of_an_election_with_several_addresses_each_is_shown_by_itself() {
    let mut story = Story::running(&[record(1, 5)]);
    let (own, other) = (record(1, 5).cidr, record(2, 6).cidr);
    let (slot, now) = (story.slot(1), std::time::Instant::now());
    let standing = |check: &str| CheckStanding { check: check.to_owned(), up: None, checked: None };
    let part = |cidr, bound, checks| Part { cidr, bound, checks };
    let status = Status {
        bound: false,
        parts: vec![part(other, false, 2), part(own, true, 1)],
        checks: Arc::new(["a", "b", "own"].map(standing).to_vec()),
        claimed: Some(Box::new((other, [2, 0, 0, 0, 0, 9], now))),
        ..Status::starting()
    };
    story.notice(slot, Notice::Status(Arc::new(status)));
    let told = seen(&mut story);
    assert_eq!(told.claimed, None, "that is another address");
    let checks: Vec<&str> = told.checks.iter().map(|it| it.check.as_str()).collect();
    assert_eq!(checks, ["own"]);
    let list = story.command(Command::List);
    let Ok(Answer::List(ips)) = story.reply(list) else { panic!("no list") };
    assert!(ips[0].bound, "the kernel has this one");
}

#[test]
fn one_line_tells_how_the_host_is() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    assert_eq!(story.core.status_line(), "0 of 2 IPs owned, etcd ok");
    let activated = Status { state: State::Activated, ..Status::starting() };
    story.notice(story.slot(2), Notice::Status(Arc::new(activated)));
    story.command(Command::Drain(None));
    assert_eq!(story.core.status_line(), "1 of 2 IPs owned, etcd ok, drained");
    story.feed(Event::EtcdLost { why: "silent for 5 s".to_owned(), revision: 120 });
    let line = story.core.status_line();
    assert_eq!(line, "1 of 2 IPs owned, etcd is lost: silent for 5 s, drained");
}
