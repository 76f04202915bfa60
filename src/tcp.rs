//! TCP connections that are made before a deadline, also to what has only a name.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::thread;

/// The answer of the resolver, once it comes.
pub(crate) type Resolving = Receiver<io::Result<Vec<SocketAddr>>>;

/// Asks the system's resolver on a thread that ends with the answer: it takes no deadline and cannot be
/// interrupted.
pub(crate) fn resolve(host: String, port: u16) -> io::Result<Resolving> {
    let (answer_tx, answer_rx) = bounded(1);
    thread::spawn("resolver", move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // Whoever asked may be gone.
        let _ = answer_tx.send(addresses.map(Iterator::collect));
    })?;
    Ok(answer_rx)
}

/// Tries the addresses in turn; each gets its share of the time that is left.
pub(crate) fn connect_to_any(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for (done, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let shares = u32::try_from(addresses.len() - done).unwrap_or(u32::MAX);
        // A timeout of zero would be none at all.
        let share = (left / shares).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
