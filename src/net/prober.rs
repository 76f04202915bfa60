//! Asks the wire who has an address.
//!
//! Owns the packet socket for the questions, their schedule, and memberships of the groups in which
//! others ask; lives on the actuator's thread.
//! Sending never blocks: a question that the interface cannot take is lost, as one may be on the
//! wire. The answers come in through the listener.

use std::net::IpAddr;
use std::time::Instant;

use nix::errno::Errno;

use super::ethernet::{self, BROADCAST, Mac};
use super::groups::Groups;
use super::heard::Says;
use super::probes::Probes;
use super::route::words;
use super::sys::PacketSocket;
use super::{Wire, arp, ndp};
use crate::vip::Cidr;

/// How many addresses are asked about before other work has its turn.
const MAX_AT_ONCE: u32 = 32;

/// From where it is asked about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vantage {
    /// The interface's index.
    pub(super) index: u32,
    /// Its hardware address; none where nobody resolves addresses, and so nobody answers.
    pub(super) mac: Option<Mac>,
}

/// Sends questions.
#[derive(Debug)]
pub(super) struct Prober {
    socket: PacketSocket,
    probes: Probes,
    groups: Groups,
    /// The last question could not be sent.
    failing: bool,
}

impl Prober {
    /// A prober that has nothing to ask yet.
    pub(super) fn new(socket: PacketSocket) -> Prober {
        Prober { socket, probes: Probes::new(), groups: Groups::default(), failing: false }
    }

    /// Asks about an address from now on.
    pub(super) fn start(&mut self, cidr: Cidr, now: Instant) {
        self.probes.start(cidr, now);
    }

    /// Asks about an address no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        self.probes.stop(cidr);
        self.groups.leave(cidr);
    }

    /// Starts afresh, if it is asked about that address: its neighbours may be others.
    pub(super) fn restart(&mut self, cidr: Cidr, now: Instant) {
        self.probes.restart(cidr, now);
    }

    /// Starts afresh with all addresses about which it is asked.
    pub(super) fn restart_all(&mut self, now: Instant) {
        self.probes.restart_all(now);
    }

    /// Takes note of what another host says; what that tells of the address, if it is new.
    pub(super) fn heard(
        &mut self,
        cidr: Cidr,
        says: Says,
        precedes: bool,
        now: Instant,
    ) -> Option<Wire> {
        self.probes.heard(cidr, says, precedes, now)
    }

    /// The addresses of which nothing was heard. All that has come must have been heard, the last of
    /// it at `now`. Without a `vantage`, nobody can be heard.
    pub(super) fn take_silent(
        &mut self,
        now: Instant,
        vantage: impl Fn(Cidr) -> Option<Vantage>,
    ) -> Vec<Cidr> {
        let mut silent = Vec::new();
        while let Some(cidr) = self.probes.pop_silent(now) {
            match vantage(cidr) {
                Some(_) => silent.push(cidr),
                None => self.probes.suspend(cidr, now),
            }
        }
        silent
    }

    /// Asks what is due. Just before each question `vantage` is asked.
    pub(super) fn ask_due(&mut self, vantage: impl Fn(Cidr) -> Option<Vantage>) {
        let now = Instant::now();
        for _ in 0..MAX_AT_ONCE {
            let Some(cidr) = self.probes.pop(now) else {
                break;
            };
            match vantage(cidr) {
                Some(vantage) => self.ask(cidr, vantage),
                None => self.probes.suspend(cidr, now),
            }
        }
    }

    /// When `take_silent` or `ask_due` will have something to do.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.probes.next_due(now)
    }

    fn ask(&mut self, cidr: Cidr, vantage: Vantage) {
        let Some(mac) = vantage.mac else {
            return;
        };
        self.groups.join(cidr, vantage.index);
        let sent = self.send(cidr.addr(), vantage.index, mac);
        let failed_before = std::mem::replace(&mut self.failing, sent.is_err());
        match sent {
            Ok(()) => log::debug!("asked who has {cidr}"),
            Err(errno) if !failed_before => log::warn!("ask who has {cidr}: {}", words(errno)),
            Err(_) => {}
        }
    }

    fn send(&self, ip: IpAddr, index: u32, mac: Mac) -> Result<(), Errno> {
        match ip {
            IpAddr::V4(ip) => {
                self.socket.send(index, ethernet::ARP, &arp::probe(ip, mac, BROADCAST))
            }
            IpAddr::V6(ip) => {
                let frame = ndp::probe(ip, mac, ndp::solicited_node_mac(ip));
                self.socket.send(index, ethernet::IPV6, &frame)
            }
        }
    }
}
