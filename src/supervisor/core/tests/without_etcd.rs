//! Commands that need no etcd, or that would keep it away.

use super::commands::new;
use super::*;

#[test]
fn with_etcd_lost_nothing_is_begun() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 100 });
    for command in [new(2), Command::Lock(id(1))] {
        let token = story.command(command);
        assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
    }
    assert_eq!(story.take_ask(|_| true), None);
}

#[test]
fn with_etcd_lost_an_ip_can_be_deleted_and_etcd_is_told_later() {
    let mut story = Story::running(&[record(1, 5), record(2, 6)]);
    let slot = story.slot(1);
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 100 });
    let token = story.command(Command::Delete(id(1)));
    story.expect_tell(slot, Order::Leave);
    let copy = story.copy().expect("a restart knows it too");
    assert_eq!((copy.records.len(), copy.deleted), (1, vec![record(1, 0).cidr.addr()]));
    story.notice(slot, Notice::Left { cleanup_pending: true });
    assert_eq!(story.reply(token), Ok(Answer::Done));
    assert_eq!(story.take_ask(|request| matches!(request, Request::DeleteRecord(..))), None);
    story.held();
    story.expect_ask(&Request::Load);
    story.answer_load_at(found(&[record(1, 5), record(2, 6)]), 102);
    story.expect_ask(&Request::DeleteRecord(id(1), 5));
    story.expect_warning("was deleted meanwhile");
    assert_eq!(story.listed(), ["10.0.0.2/32"]);
    story.settle_comparison(&[record(2, 6)]);
    story.timer(Timer::Compare);
    story.answer_load_at(found(&[record(2, 6)]), 103);
    story.timer(Timer::Copy);
    assert!(story.copy().expect("etcd knows").deleted.is_empty());
}

#[test]
fn a_later_life_knows_what_etcd_would_not_remove() {
    let mut story = Story::running(&[record(1, 5)]);
    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 100 });
    story.held();
    // An etcd from a snapshot has an IP again that was deleted, and another under an older id as well.
    let older = Record { cidr: record(1, 0).cidr, ..record(3, 3) };
    story.answer_load_at(found(&[record(1, 5), record(2, 4), older.clone()]), 102);
    story.fail(Request::DeleteRecord(id(2), 4), refused());
    story.fail(Request::DeleteRecord(id(3), 3), refused());
    story.timer(Timer::Copy);
    let [first, second] = [1, 2].map(|number| record(number, 0).cidr.addr());
    assert_eq!(story.copy().expect("it is written").deleted, [second]);
    story.command(Command::Delete(id(1)));
    story.answer(Request::DeleteRecord(id(1), 5), store::Answer::Deleted(Ok(())));
    story.timer(Timer::Copy);
    let copy = story.copy().expect("it is written");
    assert_eq!(copy.deleted, [first, second]);

    let mut story = Story::begin(Some(copy));
    story.load(&[record(2, 4), older]);
    assert_eq!(story.listed(), Vec::<String>::new());
}

#[test]
fn an_address_of_etcd_is_refused_and_not_served_where_it_is_registered() {
    let mut story = Story::running(&[record(1, 5)]);
    let token = story.command(new(9));
    let Err(Refusal::Invalid(errors)) = story.reply(token) else { panic!("it is accepted") };
    assert!(errors["ip"][0].contains("10.0.0.9/32 is an address of etcd"), "{errors:?}");
    let mut story = Story::begin(None);
    story.load(&[record(9, 5)]);
    assert!(!story.did(|action| matches!(action, Action::Start { .. })));
    story.expect_problem("10.0.0.9/32 is an address of etcd");
    let token = story.command(Command::Delete(id(9)));
    story.answer(Request::DeleteRecord(id(9), 5), store::Answer::Deleted(Ok(())));
    assert_eq!(story.reply(token), Ok(Answer::Done));
}
