//! One host, one name.

use super::*;
use crate::store::Claim;

const THEIRS: i64 = 99;

/// The host as another machine has written it.
fn theirs(records: &[Record]) -> Found {
    let host = HostKey { lease: Some(THEIRS), instance: Some(machine(2)), revision: 50 };
    Found { host: Some(host), ..found(records) }
}

/// The same, written after this machine has written it.
fn theirs_since(records: &[Record]) -> Found {
    let host = HostKey { lease: Some(THEIRS), instance: Some(machine(2)), revision: 60 };
    Found { host: Some(host), ..found(records) }
}

fn alive() -> Event {
    Event::LeaseLeft(THEIRS, Some((4, 5)))
}

fn ended() -> Event {
    Event::LeaseLeft(THEIRS, Some((-1, 0)))
}

#[test]
fn the_second_machine_with_a_name_serves_nothing_and_says_why() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    story.answer_load(theirs(&[record(1, 5)]));
    story.expect(&Action::ReadLease(THEIRS));
    story.feed(alive());
    story.expect_ask(&Request::ClaimName { lease: THEIRS });
    story.expect_warning("02:00:00:00:00:02");
    story.expect_problem("02:00:00:00:00:02");
    let acts = |action: &Action| matches!(action, Action::Start { .. } | Action::KeepLease(..));
    assert!(!story.did(acts));
    let token = story.command(Command::List);
    assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
    assert_eq!(story.copy(), None);
}

#[test]
fn a_replaced_machine_takes_the_name_when_the_old_lease_has_ended() {
    let mut story = Story::begin(None);
    story.answer_load(theirs(&[record(1, 5)]));
    story.feed(alive());
    story.timer(Timer::NameCheck);
    story.expect(&Action::ReadLease(THEIRS));
    story.feed(Event::LeaseLeft(THEIRS, None));
    story.timer(Timer::NameCheck);
    story.feed(ended());
    story.done.retain(|action| *action == Action::Ask(Request::Load));
    story.expect_ask(&Request::Load);
    story.answer_load(theirs(&[record(1, 5)]));
    story.expect(&Action::KeepLease(None, Duration::ZERO));
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    story.held();
    story.expect_ask(&Request::WriteHost { lease: LEASE, revision: 50 });
}

#[test]
fn another_machine_with_the_name_is_told_so_each_ten_seconds() {
    let mut story = Story::begin(None);
    story.answer_load(theirs(&[]));
    let claims = (0..20).filter(|_| {
        story.feed(alive());
        story.timer(Timer::NameCheck);
        story.did(|it| *it == Action::Ask(Request::ClaimName { lease: THEIRS }))
    });
    assert_eq!(claims.count(), 2, "it is looked each second");
}

#[test]
fn the_end_of_a_former_lease_of_another_machine_does_not_free_the_name() {
    let records = [record(1, 5)];
    let mut story = Story::running(&records);
    for (lease, revision) in [(98, 60), (THEIRS, 61)] {
        story.feed(Event::WatchOpened(Gap::Reconnected));
        story.expect_ask(&Request::Load);
        let host = HostKey { lease: Some(lease), instance: Some(machine(2)), revision };
        story.answer_load(Found { host: Some(host), ..found(&records) });
        story.expect(&Action::ReadLease(lease));
        story.settle_comparison(&records);
        story.held();
    }
    story.feed(Event::LeaseLeft(98, Some((-1, 0))));
    let writes = |it: &Request| matches!(it, Request::WriteHost { .. });
    assert_eq!(story.take_ask(writes), None, "the key of a host that may be alive");
    story.feed(alive());
    story.expect_problem("is in use by");
}

#[test]
fn what_etcd_has_of_the_host_stays_as_it_is_until_it_is_known_whose_name_it_is() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.expect_ask(&Request::Load);
    // The machine that took the place of this one has deleted an IP, registered another, and changed one.
    let changed = Record { loss: Some(LossPolicy::Hold), ..record(1, 70) };
    let there = theirs_since(&[changed, record(3, 71)]);
    story.answer_load(there.clone());
    story.expect(&Action::ReadLease(THEIRS));
    story.held();
    let writes = story.take_ask(|it| !matches!(it, Request::Load));
    assert_eq!(writes, None);
    story.expect(&Action::Arm(Timer::Compare, Duration::from_millis(500)));
    // It is gone for good.
    story.feed(ended());
    story.expect_ask(&Request::WriteHost { lease: LEASE, revision: 60 });
    story.feed(Event::Timer(Timer::Compare));
    story.expect_ask(&Request::Load);
    story.answer_load(there);
    story.expect_ask(&Request::WriteRecord(record(2, 0)));
}

#[test]
fn clients_whose_ips_are_given_up_with_the_name_hear_that_their_outcome_is_open() {
    let mut story = Story::running(&[record(1, 5)]);
    let deletes = [(); 2].map(|()| story.command(Command::Delete(id(1))));
    let stores = story.command(super::commands::new(2));
    // Its address is being looked for on the network.
    let slot = story.slot(2);
    let record = story.core.table.get(slot).map(|vip| vip.record.clone()).unwrap();
    let starts = Token(77);
    let cidr = "10.0.0.3".parse().unwrap();
    story.core.table.insert(Record { id: id(3), cidr, ..record }, table::Stage::Starting(starts));
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.answer_load(theirs_since(&[]));
    story.feed(alive());
    for token in deletes.into_iter().chain([stores, starts]) {
        let Err(Refusal::OutcomeUnknown(why)) = story.reply(token) else { panic!("not told so") };
        assert!(why.contains("another machine has the name"), "{why}");
    }
}

#[test]
fn a_cloned_image_that_boots_without_etcd_does_not_resume_the_lease_of_the_other() {
    let copy = LocalCopy { instance: Some(machine(2)), ..copy_of(&[record(1, 5)]) };
    let mut story = Story::begin(Some(copy));
    story.now += Duration::from_secs(2);
    story.fail(Request::Load, not_sent());
    story.expect(&Action::KeepLease(None, Duration::from_millis(4500)));
    // etcd is back, and the other machine lives: this one gives up what it has taken.
    story.answer_load(theirs(&[record(1, 5)]));
    story.feed(alive());
    story.expect_tell(Slot(1), Order::Leave);
    story.notice(Slot(1), Notice::Left { cleanup_pending: true });
    story.expect_problem("is in use by");
}

#[test]
fn a_host_does_not_write_its_name_into_an_etcd_that_it_has_not_read() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    story.fail(Request::Load, not_sent());
    story.held();
    let writes = |it: &Request| matches!(it, Request::WriteHost { .. });
    assert_eq!(story.take_ask(writes), None, "another machine may have it");
    story.answer_load(found(&[record(1, 5)]));
    story.expect_tell(Slot(1), Order::Lease(Lease::Held(LEASE)));
}

#[test]
fn a_host_that_another_version_has_written_is_its_own() {
    let mut story = Story::begin(None);
    let host = HostKey { lease: Some(LEASE), instance: None, revision: 50 };
    story.answer_load(Found { host: Some(host), ..found(&[record(1, 5)]) });
    story.expect(&Action::KeepLease(Some(LEASE), Duration::ZERO));
    story.held();
    story.expect_tell(Slot(1), Order::Lease(Lease::Held(LEASE)));
    // The machine is written down, for the next time.
    story.expect_ask(&Request::WriteHost { lease: LEASE, revision: 50 });
}

#[test]
fn of_two_that_start_at_once_one_gets_the_name() {
    let mut story = Story::begin(None);
    story.answer_load(Found::default());
    story.held();
    let write = Request::WriteHost { lease: LEASE, revision: 0 };
    story.expect_ask(&write);
    story.answer(write, store::Answer::Written(Err(store::Obstacle::Changed(50))));
    story.expect_ask(&Request::Load);
    story.answer_load(theirs(&[]));
    story.expect(&Action::ReadLease(THEIRS));
    story.feed(alive());
    story.expect_problem("is in use by");
}

#[test]
fn the_first_machine_goes_on_and_says_that_there_is_a_second() {
    let mut story = Story::running(&[record(1, 5)]);
    let claim = |revision| Claim { instance: machine(2), revision };
    let with_claim = |revision| Found { claims: vec![claim(revision)], ..found(&[record(1, 5)]) };
    story.feed(Event::KeyChanged {
        key: "/link/config/h1/i2".to_owned(),
        exists: true,
        revision: 101,
    });
    story.expect_ask(&Request::Load);
    story.answer_load(with_claim(101));
    story.expect_warning("02:00:00:00:00:02");
    story.expect_problem("is called h1, too");
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    // It claims no more.
    story.timer(Timer::ClaimsEnd);
    story.expect_ask(&Request::DropClaims);
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn a_claim_lasts_as_long_as_it_is_renewed_and_each_machine_is_warned_of_once() {
    let records = [record(1, 5)];
    let mut story = Story::running(&records);
    for (last, revision, lasts, warns) in [
        (2, 101, true, true),
        // It is found again as it was.
        (2, 101, false, false),
        (2, 111, true, false),
        (3, 112, true, true),
    ] {
        story.feed(Event::WatchOpened(Gap::Reconnected));
        story.expect_ask(&Request::Load);
        let claims = vec![Claim { instance: machine(last), revision }];
        story.answer_load(Found { claims, ..found(&records) });
        let put_off = Action::Arm(Timer::ClaimsEnd, Duration::from_secs(60));
        assert_eq!(story.did(|it| *it == put_off), lasts, "{last} at {revision}");
        assert_eq!(story.warnings().len(), usize::from(warns), "{last} at {revision}");
        story.settle_comparison(&records);
    }
}

#[test]
fn a_host_that_finds_its_key_written_by_another_says_so_and_writes_it_again() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    let host = HostKey { lease: Some(33), instance: None, revision: 60 };
    story.answer_load(Found { host: Some(host), ..found(&[record(1, 5)]) });
    story.expect_warning("written by another agent");
    story.expect_ask(&Request::WriteHost { lease: LEASE, revision: 60 });
}

#[test]
fn a_command_that_came_before_the_name_was_found_taken_is_refused_and_not_kept() {
    let mut story = Story::begin(None);
    let token = story.command(super::commands::new(9));
    let mut other = found(&[]);
    other.host = Some(HostKey { lease: Some(99), instance: Some(machine(2)), revision: 50 });
    story.answer_load(other.clone());
    story.feed(Event::LeaseLeft(99, Some((3, 5))));
    let Err(Refusal::Unavailable(why)) = story.reply(token) else { panic!("it waits") };
    assert!(why.contains("the name h1 is in use by"), "{why}");
    story.feed(Event::LeaseLeft(99, Some((-1, 0))));
    story.answer_load(other);
    assert!(!story.did(|action| matches!(action, Action::Start { .. })));
}

#[test]
fn what_was_deleted_since_the_start_does_not_come_back_with_the_name() {
    let records = [record(1, 5), record(2, 6)];
    let mut story = Story::begin(Some(copy_of(&records)));
    story.load(&records);
    story.settle_comparison(&records);
    story.command(Command::Delete(id(2)));
    story.answer(Request::DeleteRecord(id(2), 6), store::Answer::Deleted(Ok(())));
    story.notice(story.slot(2), Notice::Left { cleanup_pending: false });
    story.done.clear();
    // Another machine has the name for a while.
    let host = HostKey { lease: Some(THEIRS), instance: Some(machine(2)), revision: 60 };
    let theirs = Found { host: Some(host), ..found(&[record(1, 5)]) };
    story.feed(Event::WatchOpened(Gap::Restored));
    story.answer_load_at(theirs.clone(), 200);
    story.feed(alive());
    story.expect(&Action::RemoveLeftOvers(Vec::new()));
    story.notice(story.slot(1), Notice::Left { cleanup_pending: true });
    story.feed(ended());
    // And etcd was restored meanwhile.
    story.answer_load_at(Found { history: "another".to_owned(), ..theirs }, 300);
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
}

#[test]
fn a_machine_that_loses_the_name_tells_no_election_that_it_has_the_lease() {
    let grouped = super::groups::grouped;
    // The elections of IPs that leave a group begin then.
    for records in [[record(1, 60), record(2, 60)], [grouped(1), grouped(2)]] {
        let mut story = Story::of_group(&records, &super::groups::group(&[1, 2], 70));
        let host = HostKey { lease: Some(THEIRS), instance: Some(machine(2)), revision: 60 };
        story.feed(Event::WatchOpened(Gap::Reconnected));
        story.answer_load(Found { host: Some(host), ..found(&records) });
        story.done.clear();
        story.feed(alive());
        let told = |lease| move |it: &Action| matches!(it, Action::Tell(_, Order::Lease(told)) if *told == lease);
        assert!(!story.did(told(Lease::Held(LEASE))), "{:?}", story.done);
        assert!(story.did(told(Lease::None)), "{:?}", story.done);
    }
}
