//! Wanted against found.

use super::*;
use crate::command::Change;
use crate::lock::OtherPrefix;

const LOCK: &str = "/link/default/10.0.0.1_32";

impl Story {
    /// What another program has done to etcd is found.
    fn compare(&mut self, found: Found) {
        self.feed(Event::WatchOpened(Gap::Reconnected));
        self.expect_ask(&Request::Load);
        self.answer_load(found);
    }
}

#[test]
fn a_record_that_is_gone_or_garbled_or_changed_is_written_again() {
    for (what, revision, text) in [(None, 0, "missing"), (Some(77), 77, "changed")] {
        let mut story = Story::running(&[record(1, 5)]);
        let changed = |revision| Record { loss: Some(LossPolicy::Hold), ..record(1, revision) };
        story.compare(found(&what.map(changed).into_iter().collect::<Vec<_>>()));
        story.expect_warning(text);
        let again = Request::WriteRecord(record(1, revision));
        story.expect_ask(&again);
        story.expect_problem("its record is not in etcd");
        story.answer(again, written(101));
        assert_eq!(story.problems(), [""; 0]);
        assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::LossPolicy(_)))));
    }
    let mut story = Story::running(&[record(1, 5)]);
    let mut garbled = found(&[]);
    let why = "EOF".to_owned();
    garbled.unreadable.push(store::Unreadable { id: Some(id(1)), revision: 88, why });
    story.compare(garbled);
    story.expect_warning("cannot be read");
    story.expect_ask(&Request::WriteRecord(record(1, 88)));
}

#[test]
fn a_record_that_cannot_be_restored_is_tried_again_and_said_once() {
    let mut story = Story::running(&[record(1, 5)]);
    story.compare(found(&[]));
    story.expect_warning("missing");
    let again = Request::WriteRecord(record(1, 0));
    for failure in [not_sent(), refused(), unknown()] {
        story.expect_ask(&again);
        story.fail(again.clone(), failure);
        story.timer(Timer::Retry);
        assert!(!story.warnings().iter().any(|text| text.contains("missing")));
    }
    story.expect_ask(&again);
}

#[test]
fn a_stop_during_a_comparison_leaves_the_records_alone() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.expect_ask(&Request::Load);
    story.feed(Event::Stop(StopPolicy::Release));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    story.answer_load(found(&[record(1, 5)]));
    let deletes = |request: &Request| matches!(request, Request::DeleteRecord(..));
    assert_eq!(story.take_ask(deletes), None);
}

#[test]
fn a_record_that_nobody_registered_here_is_removed() {
    let mut story = Story::running(&[record(1, 5)]);
    story.compare(found(&[record(1, 5), record(2, 60)]));
    story.expect_warning("10.0.0.2/32");
    story.expect_ask(&Request::DeleteRecord(id(2), 60));
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
}

#[test]
fn what_is_being_stored_or_deleted_is_left_to_that() {
    let mut story = Story::running(&[record(1, 5)]);
    story.command(Command::Delete(id(1)));
    story.expect_ask(&Request::DeleteRecord(id(1), 5));
    story.compare(found(&[]));
    assert_eq!(story.warnings(), [""; 0]);
    assert_eq!(story.take_ask(|request| matches!(request, Request::WriteRecord(_))), None);
}

#[test]
fn locks_and_candidacies_that_no_ip_explains_are_given_up() {
    let mut story = Story::running(&[record(1, 5)]);
    story.compare(found(&[record(1, 5)]));
    story.expect(&Action::ReadLeaseKeys(LEASE));
    let own = [LOCK, "/link/ips/10.0.0.1_32/h1", "/link/config/h1/i2"].map(str::to_owned);
    let left = ["/link/default/10.0.0.2_32", "/link/ips/10.0.0.2_32/h1", "/link/default/webhook-7"]
        .map(str::to_owned);
    let keys = own.iter().chain(&left).cloned().collect();
    story.feed(Event::LeaseKeys(LEASE, Ok(keys)));
    let release = Request::Release { lease: LEASE, keys: left.to_vec() };
    story.expect_ask(&release);
    assert_eq!(story.warnings().len(), 1);
    // A failure is tried again.
    story.fail(release.clone(), unknown());
    story.settle_comparison(&[record(1, 5)]);
    story.timer(Timer::Compare);
    story.expect_ask(&Request::Load);
}

#[test]
fn a_candidacy_that_is_gone_is_written_again() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let key = "/link/ips/10.0.0.1_32/h1".to_owned();
    for (candidate, keys, restored) in
        [(true, vec![key], false), (true, Vec::new(), true), (false, Vec::new(), false)]
    {
        let candidate = candidate.then_some((true, 100));
        story.notice(slot, Notice::Status(Arc::new(Status { candidate, ..Status::starting() })));
        story.compare(found(&[record(1, 5)]));
        story.feed(Event::LeaseKeys(LEASE, Ok(keys)));
        assert_eq!(story.did(|it| *it == Action::Tell(slot, Order::LockNow)), restored);
        assert_eq!(story.warnings().len(), usize::from(restored));
        story.settle_comparison(&[record(1, 5)]);
    }
    // No watch tells of it, so that the keys of the lease are looked at more often than the rest.
    story.notice(
        slot,
        Notice::Status(Arc::new(Status { candidate: Some((true, 100)), ..Status::starting() })),
    );
    for _ in 0..3 {
        story.timer(Timer::CompareKeys);
        story.expect(&Action::ReadLeaseKeys(LEASE));
        story.feed(Event::LeaseKeys(LEASE, Ok(Vec::new())));
        story.expect_tell(slot, Order::LockNow);
        assert!(!story.did(|it| matches!(it, Action::Ask(_))));
    }
}

#[test]
fn by_probe_an_election_reads_the_candidates_as_often() {
    let by_probe = Record { loss: Some(LossPolicy::Probe), ..record(2, 5) };
    let mut story = Story::running(&[record(1, 5), by_probe]);
    let outdated = |slot| move |it: &Action| *it == Action::Tell(slot, Order::CandidatesOutdated);
    let (by_take, by_probe) = (story.slot(1), story.slot(2));
    story.feed(Event::Timer(Timer::CompareKeys));
    assert!(story.did(outdated(by_probe)) && !story.did(outdated(by_take)));
}

#[test]
fn an_owner_whose_lock_is_gone_looks_who_has_it() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let candidacy = "/link/ips/10.0.0.1_32/h1".to_owned();
    for (owner, keys, looks) in [
        ("h1", vec![LOCK.to_owned(), candidacy.clone()], false),
        ("h1", vec![candidacy.clone()], true),
        ("h2", vec![candidacy], false),
    ] {
        let owner = Some(owner.to_owned());
        story.notice(
            slot,
            Notice::Status(Arc::new(Status {
                candidate: Some((true, 100)),
                owner,
                ..Status::starting()
            })),
        );
        story.feed(Event::Timer(Timer::CompareKeys));
        story.feed(Event::LeaseKeys(LEASE, Ok(keys)));
        assert_eq!(story.did(|it| *it == Action::Tell(slot, Order::LockNow)), looks);
    }
}

#[test]
fn an_ip_that_is_being_registered_is_not_released() {
    let mut story = Story::running(&[]);
    story.compare(found(&[]));
    story.command(super::commands::new(1));
    story.feed(Event::LeaseKeys(LEASE, Ok(vec![LOCK.to_owned()])));
    assert_eq!(story.take_ask(|request| matches!(request, Request::Release { .. })), None);
}

#[test]
fn keys_of_a_lease_that_was_lost_meanwhile_are_not_touched() {
    let mut story = Story::running(&[]);
    story.compare(found(&[]));
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 100 });
    story.feed(Event::LeaseKeys(LEASE, Ok(vec![LOCK.to_owned()])));
    assert_eq!(story.take_ask(|request| matches!(request, Request::Release { .. })), None);
}

#[test]
fn a_comparison_that_fails_is_made_again() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Restored));
    story.fail(Request::Load, unknown());
    story.timer(Timer::Compare);
    story.expect_ask(&Request::Load);
    story.answer_load(found(&[record(1, 5)]));
    story.feed(Event::LeaseKeys(LEASE, Err(unknown())));
    story.timer(Timer::Compare);
    story.expect_ask(&Request::Load);
}

#[test]
fn it_is_made_once_more_if_something_has_happened_since_it_began() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.expect_ask(&Request::Load);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    assert_eq!(story.take_ask(|request| *request == Request::Load), None);
    story.done.push_back(Action::Ask(Request::Load));
    story.settle_comparison(&[record(1, 5)]);
    story.expect_ask(&Request::Load);
}

#[test]
fn another_mask_is_shown_until_it_is_gone() {
    let mut story = Story::running(&[record(1, 5)]);
    let cidr = record(1, 0).cidr;
    let other = OtherPrefix { cidr: "10.0.0.1/24".to_owned(), host: "h2".to_owned() };
    for others in [vec![(cidr, other)], Vec::new()] {
        story.compare(found(&[record(1, 5)]));
        story.feed(Event::LeaseKeys(LEASE, Ok(Vec::new())));
        story.expect_ask(&Request::OtherPrefixes(vec![cidr]));
        let there = !others.is_empty();
        story.answer(Request::OtherPrefixes(vec![cidr]), store::Answer::OtherPrefixes(others));
        assert_eq!(story.warnings().len(), usize::from(there));
        assert_eq!(story.problems().len(), usize::from(there));
    }
}

#[test]
fn a_lock_in_another_spelling_is_shown_and_keeps_the_address_from_being_registered() {
    let mut story = Story::running(&[]);
    let changed = |exists| Event::KeyChanged {
        key: "/link/default/FD00::0005_128".to_owned(),
        exists,
        revision: 60,
    };
    story.feed(changed(true));
    assert_eq!(story.take_ask(|_| true), None);
    let new = || {
        let Command::Create(new) = super::commands::new(5) else { panic!("it adds an IP") };
        let cidr = "fd00::5".parse().unwrap();
        Command::Create(crate::command::NewVip { cidr, ..new })
    };
    let token = story.command(new());
    let Err(Refusal::Conflict(why)) = story.reply(token) else { panic!("it was registered") };
    assert!(why.contains("FD00::0005_128"), "{why}");
    story.feed(changed(false));
    story.command(new());
    let write = story.take_ask(|it| matches!(it, Request::WriteRecord(_))).unwrap();
    story.answer(write, written(101));
    story.feed(changed(true));
    story.expect_warning("another spelling");
    story.expect_problem("FD00::0005_128");
}

#[test]
fn own_writes_are_no_reason_to_compare_and_those_of_others_are() {
    let mut story = Story::running(&[record(1, 5)]);
    let changed = |key: String, revision| Event::KeyChanged { key, exists: true, revision };
    story.feed(changed(format!("/link/hosts/h1/{}", id(1)), 5));
    story.feed(changed("/link/config/h1".to_owned(), 50));
    let key = format!("/link/hosts/h1/{}", id(9));
    story.feed(Event::KeyChanged { key, exists: false, revision: 7 });
    assert_eq!(story.take_ask(|_| true), None);
    story.feed(changed(format!("/link/hosts/h1/{}", id(1)), 6));
    story.expect_ask(&Request::Load);
}

#[test]
fn what_was_read_before_the_last_write_is_read_again() {
    let mut story = Story::running(&[]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.expect_ask(&Request::Load);
    // Another lease is written down while the answer is on its way.
    story.feed(Event::LeaseHeld { id: 8, ttl: TTL });
    let write = Request::WriteHost { lease: 8, revision: 50 };
    story.feed(Event::Answered(write, Ok((written(120), at(120)))));
    story.answer_load_at(found(&[]), 119);
    story.expect_ask(&Request::Load);
    assert_eq!(story.warnings(), [""; 0]);
}

#[test]
fn what_a_former_election_has_asked_for_may_be_carried_out_after_it_has_left() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    let looks = |it: &Request| matches!(it, Request::Load | Request::Release { .. });
    assert_eq!(story.take_ask(looks), None, "there is time");
    story.expect(&Action::Arm(Timer::ReleaseLate, Duration::from_secs(10)));
    story.feed(Event::Timer(Timer::ReleaseLate));
    let keys = ["/link/default/10.0.0.1_32", "/link/ips/10.0.0.1_32/h1"].map(str::to_owned);
    let release = Request::Release { lease: LEASE, keys: keys.into() };
    assert_eq!(story.take_ask(looks), Some(release.clone()));
    story.answer(release, store::Answer::Done);
    story.feed(Event::Timer(Timer::ReleaseLate));
    assert_eq!(story.take_ask(looks), None, "it is done, and nothing else is looked at");
}

#[test]
fn what_is_registered_again_keeps_what_it_has() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    story.command(super::commands::new(1));
    story.feed(Event::Timer(Timer::ReleaseLate));
    assert_eq!(story.take_ask(|request| matches!(request, Request::Release { .. })), None);
}

#[test]
fn what_a_request_brings_late_is_found_by_one_more_comparison() {
    let records = [record(1, 5)];
    let mut story = Story::begin(None);
    story.load(&records);
    story.settle_comparison(&records);
    let later = Action::Arm(Timer::CompareLate, Duration::from_secs(10));
    story.expect(&later);
    story.done.clear();
    story.feed(Event::Timer(Timer::Compare));
    story.expect_ask(&Request::Load);
    story.answer_load(found(&records));
    // A request of a former life, for an IP that has been deleted since.
    let left = "/link/default/10.0.0.2_32".to_owned();
    story.feed(Event::LeaseKeys(LEASE, Ok(vec![left.clone()])));
    story.expect_ask(&Request::Release { lease: LEASE, keys: vec![left] });
    story.settle_comparison(&records);
    assert!(!story.did(|action| *action == later));
}

#[test]
fn what_a_restored_etcd_lacks_is_not_forgotten_by_a_restart_before_it_is_written() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Restored));
    story.expect_ask(&Request::Load);
    let lacks_it = Found { written: 40, ..found(&[]) };
    story.answer_load(lacks_it.clone());
    let write = Request::WriteRecord(record(1, 0));
    story.fail(write.clone(), refused());
    if let Some(copy) = story.copy() {
        let mut next = Story::begin(Some(copy));
        next.answer_load(lacks_it);
        assert_eq!(next.listed(), ["10.0.0.1/32"]);
    }
    // Once etcd has it again, a record that is missing was deleted.
    story.timer(Timer::Retry);
    story.expect_ask(&write);
    story.answer(write, written(101));
    story.feed(Event::Timer(Timer::Copy));
    let copy = story.copy().expect("it says that etcd has all");
    let mut next = Story::begin(Some(copy));
    let history = story.core.history().to_owned();
    next.answer_load(Found { written: 101, history, ..found(&[]) });
    assert_eq!(next.listed(), [""; 0]);
}

#[test]
fn a_change_that_comes_while_a_lost_record_is_written_again_is_made_after_that() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.expect_ask(&Request::Load);
    story.answer_load(found(&[]));
    let again = Request::WriteRecord(record(1, 0));
    story.expect_ask(&again);
    let change = Change { loss: Some(Some(LossPolicy::Hold)), ..Change::default() };
    let token = story.command(Command::Change(id(1), change));
    story.answer(again, written(101));
    assert!(!story.replied(token));
    let changed = Request::WriteRecord(Record { loss: Some(LossPolicy::Hold), ..record(1, 101) });
    story.expect_ask(&changed);
    story.answer(changed, written(102));
    let Ok(Answer::One(ip)) = story.reply(token) else { panic!("it is not done") };
    assert_eq!(ip.etcd_loss_policy, "hold");
}

#[test]
fn deletions_one_after_the_other_do_not_put_a_comparison_off_that_is_to_be_tried_again() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.fail(Request::Load, not_sent());
    let retry = |action: &Action| matches!(action, Action::Arm(Timer::Compare, after) if after.as_millis() == 500);
    assert!(story.did(retry));
    let slot = story.slot(1);
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    assert!(!story.did(|action| matches!(action, Action::Arm(Timer::Compare, _))));
    assert!(story.did(|action| matches!(action, Action::Arm(Timer::ReleaseLate, _))));
}
