//! What the API asks for, and every way in which etcd can answer.

use super::*;
use crate::command::{Change, NewVip};
use crate::fsm::State;
use crate::lock::{Candidate, OtherPrefix};
use crate::store::Obstacle;
use crate::vip::Check;
use crate::wire;

pub(super) fn new(number: u8) -> Command {
    Command::Create(NewVip {
        cidr: format!("10.0.0.{number}").parse().unwrap(),
        checks: Vec::new(),
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority: None,
        group: None,
        force: false,
    })
}

impl Story {
    /// Registers 10.0.0.`number` as far as etcd has to answer.
    fn create(&mut self, number: u8) -> (Token, Request) {
        let token = self.command(new(number));
        let write = self.take_ask(|request| matches!(request, Request::WriteRecord(_)));
        (token, write.expect("it is stored"))
    }

    fn change(&mut self) -> (Token, Request) {
        let checks = Some(Vec::<Check>::new());
        let loss = Some(Some(LossPolicy::Hold));
        let token =
            self.command(Command::Change(id(1), Change { checks, loss, ..Change::default() }));
        (token, Request::WriteRecord(Record { loss: Some(LossPolicy::Hold), ..record(1, 5) }))
    }

    fn status(&mut self, number: u8, state: State) {
        let status = Status { state, owner: Some("h1".to_owned()), ..Status::starting() };
        self.notice(self.slot(number), Notice::Status(Arc::new(status)));
    }
}

#[test]
fn a_new_ip_is_stored_before_it_is_answered_and_only_then_campaigns() {
    let mut story = Story::running(&[]);
    let (token, write) = story.create(1);
    assert!(!story.replied(token));
    assert_eq!(story.listed(), [""; 0], "it is shown to nobody");
    let slot = story.slot(1);
    assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::Lease(Lease::Held(_))))));
    story.answer(write, written(101));
    assert!(matches!(story.reply(token), Ok(Answer::One(_))));
    story.expect_tell(slot, Order::Lease(Lease::Held(LEASE)));
    assert_eq!(story.copy().unwrap().records.len(), 1);
}

#[test]
fn a_stop_right_after_a_registration_leaves_all_ips_in_the_copy() {
    for policy in [StopPolicy::Release, StopPolicy::Keep] {
        let mut story = Story::running(&[record(1, 5)]);
        for number in [2, 3] {
            let (_, write) = story.create(number);
            story.answer(write, written(101));
        }
        assert_eq!(story.copy().unwrap().records.len(), 2, "the next copy has to wait");
        story.feed(Event::Stop(policy));
        for number in [1, 2, 3].into_iter().filter(|_| policy == StopPolicy::Release) {
            story.notice(story.slot(number), Notice::Left { cleanup_pending: false });
        }
        story.feed(Event::Timer(Timer::Copy));
        story.feed(Event::Revoked(Ok(())));
        story.expect(&Action::Ended);
        assert_eq!(story.copy().unwrap().records.len(), 3);
    }
}

#[test]
fn a_no_of_etcd_leaves_nothing_behind() {
    for failure in [refused(), not_sent()] {
        let mut story = Story::running(&[]);
        let (token, write) = story.create(1);
        let slot = story.slot(1);
        story.fail(write, failure);
        assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
        story.expect(&Action::End(slot));
        assert_eq!(story.listed(), [""; 0]);
    }
}

#[test]
fn a_new_ip_of_unknown_outcome_is_registered_all_the_same_and_the_answer_says_so() {
    let mut story = Story::running(&[]);
    let (token, write) = story.create(1);
    story.fail(write.clone(), unknown());
    assert!(!story.replied(token));
    // It is asked once more before the client is answered: it was written.
    story.timer(Timer::Retry);
    story.expect_ask(&write);
    story.answer(write.clone(), written(101));
    assert!(matches!(story.reply(token), Ok(Answer::One(_))));
    // As long as etcd does not answer, the client waits, and not for ever.
    let (token, write) = story.create(2);
    story.fail(write.clone(), unknown());
    story.timer(Timer::Answer(token));
    let Err(Refusal::OutcomeUnknown(text)) = story.reply(token) else { panic!("not told so") };
    assert!(text.contains("goes on registering 10.0.0.2/32"), "{text}");
    story.timer(Timer::Retry);
    story.expect_ask(&write);
    story.answer(write, written(102));
    assert_eq!(story.listed().len(), 2);
}

#[test]
fn a_no_after_an_unknown_outcome_is_decided_by_what_is_found() {
    for there in [true, false] {
        let mut story = Story::running(&[]);
        let (token, write) = story.create(1);
        let Request::WriteRecord(record) = write.clone() else { panic!("{write:?}") };
        story.fail(write.clone(), unknown());
        story.timer(Timer::Retry);
        story.expect_ask(&write);
        story.fail(write.clone(), refused());
        story.expect_ask(&Request::Load);
        let records = if there { vec![Record { revision: 99, ..record }] } else { Vec::new() };
        story.answer_load(found(&records));
        assert_eq!(matches!(story.reply(token), Ok(Answer::One(_))), there);
        assert_eq!(story.listed().len(), usize::from(there));
    }
}

#[test]
fn an_address_is_refused_where_it_cannot_be() {
    let mut story = Story::running(&[record(1, 5)]);
    let same = story.command(new(1));
    assert!(matches!(story.reply(same), Err(Refusal::Conflict(_))));
    // Another host has it with another mask.
    let (token, write) = story.create(2);
    let other = OtherPrefix { cidr: "10.0.0.2/24".to_owned(), host: "h2".to_owned() };
    let answer = store::Answer::Written(Err(Obstacle::OtherPrefix(other)));
    story.answer(write, answer);
    let Err(Refusal::Conflict(why)) = story.reply(token) else { panic!("it was stored") };
    assert!(why.contains("h2") && why.contains("10.0.0.2/24"), "{why}");
    // The host itself has it.
    story.no_threads = Some(StartError::OwnAddress("10.0.0.3/24".parse().unwrap()));
    let token = story.command(new(3));
    assert!(matches!(story.reply(token), Err(Refusal::Invalid(_))));
    assert_eq!(story.listed(), ["10.0.0.1/32"]);
}

#[test]
fn a_change_is_stored_before_it_is_made() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let (token, write) = story.change();
    story.expect_ask(&write);
    assert!(!story.did(|action| matches!(action, Action::Tell(..))));
    story.answer(write, written(101));
    story.expect_tell(slot, Order::LossPolicy(LossPolicy::Hold));
    assert!(matches!(story.reply(token), Ok(Answer::One(_))));
}

#[test]
fn a_change_replaces_what_another_program_has_written() {
    let mut story = Story::running(&[record(1, 5)]);
    let (token, write) = story.change();
    story.expect_ask(&write);
    story.answer(write, store::Answer::Written(Err(Obstacle::Changed(77))));
    let again = Record { loss: Some(LossPolicy::Hold), ..record(1, 77) };
    story.expect_ask(&Request::WriteRecord(again.clone()));
    story.answer(Request::WriteRecord(again), written(101));
    assert!(story.reply(token).is_ok());
}

#[test]
fn a_change_that_etcd_refuses_changes_nothing() {
    let mut story = Story::running(&[record(1, 5)]);
    let (token, write) = story.change();
    story.expect_ask(&write);
    story.fail(write, refused());
    assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
    assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::LossPolicy(_)))));
    assert_eq!(story.core.table.registered().next().unwrap().loss, None);
}

#[test]
fn a_change_of_unknown_outcome_is_made_when_it_is_found() {
    for there in [true, false] {
        let mut story = Story::running(&[record(1, 5)]);
        let (token, write) = story.change();
        story.expect_ask(&write);
        story.fail(write.clone(), unknown());
        story.timer(Timer::Retry);
        story.expect_ask(&write);
        story.fail(write, unknown());
        story.expect_ask(&Request::Load);
        let loss = there.then_some(LossPolicy::Hold);
        story.answer_load(found(&[Record { loss, ..record(1, 98) }]));
        assert_eq!(story.replied(token), there);
        story.timer(Timer::Retry);
        let again = Record { loss: Some(LossPolicy::Hold), ..record(1, 98) };
        let asked = story.did(|action| *action == Action::Ask(Request::WriteRecord(again.clone())));
        assert_eq!(asked, !there, "it goes on until it is made");
    }
}

#[test]
fn changes_wait_for_each_other() {
    let mut story = Story::running(&[record(1, 5)]);
    let (_, write) = story.change();
    story.expect_ask(&write);
    let change = Change { loss: Some(Some(LossPolicy::Probe)), ..Change::default() };
    story.command(Command::Change(id(1), change));
    let writes = |request: &Request| matches!(request, Request::WriteRecord(_));
    assert_eq!(story.take_ask(writes), None);
    story.answer(write, written(101));
    let second = Record { loss: Some(LossPolicy::Probe), ..record(1, 101) };
    story.expect_ask(&Request::WriteRecord(second));
}

#[test]
fn a_deletion_is_answered_when_the_ip_has_left() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let token = story.command(Command::Delete(id(1)));
    let delete = Request::DeleteRecord(id(1), 5);
    story.expect_ask(&delete);
    assert_eq!(story.listed().len(), 1, "nothing has happened yet");
    story.answer(delete, store::Answer::Deleted(Ok(())));
    story.expect_tell(slot, Order::Leave);
    assert!(!story.replied(token));
    assert_eq!(story.copy().unwrap().records, []);
    story.notice(slot, Notice::Left { cleanup_pending: false });
    assert_eq!(story.reply(token), Ok(Answer::Done));
    story.expect(&Action::End(slot));
}

#[test]
fn a_deletion_that_etcd_refuses_changes_nothing() {
    for failure in [refused(), not_sent()] {
        let mut story = Story::running(&[record(1, 5)]);
        let token = story.command(Command::Delete(id(1)));
        story.fail(Request::DeleteRecord(id(1), 5), failure);
        assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
        assert_eq!(story.listed(), ["10.0.0.1/32"]);
        assert!(!story.did(|action| matches!(action, Action::Tell(_, Order::Leave))));
    }
}

#[test]
fn a_deletion_of_unknown_outcome_goes_on_and_the_answer_says_so() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let delete = Request::DeleteRecord(id(1), 5);
    let token = story.command(Command::Delete(id(1)));
    story.expect_ask(&delete);
    story.fail(delete.clone(), unknown());
    story.timer(Timer::Answer(token));
    let Err(Refusal::OutcomeUnknown(text)) = story.reply(token) else { panic!("not told so") };
    assert!(text.contains("goes on deleting 10.0.0.1/32"), "{text}");
    story.timer(Timer::Retry);
    story.expect_ask(&delete);
    // It was done the first time.
    story.answer(delete, store::Answer::Deleted(Ok(())));
    story.expect_tell(slot, Order::Leave);
}

#[test]
fn a_client_that_comes_after_an_unknown_outcome_is_answered_as_soon_as_the_first() {
    let change = || Change { loss: Some(Some(LossPolicy::Hold)), ..Change::default() };
    for second in [Command::Delete(id(1)), Command::Change(id(1), change())] {
        let mut story = Story::running(&[record(1, 5)]);
        let (_, write) = story.change();
        story.fail(write, unknown());
        let token = story.command(second);
        story.timer(Timer::Answer(token));
        assert!(matches!(story.reply(token), Err(Refusal::OutcomeUnknown(_))));
    }
}

#[test]
fn a_stop_leaves_the_outcome_of_what_is_under_way_open() {
    let change = Change { loss: Some(Some(LossPolicy::Hold)), ..Change::default() };
    for command in [Command::Delete(id(1)), Command::Change(id(1), change)] {
        let mut story = Story::running(&[record(1, 5)]);
        let token = story.command(command);
        story.feed(Event::Stop(StopPolicy::Release));
        assert!(matches!(story.reply(token), Err(Refusal::OutcomeUnknown(_))));
    }
}

#[test]
fn a_deletion_waits_for_a_record_that_was_written_meanwhile() {
    let mut story = Story::running(&[record(1, 5)]);
    let (change, write) = story.change();
    story.expect_ask(&write);
    story.command(Command::Delete(id(1)));
    assert!(matches!(story.reply(change), Err(Refusal::Conflict(_))));
    let deletes = |request: &Request| matches!(request, Request::DeleteRecord(..));
    assert_eq!(story.take_ask(deletes), None, "one request at a time");
    story.answer(write, written(101));
    story.expect_ask(&Request::DeleteRecord(id(1), 101));
    story.answer(Request::DeleteRecord(id(1), 101), store::Answer::Deleted(Err(102)));
    story.expect_ask(&Request::DeleteRecord(id(1), 102));
}

#[test]
fn what_was_given_up_without_etcd_is_not_offered_again_before_etcd_knows() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.notice(slot, Notice::Left { cleanup_pending: true });
    story.expect_ask(&Request::Load);
    story.answer_load_at(found(&[]), 102);
    let lock = "/link/default/10.0.0.1_32".to_owned();
    story.feed(Event::LeaseKeys(LEASE, Ok(vec![lock.clone()])));
    let release = Request::Release { lease: LEASE, keys: vec![lock] };
    story.expect_ask(&release);
    let early = story.command(new(1));
    assert!(matches!(story.reply(early), Err(Refusal::Unavailable(_))));
    story.answer(release, store::Answer::Done);
    let (_, _) = story.create(1);
}

#[test]
fn a_failover_is_for_the_owner_and_for_another_host() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    let early = story.command(Command::Failover(id(1), None));
    assert!(matches!(story.reply(early), Err(Refusal::Conflict(_))));
    story.status(1, State::Activated);
    let own = story.command(Command::Failover(id(1), Some("h1".to_owned())));
    let Err(Refusal::Conflict(why)) = story.reply(own) else { panic!("to itself") };
    assert!(why.contains("is the owner already"), "{why}");
    let token = story.command(Command::Failover(id(1), Some("h2".to_owned())));
    story.expect_tell(slot, Order::Failover(Some("h2".to_owned())));
    let second = story.command(Command::Failover(id(1), None));
    assert!(matches!(story.reply(second), Err(Refusal::Conflict(_))));
    story.notice(slot, Notice::HandedOver(Ok(())));
    assert_eq!(story.reply(token), Ok(Answer::Done));
}

#[test]
fn the_hosts_of_an_ip_are_read_for_all_that_ask() {
    let mut story = Story::running(&[record(1, 5)]);
    let cidr = record(1, 0).cidr;
    let (first, second) =
        (story.command(Command::Hosts(id(1))), story.command(Command::Hosts(id(1))));
    story.expect_ask(&Request::Candidates(cidr.into()));
    let candidate = |host: &str, available, lease, hardware_address| Candidate {
        preference: crate::preference::Preference::new(100, "10.0.0.1_32", host),
        host: host.to_owned(),
        available,
        lease,
        written: 9,
        hardware_address,
    };
    let found =
        vec![candidate("h1", false, 7, Some([2, 0, 0, 0, 0, 1])), candidate("h2", true, 0, None)];
    story.answer(Request::Candidates(cidr.into()), store::Answer::Candidates(found));
    let (mac, go) = (Some("02:00:00:00:00:01".to_owned()), wire::Host::named("h2"));
    let ours = wire::Host {
        available: Some(false),
        alive: Some(true),
        hardware_address: mac,
        priority: Some(100),
        ..wire::Host::named("h1")
    };
    let hosts = vec![ours, wire::Host { available: Some(true), priority: Some(100), ..go }];
    for token in [first, second] {
        assert_eq!(story.reply(token), Ok(Answer::Hosts(hosts.clone())));
    }
    let third = story.command(Command::Hosts(id(1)));
    story.fail(Request::Candidates(cidr.into()), not_sent());
    assert!(matches!(story.reply(third), Err(Refusal::Unavailable(_))));
}

#[test]
fn an_unknown_id_is_not_found() {
    let mut story = Story::running(&[]);
    for command in [
        Command::Get(id(9)),
        Command::Change(id(9), Change::default()),
        Command::Delete(id(9)),
        Command::Lock(id(9)),
        Command::Failover(id(9), None),
        Command::Hosts(id(9)),
    ] {
        let token = story.command(command);
        assert_eq!(story.reply(token), Err(Refusal::NotFound));
    }
}
