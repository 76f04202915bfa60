//! What rtnetlink says of neighbours (`linux/neighbour.h`): the hosts with which this one has to do.

use std::net::IpAddr;

use libc::{
    NDA_CACHEINFO, NDA_DST, NDA_IFINDEX, NDA_LLADDR, NUD_DELAY, NUD_PERMANENT, NUD_PROBE,
    NUD_REACHABLE, NUD_STALE, RTM_GETNEIGH, RTM_NEWNEIGH,
};

use super::{AF_INET, AF_INET6, decode_ip};
use crate::net::codec::ethernet::Mac;
use crate::net::codec::netlink::{Builder, Message};
use crate::net::codec::{ethernet, netlink};

/// The length of `struct ndmsg`.
const HEADER: usize = 12;
/// The states in which a hardware address is known; but for those of groups (`NUD_NOARP`).
const KNOWN: u16 = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

/// Another host on the segment of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface's index.
    pub index: u32,
    /// An address that it has.
    pub ip: IpAddr,
    /// Its hardware address, as far as is known.
    pub mac: Mac,
    /// How long ago it was last known to be there, in ticks of the kernel's clock.
    pub confirmed: u32,
}

impl Neighbour {
    /// Reads an entry of the kernel's table; none for what is no entry, or of no use.
    pub fn decode(message: &Message<'_>) -> Option<Neighbour> {
        let header: &[u8; HEADER] =
            message.payload.first_chunk().filter(|_| message.kind == RTM_NEWNEIGH)?;
        let attributes = &message.payload[HEADER..];
        let ip = decode_ip(header[0], netlink::find(attributes, NDA_DST)?)?;
        let mac = Mac::try_from(netlink::find(attributes, NDA_LLADDR)?).ok()?;
        let is_known = netlink::u16_at(header, 8)? & KNOWN != 0;
        let times = netlink::find(attributes, NDA_CACHEINFO);
        let confirmed = times.and_then(|times| netlink::u32_at(times, 0)).unwrap_or(u32::MAX);
        let index = netlink::u32_at(header, 4)?;
        let is_one_host = is_known && !ethernet::is_for_many(&mac) && mac != [0; 6];
        is_one_host.then_some(Neighbour { index, ip, mac, confirmed })
    }
}

/// Asks for the neighbours on one interface, of the family of this address. A kernel that does not
/// know the attribute tells of all interfaces.
pub fn dump_neighbours(sequence: u32, index: u32, like: IpAddr) -> Vec<u8> {
    let mut header = [0; HEADER];
    header[0] = if like.is_ipv4() { AF_INET } else { AF_INET6 };
    Builder::new(RTM_GETNEIGH, netlink::DUMP, sequence, &header)
        .attribute(NDA_IFINDEX, &index.to_ne_bytes())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x2a];

    /// An entry as the kernel writes it.
    fn entry(kind: u16, state: u16, ip: &[u8], mac: &[u8]) -> Vec<u8> {
        let family = if ip.len() == 4 { AF_INET } else { AF_INET6 };
        let mut header = [family, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1];
        header[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        header[8..10].copy_from_slice(&state.to_ne_bytes());
        let times = [7_u32, 8, 9, 1].map(u32::to_ne_bytes).concat();
        Builder::new(kind, 0, 1, &header)
            .attribute(NDA_DST, ip)
            .attribute(NDA_LLADDR, mac)
            .attribute(NDA_CACHEINFO, &times)
            .finish()
    }

    fn read(entry: &[u8]) -> Option<Neighbour> {
        let message = netlink::messages(entry).next().unwrap().unwrap();
        Neighbour::decode(&message)
    }

    #[test]
    fn a_neighbour_is_read_whose_hardware_address_is_known() {
        let expected = Neighbour { index: 3, ip: [10, 0, 0, 1].into(), mac: MAC, confirmed: 7 };
        for state in [NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_PERMANENT] {
            assert_eq!(read(&entry(RTM_NEWNEIGH, state, &[10, 0, 0, 1], &MAC)), Some(expected));
        }
        let ip: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
        let of_ipv6 = read(&entry(RTM_NEWNEIGH, NUD_STALE, &ip.octets(), &MAC));
        assert_eq!(of_ipv6, Some(Neighbour { ip: ip.into(), ..expected }));
    }

    #[test]
    fn what_is_not_known_to_be_one_host_is_none() {
        for state in [libc::NUD_NONE, libc::NUD_INCOMPLETE, libc::NUD_FAILED, libc::NUD_NOARP] {
            assert_eq!(read(&entry(RTM_NEWNEIGH, state, &[10, 0, 0, 1], &MAC)), None, "{state:x}");
        }
        let macs: [&[u8]; 5] = [&ethernet::BROADCAST, &[0x33; 6], &[0; 6], &MAC[..5], &[2; 8]];
        for mac in macs {
            let entry = entry(RTM_NEWNEIGH, NUD_REACHABLE, &[10, 0, 0, 1], mac);
            assert_eq!(read(&entry), None, "{mac:x?}");
        }
        assert_eq!(read(&entry(RTM_GETNEIGH, NUD_REACHABLE, &[10, 0, 0, 1], &MAC)), None);
        assert_eq!(read(&entry(RTM_NEWNEIGH, NUD_REACHABLE, &[10, 0, 1], &MAC)), None);
    }

    #[test]
    fn every_truncation_is_read_without_panic() {
        let whole = entry(RTM_NEWNEIGH, NUD_STALE, &[10, 0, 0, 1], &MAC);
        let message = netlink::messages(&whole).next().unwrap().unwrap();
        for end in 0..message.payload.len() {
            Neighbour::decode(&Message { payload: &message.payload[..end], ..message });
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn one_interface_is_asked_for_and_one_family() {
        let expected = [
            36, 0, 0, 0, 30, 0, 0x01, 0x03, 9, 0, 0, 0, 0, 0, 0, 0, // header: dump
            2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // ndmsg
            8, 0, 8, 0, 3, 0, 0, 0, // NDA_IFINDEX
        ];
        assert_eq!(dump_neighbours(9, 3, [10, 0, 0, 1].into()), expected);
        assert_eq!(dump_neighbours(9, 3, "fd00::1".parse().unwrap())[16], 10);
    }
}
