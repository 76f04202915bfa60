//! The part of a connection in which its client waits for news: it has its place, and nothing else.
//!
//! Its request is repeated when there may be some. What the client sends meanwhile is left unread, and
//! that it has gone is seen.

use std::time::{Duration, Instant};

use super::{Connection, Phase};
use crate::api::reply::{Framing, Reply};
use crate::api::request::{Poll, Request};

/// So much later a request may come that goes before one that is repeated for a client that waits for
/// news.
const POLITENESS: Duration = Duration::from_millis(50);

/// A client that waits for news.
#[derive(Debug)]
pub(super) struct Waiter {
    request: Request,
    pub(super) poll: Poll,
    framing: Framing,
    /// The answer when the time is over.
    reply: Reply,
    /// The client has sent more, which is not read yet.
    pub(super) is_ahead: bool,
}

impl Connection {
    /// Whether the client waits for news.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_))
    }

    /// Whether it waits since before this turn of the bell.
    pub(crate) fn waits_since_before(&self, turn: u64) -> bool {
        matches!(&self.phase, Phase::Waiting(waiter) if waiter.poll.asked < turn)
    }

    /// There is no news: the client waits, if it wants to. Otherwise this is its answer.
    pub(crate) fn wait(&mut self, reply: Reply, now: Instant) -> Result<(), Reply> {
        let Phase::Served(framing, kept) = &mut self.phase else { return Err(reply) };
        let Some((request, poll)) = kept.take().and_then(|it| it.poll.map(|poll| (*it, poll)))
        else {
            return Err(reply);
        };
        if now >= poll.until {
            return Err(reply);
        }
        let waiter = Waiter { request, poll, framing: *framing, reply, is_ahead: false };
        self.enter(Phase::Waiting(Box::new(waiter)), now);
        Ok(())
    }

    /// The client has sent something while it waits; it is read when that is over.
    pub(crate) fn has_sent_more(&mut self) {
        if let Phase::Waiting(waiter) = &mut self.phase {
            waiter.is_ahead = true;
        }
    }

    /// There may be news: the server is asked again.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        if let Some(Waiter { mut request, poll, framing, .. }) = self.take_waiter() {
            request.poll = Some(Poll { is_again: true, ..poll });
            self.enter(Phase::Queued(request, framing), now);
        }
    }

    /// The time is over.
    pub(crate) fn answer_with_nothing(&mut self, may_keep_alive: bool, now: Instant) {
        if let Some(Waiter { reply, framing, .. }) = self.take_waiter() {
            let keep_alive = framing.keep_alive && may_keep_alive;
            self.say(&reply, Framing { keep_alive, ..framing }, now);
        }
    }

    fn take_waiter(&mut self) -> Option<Waiter> {
        if !self.is_waiting() {
            return None;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        if let Phase::Waiting(waiter) = phase { Some(*waiter) } else { None }
    }

    /// Since when its request counts as waiting for its turn: one that is repeated lets others go first.
    pub(crate) fn turn(&self) -> Instant {
        let is_again = self.queued().and_then(|request| request.poll).is_some_and(|it| it.is_again);
        if is_again { self.since + POLITENESS } else { self.since }
    }
}
