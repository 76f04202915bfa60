//! Groups: one election for all that belongs to a group, which takes over what those before it have.

use super::*;
use crate::fsm::State;
use crate::history::Kind;
use crate::lock::Holder;
use crate::store::{Group, GroupView, IpView, Regroup, Right};
use crate::vip::{ElectionKey, GroupName};

pub(super) fn gw() -> GroupName {
    "gw".parse().unwrap()
}

/// The record of an IP that is to belong to the group.
pub(super) fn grouped(number: u8) -> Record {
    Record { group: Some(gw()), ..record(number, 60) }
}

pub(super) fn group(numbers: &[u8], revision: i64) -> Group {
    let members = numbers.iter().map(|number| grouped(*number).cidr).collect();
    Group { members, revision }
}

pub(super) fn holder(host: &str, lease: i64) -> Holder {
    Holder { host: host.to_owned(), lease, written: 5 }
}

/// What etcd has: the group, its owner, and IPs by themselves, which two hosts offer.
pub(super) fn view(group: Group, owner: Option<(&str, i64)>, ips: &[(u8, &str, i64)]) -> GroupView {
    let ip = |(number, host, lease): &(u8, &str, i64)| IpView {
        cidr: grouped(*number).cidr,
        lock: Some(holder(host, *lease)),
        hosts: vec!["h1".to_owned(), "h2".to_owned()],
    };
    GroupView {
        group,
        owner: owner.map(|(host, lease)| holder(host, lease)),
        ips: ips.iter().map(ip).collect(),
        ..GroupView::default()
    }
}

impl Story {
    /// A host that holds its lease and has these IPs of a group, of which those belong to it that etcd says.
    pub(super) fn of_group(records: &[Record], group: &Group) -> Story {
        let mut story = Story::begin(None);
        let groups = vec![(gw(), group.clone())];
        story.answer_load(Found { groups, ..found(records) });
        story.held();
        story.settle_comparison(records);
        story
    }

    /// Answers the read of the group that is under way.
    #[track_caller]
    fn reads(&mut self, view: GroupView) {
        let read = self.take_ask(|request| matches!(request, Request::Group(..)));
        let answer = store::Answer::Group(Box::new(view));
        self.answer(read.expect("the group is read"), answer);
    }

    /// Answers all reads of the group, also those that follow from the answers.
    fn reads_all(&mut self, view: &GroupView) {
        for _ in 0..9 {
            if let Some(read) = self.take_ask(|request| matches!(request, Request::Group(..))) {
                self.answer(read, store::Answer::Group(Box::new(view.clone())));
            }
        }
    }

    /// What is told to change the group.
    fn regroup(&mut self) -> Option<Regroup> {
        let asked = self.take_ask(|request| matches!(request, Request::Regroup(_)))?;
        if let Request::Regroup(regroup) = asked { Some(*regroup) } else { None }
    }

    fn regrouped(&mut self, regroup: Regroup, group: Group) {
        let answer = store::Answer::Regrouped(Some(group));
        self.answer(Request::Regroup(Box::new(regroup)), answer);
    }

    /// The elections that were started: their numbers, the names of their candidacies, and how many IPs they have.
    fn starts(&mut self) -> Vec<(Slot, String, usize)> {
        let mut started = Vec::new();
        self.done.retain(|action| {
            let Action::Start { slot, subject, .. } = action else { return true };
            started.push((*slot, subject.key.candidacies(), subject.records.len()));
            false
        });
        started
    }

    fn ends(&mut self) -> Vec<Slot> {
        let mut ended = Vec::new();
        self.done.retain(|action| {
            let Action::End(slot) = action else { return true };
            ended.push(*slot);
            false
        });
        ended
    }

    fn owns(&mut self, number: u8) {
        let status = Status {
            state: State::Activated,
            owner: Some("h1".to_owned()),
            bound: true,
            candidate: Some((true, 100)),
            ..Status::starting()
        };
        self.notice(self.slot(number), Notice::Status(Arc::new(status)));
    }
}

#[test]
fn a_start_has_one_election_for_what_belongs_to_a_group_and_one_for_each_other_ip() {
    let records = [grouped(1), grouped(2), grouped(3), record(4, 60)];
    let mut story = Story::of_group(&records, &group(&[1, 2], 70));
    let (first, third, fourth) = (story.slot(1), story.slot(3), story.slot(4));
    let alone = |slot, number: u8| (slot, format!("10.0.0.{number}_32"), 1);
    let expected = [(first, "group:gw@70".to_owned(), 2), alone(third, 3), alone(fourth, 4)];
    assert_eq!(story.starts(), expected);
    // What one of them is told, the election of the group is told.
    story.core.tell(story.slot(2), Order::LockNow);
    assert_eq!(story.core.out.pop(), Some(Action::Tell(first, Order::LockNow)));
    // And what that tells holds for all.
    story.owns(1);
    let shown = |number: u8| {
        let vip = story.core.table.get(story.slot(number)).unwrap();
        let shown = story.core.show(vip);
        (shown.status, shown.election_key, shown.group)
    };
    let all = ("ACTIVATED".to_owned(), "group:gw".to_owned(), Some("gw".to_owned()));
    assert_eq!([shown(1), shown(2)], [all.clone(), all]);
    assert_eq!(shown(3).0, "STANDBY");
}

#[test]
fn all_ips_of_a_group_have_moved_for_the_same_reason() {
    let mut story = Story::of_group(&[grouped(1), grouped(2)], &group(&[1, 2], 70));
    let others = Status { owner: Some("h2".to_owned()), ..Status::starting() };
    story.notice(story.slot(1), Notice::Status(Arc::new(others)));
    // The failure detector knows the IP for which the hosts are elected.
    story.core.move_begins(&[story.slot(1)], "host h2 is dead", story.now);
    story.owns(1);
    let moved = story.done.iter().filter_map(|action| {
        let Action::Happened(_, it) = action else { return None };
        (it.kind == Kind::Move).then_some((it.ip, it.why.as_str()))
    });
    let expected = [1, 2].map(|number| (Some(grouped(number).cidr), "host h2 is dead"));
    assert_eq!(moved.collect::<Vec<_>>(), expected);
}

#[test]
fn a_host_that_does_not_offer_all_of_a_group_has_an_election_for_each_ip() {
    let mut story = Story::of_group(&[grouped(1)], &group(&[1, 2], 70));
    let first = story.slot(1);
    assert_eq!(story.starts(), [(first, "10.0.0.1_32".to_owned(), 1)]);
}

#[test]
fn ips_that_join_are_taken_over_by_an_election_that_is_started_before_those_of_the_ips_end() {
    let records = [grouped(1), grouped(2)];
    let mut story = Story::of_group(&records, &Group::default());
    let (first, second) = (story.slot(1), story.slot(2));
    assert_eq!(story.starts().len(), 2);
    story.reads(view(Group::default(), None, &[(1, "h1", LEASE), (2, "h1", LEASE)]));
    let regroup = story.regroup().expect("it founds the group");
    assert_eq!((regroup.right, regroup.joins.len()), (Right::Founder, 2));
    story.done.clear();
    story.regrouped(regroup, group(&[1, 2], 101));
    let start = story.done.iter().position(|it| matches!(it, Action::Start { .. }));
    let end = story.done.iter().position(|it| matches!(it, Action::End(_)));
    assert!(start.is_some() && start < end, "{:#?}", story.done);
    assert_eq!(story.starts(), [(first, "group:gw@101".to_owned(), 2)]);
    assert_eq!(story.ends(), [second]);
    story.feed(Event::Timer(Timer::Copy));
    assert!(story.copy().is_some_and(|copy| copy.groups == [(gw(), group(&[1, 2], 101))]));
}

#[test]
fn another_ip_joins_a_group_and_one_leaves_it_without_an_order_to_any_address() {
    let records = [grouped(1), grouped(2), grouped(3)];
    let mut story = Story::of_group(&records, &group(&[2, 3], 70));
    let (first, second) = (story.slot(1), story.slot(2));
    story.done.retain(|action| matches!(action, Action::Ask(Request::Group(..))));
    let now = view(
        group(&[2, 3], 70),
        Some(("h1", LEASE)),
        &[(1, "h1", LEASE), (2, "group:gw", 0), (3, "group:gw", 0)],
    );
    story.reads(now);
    let regroup = story.regroup().expect("it joins");
    story.regrouped(regroup, group(&[1, 2, 3], 101));
    assert_eq!(story.starts(), [(first, "group:gw@101".to_owned(), 3)]);
    assert_eq!(story.ends(), [second, story.slot(3)]);
    // It leaves again: the operator wants it by itself.
    let change = crate::command::Change { group: Some(None), ..Default::default() };
    story.command(Command::Change(id(3), change));
    let write = story.take_ask(|request| matches!(request, Request::WriteRecord(_))).unwrap();
    story.answer(write, written(102));
    story.take_ask(|request| matches!(request, Request::Group(..)));
    story.core.table.known(&gw()).asked = false;
    story.core.groups_due([gw()]);
    story.feed(Event::Timer(Timer::Presence));
    let marked = [(1, "group:gw", 0), (2, "group:gw", 0), (3, "group:gw", 0)];
    story.reads(view(group(&[1, 2, 3], 101), Some(("h1", LEASE)), &marked));
    let regroup = story.regroup().expect("it leaves");
    assert_eq!(regroup.leaves.len(), 1);
    story.done.clear();
    story.regrouped(regroup, group(&[1, 2], 103));
    let third = story.slot(3);
    let expected = [(first, "group:gw@103".to_owned(), 2), (third, "10.0.0.3_32".to_owned(), 1)];
    assert_eq!(story.starts(), expected);
    assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::Leave))));
}

#[test]
fn who_gives_a_group_up_goes_on_with_what_is_left_by_itself() {
    let mut story = Story::of_group(&[grouped(1), grouped(2)], &group(&[1, 2], 70));
    let (first, second) = (story.slot(1), story.slot(2));
    story.done.retain(|action| matches!(action, Action::Ask(Request::Group(..))));
    let token = story.command(Command::Delete(id(1)));
    story.take_ask(|request| matches!(request, Request::DeleteRecord(..)));
    story.answer(Request::DeleteRecord(id(1), 60), store::Answer::Deleted(Ok(())));
    assert!(!story.did(|action| matches!(action, Action::Tell(..))), "it is looked first");
    let now =
        view(group(&[1, 2], 70), Some(("h1", LEASE)), &[(1, "group:gw", 0), (2, "group:gw", 0)]);
    let candidates = vec!["h1".to_owned(), "h2".to_owned()];
    let now = GroupView { candidates, is_offered: true, ..now };
    story.reads(now.clone());
    // It was asked for before it was known.
    if story.did(|action| matches!(action, Action::Ask(Request::Group(..)))) {
        let again = Request::Group(gw(), vec![grouped(1).cidr, grouped(2).cidr]);
        story.answer(again, store::Answer::Group(Box::new(now)));
    }
    story.expect_tell(first, Order::Leave);
    story.notice(first, Notice::Left { cleanup_pending: false });
    assert!(story.replied(token));
    assert_eq!(story.starts(), [(second, "10.0.0.2_32".to_owned(), 1)]);
}

#[test]
fn without_etcd_what_belonged_to_a_group_is_elected_together() {
    let records = [grouped(1), grouped(2)];
    let groups = vec![(gw(), group(&[1, 2], 70))];
    let mut story = Story::begin(Some(LocalCopy { groups, ..copy_of(&records) }));
    story.fail(Request::Load, not_sent());
    let first = story.slot(1);
    assert_eq!(story.starts(), [(first, "group:gw@70".to_owned(), 2)]);
    // One that is deleted goes at once, and the other stays.
    let token = story.command(Command::Delete(id(1)));
    let second = story.slot(2);
    let alone = (first, "10.0.0.1_32".to_owned(), 1);
    assert_eq!(story.starts(), [(second, "group:gw@70".to_owned(), 1), alone]);
    story.expect_tell(first, Order::Leave);
    story.notice(first, Notice::Left { cleanup_pending: true });
    assert!(story.replied(token));
}

#[test]
fn what_goes_on_without_one_of_its_ips_is_not_on_its_way_to_another_host() {
    let records = [grouped(1), grouped(2)];
    let groups = vec![(gw(), group(&[1, 2], 70))];
    let mut story = Story::begin(Some(LocalCopy { groups, ..copy_of(&records) }));
    story.fail(Request::Load, not_sent());
    let (first, second) = (story.slot(1), story.slot(2));
    story.core.withdraw(&gw());
    story.core.out.clear();
    story.command(Command::Delete(id(1)));
    story.expect_tell(first, Order::Leave);
    // Its election is another, which was told nothing of that.
    assert!(
        !story.did(|action| matches!(action, Action::Tell(slot, Order::Leave) if *slot == second))
    );
    assert!(story.core.table.seat_of(&gw()).is_some_and(|(_, seat)| !seat.leaves));
}

#[test]
fn of_a_group_the_first_ip_says_what_holds_for_all() {
    let of_no_group = Record { priority: Some(3), ..record(0, 60) };
    let first = Record { priority: Some(7), ..grouped(1) };
    let mut story = Story::running(&[of_no_group, first]);
    let new = |priority| crate::command::NewVip {
        cidr: record(2, 0).cidr,
        checks: Vec::new(),
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority,
        group: Some(gw()),
        force: true,
    };
    let token = story.command(Command::Create(new(Some(9))));
    let refusal = story.reply(token).unwrap_err().to_string();
    assert_eq!(refusal, "priority: 9 is not that of 10.0.0.1/32, 7, which holds for group gw");
    let token = story.command(Command::Create(new(Some(7))));
    assert!(!story.replied(token));
    assert_eq!(ElectionKey::Group(gw(), 3).text(), "group:gw");
}

#[test]
fn what_an_election_tells_after_another_has_taken_its_place_is_not_heard() {
    let records = [grouped(1), grouped(2)];
    let mut story = Story::of_group(&records, &Group::default());
    let first = story.slot(1);
    let before = story.core.table.get(first).unwrap().election.serial.unwrap();
    story.reads(view(Group::default(), None, &[(1, "h1", LEASE), (2, "h1", LEASE)]));
    let regroup = story.regroup().unwrap();
    story.regrouped(regroup, group(&[1, 2], 101));
    story.feed(Event::Election(first, before, Notice::Left { cleanup_pending: false }));
    assert!(story.core.table.seat(first).is_some());
    story.notice(first, Notice::Left { cleanup_pending: false });
    assert!(story.core.table.seat(first).is_none());
}

#[test]
fn what_etcd_refuses_an_election_is_heard_also_when_etcd_was_lost_for_those_before() {
    let mut story = Story::of_group(&[grouped(1), grouped(2)], &Group::default());
    let (first, second) = (story.slot(1), story.slot(2));
    story.reads(view(Group::default(), None, &[(1, "h1", LEASE), (2, "h1", LEASE)]));
    let regroup = story.regroup().unwrap();
    let refuses = |story: &mut Story, slot| story.notice(slot, Notice::Refused("no".to_owned()));
    [first, second].into_iter().for_each(|slot| refuses(&mut story, slot));
    story.timer(Timer::Refused);
    story.expect_tell(first, Order::Lease(Lease::Lost));
    story.expect_tell(second, Order::Lease(Lease::Lost));
    story.regrouped(regroup, group(&[1, 2], 101));
    story.done.clear();
    refuses(&mut story, first);
    story.expect_tell(first, Order::Lease(Lease::Lost));
}

#[test]
fn a_failover_of_an_ip_that_joins_meanwhile_is_answered() {
    let mut story = Story::of_group(&[grouped(1), grouped(2)], &group(&[1], 70));
    story.owns(2);
    story.reads_all(&view(group(&[1], 70), Some(("h1", LEASE)), &[]));
    let token = story.command(Command::Failover(id(2), None));
    story.core.group_changed(gw());
    story.feed(Event::Timer(Timer::Presence));
    // Another host has done it, as the owner of both before.
    story.reads(view(group(&[1, 2], 71), Some(("h2", 9)), &[]));
    let refusal = story.reply(token).unwrap_err().to_string();
    assert!(refusal.contains("its group has changed"), "{refusal}");
}

#[test]
fn an_owner_that_stops_frees_what_others_offer_in_parts_and_then_hands_over_each_ip() {
    let records = [grouped(1), grouped(2)];
    let mut story = Story::of_group(&records, &group(&[1, 2], 70));
    let (first, second) = (story.slot(1), story.slot(2));
    story.owns(1);
    let marked = [(1, "group:gw", 0), (2, "group:gw", 0)];
    let now = view(group(&[1, 2], 70), Some(("h1", LEASE)), &marked);
    story.reads_all(&now);
    story.done.clear();
    story.feed(Event::Stop(StopPolicy::Release));
    assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::Leave))));
    story.reads(now);
    let regroup = story.regroup().expect("the group ends");
    assert_eq!((regroup.leaves.len(), regroup.members()), (2, Vec::new()));
    story.regrouped(regroup, Group::default());
    let alone = |slot, number: u8| (slot, format!("10.0.0.{number}_32"), 1);
    assert_eq!(story.starts(), [alone(first, 1), alone(second, 2)]);
    story.expect_tell(first, Order::Leave);
    story.expect_tell(second, Order::Leave);
    story.notice(first, Notice::Left { cleanup_pending: false });
    story.notice(second, Notice::Left { cleanup_pending: false });
    story.expect(&Action::Revoke(LEASE));
}

#[test]
fn an_owner_that_stops_while_etcd_does_not_answer_gives_its_group_up_as_a_whole() {
    for lost in [true, false] {
        let mut story = Story::of_group(&[grouped(1), grouped(2)], &group(&[1, 2], 70));
        let first = story.slot(1);
        story.owns(1);
        story.reads_all(&view(group(&[1, 2], 70), Some(("h1", LEASE)), &[]));
        story.done.clear();
        story.feed(Event::Stop(StopPolicy::Release));
        if lost {
            story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 100 });
        } else {
            let read = story.take_ask(|request| matches!(request, Request::Group(..))).unwrap();
            story.fail(read, not_sent());
        }
        story.expect_tell(first, Order::Leave);
    }
}

#[test]
fn a_lock_that_was_taken_for_what_belonged_to_the_group_before_is_let_go() {
    let mut story = Story::of_group(&[grouped(1)], &group(&[1, 2], 70));
    let candidates = vec!["h2".to_owned()];
    let now = view(group(&[1, 2], 70), Some(("h1", LEASE)), &[(1, "group:gw", 0)]);
    story.reads_all(&GroupView { candidates, ..now });
    let keys = vec!["/link/default/group:gw".to_owned()];
    story.expect_ask(&Request::Release { lease: LEASE, keys });
}
