//! What the etcd client tells of the keys that it watches, with a real etcd.

use std::net::SocketAddr;

use crossbeam_channel::unbounded;
use link::etcd::{Event, Followed, Gap};

use crate::harness::*;
use crate::shim::{PATIENCE, await_event, client_on, keep_lease, opened, put};

#[test]
fn a_watch_that_is_opened_again_is_told_with_what_lies_between() {
    let mut lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let reply = etcd.client().call(put("/test/a", 0), PATIENCE).expect("written");
    let saved = lab.folder().join("saved");
    lab.etcd.save(&saved);
    for _ in 0..5 {
        etcd.client().call(put("/test/a", 0), PATIENCE).expect("written");
    }
    let events = keep_lease(&etcd);
    assert_eq!(await_event(&events, opened), (reply.cluster, Gap::Reconnected));
    lab.etcd.restart();
    assert_eq!(await_event(&events, opened), (reply.cluster, Gap::Reconnected));
    lab.etcd.restore(&saved);
    let restored = |event| opened(event).filter(|(_, gap)| *gap != Gap::Reconnected);
    assert_eq!(await_event(&events, restored), (reply.cluster, Gap::Restored));
}

#[test]
fn a_watch_that_tells_nothing_of_what_changes_is_opened_again() {
    let lab = Lab::new(1);
    let proxy = Proxy::start(lab[H1].namespace(), SocketAddr::new(lab.etcd.addresses()[0], 2379));
    let etcd = client_on(&lab, &[&proxy.url()]);
    let events = keep_lease(&etcd);
    let changed = |event| match event {
        Event::KeyChanged { key, .. } => Some(key),
        Event::Granted { .. }
        | Event::Held { .. }
        | Event::Lost { .. }
        | Event::WatchOpened { .. }
        | Event::Paused(_) => None,
    };
    await_event(&events, opened);
    lab.etcd.put("/own/a", "x");
    assert_eq!(await_event(&events, changed), "/own/a");
    // A key that comes, one that goes, and one of those that are read.
    let changes: [&dyn Fn(); 3] =
        [&|| lab.etcd.put("/own/b", "x"), &|| assert!(lab.etcd.delete("/own/b")), &|| {
            lab.etcd.put("/watched/a", "x")
        }];
    for change in changes {
        proxy.silence_watches();
        change();
        await_event(&events, opened);
    }
    lab.etcd.put("/own/c", "x");
    assert_eq!(await_event(&events, changed), "/own/c");
}

/// A thousand subscribers are a thousand threads.
#[test]
fn the_next_read_tells_of_what_has_changed_and_nobody_else() {
    let lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let events = keep_lease(&etcd);
    await_event(&events, opened);
    let subscribe = |key| {
        let (tx, rx) = unbounded();
        (etcd.client().subscribe(key, Box::new(move |state| drop(tx.send(state)))), rx)
    };
    let (_changed, changes) = subscribe("/watched/a");
    let (_other, others) = subscribe("/watched/b");
    lab.etcd.put("/watched/a", "x");
    let told = || changes.recv_timeout(PATIENCE).expect("it is told").kv.expect("it is there");
    assert_eq!(told(), told(), "by the watch, and by the read after it");
    // What the read tells is told by then.
    etcd.client().call(put("/test/a", 0), PATIENCE).expect("written");
    assert_eq!(others.try_recv().ok(), None);
}

#[test]
fn all_that_happens_under_the_followed_prefix_is_told_with_values() {
    let mut lab = Lab::new(1);
    let text = |number: usize| format!("/followed/{number:04}");
    // More than a page.
    lab.etcd.fill("/followed/", 150, 10);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let events = keep_lease(&etcd);
    await_event(&events, opened);
    // What was read before somebody listened is told, too.
    let (tx, heard) = unbounded();
    etcd.client().follow(Box::new(move |what| drop(tx.send(what))));
    let next = || heard.recv_timeout(PATIENCE).expect("it is told");
    let all = |what| match what {
        Followed::All { kvs, .. } => Some(kvs.into_iter().map(|kv| kv.key).collect::<Vec<_>>()),
        Followed::Written(_) | Followed::Deleted { .. } => None,
    };
    let expected: Vec<String> = (0..150).map(text).collect();
    assert_eq!(all(next()), Some(expected));
    // No other keys are.
    lab.etcd.put("/watched/a", "x");
    lab.etcd.put(&text(3), "new");
    assert!(matches!(next(), Followed::Written(kv) if kv.key == text(3) && kv.value == b"new"));
    assert!(lab.etcd.delete(&text(3)));
    assert!(matches!(next(), Followed::Deleted { key, .. } if key == text(3)));
    lab.etcd.restart();
    let again = std::iter::repeat_with(next).find_map(all);
    assert_eq!(again.map(|keys| keys.len()), Some(149));
}
