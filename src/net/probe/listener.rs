//! Hears what other hosts say of addresses.
//!
//! Owns the packet sockets that receive, one for ARP and one for neighbour messages, both of all
//! interfaces and each opened when an address of its family is managed; lives on the actuator's
//! thread. Receiving never blocks. What is said is not believed here, only handed on. The kernel drops
//! what says nothing of interest, but for interfaces on which anybody at all is listened for.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use crate::net::codec::ethernet::Mac;
use crate::net::codec::filter::Filter;
use crate::net::codec::heard::Heard;
use crate::net::codec::{ethernet, filter};
use crate::net::error::words;
use crate::net::sys::PacketSocket;

/// How many frames are read from a socket before other work has its turn.
const MAX_AT_ONCE: usize = 256;
/// Room for what others say while the thread does something else: a frame costs 0.7 KiB or more. Memory is
/// used only when it is filled.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// More than a neighbour message with all its options has.
const BUFFER: usize = 2048;

/// The ears.
#[derive(Debug)]
pub(crate) struct Listener {
    arp: Option<PacketSocket>,
    ndp: Option<PacketSocket>,
    buffer: Vec<u8>,
    heard_all: bool,
    /// The indexes of the interfaces on which everything about addresses is heard.
    open: Vec<u32>,
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The index of the interface on which it came.
    pub(crate) index: u32,
    /// Who has sent it.
    pub(crate) source: Mac,
    /// What it says, if that is of interest.
    pub(crate) heard: Option<Heard>,
}

impl Listener {
    /// A listener that hears nothing yet.
    pub(crate) fn new() -> Listener {
        let (buffer, open) = (vec![0; BUFFER], Vec::new());
        Listener { arp: None, ndp: None, buffer, heard_all: true, open }
    }

    /// Hears from now on what is said of addresses of this one's family.
    pub(crate) fn listen_for(&mut self, ip: IpAddr) {
        let (socket, ethertype, filter) = match ip {
            IpAddr::V4(_) => (&mut self.arp, ethernet::ARP, filter::ARP),
            IpAddr::V6(_) => (&mut self.ndp, ethernet::IPV6, filter::NDP),
        };
        if socket.is_none() {
            match PacketSocket::listen(ethertype, &filter.program(&self.open), RECEIVE_BUFFER) {
                Ok(open) => *socket = Some(open),
                Err(errno) => log::warn!("listen to others that have {ip}: {}", words(errno)),
            }
        }
    }

    /// Hears everything about addresses on the interfaces with these indexes, and only what is of
    /// interest on the others. What is waiting to be heard has come as it was before.
    pub(crate) fn open(&mut self, indexes: impl Iterator<Item = u32>) {
        let indexes: Vec<u32> = indexes.collect();
        if indexes == self.open {
            return;
        }
        self.open = indexes;
        let attach = |socket: &Option<PacketSocket>, filter: &Filter| match socket {
            Some(socket) => socket.attach(&filter.program(&self.open)),
            None => Ok(()),
        };
        let attached = attach(&self.arp, &filter::ARP).and(attach(&self.ndp, &filter::NDP));
        if let Err(errno) = attached {
            log::warn!("listen to others: {}", words(errno));
        }
    }

    /// What was heard since the last time.
    pub(crate) fn hear(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        self.heard_all = true;
        for socket in [&self.arp, &self.ndp].into_iter().flatten() {
            self.heard_all &= drain(socket, &mut self.buffer, &mut all);
        }
        all
    }

    /// Whether `hear` left nothing behind the last time, and nothing was lost before. If so much has come,
    /// some of it may be lost yet.
    pub(crate) fn has_heard_all(&self) -> bool {
        self.heard_all
    }

    /// Readable when there is something to hear.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.arp, &self.ndp].into_iter().flatten().map(AsFd::as_fd)
    }
}

/// Reads what a socket has received, and tells whether that was all that has come.
fn drain(socket: &PacketSocket, buffer: &mut [u8], all: &mut Vec<Frame>) -> bool {
    for read in 0..MAX_AT_ONCE {
        match socket.receive(buffer) {
            Ok((index, frame)) => {
                let heard = Heard::from_frame(frame);
                all.extend(ethernet::source(frame).map(|source| Frame { index, source, heard }));
            }
            // Nothing is lost while there is room for all.
            Err(Errno::EAGAIN) => return read == 0 || !socket.has_lost(),
            Err(errno) => {
                log::debug!("listen to others: {}", words(errno));
                return false;
            }
        }
    }
    false
}
