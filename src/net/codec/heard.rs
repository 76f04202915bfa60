//! What a received frame says of an address.
//!
//! Pure: reading never panics.

use std::net::IpAddr;

use super::arp::Operation;
use super::ethernet::Mac;
use super::ndp::{Advertisement, Solicitation};
use super::{arp, ethernet};

/// What somebody says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The address.
    pub(crate) ip: IpAddr,
    /// Whether somebody claims it or probes for it.
    pub(crate) kind: Kind,
    /// Who says it, by his own account.
    pub(crate) mac: Mac,
    /// Who sent the frame, which may be somebody who speaks for others.
    pub(crate) source: Mac,
    /// Who claims the address is a router, by an advertisement.
    pub(crate) router: bool,
}

/// The kinds of messages, in the words of RFC 5227.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// "I have it": an announcement, or an answer.
    Claim,
    /// "Does anybody have it? I want it."
    Probe,
    /// "Is anybody there?" Of the address it says nothing.
    Sign,
}

impl Heard {
    /// Reads a frame; none if it says nothing of this kind.
    pub(crate) fn from_frame(frame: &[u8]) -> Option<Heard> {
        let source = ethernet::source(frame)?;
        let heard = |ip, kind, mac| Heard { ip, kind, mac, source, router: false };
        // A question to one host is from another that monitors it, and knows that it has the address.
        let is_for_all = ethernet::is_for_many(frame);
        if let Some(packet) = arp::Packet::from_frame(frame) {
            let (ip, kind) = arp_kind(&packet)?;
            let counts = kind == Kind::Claim || is_for_all;
            counts.then(|| heard(ip, kind, packet.sender_mac))
        } else if let Some(advertisement) = Advertisement::from_frame(frame) {
            let mac = advertisement.link_address.unwrap_or(source);
            let heard = heard(advertisement.target.into(), Kind::Claim, mac);
            Some(Heard { router: advertisement.router, ..heard })
        } else {
            let solicitation = Solicitation::from_frame(frame)?;
            let wants = solicitation.source.is_unspecified() && is_for_all;
            wants.then(|| heard(solicitation.target.into(), Kind::Probe, source))
        }
    }
}

/// An ordinary request says that its sender has an address too, but it is sent far too often.
fn arp_kind(packet: &arp::Packet) -> Option<(IpAddr, Kind)> {
    let (sender, target) = (packet.sender_ip, packet.target_ip);
    let wants_a_sign = packet.target_mac == packet.sender_mac;
    match packet.operation {
        Operation::Request if sender.is_unspecified() => {
            Some((target.into(), if wants_a_sign { Kind::Sign } else { Kind::Probe }))
        }
        Operation::Request if sender != target => None,
        Operation::Request | Operation::Reply => Some((sender.into(), Kind::Claim)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::net::codec::{arp, ndp};

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x2a];

    fn heard(ip: &str, kind: Kind) -> Option<Heard> {
        Some(Heard { ip: ip.parse().unwrap(), kind, mac: MAC, source: MAC, router: false })
    }

    #[test]
    fn an_owner_says_that_he_has_an_address() {
        for frame in arp::announcement(Ipv4Addr::new(10, 0, 0, 1), MAC) {
            assert_eq!(Heard::from_frame(&frame), heard("10.0.0.1", Kind::Claim));
        }
        let frame = ndp::announcement("fd00::1".parse().unwrap(), MAC, false);
        assert_eq!(Heard::from_frame(&frame), heard("fd00::1", Kind::Claim));
    }

    #[test]
    fn a_probe_says_that_somebody_wants_an_address() {
        let probe = arp::probe(Ipv4Addr::new(10, 0, 0, 1), MAC, ethernet::BROADCAST);
        assert_eq!(Heard::from_frame(&probe), heard("10.0.0.1", Kind::Probe));
        let probe = ndp::probe("fd00::1".parse().unwrap(), MAC, [0x33; 6]);
        assert_eq!(Heard::from_frame(&probe), heard("fd00::1", Kind::Probe));
    }

    #[test]
    fn a_question_to_one_host_says_nothing() {
        let probe = arp::probe(Ipv4Addr::new(10, 0, 0, 1), MAC, [2; 6]);
        assert_eq!(Heard::from_frame(&probe), None);
        let probe = ndp::probe("fd00::1".parse().unwrap(), MAC, [2; 6]);
        assert_eq!(Heard::from_frame(&probe), None);
    }

    #[test]
    fn a_question_for_a_sign_is_told_from_a_probe_and_its_answer_says_nothing() {
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        let question = arp::sign_question(ip, MAC, ethernet::BROADCAST);
        assert_eq!(Heard::from_frame(&question), heard("10.0.0.1", Kind::Sign));
        assert_eq!(Heard::from_frame(&arp::sign_question(ip, MAC, [2; 6])), None);
    }

    #[test]
    fn who_speaks_for_another_is_told_from_him() {
        let [_, mut reply] = arp::announcement(Ipv4Addr::new(10, 0, 0, 1), MAC);
        reply[6..12].copy_from_slice(&[9; 6]);
        let heard = Heard::from_frame(&reply).unwrap();
        assert_eq!((heard.mac, heard.source), (MAC, [9; 6]));
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_read_without_panic() {
        let [request, reply] = arp::announcement(Ipv4Addr::new(10, 0, 0, 1), MAC);
        let vip = "fd00::1".parse().unwrap();
        let frames = [request, reply, ndp::announcement(vip, MAC, true), ndp::probe(vip, MAC, MAC)];
        for frame in frames {
            for end in 0..frame.len() {
                assert_eq!(Heard::from_frame(&frame[..end]), None, "cut at {end}");
            }
            for position in 0..frame.len() {
                let mut frame = frame.clone();
                for value in 0..=u8::MAX {
                    frame[position] = value;
                    Heard::from_frame(&frame);
                }
            }
        }
    }
}
