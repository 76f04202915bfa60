//! When a group is read, and what is done about one that nobody has, that is elsewhere, or that was read too early.

use super::groups::{group, grouped, gw, holder, view};
use super::*;
use crate::command::Change;
use crate::fsm::State;
use crate::store::{Group, GroupView, Right};

/// Between two looks at a group that is not as it should be.
pub(super) const AGAIN: Duration = Duration::from_secs(3);

impl Story {
    pub(super) fn reads_group(&mut self) -> Option<Request> {
        self.take_ask(|request| matches!(request, Request::Group(..)))
    }

    /// Answers the read of the group that is under way, at this revision.
    #[track_caller]
    pub(super) fn is_read_at(&mut self, view: &GroupView, revision: i64) {
        let read = self.reads_group().expect("the group is read");
        let answer = store::Answer::Group(Box::new(view.clone()));
        self.feed(Event::Answered(read, Ok((answer, at(revision)))));
    }

    pub(super) fn looks_again(&mut self) -> bool {
        self.did(|action| *action == Action::Arm(Timer::Groups, AGAIN))
    }

    pub(super) fn changes_group(&mut self) -> Option<store::Regroup> {
        let asked = self.take_ask(|request| matches!(request, Request::Regroup(_)))?;
        if let Request::Regroup(regroup) = asked { Some(*regroup) } else { None }
    }
}

/// A group that has this host as its owner and is as it should be.
pub(super) fn own() -> GroupView {
    view(group(&[1, 2], 70), Some(("h1", LEASE)), &[(1, "group:gw", 0), (2, "group:gw", 0)])
}

pub(super) fn whole() -> Story {
    let mut story = Story::of_group(&[grouped(1), grouped(2)], &group(&[1, 2], 70));
    while story.reads_group().is_some() {
        story.done.push_front(Action::Ask(Request::Group(gw(), Vec::new())));
        story.is_read_at(&own(), 101);
    }
    story.done.clear();
    story
}

#[test]
fn a_group_that_is_as_it_should_be_is_not_looked_at_again_and_again() {
    let mut story = whole();
    story.core.group_changed(gw());
    story.feed(Event::Timer(Timer::Presence));
    story.is_read_at(&own(), 102);
    assert!(!story.looks_again() && story.changes_group().is_none());
    // After a while all are looked at, for what the watch did not tell.
    story.feed(Event::Timer(Timer::Groups));
    assert!(story.reads_group().is_some());
}

#[test]
fn a_group_is_read_once_at_a_time() {
    let mut story = whole();
    story.feed(Event::Timer(Timer::Groups));
    story.core.group_changed(gw());
    story.feed(Event::Timer(Timer::Presence));
    story.is_read_at(&own(), 102);
    story.is_read_at(&own(), 103);
    assert_eq!(story.reads_group(), None);
}

#[test]
fn an_ip_that_is_to_belong_to_another_group_has_both_read_and_another_change_none() {
    let mut story = Story::of_group(&[grouped(1)], &Group::default());
    let elsewhere = view(Group::default(), None, &[(1, "h2", 9)]);
    let answers = |story: &mut Story| {
        let mut names = Vec::new();
        while let Some(Request::Group(name, ips)) = story.reads_group() {
            names.push(name.to_string());
            let answer = store::Answer::Group(Box::new(elsewhere.clone()));
            story.answer(Request::Group(name, ips), answer);
        }
        names
    };
    assert!(!answers(&mut story).is_empty());
    let lan = Some(Some("lan".parse().unwrap()));
    for (change, read) in [
        (Change { group: lan, ..Change::default() }, vec!["gw", "lan"]),
        (Change { priority: Some(Some(7)), ..Change::default() }, vec![]),
        (Change { group: Some(None), ..Change::default() }, vec!["lan"]),
    ] {
        story.command(Command::Change(id(1), change));
        let write = story.take_ask(|it| matches!(it, Request::WriteRecord(_)));
        story.answer(write.expect("it is stored"), written(102));
        assert_eq!(answers(&mut story), read);
    }
}

#[test]
fn what_was_read_of_a_group_before_what_is_known_is_read_again_once() {
    let mut story = whole();
    story.feed(Event::Timer(Timer::Groups));
    story.is_read_at(&own(), 110);
    story.feed(Event::Timer(Timer::Groups));
    let old = view(Group::default(), None, &[]);
    story.is_read_at(&old, 109);
    assert!(story.changes_group().is_none() && !story.did(|it| matches!(it, Action::Start { .. })));
    // etcd itself has gone back if it says so again.
    story.is_read_at(&own(), 109);
    assert_eq!(story.reads_group(), None);
}

#[test]
fn a_group_that_nobody_has_or_stands_for_is_freed_after_a_while() {
    let abandoned = view(group(&[1, 2], 70), None, &[(1, "group:gw", 0)]);
    let offered = GroupView { is_offered: true, ..abandoned.clone() };
    let owned = GroupView { owner: Some(holder("h2", 9)), ..abandoned.clone() };
    for (seen, frees) in [(&abandoned, true), (&offered, false), (&owned, false)] {
        let mut story = Story::of_group(&[grouped(1)], &group(&[1, 2], 70));
        story.is_read_at(seen, 101);
        assert!(story.changes_group().is_none(), "its hosts may be starting");
        assert!(story.looks_again());
        story.now += AGAIN;
        while story.reads_group().is_some() {}
        story.core.table.known(&gw()).asked = false;
        story.feed(Event::Timer(Timer::Groups));
        story.is_read_at(seen, 102);
        let right = story.changes_group().map(|regroup| regroup.right);
        assert_eq!(right, frees.then_some(Right::Orphan), "{seen:?}");
    }
}

#[test]
fn a_change_of_a_group_that_was_refused_ends_nothing_and_one_that_was_made_is_told() {
    let records = [grouped(1), grouped(2)];
    let mut story = Story::of_group(&records, &Group::default());
    let found = view(Group::default(), None, &[(1, "h1", LEASE), (2, "h1", LEASE)]);
    story.is_read_at(&found, 101);
    let regroup = story.changes_group().expect("it founds the group");
    let request = Request::Regroup(Box::new(regroup));
    story.answer(request.clone(), store::Answer::Regrouped(None));
    assert!(!story.did(|it| matches!(it, Action::Tell(_, Order::Leave))));
    story.done.clear();
    story.answer(request, store::Answer::Regrouped(Some(group(&[1, 2], 102))));
    let told = story.done.iter().filter(|action| {
        matches!(action, Action::Happened(_, it) if it.to_string().contains("it belongs to group gw now"))
    });
    assert_eq!(told.count(), 2);
}

#[test]
fn an_ip_of_a_group_that_another_host_owns_is_handed_there_once_in_a_while() {
    let mut story = Story::of_group(&[grouped(1), grouped(2)], &group(&[1], 70));
    let second = story.slot(2);
    let elsewhere = view(group(&[1], 70), Some(("h2", 9)), &[(1, "group:gw", 0), (2, "h1", LEASE)]);
    let hands = |story: &mut Story| {
        while story.reads_group().is_some() {
            story.done.push_front(Action::Ask(Request::Group(gw(), Vec::new())));
            story.is_read_at(&elsewhere, 101);
        }
        story.did(|it| *it == Action::Tell(second, Order::Failover(Some("h2".to_owned()))))
    };
    assert!(hands(&mut story));
    story.core.group_changed(gw());
    story.feed(Event::Timer(Timer::Presence));
    assert!(!hands(&mut story), "it is on its way");
    story.feed(Event::Timer(Timer::Groups));
    assert!(hands(&mut story));
}

#[test]
fn what_an_election_of_a_group_has_in_etcd_is_deleted_when_another_has_taken_its_place() {
    let candidacy = "/link/ips/group:gw@70/h1".to_owned();
    let lock = "/link/default/group:gw".to_owned();
    let smaller = view(group(&[1], 71), Some(("h1", LEASE)), &[(1, "group:gw", 0)]);
    let dissolved = view(Group::default(), None, &[]);
    // The next election of the group has the same lock, and of no group nobody is the owner.
    for (now, keys) in [(smaller, vec![candidacy.clone()]), (dissolved, vec![candidacy, lock])] {
        let mut story = whole();
        story.feed(Event::Timer(Timer::Groups));
        story.is_read_at(&now, 102);
        story.expect_ask(&Request::Release { lease: LEASE, keys });
    }
}

#[test]
fn an_ip_of_a_group_that_is_deleted_while_etcd_is_lost_is_given_up_at_once() {
    let mut story = whole();
    let (first, second) = (story.slot(1), story.slot(2));
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 101 });
    let token = story.command(Command::Delete(id(1)));
    story.expect_tell(first, Order::Leave);
    story.notice(first, Notice::Left { cleanup_pending: true });
    assert_eq!(story.reply(token), Ok(Answer::Done));
    let goes_on = story.core.table.seat_of(&gw()).map(|(leader, seat)| (leader, seat.leaves));
    assert_eq!(goes_on, Some((second, false)), "the other has the group without it");
}

#[test]
fn the_owner_of_a_group_that_falls_silent_is_called_also_when_another_host_is_next() {
    let mut story = whole();
    let first = story.slot(1);
    story.feed(Event::Agent { host: "h2".to_owned(), lease: 9, revision: 60 });
    for next in [true, false] {
        let status = Status {
            state: State::Standby,
            owner: Some("h2".to_owned()),
            awaited: Some(("h2".to_owned(), 9)),
            interface_usable: true,
            next,
            ..Status::starting()
        };
        story.notice(first, Notice::Status(Arc::new(status)));
    }
    // The election hears the owner through the first IP, whichever the detector would like.
    story.notice(first, Notice::Owner(Liveness::Alive));
    story.notice(first, Notice::Owner(Liveness::Doubted));
    assert!(story.did(|it| matches!(it, Action::Call { host, .. } if host == "h2")));
}

#[test]
fn the_lock_of_a_group_that_another_host_owns_is_not_released() {
    let mut story = Story::of_group(&[grouped(1)], &group(&[1, 2], 70));
    let now = view(group(&[1, 2], 70), Some(("h2", 9)), &[(1, "group:gw", 0)]);
    story.is_read_at(&now, 101);
    assert_eq!(story.take_ask(|request| matches!(request, Request::Release { .. })), None);
}

#[test]
fn a_group_is_read_when_the_owner_of_an_ip_is_another_and_not_when_that_is_told_again() {
    let mut story = whole();
    for (owner, reads) in [("h1", true), ("h1", false), ("h2", true), ("h2", false)] {
        let status = Status { owner: Some(owner.to_owned()), ..Status::starting() };
        story.notice(story.slot(1), Notice::Status(Arc::new(status)));
        let asks = |it: &Action| matches!(it, Action::Ask(Request::Group(..)));
        assert_eq!(story.done.iter().any(asks), reads, "{owner}");
        if reads {
            story.is_read_at(&own(), 110);
        }
    }
}

#[test]
fn a_machine_that_has_lost_the_name_of_the_host_or_revokes_its_lease_reads_no_group() {
    let mut story = whole();
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.is_read_at(&own(), 102);
    let host = HostKey { lease: Some(99), instance: Some(machine(2)), revision: 60 };
    story.answer_load(Found { host: Some(host), ..found(&[grouped(1), grouped(2)]) });
    story.feed(Event::LeaseLeft(99, Some((4, 5))));
    story.feed(Event::Timer(Timer::Groups));
    assert_eq!(story.reads_group(), None);

    let mut story = whole();
    story.feed(Event::Stop(StopPolicy::Release));
    story.is_read_at(&own(), 102);
    let change = story.changes_group().expect("its IPs are freed");
    story.answer(Request::Regroup(Box::new(change)), store::Answer::Regrouped(None));
    story.timer(Timer::StopAtLast);
    story.expect(&Action::Revoke(LEASE));
    story.feed(Event::Timer(Timer::Groups));
    assert_eq!(story.reads_group(), None);
}

/// A host that wants these IPs in a group to which those belong; and what it reads of that.
fn wants(numbers: std::ops::RangeInclusive<u8>, members: &[u8]) -> (Story, Request) {
    let records: Vec<Record> = numbers.map(grouped).collect();
    let mut story = Story::begin_with(|config| config.permits.max_ips = None, None);
    let groups = vec![(gw(), group(members, 70))];
    story.answer_load(Found { groups, ..found(&records) });
    story.held();
    let read = story.reads_group().expect("it is read");
    (story, read)
}

#[test]
fn what_is_to_join_a_group_is_read_with_it_and_no_more_than_etcd_takes_in_a_transaction() {
    let members: Vec<u8> = (1..=32).collect();
    let (mut story, read) = wants(21..=48, &members[..20]);
    let Request::Group(_, asked) = &read else { panic!("{read:?}") };
    let all = view(group(&members[..20], 70), Some(("h2", 9)), &[(48, "h1", LEASE)]);
    let ips = all.ips.into_iter().filter(|ip| asked.contains(&ip.cidr)).collect();
    story.answer(read, store::Answer::Group(Box::new(GroupView { ips, ..all })));
    story.expect_tell(story.slot(48), Order::Failover(Some("h2".to_owned())));

    let (_, read) = wants(33..=64, &members);
    let operations = store::txn_of(&read, "h1", &machine(1), HISTORY).then.len();
    assert!(operations <= 128, "{operations}");
}

#[test]
fn a_change_that_was_refused_lets_who_runs_go_on_and_who_stops_give_the_group_up() {
    let refuse = |story: &mut Story| {
        let request = Request::Regroup(Box::new(story.changes_group().expect("a change")));
        story.answer(request, store::Answer::Regrouped(None));
        let first = story.slot(1);
        story.did(|it| *it == Action::Tell(first, Order::Leave))
    };
    let records = [grouped(1), grouped(2), grouped(3)];
    let mut story = Story::of_group(&records, &group(&[1, 2], 70));
    let mut joins = own();
    joins.ips.extend(view(Group::default(), None, &[(3, "h1", LEASE)]).ips);
    story.is_read_at(&joins, 101);
    assert!(!refuse(&mut story));

    let mut story = whole();
    story.feed(Event::Stop(StopPolicy::Release));
    story.is_read_at(&own(), 102);
    assert!(refuse(&mut story));
}

#[test]
fn a_group_that_is_complete_is_looked_at_again_while_it_has_no_owner_or_another_has_a_lock_of_it() {
    let free = GroupView { owner: None, ..own() };
    let locks = [(1, "group:gw", 0), (2, "h3", 11)];
    let taken = view(group(&[1, 2], 70), Some(("h1", LEASE)), &locks);
    for seen in [free, taken] {
        let mut story = whole();
        story.feed(Event::Timer(Timer::Groups));
        story.is_read_at(&seen, 102);
        assert!(story.looks_again(), "{seen:?}");
    }
}

#[test]
fn who_gives_a_group_up_keeps_its_lock_until_the_addresses_are_gone() {
    let mut story = whole();
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 60), store::Answer::Deleted(Ok(())));
    let candidates = vec!["h1".to_owned(), "h2".to_owned()];
    story.is_read_at(&GroupView { candidates, is_offered: true, ..own() }, 102);
    story.expect_tell(story.slot(1), Order::Leave);
    assert_eq!(story.take_ask(|request| matches!(request, Request::Release { .. })), None);
}

#[test]
fn the_lock_of_a_group_that_is_being_founded_is_not_released() {
    let mut story = Story::of_group(&[grouped(1)], &Group::default());
    story.is_read_at(&view(Group::default(), None, &[(1, "h1", LEASE)]), 101);
    let founds = Request::Regroup(Box::new(story.changes_group().expect("it founds the group")));
    story.feed(Event::Timer(Timer::CompareKeys));
    story.expect(&Action::ReadLeaseKeys(LEASE));
    // etcd has done it, and its answer is late.
    let keys = vec!["/link/default/group:gw".to_owned()];
    let releases = |story: &mut Story| {
        story.feed(Event::LeaseKeys(LEASE, Ok(keys.clone())));
        story.take_ask(|request| matches!(request, Request::Release { .. }))
    };
    assert_eq!(releases(&mut story), None);
    story.answer(founds, store::Answer::Regrouped(None));
    story.feed(Event::Timer(Timer::CompareKeys));
    assert!(releases(&mut story).is_some(), "it was left by another life");
}
