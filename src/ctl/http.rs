//! One HTTP request and its answer over one TCP connection, within a time and a size.
//!
//! Written here rather than taken from a crate because of what must be told apart (nobody there, no
//! answer in time, an answer that is not HTTP) and because IPv6 addresses must work.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::dial::{Deadline, connect};
use super::secure::{NoTls, Stream};
use super::server::Server;
use crate::http::{self, Body, Head, NotHttp};
use crate::secret::Credentials;

/// Within this a connection is made, name resolution and all addresses of the name included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The longest body, bytes: a list of some 30 000 IPs.
const BODY_LIMIT: usize = 16 << 20;
/// How much of an answer that is not HTTP is kept for the message, bytes.
const BEGINNING: usize = 256;

/// A request. `path` consists of characters that may stand in a request line.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    /// JSON, or empty.
    pub(super) body: &'a [u8],
    pub(super) credentials: Option<&'a Credentials>,
}

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The field `Date`.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why there is no complete answer.
#[derive(Debug)]
pub(super) enum Error {
    /// The name has no address, or nothing accepts connections there. Nothing was sent.
    Connect(io::Error),
    /// No TLS was spoken. Nothing was sent, unless the session broke.
    NoTls(NoTls),
    /// The time is over, and the request was sent.
    Timeout,
    /// The connection broke before the answer was complete.
    Broken(io::Error),
    /// What came is not an HTTP answer; its beginning.
    NotHttp(Vec<u8>),
    /// The answer is longer than any of LinK's.
    TooLong,
}

/// Sends the request and reads the answer, all within `limit`.
pub(super) fn exchange(
    server: &Server,
    request: &Request<'_>,
    limit: Duration,
) -> Result<Response, Error> {
    let deadline = Deadline::within(limit);
    let stream =
        connect(server, Deadline::within(limit.min(CONNECT_LIMIT))).map_err(Error::Connect)?;
    let mut stream = Stream::over(stream, server).map_err(Error::NoTls)?;
    let sent = send(&mut stream, &encode(server, request), deadline);
    sent.map_err(|error| lost(&mut stream, error))?;
    read_response(Incoming { stream, deadline, received: Vec::new() })
}

fn send(stream: &mut Stream, request: &[u8], deadline: Deadline) -> io::Result<()> {
    stream.set_write_timeout(deadline.remaining()?)?;
    stream.write_all(request)?;
    stream.end_request()
}

pub(super) fn encode(server: &Server, request: &Request<'_>) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: linkctl/{}\r\n\
         Accept: application/json\r\nConnection: close\r\n",
        request.method,
        request.path,
        server.header(),
        env!("CARGO_PKG_VERSION"),
    );
    if let Some(credentials) = request.credentials {
        let token = BASE64_STANDARD.encode(credentials.pair());
        head += &format!("Authorization: Basic {token}\r\n");
    }
    if request.method != "GET" {
        head += &format!("Content-Length: {}\r\n", request.body.len());
    }
    if !request.body.is_empty() {
        head += "Content-Type: application/json\r\n";
    }
    head += "\r\n";
    [head.as_bytes(), request.body].concat()
}

pub(super) fn read_response(mut incoming: Incoming) -> Result<Response, Error> {
    let head = read_head(&mut incoming)?;
    let date = head.fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("date"));
    let body = match head.body {
        Body::Length(length) => read_length(incoming, length)?,
        Body::UntilClose => read_until_close(incoming)?,
    };
    Ok(Response { status: head.status, date: date.map(|(_, value)| value), body })
}

/// Reads the status line and the header fields; what follows them stays in `incoming`.
fn read_head(incoming: &mut Incoming) -> Result<Head, Error> {
    loop {
        match http::read_head(&incoming.received) {
            Ok(Some(head)) => {
                incoming.received.drain(..head.size);
                return Ok(head);
            }
            Ok(None) => {}
            Err(NotHttp) => return Err(incoming.not_http()),
        }
        if !incoming.more()? {
            return Err(match incoming.received.is_empty() {
                true => cut_short(),
                false => incoming.not_http(),
            });
        }
    }
}

fn read_length(mut incoming: Incoming, length: usize) -> Result<Vec<u8>, Error> {
    if length > BODY_LIMIT {
        return Err(Error::TooLong);
    }
    incoming.at_least(length)?;
    incoming.received.truncate(length);
    Ok(incoming.received)
}

fn read_until_close(mut incoming: Incoming) -> Result<Vec<u8>, Error> {
    while incoming.more()? {
        if incoming.received.len() > BODY_LIMIT {
            return Err(Error::TooLong);
        }
    }
    Ok(incoming.received)
}

/// What has arrived, and the connection on which more may.
pub(super) struct Incoming {
    pub(super) stream: Stream,
    pub(super) deadline: Deadline,
    pub(super) received: Vec<u8>,
}

impl Incoming {
    /// Waits for more; false when the other side has closed.
    fn more(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 8 << 10];
        match self.read(&mut buffer) {
            Ok(0) => self.stream.fault().map_or(Ok(false), |fault| Err(Error::NoTls(fault))),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) => Err(lost(&mut self.stream, error)),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(self.deadline.remaining()?)?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Waits until at least `length` bytes are there.
    fn at_least(&mut self, length: usize) -> Result<(), Error> {
        while self.received.len() < length {
            if !self.more()? {
                return Err(cut_short());
            }
        }
        Ok(())
    }

    fn not_http(&self) -> Error {
        Error::NotHttp(beginning(&self.received))
    }
}

fn beginning(received: &[u8]) -> Vec<u8> {
    received[..received.len().min(BEGINNING)].to_vec()
}

fn cut_short() -> Error {
    Error::Broken(ErrorKind::UnexpectedEof.into())
}

fn lost(stream: &mut Stream, error: io::Error) -> Error {
    // A socket's timeout shows as WouldBlock, a deadline that has passed as TimedOut.
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        return Error::Timeout;
    }
    stream.fault().map_or(Error::Broken(error), Error::NoTls)
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::thread;

    use super::*;
    use crate::http::MAX_HEAD;

    const LIST: Request<'_> = Request { method: "GET", path: "/ips", body: b"", credentials: None };

    /// A server on loopback that answers one request with these pieces, and closes.
    fn answer(pieces: &[&[u8]]) -> Result<Response, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().to_string().parse().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_nodelay(true).unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                for piece in pieces {
                    // Fails when the client has seen enough.
                    let _ = stream.write_all(piece);
                }
                let _ = stream.shutdown(Shutdown::Write);
            });
            exchange(&server, &LIST, Duration::from_secs(10))
        })
    }

    fn body(pieces: &[&[u8]]) -> Vec<u8> {
        answer(pieces).unwrap().body
    }

    #[test]
    fn a_body_ends_by_its_length_or_with_the_connection() {
        assert_eq!(body(&[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}trailing"]), b"{}");
        assert_eq!(body(&[b"HTTP/1.1 200 OK\r\n\r\n", b"{", b"}"]), b"{}");
        assert_eq!(body(&[b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"]), b"");
    }

    #[test]
    fn an_answer_that_ends_early_is_broken() {
        for pieces in
            [&[b"".as_slice()] as &[&[u8]], &[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"]]
        {
            let error = answer(pieces).unwrap_err();
            assert!(matches!(error, Error::Broken(_)), "{error:?}");
        }
    }

    #[test]
    fn what_is_not_http_is_shown_by_its_beginning() {
        for pieces in [
            &[b"SSH-2.0-OpenSSH_9.2p1\r\n".as_slice()] as &[&[u8]],
            &[b"\x15\x03\x01\x00\x02\x02\x46"],
            &[b"HTTP/1.1 200 OK\r\nno end of the he"],
            &[b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
            &[b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; 2 * MAX_HEAD], b"\r\n\r\n"],
            &[&[b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; MAX_HEAD][..], b"\r\n\r\n{}"].concat()],
        ] {
            let Err(Error::NotHttp(beginning)) = answer(pieces) else {
                panic!("{:?} is an answer", str::from_utf8(pieces[0]));
            };
            assert!(pieces[0].starts_with(&beginning[..4]) && beginning.len() <= BEGINNING);
        }
    }

    #[test]
    fn an_answer_longer_than_any_of_links_is_not_read() {
        for pieces in [
            &[b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".as_slice()]
                as &[&[u8]],
            &[b"HTTP/1.1 200 OK\r\n\r\n", &vec![b' '; BODY_LIMIT + 1]],
        ] {
            let error = answer(pieces).unwrap_err();
            assert!(matches!(error, Error::TooLong), "{error:?}");
        }
    }
}
