//! Where a name leads, now or as long as it is not known better.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use crate::tcp::{self, Name, Resolving};

/// Where a name leads.
pub(super) struct Addresses {
    name: Name,
    /// What the resolver has found last.
    known: Vec<SocketAddr>,
    /// The question to the resolver that is still open.
    resolving: Option<Resolving>,
}

impl Addresses {
    pub(super) fn of(host: &str, port: u16) -> Addresses {
        Addresses { name: Name::new(host, port), known: Vec::new(), resolving: None }
    }

    pub(super) fn connect(&mut self, until: Instant) -> io::Result<TcpStream> {
        tcp::connect_to_any(&self.find(until)?, until)
    }

    fn find(&mut self, until: Instant) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.name.address() {
            return Ok(vec![address]);
        }
        match self.resolve(until) {
            Ok(found) => self.known = found,
            Err(error) if self.known.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(self.known.clone())
    }

    /// Asks the resolver. If there are addresses already, half of the time is left to connect; and a
    /// question that was not answered in time stays the only one, and is not waited for again.
    fn resolve(&mut self, until: Instant) -> io::Result<Vec<SocketAddr>> {
        let now = Instant::now();
        let (answer, patience) = match self.resolving.take() {
            Some(answer) => (answer, now),
            None => (self.name.ask()?, now + until.saturating_duration_since(now) / 2),
        };
        match answer.recv_deadline(if self.known.is_empty() { until } else { patience }) {
            Ok(addresses) => addresses,
            Err(RecvTimeoutError::Timeout) => {
                self.resolving = Some(answer);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the name is not resolved in time"))
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the resolver has ended")),
        }
    }
}
