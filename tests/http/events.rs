//! Clients that wait for news: they cost nobody anything, and get it when it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use link::bell::Bell;
use link::command::Command;
use link::wire::Events;

use crate::client::{Answer, Client};
use crate::supervisor::{Server, events, oblige};

/// As many as may wait at a time.
const PLACES: usize = 128;

/// A server with a history.
struct Lab {
    server: Server,
    last: Arc<AtomicU64>,
    news: Bell,
}

impl Lab {
    /// `then` is done between the look into the history and the answer.
    fn with(then: impl Fn(&AtomicU64, &Bell) + Send + 'static) -> Lab {
        let (last, news) = (Arc::new(AtomicU64::new(0)), Bell::new().unwrap());
        let (counter, bell) = (Arc::clone(&last), news.clone());
        let decide = move |command: Command| {
            let Command::Events(after) = &command else { return Some(Ok(oblige(&command))) };
            let answer = events(after.seq, counter.load(Ordering::SeqCst));
            then(&counter, &bell);
            Some(Ok(answer))
        };
        Lab { server: Server::start_with_news(None, Some(news.clone()), decide), last, news }
    }

    fn new() -> Lab {
        Lab::with(|_, _| {})
    }

    /// Clients that wait. The supervisor was asked for all of them, and what it has said has come to the gate: the
    /// answer to a later request has.
    fn waiting(&self, count: usize) -> Vec<Client> {
        let ask = |_| {
            let mut client = self.server.client();
            client.send("GET /events?after=0&history=a&wait=50 HTTP/1.1\r\nHost: h\r\n\r\n");
            let asked = self.server.commands.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(matches!(asked, Command::Events(_)), "{asked:?}");
            client
        };
        let clients = (0..count).map(ask).collect();
        assert_eq!(self.server.client().get("/ips").status, 200);
        let asked = self.server.commands.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(matches!(asked, Command::List), "{asked:?}");
        clients
    }

    fn happens(&self) {
        self.last.fetch_add(1, Ordering::SeqCst);
        self.news.ring();
    }
}

fn read(answer: &Answer) -> Events {
    answer.assert_is_json();
    assert_eq!((answer.status, answer.header("nothing-new")), (200, None), "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

fn numbers(answer: &Answer) -> Vec<u64> {
    read(answer).events.iter().map(|event| event.seq).collect()
}

/// How long a request takes, one after the other: the longest but a few.
fn slow_request(server: &Server) -> Duration {
    let mut client = server.client();
    let mut ask = |number| {
        let begun = Instant::now();
        let status = match number % 2 {
            0 => client.get("/ips").status,
            _ => client.ask("POST", "/ips", "", r#"{"ip":"10.0.0.9"}"#).status,
        };
        assert!(status < 300);
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..200).map(&mut ask).collect();
    times.sort_unstable();
    times[180]
}

#[test]
fn a_hundred_clients_that_wait_slow_nobody_down_and_all_hear_the_news() {
    let lab = Lab::new();
    let before = slow_request(&lab.server);
    while lab.server.commands.try_recv().is_ok() {}
    let mut clients = lab.waiting(100);
    let meanwhile = slow_request(&lab.server);
    assert!(meanwhile < before * 4 + Duration::from_millis(5), "{before:?} {meanwhile:?}");
    let mut asked = lab.server.commands.try_iter();
    assert!(
        !asked.any(|command| matches!(command, Command::Events(_))),
        "nobody is busy with them"
    );
    assert!(clients.iter().all(Client::is_waiting));
    lab.happens();
    for client in &mut clients {
        assert_eq!(numbers(&client.answer()), [1]);
    }
    assert!(slow_request(&lab.server) < before * 4 + Duration::from_millis(5));
}

#[test]
fn who_knows_less_gets_it_at_once_and_who_knows_all_waits_as_long_as_it_wants() {
    let lab = Lab::new();
    lab.last.store(3, Ordering::SeqCst);
    let mut client = lab.server.client();
    assert_eq!(numbers(&client.get("/events?after=1&wait=50")), [2, 3]);
    let known = client.get("/events?after=3");
    assert_eq!((numbers(&known).len(), read(&known).last), (0, 3));
    let begun = Instant::now();
    assert_eq!(numbers(&client.get("/events?after=3&wait=1")), [0; 0]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(client.ask("HEAD", "/events", "", "").status, 200);
    assert_eq!(client.get("/events?after=x").status, 400);
}

#[test]
fn one_too_many_is_answered_at_once_and_who_goes_leaves_its_place() {
    let lab = Lab::new();
    let mut clients = lab.waiting(PLACES);
    let mut more = lab.server.client();
    let ask = "/events?after=0&history=a&wait=50";
    assert_eq!(numbers(&more.get(ask)), [0; 0]);
    // One goes for good, one has only ended its side and is told that there is nothing.
    clients.pop();
    let mut ended = clients.pop().unwrap();
    ended.end();
    assert_eq!(numbers(&ended.answer()), [0; 0]);
    let begun = Instant::now();
    let mut waits = false;
    while !waits && begun.elapsed() < Duration::from_secs(20) {
        let answer = more.get("/events?after=0&history=a&wait=1");
        waits = begun.elapsed() >= Duration::from_secs(1);
        assert_eq!(numbers(&answer), [0; 0]);
    }
    assert!(waits, "there is a place");
    assert!(clients.iter().all(Client::is_waiting));
}

#[test]
fn what_happens_while_the_answer_is_on_its_way_is_not_missed() {
    let lab = Lab::with(|last, news| {
        if last.swap(1, Ordering::SeqCst) == 0 {
            news.ring();
        }
    });
    let mut client = lab.server.client();
    assert_eq!(numbers(&client.get("/events?after=0&wait=50")), [1]);
}

#[test]
fn an_event_that_is_none_for_a_client_leaves_it_waiting() {
    let lab = Lab::new();
    let mut clients = lab.waiting(3);
    // Another client's news: asked again, and nothing there.
    lab.news.ring();
    for _ in 0..3 {
        let asked = lab.server.commands.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(matches!(asked, Command::Events(_)), "{asked:?}");
    }
    assert!(clients.iter().all(Client::is_waiting));
    lab.happens();
    assert!(clients.iter_mut().all(|client| numbers(&client.answer()) == [1]));
}

#[test]
fn at_the_end_who_waits_is_answered() {
    let mut lab = Lab::new();
    let mut clients = lab.waiting(3);
    let begun = Instant::now();
    lab.server.api = None;
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!(numbers(&answer), [0; 0]);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}
