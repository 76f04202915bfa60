//! What hooks are told of an IP, and when.

use super::*;
use crate::election::Tally;
use crate::fsm::{self, State};
use crate::history::Kind;
use crate::hooks;

const OTHER: Option<&str> = Some("h2");
const OWN: Option<&str> = Some("h1");

impl Story {
    /// 10.0.0.1 shows this.
    fn shows(&mut self, state: State, owner: Option<&str>, bound: bool, conflict: bool) {
        let owner = owner.map(str::to_owned);
        let tally = Tally { conflict, ..Tally::default() };
        let status = Status { state, owner, bound, tally, ..Status::starting() };
        self.notice(self.slot(1), Notice::Status(Arc::new(status)));
    }

    /// The state of 10.0.0.1 has changed.
    fn changes(&mut self, state: State, event: fsm::Event) {
        let changed = Kind::transition(State::Standby, state, event).because("it is so");
        self.notice(self.slot(1), Notice::Happened(changed.to(record(1, 5).cidr)));
    }

    /// What was recorded (-) and told since this was asked last, in order.
    fn told(&mut self) -> Vec<String> {
        let told = self.done.iter().filter_map(|action| {
            if let Action::Notify(it) = action {
                assert_eq!((it.cidr, it.id.as_str()), (record(1, 5).cidr, id(1).as_str()));
                return Some(format!("{} {}", it.state, it.event));
            }
            let (Action::Record(it) | Action::Happened(_, it)) = action else { return None };
            (it.kind != Kind::Move).then(|| "-".to_owned())
        });
        let told = told.collect();
        self.done.clear();
        told
    }
}

#[test]
fn a_change_is_told_after_it_is_recorded_and_when_the_kernel_agrees() {
    let mut story = Story::running(&[record(1, 5)]);
    story.shows(State::Standby, None, false, false);
    assert_eq!(story.told(), [""; 0], "whose it is, is not known");
    story.changes(State::Activated, fsm::Event::Elected);
    story.shows(State::Activated, OWN, false, false);
    assert_eq!(story.told(), ["-"]);
    story.shows(State::Activated, OWN, true, false);
    story.shows(State::Activated, OWN, true, false);
    assert_eq!(story.told(), ["ACTIVATED elected"]);
    story.changes(State::Standby, fsm::Event::Demoted);
    assert_eq!(story.told(), ["-", "STANDBY demoted"]);
    story.shows(State::Standby, OTHER, false, false);
    // One that the kernel has never had is told before the next, so that nothing is missing.
    story.changes(State::Activated, fsm::Event::Fault);
    story.changes(State::Failing, fsm::Event::HealthCheckFail);
    assert_eq!(story.told(), ["-", "ACTIVATED fault", "-", "FAILING health_check_fail"]);
}

#[test]
fn a_host_that_waits_from_the_first_is_told_once() {
    let mut story = Story::running(&[record(1, 5)]);
    story.shows(State::Standby, OTHER, false, false);
    story.shows(State::Standby, Some("h3"), false, false);
    assert_eq!(story.told(), ["STANDBY start"]);
}

#[test]
fn the_winner_of_a_conflict_is_told_again_when_it_is_over() {
    let mut story = Story::running(&[record(1, 5)]);
    story.changes(State::Activated, fsm::Event::Elected);
    story.shows(State::Activated, OWN, true, false);
    let _ = story.told();
    let slot = story.slot(1);
    story.notice(slot, Notice::Acknowledged);
    assert_eq!(story.told(), [""; 0], "the former owner says that it has let go");
    story.shows(State::Activated, OWN, true, true);
    story.shows(State::Activated, OWN, true, false);
    assert_eq!(story.told(), ["-", "ACTIVATED conflict_over"]);
    story.now += Duration::from_secs(10);
    story.notice(slot, Notice::Acknowledged);
    assert_eq!(story.told(), ["-", "ACTIVATED conflict_over"]);
    // Another host has it.
    story.changes(State::Standby, fsm::Event::Demoted);
    story.shows(State::Standby, OTHER, false, false);
    story.notice(slot, Notice::Acknowledged);
    assert_eq!(story.told(), ["-", "STANDBY demoted"]);
}

#[test]
fn that_another_lets_go_is_told_only_where_the_ip_is_in_etcd_and_in_the_kernel() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.shows(State::Standby, OTHER, false, true);
    story.shows(State::Standby, OTHER, false, false);
    assert_eq!(story.told(), ["STANDBY start"], "a conflict that another has won");
    // It is elected, and the kernel has not got the address yet.
    story.changes(State::Activated, fsm::Event::Elected);
    story.shows(State::Activated, OWN, false, false);
    story.notice(slot, Notice::Acknowledged);
    assert_eq!(story.told(), ["-"]);
    story.shows(State::Activated, OWN, true, false);
    assert_eq!(story.told(), ["ACTIVATED elected"]);
    // Another host has taken it in etcd, and this one has not given it up yet.
    story.now += Duration::from_secs(10);
    story.shows(State::Activated, OTHER, true, false);
    story.notice(slot, Notice::Acknowledged);
    assert_eq!(story.told(), [""; 0]);
}

#[test]
fn for_two_seconds_after_a_handover_it_is_the_former_owner_that_lets_go() {
    for (after, told) in [(1999, vec![]), (2000, vec!["-", "ACTIVATED conflict_over"])] {
        let mut story = Story::running(&[record(1, 5)]);
        story.changes(State::Activated, fsm::Event::Elected);
        story.shows(State::Activated, OWN, true, false);
        let _ = story.told();
        story.now += Duration::from_millis(after);
        story.notice(story.slot(1), Notice::Acknowledged);
        assert_eq!(story.told(), told);
    }
}

#[test]
fn who_took_it_without_etcd_and_keeps_it_is_told_at_once_when_another_lets_go() {
    let mut story = Story::running(&[record(1, 5)]);
    story.changes(State::Activated, fsm::Event::Fault);
    story.shows(State::Activated, OWN, true, false);
    story.notice(story.slot(1), Notice::Acknowledged);
    assert_eq!(story.told(), ["-", "ACTIVATED fault", "-", "ACTIVATED conflict_over"]);
}

#[test]
fn an_ip_that_is_forgotten_while_it_is_here_is_told() {
    let mut story = Story::running(&[record(1, 5)]);
    story.changes(State::Activated, fsm::Event::Elected);
    story.shows(State::Activated, OWN, true, false);
    let _ = story.told();
    let slot = story.slot(1);
    let _ = story.core.forget(slot);
    let out = std::mem::take(&mut story.core.out);
    story.done.extend(out);
    assert_eq!(story.told(), ["-", "STANDBY removed"]);
    let event = hooks::Event::Removed;
    assert_eq!(event.to_string(), "removed");
}
