//! What is wrong with many at once is said in one line.

use super::*;
use crate::command::Change;

const MANY: std::ops::Range<u8> = 10..70;

fn many() -> Vec<Record> {
    MANY.map(|number| record(number, i64::from(number))).collect()
}

/// A host that has these IPs; nothing is under way.
fn running(records: &[Record]) -> Story {
    let mut story = Story::begin_with(|config| config.permits.max_ips = None, None);
    story.load(records);
    story.settle_comparison(records);
    story.done.clear();
    story
}

/// One warning was given, which has all these parts.
#[track_caller]
fn expect_one(story: &mut Story, parts: &[&str]) {
    let warnings = story.warnings();
    let [warning] = &warnings[..] else { panic!("{} warnings: {warnings:#?}", warnings.len()) };
    parts.iter().for_each(|part| assert!(warning.contains(part), "{part:?} is not in {warning:?}"));
}

#[test]
fn many_records_that_are_wrong_are_said_in_one_line() {
    let mut story = running(&many());
    story.feed(Event::WatchOpened(Gap::Restored));
    story.answer_load(found(&[]));
    expect_one(&mut story, &["missing", "10.0.0.10/32", "40 more"]);
    let mut story = running(&[]);
    story.feed(Event::WatchOpened(Gap::Reconnected));
    story.answer_load(found(&many()));
    expect_one(&mut story, &["removed", "10.0.0.10/32", "40 more"]);
    let mut story = Story::begin(None);
    let unreadable = |number| {
        let why = format!("/link/hosts/h1/{number}: EOF");
        store::Unreadable { id: None, revision: number, why }
    };
    story.answer_load(Found { unreadable: (1..=300).map(unreadable).collect(), ..found(&[]) });
    expect_one(&mut story, &["/link/hosts/h1/1: EOF", "280 more"]);
}

#[test]
fn many_keys_of_the_lease_that_are_wrong_are_said_in_one_line() {
    let mut story = running(&many());
    for number in MANY {
        let status = Status { candidate: Some((true, 100)), ..Status::starting() };
        story.notice(story.slot(number), Notice::Status(Arc::new(status)));
    }
    story.feed(Event::Timer(Timer::CompareKeys));
    let stray = MANY.map(|number| format!("/link/default/10.0.1.{number}_32")).collect();
    story.feed(Event::LeaseKeys(LEASE, Ok(stray)));
    let warnings = story.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings.iter().all(|text| text.contains("40 more")), "{warnings:#?}");
}

#[test]
fn elections_that_lack_a_thread_are_said_in_one_line() {
    let mut story = Story::begin_with(|config| config.permits.max_ips = None, None);
    story.no_threads = Some(StartError::Failed("no threads".to_owned()));
    story.load(&many());
    story.timer(Timer::Restart);
    expect_one(&mut story, &["10.0.0.10/32", "no threads"]);
    assert_eq!(story.problems().len(), MANY.len());
}

#[test]
fn copies_of_former_names_are_said_in_one_line_that_says_how_to_end_it() {
    let mut story = Story::begin(None);
    let other = |name: &str| LocalCopy { host: name.to_owned(), ..copy_of(&[record(1, 5)]) };
    let others = vec![other("web1"), other("web2")];
    story.feed(Event::Begin(Box::new(Copies { own: None, others })));
    expect_one(&mut story, &["\"web1\": 10.0.0.1/32", "\"web2\"", "NAME.json", "STATE_DIR"]);
    // etcd tells of the same.
    let of = Request::RecordsOf("web1".to_owned());
    story.answer(of, store::Answer::Records(vec![record(1, 5)]));
    assert_eq!(story.warnings(), [""; 0]);
}

#[test]
fn a_lack_of_something_for_the_checks_is_said_once_for_all_and_shown_for_each() {
    let mut story = running(&many());
    let lacks = |shortage: Option<&str>| {
        let shortage = shortage.map(str::to_owned);
        Notice::Status(Arc::new(Status { shortage, ..Status::starting() }))
    };
    for _ in 0..2 {
        MANY.for_each(|number| story.notice(story.slot(number), lacks(Some("lacks ports"))));
    }
    expect_one(&mut story, &["10.0.0.10/32", "lacks ports"]);
    story.expect_problem("10.0.0.69/32: lacks ports");
    assert_eq!(story.problems().len(), MANY.len());
    MANY.for_each(|number| story.notice(story.slot(number), lacks(None)));
    assert_eq!(story.problems(), [""; 0]);
}

/// A thousand IPs that come one after the other are not a thousand copies of all.
#[test]
fn a_change_is_written_to_the_local_copy_alone_and_all_only_after_as_many_changes() {
    let records = many();
    let mut story = running(&records);
    story.feed(Event::Timer(Timer::Copy));
    assert_eq!(story.copy().map(|copy| copy.records.len()), Some(records.len()));
    let (mut wholes, mut changes) = (0, 0);
    for round in 1..=300 {
        story.done.clear();
        let change = Change { interval: Some(round), ..Change::default() };
        story.command(Command::Change(id(10), change));
        let is_write = |request: &Request| matches!(request, Request::WriteRecord(_));
        let write = story.take_ask(is_write).expect("it is written");
        story.answer(write, written(200 + i64::try_from(round).unwrap()));
        story.feed(Event::Timer(Timer::Copy));
        for action in &story.done {
            wholes += usize::from(matches!(action, Action::WriteCopy(_)));
            if let Action::AppendToCopy(change) = action {
                changes += 1;
                assert!(change.len() < 600, "{}", String::from_utf8_lossy(change));
            }
        }
        let copy = story.copy().expect("it is written");
        assert_eq!(copy.records.len(), records.len());
        assert_eq!(copy.records[0].healthcheck_interval, round);
    }
    assert!((3..=8).contains(&wholes) && changes >= 290, "{wholes} and {changes}");
    // What is not on disk is written with all.
    story.done.clear();
    story.feed(Event::CopyLost);
    assert!(story.did(|action| matches!(action, Action::WriteCopy(_))));
}
