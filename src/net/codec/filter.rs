//! Which received frames wake the actuator up: programs for the kernel's packet filter (classic BPF,
//! Documentation/networking/filter.rst).
//!
//! Pure data. They let through what [`heard`](super::heard) understands, and drop in the kernel what
//! an interface receives all day: ordinary requests, ordinary traffic, what is for others, and the
//! questions of other agents whether this host is still there. All that is about addresses is let
//! through where that is [wanted](Filter::program).

use libc::sock_filter;

/// What one socket hears.
#[derive(Debug)]
pub(crate) struct Filter {
    usual: &'static [sock_filter],
    open: &'static [sock_filter],
}

/// Of frames with ARP.
pub(crate) const ARP: Filter = Filter { usual: &USUAL_ARP, open: &OPEN_ARP };
/// Of frames with IPv6.
pub(crate) const NDP: Filter = Filter { usual: &USUAL_NDP, open: &OPEN_NDP };

/// On so many interfaces at most everything is let through: a jump skips 255 instructions.
const MOST_OPEN: usize = 200;

impl Filter {
    /// The program that lets everything about addresses through on the interfaces with these indexes,
    /// and what is usual on the others.
    pub(crate) fn program(&self, open: &[u32]) -> Vec<sock_filter> {
        let open = &open[..open.len().min(MOST_OPEN)];
        let mut program = vec![load(WORD, INTERFACE)];
        for (place, index) in open.iter().enumerate() {
            let skipped = open.len() - place - 1 + self.usual.len();
            program.push(jump(EQUAL, *index, u8::try_from(skipped).unwrap_or(0), 0));
        }
        program.extend(self.usual);
        program.extend(self.open);
        program
    }
}

/// ARP replies, announcements (sender and target are one) and probes (the sender has no address) that
/// are for all.
const USUAL_ARP: [sock_filter; 14] = [
    load(WORD, FOR_WHOM),
    jump(GREATER, MULTICAST, 11, 0),
    load(HALF, 20), // operation
    jump(EQUAL, 2, 8, 0),
    jump(EQUAL, 1, 0, 8),
    load(WORD, 28), // sender's address
    jump(EQUAL, 0, 3, 0),
    instruction(COPY_TO_X, 0, 0, 0),
    load(WORD, 38), // target's address
    jump(EQUAL_TO_X, 0, 2, 3),
    load(WORD, 0), // destination
    jump(ANY_BIT, GROUP, 0, 1),
    ACCEPT,
    DROP,
];

/// Neighbour advertisements, and solicitations from the unspecified address that are for all.
const USUAL_NDP: [sock_filter; 19] = [
    load(WORD, FOR_WHOM),
    jump(GREATER, MULTICAST, 16, 0),
    load(HALF, 20), // next header and hop limit
    jump(EQUAL, 0x3aff, 0, 14),
    load(HALF, 54), // type and code
    jump(EQUAL, 0x8800, 11, 0),
    jump(EQUAL, 0x8700, 0, 11),
    load(WORD, 22), // source
    jump(EQUAL, 0, 0, 9),
    load(WORD, 26),
    jump(EQUAL, 0, 0, 7),
    load(WORD, 30),
    jump(EQUAL, 0, 0, 5),
    load(WORD, 34),
    jump(EQUAL, 0, 0, 3),
    load(WORD, 0), // destination
    jump(ANY_BIT, GROUP, 0, 1),
    ACCEPT,
    DROP,
];

/// All of ARP that is not for others.
const OPEN_ARP: [sock_filter; 4] =
    [load(WORD, FOR_WHOM), jump(GREATER, MULTICAST, 1, 0), ACCEPT, DROP];

/// The same of Neighbour Discovery: ICMPv6 of the types 133 to 137.
const OPEN_NDP: [sock_filter; 9] = [
    load(WORD, FOR_WHOM),
    jump(GREATER, MULTICAST, 6, 0),
    load(HALF, 20), // next header and hop limit
    jump(EQUAL, 0x3aff, 0, 4),
    load(HALF, 54), // type and code
    jump(GREATER, 0x84ff, 0, 2),
    jump(GREATER, 0x89ff, 1, 0),
    ACCEPT,
    DROP,
];

/// `SKF_AD_OFF + SKF_AD_IFINDEX`: where a filter finds the interface of a frame.
const INTERFACE: u32 = 0xffff_f008;
/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: where a filter finds for whom a frame is (packet(7)).
const FOR_WHOM: u32 = 0xffff_f004;
/// `PACKET_MULTICAST`. What is greater is for another host, or for a VLAN that has no interface here,
/// or was sent by this host.
const MULTICAST: u32 = 2;
/// In the first four bytes of a destination, the bit that all and groups have: I/G (IEEE 802).
const GROUP: u32 = 0x0100_0000;

/// Operation codes (`linux/bpf_common.h`): loads at an offset in the frame, which beyond its end drop
/// it, ...
const WORD: u16 = 0x20;
const HALF: u16 = 0x28;
/// ... comparisons of what was loaded with a number, with its bits, or with X, ...
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const EQUAL_TO_X: u16 = 0x1d;
const ANY_BIT: u16 = 0x45;
/// ... and the rest.
const COPY_TO_X: u16 = 0x07;
const RETURN: u16 = 0x06;

/// All of the frame.
const ACCEPT: sock_filter = instruction(RETURN, 0, 0, u32::MAX);
const DROP: sock_filter = instruction(RETURN, 0, 0, 0);

const fn load(size: u16, offset: u32) -> sock_filter {
    instruction(size, 0, 0, offset)
}

/// How many instructions are skipped if the comparison holds, and if not.
const fn jump(comparison: u16, number: u32, then: u8, otherwise: u8) -> sock_filter {
    instruction(comparison, then, otherwise, number)
}

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Runs the usual program as the kernel does.
#[cfg(any(test, fuzzing))]
pub(crate) fn accepts(filter: &Filter, for_whom: u32, frame: &[u8]) -> bool {
    runs(&filter.program(&[]), (for_whom, 1), frame)
}

/// Runs a program as the kernel does, as far as programs here go, for a frame that came for somebody on
/// an interface.
#[cfg(any(test, fuzzing))]
fn runs(program: &[sock_filter], (for_whom, interface): (u32, u32), frame: &[u8]) -> bool {
    let (mut position, mut a, mut x) = (0, 0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[position];
        let skip = |holds: bool| usize::from(if holds { jt } else { jf });
        position += 1;
        match code {
            WORD if k == FOR_WHOM => a = for_whom,
            WORD if k == INTERFACE => a = interface,
            WORD | HALF => {
                let length = if code == WORD { 4 } else { 2 };
                let Some(bytes) = frame.get(k as usize..k as usize + length) else {
                    return false;
                };
                a = bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            }
            EQUAL => position += skip(a == k),
            GREATER => position += skip(a > k),
            ANY_BIT => position += skip(a & k != 0),
            EQUAL_TO_X => position += skip(a == x),
            COPY_TO_X => x = a,
            RETURN => return k != 0,
            _ => panic!("unknown instruction {code:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::codec::ethernet::{BROADCAST, Mac};
    use crate::net::codec::heard::Heard;
    use crate::net::codec::{arp, ethernet, ndp};

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x2a];

    fn arp_frame(operation: arp::Operation, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let packet = arp::Packet {
            operation,
            sender_mac: MAC,
            sender_ip: sender.into(),
            target_mac: [0; 6],
            target_ip: target.into(),
        };
        ethernet::encode(BROADCAST, MAC, ethernet::ARP, &packet.encode())
    }

    #[test]
    fn what_is_understood_of_arp_is_let_through_and_nothing_else() {
        use arp::Operation::{Reply, Request};
        let frames = [
            (arp_frame(Reply, [10, 0, 0, 1], [10, 0, 0, 2]), true),
            (arp_frame(Reply, [10, 0, 0, 1], [10, 0, 0, 1]), true),
            (arp_frame(Request, [10, 0, 0, 1], [10, 0, 0, 1]), true),
            (arp_frame(Request, [0, 0, 0, 0], [10, 0, 0, 1]), true),
            (arp_frame(Request, [10, 0, 0, 1], [10, 0, 0, 2]), false),
            (arp_frame(Request, [10, 0, 0, 1], [0, 0, 0, 0]), false),
        ];
        for (frame, wanted) in frames {
            assert_eq!(accepts(&ARP, 1, &frame), wanted, "{frame:x?}");
            assert_eq!(Heard::from_frame(&frame).is_some(), wanted, "{frame:x?}");
        }
    }

    #[test]
    fn what_is_understood_of_ndp_is_let_through_and_nothing_else() {
        let vip = "fd00::1".parse().unwrap();
        let announcement = ndp::announcement(vip, MAC, false);
        let probe = ndp::probe(vip, MAC, ndp::solicited_node_mac(vip));
        for frame in [&announcement, &probe] {
            assert!(accepts(&NDP, 2, frame), "{frame:x?}");
            assert!(Heard::from_frame(frame).is_some(), "{frame:x?}");
        }
        // Each byte of the source; hop limit, next header, type and code.
        for position in (22..38).chain([20, 21, 54, 55]) {
            let mut frame = probe.clone();
            frame[position] ^= 0x40;
            assert!(!accepts(&NDP, 2, &frame), "byte {position}");
        }
        let mut from_somebody = announcement.clone();
        from_somebody[54] = 135;
        assert!(!accepts(&NDP, 2, &from_somebody));
    }

    #[test]
    fn a_question_to_this_host_alone_is_dropped_and_an_answer_is_not() {
        let vip = "fd00::1".parse().unwrap();
        let arp = arp::probe([10, 0, 0, 1].into(), MAC, MAC);
        let ndp = ndp::probe(vip, MAC, MAC);
        for (program, frame) in [(&ARP, arp), (&NDP, ndp)] {
            assert!(!accepts(program, 0, &frame), "{frame:x?}");
            assert_eq!(Heard::from_frame(&frame), None);
        }
        let mut reply = arp_frame(arp::Operation::Reply, [10, 0, 0, 1], [10, 0, 0, 2]);
        reply[..6].copy_from_slice(&MAC);
        assert!(accepts(&ARP, 0, &reply));
        assert!(Heard::from_frame(&reply).is_some());
    }

    #[test]
    fn where_the_ear_is_open_all_about_addresses_is_let_through() {
        let vip = "fd00::1".parse().unwrap();
        let ordinary = arp_frame(arp::Operation::Request, [10, 0, 0, 1], [10, 0, 0, 2]);
        let to_one = arp::probe([10, 0, 0, 1].into(), MAC, MAC);
        let solicitation = ndp::probe(vip, MAC, MAC);
        let frames = [(&ARP, ordinary), (&ARP, to_one), (&NDP, solicitation)];
        for (filter, frame) in frames {
            for open in [&[7, 3][..], &[3], &[3, 7, 8]] {
                let program = filter.program(open);
                for (for_whom, interface) in [(0, 3), (1, 3), (2, 3)] {
                    assert!(runs(&program, (for_whom, interface), &frame), "{frame:x?}");
                }
                for elsewhere in [(3, 3), (4, 3), (0, 4)] {
                    assert!(!runs(&program, elsewhere, &frame), "{frame:x?}");
                }
            }
        }
        // Whatever else there is of ICMPv6, and not with the hop limit of the segment.
        let open = NDP.program(&[3]);
        for (position, value) in [(54, 132), (54, 138), (54, 1), (21, 64), (20, 6)] {
            let mut frame = ndp::probe(vip, MAC, MAC);
            frame[position] = value;
            assert!(!runs(&open, (0, 3), &frame), "{value} at {position}");
        }
        for kind in 133..138 {
            let mut frame = ndp::probe(vip, MAC, MAC);
            frame[54] = kind;
            assert!(runs(&open, (0, 3), &frame), "type {kind}");
        }
    }

    #[test]
    fn so_many_ears_can_be_open_that_no_jump_is_too_far() {
        let ordinary = arp_frame(arp::Operation::Request, [10, 0, 0, 1], [10, 0, 0, 2]);
        let indexes: Vec<u32> = (1..=1000).collect();
        let program = ARP.program(&indexes);
        let heard = indexes.iter().filter(|index| runs(&program, (1, **index), &ordinary));
        assert_eq!(heard.count(), MOST_OPEN);
        assert!(NDP.program(&indexes).len() < 256);
    }

    #[test]
    fn what_is_for_others_or_cut_short_is_dropped() {
        let vip = "fd00::1".parse().unwrap();
        let reply = arp_frame(arp::Operation::Reply, [10, 0, 0, 1], [10, 0, 0, 2]);
        let advertisement = ndp::announcement(vip, MAC, false);
        for (program, frame) in [(&ARP, reply), (&NDP, advertisement)] {
            // For this host, for all, for a group; for another host, sent by this host, looped back.
            let accepted = (0..6).map(|for_whom| accepts(program, for_whom, &frame));
            assert!(accepted.eq([true, true, true, false, false, false]));
            for end in 0..22 {
                assert!(!accepts(program, 1, &frame[..end]), "cut at {end}");
            }
        }
    }
}
