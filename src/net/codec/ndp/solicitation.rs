//! Neighbour solicitations (RFC 4861, 4.3), as far as they tell who asks for an address.

use std::net::Ipv6Addr;

use super::{FIXED, ONE_UNIT, checksum, decode_packet, encode_packet, link_address};
use crate::net::codec::ethernet;
use crate::net::codec::ethernet::Mac;

/// ICMPv6 type 135, code 0.
const SOLICITATION: [u8; 2] = [135, 0];
/// The option "source link-layer address".
const SOURCE_LINK_ADDRESS: u8 = 1;

/// A neighbour solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; unspecified if the asker wants the address itself (RFC 4862, 5.4.2).
    pub source: Ipv6Addr,
    /// The address that is asked for.
    pub target: Ipv6Addr,
}

/// The frame by which the host at `mac` asks who has `vip`, as in duplicate address detection
/// (RFC 4862, 5.4.2): nobody learns anything from it, and the answer is for all nodes. Meant for
/// those who have an address like it ([`solicited_node_mac`]), or for the one host at
/// `destination`.
pub fn probe(vip: Ipv6Addr, mac: Mac, destination: Mac) -> Vec<u8> {
    let solicitation = Solicitation { source: Ipv6Addr::UNSPECIFIED, target: vip };
    let message = solicitation.encode();
    let packet = encode_packet(solicitation.source, solicited_node(vip), &message);
    ethernet::encode(destination, mac, ethernet::IPV6, &packet)
}

/// The frame by which the host at `mac`, which has the address `from`, asks the one at `destination` whether it
/// is still there (RFC 4861, 7.3.3): a host that has the address `ip` answers, and one that wants it, and
/// looks for duplicates, takes no notice (RFC 4862, 5.4.3).
pub fn question(ip: Ipv6Addr, from: Ipv6Addr, mac: Mac, destination: Mac) -> Vec<u8> {
    let mut message = Solicitation { source: from, target: ip }.encode();
    message.extend([SOURCE_LINK_ADDRESS, ONE_UNIT]);
    message.extend(mac);
    ethernet::encode(destination, mac, ethernet::IPV6, &encode_packet(from, ip, &message))
}

/// The multicast address to which all listen that have this address (RFC 4291, 2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Where Ethernet sends what is for [`solicited_node`] (RFC 2464, 7).
pub fn solicited_node_mac(ip: Ipv6Addr) -> Mac {
    let [.., a, b, c] = ip.octets();
    [0x33, 0x33, 0xff, a, b, c]
}

impl Solicitation {
    /// Reads a received frame and checks all that RFC 4861, 7.1.1, asks of it.
    pub fn from_frame(frame: &[u8]) -> Option<Solicitation> {
        let packet = ethernet::payload(frame, ethernet::IPV6)?;
        let (source, destination, message) = decode_packet(packet)?;
        let fixed: &[u8; FIXED] = message.first_chunk()?;
        if fixed[..2] != SOLICITATION || checksum(source, destination, message) != 0 {
            return None;
        }
        let target = Ipv6Addr::from(*fixed[8..].first_chunk::<16>()?);
        let address = link_address(SOURCE_LINK_ADDRESS, &message[FIXED..])?;
        let nameless = destination == solicited_node(target) && address.is_none();
        let forged = target.is_multicast() || source.is_unspecified() && !nameless;
        (!forged).then_some(Solicitation { source, target })
    }

    /// The ICMPv6 message, with a checksum of 0.
    fn encode(&self) -> Vec<u8> {
        let mut message = SOLICITATION.to_vec();
        message.extend([0; 6]);
        message.extend(self.target.octets());
        message
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x2a];

    fn vip() -> Ipv6Addr {
        "fd00::12:3440".parse().unwrap()
    }

    /// The checksum by hand: ff02, 1, ff12, 3440 (destination), 18 (length), 3a (next header), 8700,
    /// fd00, 12 and 3440 make 3eaf9; folded, eafc; its complement is 1503.
    const FRAME: [u8; 78] = [
        0x33, 0x33, 0xff, 0x12, 0x34, 0x40, 0x02, 0, 0, 0, 0, 0x2a, 0x86, 0xdd, // Ethernet
        0x60, 0, 0, 0, 0, 24, 58, 255, // IPv6
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // source
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x12, 0x34, 0x40, // destination
        135, 0, 0x15, 0x03, 0, 0, 0, 0, // solicitation
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x40, // target
    ];

    /// A frame with these addresses and options, and a right checksum.
    fn frame(source: &str, destination: &str, target: &str, options: &[u8]) -> Vec<u8> {
        let solicitation =
            Solicitation { source: source.parse().unwrap(), target: target.parse().unwrap() };
        let message = [&solicitation.encode()[..], options].concat();
        let packet = encode_packet(solicitation.source, destination.parse().unwrap(), &message);
        ethernet::encode([0x33; 6], MAC, ethernet::IPV6, &packet)
    }

    #[test]
    fn a_probe_is_the_solicitation_of_duplicate_address_detection() {
        assert_eq!(probe(vip(), MAC, solicited_node_mac(vip())), FRAME);
        let one_host = probe(vip(), MAC, [0x02, 0, 0, 0, 0, 9]);
        assert_eq!(one_host[..6], [0x02, 0, 0, 0, 0, 9]);
        assert_eq!(one_host[6..], FRAME[6..]);
        let read = Solicitation { source: Ipv6Addr::UNSPECIFIED, target: vip() };
        assert_eq!(Solicitation::from_frame(&FRAME), Some(read));
    }

    #[test]
    fn an_independent_decoder_reads_a_probe() {
        let packet = SlicedPacket::from_ethernet(&FRAME).unwrap();
        let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else {
            panic!("no ICMPv6: {packet:?}");
        };
        let net = packet.net.as_ref().unwrap();
        let ipv6 = net.ipv6_ref().unwrap().header();
        assert!(icmp.is_checksum_valid(ipv6.source(), ipv6.destination()));
        assert_eq!((icmp.type_u8(), icmp.code_u8()), (135, 0));
        assert_eq!((ipv6.hop_limit(), ipv6.source_addr()), (255, Ipv6Addr::UNSPECIFIED));
        assert_eq!(ipv6.destination_addr(), solicited_node(vip()));
    }

    #[test]
    fn a_question_names_the_asker_by_both_addresses_and_is_for_one_host() {
        let from = "fe80::9".parse().unwrap();
        let there = [0x02, 0, 0, 0, 0, 9];
        let asked = question(vip(), from, MAC, there);
        let mut expected =
            frame("fe80::9", "fd00::12:3440", "fd00::12:3440", &[1, 1, 2, 0, 0, 0, 0, 0x2a]);
        expected[..6].copy_from_slice(&there);
        assert_eq!(asked, expected);
        let read = Solicitation { source: from, target: vip() };
        assert_eq!(Solicitation::from_frame(&asked), Some(read));
    }

    #[test]
    fn a_solicitation_for_the_sake_of_another_address_tells_the_asker() {
        let asked =
            frame("fe80::9", "ff02::1:ff12:3440", "fd00::12:3440", &[1, 1, 2, 0, 0, 0, 0, 9]);
        let read = Solicitation { source: "fe80::9".parse().unwrap(), target: vip() };
        assert_eq!(Solicitation::from_frame(&asked), Some(read));
    }

    #[test]
    fn a_nonce_does_not_hinder_the_reading() {
        // RFC 7527: what Linux sends.
        let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
        let detected = frame("::", "ff02::1:ff12:3440", "fd00::12:3440", &nonce);
        assert!(Solicitation::from_frame(&detected).is_some());
    }

    #[test]
    fn what_the_rules_forbid_is_not_read() {
        let forbidden = [
            frame("::", "ff02::1", "fd00::12:3440", &[]),
            frame("::", "ff02::1:ff12:3440", "fd00::12:3440", &[1, 1, 2, 0, 0, 0, 0, 9]),
            frame("fe80::9", "ff02::1:ff00:1", "ff02::1", &[]),
            frame("::", "ff02::1:ff12:3440", "fd00::12:3440", &[14, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for frame in forbidden {
            assert_eq!(Solicitation::from_frame(&frame), None, "{frame:x?}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_short_or_changed_is_not_read() {
        for end in 0..FRAME.len() {
            assert_eq!(Solicitation::from_frame(&FRAME[..end]), None, "cut at {end}");
        }
        // From the IPv6 addresses on, the checksum covers every bit.
        for position in 22..FRAME.len() {
            for bit in 0..8 {
                let mut frame = FRAME;
                frame[position] ^= 1 << bit;
                assert_eq!(Solicitation::from_frame(&frame), None, "byte {position}");
            }
        }
    }
}
