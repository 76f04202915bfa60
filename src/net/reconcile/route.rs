//! Requests to the kernel about addresses and links, one at a time, each with its answer.
//!
//! Blocks: the kernel carries out a request while it is sent (behind its `rtnl` lock, which a busy
//! host may hold for milliseconds); an answer that does not come is given up after a second.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::SockFlag;
use nix::sys::utsname::uname;

use crate::net::codec::ethernet::Mac;
use crate::net::codec::netlink::{Message, Outcome};
use crate::net::codec::rtnetlink::{AddressInfo, Change, Link, Neighbour};
use crate::net::codec::{netlink, rtnetlink};
use crate::net::error::{RouteError, TIMEOUT};
use crate::net::sys::NetlinkSocket;
use crate::vip::Cidr;

/// The kernel fills at most 32 KiB per datagram of a dump (`NLMSG_GOODSIZE` and
/// `netlink_dump()` in net/netlink/af_netlink.c).
const BUFFER: usize = 32 * 1024;
/// How often a dump that was interrupted by a change is repeated.
const DUMP_TRIES: u32 = 5;

/// The request socket.
#[derive(Debug)]
pub(crate) struct Route {
    socket: NetlinkSocket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// Whether an address was there before it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new.
    New,
    /// `EEXIST`. For IPv6 that may be the same address with another prefix length.
    Exists,
}

/// Whether the kernel keeps LinK's mark of an address. One that cannot be asked counts as one that
/// does: an address without a mark is then somebody else's.
pub fn keeps_marks() -> bool {
    let release = uname().ok().and_then(|name| name.release().to_str().map(marks_are_kept_by));
    release.unwrap_or(true)
}

impl Route {
    /// Opens the socket, which needs no capability.
    pub(crate) fn open() -> Result<Route, Errno> {
        Ok(Route { socket: open_socket()?, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Whether this process may change addresses: the kernel checks `CAP_NET_ADMIN` before it
    /// looks for the interface, and no interface has the index 0.
    pub(crate) fn may_change(&mut self) -> Result<bool, RouteError> {
        let nothing = Cidr::new([0, 0, 0, 0].into(), 32).expect("32 is a prefix length of IPv4");
        match self.exchange(|sequence| rtnetlink::delete_address(sequence, 0, nothing), |_| {}) {
            Err(RouteError::Refused(Errno::EPERM, _)) => Ok(false),
            Ok(()) | Err(RouteError::Refused(..)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Adds an address; that the interface has it already is a success.
    pub(super) fn add_address(&mut self, index: u32, cidr: Cidr) -> Result<Added, RouteError> {
        match self.exchange(|sequence| rtnetlink::add_address(sequence, index, cidr), |_| {}) {
            Ok(()) => Ok(Added::New),
            Err(RouteError::Refused(Errno::EEXIST, _)) => Ok(Added::Exists),
            Err(error) => Err(error),
        }
    }

    /// Makes an address that the interface has carry LinK's mark.
    pub(super) fn mark_address(&mut self, index: u32, cidr: Cidr) -> Result<(), RouteError> {
        self.exchange(|sequence| rtnetlink::mark_address(sequence, index, cidr), |_| {})
    }

    /// Removes an address; that the interface does not have it, or is gone, is a success.
    pub(super) fn delete_address(&mut self, index: u32, cidr: Cidr) -> Result<(), RouteError> {
        match self.exchange(|sequence| rtnetlink::delete_address(sequence, index, cidr), |_| {}) {
            Err(RouteError::Refused(Errno::EADDRNOTAVAIL | Errno::ENODEV, _)) => Ok(()),
            result => result,
        }
    }

    /// All addresses of all interfaces, as they were at one moment.
    pub(super) fn addresses(&mut self) -> Result<Vec<AddressInfo>, RouteError> {
        for _ in 0..DUMP_TRIES {
            let mut addresses = Vec::new();
            let mut interrupted = false;
            self.exchange(rtnetlink::dump_addresses, |message| {
                interrupted |= message.flags & netlink::DUMP_INTERRUPTED != 0;
                if let Some(Change::Address(address)) = Change::decode(message) {
                    addresses.push(address);
                }
            })?;
            if !interrupted {
                return Ok(addresses);
            }
        }
        Err(RouteError::Interrupted)
    }

    /// The interface with this name, if there is one.
    pub(super) fn link_by_name(&mut self, name: &str) -> Result<Option<Link>, RouteError> {
        self.link(|sequence| rtnetlink::get_link_by_name(sequence, name))
    }

    /// The interface with this index, if there is one.
    pub(super) fn link_by_index(&mut self, index: u32) -> Result<Option<Link>, RouteError> {
        self.link(|sequence| rtnetlink::get_link_by_index(sequence, index))
    }

    /// The hardware addresses of all interfaces.
    pub(super) fn hardware_addresses(&mut self) -> Result<HashSet<Mac>, RouteError> {
        let mut macs = HashSet::new();
        self.exchange(rtnetlink::dump_links, |message| {
            if let Some(Change::Link(link)) = Change::decode(message) {
                macs.extend(link.mac);
            }
        })?;
        Ok(macs)
    }

    /// The neighbours on an interface whose addresses are of this one's family. If they change
    /// meanwhile, some may be missing.
    pub(super) fn neighbours(
        &mut self,
        index: u32,
        like: IpAddr,
    ) -> Result<Vec<Neighbour>, RouteError> {
        let mut neighbours = Vec::new();
        let request = |sequence| rtnetlink::dump_neighbours(sequence, index, like);
        self.exchange(request, |message| {
            neighbours.extend(Neighbour::decode(message).filter(|found| found.index == index));
        })?;
        Ok(neighbours)
    }

    /// Sets `promote_secondaries` of one interface.
    pub(super) fn set_promote_secondaries(
        &mut self,
        index: u32,
        on: bool,
    ) -> Result<(), RouteError> {
        let request = |sequence| rtnetlink::set_promote_secondaries(sequence, index, on);
        self.exchange(request, |_| {})
    }

    fn link(&mut self, request: impl FnOnce(u32) -> Vec<u8>) -> Result<Option<Link>, RouteError> {
        let mut link = None;
        let result = self.exchange(request, |message| {
            if let Some(Change::Link(found)) = Change::decode(message) {
                link = Some(found);
            }
        });
        match result {
            Ok(()) => Ok(link),
            // No such interface, or (the other two) a name that none can have.
            Err(RouteError::Refused(Errno::ENODEV | Errno::EINVAL | Errno::ERANGE, _)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request and hands the messages of its answer over, up to the one that ends it.
    ///
    /// After a failure of the socket it starts with a new one: the old one may hold half a dump.
    fn exchange(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        each: impl FnMut(&Message<'_>),
    ) -> Result<(), RouteError> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(self.sequence);
        let result = self.socket.send(&request).map_err(RouteError::Socket);
        let result = result.and_then(|()| self.receive_answer(each));
        match result {
            Ok(Outcome { errno: 0, .. }) => Ok(()),
            Ok(Outcome { errno, text }) => Err(RouteError::Refused(Errno::from_raw(errno), text)),
            Err(error) => {
                self.socket = open_socket().map_err(RouteError::Socket)?;
                Err(error)
            }
        }
    }

    fn receive_answer(
        &mut self,
        mut each: impl FnMut(&Message<'_>),
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

/// `IFA_PROTO` is known from Linux 5.18 on.
fn marks_are_kept_by(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 18),
        _ => true,
    }
}

fn open_socket() -> Result<NetlinkSocket, Errno> {
    let socket = NetlinkSocket::open(0, SockFlag::empty())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_from_linux_5_18_on() {
        for release in ["5.18.0", "5.18-rc1", "5.19.17", "6.1.0-13-amd64", "6.18.0", "10.0"] {
            assert!(marks_are_kept_by(release), "{release}");
        }
        for release in ["5.17.15", "5.4.0-150-generic", "5.14.0-427.el9.x86_64", "4.19", "2.6.98"] {
            assert!(!marks_are_kept_by(release), "{release}");
        }
    }

    #[test]
    fn a_release_that_cannot_be_read_counts_as_one_that_keeps_marks() {
        for release in ["", "6", "next", "5.x", "v5.4", "5.99999999999"] {
            assert!(marks_are_kept_by(release), "{release}");
        }
    }
}
