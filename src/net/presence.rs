//! Whether other agents run on this host: what carries LinK's mark may be theirs then.
//!
//! Each agent has a socket with an abstract name (unix(7)), which belongs to the network namespace, as the
//! addresses do, and ends with the process.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the names of all agents begin with, as `/proc/net/unix` shows them.
const PREFIX: &str = "@link-agent/";

/// Tells other agents that this one is here, until it is dropped.
#[derive(Debug)]
pub(super) struct Presence {
    name: String,
    _socket: UnixDatagram,
}

impl Presence {
    /// Takes a name of its own.
    pub(super) fn announce() -> io::Result<Presence> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.trim_start_matches('@'))?;
        Ok(Presence { _socket: UnixDatagram::bind_addr(&address)?, name })
    }

    /// Whether another agent is here. Without `/proc` that cannot be told, and none is.
    pub(super) fn has_company(&self) -> bool {
        let sockets = fs::read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
        let mut names = sockets.lines().filter_map(|line| line.split_whitespace().last());
        names.any(|name| name.starts_with(PREFIX) && name != self.name)
    }
}
