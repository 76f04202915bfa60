use super::*;

const GET: &[u8] = b"GET /ips HTTP/1.1\r\nHost: h\r\n\r\n";
const PUT: &[u8] = b"PUT /ips/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";

fn fresh() -> (Connection, Instant) {
    let now = Instant::now();
    (Connection::new(Names::new(["h".to_owned()], false), now), now)
}

/// Sends all output; true when our side is to be shut down.
fn flush(connection: &mut Connection, now: Instant) -> (String, bool) {
    let bytes = connection.unsent().to_vec();
    let ends = connection.sent(bytes.len(), now);
    (String::from_utf8(bytes).unwrap(), ends)
}

fn status(connection: &mut Connection, now: Instant) -> (u16, bool) {
    let (text, ends) = flush(connection, now);
    (text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), ends)
}

fn ok() -> Reply {
    Reply::version()
}

#[test]
fn a_request_is_read_served_answered_and_followed_by_another() {
    let (mut connection, now) = fresh();
    for _ in 0..2 {
        assert_eq!(connection.interest(), PollFlags::POLLIN);
        connection.received(PUT, now);
        assert_eq!(connection.interest(), PollFlags::empty());
        let request = connection.take_request(0, now).unwrap();
        assert!(request.bytes.ends_with(b"Content-Length: 4\r\n\r\nbody") && request.waits);
        assert_eq!(connection.take_request(0, now), None);
        connection.answer(&ok(), true, now);
        assert_eq!(connection.interest(), PollFlags::POLLOUT);
        assert_eq!(status(&mut connection, now), (200, false));
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let (mut connection, now) = fresh();
    for byte in PUT {
        assert_eq!(connection.queued(), None);
        connection.received(&[*byte], now);
    }
    assert!(connection.queued().is_some());
}

#[test]
fn what_is_sent_ahead_waits_for_its_turn() {
    let (mut connection, now) = fresh();
    connection.received(&[PUT, GET, b"\r\n", GET, b"GET /"].concat(), now);
    for waits in [true, false, false] {
        assert_eq!(connection.take_request(0, now).unwrap().waits, waits);
        assert!(!connection.interest().contains(PollFlags::POLLIN));
        connection.answer(&ok(), true, now);
        assert_eq!(status(&mut connection, now), (200, false));
    }
    assert_eq!(connection.eviction_rank(), Some(EvictionRank::Waiting));
    connection.received(b" HTTP/1.0\r\n\r\n", now);
    assert!(connection.queued().is_some());
}

#[test]
fn the_body_of_a_get_is_read_and_dropped() {
    let (mut connection, now) = fresh();
    connection.received(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12", now);
    assert_eq!(connection.queued(), None);
    connection.received(&[b"345", GET].concat(), now);
    let request = connection.take_request(0, now).unwrap();
    assert!(request.bytes.ends_with(b"Host: link\r\n\r\n"), "{request:?}");
    connection.answer(&ok(), true, now);
    flush(&mut connection, now);
    assert!(connection.queued().is_some());
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let head =
        b"PUT /ips/x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let (mut connection, now) = fresh();
    connection.received(head, now);
    assert_eq!(flush(&mut connection, now), ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), false));
    connection.received(b"body", now);
    assert!(connection.queued().is_some());

    let (mut impatient, now) = fresh();
    impatient.received(&[&head[..], b"body"].concat(), now);
    assert!(impatient.unsent().is_empty() && impatient.queued().is_some());
}

#[test]
fn what_is_wrong_is_answered_and_ends_the_connection() {
    let (mut connection, now) = fresh();
    connection.received(&[b"GET / HTTP/3.7\r\n\r\n", GET].concat(), now);
    assert_eq!(status(&mut connection, now), (505, true));
    assert_eq!(connection.eviction_rank(), Some(EvictionRank::Answered));
    connection.received(GET, now);
    assert_eq!((connection.queued(), connection.held()), (None, 0));
    connection.ended(now);
    assert!(connection.is_closed());
}

#[test]
fn a_client_that_wants_no_more_or_may_not_have_more_is_let_go() {
    for (request, may_keep_alive, ends) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true, false),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", false, true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true, true),
        ("GET / HTTP/1.0\r\n\r\n", true, true),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", true, true),
    ] {
        let (mut connection, now) = fresh();
        connection.received(request.as_bytes(), now);
        connection.take_request(0, now).unwrap();
        connection.answer(&ok(), may_keep_alive, now);
        let (text, ended) = flush(&mut connection, now);
        assert_eq!((ended, text.contains("Connection: close")), (ends, ends), "{request:?}");
    }
}

#[test]
fn half_a_request_is_400_and_none_at_all_is_the_end() {
    let (mut connection, now) = fresh();
    connection.received(&PUT[..PUT.len() - 1], now);
    connection.ended(now);
    assert_eq!(status(&mut connection, now), (400, true));
    let (mut silent, now) = fresh();
    silent.ended(now);
    assert!(silent.is_closed());
}

#[test]
fn a_byte_now_and_then_does_not_move_the_deadline_of_a_request() {
    let (mut connection, mut now) = fresh();
    now += IDLE - Duration::from_millis(1);
    connection.received(&PUT[..1], now);
    let deadline = now + REQUEST;
    for byte in &PUT[1..PUT.len() - 1] {
        now += Duration::from_millis(1);
        connection.received(&[*byte], now);
        assert_eq!(connection.deadline(), Some(deadline));
    }
    connection.expire(deadline - Duration::from_millis(1));
    assert_eq!(connection.eviction_rank(), Some(EvictionRank::Waiting));
    connection.expire(deadline);
    assert_eq!(status(&mut connection, deadline), (408, true));
}

#[test]
fn empty_lines_are_not_the_beginning_of_a_request() {
    let (mut connection, now) = fresh();
    for half in [b"\r\n\r", &b"\n"[..]] {
        connection.received(half, now + Duration::from_secs(20));
        assert_eq!(connection.deadline(), Some(now + IDLE));
    }
    connection.expire(now + IDLE);
    assert!(connection.is_closed() && connection.unsent().is_empty());
}

#[test]
fn a_request_that_nobody_takes_is_answered_503_and_the_connection_lives_on() {
    let (mut connection, now) = fresh();
    connection.received(GET, now);
    let later = connection.deadline().unwrap();
    connection.expire(later);
    assert_eq!(status(&mut connection, later), (503, false));
    connection.received(GET, later);
    assert!(connection.queued().is_some());
}

#[test]
fn an_answer_that_is_not_read_and_a_goodbye_that_is_not_heard_end_in_time() {
    let (mut connection, now) = fresh();
    connection.received(GET, now);
    connection.take_request(0, now).unwrap();
    assert_eq!((connection.deadline(), connection.eviction_rank()), (None, None));
    connection.answer(&ok(), false, now);
    let length = connection.unsent().len();
    assert!(!connection.sent(length - 1, now + Duration::from_secs(29)));
    assert_eq!(connection.eviction_rank(), Some(EvictionRank::Answering));
    assert_eq!(connection.deadline(), Some(now + ANSWER));

    let late = now + ANSWER - Duration::from_millis(1);
    assert!(connection.sent(1, late));
    connection.expire(late + LINGER);
    assert!(connection.is_closed());
}

const EVENTS: &[u8] = b"GET /events?after=7&wait=9 HTTP/1.1\r\nHost: h\r\n\r\n";

/// A client that waits for news since the first turn of the bell.
fn waiting() -> (Connection, Instant) {
    let (mut connection, now) = fresh();
    connection.received(EVENTS, now);
    assert!(!connection.take_request(1, now).unwrap().waits, "it needs neither etcd nor a host");
    assert_eq!(connection.wait(ok(), now), Ok(()));
    (connection, now)
}

#[test]
fn a_client_waits_for_news_and_its_request_is_repeated() {
    let (mut connection, now) = waiting();
    assert!(connection.is_waiting() && connection.eviction_rank().is_none());
    assert!(!connection.waits_since_before(1) && connection.waits_since_before(2));
    let later = now + Duration::from_secs(3);
    connection.ask_again(later);
    assert!(connection.turn() > later, "others go first");
    let request = connection.take_request(2, later).unwrap();
    assert!(request.bytes.starts_with(b"GET /events?after=7&wait=9 HTTP/1.1\r\n"));
    // Nothing for this client: it waits on, no longer than it wanted to.
    assert_eq!(connection.wait(ok(), later), Ok(()));
    assert!(!connection.waits_since_before(2));
    assert_eq!(connection.deadline(), Some(now + Duration::from_secs(9)));
    connection.ask_again(later);
    connection.take_request(3, later).unwrap();
    connection.answer(&ok(), true, later);
    assert_eq!(status(&mut connection, later), (200, false));
}

#[test]
fn who_has_waited_long_enough_is_told_that_there_is_nothing() {
    let (mut connection, now) = waiting();
    let end = now + Duration::from_secs(9);
    connection.expire(end - Duration::from_millis(1));
    assert!(connection.is_waiting());
    connection.expire(end);
    assert_eq!(status(&mut connection, end), (200, false));
    // The server is asked, and the time is over when it answers.
    let (mut connection, _) = waiting();
    connection.ask_again(now);
    connection.take_request(2, now).unwrap();
    assert_eq!(connection.wait(ok(), now + Duration::from_secs(10)), Err(ok()));
    // Without `wait`, and for anything else, nobody waits.
    for request in [GET, b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let (mut connection, now) = fresh();
        connection.received(request, now);
        connection.take_request(1, now).unwrap();
        assert_eq!(connection.wait(ok(), now), Err(ok()));
    }
}

#[test]
fn what_a_waiting_client_sends_is_left_and_that_it_has_gone_is_seen() {
    let (mut connection, now) = waiting();
    assert_eq!(connection.interest(), PollFlags::POLLIN);
    connection.has_sent_more();
    assert_eq!(connection.interest(), PollFlags::empty());
    connection.answer_with_nothing(true, now);
    assert_eq!(status(&mut connection, now), (200, false));
    let (mut connection, now) = waiting();
    connection.ended(now);
    assert_eq!(status(&mut connection, now), (200, false));
    let (mut connection, now) = waiting();
    connection.answer_with_nothing(false, now);
    assert_eq!(status(&mut connection, now), (200, true), "the agent stops");
}

#[test]
fn a_handshake_has_to_end_in_the_time_of_a_request_and_is_worth_as_little() {
    let (mut connection, start) = fresh();
    let later = start + IDLE / 2;
    connection.secures(later);
    assert_eq!(connection.interest(), PollFlags::POLLIN);
    assert_eq!(connection.eviction_rank(), Some(EvictionRank::Waiting));
    // Bytes now and then do not put it off.
    connection.secures(later + REQUEST / 2);
    assert_eq!(connection.deadline(), Some(later + REQUEST));
    connection.expire(later + REQUEST);
    assert!(connection.is_closed());

    let (mut connection, start) = fresh();
    connection.secures(start);
    connection.secured(later);
    assert_eq!(connection.deadline(), Some(later + IDLE), "from its end on as without TLS");
    connection.received(GET, later);
    connection.secures(later);
    assert!(connection.queued().is_some(), "nothing later is a handshake");
}
