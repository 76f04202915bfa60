//! Hears what other hosts say of addresses.
//!
//! Owns the packet sockets that receive, one for ARP and one for neighbour messages, both of all
//! interfaces and each opened when an address of its family is managed; lives on the actuator's
//! thread. Receiving never blocks. What is said is not believed here, only handed on.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use crate::net::codec::heard::Heard;
use crate::net::codec::{ethernet, filter};
use crate::net::error::words;
use crate::net::sys::PacketSocket;

/// How many frames are read from a socket before other work has its turn.
const MAX_AT_ONCE: usize = 256;
/// More than a neighbour message with all its options has.
const BUFFER: usize = 2048;

/// The ears.
#[derive(Debug)]
pub(crate) struct Listener {
    arp: Option<PacketSocket>,
    ndp: Option<PacketSocket>,
    buffer: Vec<u8>,
    heard_all: bool,
}

impl Listener {
    /// A listener that hears nothing yet.
    pub(crate) fn new() -> Listener {
        Listener { arp: None, ndp: None, buffer: vec![0; BUFFER], heard_all: true }
    }

    /// Hears from now on what is said of addresses of this one's family.
    pub(crate) fn listen_for(&mut self, ip: IpAddr) {
        let (socket, ethertype, filter) = match ip {
            IpAddr::V4(_) => (&mut self.arp, ethernet::ARP, &filter::ARP[..]),
            IpAddr::V6(_) => (&mut self.ndp, ethernet::IPV6, &filter::NDP[..]),
        };
        if socket.is_none() {
            match PacketSocket::listen(ethertype, filter) {
                Ok(open) => *socket = Some(open),
                Err(errno) => log::warn!("listen to others that have {ip}: {}", words(errno)),
            }
        }
    }

    /// What was heard since the last time, each with the index of the interface.
    pub(crate) fn hear(&mut self) -> Vec<(u32, Heard)> {
        let mut all = Vec::new();
        self.heard_all = true;
        for socket in [&self.arp, &self.ndp].into_iter().flatten() {
            self.heard_all &= drain(socket, &mut self.buffer, &mut all);
        }
        all
    }

    /// Whether `hear` left nothing behind the last time. If it did, so much has come that some of it
    /// may be lost.
    pub(crate) fn has_heard_all(&self) -> bool {
        self.heard_all
    }

    /// Readable when there is something to hear.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.arp, &self.ndp].into_iter().flatten().map(AsFd::as_fd)
    }
}

/// Reads what a socket has received, and tells whether that was all.
fn drain(socket: &PacketSocket, buffer: &mut [u8], all: &mut Vec<(u32, Heard)>) -> bool {
    for _ in 0..MAX_AT_ONCE {
        match socket.receive(buffer) {
            Ok((index, frame)) => {
                all.extend(Heard::from_frame(frame).map(|heard| (index, heard)));
            }
            Err(Errno::EAGAIN) => return true,
            Err(errno) => {
                log::debug!("listen to others: {}", words(errno));
                return false;
            }
        }
    }
    false
}
