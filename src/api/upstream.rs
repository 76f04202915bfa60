//! The connections from the gate to the server behind it.
//!
//! Each is used for one request at a time, so there are never more requests behind the gate than
//! connections. They are opened at the start; from then on the gate's loop polls them with everything
//! else, and none can make it wait. One that is lost is opened again.

use std::cmp::Ordering;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::private_socket::PrivateSocket;
use super::reply::Reply;
use super::request::Request;
use crate::http::{Body, Head, NotHttp, read_head};
use crate::ping::Ping;

/// How many requests are served at a time. A new IP is looked for on the network for a tenth of a second, so
/// that fewer would keep clients waiting who register many at once; each costs two threads that sleep.
pub(crate) const UPSTREAMS: usize = 16;
/// Above the longest that the server waits for the supervisor, so that its answer wins.
const PATIENCE: Duration = Duration::from_secs(40);
/// For a server that has nothing to do but to refuse an empty request; and before connections that are lost are
/// opened once more.
const OPENING: Duration = Duration::from_secs(2);
/// Bytes of an answer's body: the list, or the metrics, of well over 10 000 IPs with a check or two. The server sends no
/// longer one.
pub(crate) const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Bytes read from a connection in one turn.
const READ_SIZE: usize = 16 * 1024;
/// The request by whose answer the server shows that it has given a new connection a thread.
const HELLO: &[u8] = b"OPTIONS / HTTP/1.1\r\nHost: link\r\n\r\n";

/// Who sent a request.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A client, by its number.
    Client(u64),
    /// The watchdog; its question is answered by being dropped.
    Watchdog(Ping),
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
    all: Vec<Upstream>,
    /// The way to the server.
    socket: Arc<PrivateSocket>,
    /// Connections that are lost are not opened again before.
    reopen_after: Instant,
}

#[derive(Debug)]
struct Upstream {
    stream: UnixStream,
    /// The request that is on it.
    exchange: Option<Exchange>,
    is_lost: bool,
}

/// A request and as much of its answer as is here.
#[derive(Debug)]
struct Exchange {
    /// Nobody waits for the answer any more if it is `None`.
    asker: Option<Asker>,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    deadline: Instant,
}

impl Upstreams {
    /// Connects, and returns when the server has given each connection a thread. tiny_http needs
    /// descriptors for that, and panics without: no client may take them meanwhile.
    pub(crate) fn open(socket: Arc<PrivateSocket>) -> io::Result<Upstreams> {
        let all = (0..UPSTREAMS).map(|_| Upstream::open(&socket)).collect::<io::Result<_>>()?;
        Ok(Upstreams { all, socket, reopen_after: Instant::now() })
    }

    /// What to poll and for what, in the order in which `turn` expects the events.
    pub(crate) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.all.iter().map(|upstream| PollFd::new(upstream.stream.as_fd(), upstream.interest()))
    }

    /// When the time for the next answer is over, or a lost connection is opened again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let reopening = (self.all.len() < UPSTREAMS).then_some(self.reopen_after);
        let exchanges = self.all.iter().filter_map(|upstream| upstream.exchange.as_ref());
        let awaited = exchanges.filter(|exchange| exchange.asker.is_some());
        awaited.map(|exchange| exchange.deadline).chain(reopening).min()
    }

    /// Whether another request can be sent. One that may wait for etcd or for another host leaves a
    /// connection for what is answered at once: when all changes hang, the list and the health are
    /// still to be seen.
    pub(crate) fn has_room(&self, waits: bool) -> bool {
        let free = self.all.iter().filter(|upstream| upstream.exchange.is_none()).count();
        free > usize::from(waits)
    }

    /// Sends a request on a connection that is free, for which there has to be room.
    pub(crate) fn send(&mut self, asker: Asker, request: Request, now: Instant) {
        let free = self.all.iter_mut().find(|upstream| upstream.exchange.is_none());
        let exchange = Exchange::new(Some(asker), request.bytes, now + PATIENCE);
        free.expect("there is room for it").exchange = Some(exchange);
    }

    /// Goes on with all exchanges, by the events of what was polled. Returns the answers, and those
    /// instead of the ones that did not come.
    pub(crate) fn turn(&mut self, events: &[PollFlags], now: Instant) -> Vec<Served> {
        let mut served = Vec::new();
        for (upstream, events) in self.all.iter_mut().zip(events) {
            served.extend(upstream.proceed(*events));
        }
        self.all.retain(|upstream| !upstream.is_lost);
        self.reopen(now);
        served.extend(self.all.iter_mut().filter_map(|upstream| upstream.expire(now)));
        served
    }

    /// Opens again what is lost. Each connection is taken until the server has greeted on it.
    fn reopen(&mut self, now: Instant) {
        if self.all.len() == UPSTREAMS || now < self.reopen_after {
            return;
        }
        self.reopen_after = now + OPENING;
        while self.all.len() < UPSTREAMS
            && let Ok(stream) = self.socket.connect()
            && stream.set_nonblocking(true).is_ok()
        {
            self.all.push(Upstream { stream, exchange: Some(Exchange::hello()), is_lost: false });
        }
    }
}

impl Upstream {
    fn open(socket: &PrivateSocket) -> io::Result<Upstream> {
        let mut stream = socket.connect()?;
        stream.set_read_timeout(Some(OPENING))?;
        let mut hello = Exchange::hello();
        let deadline = hello.deadline;
        while hello.proceed(&mut stream)?.is_none() {
            if Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        stream.set_nonblocking(true)?;
        Ok(Upstream { stream, exchange: None, is_lost: false })
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

    fn proceed(&mut self, events: PollFlags) -> Option<Served> {
        if events.is_empty() {
            return None;
        }
        // Of an idle connection, what is reported can only be its end.
        let result = match &mut self.exchange {
            Some(exchange) => exchange.proceed(&mut self.stream),
            None => Err(ErrorKind::UnexpectedEof.into()),
        };
        let answer = match result {
            Ok(reply) => Some(reply?),
            Err(error) => {
                log::error!("api: a connection to the server behind the gate is lost: {error}");
                self.is_lost = true;
                None
            }
        };
        self.exchange.take()?.end(answer)
    }

    /// Gives an answer up. The connection stays taken until it comes: it must not be taken for the
    /// next one.
    fn expire(&mut self, now: Instant) -> Option<Served> {
        self.exchange.as_mut().filter(|exchange| now >= exchange.deadline)?.end(None)
    }
}

impl Exchange {
    fn new(asker: Option<Asker>, request: Vec<u8>, deadline: Instant) -> Exchange {
        Exchange { asker, request, sent: 0, answer: Vec::new(), deadline }
    }

    fn hello() -> Exchange {
        Exchange::new(None, HELLO.to_vec(), Instant::now() + OPENING)
    }

    /// What the asker is told: the answer, or that there is none.
    fn end(&mut self, answer: Option<Reply>) -> Option<Served> {
        let (asker, is_answer) = (self.asker.take()?, answer.is_some());
        let reply = answer.unwrap_or_else(|| unanswered(&self.request));
        Some(Served { asker, reply, is_answer })
    }

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

/// Of a request that only reads nothing is left to be known.
fn unanswered(request: &[u8]) -> Reply {
    if request.starts_with(b"GET ") || request.starts_with(b"HEAD ") {
        return Reply::unavailable("the API does not answer");
    }
    Reply::outcome_unknown("the API does not answer; a change may still be made")
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
