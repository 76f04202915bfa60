//! Watches hosts by asking them for an address that they have.
//!
//! Owns the schedule of these questions; lives on the actuator's thread. Nothing here blocks. The
//! answers come in through the listener.

use std::collections::hash_map::RandomState;
use std::time::Instant;

use super::asker::{Asker, Vantage};
use super::heard::Heard;
use super::watches::Watches;
use super::{Presence, WatchTiming};
use crate::vip::Cidr;

/// How many hosts are asked before other work has its turn.
const MAX_AT_ONCE: u32 = 32;

/// The questions whether hosts are still there.
#[derive(Debug)]
pub(super) struct Watcher {
    asker: Asker,
    watches: Watches,
}

impl Watcher {
    /// A watcher that watches nobody yet.
    pub(super) fn new(asker: Asker) -> Watcher {
        Watcher { asker, watches: Watches::new(RandomState::new()) }
    }

    /// Watches the host that has an address from now on, or watches it at another pace.
    pub(super) fn start(&mut self, cidr: Cidr, timing: WatchTiming, now: Instant) {
        self.watches.start(cidr, timing, now);
    }

    /// Watches it no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        self.watches.stop(cidr);
    }

    /// Starts afresh, if that host is watched: the neighbours may be others.
    pub(super) fn restart(&mut self, cidr: Cidr, now: Instant) {
        self.watches.restart(cidr, now);
    }

    /// Starts afresh with all hosts that are watched.
    pub(super) fn restart_all(&mut self, now: Instant) {
        self.watches.restart_all(now);
    }

    /// Frames may have been lost: what was not answered until now does not count.
    pub(super) fn recount(&mut self) {
        self.watches.recount_all();
    }

    /// Takes note of what another host says; what that tells of the owner, if it is new.
    pub(super) fn heard(&mut self, cidr: Cidr, heard: &Heard, now: Instant) -> Option<Presence> {
        self.watches.heard(cidr, heard.says, heard.mac, now)
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
        self.watches.take_silent(now, |cidr| vantage(cidr).is_some())
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

    /// When `take_silent` or `ask_due` will have something to do.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.watches.next_due(now)
    }
}
