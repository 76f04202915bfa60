use std::os::unix::net::UnixListener;

use nix::poll::{PollTimeout, poll};

use super::*;
use crate::ping::LivenessCheck;

const ANSWER: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nServer: tiny-http (Rust)\r\n\
    Allow: POST\r\nContent-Length: 3\r\n\r\n{}\n";

/// The gate's side of the connections, and the server's, which a test plays.
struct Lab {
    listener: UnixListener,
    upstreams: Upstreams,
    servers: Vec<UnixStream>,
    now: Instant,
}

impl Lab {
    fn new() -> Lab {
        let (socket, listener) = PrivateSocket::make().unwrap();
        let server = std::thread::spawn(move || (greet_all(&listener), listener));
        let upstreams = Upstreams::open(Arc::new(socket)).unwrap();
        let (servers, listener) = server.join().unwrap();
        Lab { listener, upstreams, servers, now: Instant::now() }
    }

    fn turn(&mut self) -> Vec<Served> {
        let mut polled: Vec<PollFd<'_>> = self.upstreams.polled().collect();
        poll(&mut polled, PollTimeout::ZERO).unwrap();
        let events: Vec<PollFlags> = polled.iter().map(|fd| fd.revents().unwrap()).collect();
        self.upstreams.turn(&events, self.now)
    }

    fn send(&mut self, number: u64) {
        let bytes = format!("GET /{number} HTTP/1.1\r\n\r\n").into_bytes();
        self.upstreams.send(
            Asker::Client(number),
            Request { bytes, waits: true, ..Request::default() },
            self.now,
        );
        assert!(self.turn().is_empty());
    }

    /// The server that has got the request with this number.
    fn server_of(&self, number: u64) -> usize {
        let got = |server: &UnixStream| arrived(server) == Some(number);
        self.servers.iter().position(got).expect("the request has arrived")
    }
}

/// Accepts the connections one after the other, and answers the first request of each.
fn greet_all(listener: &UnixListener) -> Vec<UnixStream> {
    (0..UPSTREAMS).map(|_| greet(listener)).collect()
}

fn greet(listener: &UnixListener) -> UnixStream {
    let (mut server, _) = listener.accept().unwrap();
    let mut hello = vec![0; HELLO.len()];
    server.read_exact(&mut hello).unwrap();
    assert_eq!(hello, HELLO);
    for byte in ANSWER {
        server.write_all(&[*byte]).unwrap();
    }
    server.set_nonblocking(true).unwrap();
    server
}

/// The number in the request that has arrived, if one has.
fn arrived(server: &UnixStream) -> Option<u64> {
    let mut received = [0; 100];
    let read = { server }.read(&mut received).ok()?;
    let text = std::str::from_utf8(&received[..read]).unwrap();
    text.strip_prefix("GET /")?.split(' ').next()?.parse().ok()
}

fn only(served: Vec<Served>) -> (u64, u16, bool) {
    match &served[..] {
        [Served { asker: Asker::Client(number), reply, is_answer }] => {
            (*number, reply.status, *is_answer)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_that_wait_leave_a_connection_for_others() {
    let mut lab = Lab::new();
    for number in 1..UPSTREAMS as u64 {
        assert!(lab.upstreams.has_room(true));
        lab.send(number);
    }
    assert!(!lab.upstreams.has_room(true) && lab.upstreams.has_room(false));
    lab.send(0);
    assert!(!lab.upstreams.has_room(false));
    let mut arrived: Vec<u64> = lab.servers.iter().filter_map(arrived).collect();
    arrived.sort_unstable();
    assert!(arrived.into_iter().eq(0..UPSTREAMS as u64));
}

#[test]
fn an_answer_may_come_in_pieces_and_goes_to_who_asked() {
    let mut lab = Lab::new();
    lab.send(5);
    lab.send(6);
    let second = lab.server_of(6);
    for byte in &ANSWER[..ANSWER.len() - 1] {
        lab.servers[second].write_all(&[*byte]).unwrap();
        assert!(lab.turn().is_empty());
    }
    lab.servers[second].write_all(b"\n").unwrap();
    let served = lab.turn();
    let headers = vec![("Allow".to_owned(), "POST".to_owned())];
    assert_eq!(served[0].reply, Reply { status: 405, headers, body: b"{}\n".to_vec() });
    assert_eq!(only(served), (6, 405, true));
}

#[test]
fn a_connection_that_is_lost_is_told_and_opened_again() {
    let mut lab = Lab::new();
    lab.send(8);
    let lost = lab.server_of(8);
    lab.servers.remove(lost);
    let served = lab.turn();
    assert_eq!(served[0].reply, Reply::unavailable("the API does not answer"));
    assert_eq!(only(served), (8, 503, false));
    // Those without a request can be lost, too; what is opened again is free when the server has greeted. The next
    // are not tried at once: what is lost again and again keeps no core busy.
    lab.servers.truncate(2);
    assert!(lab.turn().is_empty());
    assert_eq!(lab.upstreams.deadline(), Some(lab.now + OPENING));
    lab.send(9);
    assert!(lab.upstreams.has_room(false) && !lab.upstreams.has_room(true));
    lab.server_of(9);
    lab.now += OPENING;
    lab.turn();
    assert_eq!(lab.upstreams.deadline(), Some(lab.now - OPENING + PATIENCE));
    let greet = |lab: &mut Lab| {
        lab.turn();
        greet(&lab.listener)
    };
    let again: Vec<UnixStream> = (2..UPSTREAMS).map(|_| greet(&mut lab)).collect();
    lab.turn();
    lab.servers.extend(again);
    for number in 1..UPSTREAMS as u64 {
        assert!(lab.upstreams.has_room(false), "{number}");
        lab.send(number);
    }
    assert!(!lab.upstreams.has_room(false));
}

#[test]
fn of_a_change_whose_answer_is_lost_the_outcome_is_unknown() {
    for (request, is_known) in [("GET /", true), ("HEAD /", true), ("POST /", false)] {
        let reply = unanswered(request.as_bytes());
        let error: crate::wire::Error = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, error.is_outcome_unknown()), (503, !is_known), "{request}");
    }
}

#[test]
fn an_answer_that_is_late_is_given_up_and_goes_to_nobody() {
    let mut lab = Lab::new();
    lab.send(1);
    let server = lab.server_of(1);
    assert_eq!(lab.upstreams.deadline(), Some(lab.now + PATIENCE));
    lab.now += PATIENCE;
    assert_eq!(only(lab.turn()), (1, 503, false));
    assert_eq!(lab.upstreams.deadline(), None);
    for number in 2..=UPSTREAMS as u64 {
        lab.send(number);
    }
    assert!(!lab.upstreams.has_room(false), "its connection is taken until the answer comes");
    lab.servers[server].write_all(ANSWER).unwrap();
    assert!(lab.turn().is_empty());
    assert!(lab.upstreams.has_room(false));
}

#[test]
fn the_question_of_the_watchdog_comes_back_with_the_answer_or_without() {
    let (mut lab, mut check) = (Lab::new(), LivenessCheck::new());
    for answers in [true, false] {
        let request = Request { bytes: b"GET /7 HTTP/1.1\r\n\r\n".to_vec(), ..Request::default() };
        lab.upstreams.send(Asker::Watchdog(check.ask("api")), request, lab.now);
        assert!(lab.turn().is_empty());
        let server = lab.server_of(7);
        if answers {
            lab.servers[server].write_all(ANSWER).unwrap();
        } else {
            lab.servers.remove(server);
        }
        let served = lab.turn();
        assert_eq!((served.len(), served[0].is_answer), (1, answers));
        assert!(!check.missing().is_empty(), "the gate decides what becomes of it");
        drop(served);
        assert!(check.missing().is_empty());
    }
}

#[test]
fn nobody_who_listens_or_answers_is_an_error() {
    let (socket, listener) = PrivateSocket::make().unwrap();
    let socket = Arc::new(socket);
    let silent = Upstreams::open(Arc::clone(&socket)).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
    drop(listener);
    assert!(Upstreams::open(socket).is_err());
}

#[test]
fn an_answer_without_an_end_or_with_too_much_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 19999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
        "SSH-2.0-x\r\n",
    ] {
        assert!(parse(&mut text.as_bytes().to_vec()).is_err(), "{text}");
    }
}
