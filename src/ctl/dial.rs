//! A TCP connection to the agent, made before a deadline.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::server::Server;
use crate::thread;

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

/// Tries the addresses of the server in the resolver's order; each gets its share of the time left.
pub(super) fn connect(server: &Server, deadline: Deadline) -> io::Result<TcpStream> {
    let addresses = resolve(server, deadline)?;
    let mut last = io::Error::other("the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, deadline.remaining()? / untried) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses of the server.
///
/// The C library's resolver takes no deadline and cannot be interrupted, so a thread waits for it;
/// when it is late it is left behind, and ends with the process, which has nothing else to do.
fn resolve(server: &Server, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    let target = (server.host().to_owned(), server.port());
    let (found_tx, found_rx) = crossbeam_channel::bounded(1);
    thread::spawn("resolve", move || {
        let found = target.to_socket_addrs().map(|found| found.collect());
        // Fails when the deadline has passed and nobody listens any more.
        let _ = found_tx.send(found);
    })?;
    match found_rx.recv_timeout(deadline.remaining()?) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(ErrorKind::TimedOut.into())
        }
    }
}
