//! The presence of the agent in etcd, and its calls.

use super::*;
use crate::call::{Purpose, Question};
use crate::cluster::Own;
use crate::failure_detector::CallNews;
use crate::fsm::State;
use crate::network::{Heard, Hearing};

const PRESENCE: Request = Request::WritePresence { lease: LEASE, started: STARTED, drained: false };

impl Story {
    /// A host that holds its lease, has this IP, and is present.
    fn present() -> Story {
        let mut story = Story::begin(None);
        story.load(&[record(1, 5)]);
        story.settle_comparison(&[record(1, 5)]);
        story.expect_ask(&PRESENCE);
        story.answer(PRESENCE, store::Answer::Done);
        story.timer(Timer::Presence);
        story.done.clear();
        story
    }

    fn candidate(&mut self, candidate: bool) {
        let status = Status { candidate: candidate.then_some((true, 100)), ..Status::starting() };
        self.notice(self.slot(1), Notice::Status(Arc::new(status)));
    }

    fn asks_for_presence(&mut self) -> bool {
        self.did(|action| *action == Action::Ask(PRESENCE))
    }

    /// The keys of the lease are looked at.
    fn find_keys(&mut self, keys: &[&str]) {
        self.feed(Event::Timer(Timer::CompareKeys));
        self.expect(&Action::ReadLeaseKeys(LEASE));
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.feed(Event::LeaseKeys(LEASE, Ok(keys)));
    }
}

#[test]
fn an_agent_is_present_on_each_lease_that_it_uses() {
    let mut story = Story::present();
    story.held();
    assert!(!story.asks_for_presence(), "once");
    // Also when the last time was a moment ago.
    story.candidate(true);
    assert!(story.asks_for_presence());
    story.feed(Event::LeaseHeld { id: 8, ttl: TTL });
    story.answer(Request::WriteHost { lease: 8, revision: 50 }, written(101));
    story.expect_ask(&Request::WritePresence { lease: 8, started: STARTED, drained: false });
}

#[test]
fn a_presence_that_etcd_does_not_take_is_tried_again_and_said_once() {
    let mut story = Story::begin(None);
    story.load(&[record(1, 5)]);
    story.expect_ask(&PRESENCE);
    for failure in [unknown(), refused(), refused(), refused(), refused(), refused()] {
        assert!(!story.asks_for_presence(), "not at once");
        story.fail(PRESENCE, failure);
        story.timer(Timer::Presence);
        assert!(story.asks_for_presence());
    }
    let warnings = story.warnings();
    let said = warnings.iter().filter(|text| text.contains("answers calls")).count();
    assert_eq!(said, 1, "{warnings:?}");
    // It is nothing that an IP needs.
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn the_presence_is_written_again_when_candidacies_have_changed_and_once_a_second() {
    let mut story = Story::present();
    for candidate in [true, false, true] {
        story.candidate(candidate);
    }
    assert!(story.asks_for_presence() && !story.asks_for_presence(), "once");
    story.timer(Timer::Presence);
    assert!(story.asks_for_presence(), "of the others");
    story.timer(Timer::Presence);
    story.candidate(true);
    assert!(!story.asks_for_presence(), "nothing has changed");
    story.feed(Event::Stop(StopPolicy::Release));
    story.notice(story.slot(1), Notice::Left { cleanup_pending: false });
    assert!(!story.asks_for_presence(), "it is going to end");
    let mut story = Story::present();
    story.candidate(true);
    assert!(story.asks_for_presence());
    story.timer(Timer::Presence);
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    assert!(!story.asks_for_presence(), "it is still a candidate");
    story.notice(Slot(1), Notice::Left { cleanup_pending: false });
    assert!(story.asks_for_presence());
}

#[test]
fn who_is_available_no_longer_or_again_or_with_another_priority_has_others_read_that() {
    let mut story = Story::present();
    let tell = |story: &mut Story, available, priority| {
        let status = Status { candidate: Some((available, priority)), ..Status::starting() };
        story.notice(story.slot(1), Notice::Status(Arc::new(status)));
        let asks = story.asks_for_presence();
        if asks {
            story.timer(Timer::Presence);
        }
        asks
    };
    assert!(tell(&mut story, true, 100) && !tell(&mut story, true, 100));
    assert!(tell(&mut story, false, 100) && tell(&mut story, true, 100));
    assert!(tell(&mut story, true, 101));
}

#[test]
fn an_owner_that_hears_nobody_any_more_has_others_ask_it() {
    let mut story = Story::present();
    let mut tell = |state, hears_others| {
        let candidate = Some((true, 100));
        let status = Status { candidate, state, hears_others, ..Status::starting() };
        story.notice(story.slot(1), Notice::Status(Arc::new(status)));
        let asks = story.asks_for_presence();
        if asks {
            story.timer(Timer::Presence);
        }
        asks
    };
    assert!(tell(State::Standby, true), "it has become a candidate");
    assert!(!tell(State::Standby, false) && !tell(State::Standby, true), "it has nothing to lose");
    assert!(!tell(State::Activated, true) && tell(State::Activated, false));
    assert!(!tell(State::Activated, false) && !tell(State::Activated, true));
}

#[test]
fn a_presence_that_is_missing_is_written_again() {
    let gone = |lease, revision| Event::Agent { host: "h1".to_owned(), lease, revision };
    for (event, again) in [
        (gone(0, 102), true),
        (gone(LEASE + 1, 102), true),
        (gone(LEASE, 102), false),
        // What was before it was written.
        (gone(0, 100), false),
    ] {
        let mut story = Story::present();
        story.feed(event.clone());
        assert_eq!(story.asks_for_presence(), again, "{event:?}");
        let warnings = story.warnings();
        assert_eq!(warnings.iter().any(|text| text.contains("/link/agents/h1")), again);
    }
    let mut story = Story::present();
    story.find_keys(&["/link/agents/h1"]);
    assert!(!story.asks_for_presence());
    story.find_keys(&[]);
    story.expect_warning("/link/agents/h1");
    assert!(story.asks_for_presence());
}

#[test]
fn a_presence_that_has_ended_with_the_lease_is_not_said_to_be_missing() {
    for event in [
        Event::EtcdLost { why: "silent".to_owned(), revision: 120 },
        Event::Stop(StopPolicy::Release),
    ] {
        let mut story = Story::present();
        story.feed(event);
        let _ = story.warnings();
        story.feed(Event::Agent { host: "h1".to_owned(), lease: 0, revision: 130 });
        assert_eq!(story.warnings(), [""; 0], "it is not written again");
    }
}

#[test]
fn what_a_former_life_has_left_of_its_calls_is_removed() {
    let mut story = Story::present();
    let within = Duration::from_millis(100);
    story.core.call("h2".to_owned(), Slot(1), 7, within);
    story.find_keys(&["/link/agents/h1", "/link/agents/h2/h1", "/link/agents/h3/h1"]);
    story.expect(&Action::Call {
        host: "h2".to_owned(),
        purpose: Purpose::Detection,
        lease: LEASE,
        question: Question { cidr: record(1, 0).cidr, number: 7, within },
    });
    let left = |host: &str| Request::Release {
        lease: LEASE,
        keys: vec![format!("/link/agents/{host}/h1")],
    };
    story.expect_ask(&left("h3"));
    assert_eq!(story.take_ask(|it| matches!(it, Request::Release { .. })), None);
    story.core.end_call("h2".to_owned());
    story.answer(left("h3"), store::Answer::Done);
    story.find_keys(&["/link/agents/h1", "/link/agents/h2/h1"]);
    story.expect(&Action::EndCall("h2".to_owned(), Purpose::Detection));
    story.expect_ask(&left("h2"));
    assert_eq!(story.warnings(), [""; 0]);
}

#[test]
fn nobody_is_called_without_a_lease() {
    let mut story = Story::present();
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 120 });
    let within = Duration::from_millis(100);
    story.core.call("h2".to_owned(), Slot(1), 7, within);
    story.feed(Event::Call(
        "h2".to_owned(),
        Purpose::Detection,
        7,
        CallNews::Answered(Hearing::Others.into()),
    ));
    story.core.end_call("h2".to_owned());
    assert!(!story.did(|action| matches!(action, Action::Call { .. } | Action::EndCall(..))));
}

#[test]
fn the_candidates_are_read_a_while_after_the_first_change_however_many_follow() {
    let mut story = Story::present();
    let arms = |it: &Action| matches!(it, Action::Arm(Timer::Candidates, _));
    let slot = story.slot(1);
    for _ in 0..2 {
        for revision in [60, 61] {
            story.feed(Event::Agent { host: "h2".to_owned(), lease: 9, revision });
            assert_eq!(story.did(arms), revision == 60, "a time that has begun goes on");
        }
        story.feed(Event::Timer(Timer::Candidates));
        story.expect_tell(slot, Order::CandidatesOutdated);
    }
}

#[test]
fn the_hosts_do_not_all_read_the_candidates_at_the_same_moment() {
    let reads_after = |host: u32| {
        let mut story = Story::begin_with(|config| config.host = format!("host{host}"), None);
        story.load(&[record(1, 5)]);
        story.feed(Event::Agent { host: "h2".to_owned(), lease: 9, revision: 60 });
        let after = story.done.iter().find_map(|it| {
            let Action::Arm(Timer::Candidates, after) = it else { return None };
            Some(*after)
        });
        after.expect("they are read")
    };
    let mut after: Vec<Duration> = (0..30).map(reads_after).collect();
    after.sort_unstable();
    after.dedup();
    assert!(after.len() > 20, "few read at the same moment: {after:?}");
    let [first, last] = [3, 6].map(Duration::from_secs);
    assert!(after.iter().all(|it| (first..last).contains(it)), "{after:?}");
    let all: Vec<Duration> = [first].into_iter().chain(after).chain([last]).collect();
    let is_spread = |pair: &[Duration]| pair[1].saturating_sub(pair[0]) < Duration::from_secs(1);
    assert!(all.windows(2).all(is_spread), "{all:?}");
}

#[test]
fn an_owner_in_whose_place_this_host_has_the_ip_is_called_also_where_nobody_else_is() {
    for detects in [true, false] {
        let off = |config: &mut CoreConfig| config.detection = config.detection.filter(|_| detects);
        let mut story = Story::begin_with(off, None);
        story.load(&[record(1, 5)]);
        story.settle_comparison(&[record(1, 5)]);
        let slot = story.slot(1);
        story.feed(Event::Agent { host: "h2".to_owned(), lease: 9, revision: 60 });
        let awaited = Some(("h2".to_owned(), 9));
        let status = |state| Status { state, awaited: awaited.clone(), ..Status::starting() };
        story.notice(slot, Notice::Status(Arc::new(status(State::Activated))));
        assert!(story.did(|it| matches!(it, Action::Call { host, .. } if host == "h2")));
        let answer = Heard { hearing: Hearing::Others, has_address: true };
        story.feed(Event::Call("h2".to_owned(), Purpose::Detection, 1, CallNews::Answered(answer)));
        story.expect_tell(slot, Order::OwnerLives(9));
        story.notice(slot, Notice::Status(Arc::new(status(State::Standby))));
        story.expect(&Action::EndCall("h2".to_owned(), Purpose::Detection));
        assert_eq!(story.did(|it| *it == Action::Tell(slot, Order::Monitor(true))), detects);
    }
}

#[test]
fn of_new_candidates_hear_the_standbys_and_the_owners_that_need_them() {
    let by_probe = Record { loss: Some(LossPolicy::Probe), ..record(2, 5) };
    let mut story = Story::running(&[record(1, 5), by_probe, record(3, 5), record(4, 5)]);
    let is = |state, hears_others| Status { state, hears_others, ..Status::starting() };
    for (number, status, hears) in [
        (1, is(State::Activated, true), false),
        (1, is(State::Activated, false), true),
        (2, is(State::Activated, true), true),
        (3, is(State::Standby, true), true),
        (4, is(State::Failing, true), false),
    ] {
        let slot = story.slot(number);
        story.notice(slot, Notice::Status(Arc::new(status.clone())));
        story.feed(Event::Agent { host: "h2".to_owned(), lease: 9, revision: 300 });
        story.done.retain(|action| matches!(action, Action::Arm(Timer::Candidates, _)));
        story.timer(Timer::Candidates);
        let told = Action::Tell(slot, Order::CandidatesOutdated);
        assert_eq!(story.did(|action| *action == told), hears, "{status:?}");
    }
}

/// What the cluster is asked for, and what the host knows itself.
fn own_knowledge(story: &mut Story) -> Own {
    let token = story.command(Command::Status);
    let asked = story.done.drain(..).find_map(|action| {
        if let Action::ReadCluster(asked, own) = action { Some((asked, own)) } else { None }
    });
    let (asked, own) = asked.expect("etcd is asked");
    assert_eq!(asked, token);
    *own
}

#[test]
fn whoever_asks_for_the_cluster_hears_which_hosts_have_gone() {
    let mut story = Story::present();
    let agent = |host: &str, lease| Event::Agent { host: host.to_owned(), lease, revision: 60 };
    story.feed(agent("h2", 12));
    story.feed(agent("h3", 13));
    story.feed(agent("h4", 0));
    story.feed(agent("h3", 0));
    let own = own_knowledge(&mut story);
    assert_eq!((own.host.as_str(), own.ips.len(), own.problems.len()), ("h1", 1, 0));
    assert_eq!(own.agents, ["h2"]);
    assert_eq!(own.gone, [("h3".to_owned(), 0)], "h4 was never here");
    story.feed(agent("h3", 14));
    let own = own_knowledge(&mut story);
    assert_eq!((own.agents.len(), own.gone.len()), (2, 0));
    for number in 0..1000 {
        story.feed(agent(&format!("a{number}"), 20));
        story.feed(agent(&format!("a{number}"), 0));
    }
    assert_eq!(own_knowledge(&mut story).gone.len(), 100);
}

#[test]
fn an_etcd_that_is_lost_is_not_asked_for_the_cluster() {
    let mut story = Story::present();
    story.feed(Event::EtcdLost { why: "no answer".to_owned(), revision: 60 });
    let token = story.command(Command::Status);
    let Ok(Answer::Cluster(facts)) = story.reply(token) else { panic!("no answer") };
    assert_eq!(facts.etcd, Err("etcd is lost: no answer".to_owned()));
    assert_eq!(facts.own.ips.len(), 1);
    assert_eq!(facts.own.owners, [], "nobody has told who has it");
}
