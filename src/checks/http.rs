//! The head of an answer of an HTTP/1.1 server (RFC 9112): what a check or a hook needs of it is the status.
//!
//! Nothing of the body is read, no redirect is followed, and whatever the server does, it ends at the deadline or
//! after a bounded number of bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::vip::Url;

/// Bytes of the longest head that is read.
const MAX_HEAD: usize = 16 << 10;
/// Fields of a head.
const MAX_FIELDS: usize = 64;
/// How many answers may come before the one that counts (1xx, RFC 9110, 15.2).
const MAX_INTERIM: usize = 8;
/// Bytes that are read at a time.
const READ_SIZE: usize = 2 << 10;

/// A connection on which nothing takes longer than until a deadline.
pub(super) struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    pub(super) fn new(stream: TcpStream, until: Instant) -> Timed {
        Timed { stream, until }
    }

    /// What is left of the time. A timeout of zero would be none at all.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) { Err(too_late()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timeout)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// `EAGAIN` is how the kernel says that the time of a socket is over; here it is no lack of anything.
fn timeout(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { too_late() } else { error }
}

fn too_late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no answer in time")
}

/// A connection, with or without TLS.
pub(super) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// The status with which a server answers a request.
pub(super) fn status(stream: &mut dyn Stream, request: &[u8]) -> io::Result<u16> {
    stream.write_all(request)?;
    let (mut bytes, mut interim) = (Vec::new(), 0);
    loop {
        match head(&bytes)? {
            Some((code @ 100..=199, length)) if interim < MAX_INTERIM && code != 101 => {
                bytes.drain(..length);
                interim += 1;
            }
            Some((code, _)) => return Ok(code),
            None if bytes.len() >= MAX_HEAD => {
                return Err(io::Error::other(format!(
                    "the head of the answer is longer than {MAX_HEAD} bytes"
                )));
            }
            None => more(stream, &mut bytes)?,
        }
    }
}

/// The request of a check.
pub(super) fn get(url: &Url) -> String {
    let (target, host, version) = (url.target(), url.authority(), env!("CARGO_PKG_VERSION"));
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: linkd/{version}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
}

fn more(stream: &mut dyn Stream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; READ_SIZE];
    match stream.read(&mut buffer) {
        Ok(0) if bytes.is_empty() => {
            Err(io::Error::other("the connection was closed without an answer"))
        }
        Ok(0) => Err(io::Error::other("the connection was closed within the head of the answer")),
        Ok(length) => {
            bytes.extend_from_slice(&buffer[..length]);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
    }
}

/// Status and length of a head, if it is complete.
pub(super) fn head(bytes: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Ok(answer.code.map(|code| (code, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(io::Error::other(format!("the answer is not HTTP/1.1: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// For servers that are too slow.
    const LIMIT: Duration = Duration::from_millis(400);
    /// For the others, on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// What a check of a server that does this with its connection finds, and how long that took.
    fn found(
        limit: Duration,
        serve: impl FnOnce(TcpStream) + Send + 'static,
    ) -> (Result<u16, String>, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/up?x=1", listener.local_addr().unwrap());
        let url: Url = url.parse().unwrap();
        let server = thread::spawn(move || serve(listener.accept().unwrap().0));
        let begin = Instant::now();
        let stream = TcpStream::connect((url.host(), url.port())).unwrap();
        let mut stream = Timed::new(stream, begin + limit);
        let status = status(&mut stream, get(&url).as_bytes()).map_err(|error| error.to_string());
        let took = begin.elapsed();
        drop(stream);
        server.join().unwrap();
        (status, took)
    }

    fn heard(stream: &mut TcpStream) -> String {
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            request.push(byte[0]);
        }
        String::from_utf8(request).unwrap()
    }

    fn says(answer: &'static str) -> Result<u16, String> {
        let serve = move |mut stream: TcpStream| {
            heard(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
        };
        found(PATIENCE, serve).0
    }

    #[test]
    fn the_status_of_the_answer_is_told_and_the_request_is_one_that_servers_understand() {
        let serve = |mut stream: TcpStream| {
            let request = heard(&mut stream);
            let host = format!("Host: {}\r\n", stream.local_addr().unwrap());
            assert!(request.starts_with("GET /up?x=1 HTTP/1.1\r\n"), "{request}");
            assert!(request.contains(&host) && request.contains("Connection: close"), "{request}");
            // Of a body nothing is waited for.
            stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 99\r\n\r\n").unwrap();
            heard(&mut stream);
        };
        assert_eq!(found(PATIENCE, serve).0, Ok(204));
    }

    #[test]
    fn a_redirect_is_not_followed_and_interim_answers_are_not_the_answer() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n";
        assert_eq!(says(moved), Ok(302));
        assert_eq!(says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), Ok(200));
        assert_eq!(says("HTTP/1.0 200 OK\r\n\r\n"), Ok(200));
        assert_eq!(says("HTTP/1.1 101 Switching\r\n\r\n"), Ok(101));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (answer, why) in [
            ("", "closed without an answer"),
            ("HTTP/1.1 200 OK\r\nX: y\r\n", "closed within the head"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.1"),
            ("\x15\x03\x01\x00\x02\x02\x16", "not HTTP/1.1"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "not HTTP/1.1"),
        ] {
            let error = says(answer).expect_err(answer);
            assert!(error.contains(why), "{answer:?}: {error}");
        }
    }

    #[test]
    fn a_server_that_is_silent_or_slow_fails_at_the_deadline() {
        let silent = |mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new()));
        let slow = |mut stream: TcpStream| {
            // A byte now and then: no single read is too late.
            for byte in "HTTP/1.1 200 OK\r\n".bytes().chain([b'a'; 1000]) {
                if stream.write_all(&[byte]).is_err() {
                    break;
                }
                thread::sleep(LIMIT / 20);
            }
        };
        for (status, took) in [found(LIMIT, silent), found(LIMIT, slow)] {
            assert_eq!(status, Err("no answer in time".to_owned()));
            // Less than a millisecond is not waited for any more.
            let least = LIMIT - Duration::from_millis(1);
            assert!((least..LIMIT * 10).contains(&took), "{took:?}");
        }
    }

    #[test]
    fn a_head_without_an_end_fails_after_a_bounded_number_of_bytes() {
        let endless = |first: &'static str, again: &'static str| {
            found(PATIENCE, move |mut stream: TcpStream| {
                let mut all = stream.write_all(first.as_bytes());
                while all.is_ok() {
                    all = stream.write_all(again.as_bytes());
                }
            })
            .0
        };
        let long =
            endless("HTTP/1.1 200 OK\r\nX: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap_err();
        assert!(long.contains("longer than 16384 bytes"), "{long}");
        let many = endless("HTTP/1.1 200 OK\r\n", "X: y\r\n").unwrap_err();
        assert!(many.contains("not HTTP/1.1: too many headers"), "{many}");
        let interim = endless("", "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(interim, Ok(100));
    }
}
