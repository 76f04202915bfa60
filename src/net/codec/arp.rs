//! ARP for IPv4 over Ethernet (RFC 826): the announcements of an owner, and the question whether there
//! is one (RFC 5227).
//!
//! A pure codec: reading never panics. Public for the fuzzer and for nobody else.

use std::net::Ipv4Addr;

use super::ethernet;
use super::ethernet::{BROADCAST, Mac};

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// The length of a packet with these addresses.
const LENGTH: usize = 28;

/// What an ARP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `ares_op$REQUEST`
    Request,
    /// `ares_op$REPLY`
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// Who says that he has `sender_ip`.
    pub sender_mac: Mac,
    /// The address that he says he has; unspecified in a probe (RFC 5227, 2.1.1).
    pub sender_ip: Ipv4Addr,
    /// Whom a reply is for; of no meaning in a request.
    pub target_mac: Mac,
    /// The address asked for, or the one of the asker.
    pub target_ip: Ipv4Addr,
}

/// The two frames that tell all neighbours that `vip` is at `mac`.
///
/// Both forms, because some stacks learn only from requests and some only from replies. In both,
/// sender and target are the VIP (RFC 5227, 2.3), so that nobody answers.
pub fn announcement(vip: Ipv4Addr, mac: Mac) -> [Vec<u8>; 2] {
    let request = Packet {
        operation: Operation::Request,
        sender_mac: mac,
        sender_ip: vip,
        target_mac: [0; 6],
        target_ip: vip,
    };
    let reply = Packet { operation: Operation::Reply, target_mac: mac, ..request };
    [request, reply].map(|packet| ethernet::encode(BROADCAST, mac, ethernet::ARP, &packet.encode()))
}

/// The frame by which the host at `mac` asks who has `vip`: a probe (RFC 5227, 2.1.1), from which
/// nobody learns anything. Meant for everybody, or for the one host at `destination`.
pub fn probe(vip: Ipv4Addr, mac: Mac, destination: Mac) -> Vec<u8> {
    question(vip, Ipv4Addr::UNSPECIFIED, mac, destination)
}

/// An ordinary request: the host at `mac` that has the address `from` asks the one at `destination` for `ip`.
pub fn question(ip: Ipv4Addr, from: Ipv4Addr, mac: Mac, destination: Mac) -> Vec<u8> {
    let question = Packet {
        operation: Operation::Request,
        sender_mac: mac,
        sender_ip: from,
        target_mac: [0; 6],
        target_ip: ip,
    };
    ethernet::encode(destination, mac, ethernet::ARP, &question.encode())
}

/// The same, if it is asked only to hear anybody: whoever sends it neither wants the address nor misses
/// its owner. The target's hardware address, which nobody reads in a request, tells so. An agent that
/// hears that answers with the same, for the one host at `destination`.
pub fn sign_question(ip: Ipv4Addr, mac: Mac, destination: Mac) -> Vec<u8> {
    let question = Packet {
        operation: Operation::Request,
        sender_mac: mac,
        sender_ip: Ipv4Addr::UNSPECIFIED,
        target_mac: mac,
        target_ip: ip,
    };
    ethernet::encode(destination, mac, ethernet::ARP, &question.encode())
}

impl Packet {
    /// The packet as RFC 826 lays it out.
    pub fn encode(&self) -> [u8; LENGTH] {
        let operation: u8 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let mut bytes = [0; LENGTH];
        bytes[..6].copy_from_slice(&ETHERNET_IPV4);
        bytes[7] = operation;
        bytes[8..14].copy_from_slice(&self.sender_mac);
        bytes[14..18].copy_from_slice(&self.sender_ip.octets());
        bytes[18..24].copy_from_slice(&self.target_mac);
        bytes[24..].copy_from_slice(&self.target_ip.octets());
        bytes
    }

    /// Reads what follows the Ethernet header; padding behind the packet is ignored.
    pub fn decode(bytes: &[u8]) -> Option<Packet> {
        let bytes: &[u8; LENGTH] = bytes.first_chunk()?;
        let rest = bytes.strip_prefix(&ETHERNET_IPV4)?;
        let operation = match rest.first_chunk()? {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return None,
        };
        Some(Packet {
            operation,
            sender_mac: *bytes[8..].first_chunk()?,
            sender_ip: Ipv4Addr::from(*bytes[14..].first_chunk::<4>()?),
            target_mac: *bytes[18..].first_chunk()?,
            target_ip: Ipv4Addr::from(*bytes[24..].first_chunk::<4>()?),
        })
    }

    /// Reads a received frame.
    pub fn from_frame(frame: &[u8]) -> Option<Packet> {
        Packet::decode(ethernet::payload(frame, ethernet::ARP)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 40);
    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x2a];

    const REQUEST: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x2a, 0x08, 0x06, // Ethernet
        0, 1, 0x08, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
        0x02, 0, 0, 0, 0, 0x2a, 10, 20, 30, 40, // sender
        0, 0, 0, 0, 0, 0, 10, 20, 30, 40, // target
    ];
    const REPLY: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x2a, 0x08, 0x06, // Ethernet
        0, 1, 0x08, 0, 6, 4, 0, 2, // Ethernet, IPv4, reply
        0x02, 0, 0, 0, 0, 0x2a, 10, 20, 30, 40, // sender
        0x02, 0, 0, 0, 0, 0x2a, 10, 20, 30, 40, // target
    ];

    #[test]
    fn an_announcement_is_a_request_and_a_reply_for_everybody() {
        assert_eq!(announcement(VIP, MAC), [REQUEST.to_vec(), REPLY.to_vec()]);
    }

    const PROBE: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x2a, 0x08, 0x06, // Ethernet
        0, 1, 0x08, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
        0x02, 0, 0, 0, 0, 0x2a, 0, 0, 0, 0, // sender
        0, 0, 0, 0, 0, 0, 10, 20, 30, 40, // target
    ];

    #[test]
    fn a_probe_asks_for_an_address_and_names_none_of_the_askers() {
        assert_eq!(probe(VIP, MAC, BROADCAST), PROBE);
        let one_host = probe(VIP, MAC, [0x02, 0, 0, 0, 0, 9]);
        assert_eq!(one_host[..6], [0x02, 0, 0, 0, 0, 9]);
        assert_eq!(one_host[6..], PROBE[6..]);
        let read = Packet::from_frame(&PROBE).unwrap();
        assert_eq!((read.operation, read.sender_mac), (Operation::Request, MAC));
        assert_eq!((read.sender_ip, read.target_ip), (Ipv4Addr::UNSPECIFIED, VIP));
        assert_eq!(ethernet::source(&PROBE), Some(MAC));
    }

    #[test]
    fn a_question_for_a_sign_is_a_probe_but_for_what_nobody_reads() {
        let question = sign_question(VIP, MAC, BROADCAST);
        assert_eq!(question[32..38], MAC);
        assert_eq!((&question[..32], &question[38..]), (&PROBE[..32], &PROBE[38..]));
    }

    #[test]
    fn what_was_announced_is_read_back_padded_or_not() {
        let request = Packet::from_frame(&REQUEST).unwrap();
        assert_eq!(request.operation, Operation::Request);
        assert_eq!((request.sender_mac, request.sender_ip), (MAC, VIP));
        assert_eq!((request.target_mac, request.target_ip), ([0; 6], VIP));
        let reply = Packet::from_frame(&[&REPLY[..], &[0; 18]].concat()).unwrap();
        assert_eq!(reply, Packet { operation: Operation::Reply, target_mac: MAC, ..request });
    }

    #[test]
    fn what_is_not_arp_for_ipv4_over_ethernet_is_not_read() {
        for end in 0..REQUEST.len() {
            assert_eq!(Packet::from_frame(&REQUEST[..end]), None, "cut at {end}");
        }
        for position in 12..22 {
            let mut frame = REQUEST;
            frame[position] ^= 0x80;
            assert_eq!(Packet::from_frame(&frame), None, "byte {position}");
        }
    }
}
