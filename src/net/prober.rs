//! Asks the wire who has an address.
//!
//! Owns the schedule of the questions, and memberships of the groups in which others ask; lives on the
//! actuator's thread. Nothing here blocks.

use std::time::Instant;

use super::asker::{Asker, Vantage};
use super::groups::Groups;
use super::heard::Says;
use super::probes::Probes;
use crate::network::ProbeResult;
use crate::vip::Cidr;

/// How many addresses are asked about before other work has its turn.
const MAX_AT_ONCE: u32 = 32;

/// The questions who has an address.
#[derive(Debug)]
pub(super) struct Prober {
    asker: Asker,
    probes: Probes,
    groups: Groups,
}

impl Prober {
    /// A prober that has nothing to ask yet.
    pub(super) fn new(asker: Asker) -> Prober {
        Prober { asker, probes: Probes::new(), groups: Groups::default() }
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
        wins_tie_break: bool,
        now: Instant,
    ) -> Option<ProbeResult> {
        self.probes.heard(cidr, says, wins_tie_break, now)
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
        if vantage.mac.is_some() {
            self.groups.join(cidr, vantage.index);
            self.asker.ask(cidr, vantage, None);
        }
    }
}
