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

use super::queue::{Announcement, Cause, Form, Queue};
use super::schedule::{Extent, Schedule};
use crate::net::codec::ethernet::Mac;
use crate::net::codec::{arp, ethernet, ndp};
use crate::net::error::words;
use crate::net::sys::PacketSocket;
use crate::net::wait::STANDSTILL;
use crate::vip::Cidr;

/// How many announcements are made before other work has its turn: below a millisecond's worth.
const MAX_AT_ONCE: u32 = 64;

/// From where an address is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnnounceSource {
    /// The interface's name, for the log.
    pub(crate) interface: String,
    /// Its index.
    pub(crate) index: u32,
    /// Its hardware address.
    pub(crate) mac: Mac,
    /// This host routes IPv6 packets that arrive there.
    pub(crate) router: bool,
}

/// Sends announcements.
#[derive(Debug)]
pub(crate) struct Announcer {
    socket: PacketSocket,
    queue: Queue,
    /// The interfaces on which the last frame could not be sent.
    failing: BTreeSet<String>,
    counts: AnnouncementCounts,
}

/// How many announcements there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AnnouncementCounts {
    /// Those that have left, of IPv4 and of IPv6, by [`Lane`].
    pub(crate) sent: [[u64; 3]; 2],
    /// Those that have not.
    pub(crate) failed: u64,
}

impl Announcer {
    /// An announcer with nothing to say yet.
    pub(crate) fn new(socket: PacketSocket, schedule: Schedule, rate: u32) -> Announcer {
        let queue = Queue::new(schedule, rate, RandomState::new());
        Announcer { socket, queue, failing: BTreeSet::new(), counts: AnnouncementCounts::default() }
    }

    /// Announces an address from now on.
    pub(crate) fn start(&mut self, cidr: Cidr, extent: Extent, cause: Cause, now: Instant) {
        self.queue.start(cidr, extent, cause, now);
    }

    /// Sends nothing before that time but what is ordered from now on.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.queue.hold(until);
    }

    /// Sends what is due. Just before each announcement `source` is asked whether the address is
    /// still this host's; if not, it is announced no more.
    pub(crate) fn send_due(&mut self, source: impl Fn(Cidr) -> Option<AnnounceSource>) {
        let begun = Instant::now();
        for _ in 0..MAX_AT_ONCE {
            let now = Instant::now();
            // It was stopped since: whether the rest may still be said is not known.
            if now.duration_since(begun) >= STANDSTILL {
                return;
            }
            let Some(announcement) = self.queue.pop(now) else {
                return;
            };
            match source(announcement.cidr) {
                Some(source) => self.send(announcement, &source),
                None => self.queue.stop(announcement.cidr),
            }
        }
    }

    /// When `send_due` will have something to send.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.queue.next_due(now)
    }

    /// How many there were since the start.
    pub(crate) fn counts(&self) -> AnnouncementCounts {
        self.counts
    }

    fn send(&mut self, Announcement { cidr, form, lane }: Announcement, source: &AnnounceSource) {
        let interface = &source.interface;
        match self.send_frames(cidr.addr(), form, source) {
            Ok(()) => {
                if form != Form::Second {
                    self.counts.sent[usize::from(cidr.addr().is_ipv6())][lane as usize] += 1;
                    log::debug!("{cidr} announced on {interface}");
                }
                if self.failing.remove(interface) {
                    log::info!("{interface}: announcements can be sent again");
                }
            }
            Err(errno) => {
                self.counts.failed += 1;
                if self.failing.insert(interface.clone()) {
                    log::warn!("announce {cidr} on {interface}: {}", words(errno));
                }
            }
        }
    }

    fn send_frames(&self, ip: IpAddr, form: Form, source: &AnnounceSource) -> Result<(), Errno> {
        match ip {
            IpAddr::V4(ip) => {
                let [request, reply] = arp::announcement(ip, source.mac);
                if form != Form::Second {
                    self.socket.send(source.index, ethernet::ARP, &request)?;
                }
                if form != Form::First {
                    self.socket.send(source.index, ethernet::ARP, &reply)?;
                }
                Ok(())
            }
            IpAddr::V6(ip) => {
                let frame = ndp::announcement(ip, source.mac, source.router);
                self.socket.send(source.index, ethernet::IPV6, &frame)
            }
        }
    }
}
