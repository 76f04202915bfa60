use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

struct Lab {
    listener: TcpListener,
    clients: Clients,
    start: Instant,
    scratch: Vec<u8>,
}

impl Lab {
    fn new() -> Lab {
        Lab {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            clients: Clients::new(Names::new(["h".to_owned()], false)),
            start: Instant::now(),
            scratch: vec![0; 128 * 1024],
        }
    }

    /// A client that has sent these bytes, so many seconds after the start.
    fn admit(&mut self, bytes: &[u8], seconds: u64) -> TcpStream {
        let mut theirs = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        theirs.write_all(bytes).unwrap();
        let (ours, address) = self.listener.accept().unwrap();
        let mut sent = vec![0; bytes.len()];
        while !sent.is_empty() && ours.peek(&mut sent).unwrap() < bytes.len() {}
        ours.set_nonblocking(true).unwrap();
        let now = self.start + Duration::from_secs(seconds);
        self.clients.admit((ours, address), None, &mut self.scratch, now);
        theirs
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// The places, in the order of admission, whose clients are still here.
    fn left(&self) -> Vec<u64> {
        self.clients.by_number.keys().copied().collect()
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const DELETE: &[u8] = b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn who_has_its_answer_goes_first_then_who_has_waited_longest_and_never_who_waits_for_us() {
    let mut lab = Lab::new();
    let mut theirs = Vec::new();
    for (bytes, seconds) in [(GET, 1), (b"G", 3), (b"", 2), (b"\0", 4), (DELETE, 5)] {
        theirs.push(lab.admit(bytes, seconds));
    }
    let now = lab.at(6);
    for left in [vec![0, 1, 2, 4], vec![0, 1, 4], vec![0, 4]] {
        assert!(lab.clients.make_room(now));
        assert_eq!(lab.left(), left);
    }
    assert!(!lab.clients.make_room(now));
}

#[test]
fn who_has_only_just_come_is_spared() {
    let mut lab = Lab::new();
    let theirs: Vec<TcpStream> = (0..MAX_CLIENTS).map(|_| lab.admit(b"G", 1)).collect();
    let now = lab.at(1);
    assert!(!lab.clients.has_room(now));
    assert_eq!(lab.clients.deadline(now), Some(now + GRACE));
    assert!(lab.clients.has_room(now + GRACE));
    drop(lab.admit(GET, 2));
    assert_eq!(lab.clients.len(), MAX_CLIENTS);
    assert_eq!(lab.left()[0], 1);
    drop(theirs);
}

#[test]
fn requests_have_their_turn_in_the_order_in_which_they_became_whole() {
    let mut lab = Lab::new();
    let _late = lab.admit(GET, 3);
    let _first = lab.admit(DELETE, 1);
    let _second = lab.admit(GET, 2);
    let now = lab.at(4);
    let mut turn = |changes_too| Some(lab.clients.take_request(changes_too, 0, now)?.0);
    assert_eq!(
        [turn(false), turn(true), turn(false), turn(false)],
        [Some(2), Some(1), Some(0), None]
    );
}

#[test]
fn the_youngest_of_too_many_changes_are_refused() {
    let mut lab = Lab::new();
    let mut theirs: Vec<TcpStream> =
        (0..MAX_QUEUED_WAITING + 1).map(|_| lab.admit(DELETE, 1)).collect();
    theirs.push(lab.admit(DELETE, 0));
    theirs.push(lab.admit(GET, 9));
    lab.clients.shed(lab.at(9));
    let is_queued = |client: &Client| client.connection.queued().is_some();
    let left: Vec<bool> = lab.clients.values().map(is_queued).collect();
    let refused: Vec<usize> = (0..left.len()).filter(|number| !left[*number]).collect();
    assert_eq!(refused, [MAX_QUEUED_WAITING - 1, MAX_QUEUED_WAITING]);
    let mut status = [0; 12];
    theirs[MAX_QUEUED_WAITING].read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
}

#[test]
fn of_large_requests_a_few_wait_and_the_server_has_one_at_a_time() {
    let mut lab = Lab::new();
    let mut body = b"POST /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n".to_vec();
    body.resize(body.len() + 100_000, b' ');
    let mut theirs: Vec<TcpStream> = (0..=MAX_QUEUED_LARGE).map(|_| lab.admit(&body, 1)).collect();
    let get = lab.admit(GET, 2);
    let now = lab.at(3);
    lab.clients.shed(now);
    let mut status = [0; 12];
    theirs[MAX_QUEUED_LARGE].read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
    let turn = |lab: &mut Lab| Some(lab.clients.take_request(true, 0, now)?.0);
    let first = turn(&mut lab).unwrap();
    assert_eq!((turn(&mut lab), turn(&mut lab)), (Some(theirs.len() as u64), None));
    lab.clients.get_mut(first).unwrap().answer(&Reply::version(), false, now);
    assert!(turn(&mut lab).is_some_and(|next| next != first));
    drop(get);
}

#[test]
fn bodies_that_do_not_end_are_held_within_a_bound_and_the_oldest_go() {
    let mut lab = Lab::new();
    let mut body = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n".to_vec();
    body.resize(60_000, b' ');
    let theirs: Vec<TcpStream> = (0..150).map(|number| lab.admit(&body, number)).collect();
    lab.clients.limit_memory();
    let held: usize = lab.clients.values().map(|client| client.connection.held()).sum();
    assert!(held <= MAX_HELD && held > MAX_HELD / 2, "{held}");
    let left = lab.left();
    assert_eq!((left[0], left[left.len() - 1]), (150 - left.len() as u64, 149));
    drop(theirs);
}
