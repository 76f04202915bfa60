//! What rtnetlink says of links and addresses (`linux/if_link.h`, `linux/if_addr.h`), and the
//! requests that LinK makes.
//!
//! A pure codec: reading never panics. Public for the fuzzer and for nobody else.

mod neighbour;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{
    IFA_ADDRESS, IFA_CACHEINFO, IFA_F_DADFAILED, IFA_F_NODAD, IFA_F_NOPREFIXROUTE,
    IFA_F_OPTIMISTIC, IFA_F_SECONDARY, IFA_F_TENTATIVE, IFA_FLAGS, IFA_LOCAL, IFLA_ADDRESS,
    IFLA_AF_SPEC, IFLA_ALT_IFNAME, IFLA_CARRIER_UP_COUNT, IFLA_IFNAME, RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE, RTM_DELADDR, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR,
    RTM_NEWLINK, RTM_SETLINK,
};

pub use neighbour::{Neighbour, dump_neighbours};

use super::ethernet::Mac;
use super::netlink;
use super::netlink::{Builder, Message};
use crate::vip::Cidr;

/// LinK's mark: the `IFA_PROTO` of the addresses that it adds (Linux 5.18; older kernels ignore
/// it). Not in use by others in iproute2's `rt_protos`, which `rt_addrprotos` follows; 76 is 'L'.
pub const MARK: u8 = 76;

/// `IFA_PROTO`, which libc does not have.
const IFA_PROTO: u16 = 11;
/// `IFLA_INET_CONF`: the interface's IPv4 settings.
const IFLA_INET_CONF: u16 = 1;
/// `IFLA_INET6_CONF`: the interface's IPv6 settings.
const IFLA_INET6_CONF: u16 = 2;
/// `IPV4_DEVCONF_PROMOTE_SECONDARIES`; IPv4 settings are counted from 1 (`linux/ip.h`).
const PROMOTE_SECONDARIES: u16 = 20;
/// `DEVCONF_FORWARDING`; IPv6 settings are counted from 0 (`linux/ipv6.h`).
const FORWARDING: usize = 0;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// The lengths of `struct ifaddrmsg` and `struct ifinfomsg`.
const ADDRESS_HEADER: usize = 8;
const LINK_HEADER: usize = 16;
/// The longest name of an interface (`IFNAMSIZ` without the NUL); longer ones are alternative names.
const MAX_NAME: usize = 15;
/// The longest alternative name (`ALTIFNAMSIZ` without the NUL).
const MAX_ALTERNATIVE_NAME: usize = 127;

/// Flags of an interface (`linux/if.h`, in the four bytes that netlink has).
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_LOWER_UP: u32 = 0x10000;

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressInfo {
    /// The interface's index.
    pub index: u32,
    /// The local address and its prefix length.
    pub cidr: Cidr,
    /// It is one end of a point-to-point pair.
    pub has_peer: bool,
    /// `IFA_F_*`.
    pub flags: u32,
    /// `IFA_PROTO`: who added it, 0 when that is not known.
    pub protocol: u8,
}

impl AddressInfo {
    /// False while duplicate address detection runs, and for ever after it failed (RFC 4862, 5.4).
    pub fn is_usable(&self) -> bool {
        let tentative = self.flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC) == IFA_F_TENTATIVE;
        self.cidr.addr().is_ipv4() || !tentative && self.flags & IFA_F_DADFAILED == 0
    }

    /// This host may speak from it: duplicate address detection is over, and has found none.
    pub fn is_settled(&self) -> bool {
        self.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0
    }

    /// An IPv4 address whose subnet another address of the interface represents.
    pub fn is_secondary(&self) -> bool {
        self.cidr.addr().is_ipv4() && self.flags & IFA_F_SECONDARY != 0
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Unique in its network namespace while the interface lives.
    pub index: u32,
    /// Its name, not an alternative one.
    pub name: String,
    /// `IFF_*`.
    pub flags: u32,
    /// Its hardware address, if that has six bytes.
    pub mac: Option<Mac>,
    /// How often the carrier came.
    pub carrier_ups: Option<u32>,
    /// It forwards IPv6 packets, so that neighbours may use it as a router.
    pub forwards_ipv6: bool,
    /// `promote_secondaries` is set for this interface; none when IPv4 is not enabled on it.
    pub promotes_secondaries: Option<bool>,
}

impl Link {
    /// It is administratively up.
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// It is connected, and ready for traffic (RFC 2863 operational state up or unknown).
    pub fn has_carrier(&self) -> bool {
        let both = IFF_LOWER_UP | IFF_RUNNING;
        self.flags & both == both
    }

    /// The source of announcements; none where nobody resolves addresses.
    pub fn announces_from(&self) -> Option<Mac> {
        self.mac.filter(|_| self.flags & (IFF_LOOPBACK | IFF_NOARP) == 0)
    }
}

/// An event of the groups LINK, IPV4_IFADDR and IPV6_IFADDR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface is new or has changed.
    Link(Link),
    /// An interface is gone.
    LinkGone(Link),
    /// An address is new or has changed.
    Address(AddressInfo),
    /// An address is gone.
    AddressGone(AddressInfo),
}

impl Change {
    /// Reads an event; none for what is no event of these groups.
    pub fn decode(message: &Message<'_>) -> Option<Change> {
        match message.kind {
            RTM_NEWLINK => decode_link(message.payload).map(Change::Link),
            RTM_DELLINK => decode_link(message.payload).map(Change::LinkGone),
            RTM_NEWADDR => decode_address(message.payload).map(Change::Address),
            RTM_DELADDR => decode_address(message.payload).map(Change::AddressGone),
            _ => None,
        }
    }
}

/// Reads the payload of `RTM_NEWADDR` or `RTM_DELADDR`, if it is of IPv4 or IPv6.
pub fn decode_address(payload: &[u8]) -> Option<AddressInfo> {
    let header: &[u8; ADDRESS_HEADER] = payload.first_chunk()?;
    let attributes = &payload[ADDRESS_HEADER..];
    let ip = |kind| netlink::find(attributes, kind).and_then(|value| decode_ip(header[0], value));
    let address = ip(IFA_ADDRESS);
    let local = ip(IFA_LOCAL).or(address)?;
    let flags = netlink::find(attributes, IFA_FLAGS).and_then(|value| netlink::u32_at(value, 0));
    let protocol = netlink::find(attributes, IFA_PROTO).and_then(<[u8]>::first);
    Some(AddressInfo {
        index: netlink::u32_at(header, 4)?,
        cidr: Cidr::new(local, header[1]).ok()?,
        has_peer: address.is_some_and(|address| address != local),
        flags: flags.unwrap_or(u32::from(header[2])),
        protocol: protocol.copied().unwrap_or(0),
    })
}

/// Reads the payload of `RTM_NEWLINK` or `RTM_DELLINK`.
///
/// Only of the family `AF_UNSPEC`: a bridge speaks of its ports by the same messages, and there
/// `RTM_DELLINK` means that the interface left the bridge.
pub fn decode_link(payload: &[u8]) -> Option<Link> {
    let header: &[u8; LINK_HEADER] = payload.first_chunk()?;
    if header[0] != AF_UNSPEC {
        return None;
    }
    let attributes = &payload[LINK_HEADER..];
    let name = netlink::find(attributes, IFLA_IFNAME)?;
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    let families = netlink::find(attributes, IFLA_AF_SPEC).unwrap_or(&[]);
    let mac = netlink::find(attributes, IFLA_ADDRESS).and_then(|mac| Mac::try_from(mac).ok());
    let ups = netlink::find(attributes, IFLA_CARRIER_UP_COUNT);
    Some(Link {
        index: netlink::u32_at(header, 4)?,
        name: String::from_utf8_lossy(name).into_owned(),
        flags: netlink::u32_at(header, 8)?,
        mac,
        carrier_ups: ups.and_then(|value| netlink::u32_at(value, 0)),
        forwards_ipv6: setting(families, AF_INET6, IFLA_INET6_CONF, FORWARDING)
            .is_some_and(|value| value != 0),
        promotes_secondaries: setting(
            families,
            AF_INET,
            IFLA_INET_CONF,
            usize::from(PROMOTE_SECONDARIES) - 1,
        )
        .map(|value| value != 0),
    })
}

/// Asks for an address to be added, with LinK's mark; fails when the interface has it.
///
/// - IPv6 without duplicate address detection: in a handover two hosts may have the address for a
///   moment, and detection would make it unusable for good.
/// - An IPv6 /128 with a preferred lifetime of 0, so that the host never chooses it as the source
///   of its own connections (RFC 6724, rule 3).
/// - A shorter prefix without a connected route: the interface's own address makes that.
pub fn add_address(sequence: u32, index: u32, cidr: Cidr) -> Vec<u8> {
    put_address(netlink::ACK | netlink::CREATE | netlink::EXCLUSIVE, sequence, index, cidr)
}

/// Asks for an address that the interface has to become as [`add_address`] would have made it; it stays
/// there all the time.
pub fn mark_address(sequence: u32, index: u32, cidr: Cidr) -> Vec<u8> {
    put_address(netlink::ACK | netlink::REPLACE, sequence, index, cidr)
}

fn put_address(flags: u16, sequence: u32, index: u32, cidr: Cidr) -> Vec<u8> {
    let request = address_request(RTM_NEWADDR, flags, sequence, index, cidr)
        .attribute(IFA_FLAGS, &flags_of(cidr).to_ne_bytes())
        .attribute(IFA_PROTO, &[MARK]);
    if cidr.addr().is_ipv6() && cidr.is_single_address() {
        request.attribute(IFA_CACHEINFO, &lifetimes(0, u32::MAX)).finish()
    } else {
        request.finish()
    }
}

/// Asks for exactly this address to be removed: without `IFA_LOCAL` and the prefix length the
/// kernel would take the first address that matches.
pub fn delete_address(sequence: u32, index: u32, cidr: Cidr) -> Vec<u8> {
    address_request(RTM_DELADDR, netlink::ACK, sequence, index, cidr).finish()
}

/// Asks for an address, which is to be one of IPv6, on whichever interface.
pub fn get_address(sequence: u32, ip: IpAddr) -> Vec<u8> {
    address_request(RTM_GETADDR, netlink::ACK, sequence, 0, Cidr::single(ip)).finish()
}

/// Asks for all addresses of all interfaces.
pub fn dump_addresses(sequence: u32) -> Vec<u8> {
    Builder::new(RTM_GETADDR, netlink::DUMP, sequence, &[AF_UNSPEC; ADDRESS_HEADER]).finish()
}

/// Asks for all interfaces.
pub fn dump_links(sequence: u32) -> Vec<u8> {
    Builder::new(RTM_GETLINK, netlink::DUMP, sequence, &[AF_UNSPEC; LINK_HEADER]).finish()
}

/// Asks for the interface with this name. Of a name that is too long for any, as much is sent as the
/// kernel needs to refuse it.
pub fn get_link_by_name(sequence: u32, name: &str) -> Vec<u8> {
    let kind = if name.len() > MAX_NAME { IFLA_ALT_IFNAME } else { IFLA_IFNAME };
    let sent = name.len().min(MAX_ALTERNATIVE_NAME + 1);
    let terminated = [&name.as_bytes()[..sent], &[0]].concat();
    link_request(RTM_GETLINK, sequence, 0).attribute(kind, &terminated).finish()
}

/// Asks for the interface with this index.
pub fn get_link_by_index(sequence: u32, index: u32) -> Vec<u8> {
    link_request(RTM_GETLINK, sequence, index).finish()
}

/// Asks for `promote_secondaries` of one interface to be set, as sysctl would.
pub fn set_promote_secondaries(sequence: u32, index: u32, on: bool) -> Vec<u8> {
    let path = [IFLA_AF_SPEC, u16::from(AF_INET), IFLA_INET_CONF, PROMOTE_SECONDARIES];
    link_request(RTM_SETLINK, sequence, index).nested(&path, &u32::from(on).to_ne_bytes()).finish()
}

fn address_request(kind: u16, flags: u16, sequence: u32, index: u32, cidr: Cidr) -> Builder {
    let (family, scope) = match cidr.addr() {
        IpAddr::V4(_) => (AF_INET, RT_SCOPE_UNIVERSE),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => (AF_INET6, RT_SCOPE_LINK),
        IpAddr::V6(_) => (AF_INET6, RT_SCOPE_UNIVERSE),
    };
    let mut header = [family, cidr.prefix(), 0, scope, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let ip = encode_ip(cidr.addr());
    Builder::new(kind, flags, sequence, &header)
        .attribute(IFA_LOCAL, &ip)
        .attribute(IFA_ADDRESS, &ip)
}

fn link_request(kind: u16, sequence: u32, index: u32) -> Builder {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    Builder::new(kind, netlink::ACK, sequence, &header)
}

fn flags_of(cidr: Cidr) -> u32 {
    let detection = if cidr.addr().is_ipv6() { IFA_F_NODAD } else { 0 };
    let route = if cidr.is_single_address() { 0 } else { IFA_F_NOPREFIXROUTE };
    detection | route
}

/// `struct ifa_cacheinfo`: two lifetimes in seconds, and two time stamps that the kernel sets.
fn lifetimes(preferred: u32, valid: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&preferred.to_ne_bytes());
    bytes[4..8].copy_from_slice(&valid.to_ne_bytes());
    bytes
}

/// One number of an interface's settings for one family: `IFLA_AF_SPEC`, family, array.
fn setting(families: &[u8], family: u8, array: u16, position: usize) -> Option<u32> {
    let settings = netlink::find(families, u16::from(family))?;
    netlink::u32_at(netlink::find(settings, array)?, position * 4)
}

fn decode_ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

fn encode_ip(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests;
