use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;

use nix::poll::{PollFd, PollTimeout, poll};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nServer: tiny-http (Rust)\r\n\
    Allow: POST\r\nContent-Length: 3\r\n\r\n{}\n";

/// The gate's side of the socket, and the server's, which a test plays.
struct Lab {
    upstreams: Upstreams,
    listener: UnixListener,
    now: Instant,
}

impl Lab {
    fn new() -> Lab {
        let (socket, listener) = PrivateSocket::make().unwrap();
        let now = Instant::now();
        Lab { upstreams: Upstreams::new(Arc::new(socket), now), listener, now }
    }

    /// A server that has answered the greeting on every connection.
    fn opened() -> (Lab, Vec<UnixStream>) {
        let mut lab = Lab::new();
        let servers = (0..UPSTREAMS).map(|_| lab.open()).collect();
        (lab, servers)
    }

    fn turn(&mut self) -> Vec<Served> {
        let polled = self.upstreams.polled().map(|(fd, events)| PollFd::new(fd, events));
        let mut polled: Vec<PollFd<'_>> = polled.collect();
        poll(&mut polled, PollTimeout::ZERO).unwrap();
        let events: Vec<PollFlags> = polled.iter().map(|fd| fd.revents().unwrap()).collect();
        self.upstreams.turn(&events, self.now)
    }

    /// Accepts the next connection and answers its greeting.
    fn open(&mut self) -> UnixStream {
        assert!(self.turn().is_empty());
        let (mut server, _) = self.listener.accept().unwrap();
        assert!(self.turn().is_empty(), "it greets");
        expect(&mut server, HELLO);
        server.write_all(ANSWER).unwrap();
        assert!(self.turn().is_empty());
        server
    }

    fn send(&mut self, number: u64, waits: bool) {
        let bytes = format!("GET /{number} HTTP/1.1\r\n\r\n").into_bytes();
        self.upstreams.send(Asker::Client(number), Request { bytes, waits }, self.now);
        assert!(self.turn().is_empty());
    }
}

fn expect(server: &mut UnixStream, request: &[u8]) {
    let mut received = vec![0; request.len()];
    server.read_exact(&mut received).unwrap();
    assert_eq!(received, request);
}

/// The number in the request that has arrived, if one has.
fn arrived(server: &UnixStream) -> Option<u64> {
    server.set_nonblocking(true).unwrap();
    let mut received = [0; 100];
    let read = (&*server).read(&mut received).ok()?;
    let text = std::str::from_utf8(&received[..read]).unwrap();
    text.strip_prefix("GET /")?.split(' ').next()?.parse().ok()
}

#[test]
fn connections_are_opened_one_after_the_other() {
    let mut lab = Lab::new();
    lab.listener.set_nonblocking(true).unwrap();
    assert!(!lab.upstreams.has_room(false));
    for opened in 0..UPSTREAMS {
        lab.turn();
        let (mut server, _) = lab.listener.accept().unwrap();
        lab.turn();
        assert!(lab.listener.accept().is_err(), "the last one is not ready yet");
        assert_eq!(lab.upstreams.has_room(false), opened > 0);
        server.write_all(ANSWER).unwrap();
        lab.turn();
        std::mem::forget(server);
    }
    lab.turn();
    assert!(lab.listener.accept().is_err());
    assert_eq!(lab.upstreams.deadline(), None, "nothing is due");
}

#[test]
fn requests_that_wait_leave_room_for_others() {
    let (mut lab, servers) = Lab::opened();
    for number in 0..FOR_WAITING as u64 {
        assert!(lab.upstreams.has_room(true));
        lab.send(number, true);
    }
    assert!(!lab.upstreams.has_room(true) && lab.upstreams.has_room(false));
    lab.send(7, false);
    assert!(!lab.upstreams.has_room(false));
    let arrived: BTreeSet<u64> = servers.iter().filter_map(arrived).collect();
    assert_eq!(arrived, [0, 1, 2, 7].into());
}

#[test]
fn an_answer_may_come_in_pieces_and_goes_to_who_asked() {
    let (mut lab, mut servers) = Lab::opened();
    for number in [5, 6] {
        lab.send(number, true);
    }
    let second = servers.iter_mut().find(|server| arrived(server) == Some(6)).unwrap();
    for byte in &ANSWER[..ANSWER.len() - 1] {
        second.write_all(&[*byte]).unwrap();
        assert!(lab.turn().is_empty());
    }
    second.write_all(b"\n").unwrap();
    let served = lab.turn();
    let [Served { asker: Asker::Client(6), reply, is_answer: true }] = &served[..] else {
        panic!("{served:?}")
    };
    let headers = vec![("Allow".to_owned(), "POST".to_owned())];
    assert_eq!(*reply, Reply { status: 405, headers, body: b"{}\n".to_vec() });
}

#[test]
fn a_connection_that_is_lost_is_told_and_opened_again() {
    let (mut lab, mut servers) = Lab::opened();
    lab.send(8, true);
    let lost = servers.iter().position(|server| arrived(server) == Some(8)).unwrap();
    drop(servers.remove(lost));
    // One that is idle can be lost too.
    drop(servers.pop());
    let served = lab.turn();
    let [Served { asker: Asker::Client(8), reply, is_answer: false }] = &served[..] else {
        panic!("{served:?}")
    };
    assert_eq!(reply.status, 503);
    for _ in 0..2 {
        servers.push(lab.open());
    }
    lab.send(9, false);
    assert!(servers.iter().any(|server| arrived(server) == Some(9)));
}

#[test]
fn an_answer_that_does_not_come_has_its_time() {
    let (mut lab, _servers) = Lab::opened();
    lab.send(1, true);
    let deadline = lab.upstreams.deadline().unwrap();
    assert_eq!(deadline, lab.now + PATIENCE);
    lab.now = deadline;
    assert!(matches!(&lab.turn()[..], [Served { asker: Asker::Client(1), is_answer: false, .. }]));
}

#[test]
fn a_server_that_does_not_answer_the_greeting_is_tried_again_and_not_at_once() {
    let mut lab = Lab::new();
    lab.turn();
    lab.now = lab.upstreams.deadline().unwrap();
    assert!(lab.turn().is_empty(), "nobody asked");
    let again = lab.upstreams.deadline().unwrap();
    assert_eq!(again, lab.now + RETRY);
    drop(lab.listener.accept().unwrap());
    lab.now = again;
    lab.open();
    assert!(lab.upstreams.has_room(false));
}

#[test]
fn nobody_who_listens_is_no_answer() {
    let (socket, listener) = PrivateSocket::make().unwrap();
    drop(listener);
    let now = Instant::now();
    let mut upstreams = Upstreams::new(Arc::new(socket), now);
    assert!(upstreams.turn(&[], now).is_empty());
    assert_eq!(upstreams.deadline(), Some(now + RETRY));
}

#[test]
fn an_answer_without_an_end_or_with_too_much_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
        "SSH-2.0-x\r\n",
    ] {
        assert!(parse(&mut text.as_bytes().to_vec()).is_err(), "{text}");
    }
}
