//! What the etcd client does with a real etcd.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use link::etcd::{ErrorKind, Etcd, Event, Gap, Op, Options, Txn};

use crate::harness::*;

/// Starts a cluster of one member on a host, beside the lab's own: its URL.
fn another_cluster(lab: &Lab, host: HostId) -> (Process, String) {
    let url = format!("http://{}:2379", lab[host].address());
    let (peer, data) = ("http://127.0.0.1:2380", lab.folder().join("another"));
    let program = Program::new("etcd")
        .args(["--name", "another", "--data-dir", &data.display().to_string()])
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
        .args(["--initial-cluster", &format!("another={peer}")]);
    let process =
        Process::start(lab[host].namespace(), &program, &lab.folder().join("another.log"));
    eventually("it answers", || {
        client_on(lab, &[&url]).client().call(put("/up", 0), SECOND).is_ok()
    });
    (process, url)
}

/// A free port of the host itself.
const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A second.
const SECOND: Duration = Duration::from_secs(1);

/// How many keys a cluster has that begin like that.
fn keys(lab: &Lab, endpoint: &str, prefix: &str) -> usize {
    let read = Txn::unconditional(vec![Op::GetPrefix(prefix.to_owned())]);
    client_on(lab, &[endpoint]).client().call(read, PATIENCE).expect("read").kvs(0).len()
}

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A client of these members on the first host, as the agent has it.
pub(crate) fn client_on(lab: &Lab, endpoints: &[&str]) -> Etcd {
    let options = Options {
        endpoints: endpoints.iter().copied().map(str::to_owned).collect(),
        tls: None,
        user: None,
        renewal: Duration::from_secs(1),
        retries: 5,
        watch_prefix: "/watched/".to_owned(),
        own_prefixes: vec!["/own/".to_owned()],
        followed_prefix: Some("/followed/".to_owned()),
        stray: |_| false,
    };
    lab[H1].namespace().run(|| Etcd::start(options).expect("start a client"))
}

/// What happens to a lease that is kept from now on, and to the watch.
pub(crate) fn keep_lease(etcd: &Etcd) -> Receiver<Event> {
    let (tx, rx) = unbounded();
    etcd.client().keep_lease(None, Instant::now(), Box::new(move |event| drop(tx.send(event))));
    rx
}

/// The first event of which something is wanted.
#[track_caller]
pub(crate) fn await_event<T>(events: &Receiver<Event>, wanted: impl Fn(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = events.recv_deadline(deadline).expect("what is awaited happens");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

/// The cluster and the gap of a watch that was opened.
pub(crate) fn opened(event: Event) -> Option<(u64, Gap)> {
    match event {
        Event::WatchOpened { gap, cluster, .. } => Some((cluster, gap)),
        Event::Granted { .. }
        | Event::Held { .. }
        | Event::Lost { .. }
        | Event::KeyChanged { .. }
        | Event::Paused(_) => None,
    }
}

pub(crate) fn put(key: &str, lease: i64) -> Txn {
    let put = Op::Put { key: key.to_owned(), value: b"x".to_vec(), lease };
    Txn { then: vec![put], ..Txn::default() }
}

#[test]
fn transactions_that_come_together_go_together_and_an_impossible_one_fails_alone() {
    const COUNT: usize = 500;
    let lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let (outcome_tx, outcome_rx) = crossbeam_channel::unbounded();
    for number in 0..COUNT {
        // Nobody has granted this lease.
        let lease = if number == COUNT / 2 { 4_711 } else { 0 };
        let outcome_tx = outcome_tx.clone();
        let reply = Box::new(move |outcome| drop(outcome_tx.send((number, outcome))));
        etcd.client().submit(put(&format!("/test/{number:03}"), lease), PATIENCE, reply);
    }
    let mut revisions = std::collections::BTreeSet::new();
    for _ in 0..COUNT {
        let (number, outcome) = outcome_rx.recv_timeout(PATIENCE).expect("each is answered");
        match outcome {
            Ok(reply) => drop(revisions.insert(reply.revision)),
            Err(error) => {
                assert_eq!((number, error.kind), (COUNT / 2, ErrorKind::LeaseNotFound), "{error}");
            }
        }
    }
    assert_eq!(lab.etcd.list("/test/").len(), COUNT - 1);
    // What goes in one request gets one revision; the batch of the impossible one was taken apart.
    assert!(revisions.len() < COUNT / 2, "{} requests", revisions.len());
}

#[test]
fn an_urgent_transaction_overtakes_those_that_wait() {
    const COUNT: usize = 2000;
    let lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    etcd.client().call(put("/test/first", 0), PATIENCE).expect("it is connected");
    let (tx, answers) = unbounded();
    let reply = |name: usize| -> link::etcd::ReplySink {
        let tx = tx.clone();
        Box::new(move |outcome| drop(tx.send((name, outcome.map(|reply| reply.revision)))))
    };
    for number in 0..COUNT {
        etcd.client().submit(put(&format!("/test/{number}"), 0), PATIENCE, reply(number));
    }
    etcd.client().submit_at_once(put("/test/urgent", 0), PATIENCE, reply(COUNT));
    let before = answers.len();
    let mut order = Vec::new();
    for _ in 0..=COUNT {
        let (name, outcome) = answers.recv_timeout(PATIENCE).expect("each is answered");
        outcome.expect("it is carried out");
        order.push(name);
    }
    let place = order.iter().position(|name| *name == COUNT);
    // Four requests with a hundred each may be under way, and be followed by more until it is its thread's turn.
    let is_early = place.is_some_and(|place| place <= before + COUNT * 3 / 4);
    assert!(is_early && before < COUNT / 2, "after {place:?} others, {before} of them before");
}

#[test]
fn what_is_read_comes_whole_and_of_one_moment_however_much_it_is() {
    const COUNT: usize = 350;
    let lab = Lab::new(1);
    lab.etcd.fill("/watched/", COUNT, 20_000);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let (tx, heard) = unbounded();
    let last = format!("/watched/{:04}", COUNT - 1);
    let _watched = etcd.client().subscribe(&last, Box::new(move |state| drop(tx.send(state))));
    let state = heard.recv_timeout(PATIENCE).expect("the keys are read");
    assert_eq!(state.kv.map(|kv| kv.value.len()), Some(20_000));
    let all = Op::GetPrefix("/watched/".to_owned());
    let nested = Op::Nested(Txn::unconditional(vec![Op::Get("/none".to_owned()), all.clone()]));
    let write = Op::Put { key: "/test/a".to_owned(), value: b"x".to_vec(), lease: 0 };
    let txn = Txn { then: vec![all.clone(), write, nested], ..Txn::default() };
    let reply = etcd.client().call(txn, PATIENCE).expect("read");
    for kvs in [reply.kvs(0), reply.nested[0].kvs(1)] {
        let numbers: Vec<String> = kvs.iter().map(|kv| kv.key.clone()).collect();
        let expected: Vec<String> = (0..COUNT).map(|n| format!("/watched/{n:04}")).collect();
        assert_eq!(numbers, expected);
        assert!(kvs.iter().all(|kv| kv.value.len() == 20_000));
    }
}

#[test]
fn a_lease_is_told_with_its_ttl_and_its_keys() {
    let lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let events = keep_lease(&etcd);
    let id = await_event(&events, |event| match event {
        Event::Held { id, ttl } => {
            assert_eq!(ttl, Duration::from_secs(5));
            Some(id)
        }
        Event::Granted { ttl, .. } => {
            assert_eq!(ttl, Duration::from_secs(5));
            None
        }
        Event::WatchOpened { .. }
        | Event::Lost { .. }
        | Event::KeyChanged { .. }
        | Event::Paused(_) => None,
    });
    for (key, lease) in [("/test/a", id), ("/test/b", 0), ("/test/c", id)] {
        etcd.client().call(put(key, lease), PATIENCE).expect("written");
    }
    let ask = |id| {
        let (tx, rx) = unbounded();
        etcd.client().lease_keys(id, PATIENCE, Box::new(move |info| drop(tx.send(info))));
        rx.recv_timeout(PATIENCE).expect("an answer in time").expect("an answer")
    };
    let mut info = ask(id);
    info.keys.sort();
    assert_eq!((info.granted, info.keys), (5, vec!["/test/a".to_owned(), "/test/c".to_owned()]));
    let (tx, rx) = crossbeam_channel::bounded(1);
    etcd.client().revoke(id, PATIENCE, Box::new(move |done| drop(tx.send(done))));
    rx.recv_timeout(PATIENCE).expect("an answer in time").expect("revoked");
    let info = ask(id);
    assert_eq!((info.left, info.keys), (-1, vec![]));
}

#[test]
fn what_was_never_sent_was_not_done_and_what_is_not_answered_may_have_been() {
    let mut lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    etcd.client().call(put("/test/a", 0), PATIENCE).expect("written");
    lab.etcd.freeze();
    let second = Duration::from_secs(1);
    let frozen = etcd.client().call(put("/test/b", 0), second).expect_err("no answer");
    assert_eq!((frozen.kind, frozen.outcome_is_unknown()), (ErrorKind::Unreachable, true));
    lab.etcd.thaw();
    lab.etcd.await_ready();
    lab.etcd.stop();
    eventually("no connection can be made", || {
        let stopped = etcd.client().call(put("/test/c", 0), second).expect_err("no etcd");
        stopped.kind == ErrorKind::Unreachable && !stopped.outcome_is_unknown()
    });
}

/// Transactions, the lease and the watch go on beside a member of that kind that is listed first.
fn work_beside(answer: FakeAnswer) {
    let lab = Lab::new(1);
    let fake = FakeMember::start(lab[H1].namespace(), LOOPBACK, answer);
    let etcd = client_on(&lab, &[fake.url(), &lab.etcd.endpoints()]);
    let written = etcd.client().call(put("/test/a", 0), PATIENCE);
    let written = written.is_ok_and(|_| lab.etcd.get("/test/a").is_some());
    assert!(written, "nothing is written beside {answer:?}");
    let events = keep_lease(&etcd);
    let mut opened = false;
    let mut held = 0;
    let deadline = Instant::now() + PATIENCE;
    while !(opened && held >= 2) {
        match events.recv_deadline(deadline) {
            Ok(Event::WatchOpened { .. }) => opened = true,
            Ok(Event::Held { .. }) => held += 1,
            Ok(Event::Granted { .. } | Event::Paused(_) | Event::KeyChanged { .. }) => {}
            Ok(Event::Lost { .. }) => held = 0,
            Err(_) => panic!("beside {answer:?}: watched {opened}, renewed {held} times"),
        }
    }
}

#[test]
fn a_member_that_refuses_everything_does_not_keep_the_others_from_being_asked() {
    use tonic::Code;
    for code in [
        Code::Unimplemented,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::OutOfRange,
        Code::FailedPrecondition,
        Code::DataLoss,
        Code::Internal,
    ] {
        work_beside(FakeAnswer::Status(code));
    }
}

#[test]
fn a_member_that_speaks_nonsense_does_not_keep_the_others_from_being_asked() {
    use FakeAnswer::{Empty, Endless, OldHttp, Page};
    for answer in [Empty, Endless, OldHttp, Page] {
        work_beside(answer);
    }
}

#[test]
fn what_all_members_refuse_is_refused() {
    let lab = Lab::new(1);
    let refusing = FakeAnswer::Status(tonic::Code::PermissionDenied);
    let fakes = [(); 2].map(|()| FakeMember::start(lab[H1].namespace(), LOOPBACK, refusing));
    let etcd = client_on(&lab, &fakes.each_ref().map(FakeMember::url));
    let asked = Instant::now();
    let error = etcd.client().call(put("/test/a", 0), PATIENCE).expect_err("refused");
    assert_eq!((error.kind, error.outcome_is_unknown()), (ErrorKind::Refused, false), "{error}");
    assert!(asked.elapsed() < PATIENCE / 2, "refused after {:?}", asked.elapsed());
}

#[test]
fn a_member_of_another_cluster_is_not_used_though_no_other_one_answers() {
    let mut lab = Lab::new(2);
    let (_another, foreign) = another_cluster(&lab, H2);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints(), &foreign]);
    let events = keep_lease(&etcd);
    let (ours, _) = await_event(&events, opened);
    lab.etcd.stop();
    for _ in 0..3 {
        etcd.client().call(put("/test/a", 0), SECOND).expect_err("ours does not answer");
    }
    lab.etcd.start_all();
    let written = etcd.client().call(put("/test/a", 0), PATIENCE).expect("ours answers");
    assert_eq!(written.cluster, ours);
    assert_eq!(await_event(&events, opened), (ours, Gap::Reconnected));
    assert_eq!(keys(&lab, &foreign, "/test/"), 0);
}

#[test]
fn the_cluster_of_most_members_is_used_wherever_they_are_listed() {
    let lab = Lab::builder(2).etcd_members(3).build();
    let (_another, foreign) = another_cluster(&lab, H2);
    let ours = lab.etcd.endpoints();
    let list: Vec<&str> = std::iter::once(foreign.as_str()).chain(ours.split(',')).collect();
    let etcd = client_on(&lab, &list);
    etcd.client().call(put("/test/a", 0), PATIENCE).expect("written");
    assert!(lab.etcd.get("/test/a").is_some());
    assert_eq!(keys(&lab, &foreign, "/test/"), 0);
}

#[test]
fn a_cluster_that_was_replaced_is_told() {
    let mut lab = Lab::new(1);
    let etcd = client_on(&lab, &[&lab.etcd.endpoints()]);
    let events = keep_lease(&etcd);
    let (before, _) = await_event(&events, opened);
    lab.etcd.replace();
    let replaced = |event| opened(event).filter(|(_, gap)| *gap == Gap::Replaced);
    assert_ne!(await_event(&events, replaced).0, before);
    etcd.client().call(put("/test/a", 0), PATIENCE).expect("written");
}

#[test]
fn an_agent_says_once_which_member_belongs_to_another_cluster() {
    let mut lab = Lab::new(2);
    let (_another, foreign) = another_cluster(&lab, H2);
    let endpoints = format!("{},{foreign}", lab.etcd.endpoints());
    lab[H1].start_with(&[("ETCD_HOSTS", &endpoints)]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    lab.etcd.restart();
    lab.await_owner(VIP);
    eventually("it is well again", || lab[H1].api().get("/health").status == 200);
    let log = lab[H1].agent().log();
    let said: Vec<&str> =
        log.lines().filter(|l| l.contains("WARN") && l.contains("belongs to")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&format!("WARN  etcd: {foreign} belongs to cluster")), "{said:?}");
    assert_eq!(keys(&lab, &foreign, "/link/"), 0);
}

#[test]
fn a_proxy_of_etcd_serves_as_well_as_a_member() {
    let lab = Lab::new(1);
    let proxy = Program::new("etcd")
        .args(["grpc-proxy", "start", "--endpoints", &lab.etcd.endpoints()])
        // From 3.5 on it ends after 5 s if it cannot reach what it advertises.
        .args(["--listen-addr", "127.0.0.1:2379", "--advertise-client-url", "127.0.0.1:2379"]);
    let log = lab.folder().join("proxy.log");
    let _proxy = Process::start(lab[H1].namespace(), &proxy, &log);
    let etcd = client_on(&lab, &["http://127.0.0.1:2379"]);
    let events = keep_lease(&etcd);
    await_event(&events, opened);
    let held = |event| match event {
        Event::Held { id, .. } => Some(id),
        Event::Lost { why, .. } => panic!("lost: {why}"),
        Event::Granted { .. }
        | Event::Paused(_)
        | Event::KeyChanged { .. }
        | Event::WatchOpened { .. } => None,
    };
    let id = await_event(&events, held);
    etcd.client().call(put("/test/a", id), PATIENCE).expect("written");
    let quiet_until = Instant::now() + 6 * SECOND;
    while let Ok(event) = events.recv_deadline(quiet_until) {
        assert_eq!(opened(event.clone()), None, "the watch is opened again");
        assert!(!matches!(event, Event::Granted { .. } | Event::Lost { .. }), "{event:?}");
    }
    assert_eq!(await_event(&events, held), id);
}
