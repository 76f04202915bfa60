//! Many IPs in one request: all of them or none, whatever etcd, the kernel and the network say.

use super::commands::new;
use super::*;
use crate::lock::OtherPrefix;
use crate::store::Obstacle;

/// More than one slice of elections, and several transactions.
const MANY: std::ops::Range<u8> = 100..220;
const TRANSACTIONS: usize = 4;

fn running() -> Story {
    let mut story = Story::begin_with(|config| config.permits.max_ips = Some(200), None);
    story.load(&[]);
    story.settle_comparison(&[]);
    story.feed(Event::Timer(Timer::Copy));
    story.done.clear();
    story
}

fn all(numbers: impl Iterator<Item = u8>) -> Command {
    let one = |number| {
        let Command::Create(new) = new(number) else { panic!("another command") };
        new
    };
    Command::CreateMany(numbers.map(one).collect())
}

impl Story {
    /// Goes on with the slices until there are no more.
    fn slices(&mut self) -> usize {
        let armed = |it: &Action| matches!(it, Action::Arm(Timer::Batch, _));
        let mut slices = 1;
        while self.did(armed) {
            self.feed(Event::Timer(Timer::Batch));
            slices += 1;
        }
        slices
    }

    fn take_writes(&mut self) -> Vec<Request> {
        let is_write = |request: &Request| matches!(request, Request::WriteRecords(_));
        std::iter::from_fn(|| self.take_ask(is_write)).collect()
    }

    fn take_deletes(&mut self) -> Vec<Request> {
        let is_delete = |request: &Request| matches!(request, Request::DeleteRecords(_));
        std::iter::from_fn(|| self.take_ask(is_delete)).collect()
    }

    fn stored(&mut self, write: Request, revision: i64) {
        self.answer(write, store::Answer::WrittenAll(Ok(revision)));
    }

    fn ended(&self) -> usize {
        self.done.iter().filter(|action| matches!(action, Action::End(_))).count()
    }
}

/// Many IPs were asked for, and their elections are started.
fn started() -> (Story, Token, Vec<Request>) {
    let mut story = running();
    let token = story.command(all(MANY));
    assert_eq!(story.slices(), 3, "they are started in slices");
    let writes = story.take_writes();
    assert_eq!(writes.len(), TRANSACTIONS);
    (story, token, writes)
}

#[track_caller]
fn expect_nothing(story: &mut Story, token: Token, why: &str) {
    story.slices();
    let refusal = story.reply(token).expect_err("it is refused");
    assert!(refusal.to_string().contains(why), "{why:?} is not in {refusal}");
    assert_eq!(story.listed(), [""; 0]);
    assert_eq!(story.ended(), MANY.len(), "no election is left");
    assert!(story.core.table.is_empty());
    // The same can be asked for again.
    let token = story.command(all(MANY));
    story.slices();
    for write in story.take_writes() {
        story.stored(write, 300);
    }
    assert!(story.reply(token).is_ok());
}

#[test]
fn many_ips_are_stored_before_any_is_shown_and_only_then_campaign() {
    let (mut story, token, writes) = started();
    let slot = story.slot(100);
    for write in writes {
        assert_eq!(story.listed(), [""; 0]);
        assert!(!story.replied(token));
        let lease = Action::Tell(slot, Order::Lease(Lease::Held(LEASE)));
        assert!(!story.did(|action| *action == lease));
        story.stored(write, 120);
    }
    let Ok(Answer::List(ips)) = story.reply(token) else { panic!("not registered") };
    let asked: Vec<String> = MANY.map(|number| format!("10.0.0.{number}/32")).collect();
    assert!(ips.iter().map(|ip| &ip.ip).eq(&asked), "in the order in which they were asked for");
    story.expect_tell(slot, Order::Lease(Lease::Held(LEASE)));
    assert_eq!(story.listed().len(), MANY.len());
    story.feed(Event::Timer(Timer::Copy));
    assert_eq!(story.copy().map(|copy| copy.records.len()), Some(MANY.len()));
    // What the watch tells of it is nothing new.
    story.done.clear();
    let key = format!("/link/hosts/h1/{}", ips[0].id);
    story.feed(Event::KeyChanged { key, exists: true, revision: 120 });
    assert!(!story.did(|action| *action == Action::Ask(Request::Load)));
}

#[test]
fn what_cannot_be_registered_is_named_by_its_place_and_nothing_is_begun() {
    let mut story = running();
    story.command(new(1));
    let write = story.take_ask(|request| matches!(request, Request::WriteRecord(_)));
    story.answer(write.expect("it is stored"), written(101));
    story.done.clear();
    for (numbers, expected) in [
        (vec![100, 101, 1], "[2]: ip 10.0.0.1/32 is already configured on this host"),
        (vec![100, 9], "[1].ip: 10.0.0.9/32 is an address of etcd"),
        ((10..=209).collect(), "[199].ip: 10.0.0.209/32 is one too many"),
    ] {
        let token = story.command(all(numbers.into_iter()));
        let refusal = story.reply(token).expect_err("it is refused").to_string();
        assert!(refusal.starts_with(expected), "{refusal}");
        assert_eq!(story.core.table.len(), 1);
        assert!(!story.did(|action| matches!(action, Action::Start { .. } | Action::Ask(_))));
    }
}

#[test]
fn when_one_cannot_be_started_none_is_stored() {
    for (error, why) in [
        (StartError::Failed("no threads".to_owned()), "[0]: start the election of 10.0.0.100/32"),
        (StartError::OwnAddress("10.0.0.100/24".parse().unwrap()), "[0].ip: 10.0.0.100/24 is an"),
    ] {
        let mut story = running();
        story.no_threads = Some(error);
        let token = story.command(all(MANY));
        story.no_threads = None;
        expect_nothing(&mut story, token, why);
    }
}

#[test]
fn an_address_that_a_stranger_has_ends_all_and_one_that_others_share_none() {
    for shared in [false, true] {
        let mut story = running();
        story.no_threads = Some(StartError::Answered([2, 0, 0, 0, 0, 0x63]));
        let token = story.command(all(100..102));
        for number in 100..102 {
            let of = Request::SharedBy(format!("10.0.0.{number}/32").parse().unwrap());
            story.expect_ask(&of);
            let names = if shared { vec!["h2".to_owned()] } else { Vec::new() };
            story.answer(of, store::Answer::Names(names));
        }
        story.slices();
        if shared {
            let writes = story.take_writes();
            writes.into_iter().for_each(|write| story.stored(write, 120));
            assert!(story.reply(token).is_ok());
        } else {
            let refusal = story.reply(token).expect_err("it is refused").to_string();
            assert!(refusal.starts_with("[0]: the machine with"), "{refusal}");
            assert!(story.take_writes().is_empty() && story.core.table.is_empty());
        }
    }
}

#[test]
fn what_was_stored_is_taken_back_when_one_is_in_the_way() {
    let (mut story, token, mut writes) = started();
    let last = writes.pop().unwrap();
    let first = writes.remove(0);
    story.stored(first.clone(), 120);
    let other = OtherPrefix { cidr: "10.0.0.197/24".to_owned(), host: "h2".to_owned() };
    let obstacle = Obstacle::OtherPrefix(other);
    story.answer(last, store::Answer::WrittenAll(Err((1, obstacle))));
    assert!(story.take_deletes().is_empty(), "others are still being written");
    for write in writes {
        story.fail(write, not_sent());
    }
    let deletes = story.take_deletes();
    let Request::WriteRecords(records) = first else { panic!("{first:?}") };
    let ids = records.iter().map(|record| record.id.clone()).collect();
    assert_eq!(deletes, [Request::DeleteRecords(ids)], "only what was stored");
    assert!(!story.replied(token));
    story.answer(deletes[0].clone(), store::Answer::Done);
    expect_nothing(&mut story, token, "[97]: host h2 offers this address as 10.0.0.197/24");
}

#[test]
fn a_no_of_etcd_leaves_nothing_behind() {
    for failure in [refused(), not_sent()] {
        let (mut story, token, writes) = started();
        for write in writes {
            story.fail(write, failure.clone());
        }
        expect_nothing(&mut story, token, "etcd: ");
    }
}

#[test]
fn an_unknown_outcome_is_asked_for_again_until_it_is_known() {
    let (mut story, token, mut writes) = started();
    let last = writes.pop().unwrap();
    writes.into_iter().for_each(|write| story.stored(write, 120));
    for failure in [unknown(), not_sent(), unknown()] {
        story.fail(last.clone(), failure);
        assert!(!story.replied(token));
        story.timer(Timer::Retry);
        story.expect_ask(&last);
    }
    story.fail(last.clone(), unknown());
    // The client is told how things stand, and the agent goes on.
    story.timer(Timer::Answer(token));
    let Err(Refusal::OutcomeUnknown(text)) = story.reply(token) else { panic!("not told so") };
    assert!(text.contains("goes on registering 120 IPs"), "{text}");
    assert_eq!(story.listed(), [""; 0]);
    story.timer(Timer::Retry);
    story.expect_ask(&last);
    story.stored(last, 121);
    assert_eq!(story.listed().len(), MANY.len());
}

#[test]
fn a_no_after_an_unknown_outcome_is_taken_back_too_and_looked_after() {
    let (mut story, token, mut writes) = started();
    let last = writes.pop().unwrap();
    for write in writes {
        story.fail(write, not_sent());
    }
    story.fail(last.clone(), unknown());
    story.timer(Timer::Retry);
    let deletes = story.take_deletes();
    assert_eq!(deletes.len(), 1);
    // etcd does not answer this either.
    story.fail(deletes[0].clone(), unknown());
    story.timer(Timer::Answer(token));
    let Err(Refusal::OutcomeUnknown(text)) = story.reply(token) else { panic!("not told so") };
    assert!(text.contains("goes on taking back 120 IPs"), "{text}");
    story.timer(Timer::Retry);
    assert_eq!(story.take_deletes(), deletes);
    story.answer(deletes[0].clone(), store::Answer::Done);
    story.slices();
    assert!(story.core.table.is_empty());
    story.expect_warning("registered together are not: etcd: connection refused");
    // The write may be carried out yet.
    story.expect_ask(&Request::Load);
}

#[test]
fn a_stop_in_the_middle_leaves_what_was_stored_to_the_next_life() {
    let (mut story, _, writes) = started();
    story.feed(Event::Stop(StopPolicy::Release));
    writes.into_iter().for_each(|write| story.stored(write, 120));
    for number in MANY {
        story.expect_tell(story.slot(number), Order::Leave);
        story.notice(story.slot(number), Notice::Left { cleanup_pending: false });
    }
    story.expect(&Action::Revoke(LEASE));
}

#[test]
fn nothing_is_forgotten_before_etcd_has_none_of_it() {
    let (mut story, token, mut writes) = started();
    let last = writes.pop().unwrap();
    writes.into_iter().for_each(|write| story.stored(write, 120));
    story.fail(last, refused());
    let deletes = story.take_deletes();
    assert_eq!(deletes.len(), TRANSACTIONS - 1);
    story.slices();
    assert!(!story.replied(token));
    for delete in &deletes {
        story.fail(delete.clone(), unknown());
    }
    story.slices();
    story.timer(Timer::Retry);
    assert_eq!(story.take_deletes(), deletes, "what may be there is looked after");
    deletes.into_iter().for_each(|delete| story.answer(delete, store::Answer::Done));
    expect_nothing(&mut story, token, "permission denied");
}

#[test]
fn when_another_machine_gets_the_name_of_the_host_the_client_is_told_that_the_outcome_is_open() {
    let (mut story, token, _) = started();
    story.feed(Event::WatchOpened(Gap::Reconnected));
    let host = HostKey { lease: Some(99), instance: Some(machine(2)), revision: 60 };
    story.answer_load(Found { host: Some(host), ..found(&[]) });
    story.feed(Event::LeaseLeft(99, Some((4, 5))));
    let Err(Refusal::OutcomeUnknown(text)) = story.reply(token) else { panic!("not told so") };
    assert!(text.contains("another machine has the name of this host"), "{text}");
}

#[test]
fn ips_whose_elections_were_not_begun_when_the_name_was_lost_can_be_registered_again() {
    let mut story = running();
    story.command(all(MANY));
    let begun = story.done.iter().filter(|it| matches!(it, Action::Start { .. })).count();
    assert!(begun < MANY.len());
    story.feed(Event::WatchOpened(Gap::Reconnected));
    let host = HostKey { lease: Some(99), instance: Some(machine(2)), revision: 60 };
    story.answer_load(Found { host: Some(host), ..found(&[]) });
    story.feed(Event::LeaseLeft(99, Some((4, 5))));
    assert_eq!(story.core.table.len(), begun, "nobody would say of the others that they have left");
    for slot in story.core.table.slots() {
        story.expect_tell(slot, Order::Leave);
        story.notice(slot, Notice::Left { cleanup_pending: false });
    }
    assert!(story.core.table.is_empty());
}

#[test]
fn ips_of_a_group_fit_to_those_before_them_in_the_same_request() {
    let of_group = |numbers: std::ops::Range<u8>| {
        let Command::CreateMany(mut all) = all(numbers) else { panic!("another command") };
        all.iter_mut().for_each(|new| new.group = Some(super::groups::gw()));
        all
    };
    let mut other = of_group(100..103);
    other[2].priority = Some(9);
    for (all, expected) in [
        (of_group(100..133), "[32].group: gw has 32 IPs on this host"),
        (other, "[2].priority: 9 is not that of 10.0.0.100/32, 100, which holds for group gw"),
    ] {
        let mut story = running();
        let token = story.command(Command::CreateMany(all));
        let refusal = story.reply(token).expect_err("it is refused").to_string();
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(story.core.table.is_empty());
    }
    let mut story = running();
    let token = story.command(Command::CreateMany(of_group(100..132)));
    story.slices();
    story.take_writes().into_iter().for_each(|write| story.stored(write, 120));
    assert!(story.reply(token).is_ok());
}
