//! A TCP connection to the agent, made before a deadline.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::server::Server;
use crate::tcp::{self, Name};

/// A point in time after which nothing is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn within(limit: Duration) -> Deadline {
        Deadline(Instant::now() + limit)
    }

    /// The time left, never zero: a socket takes a timeout of zero for none at all.
    pub(super) fn remaining(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        match left < Duration::from_millis(1) {
            true => Err(ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}

/// Tries the addresses of the server in the resolver's order. A resolver that is late is left behind, and
/// ends with the process, which has nothing else to do.
pub(super) fn connect(server: &Server, deadline: Deadline) -> io::Result<TcpStream> {
    let resolving = Name::new(server.host(), server.port()).ask()?;
    match resolving.recv_deadline(deadline.0) {
        Ok(addresses) => tcp::connect_to_any(&addresses?, deadline.0),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(ErrorKind::TimedOut.into())
        }
    }
}
