//! The start: from etcd, from the local copy, and from both when they differ.

use super::*;

#[test]
fn a_start_serves_what_etcd_has_and_resumes_the_lease() {
    let mut story = Story::begin(None);
    story.answer_load(found(&[record(1, 5)]));
    let started = |action: &Action| {
        matches!(action, Action::Start { origin: Origin::Before | Origin::Go, .. })
    };
    assert!(story.did(started));
    story.expect(&Action::KeepLease(Some(LEASE), Duration::ZERO));
    story.expect_tell(Slot(1), Order::Lease(Lease::None));
    story.held();
    story.expect_tell(Slot(1), Order::Lease(Lease::Held(LEASE)));
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    let copy = story.copy().expect("the copy follows");
    assert_eq!((copy.records.len(), copy.lease, copy.written), (1, Some(LEASE), 90));
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn where_others_have_ips_they_may_start_as_well() {
    for (others, origin) in [(true, Origin::BeforeWithOthers), (false, Origin::Before)] {
        let mut story = Story::begin(None);
        story.answer_load(Found { others, ..found(&[record(1, 5)]) });
        assert!(
            story.did(|action| matches!(action, Action::Start { origin: it, .. } if *it == origin))
        );
    }
}

#[test]
fn without_etcd_the_copy_is_served_and_nothing_new_is_begun() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    story.now += Duration::from_secs(2);
    story.fail(Request::Load, not_sent());
    story.expect(&Action::KeepLease(Some(LEASE), Duration::from_millis(4500)));
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    let lock = story.command(Command::Lock(id(1)));
    assert!(matches!(story.reply(lock), Err(Refusal::Unavailable(_))));
    assert_eq!(story.copy(), None, "it is not written from itself");
    story.feed(Event::EtcdLost { why: "silent for 5 s".to_owned(), revision: 0 });
    story.expect_tell(Slot(1), Order::Lease(Lease::Lost));
    story.timer(Timer::Load);
    story.expect_ask(&Request::Load);
    story.load(&[record(1, 5)]);
    story.expect_tell(Slot(1), Order::Lease(Lease::Held(LEASE)));
    let again = |action: &Action| matches!(action, Action::Start { .. });
    assert!(story.did(again), "from the copy");
    assert!(!story.did(again), "what is served already is not started again");
}

/// What keeps etcd away may be the address of the IP.
#[test]
fn what_is_deleted_before_etcd_was_read_stays_deleted() {
    let records = [record(1, 5), record(2, 6)];
    let mut story = Story::begin(Some(copy_of(&records)));
    story.fail(Request::Load, not_sent());
    let slot = story.slot(1);
    let delete = story.command(Command::Delete(id(1)));
    story.expect_tell(slot, Order::Leave);
    let copy = story.copy().expect("a restart knows it");
    assert_eq!((copy.records.len(), copy.deleted.clone()), (1, vec![record(1, 0).cidr.addr()]));
    story.notice(slot, Notice::Left { cleanup_pending: true });
    assert_eq!(story.reply(delete), Ok(Answer::Done));
    story.timer(Timer::Load);
    story.load(&records);
    story.expect_ask(&Request::DeleteRecord(id(1), 5));
    assert_eq!(story.listed(), ["10.0.0.2/32"]);

    // An old copy may know it under another id than etcd.
    for record in [record(1, 5), Record { id: id(9), ..record(1, 5) }] {
        let mut restarted = Story::begin(Some(copy.clone()));
        restarted.load(&[record.clone(), records[1].clone()]);
        restarted.expect_ask(&Request::DeleteRecord(record.id, 5));
        assert_eq!(restarted.listed(), ["10.0.0.2/32"]);
    }
}

#[test]
fn without_etcd_and_without_a_copy_nothing_is_told_of_the_ips() {
    let mut story = Story::begin(None);
    let early = story.command(Command::List);
    assert!(!story.replied(early), "the answer of etcd is on its way");
    story.fail(Request::Load, unknown());
    assert!(matches!(story.reply(early), Err(Refusal::Unavailable(_))));
    story.timer(Timer::Load);
}

#[test]
fn what_was_deleted_in_etcd_is_given_up_and_named() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5), record(2, 6)])));
    story.load(&[record(1, 5)]);
    story.expect_warning("10.0.0.2/32");
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    // Also when it was served meanwhile, because etcd was silent.
    let mut story = Story::begin(Some(copy_of(&[record(1, 5), record(2, 6)])));
    story.fail(Request::Load, not_sent());
    story.load(&[record(1, 5)]);
    let slot = Slot(2);
    story.expect_tell(slot, Order::Leave);
    story.expect_warning("10.0.0.2/32");
    story.notice(slot, Notice::Left { cleanup_pending: false });
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
}

#[test]
fn what_another_or_an_older_etcd_lacks_is_registered_again_and_named() {
    // However far an older etcd has gone on since, it has not what this host wrote last.
    // Of another history the revision says nothing.
    for (cluster, revision, written_there, history) in [
        (2, 500, 90, HISTORY),
        (CLUSTER, 89, 80, HISTORY),
        (CLUSTER, 500, 80, HISTORY),
        (CLUSTER, 500, 95, "another"),
        (CLUSTER, 500, 95, ""),
    ] {
        let mut story = Story::begin(Some(copy_of(&[record(1, 5), record(2, 6)])));
        let history = history.to_owned();
        let found = Found { written: written_there, history, ..found(&[record(1, 5)]) };
        let answer = store::Answer::Loaded(Box::new(found));
        let at = At { cluster, revision };
        story.feed(Event::Answered(Request::Load, Ok((answer, at))));
        story.expect_warning("registered again: 10.0.0.2/32");
        assert_eq!(story.listed(), ["10.0.0.1/32", "10.0.0.2/32"]);
        story.expect_ask(&Request::WriteRecord(record(2, 0)));
        story.expect_problem("its record is not in etcd");
        let there = At { cluster, revision: 101 };
        let write = Request::WriteRecord(record(2, 0));
        story.feed(Event::Answered(write, Ok((written(101), there))));
        story.held();
        assert_eq!(story.problems(), [""; 0]);
        story.timer(Timer::Copy);
        let copy = story.copy().unwrap();
        assert_eq!((copy.records.len(), copy.cluster, copy.written), (2, cluster, 101));
    }
}

/// An etcd that began anew, and then comes back with what it had before, may have a later revision of
/// this host's mark than it had meanwhile.
#[test]
fn each_time_that_etcd_lacks_what_this_host_wrote_its_writes_get_another_name() {
    let mut story = Story::running(&[record(1, 5)]);
    let mut names = vec![story.core.history().to_owned()];
    assert_eq!(names, [HISTORY]);
    for (written_there, history) in [(0, ""), (200, HISTORY), (201, HISTORY)] {
        story.feed(Event::WatchOpened(Gap::Restored));
        let history = history.to_owned();
        story.answer_load(Found { written: written_there, history, ..found(&[record(1, 5)]) });
        story.settle_comparison(&[record(1, 5)]);
        let name = story.core.history().to_owned();
        if written_there == 201 {
            assert_eq!(names.last(), Some(&name), "it is in no mark yet");
            continue;
        }
        assert!(!names.contains(&name), "{names:?}: {name}");
        names.push(name);
        // The next renewal writes the key of the host again, and so the mark.
        story.feed(Event::LeaseHeld { id: LEASE, ttl: Duration::from_secs(5) });
        let write = Request::WriteHost { lease: LEASE, revision: 50 };
        story.expect_ask(&write);
        if written_there == 0 {
            story.feed(Event::Answered(write, Ok((written(150), at(150)))));
        }
    }
}

#[test]
fn a_host_without_a_copy_goes_on_in_the_history_that_it_finds() {
    let mut story = Story::begin(None);
    story.load(&[record(1, 5)]);
    assert_eq!(story.core.history(), HISTORY);
}

#[test]
fn a_record_that_cannot_be_read_is_restored_from_the_copy() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    let mut found = found(&[]);
    let why = "/link/hosts/h1/…: EOF".to_owned();
    found.unreadable.push(store::Unreadable { id: Some(id(1)), revision: 95, why });
    story.answer_load(found);
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    // Guarded by what is there.
    story.expect_ask(&Request::WriteRecord(record(1, 95)));
}

#[test]
fn an_address_that_etcd_knows_under_another_id_stays_one_election() {
    let old = Record { id: id(9), ..record(1, 0) };
    let mut story = Story::begin(Some(copy_of(&[old])));
    story.fail(Request::Load, not_sent());
    let started = |action: &Action| matches!(action, Action::Start { .. });
    assert!(story.did(started));
    story.load(&[record(1, 5)]);
    assert!(!story.did(started));
    assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::Leave) | Action::End(_))));
    let get = story.command(Command::Get(id(1)));
    assert!(story.reply(get).is_ok());
    let get = story.command(Command::Get(id(9)));
    assert_eq!(story.reply(get), Err(Refusal::NotFound));
}

#[test]
fn an_ip_whose_mask_or_interface_has_changed_begins_anew() {
    let moved = Record { interface: Some("eth1".to_owned()), ..record(1, 6) };
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    story.fail(Request::Load, not_sent());
    story.load(&[moved]);
    story.expect(&Action::End(Slot(1)));
    story.expect_tell(Slot(2), Order::Lease(Lease::Held(LEASE)));
}

#[test]
fn the_limit_holds_for_what_is_registered_already() {
    let records: Vec<Record> = (1..=13).map(|number| record(number, 5)).collect();
    let mut story = Story::begin(None);
    story.load(&records);
    assert_eq!(story.listed().len(), 10);
    let warnings = story.warnings();
    assert!(warnings.iter().any(|text| text.contains("10.0.0.11/32, 10.0.0.12/32, 10.0.0.13/32")));
    story.expect_problem("MAX_NUMBER_OF_ENDPOINTS");
    // The comparison leaves their records alone.
    let deletes = |request: &Request| matches!(request, Request::DeleteRecord(..));
    assert_eq!(story.take_ask(deletes), None);
}

#[test]
fn the_limit_holds_without_etcd_and_is_told_once() {
    let records: Vec<Record> = (1..=13).map(|number| record(number, 5)).collect();
    let mut story = Story::begin(Some(copy_of(&records)));
    story.fail(Request::Load, not_sent());
    assert_eq!(story.listed().len(), 10);
    story.expect_warning("10.0.0.11/32, 10.0.0.12/32, 10.0.0.13/32");
    story.done.clear();
    story.load(&records);
    assert_eq!(story.listed().len(), 10);
    assert!(!story.warnings().iter().any(|text| text.contains("MAX_NUMBER_OF_ENDPOINTS")));
}

#[test]
fn an_election_that_cannot_be_started_is_tried_again() {
    let mut story = Story::begin(None);
    story.no_threads = Some(StartError::Failed("no threads".to_owned()));
    story.load(&[record(1, 5)]);
    story.expect_warning("no threads");
    story.expect_problem("its election cannot be started");
    story.timer(Timer::Restart);
    assert_eq!(story.warnings(), [""; 0], "it was logged");
    story.no_threads = None;
    story.timer(Timer::Restart);
    story.expect_tell(Slot(1), Order::Lease(Lease::Held(LEASE)));
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn a_name_that_this_machine_had_before_is_told_with_its_ips() {
    let other = LocalCopy { host: "old".to_owned(), ..copy_of(&[record(1, 5)]) };
    let config = Story::begin(None).core.config;
    let mut core = Core::new(config);
    let copies = Copies { own: None, others: vec![other] };
    let actions = core.handle(Event::Begin(Box::new(copies)), Instant::now());
    let warns = |action: &Action| {
        matches!(action, Action::Happened(Level::Warn, left)
            if left.why.contains("\"old\"") && left.why.contains("10.0.0.1/32"))
    };
    assert!(actions.iter().any(warns), "{actions:?}");
    // The same when only etcd knows.
    let mut story = Story::begin(None);
    story.answer_load(Found::default());
    let host = |name: &str, last| {
        let instance = Some(machine(last));
        (name.to_owned(), HostKey { lease: None, instance, revision: 1 })
    };
    story.answer(Request::Hosts, store::Answer::Hosts(vec![host("old", 1), host("h2", 2)]));
    story.expect_ask(&Request::RecordsOf("old".to_owned()));
    let asks = |request: &Request| matches!(request, Request::RecordsOf(_));
    assert_eq!(story.take_ask(asks), None);
    let records = store::Answer::Records(vec![record(1, 5)]);
    story.answer(Request::RecordsOf("old".to_owned()), records);
    story.expect_warning("\"old\"");
}

#[test]
fn what_another_cluster_lacks_is_not_forgotten_by_a_restart_before_it_is_written() {
    let other = |story: &mut Story| {
        let answer = Found { written: 0, host: None, ..found(&[]) };
        let answer = store::Answer::Loaded(Box::new(answer));
        let at = At { cluster: CLUSTER + 1, revision: 10 };
        story.feed(Event::Answered(Request::Load, Ok((answer, at))));
    };
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    other(&mut story);
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    story.fail(Request::WriteRecord(record(1, 0)), refused());
    let copy = story.copy().expect("the copy follows");
    let mut next = Story::begin(Some(copy));
    other(&mut next);
    assert_eq!(next.listed(), ["10.0.0.1/32"]);
}

#[test]
fn an_ip_beyond_the_limit_can_be_deleted_and_is_served_when_there_is_room() {
    let mut story = Story::begin_with(|config| config.permits.max_ips = Some(1), None);
    let records = [record(1, 5), record(2, 6), record(3, 7)];
    story.load(&records);
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    story.expect_problem("2 IPs are registered and not served");
    let token = story.command(Command::Delete(id(2)));
    story.answer(Request::DeleteRecord(id(2), 6), store::Answer::Deleted(Ok(())));
    assert_eq!(story.reply(token), Ok(Answer::Done));
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    let slot = story.slot(1);
    let token = story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    assert_eq!(story.reply(token), Ok(Answer::Done));
    assert_eq!(story.listed(), ["10.0.0.3/32"]);
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn an_ip_beyond_the_limit_that_etcd_did_not_delete_is_served_when_there_is_room() {
    let mut story = Story::begin_with(|config| config.permits.max_ips = Some(1), None);
    story.load(&[record(1, 5), record(2, 6)]);
    let slot = story.slot(1);
    for room in [false, true] {
        let token = story.command(Command::Delete(id(2)));
        if room {
            story.command(Command::Delete(id(1)));
            story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
            story.notice(slot, Notice::Left { cleanup_pending: false });
        }
        story.fail(Request::DeleteRecord(id(2), 6), refused());
        assert!(story.reply(token).is_err());
        assert_eq!(story.listed(), [format!("10.0.0.{}/32", 1 + u8::from(room))]);
        let why = "IPs are registered and not served";
        assert_eq!(story.problems().iter().any(|text| text.contains(why)), !room);
    }
    let served = story.slot(2);
    story.expect_tell(served, Order::Lease(Lease::Held(LEASE)));
}

#[test]
fn what_etcd_tells_an_agent_that_stops_starts_nothing() {
    let mut story = Story::begin(None);
    story.feed(Event::Stop(StopPolicy::Release));
    story.answer_load(found(&[record(1, 5)]));
    assert!(!story.did(|it| matches!(it, Action::Start { .. })));
}

#[test]
fn a_first_start_takes_over_from_a_go_link_and_one_with_a_copy_from_its_own_former_life() {
    let go = HostKey { lease: None, instance: None, revision: 50 };
    for (host, copy, origin) in [
        (Some(go), None, Origin::Go),
        (None, None, Origin::Go),
        (None, Some(copy_of(&[record(1, 5)])), Origin::Before),
        (found(&[]).host, None, Origin::Before),
    ] {
        let mut story = Story::begin(copy);
        story.answer_load(Found { host, ..found(&[record(1, 5)]) });
        let is_it = |it: &Action| matches!(it, Action::Start { origin: it, .. } if *it == origin);
        assert!(story.did(is_it), "{origin:?} {:#?}", story.done);
    }
}

#[test]
fn a_host_whose_name_is_taken_goes_on_looking_and_frees_what_it_had_before() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    let host = HostKey { lease: Some(99), instance: Some(machine(2)), revision: 50 };
    story.answer_load(Found { host: Some(host), ..found(&[]) });
    story.expect(&Action::ReadLease(99));
    // What is left of another lease says nothing; nothing is left of one that ends this second.
    story.feed(Event::LeaseLeft(98, Some((4, 5))));
    assert_eq!(story.problems().len(), 1, "etcd was not read");
    story.feed(Event::LeaseLeft(99, Some((0, 5))));
    story.expect(&Action::RemoveLeftOvers(vec![(record(1, 0).cidr, "eth0".to_owned())]));
    story.expect_problem("is in use by");
    for _ in 0..3 {
        story.done.retain(|action| matches!(action, Action::Arm(Timer::NameCheck, _)));
        story.timer(Timer::NameCheck);
        story.expect(&Action::ReadLease(99));
        story.feed(Event::LeaseLeft(99, Some((4, 5))));
    }
}
