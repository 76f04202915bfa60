//! Whether other agents run on this host: what carries LinK's mark may be theirs then.
//!
//! Each agent has a socket with an abstract name (unix(7)), which belongs to the network namespace, as the
//! addresses do, and ends with the process.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What the names of all agents begin with, as `/proc/net/unix` shows them.
const PREFIX: &str = "@link-agent/";

/// Where the kernel tells all of them.
const SOCKETS: &str = "/proc/thread-self/net/unix";

/// Tells other agents that this one is here, until it is dropped.
#[derive(Debug)]
pub(super) struct Presence {
    name: String,
    /// Nothing if there is none to be had: then other agents take this one's addresses for left-overs, and
    /// no IP depends on that.
    _socket: Option<UnixDatagram>,
}

impl Presence {
    /// Takes a name of its own. It is random: containers that share a network may share process ids, too.
    pub(super) fn announce() -> Presence {
        let name = format!("{PREFIX}{}", uuid::Uuid::new_v4());
        let socket = bind(name.trim_start_matches('@'));
        if let Err(error) = &socket {
            log::warn!("tell other agents on this host of this one: {error}");
        }
        if let Err(error) = fs::metadata(SOCKETS) {
            log::warn!(
                "other agents on this host cannot be seen, and their addresses count as left over: {SOCKETS}: {error}"
            );
        }
        Presence { name, _socket: socket.ok() }
    }

    /// Whether another agent is here. Without `/proc` that cannot be told, and none is.
    pub(super) fn has_company(&self) -> bool {
        is_here(|name| name != self.name)
    }
}

/// Whether an agent runs on this host, in this network namespace.
pub fn agent_runs_here() -> bool {
    is_here(|_| true)
}

fn is_here(which: impl Fn(&str) -> bool) -> bool {
    let sockets = fs::read_to_string(SOCKETS).unwrap_or_default();
    let mut names = sockets.lines().filter_map(|line| line.split_whitespace().last());
    names.any(|name| name.starts_with(PREFIX) && which(name))
}

fn bind(name: &str) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
}
