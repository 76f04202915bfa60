//! What goes into the history: who has asked for what, and which IP has moved, why and how fast.

use std::time::Duration;

use super::*;
use crate::call::Purpose;
use crate::election::Status;
use crate::failure_detector::CallNews;
use crate::history::{Happening, Kind};
use crate::network::Liveness;

/// The host of this story is h1.
fn status(owner: Option<&str>, bound: bool) -> Notice {
    let owner = owner.map(str::to_owned);
    let awaited = owner.clone().filter(|owner| owner != "h1").map(|owner| (owner, 77));
    let usable = Status { interface_usable: true, ..Status::starting() };
    Notice::Status(Arc::new(Status { owner, awaited, bound, ..usable }))
}

impl Story {
    /// After so many milliseconds, this is the owner of 10.0.0.1.
    fn owned(&mut self, millis: u64, owner: Option<&str>, bound: bool) {
        self.now += Duration::from_millis(millis);
        self.notice(self.slot(1), status(owner, bound));
    }

    /// The moves that were told: what, why, and how long they took.
    fn moves(&mut self) -> Vec<(String, String, Option<u128>)> {
        let happened = self.done.iter().filter_map(|action| {
            let Action::Happened(_, it) = action else { return None };
            (it.kind == Kind::Move).then(|| it.clone())
        });
        let told = happened.map(|it: Happening| {
            assert_eq!(it.ip, Some(record(1, 5).cidr));
            (it.what, it.why, it.took.map(|took| took.as_millis()))
        });
        let told = told.collect();
        self.done.clear();
        told
    }
}

fn told(what: &str, why: &str, took: Option<u128>) -> Vec<(String, String, Option<u128>)> {
    vec![(format!("owner {what}"), why.to_owned(), took)]
}

#[test]
fn a_move_takes_from_the_end_of_one_owner_to_the_address_of_the_other() {
    let mut story = Story::running(&[record(1, 5)]);
    story.owned(0, None, false);
    story.owned(1, Some("h2"), false);
    assert_eq!(story.moves(), [], "who has it is no move");
    story.owned(5, None, false);
    story.owned(7, Some("h1"), false);
    assert_eq!(story.moves(), [], "the kernel does not have it yet");
    story.owned(3, Some("h1"), true);
    assert_eq!(story.moves(), told("h2 -> h1", "the lock was free", Some(10)));
    story.owned(50, Some("h3"), true);
    assert_eq!(story.moves(), told("h1 -> h3", "the lock was passed on", None));
    story.owned(9, None, false);
    story.owned(9, Some("h3"), false);
    story.owned(9, Some("h2"), false);
    assert_eq!(story.moves(), told("h3 -> h2", "h2 knows why: see its events", None));
}

#[test]
fn a_move_from_a_dead_host_says_so() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::Agent { host: "h2".to_owned(), lease: 77, revision: 5 });
    story.owned(0, Some("h2"), false);
    story.notice(slot, Notice::Owner(Liveness::Alive));
    story.notice(slot, Notice::Owner(Liveness::Doubted));
    story.feed(Event::Call("h2".to_owned(), Purpose::Detection, 1, CallNews::CameBack));
    story.notice(slot, Notice::Owner(Liveness::Suspect));
    story.now += Duration::from_millis(150);
    story.timer(Timer::Detector);
    story.feed(Event::Call("h2".to_owned(), Purpose::Detection, 2, CallNews::CameBack));
    story.expect_warning("host h2 is dead");
    story.owned(4, Some("h2"), false);
    story.owned(8, Some("h1"), true);
    let moves = story.moves();
    assert!(moves[0].1.starts_with("host h2 is dead"), "{moves:?}");
    // Since about when it fell silent: 150 ms before it was found silent, and 150 more until it was found dead.
    assert_eq!(moves[0].2, Some(312));
}

#[test]
fn what_is_not_known_while_etcd_is_lost_is_no_move() {
    let mut story = Story::running(&[record(1, 5)]);
    story.owned(0, Some("h2"), false);
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 9 });
    story.owned(5, None, true);
    story.held();
    story.owned(5, Some("h2"), true);
    assert_eq!(story.moves(), []);
}

#[test]
fn the_last_known_owner_is_told_without_etcd() {
    let mut story = Story::running(&[record(1, 5)]);
    story.owned(0, Some("h2"), false);
    story.feed(Event::EtcdLost { why: "no answer".to_owned(), revision: 60 });
    story.owned(0, None, false);
    let token = story.command(Command::Status);
    let Ok(Answer::Cluster(facts)) = story.reply(token) else { panic!("no answer") };
    let [(cidr, owner, _)] = &facts.own.owners[..] else { panic!("{facts:?}") };
    assert_eq!((*cidr, owner.as_str()), (record(1, 5).cidr, "h2"));
}
