//! Every change of the addresses of a host, as its kernel tells it (rtnetlink(7)): an address that
//! is away for a fraction of a millisecond is seen too.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};

use super::namespace::Namespace;
use super::socket;

/// From `linux/rtnetlink.h`: the groups for addresses of both families, and the messages.
const GROUPS: u32 = 0x10 | 0x100;
const NEW_ADDRESS: u16 = 20;
const ADDRESS_GONE: u16 = 21;

/// From `linux/if_addr.h`: the lengths of `nlmsghdr` and `ifaddrmsg`, and the attribute that holds
/// the address of an interface that is not point-to-point.
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const IFA_ADDRESS: u16 = 1;

/// Listens from its start on; the kernel keeps what was not read yet.
pub(crate) struct AddressMonitor {
    socket: OwnedFd,
    seen: Vec<AddressChange>,
}

/// What happened to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressChange {
    /// It was added, or something about it was changed.
    Set(IpAddr),
    /// It was removed.
    Removed(IpAddr),
}

impl AddressMonitor {
    /// Starts to listen in the namespace; what happens after this returns is seen.
    pub(crate) fn start(namespace: &Namespace) -> AddressMonitor {
        AddressMonitor { socket: open(namespace), seen: Vec::new() }
    }

    /// All changes so far, oldest first.
    pub(crate) fn changes(&mut self) -> &[AddressChange] {
        self.seen.extend(read(&self.socket));
        &self.seen
    }

    /// The changes since the last time, oldest first; they are not kept.
    pub(crate) fn take(&mut self) -> Vec<AddressChange> {
        self.changes();
        std::mem::take(&mut self.seen)
    }

    /// Waits until one of the monitors has something to tell, or that long.
    pub(crate) fn wait<const N: usize>(monitors: &[AddressMonitor; N], timeout: Duration) {
        socket::readable(monitors.each_ref().map(|monitor| &monitor.socket), timeout);
    }
}

/// Opens a non-blocking socket that is told of all changes in the namespace.
pub(super) fn open(namespace: &Namespace) -> OwnedFd {
    namespace.run(|| {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol);
        let socket = socket.expect("open a netlink socket");
        setsockopt(&socket, sockopt::RcvBufForce, &(1 << 20)).expect("enlarge its buffer");
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)).expect("listen to addresses");
        socket
    })
}

/// Reads all changes that have come, oldest first.
pub(super) fn read(socket: &OwnedFd) -> Vec<AddressChange> {
    let mut buffer = [0; 65_536];
    let mut read = Vec::new();
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => read.extend(changes(&buffer[..length])),
            Err(Errno::EAGAIN) => return read,
            Err(Errno::EINTR) => {}
            Err(error) => panic!("listen to the addresses: {error}"),
        }
    }
}

/// The changes in a datagram; each message begins with its length and its type, and ends where the
/// next multiple of four does.
fn changes(datagram: &[u8]) -> Vec<AddressChange> {
    let mut changes = Vec::new();
    let mut rest = datagram;
    while let Some(length) = rest.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)) {
        let length = usize::try_from(length).expect("a length in a datagram");
        let Some(message) = rest.get(..length.max(HEADER)) else {
            break;
        };
        changes.extend(change(message));
        rest = rest.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    changes
}

fn change(message: &[u8]) -> Option<AddressChange> {
    let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    let address = address(message.get(HEADER + ADDRESS_HEADER..)?)?;
    match kind {
        NEW_ADDRESS => Some(AddressChange::Set(address)),
        ADDRESS_GONE => Some(AddressChange::Removed(address)),
        _ => None,
    }
}

/// The address among the attributes: each has a length, a type, a value, and padding.
fn address(mut attributes: &[u8]) -> Option<IpAddr> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(4..length)?;
        if kind == IFA_ADDRESS {
            let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
            return v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok();
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}
