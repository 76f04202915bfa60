//! The mark of this host, when in which history of etcd it has written last: by that its next life tells what etcd has lost
//! from what was deleted there.

use super::*;
use crate::lock::OtherPrefix;
use crate::store::Obstacle;

/// What etcd has of this host, with this mark.
fn marked(records: &[Record], written: i64, history: &str) -> Found {
    Found { written, history: history.to_owned(), ..found(records) }
}

#[test]
fn what_etcd_has_refused_to_write_is_in_no_mark() {
    let records = [record(1, 5), record(2, 6)];
    for ((before, history), after, served) in [
        // It was deleted in etcd.
        ((90, HISTORY), 90, &["10.0.0.1/32"][..]),
        // An agent that leaves no marks had written all.
        ((0, ""), 0, &["10.0.0.1/32"]),
        // etcd is as it was at 40.
        ((90, HISTORY), 40, &["10.0.0.1/32", "10.0.0.2/32"]),
    ] {
        let mut story = Story::begin(None);
        story.answer_load(marked(&records, before, history));
        story.held();
        let token = story.command(super::commands::new(3));
        let write = story.take_ask(|it| matches!(it, Request::WriteRecord(_)));
        let other = OtherPrefix { cidr: "10.0.0.3/24".to_owned(), host: "h2".to_owned() };
        let obstacle = store::Answer::Written(Err(Obstacle::OtherPrefix(other)));
        story.answer(write.expect("it is stored"), obstacle);
        assert!(story.reply(token).is_err());
        story.feed(Event::Timer(Timer::Copy));
        let copy = story.copy().expect("it was written");
        let mut next = Story::begin(Some(copy));
        next.answer_load(marked(&records[..1], after, history));
        assert_eq!(next.listed(), served, "{before} {after}");
    }
}
