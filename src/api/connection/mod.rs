//! One client's connection, as a machine that is fed bytes and time and has no socket.
//!
//! It takes one request at a time: while one is being answered nothing is read, so that what a
//! client sends ahead stays in the kernel's buffer, and what is kept here is bounded. Every phase
//! but one has a deadline that the client cannot move: not a byte now and then, but a whole
//! request or a whole answer counts. The exception is the phase in which the client waits for us.

mod waiting;

use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use self::waiting::Waiter;
use super::browser::Names;
use super::head::{self, Head, Progress};
use super::reply::{Framing, Reply};
use super::request::{Poll, Request};
use crate::carrier::SPEAKS_TLS;

/// From the first byte of a request to its last.
const REQUEST: Duration = Duration::from_secs(10);
/// Between two requests, and before the first.
const IDLE: Duration = Duration::from_secs(30);
/// In the queue for the server.
const QUEUE: Duration = Duration::from_secs(5);
/// From the first byte of an answer to its last.
const ANSWER: Duration = Duration::from_secs(30);
/// After the last answer, for the client to read it: closing with unread input would reset the
/// connection and take the answer with it (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// What is kept of a connection between two turns of the gate.
#[derive(Debug)]
pub(crate) struct Connection {
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    phase: Phase,
    since: Instant,
    /// The agent's.
    names: Names,
    /// A request was refused as one that a foreign web page has caused, which was not told yet.
    is_foreign: bool,
}

/// How little is lost by closing a connection, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EvictionRank {
    /// It has its answer.
    Answered,
    /// We wait for the client, from whom no whole request has come.
    Waiting,
    /// The client has not read its answer yet.
    Answering,
}

#[derive(Debug)]
enum Phase {
    /// No byte of a next request is here.
    Idle,
    /// TLS has begun.
    Handshake,
    /// A part of the head is here.
    Head,
    /// The head is here, its body is not.
    Body(Head),
    /// The request is complete and waits for its turn.
    Queued(Request, Framing),
    /// The server has it; a copy is kept of one that may have to wait for news.
    Served(Framing, Option<Box<Request>>),
    /// There is no news yet.
    Waiting(Box<Waiter>),
    /// The answer is being sent.
    Answering { keep_alive: bool },
    /// All is said; what still comes is dropped.
    Lingering,
    /// There is nothing left to do.
    Closed,
}

impl Phase {
    /// Whether the client is read from, how long the phase may last, and how little is lost by closing
    /// the connection.
    fn rules(&self) -> (bool, Option<Duration>, Option<EvictionRank>) {
        use EvictionRank::{Answered, Answering, Waiting};
        match self {
            Phase::Idle => (true, Some(IDLE), Some(Waiting)),
            Phase::Handshake | Phase::Head | Phase::Body(_) => (true, Some(REQUEST), Some(Waiting)),
            Phase::Queued(..) => (false, Some(QUEUE), None),
            Phase::Served(..) => (false, None, None),
            // Not to be read, but to see whether the client is there.
            Phase::Waiting(waiter) => (!waiter.is_ahead, None, None),
            Phase::Answering { .. } => (false, Some(ANSWER), Some(Answering)),
            Phase::Lingering => (true, Some(LINGER), Some(Answered)),
            Phase::Closed => (false, None, Some(Answered)),
        }
    }
}

impl Connection {
    pub(crate) fn new(names: Names, now: Instant) -> Connection {
        Connection {
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            phase: Phase::Idle,
            since: now,
            names,
            is_foreign: false,
        }
    }

    /// What the gate shall wait for. Errors and hang-ups are always reported.
    pub(crate) fn interest(&self) -> PollFlags {
        let (reads, ..) = self.phase.rules();
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::POLLIN, reads);
        interest.set(PollFlags::POLLOUT, !self.unsent().is_empty());
        interest
    }

    /// When something has to happen at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if let Phase::Waiting(waiter) = &self.phase {
            return Some(waiter.poll.until);
        }
        let (_, patience, _) = self.phase.rules();
        Some(self.since + patience?)
    }

    /// How little is lost by closing this connection; `None` while we owe the client an answer.
    pub(crate) fn eviction_rank(&self) -> Option<EvictionRank> {
        let (.., rank) = self.phase.rules();
        rank
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// When the present phase began.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Bytes that this connection keeps in memory.
    pub(crate) fn held(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// The request that waits for its turn, if one does.
    pub(crate) fn queued(&self) -> Option<&Request> {
        if let Phase::Queued(request, _) = &self.phase { Some(request) } else { None }
    }

    /// Whether the server has its request.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.phase, Phase::Served(..))
    }

    /// Bytes that came from the client.
    pub(crate) fn received(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Lingering) {
            return;
        }
        self.input.extend_from_slice(bytes);
        self.advance(now);
    }

    /// A handshake of TLS goes on.
    pub(crate) fn secures(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle) {
            self.enter(Phase::Handshake, now);
        }
    }

    /// No handshake goes on any more, if one did.
    pub(crate) fn secured(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Handshake) {
            self.enter(Phase::Idle, now);
        }
    }

    /// The client speaks HTTP where TLS is wanted.
    pub(crate) fn refuse_plain(&mut self, now: Instant) {
        self.refuse(&Reply::error(400, SPEAKS_TLS), now);
    }

    /// Nothing more is to be said.
    pub(crate) fn linger(&mut self, now: Instant) {
        self.enter(Phase::Lingering, now);
    }

    /// The client will send nothing more.
    pub(crate) fn ended(&mut self, now: Instant) {
        match self.phase {
            Phase::Head | Phase::Body(_) => {
                self.refuse(&Reply::error(400, "the request is incomplete"), now);
            }
            Phase::Idle | Phase::Handshake | Phase::Lingering | Phase::Closed => self.close(),
            // Not read from in these phases: the end is met again when the client's turn comes.
            Phase::Queued(..) | Phase::Served(..) | Phase::Answering { .. } => {}
            // It may have closed one direction only.
            Phase::Waiting(..) => self.answer_with_nothing(true, now),
        }
    }

    /// The client is gone, or has to go.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    /// The request that waits for its turn, to be given to the server after this turn of the bell.
    pub(crate) fn take_request(&mut self, turn: u64, now: Instant) -> Option<Request> {
        let Phase::Queued(request, framing) = &mut self.phase else {
            return None;
        };
        let mut request = std::mem::take(request);
        request.poll = request.poll.map(|poll| Poll { asked: turn, ..poll });
        let framing = *framing;
        let kept = request.poll.is_some().then(|| Box::new(request.clone()));
        self.enter(Phase::Served(framing, kept), now);
        Some(request)
    }

    /// The answer to the request that was taken or still waits.
    pub(crate) fn answer(&mut self, reply: &Reply, may_keep_alive: bool, now: Instant) {
        if let Phase::Served(framing, _) | Phase::Queued(_, framing) = self.phase {
            let keep_alive = framing.keep_alive && may_keep_alive;
            self.say(reply, Framing { keep_alive, ..framing }, now);
        }
    }

    /// Whether a request was refused as a foreign web page's since this was asked last.
    pub(crate) fn take_foreign(&mut self) -> bool {
        std::mem::take(&mut self.is_foreign)
    }

    /// What is to be sent to the client.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// So many bytes were sent. True when our side of the connection is to be shut down.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) -> bool {
        self.sent += bytes;
        if !self.unsent().is_empty() {
            return false;
        }
        self.output = Vec::new();
        self.sent = 0;
        let Phase::Answering { keep_alive } = self.phase else {
            return false;
        };
        if keep_alive {
            self.enter(Phase::Idle, now);
            self.advance(now);
        } else {
            self.enter(Phase::Lingering, now);
        }
        !keep_alive
    }

    /// Does what is due when the deadline has passed.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Head | Phase::Body(_) => {
                self.refuse(&Reply::error(408, "the request did not arrive within 10 s"), now);
            }
            Phase::Queued(..) => {
                self.answer(
                    &Reply::unavailable("the agent is busy with other requests"),
                    true,
                    now,
                );
            }
            Phase::Idle | Phase::Handshake | Phase::Answering { .. } | Phase::Lingering => {
                self.close();
            }
            Phase::Waiting(..) => self.answer_with_nothing(true, now),
            Phase::Served(..) | Phase::Closed => {}
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }

    /// Reads as far as the input goes.
    fn advance(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle | Phase::Head) {
            self.read_head(now);
        }
        if let Phase::Body(head) = &self.phase {
            if self.input.len() >= head.body {
                self.read_body(now);
            }
        }
    }

    fn read_head(&mut self, now: Instant) {
        // RFC 9112, 2.2: some clients send a line end too many after a body.
        let empty_lines = self.input.chunks(2).take_while(|line| line == b"\r\n").count();
        self.input.drain(..2 * empty_lines);
        // The first half of such a line end is no beginning of a request either.
        if matches!(self.input[..], [] | [b'\r']) {
            return;
        }
        if matches!(self.phase, Phase::Idle) {
            self.enter(Phase::Head, now);
        }
        match head::parse(&self.input, &self.names) {
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete(head)) => self.begin_body(head),
            Err(reply) => self.refuse(&reply, now),
        }
    }

    fn begin_body(&mut self, head: Head) {
        self.input.drain(..head.size);
        if head.expects_continue && self.input.is_empty() {
            self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.phase = Phase::Body(head);
    }

    fn read_body(&mut self, now: Instant) {
        let Phase::Body(head) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return;
        };
        let Head {
            body, takes_body, waits, guesses, patience, framing, canonical: mut bytes, ..
        } = head;
        let body = self.input.drain(..body);
        if takes_body {
            bytes.extend(body);
        } else {
            drop(body);
        }
        let usual = if self.input.is_empty() { 0 } else { head::MAX_HEAD };
        self.input.shrink_to(usual);
        let until = patience.map(|patience| now + patience);
        let poll = until.map(|until| Poll { until, asked: 0, is_again: false });
        self.enter(Phase::Queued(Request { bytes, waits, guesses, poll }, framing), now);
    }

    /// Answers what cannot be read; where a next request would begin is not known then.
    fn refuse(&mut self, reply: &Reply, now: Instant) {
        self.input = Vec::new();
        self.is_foreign |= reply.status == 403;
        self.say(reply, Framing { keep_alive: false, head_only: false }, now);
    }

    fn say(&mut self, reply: &Reply, framing: Framing, now: Instant) {
        self.output.extend_from_slice(&reply.encode(framing));
        self.enter(Phase::Answering { keep_alive: framing.keep_alive }, now);
    }
}

#[cfg(test)]
mod tests;
