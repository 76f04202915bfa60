//! Watches hosts by asking them for an address that they have, and the neighbours of those that are
//! silent.
//!
//! Owns the schedule of these questions; lives on the actuator's thread. Nothing here blocks. The
//! answers come in through the listener.

use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::time::Instant;

use super::WatchTiming;
use super::asker::{Asker, Vantage};
use super::ethernet::Mac;
use super::heard::Heard;
use super::inquiries::{Inquiries, NEIGHBOURS};
use super::rtnetlink::Neighbour;
use super::watches::Watches;
use crate::network::Liveness;
use crate::vip::Cidr;

/// How many hosts are asked before other work has its turn.
const MAX_AT_ONCE: u32 = 32;

/// The questions whether hosts are still there.
#[derive(Debug)]
pub(super) struct Watcher {
    asker: Asker,
    watches: Watches,
    inquiries: Inquiries,
}

impl Watcher {
    /// A watcher that watches nobody yet.
    pub(super) fn new(asker: Asker) -> Watcher {
        let watches = Watches::new(RandomState::new());
        Watcher { asker, watches, inquiries: Inquiries::default() }
    }

    /// Watches the host that has an address from now on, or watches it at another pace.
    pub(super) fn start(&mut self, cidr: Cidr, timing: WatchTiming, now: Instant) {
        self.watches.start(cidr, timing, now);
    }

    /// Watches it no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        self.watches.stop(cidr);
        self.inquiries.end(cidr);
    }

    /// Starts afresh, if that host is watched: the neighbours may be others.
    pub(super) fn restart(&mut self, cidr: Cidr, now: Instant) {
        self.watches.restart(cidr, now);
        self.inquiries.postpone(cidr, now);
    }

    /// Starts afresh with all hosts that are watched.
    pub(super) fn restart_all(&mut self, now: Instant) {
        self.watches.restart_all(now);
        self.inquiries.postpone_all(now);
    }

    /// Frames may have been lost: what was not answered until now does not count.
    pub(super) fn recount(&mut self, now: Instant) {
        self.watches.recount_all();
        self.inquiries.postpone_all(now);
    }

    /// Takes note of what another host says; what that tells of the owner, if it is new.
    pub(super) fn heard(&mut self, cidr: Cidr, heard: &Heard, now: Instant) -> Option<Liveness> {
        let news = self.watches.heard(cidr, heard.says, heard.mac, now);
        if news == Some(Liveness::Alive) {
            self.inquiries.end(cidr);
        }
        news
    }

    /// Takes note of what another host says of whatever address, on the interface with this index.
    pub(super) fn overhear(&mut self, index: u32, heard: &Heard) {
        self.inquiries.heard(index, heard);
    }

    /// Whether `take_silent` may find somebody at that time.
    pub(super) fn is_silence_due(&self, now: Instant) -> bool {
        self.watches.is_silence_due(now)
    }

    /// The addresses whose owners are silent. All that has come until `now` must have been heard.
    /// Without a `vantage`, nobody can be heard.
    pub(super) fn take_silent(
        &mut self,
        now: Instant,
        vantage: impl Fn(Cidr) -> Option<Vantage>,
    ) -> Vec<Cidr> {
        let silent = self.watches.take_silent(now, |cidr| vantage(cidr).is_some());
        for cidr in &silent {
            match self.watches.owner(*cidr) {
                Some((owner, timing)) if timing.alone => {
                    self.inquiries.begin(*cidr, owner, timing.interval, now);
                }
                Some(_) | None => {}
            }
        }
        silent
    }

    /// What is new of owners that are silent: whether others are heard. All that has come until `now`
    /// must have been heard.
    pub(super) fn take_surroundings(&mut self, now: Instant) -> Vec<(Cidr, Liveness)> {
        let presence = |others| if others { Liveness::Dead } else { Liveness::Suspect };
        let news = self.inquiries.take_news(now).into_iter();
        news.map(|(cidr, others)| (cidr, presence(others))).collect()
    }

    /// Asks the neighbours of owners that are silent. `look` tells from where, and who they are; the
    /// ones to be preferred come first.
    pub(super) fn inquire_due(
        &mut self,
        mut look: impl FnMut(Cidr) -> Option<(Vantage, Vec<Neighbour>)>,
    ) {
        let now = Instant::now();
        for (cidr, owner) in self.inquiries.due(now) {
            match look(cidr) {
                Some((vantage, neighbours)) => {
                    let asked = self.ask_neighbours(vantage, owner, neighbours);
                    self.inquiries.asked(cidr, vantage.index, asked, Instant::now());
                }
                // Nobody can be heard there.
                None => self.inquiries.asked(cidr, 0, Vec::new(), now),
            }
        }
    }

    /// Asks a few of them, each alone; the addresses for which they were asked.
    fn ask_neighbours(
        &mut self,
        vantage: Vantage,
        owner: Mac,
        neighbours: Vec<Neighbour>,
    ) -> Vec<IpAddr> {
        let others = neighbours.into_iter().filter(|neighbour| neighbour.mac != owner);
        let asked = others.take(NEIGHBOURS).filter(|neighbour| {
            self.asker.ask(Cidr::single(neighbour.ip), vantage, Some(neighbour.mac))
        });
        asked.map(|neighbour| neighbour.ip).collect()
    }

    /// Asks whom it is time to ask. Just before each question `vantage` is asked.
    pub(super) fn ask_due(&mut self, vantage: impl Fn(Cidr) -> Option<Vantage>) {
        let now = Instant::now();
        for _ in 0..MAX_AT_ONCE {
            let Some((cidr, owner)) = self.watches.pop(now) else {
                break;
            };
            match vantage(cidr) {
                Some(vantage) if self.asker.ask(cidr, vantage, owner) => {}
                Some(_) => self.watches.recount(cidr),
                None => self.watches.suspend(cidr, now),
            }
        }
    }

    /// When one of those that take or ask something will have something to do.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        [self.watches.next_due(now), self.inquiries.next_due()].into_iter().flatten().min()
    }
}
