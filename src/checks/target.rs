//! One check, with what is known of its target.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use super::exec::Exec;
use super::http::{self, Timed};
use super::tls::Tls;
use crate::net;
use crate::tcp::{self, Name, Resolving};
use crate::vip::{Check, Cidr, Statuses, Target, Url};

/// Tries the target of one check.
pub(super) struct Trial {
    check: Check,
    way: Way,
}

/// How it is tried.
enum Way {
    Tcp(Addresses),
    Link(String),
    Http(Addresses, Url, Statuses, Option<Box<Tls>>),
    Exec(Exec),
}

impl Trial {
    /// A check of this IP. Commands are in the folder, if the operator has named one.
    pub(super) fn new(check: Check, cidr: Cidr, folder: Option<Arc<Path>>) -> Trial {
        let way = match &check.target {
            Target::Tcp { host, port } => Way::Tcp(Addresses::of(host, *port)),
            Target::Link { interface } => Way::Link(interface.clone()),
            Target::Http { url, status, trust } => {
                let addresses = Addresses::of(url.host(), url.port());
                let tls = url.is_secure().then(|| Box::new(Tls::new(trust.clone(), url.host())));
                Way::Http(addresses, url.clone(), status.unwrap_or(Statuses::success()), tls)
            }
            Target::Exec { command, args } => {
                let (command, args) = (command.clone(), args.clone());
                Way::Exec(Exec { folder, command, args, cidr, dying: None })
            }
        };
        Trial { check, way }
    }

    pub(super) fn check(&self) -> &Check {
        &self.check
    }

    /// Makes the check once. The error says what has failed, or what this process lacks ([`tcp::lack`]).
    pub(super) fn make(&mut self, until: Instant) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(addresses) => addresses.connect(until).map(drop),
            Way::Link(interface) => net::carrier(interface),
            Way::Http(addresses, url, wanted, tls) => {
                let mut stream = Timed::new(addresses.connect(until)?, until);
                let status = match tls {
                    None => http::status(&mut stream, url)?,
                    Some(tls) => http::status(&mut tls.begin(stream)?, url)?,
                };
                if wanted.contains(status) {
                    return Ok(());
                }
                Err(io::Error::other(format!("the answer has the status {status}, not {wanted}")))
            }
            Way::Exec(exec) => exec.run(until),
        }
    }
}

/// Where a name leads.
struct Addresses {
    name: Name,
    /// What the resolver has found last.
    known: Vec<SocketAddr>,
    /// The question to the resolver that is still open.
    resolving: Option<Resolving>,
}

impl Addresses {
    fn of(host: &str, port: u16) -> Addresses {
        Addresses { name: Name::new(host, port), known: Vec::new(), resolving: None }
    }

    fn connect(&mut self, until: Instant) -> io::Result<TcpStream> {
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

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
