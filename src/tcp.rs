//! TCP connections that are made before a deadline, also to what has only a name.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::thread;

/// The answer of the resolver, once it comes.
pub(crate) type Resolving = Receiver<io::Result<Vec<SocketAddr>>>;

/// How many names a process looks up at once. A silent name server holds each up for some ten seconds.
const AT_ONCE: usize = 32;

static ASKING: AtomicUsize = AtomicUsize::new(0);

/// A host and a port, by name or address.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    host: String,
    port: u16,
}

impl Name {
    pub(crate) fn new(host: &str, port: u16) -> Name {
        Name { host: host.to_owned(), port }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The address, if it is no name.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address: Option<IpAddr> = self.host.parse().ok();
        address.map(|address| SocketAddr::new(address, self.port))
    }

    /// Asks the system's resolver, which takes no deadline and cannot be interrupted. `localhost` is this host also where
    /// no file says so, as in small containers (RFC 6761, 6.3).
    pub(crate) fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        if self.host.eq_ignore_ascii_case("localhost") {
            let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
            return Ok(loopback.map(|address| SocketAddr::new(address, self.port)).to_vec());
        }
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }

    /// The same on a thread that ends with the answer. The error may be that this process lacks
    /// something ([`lack`]).
    pub(crate) fn ask(&self) -> io::Result<Resolving> {
        let turn = Turn::take().ok_or(ErrorKind::ResourceBusy)?;
        let (answer_tx, answer_rx) = bounded(1);
        let name = self.clone();
        thread::spawn("resolver", move || {
            let answer = name.look_up();
            drop(turn);
            // Whoever asked may be gone.
            let _ = answer_tx.send(answer);
        })?;
        Ok(answer_rx)
    }
}

/// One of the names that may be looked up at once.
struct Turn;

impl Turn {
    fn take() -> Option<Turn> {
        let before = ASKING.fetch_add(1, Ordering::Relaxed);
        // Given back if it was one too many.
        let turn = Turn;
        (before < AT_ONCE).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        ASKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What this process or its machine lacks, if that is the error: it says nothing of the other side.
pub(crate) fn lack(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error() {
        Some(libc::EMFILE) => Some("file descriptors (LimitNOFILE)"),
        Some(libc::ENFILE) => Some("file descriptors of the machine"),
        Some(libc::EAGAIN) => Some("threads (TasksMax)"),
        Some(libc::ENOMEM | libc::ENOBUFS) => Some("memory"),
        Some(libc::EADDRNOTAVAIL) => Some("free ports"),
        Some(_) => None,
        None if error.kind() == ErrorKind::ResourceBusy => {
            Some("an answer of the name server, for which as many wait as may")
        }
        None => None,
    }
}

/// Tries the addresses in turn; each gets its share of the time that is left. The error is of one that
/// could be tried, if there is one.
pub(crate) fn connect_to_any(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut last = None;
    for (done, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let shares = u32::try_from(addresses.len() - done).unwrap_or(u32::MAX);
        // A timeout of zero would be none at all.
        let share = (left / shares).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            // Not for want of a port, as with IPv4: IPv6 is turned off here.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable && address.is_ipv6() => {
                last = Some(ErrorKind::HostUnreachable.into());
            }
            Err(error) if last.is_some() && lack(&error).is_some() => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_names_are_looked_up_at_once_than_may() {
        let turns: Vec<Turn> = std::iter::from_fn(Turn::take).take(AT_ONCE + 1).collect();
        assert!(turns.len() <= AT_ONCE);
        let error = Name::new("localhost", 1).ask().unwrap_err();
        assert!(lack(&error).is_some_and(|what| what.contains("name server")), "{error}");
        drop(turns);
        let answer = Name::new("localhost", 1).ask().unwrap();
        assert!(answer.recv().unwrap().is_ok_and(|addresses| !addresses.is_empty()));
    }

    #[test]
    fn localhost_is_this_host_whatever_files_say() {
        let found = Name::new("LocalHost", 7).look_up().unwrap();
        assert_eq!(found, ["127.0.0.1:7".parse().unwrap(), "[::1]:7".parse().unwrap()]);
    }

    #[test]
    fn what_the_process_lacks_is_told_from_what_the_other_side_does() {
        for (errno, lacks) in [
            (libc::EMFILE, true),
            (libc::ENFILE, true),
            (libc::EAGAIN, true),
            (libc::ENOMEM, true),
            (libc::ENOBUFS, true),
            (libc::EADDRNOTAVAIL, true),
            (libc::ECONNREFUSED, false),
            (libc::ETIMEDOUT, false),
            (libc::EHOSTUNREACH, false),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(lack(&error).is_some(), lacks, "{error}");
        }
        assert_eq!(lack(&ErrorKind::TimedOut.into()), None);
    }

    #[test]
    fn an_address_that_refuses_counts_more_than_one_that_could_not_be_tried() {
        // No host has an address of this network (RFC 6666).
        let nowhere = "[100::1]:1".parse().unwrap();
        let closed = "127.0.0.1:1".parse().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        for addresses in [[nowhere, closed], [closed, nowhere]] {
            let error = connect_to_any(&addresses, until).unwrap_err();
            assert_eq!(lack(&error), None, "{error}");
        }
    }
}
