//! Puts questions about addresses on the wire.
//!
//! Owns a packet socket; lives on the actuator's thread. Sending never blocks: a question that the
//! interface cannot take is lost, as one may be on the wire. The answers come in through the listener.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use nix::errno::Errno;

use crate::net::codec::ethernet::{BROADCAST, Mac};
use crate::net::codec::heard::Heard;
use crate::net::codec::rtnetlink::Neighbour;
use crate::net::codec::{arp, ethernet, ndp};
use crate::net::error::words;
use crate::net::sys::PacketSocket;
use crate::vip::Cidr;

/// From where it is asked about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProbeSource {
    /// The interface's index.
    pub(crate) index: u32,
    /// Its hardware address; none where nobody resolves addresses, and so nobody answers.
    pub(crate) mac: Option<Mac>,
}

/// A neighbour that can be asked whether it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    /// The neighbour, with an address of its own.
    pub(crate) neighbour: Neighbour,
    /// From which address it is asked, one of the same family.
    pub(crate) from: IpAddr,
}

/// Sends questions.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: PacketSocket,
    /// The last question could not be sent.
    failing: bool,
}

impl Asker {
    /// One that has asked nothing yet.
    pub(crate) fn new(socket: PacketSocket) -> Asker {
        Asker { socket, failing: false }
    }

    /// Asks one host whether it has an address, or all hosts; whether the question has left.
    pub(crate) fn ask(&mut self, cidr: Cidr, source: ProbeSource, whom: Option<Mac>) -> bool {
        let Some(mac) = source.mac else {
            return false;
        };
        let sent = self.send(cidr.addr(), source.index, mac, whom);
        self.has_left(sent, format_args!("who has {cidr}"))
    }

    /// Asks a neighbour for its own address, only to hear it; whether the question has left. It must not look
    /// like duplicate address detection, as [`Asker::ask`] does: a neighbour that boots would give its address up.
    pub(crate) fn ask_neighbour(&mut self, reference: &Reference, source: ProbeSource) -> bool {
        let Some(mac) = source.mac else {
            return false;
        };
        let Reference { neighbour: Neighbour { ip, mac: whom, .. }, from } = *reference;
        let (protocol, frame) = match (ip, from) {
            (IpAddr::V4(ip), IpAddr::V4(from)) => {
                (ethernet::ARP, arp::question(ip, from, mac, whom))
            }
            (IpAddr::V6(ip), IpAddr::V6(from)) => {
                (ethernet::IPV6, ndp::question(ip, from, mac, whom))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let sent = self.socket.send(source.index, protocol, &frame);
        self.has_left(sent, format_args!("who has {}", Cidr::single(ip)))
    }

    /// Asks all hosts for an address, only to hear somebody, or answers one that has asked so; whether
    /// that has left.
    pub(crate) fn ask_for_a_sign(
        &mut self,
        ip: Ipv4Addr,
        source: ProbeSource,
        whom: Option<Mac>,
    ) -> bool {
        let Some(mac) = source.mac else {
            return false;
        };
        let question = arp::sign_question(ip, mac, whom.unwrap_or(BROADCAST));
        let sent = self.socket.send(source.index, ethernet::ARP, &question);
        self.has_left(sent, format_args!("whether anybody is there"))
    }

    fn has_left(&mut self, sent: Result<(), Errno>, question: fmt::Arguments<'_>) -> bool {
        let failed_before = std::mem::replace(&mut self.failing, sent.is_err());
        match sent {
            Ok(()) => log::debug!("asked {question}"),
            Err(errno) if !failed_before => log::warn!("ask {question}: {}", words(errno)),
            Err(_) => {}
        }
        sent.is_ok()
    }

    /// Announces an address for the machine that was heard to have it. A switch learns nothing from that: the
    /// frames come from this host. A router stays one: clients would drop their routes by it.
    pub(crate) fn announce_for(&self, cidr: Cidr, owner: &Heard, source: ProbeSource) {
        let Some(mac) = source.mac else { return };
        let (protocol, frames) = match cidr.addr() {
            IpAddr::V4(ip) => (ethernet::ARP, arp::announcement(ip, owner.mac).to_vec()),
            IpAddr::V6(ip) => {
                (ethernet::IPV6, vec![ndp::announcement(ip, owner.mac, owner.router)])
            }
        };
        for mut frame in frames {
            frame[ethernet::SOURCE].copy_from_slice(&mac);
            // A frame that is lost here may be lost on the way, too.
            let _ = self.socket.send(source.index, protocol, &frame);
        }
        log::debug!("{cidr} announced for its owner");
    }

    fn send(&self, ip: IpAddr, index: u32, mac: Mac, whom: Option<Mac>) -> Result<(), Errno> {
        match ip {
            IpAddr::V4(ip) => {
                let frame = arp::probe(ip, mac, whom.unwrap_or(BROADCAST));
                self.socket.send(index, ethernet::ARP, &frame)
            }
            IpAddr::V6(ip) => {
                let frame = ndp::probe(ip, mac, whom.unwrap_or(ndp::solicited_node_mac(ip)));
                self.socket.send(index, ethernet::IPV6, &frame)
            }
        }
    }
}
