//! Frames of neighbours.

use std::net::Ipv6Addr;

use crate::net::codec::arp::Packet;
use crate::net::codec::ethernet::{BROADCAST, Mac};
use crate::net::codec::heard::Heard;
use crate::net::codec::ndp::{Advertisement, Solicitation};
use crate::net::codec::{arp, ethernet, filter, ndp};

/// A neighbour, or a group of them, by both addresses.
type Node = (Mac, Ipv6Addr);
/// All nodes of the link (RFC 4291, 2.7.1; RFC 2464, 7).
const ALL_NODES: Node = ([0x33, 0x33, 0, 0, 0, 1], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
/// One node.
const NODE: Node = ([2; 6], Ipv6Addr::LOCALHOST);
/// The length of the Ethernet header.
const ETHERNET: usize = 14;
/// `PACKET_HOST`, `PACKET_BROADCAST`, `PACKET_MULTICAST` (packet(7)), and what is greater.
const FOR_US: [u32; 3] = [0, 1, 2];
const FOR_OTHERS: u32 = 3;

/// A frame that says what one of ours could say is read as that again when it is written anew. What
/// is understood of it is let through by the kernel's filter.
pub fn frame(frame: &[u8]) {
    // No mutation hits upon the right checksum.
    for frame in [frame.to_vec(), sealed(frame.to_vec())] {
        if let Some(packet) = Packet::from_frame(&frame) {
            assert_eq!(packet.encode(), frame[ETHERNET..][..packet.encode().len()]);
            check_packet(&packet);
        }
        if let Some(advertisement) = Advertisement::from_frame(&frame) {
            check_advertisement(&advertisement);
        }
        if let Some(solicitation) = Solicitation::from_frame(&frame) {
            check_solicitation(&solicitation);
        }
        if let Some(heard) = Heard::from_frame(&frame) {
            check_heard(&heard, &frame);
        }
    }
}

fn check_packet(packet: &Packet) {
    let sender = packet.sender_mac;
    let frame = ethernet::encode(BROADCAST, sender, ethernet::ARP, &packet.encode());
    assert_eq!(Packet::from_frame(&frame), Some(*packet));
    for frame in arp::announcement(packet.sender_ip, sender) {
        let announced = Packet::from_frame(&frame).map(|read| (read.sender_ip, read.sender_mac));
        assert_eq!(announced, Some((packet.sender_ip, sender)));
    }
    let probe = Packet::from_frame(&arp::probe(packet.target_ip, sender, BROADCAST));
    let asked = probe.map(|probe| (probe.target_ip, probe.sender_ip.is_unspecified()));
    assert_eq!(asked, Some((packet.target_ip, true)));
}

fn check_advertisement(advertisement: &Advertisement) {
    assert!(!advertisement.target.is_multicast());
    let frame = ndp_frame(&advertisement_message(advertisement), NODE, NODE);
    assert_eq!(Advertisement::from_frame(&frame), Some(*advertisement));
    for end in 0..frame.len() {
        assert_eq!(Advertisement::from_frame(&frame[..end]), None, "cut at {end}");
    }
    if let Some(mac) = advertisement.link_address {
        let unsolicited = Advertisement { solicited: false, overrides: true, ..*advertisement };
        let target = advertisement.target;
        let frame = ndp_frame(&advertisement_message(&unsolicited), (mac, target), ALL_NODES);
        assert_eq!(ndp::announcement(target, mac, advertisement.router), frame);
    }
}

fn check_solicitation(solicitation: &Solicitation) {
    let target = solicitation.target;
    assert!(!target.is_multicast());
    let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &target.octets()[..]].concat();
    let [.., a, b, c] = target.octets();
    let group = u128::from_be_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    let group = ([0x33, 0x33, 0xff, a, b, c], Ipv6Addr::from_bits(group));
    let frame = ndp_frame(&message, (NODE.0, solicitation.source), group);
    assert_eq!(Solicitation::from_frame(&frame), Some(*solicitation));
    let probe = ndp_frame(&message, (NODE.0, Ipv6Addr::UNSPECIFIED), group);
    assert_eq!(ndp::probe(target, NODE.0, ndp::solicited_node_mac(target)), probe);
}

fn check_heard(heard: &Heard, frame: &[u8]) {
    assert_eq!(heard.source, frame[6..12]);
    assert_eq!(Heard::from_frame(&[frame, &[0; 18]].concat()).as_ref(), Some(heard), "padded");
    let program = if heard.ip.is_ipv4() { &filter::ARP } else { &filter::NDP };
    assert!(FOR_US.iter().all(|whom| filter::accepts(program, *whom, frame)), "{heard:?}");
    assert!(!filter::accepts(program, FOR_OTHERS, frame), "{heard:?}");
}

/// The message of an advertisement, without its checksum.
fn advertisement_message(advertisement: &Advertisement) -> Vec<u8> {
    let flags = [advertisement.router, advertisement.solicited, advertisement.overrides];
    let flags = flags.iter().fold(0, |flags, set| flags << 1 | u8::from(*set)) << 5;
    let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
    message.extend(advertisement.target.octets());
    if let Some(mac) = advertisement.link_address {
        message.extend([&[2, 1], &mac[..]].concat());
    }
    message
}

/// A frame with a message, written without the code that is tested.
fn ndp_frame(message: &[u8], from: Node, to: Node) -> Vec<u8> {
    let length = u8::try_from(message.len()).expect("an address or two and a few numbers");
    let mut packet = vec![0x60, 0, 0, 0, 0, length, 58, 255];
    packet.extend([from.1.octets(), to.1.octets()].concat());
    packet.extend(message);
    sealed([&to.0, &from.0, &[0x86, 0xdd][..], &packet].concat())
}

/// A frame with the checksum that it should have, if it is long enough to have one.
fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    let Some((header, packet)) = frame.split_first_chunk_mut::<{ ETHERNET + 40 }>() else {
        return frame;
    };
    let length = usize::from(u16::from_be_bytes([header[18], header[19]]));
    let Some(message) = packet.get_mut(..length).filter(|message| message.len() >= 4) else {
        return frame;
    };
    message[2..4].fill(0);
    // The addresses, the length, the next header, and the message.
    let summed = [&header[22..], &[0, 0], &header[18..20], &[0, 0, 0, 58], message].concat();
    // RFC 1071: a sum in ones' complement is the remainder by 2^16 - 1, which stands for 0 itself.
    let weighed = |(at, byte): (usize, &u8)| u32::from(*byte) << (8 * (1 - at % 2));
    let sum = summed.iter().enumerate().map(weighed).sum::<u32>();
    let sum = u16::try_from((sum - 1) % 0xffff + 1).expect("a remainder");
    message[2..4].copy_from_slice(&(!sum).to_be_bytes());
    frame
}
