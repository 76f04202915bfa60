//! Neighbour advertisements (RFC 4861, 4.4): how an owner announces an IPv6 address. Solicitations
//! ask whether there is one.
//!
//! A pure codec: reading never panics. Public for the fuzzer and for nobody else.

mod solicitation;

use std::net::Ipv6Addr;

use super::ethernet;
use super::ethernet::Mac;

pub use solicitation::{Solicitation, probe, question, solicited_node, solicited_node_mac};

/// All nodes of the link (RFC 4291, 2.7.1), and where Ethernet sends that (RFC 2464, 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

/// The length of the IPv6 header.
const IPV6_HEADER: usize = 40;
/// Next header: ICMPv6.
const ICMPV6: u8 = 58;
/// Proves that no router forwarded the packet (RFC 4861, 7.1.2).
const HOP_LIMIT: u8 = 255;
/// ICMPv6 type 136, code 0.
const ADVERTISEMENT: [u8; 2] = [136, 0];
/// The length of an advertisement without options.
const FIXED: usize = 24;
/// The option "target link-layer address", and its length in units of eight bytes.
const TARGET_LINK_ADDRESS: u8 = 2;
const ONE_UNIT: u8 = 1;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The sender is a router.
    pub router: bool,
    /// It answers a solicitation.
    pub solicited: bool,
    /// It replaces what a neighbour knew.
    pub overrides: bool,
    /// The address that is advertised.
    pub target: Ipv6Addr,
    /// Where it is.
    pub link_address: Option<Mac>,
}

/// The frame that tells all neighbours that `vip` is at `mac` (RFC 4861, 7.2.6).
///
/// Neighbours drop a host that stops being a router from their default routers, so the flag has
/// to be the one which the kernel's own advertisements carry.
pub fn announcement(vip: Ipv6Addr, mac: Mac, router: bool) -> Vec<u8> {
    let advertisement = Advertisement {
        router,
        solicited: false,
        overrides: true,
        target: vip,
        link_address: Some(mac),
    };
    let packet = encode_packet(vip, ALL_NODES, &advertisement.encode());
    ethernet::encode(ALL_NODES_MAC, mac, ethernet::IPV6, &packet)
}

impl Advertisement {
    /// Reads a received frame and checks all that RFC 4861, 7.1.2, asks of it.
    pub fn from_frame(frame: &[u8]) -> Option<Advertisement> {
        let packet = ethernet::payload(frame, ethernet::IPV6)?;
        let (source, destination, message) = decode_packet(packet)?;
        if checksum(source, destination, message) != 0 {
            return None;
        }
        let advertisement = Advertisement::decode(message)?;
        let forged = advertisement.target.is_multicast()
            || destination.is_multicast() && advertisement.solicited;
        (!forged).then_some(advertisement)
    }

    /// The ICMPv6 message, with a checksum of 0.
    fn encode(&self) -> Vec<u8> {
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(self.router, ROUTER)
            | flag(self.solicited, SOLICITED)
            | flag(self.overrides, OVERRIDE);
        let mut message = ADVERTISEMENT.to_vec();
        message.extend([0, 0, flags, 0, 0, 0]);
        message.extend(self.target.octets());
        if let Some(mac) = self.link_address {
            message.extend([TARGET_LINK_ADDRESS, ONE_UNIT]);
            message.extend(mac);
        }
        message
    }

    fn decode(message: &[u8]) -> Option<Advertisement> {
        let fixed: &[u8; FIXED] = message.first_chunk()?;
        if fixed[..2] != ADVERTISEMENT {
            return None;
        }
        Some(Advertisement {
            router: fixed[4] & ROUTER != 0,
            solicited: fixed[4] & SOLICITED != 0,
            overrides: fixed[4] & OVERRIDE != 0,
            target: Ipv6Addr::from(*fixed[8..].first_chunk::<16>()?),
            link_address: link_address(TARGET_LINK_ADDRESS, &message[FIXED..])?,
        })
    }
}

/// The link-layer address of this kind among the options; none at all if an option is malformed,
/// because then the whole message is to be ignored.
fn link_address(wanted: u8, mut options: &[u8]) -> Option<Option<Mac>> {
    let mut link_address = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 {
            return None;
        }
        let value = options.get(2..length)?;
        if kind == wanted {
            link_address = value.first_chunk().copied();
        }
        options = &options[length..];
    }
    options.is_empty().then_some(link_address)
}

/// An IPv6 packet with an ICMPv6 message (RFC 8200, 3), whose checksum it fills in.
fn encode_packet(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message of ours is short");
    let mut packet = Vec::with_capacity(IPV6_HEADER + message.len());
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([ICMPV6, HOP_LIMIT]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(message);
    let sum = checksum(source, destination, message);
    packet[IPV6_HEADER + 2..IPV6_HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Source, destination and ICMPv6 message of a packet that no router forwarded.
fn decode_packet(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, &[u8])> {
    let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || header[6..8] != [ICMPV6, HOP_LIMIT] {
        return None;
    }
    let source = Ipv6Addr::from(*header[8..].first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*header[24..].first_chunk::<16>()?);
    Some((source, destination, packet[IPV6_HEADER..].get(..length)?))
}

/// The Internet checksum over pseudo-header and message (RFC 4443, 2.3; RFC 8200, 8.1); 0 over a
/// message that carries the right one.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u64 {
        let pairs = bytes.chunks(2);
        pairs.map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0))).sum()
    };
    let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
    let mut sum = words(&source.octets()) + words(&destination.octets()) + words(message);
    sum += length + u64::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).expect("the carries have been folded in")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x2a];

    fn vip() -> Ipv6Addr {
        "fd00::40".parse().unwrap()
    }

    /// The checksum by hand: fd00, 40 (source), ff02, 1 (destination), 20 (length), 3a (next
    /// header), 8800, 2000, fd00, 40, 201, 200, 0 and 2a make 3a608; folded, a60b; its complement
    /// is 59f4.
    const FRAME: [u8; 86] = [
        0x33, 0x33, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 0x2a, 0x86, 0xdd, // Ethernet
        0x60, 0, 0, 0, 0, 32, 58, 255, // IPv6
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, // source
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // destination
        136, 0, 0x59, 0xf4, 0x20, 0, 0, 0, // advertisement, override
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, // target
        2, 1, 0x02, 0, 0, 0, 0, 0x2a, // target link-layer address
    ];

    #[test]
    fn an_announcement_is_an_unsolicited_advertisement_that_overrides() {
        assert_eq!(announcement(vip(), MAC, false), FRAME);
    }

    #[test]
    fn what_was_announced_is_read_back() {
        let advertisement = Advertisement {
            router: false,
            solicited: false,
            overrides: true,
            target: vip(),
            link_address: Some(MAC),
        };
        assert_eq!(Advertisement::from_frame(&FRAME), Some(advertisement));
        let from_router = announcement(vip(), MAC, true);
        let expected = Advertisement { router: true, ..advertisement };
        assert_eq!(Advertisement::from_frame(&from_router), Some(expected));
    }

    #[test]
    fn a_frame_that_is_cut_short_or_changed_is_not_read() {
        for end in 0..FRAME.len() {
            assert_eq!(Advertisement::from_frame(&FRAME[..end]), None, "cut at {end}");
        }
        // From the IPv6 addresses on, the checksum covers every bit.
        for position in 22..FRAME.len() {
            for bit in 0..8 {
                let mut frame = FRAME;
                frame[position] ^= 1 << bit;
                assert_eq!(Advertisement::from_frame(&frame), None, "byte {position}");
            }
        }
        for (position, value) in [(21, 254), (20, 59), (14, 0x40), (12, 0x08)] {
            let mut frame = FRAME;
            frame[position] = value;
            assert_eq!(Advertisement::from_frame(&frame), None, "byte {position}");
        }
    }

    #[test]
    fn an_option_of_length_zero_ends_the_reading() {
        assert_eq!(link_address(TARGET_LINK_ADDRESS, &[2, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(link_address(TARGET_LINK_ADDRESS, &[2, 2, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(link_address(TARGET_LINK_ADDRESS, &[14]), None);
        let other_first = [14, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 0, 0, 0, 0, 0x2a];
        assert_eq!(link_address(TARGET_LINK_ADDRESS, &other_first), Some(Some(MAC)));
        assert_eq!(link_address(TARGET_LINK_ADDRESS, &[]), Some(None));
    }
}
