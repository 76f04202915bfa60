//! Whether the way behind the gate is alive: a connection, tiny_http, and a thread that answers.
//!
//! A machine that the gate feeds, like a connection, and that has no socket: a [`Ping`] becomes a
//! request like a client's, and is answered when the server has answered that. It goes before the
//! requests of clients and takes the way of those that only read, so that neither many nor slow
//! ones make the way look blocked.

use std::time::{Duration, Instant};

use super::request::Request;
use crate::ping::Ping;

/// What the server answers from memory, whoever asks.
const REQUEST: &[u8] = b"GET /version HTTP/1.1\r\nHost: link\r\n\r\n";
/// Between two attempts when the server could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// The question that is open, if any.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    ping: Option<Ping>,
    /// When the request is to be sent; nothing while it is on its way.
    due: Option<Instant>,
}

impl Probe {
    /// Takes the question over from the gate, in the name of what is behind it.
    pub(crate) fn begin(&mut self, ping: &Ping, now: Instant) {
        self.ping = Some(ping.pass_on("api"));
        self.due = Some(now);
    }

    /// When the next request is to be sent, if one is.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The request, if it is time for it.
    pub(crate) fn take_request(&mut self, now: Instant) -> Option<Request> {
        self.due.take_if(|due| now >= *due)?;
        Some(Request { bytes: REQUEST.to_vec(), waits: false })
    }

    /// The request has its answer, or the server could not be reached.
    pub(crate) fn answered(&mut self, is_answer: bool, now: Instant) {
        if is_answer {
            self.ping = None;
        } else {
            self.due = Some(now + RETRY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ping::LivenessCheck;

    #[test]
    fn a_ping_is_answered_when_the_server_has_answered_its_request() {
        let (mut check, mut probe) = (LivenessCheck::new(), Probe::default());
        let now = Instant::now();
        assert_eq!(probe.take_request(now), None);
        probe.begin(&check.ask("gate"), now);
        assert!(!probe.take_request(now).unwrap().waits);
        assert_eq!((probe.take_request(now), probe.due()), (None, None), "it is on its way");
        assert_eq!(check.missing().iter().collect::<Vec<_>>(), ["api"]);
        probe.answered(true, now);
        assert!(check.missing().is_empty());
    }

    #[test]
    fn a_server_that_is_not_reached_is_tried_again_and_not_at_once() {
        let (mut check, mut probe) = (LivenessCheck::new(), Probe::default());
        let now = Instant::now();
        probe.begin(&check.ask("gate"), now);
        probe.take_request(now).unwrap();
        probe.answered(false, now);
        assert_eq!((probe.take_request(now), probe.due()), (None, Some(now + RETRY)));
        assert!(!check.missing().is_empty());
        probe.take_request(now + RETRY).unwrap();
        probe.answered(true, now + RETRY);
        assert!(check.missing().is_empty());
    }
}
