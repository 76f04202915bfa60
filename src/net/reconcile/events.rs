//! The kernel's notices about links and addresses.
//!
//! What they say may be old by the time it is read, and some may be lost. So what they say of addresses
//! that are managed, and of links, decides only *when* the kernel is asked again, never what is believed;
//! and when some were lost, that is told.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{SockFlag, SockProtocol};

use crate::net::codec::netlink;
use crate::net::codec::rtnetlink::Change;
use crate::net::error::words;
use crate::net::sys::NetlinkSocket;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Room for some thousand notices that come while the thread does something else: an address costs
/// about 1 KiB with the kernel's own overhead. Memory is used only when it is filled.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// More than any notice has; one of a link has about 2 KiB.
const BUFFER: usize = 32 * 1024;
/// How many notices are read before other work has its turn.
const MAX_AT_ONCE: usize = 1024;

/// The event socket.
#[derive(Debug)]
pub(crate) struct Events {
    socket: NetlinkSocket,
    buffer: Vec<u8>,
}

impl Events {
    /// Subscribes; whatever changes from now on will be noticed.
    pub(crate) fn subscribe() -> Result<Events, Errno> {
        let protocol = SockProtocol::NetlinkRoute;
        let socket = NetlinkSocket::open(protocol, GROUPS, SockFlag::SOCK_NONBLOCK)?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        Ok(Events { socket, buffer: vec![0; BUFFER] })
    }

    /// Reads what has come, and tells whether the kernel has to be asked again: because a notice
    /// matters. Nothing is noted in the place of notices that were lost, or are not read yet.
    pub(crate) fn drain(&mut self, mut note: impl FnMut(Option<&Change>) -> bool) -> bool {
        let mut ask = false;
        for _ in 0..MAX_AT_ONCE {
            match self.socket.receive(&mut self.buffer) {
                Ok(datagram) if !datagram.from_kernel => {}
                Ok(datagram) if datagram.truncated => ask |= note(None),
                Ok(datagram) => {
                    let read = netlink::messages(&self.buffer[..datagram.length]).flatten();
                    for change in read.filter_map(|message| Change::decode(&message)) {
                        ask |= note(Some(&change));
                    }
                }
                Err(Errno::EAGAIN) => return ask,
                Err(errno) => {
                    log::info!("netlink events ({}): everything is compared again", words(errno));
                    ask |= note(None);
                    if errno != Errno::ENOBUFS {
                        return ask;
                    }
                }
            }
        }
        note(None);
        ask
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
