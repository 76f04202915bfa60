//! The multicast groups in which a host hears who else wants an IPv6 address.
//!
//! A question is sent to the solicited-node group of the address. Whoever has the address is in that
//! group; this host, while it only asks, would be spared the frames for it by its network card, and by
//! a switch that listens to group memberships (RFC 4541). RFC 4862, 5.4.2, has it join the group, too.
//!
//! Lives on the actuator's thread; nothing here blocks.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::net::codec::ndp;
use crate::vip::Cidr;

/// The memberships.
#[derive(Debug, Default)]
pub(super) struct Groups {
    members: BTreeMap<Cidr, Member>,
}

/// A membership lasts as long as its socket. One socket each: the kernel counts how many ask for the
/// same group, which addresses with the same end share.
#[derive(Debug)]
struct Member {
    index: u32,
    _socket: UdpSocket,
}

impl Groups {
    /// Joins the group of an address on an interface, if it has one and that was not done.
    pub(super) fn join(&mut self, cidr: Cidr, index: u32) {
        let IpAddr::V6(ip) = cidr.addr() else {
            return;
        };
        if self.members.get(&cidr).is_some_and(|member| member.index == index) {
            return;
        }
        match join(ndp::solicited_node(ip), index) {
            Ok(socket) => {
                self.members.insert(cidr, Member { index, _socket: socket });
            }
            // Owners are heard all the same.
            Err(error) => log::debug!("hear who else wants {cidr}: {error}"),
        }
    }

    /// Leaves the group of an address.
    pub(super) fn leave(&mut self, cidr: Cidr) {
        self.members.remove(&cidr);
    }
}

/// A member that is bound to no port, so that nothing is ever delivered to it.
fn join(group: Ipv6Addr, index: u32) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let member = UdpSocket::from(socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?);
    member.join_multicast_v6(&group, index)?;
    Ok(member)
}
