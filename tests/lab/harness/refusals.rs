//! Connections that a host refused, as seen on its own wire: when a health check really failed.

use std::os::fd::OwnedFd;
use std::time::Instant;

use etherparse::{SlicedPacket, TransportSlice};
use nix::sys::socket::{AddressFamily, SockProtocol};

use super::namespace::Namespace;
use super::socket;

/// Listens from its start on; the kernel keeps what was not read yet, with the time.
pub(crate) struct Refusals {
    socket: OwnedFd,
    port: u16,
    seen: Vec<Instant>,
}

impl Refusals {
    /// Starts to listen for what a TCP port refuses over IPv4; what arrives after this returns is
    /// seen.
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Refusals {
        let socket = socket::raw(namespace, AddressFamily::Inet, SockProtocol::Tcp);
        Refusals { socket, port, seen: Vec::new() }
    }

    /// When a connection was refused so far, oldest first.
    pub(crate) fn moments(&mut self) -> &[Instant] {
        let mut buffer = [0; 65_536];
        while let Some((length, at)) = socket::receive(&self.socket, &mut buffer) {
            if is_refusal(&buffer[..length], self.port) {
                self.seen.push(at);
            }
        }
        &self.seen
    }
}

/// True for the answer to a connection that nobody listens for. A reset of one that was there has
/// another sequence number than 0 (RFC 9293, section 3.5.2).
fn is_refusal(packet: &[u8], port: u16) -> bool {
    let packet = SlicedPacket::from_ip(packet).ok();
    packet.and_then(|packet| packet.transport).is_some_and(|transport| match transport {
        TransportSlice::Tcp(tcp) => {
            tcp.source_port() == port && tcp.rst() && tcp.sequence_number() == 0
        }
        TransportSlice::Udp(_) | TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) => false,
    })
}
