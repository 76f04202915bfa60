//! The connections from the gate to the server behind it.
//!
//! Each is used for one request at a time, so there are never more requests behind the gate than
//! connections. The gate's loop polls them with everything else; none can make it wait. A connection
//! that breaks or gives no answer in time is closed, and opened again.

use std::cmp::Ordering;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::private_socket::PrivateSocket;
use super::reply::Reply;
use super::request::Request;
use crate::http::{Body, Head, NotHttp, read_head};

/// How many requests are served at a time.
pub(crate) const UPSTREAMS: usize = 4;
/// Connections for requests that may wait for etcd or for another host. The others are kept for what
/// is answered at once: when all changes hang, the list and the health are still to be seen.
const FOR_WAITING: usize = 3;
/// Above the longest that the server waits for the supervisor, so that its answer wins.
const PATIENCE: Duration = Duration::from_secs(40);
/// For a server that has nothing to do but to refuse an empty request.
const OPENING: Duration = Duration::from_secs(2);
/// Before a connection that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes of an answer: the list of well over 10 000 IPs.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Bytes read from a connection in one turn.
const READ_SIZE: usize = 16 * 1024;
/// The request by which the server shows that it has given a new connection a thread.
const HELLO: &[u8] = b"OPTIONS / HTTP/1.1\r\nHost: link\r\n\r\n";

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client, by its number.
    Client(u64),
    /// The watchdog, through the gate.
    Watchdog,
    /// The gate, to open the connection.
    Opening,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) asker: Asker,
    pub(crate) reply: Reply,
    /// Whether it is the server's own.
    pub(crate) is_answer: bool,
}

/// All connections to the server.
#[derive(Debug)]
pub(crate) struct Upstreams {
    socket: Arc<PrivateSocket>,
    all: Vec<Upstream>,
    /// When the next connection may be opened, if one is missing.
    open_at: Instant,
}

/// One connection, or the place for one.
#[derive(Debug, Default)]
struct Upstream {
    stream: Option<UnixStream>,
    /// The request that is on it.
    exchange: Option<Exchange>,
}

/// A request and as much of its answer as is here.
#[derive(Debug)]
struct Exchange {
    asker: Asker,
    waits: bool,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    deadline: Instant,
}

impl Upstreams {
    /// No connection yet; the turns open them.
    pub(crate) fn new(socket: Arc<PrivateSocket>, now: Instant) -> Upstreams {
        let all = (0..UPSTREAMS).map(|_| Upstream::default()).collect();
        Upstreams { socket, all, open_at: now }
    }

    /// What to poll and for what, in the order in which `turn` expects the events.
    pub(crate) fn polled(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.all.iter().filter_map(|upstream| {
            upstream.stream.as_ref().map(|stream| (stream.as_fd(), upstream.interest()))
        })
    }

    /// When something is due: the end of an answer's time, or a connection to be opened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let open_at = self.may_open().then_some(self.open_at);
        self.exchanges().map(|exchange| exchange.deadline).chain(open_at).min()
    }

    /// Whether another request can be sent: any, or only one that is answered at once.
    pub(crate) fn has_room(&self, waits: bool) -> bool {
        let waiting = self.exchanges().filter(|exchange| exchange.waits).count();
        self.all.iter().any(Upstream::is_free) && (!waits || waiting < FOR_WAITING)
    }

    /// Whether a connection is being opened. No client may be accepted meanwhile: tiny_http needs a
    /// descriptor for it, and panics when there is none.
    pub(crate) fn is_opening(&self) -> bool {
        self.exchanges().any(|exchange| exchange.asker == Asker::Opening)
    }

    /// Sends a request on a connection that is free, for which there has to be room.
    pub(crate) fn send(&mut self, asker: Asker, request: Request, now: Instant) {
        let free = self.all.iter_mut().find(|upstream| upstream.is_free());
        free.expect("there is room for it").begin(asker, request, now + PATIENCE);
    }

    /// Goes on with all exchanges, by the events of what was polled, and opens the next connection
    /// that is missing. Returns the answers, of requests that have failed too.
    pub(crate) fn turn(&mut self, events: &[PollFlags], now: Instant) -> Vec<Served> {
        let mut served = Vec::new();
        let open = self.all.iter_mut().filter(|upstream| upstream.stream.is_some());
        for (upstream, events) in open.zip(events) {
            served.extend(upstream.proceed(*events));
        }
        for upstream in &mut self.all {
            served.extend(upstream.expire(now));
        }
        let is_refused = |served: &Served| served.asker == Asker::Opening && !served.is_answer;
        if served.iter().any(is_refused) {
            self.open_at = now + RETRY;
        }
        served.retain(|served| served.asker != Asker::Opening);
        self.open_next(now);
        served
    }

    fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.all.iter().filter_map(|upstream| upstream.exchange.as_ref())
    }

    /// One after the other: of connections that come together, tiny_http counts the same idle thread
    /// for several, and leaves them without one.
    fn may_open(&self) -> bool {
        !self.is_opening() && self.all.iter().any(|upstream| upstream.stream.is_none())
    }

    fn open_next(&mut self, now: Instant) {
        if !self.may_open() || now < self.open_at {
            return;
        }
        match self.connect() {
            Ok(stream) => {
                let hello = Request { bytes: HELLO.to_vec(), waits: false };
                let mut missing = self.all.iter_mut().filter(|upstream| upstream.stream.is_none());
                if let Some(upstream) = missing.next() {
                    upstream.stream = Some(stream);
                    upstream.begin(Asker::Opening, hello, now + OPENING);
                }
            }
            Err(error) => {
                log::warn!("api: cannot connect to the server behind the gate: {error}");
                self.open_at = now + RETRY;
            }
        }
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = self.socket.connect()?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

impl Upstream {
    fn is_free(&self) -> bool {
        self.stream.is_some() && self.exchange.is_none()
    }

    /// Errors and hang-ups are always reported.
    fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        if let Some(exchange) = &self.exchange {
            interest.set(PollFlags::POLLIN, true);
            interest.set(PollFlags::POLLOUT, exchange.sent < exchange.request.len());
        }
        interest
    }

    fn begin(&mut self, asker: Asker, request: Request, deadline: Instant) {
        let Request { bytes: request, waits } = request;
        let answer = Vec::new();
        self.exchange = Some(Exchange { asker, waits, request, sent: 0, answer, deadline });
    }

    fn proceed(&mut self, events: PollFlags) -> Option<Served> {
        let (stream, exchange) = (self.stream.as_mut()?, self.exchange.as_mut());
        let Some(exchange) = exchange else {
            // Nothing is owed on it: what happens here is its end.
            self.stream = self.stream.take().filter(|_| events.is_empty());
            return None;
        };
        if events.is_empty() {
            return None;
        }
        match exchange.proceed(stream) {
            Ok(None) => None,
            Ok(Some(reply)) => {
                let asker = exchange.asker;
                self.exchange = None;
                Some(Served { asker, reply, is_answer: true })
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn expire(&mut self, now: Instant) -> Option<Served> {
        let is_due = self.exchange.as_ref().is_some_and(|exchange| now >= exchange.deadline);
        if is_due { self.fail("no answer in time") } else { None }
    }

    /// Closes the connection: what is left on it could be taken for the next answer.
    fn fail(&mut self, why: &str) -> Option<Served> {
        log::warn!("api: the server behind the gate: {why}");
        self.stream = None;
        let Exchange { asker, waits, .. } = self.exchange.take()?;
        let reply = match waits {
            true => Reply::outcome_unknown("the API does not answer; the change may still be made"),
            false => Reply::unavailable("the API does not answer"),
        };
        Some(Served { asker, reply, is_answer: false })
    }
}

impl Exchange {
    /// Writes and reads as far as that goes at once; the answer when it is complete.
    fn proceed(&mut self, stream: &mut UnixStream) -> io::Result<Option<Reply>> {
        if let Some(unsent) = self.request.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            self.sent += at_once(stream.write(unsent))?.unwrap_or(0);
        }
        let mut chunk = [0; READ_SIZE];
        let Some(read) = at_once(stream.read(&mut chunk))? else { return Ok(None) };
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.answer.extend_from_slice(&chunk[..read]);
        parse(&mut self.answer)
    }
}

/// The outcome of a call that must not block; nothing if it would have.
fn at_once(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Takes the answer apart when it is complete.
fn parse(answer: &mut Vec<u8>) -> io::Result<Option<Reply>> {
    let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
    let head = read_head(answer).map_err(|NotHttp| invalid("its answer is not HTTP"))?;
    let Some(Head { size, status, fields, body }) = head else { return Ok(None) };
    let Body::Length(length) = body else { return Err(invalid("its answer has no length")) };
    if length > MAX_ANSWER {
        return Err(invalid("its answer is too long"));
    }
    match answer.len().cmp(&(size + length)) {
        Ordering::Less => Ok(None),
        Ordering::Equal => {
            let headers = fields.into_iter().filter(|(name, _)| is_kept(name)).collect();
            Ok(Some(Reply { status, headers, body: answer.split_off(size) }))
        }
        Ordering::Greater => Err(invalid("its answer is longer than it says")),
    }
}

/// The length is set anew when the answer is framed; which server it is concerns nobody.
fn is_kept(name: &str) -> bool {
    !["Content-Length", "Server"].iter().any(|hidden| name.eq_ignore_ascii_case(hidden))
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
