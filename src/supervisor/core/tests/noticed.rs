//! What a small mistake would change, and nothing else would show: when nothing is to happen, and to whom what is told.

use super::commands::new;
use super::*;
use crate::checks::CheckStanding;
use crate::command::{Change, NewVip};
use crate::fsm::State;
use crate::vip::{Check, Target};

impl Story {
    fn status_is(&mut self, number: u8, status: Status) {
        self.notice(self.slot(number), Notice::Status(Arc::new(status)));
    }

    fn left(&mut self, number: u8) {
        let slot = self.slot(number);
        self.notice(slot, Notice::Left { cleanup_pending: false });
    }

    /// What was asked of etcd and not looked at yet.
    fn asks(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.take_ask(|_| true)).collect()
    }
}

/// A standby of h2, with the lease 33.
fn waits() -> Status {
    Status {
        state: State::Standby,
        owner: Some("h2".to_owned()),
        awaited: Some(("h2".to_owned(), 33)),
        interface_usable: true,
        ..Status::starting()
    }
}

fn changed(number: u8, exists: bool, revision: i64) -> Event {
    Event::KeyChanged { key: format!("/link/hosts/h1/{}", id(number)), exists, revision }
}

#[test]
fn commands_are_run_as_checks_only_where_the_operator_has_named_a_folder_of_them() {
    for permitted in [false, true] {
        let mut story = Story::begin_with(|config| config.permits.commands = permitted, None);
        story.load(&[]);
        let Command::Create(ip) = new(1) else { panic!("it adds an IP") };
        let target = Target::Exec { command: "look".to_owned(), args: Vec::new() };
        let checks = vec![Check { target, rise: None, fall: None }];
        let token = story.command(Command::Create(NewVip { checks, ..ip }));
        assert_eq!(story.replied(token), !permitted);
        // One that runs none may be had anyhow.
        let token = story.command(new(2));
        assert!(!story.replied(token));
    }
}

#[test]
fn an_ip_that_is_registered_beyond_the_limit_cannot_be_registered_again() {
    let mut story = Story::begin_with(|config| config.permits.max_ips = Some(1), None);
    // The first by address are served, in whatever order etcd tells them.
    story.load(&[record(2, 6), record(1, 5)]);
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
    let why = |story: &mut Story, number| {
        let token = story.command(new(number));
        story.reply(token).expect_err("it is refused").to_string()
    };
    assert!(why(&mut story, 2).contains("beyond the limit"));
    assert!(why(&mut story, 3).contains("one too many"));
}

#[test]
fn a_command_is_about_the_ip_that_it_names_or_brings() {
    let story = Story::running(&[record(1, 5)]);
    assert_eq!(story.core.ip_of(&Command::Get(id(1))), Some(record(1, 5).cidr));
    assert_eq!(story.core.ip_of(&new(2)), Some(record(2, 5).cidr));
    assert_eq!(story.core.ip_of(&Command::Get(id(2))), None);
    assert_eq!(story.core.ip_of(&Command::List), None);
}

#[test]
fn what_was_read_at_the_very_revision_of_the_last_write_is_not_old() {
    let mut story = Story::running(&[]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.expect_ask(&Request::Load);
    story.feed(Event::LeaseHeld { id: 8, ttl: TTL });
    let write = Request::WriteHost { lease: 8, revision: 50 };
    story.feed(Event::Answered(write, Ok((written(120), at(120)))));
    story.answer_load_at(found(&[]), 120);
    assert!(!story.asks().contains(&Request::Load));
}

#[test]
fn the_keys_of_the_lease_are_not_read_amid_a_comparison_and_nothing_is_compared_by_who_stops() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.feed(Event::Timer(Timer::CompareKeys));
    assert!(!story.did(|it| matches!(it, Action::ReadLeaseKeys(_))));
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::Stop(StopPolicy::Release));
    story.done.clear();
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.feed(Event::Timer(Timer::CompareKeys));
    assert_eq!(story.asks(), []);
    assert!(!story.did(|it| matches!(it, Action::ReadLeaseKeys(_))));
}

#[test]
fn records_that_come_when_nothing_is_compared_any_more_are_not_looked_at() {
    let mut story = Story::running(&[record(1, 5)]);
    story.answer_load(found(&[]));
    assert_eq!((story.asks(), story.warnings()), (vec![], vec![]));
}

#[test]
fn what_was_released_is_no_reason_to_compare_again() {
    let mut story = Story::running(&[]);
    let keys = vec!["/link/default/10.0.0.2_32".to_owned()];
    let release = Request::Release { lease: LEASE, keys };
    let again = |it: &Action| matches!(it, Action::Arm(Timer::Compare, _));
    story.answer(release.clone(), store::Answer::Done);
    assert!(!story.did(again));
    story.fail(release, unknown());
    assert!(story.did(again));
}

#[test]
fn with_many_ips_the_keys_of_the_lease_are_read_less_often() {
    let records: Vec<Record> = (1..=10).map(|number| record(number, 5)).collect();
    let mut story = Story::running(&records);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.settle_comparison(&records);
    story.expect(&Action::Arm(Timer::CompareKeys, Duration::from_secs(61)));
}

#[test]
fn a_record_that_another_removes_or_adds_is_noticed_and_the_trace_of_an_own_request_is_not() {
    for event in [changed(1, false, 700), changed(9, true, 700)] {
        let mut story = Story::running(&[record(1, 5)]);
        story.feed(event);
        story.expect_ask(&Request::Load);
    }
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(changed(9, false, 700));
    assert_eq!(story.asks(), [], "it is not there, and not wanted");
    let change = Change { priority: Some(Some(7)), ..Change::default() };
    story.command(Command::Change(id(1), change));
    assert_eq!(story.asks().len(), 1);
    story.feed(changed(1, true, 700));
    assert_eq!(story.asks(), [], "its answer is on its way");
}

#[test]
fn a_lock_in_another_spelling_is_warned_of_once_and_where_the_address_is_served() {
    let mut story = Story::running(&[Record { cidr: "fd00::1".parse().unwrap(), ..record(1, 5) }]);
    let mut warned = |number: u8, revision| {
        let key = format!("/link/default/FD00::{number}_128");
        story.feed(Event::KeyChanged { key, exists: true, revision });
        story.warnings().len()
    };
    assert_eq!(warned(2, 700), 0, "this host has nothing to do with that address");
    // Each of its owners writes it.
    assert_eq!([warned(1, 701), warned(1, 702)], [1, 0]);
}

#[test]
fn an_ip_that_was_deleted_without_etcd_and_is_registered_anew_is_not_deleted_by_the_next_life() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 100 });
    story.command(Command::Delete(id(1)));
    story.left(1);
    story.feed(Event::Timer(Timer::Copy));
    let copy = story.copy().expect("a restart knows it");
    assert_eq!(copy.deleted, [record(1, 0).cidr.addr()]);
    assert_eq!(copy.records.len(), 1);
    story.held();
    story.done.clear();
    story.command(new(1));
    let write = story.take_ask(|it| matches!(it, Request::WriteRecord(_))).expect("it is stored");
    story.answer(write, written(101));
    story.feed(Event::Timer(Timer::Copy));
    let copy = story.copy().expect("it is written");
    assert_eq!((copy.deleted, copy.records.len()), (vec![], 2));
    // Whose copy it is, it says as well.
    let whose = (copy.host.as_str(), copy.history.as_str(), copy.instance);
    assert_eq!(whose, ("h1", HISTORY, Some(machine(1))));
}

#[test]
fn of_what_is_deleted_before_etcd_was_read_the_copy_loses_that_ip_and_no_other() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5), record(2, 6)])));
    story.fail(Request::Load, not_sent());
    story.command(Command::Delete(id(1)));
    let copy = story.copy().expect("a restart knows it");
    let left: Vec<_> = copy.records.iter().map(|record| record.cidr).collect();
    assert_eq!(left, [record(2, 0).cidr]);
}

#[test]
fn a_status_that_says_nothing_new_of_the_candidacy_is_not_told_to_other_hosts() {
    let mut story = Story::running(&[record(1, 5)]);
    let presence = Request::WritePresence { lease: LEASE, started: STARTED, drained: false };
    let candidate = || Status { candidate: Some((true, 100)), ..waits() };
    let written = |story: &mut Story| {
        story.feed(Event::Timer(Timer::Presence));
        let asked = story.asks().contains(&presence);
        if asked {
            story.answer(presence.clone(), store::Answer::Done);
        }
        asked
    };
    written(&mut story);
    story.status_is(1, candidate());
    assert!(written(&mut story));
    story.status_is(1, candidate());
    assert!(!written(&mut story));
    let with_another_priority = Status { candidate: Some((true, 7)), ..waits() };
    story.status_is(1, with_another_priority);
    assert!(written(&mut story));
}

#[test]
fn what_all_checks_lack_is_said_once_and_once_more_when_none_lacks_it() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    let lacks = |lacks: bool| Status {
        shortage: lacks.then(|| "no descriptors are left".to_owned()),
        ..Status::starting()
    };
    let said = |story: &mut Story, number, status| {
        story.done.clear();
        story.status_is(number, status);
        let all = story.done.iter().filter_map(|action| {
            let Action::Happened(_, happening) = action else { return None };
            Some(happening.to_string())
        });
        all.collect::<Vec<_>>().join("; ")
    };
    assert!(said(&mut story, 1, lacks(true)).contains("no descriptors are left"));
    assert_eq!(said(&mut story, 2, lacks(true)), "");
    assert_eq!(said(&mut story, 1, lacks(false)), "");
    assert!(said(&mut story, 2, lacks(false)).contains("all health checks are made again"));
}

#[test]
fn the_owner_is_monitored_through_the_ip_whose_next_owner_this_host_is_and_through_none_that_is_down()
 {
    for (first, second) in [
        (Status { interface_usable: false, ..waits() }, waits()),
        (waits(), Status { next: true, ..waits() }),
    ] {
        let mut story = Story::running(&[record(1, 5), record(2, 6)]);
        let slots = [story.slot(1), story.slot(2)];
        story.status_is(1, first);
        story.expect_tell(slots[0], Order::Monitor(true));
        story.status_is(2, second);
        story.expect_tell(slots[0], Order::Monitor(false));
        story.expect_tell(slots[1], Order::Monitor(true));
    }
}

#[test]
fn the_owner_of_an_ip_that_is_registered_no_more_is_monitored_through_another() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    let second = story.slot(2);
    story.status_is(1, waits());
    story.status_is(2, waits());
    story.done.clear();
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.left(1);
    story.expect_tell(second, Order::Monitor(true));
}

#[test]
fn two_checks_that_are_the_same_are_up_if_both_are_and_one_without_a_result_is_not_told() {
    let mut story = Story::running(&[record(1, 5)]);
    let standing = |check: &str, up| CheckStanding { check: check.to_owned(), up, checked: None };
    let checks = vec![
        standing("TCP a:1", Some(true)),
        standing("TCP b:1", Some(true)),
        standing("TCP a:1", Some(false)),
        standing("TCP c:1", None),
        standing("TCP b:1", Some(true)),
    ];
    story.status_is(1, Status { checks: Arc::new(checks), ..Status::starting() });
    let token = story.command(Command::Metrics);
    let counts = story.done.iter().find_map(|action| {
        let Action::ReplyCounts(to, counts) = action else { return None };
        (*to == token).then(|| counts.vips[0].checks.clone())
    });
    let expected = [("TCP a:1", false), ("TCP b:1", true)];
    assert_eq!(counts, Some(expected.map(|(check, up)| (check.to_owned(), up)).to_vec()));
}

#[test]
fn an_election_is_told_what_has_changed_and_nothing_else() {
    let orders = |change: Change| {
        let mut story = Story::running(&[record(1, 5)]);
        story.command(Command::Change(id(1), change));
        let write = story.asks().remove(0);
        story.done.clear();
        story.answer(write, written(101));
        let told = story.done.iter().filter_map(|action| {
            let Action::Tell(_, order) = action else { return None };
            let names = [
                ("checks", matches!(order, Order::Checks(..))),
                ("policy", matches!(order, Order::LossPolicy(_))),
                ("priority", matches!(order, Order::Priority(_))),
            ];
            names.into_iter().find_map(|(name, is_it)| is_it.then_some(name))
        });
        told.collect::<Vec<_>>()
    };
    let target = Target::Link { interface: "eth1".to_owned() };
    let checks = Some(vec![Check { target, rise: None, fall: None }]);
    assert_eq!(orders(Change { checks, ..Change::default() }), ["checks"]);
    assert_eq!(orders(Change { interval: Some(7), ..Change::default() }), ["checks"]);
    let priority = Some(Some(7));
    assert_eq!(orders(Change { priority, ..Change::default() }), ["priority"]);
    let loss = Some(Some(LossPolicy::Hold));
    assert_eq!(orders(Change { loss, ..Change::default() }), ["policy"]);
}

#[test]
fn of_two_that_delete_an_ip_one_is_told_that_it_goes_on_and_the_other_that_it_is_done() {
    let mut story = Story::running(&[record(1, 5)]);
    let first = story.command(Command::Delete(id(1)));
    let second = story.command(Command::Delete(id(1)));
    story.fail(Request::DeleteRecord(id(1), 5), unknown());
    story.feed(Event::Timer(Timer::Answer(first)));
    assert!(matches!(story.reply(first), Err(Refusal::OutcomeUnknown(_))));
    story.timer(Timer::Retry);
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.left(1);
    assert_eq!(story.reply(second), Ok(Answer::Done));
    assert!(!story.replied(first));
}

#[test]
fn who_offers_an_ip_is_read_once_for_all_that_ask_and_for_each_ip() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    for _ in 0..2 {
        story.command(Command::Hosts(id(1)));
    }
    story.command(Command::Hosts(id(2)));
    let candidates = |number| Request::Candidates(record(number, 0).cidr.into());
    assert_eq!(story.asks(), [candidates(1), candidates(2)]);
}

#[test]
fn a_refusal_of_etcd_is_said_once_and_one_that_is_not_reached_not_at_all() {
    let mut story = Story::begin(None);
    let mut said = |failure| {
        story.fail(Request::Load, failure);
        story.warnings().iter().filter(|text| text.contains("permission denied")).count()
    };
    assert_eq!([said(refused()), said(refused())], [1, 0]);
    assert_eq!([said(not_sent()), said(refused())], [0, 1], "it is news again");
    let mut story = Story::begin(None);
    story.fail(Request::Load, not_sent());
    assert!(!story.warnings().iter().any(|text| text.contains("connection refused")));
}

#[test]
fn an_ip_tells_which_of_its_fields_are_the_agents_defaults() {
    let set = Record { priority: Some(7), interface: Some("eth1".to_owned()), ..record(2, 6) };
    let mut story = Story::running(&[record(1, 5), set]);
    let token = story.command(Command::List);
    let Ok(Answer::List(ips)) = story.reply(token) else { panic!("no list") };
    let all = ["healthcheck_interval", "interface", "etcd_loss_policy", "priority"];
    assert_eq!(ips[0].defaults, all);
    assert_eq!(ips[1].defaults, ["healthcheck_interval", "etcd_loss_policy"]);
}
