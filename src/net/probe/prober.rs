//! Asks the network who has an address.
//!
//! Owns the schedule of the questions, and memberships of the groups in which others ask; lives on the
//! actuator's thread. Nothing here blocks.

use std::time::Instant;

use super::asker::{Asker, ProbeSource};
use super::groups::Groups;
use super::probes::Probes;
use crate::vip::Cidr;

/// How many addresses are asked about before other work has its turn.
const MAX_AT_ONCE: u32 = 32;

/// The questions who has an address.
#[derive(Debug)]
pub(crate) struct Prober {
    asker: Asker,
    /// About which addresses it asks, and when.
    pub(crate) probes: Probes,
    groups: Groups,
}

impl Prober {
    /// A prober that has nothing to ask yet.
    pub(crate) fn new(asker: Asker) -> Prober {
        Prober { asker, probes: Probes::new(), groups: Groups::default() }
    }

    /// Asks about an address no more.
    pub(crate) fn stop(&mut self, cidr: Cidr) {
        self.probes.stop(cidr);
        self.groups.leave(cidr);
    }

    /// The addresses of which nothing was heard. All that has come must have been heard, the last of
    /// it at `now`. Without a `source`, nobody can be heard.
    pub(crate) fn take_silent(
        &mut self,
        now: Instant,
        source: impl Fn(Cidr) -> Option<ProbeSource>,
    ) -> Vec<Cidr> {
        let mut silent = Vec::new();
        while let Some(cidr) = self.probes.pop_silent(now) {
            match source(cidr) {
                Some(_) => silent.push(cidr),
                None => self.probes.suspend(cidr, now),
            }
        }
        silent
    }

    /// Asks what is due. Just before each question `source` is asked.
    pub(crate) fn ask_due(&mut self, source: impl Fn(Cidr) -> Option<ProbeSource>) {
        let now = Instant::now();
        for _ in 0..MAX_AT_ONCE {
            let Some(cidr) = self.probes.pop(now) else {
                break;
            };
            match source(cidr) {
                Some(source) => self.ask(cidr, source),
                None => self.probes.suspend(cidr, now),
            }
        }
    }

    fn ask(&mut self, cidr: Cidr, source: ProbeSource) {
        if source.mac.is_some() {
            self.groups.join(cidr, source.index);
            self.asker.ask(cidr, source, None);
        }
    }
}
