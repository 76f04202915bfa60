//! Puts announcements on the wire when their time has come.
//!
//! Owns the packet socket and the queue; lives on the actuator's thread. Sending never blocks: a
//! frame that the interface cannot take is lost, and the next announcement of the schedule is the
//! retry.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::time::Instant;

use nix::errno::Errno;

use super::ethernet::{self, Mac};
use super::queue::{Announcement, Cause, Form, Queue};
use super::route::words;
use super::schedule::{Extent, Schedule};
use super::sys::PacketSocket;
use super::{arp, ndp};
use crate::vip::Cidr;

/// How many announcements are made before other work has its turn: below a millisecond's worth.
const MAX_AT_ONCE: u32 = 64;

/// From where an address is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The interface's name, for the log.
    pub(super) interface: String,
    /// Its index.
    pub(super) index: u32,
    /// Its hardware address.
    pub(super) mac: Mac,
    /// This host routes IPv6 packets that arrive there.
    pub(super) router: bool,
}

/// Sends announcements.
#[derive(Debug)]
pub(super) struct Announcer {
    socket: PacketSocket,
    queue: Queue,
    /// The interfaces on which the last frame could not be sent.
    failing: BTreeSet<String>,
}

impl Announcer {
    /// An announcer with nothing to say yet.
    pub(super) fn new(socket: PacketSocket, schedule: Schedule, rate: u32) -> Announcer {
        let queue = Queue::new(schedule, rate, RandomState::new());
        Announcer { socket, queue, failing: BTreeSet::new() }
    }

    /// Announces an address from now on.
    pub(super) fn start(&mut self, cidr: Cidr, extent: Extent, cause: Cause, now: Instant) {
        self.queue.start(cidr, extent, cause, now);
    }

    /// Sends nothing before that time but what is ordered from now on.
    pub(super) fn hold(&mut self, until: Instant) {
        self.queue.hold(until);
    }

    /// Sends what is due. Just before each announcement `origin` is asked whether the address is
    /// still this host's; if not, it is announced no more.
    pub(super) fn send_due(&mut self, origin: impl Fn(Cidr) -> Option<Origin>) {
        for _ in 0..MAX_AT_ONCE {
            let Some(announcement) = self.queue.pop(Instant::now()) else {
                return;
            };
            match origin(announcement.cidr) {
                Some(origin) => self.send(announcement, &origin),
                None => self.queue.stop(announcement.cidr),
            }
        }
    }

    /// When `send_due` will have something to send.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.queue.next_due(now)
    }

    fn send(&mut self, Announcement { cidr, form }: Announcement, origin: &Origin) {
        let interface = &origin.interface;
        match self.send_frames(cidr.addr(), form, origin) {
            Ok(()) => {
                if form != Form::Second {
                    log::debug!("{cidr} announced on {interface}");
                }
                if self.failing.remove(interface) {
                    log::info!("{interface}: announcements can be sent again");
                }
            }
            Err(errno) => {
                if self.failing.insert(interface.clone()) {
                    log::warn!("announce {cidr} on {interface}: {}", words(errno));
                }
            }
        }
    }

    fn send_frames(&self, ip: IpAddr, form: Form, origin: &Origin) -> Result<(), Errno> {
        match ip {
            IpAddr::V4(ip) => {
                let [request, reply] = arp::announcement(ip, origin.mac);
                if form != Form::Second {
                    self.socket.send(origin.index, ethernet::ARP, &request)?;
                }
                if form != Form::First {
                    self.socket.send(origin.index, ethernet::ARP, &reply)?;
                }
                Ok(())
            }
            IpAddr::V6(ip) => {
                let frame = ndp::announcement(ip, origin.mac, origin.router);
                self.socket.send(origin.index, ethernet::IPV6, &frame)
            }
        }
    }
}
