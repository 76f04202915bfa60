//! Requests to a part of the kernel, one at a time, each with its answer.
//!
//! Blocks: the kernel carries out a request while it is sent; an answer that does not come is given up
//! after a second.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{SockFlag, SockProtocol};

use crate::clock;
use crate::net::codec::netlink::{self, Message, Outcome};
use crate::net::error::{RouteError, TIMEOUT};
use crate::net::sys::NetlinkSocket;

/// The kernel fills at most 32 KiB per datagram of a dump (`NLMSG_GOODSIZE` and
/// `netlink_dump()` in net/netlink/af_netlink.c).
const BUFFER: usize = 32 * 1024;

/// A socket for requests.
#[derive(Debug)]
pub(super) struct Exchange {
    protocol: SockProtocol,
    socket: NetlinkSocket,
    buffer: Vec<u8>,
    sequence: u32,
    asked: Duration,
}

impl Exchange {
    /// Opens the socket, which needs no capability.
    pub(super) fn open(protocol: SockProtocol) -> Result<Exchange, Errno> {
        let socket = open_socket(protocol)?;
        Ok(Exchange {
            protocol,
            socket,
            buffer: vec![0; BUFFER],
            sequence: 0,
            asked: Duration::ZERO,
        })
    }

    /// Sends a request, made with its number, and hands the messages of its answer over, up to the one
    /// that ends it.
    ///
    /// After a failure of the socket it starts with a new one: the old one may hold half a dump.
    pub(super) fn ask(
        &mut self,
        request: &dyn Fn(u32) -> Vec<u8>,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), RouteError> {
        let begun = clock::since_boot();
        self.sequence = self.sequence.wrapping_add(1);
        let result = self.socket.send(&request(self.sequence)).map_err(RouteError::Socket);
        let result = result.and_then(|()| self.receive_answer(each));
        self.asked += clock::since_boot().saturating_sub(begun);
        match result {
            Ok(Outcome { errno: 0, .. }) => Ok(()),
            Ok(Outcome { errno, text }) => Err(RouteError::Refused(Errno::from_raw(errno), text)),
            Err(error) => {
                self.socket = open_socket(self.protocol).map_err(RouteError::Socket)?;
                Err(error)
            }
        }
    }

    /// How long all answers together have taken.
    pub(super) fn asked(&self) -> Duration {
        self.asked
    }

    fn receive_answer(
        &mut self,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<Outcome, RouteError> {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let datagram = self.socket.receive(&mut self.buffer).map_err(receive_error)?;
            if datagram.truncated {
                return Err(RouteError::Malformed);
            }
            if !datagram.from_kernel {
                continue;
            }
            for message in netlink::messages(&self.buffer[..datagram.length]) {
                let message = message.map_err(|_| RouteError::Malformed)?;
                // An answer to an earlier request that was given up.
                if message.sequence != self.sequence {
                    continue;
                }
                each(&message);
                if let Some(outcome) = netlink::outcome(&message) {
                    return Ok(outcome);
                }
            }
        }
        Err(RouteError::Timeout)
    }
}

fn open_socket(protocol: SockProtocol) -> Result<NetlinkSocket, Errno> {
    let socket = NetlinkSocket::open(protocol, 0, SockFlag::empty())?;
    socket.set_receive_timeout(TIMEOUT)?;
    // Both only make error messages better and shorter; a kernel before 4.12 has neither.
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        if let Err(errno) = socket.enable(option) {
            log::debug!("netlink option {option}: {errno}");
        }
    }
    Ok(socket)
}

fn receive_error(errno: Errno) -> RouteError {
    if errno == Errno::EAGAIN { RouteError::Timeout } else { RouteError::Socket(errno) }
}
