//! What of a group is given up, and what nobody is to have by itself any more, when the group is not changed.

use super::groups::{group, gw, view};
use super::regroup::{AGAIN, own, whole};
use super::*;
use crate::store::{Group, GroupView, Left, Right};

/// The first of two IPs of a group is deleted, and etcd is asked to take it from the group.
fn deleting() -> (Story, Token, Request) {
    let mut story = whole();
    let token = story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 60), store::Answer::Deleted(Ok(())));
    story.is_read_at(&GroupView { candidates: vec!["h1".to_owned()], ..own() }, 102);
    let regroup = story.changes_group().expect("it leaves");
    (story, token, Request::Regroup(Box::new(regroup)))
}

#[test]
fn an_ip_of_a_group_that_was_deleted_is_given_up_also_when_etcd_does_not_take_it_from_the_group() {
    let lost = |story: &mut Story, _| {
        story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 102 });
    };
    let refused = |story: &mut Story, regroup| story.fail(regroup, refused());
    for ends in [&lost as &dyn Fn(&mut Story, Request), &refused] {
        let (mut story, token, regroup) = deleting();
        let (first, second) = (story.slot(1), story.slot(2));
        ends(&mut story, regroup);
        story.expect_tell(first, Order::Leave);
        let goes_on = story.core.table.seat_of(&gw()).map(|(leader, seat)| (leader, seat.leaves));
        assert_eq!(goes_on, Some((second, false)), "the other has the group without it");
        story.notice(first, Notice::Left { cleanup_pending: true });
        assert_eq!(story.reply(token), Ok(Answer::Done));
        assert!(!story.did(|it| *it == Action::Tell(second, Order::Leave)));
    }
    // Somebody else has changed the group: it is looked at again.
    let (mut story, _, regroup) = deleting();
    story.answer(regroup, store::Answer::Regrouped(None));
    assert!(!story.did(|it| matches!(it, Action::Tell(_, Order::Leave))));
}

#[test]
fn a_group_all_of_which_was_deleted_is_given_up_when_etcd_does_not_change_it() {
    let (mut story, token, regroup) = deleting();
    let first = story.slot(1);
    let other = story.command(Command::Delete(id(2)));
    story.answer(Request::DeleteRecord(id(2), 60), store::Answer::Deleted(Ok(())));
    story.fail(regroup, refused());
    story.expect_tell(first, Order::Leave);
    story.notice(first, Notice::Left { cleanup_pending: true });
    assert!(story.reply(token).is_ok() && story.reply(other).is_ok());
    assert!(story.core.table.is_empty());
}

#[test]
fn an_ip_of_a_group_that_was_deleted_is_given_up_also_when_the_name_of_the_host_is_lost() {
    let (mut story, token, _) = deleting();
    let (first, second) = (story.slot(1), story.slot(2));
    story.feed(Event::WatchOpened(Gap::Reconnected));
    let host = HostKey { lease: Some(99), instance: Some(machine(2)), revision: 60 };
    story.answer_load_at(Found { host: Some(host), ..found(&[]) }, 200);
    story.feed(Event::LeaseLeft(99, Some((4, 5))));
    for slot in [first, second] {
        story.expect_tell(slot, Order::Leave);
        story.notice(slot, Notice::Left { cleanup_pending: true });
    }
    assert!(story.reply(token).is_ok() && story.core.table.is_empty());
}

#[test]
fn an_owner_whose_group_is_deleted_in_etcd_goes_on_and_writes_it_again() {
    let mut story = whole();
    story.feed(Event::Timer(Timer::Groups));
    let deleted = GroupView { group: Group::default(), ..own() };
    story.is_read_at(&deleted, 102);
    let change = story.changes_group().expect("it is written again");
    assert_eq!((change.right, change.members()), (Right::Owner, group(&[1, 2], 0).members));
    let starts = |it: &&Action| matches!(it, Action::Start { .. });
    assert_eq!(story.done.iter().filter(starts).count(), 0, "they would find foreign locks");
    let answer = store::Answer::Regrouped(Some(group(&[1, 2], 103)));
    story.feed(Event::Answered(Request::Regroup(Box::new(change)), Ok((answer, at(103)))));
    assert_eq!(story.done.iter().filter(starts).count(), 1);
    assert!(story.core.table.seat_of(&gw()).is_some_and(|(_, seat)| seat.slots.len() == 2));
}

#[test]
fn an_ip_whose_group_is_gone_from_etcd_is_freed_by_who_offers_it_by_itself() {
    let records = [record(1, 60)];
    let mut story = Story::of_group(&records, &group(&[1, 2], 70));
    let status = Status { group: Some(gw()), ..Status::starting() };
    story.notice(story.slot(1), Notice::Status(Arc::new(status)));
    let gone = view(Group::default(), None, &[(1, "group:gw", 0)]);
    for revision in [101, 102] {
        assert_eq!(story.changes_group(), None);
        story.is_read_at(&gone, revision);
        assert!(story.looks_again());
        story.now += AGAIN;
        story.feed(Event::Timer(Timer::Groups));
    }
    let change = story.changes_group().expect("it is freed");
    let leaver = store::Leaver { cidr: records[0].cidr, lock: Left::Stray(5) };
    assert_eq!((change.right, change.leaves), (Right::Orphan, vec![leaver]));
}

#[test]
fn what_says_that_it_belongs_to_a_group_is_read_with_the_group() {
    let mut story = Story::of_group(&[record(1, 60)], &Group::default());
    let status = Status { group: Some(gw()), ..Status::starting() };
    story.notice(story.slot(1), Notice::Status(Arc::new(status)));
    let Some(Request::Group(_, ips)) = story.reads_group() else { panic!("it is not read") };
    assert_eq!(ips, [record(1, 60).cidr]);
}
