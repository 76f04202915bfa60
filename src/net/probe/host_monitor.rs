//! Monitors hosts by asking them for an address that they have, and the neighbours of those that are
//! silent.
//!
//! Owns the schedule of these questions, and memberships of the groups in which others ask the same;
//! lives on the actuator's thread. Nothing here blocks. The answers come in through the listener.

use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::time::Instant;

use super::asker::{Asker, ProbeSource, Reference};
use super::groups::Groups;
use super::monitored::{MonitorTiming, Monitored};
use super::reference_probes::{NEIGHBOURS, ReferenceProbes};
use crate::net::codec::ethernet::Mac;
use crate::net::codec::heard::{Heard, Kind};
use crate::network::Liveness;
use crate::vip::Cidr;

/// How many hosts are asked before other work has its turn.
const MAX_AT_ONCE: u32 = 32;

/// The questions whether hosts are still there.
#[derive(Debug)]
pub(crate) struct HostMonitor {
    asker: Asker,
    monitored: Monitored,
    reference_probes: ReferenceProbes,
    groups: Groups,
}

impl HostMonitor {
    /// A monitor that monitors nobody yet.
    pub(crate) fn new(asker: Asker) -> HostMonitor {
        let monitored = Monitored::new(RandomState::new());
        let (reference_probes, groups) = (ReferenceProbes::default(), Groups::default());
        HostMonitor { asker, monitored, reference_probes, groups }
    }

    /// Monitors the host that has an address from now on, or monitors it at another pace.
    pub(crate) fn start(&mut self, cidr: Cidr, timing: MonitorTiming, now: Instant) {
        self.monitored.start(cidr, timing, now);
    }

    /// Monitors it no more.
    pub(crate) fn stop(&mut self, cidr: Cidr) {
        self.monitored.stop(cidr);
        self.reference_probes.end(cidr);
        self.groups.leave(cidr);
    }

    /// Starts afresh, if that host is monitored: the neighbours may be others.
    pub(crate) fn restart(&mut self, cidr: Cidr, now: Instant) {
        self.monitored.restart(cidr, now);
        self.reference_probes.postpone(cidr, now);
    }

    /// Starts afresh with all hosts that are monitored.
    pub(crate) fn restart_all(&mut self, now: Instant) {
        self.monitored.restart_all(now);
        self.reference_probes.postpone_all(now);
    }

    /// Frames may have been lost: what was not answered until now does not count.
    pub(crate) fn recount(&mut self, now: Instant) {
        self.monitored.recount_all();
        self.reference_probes.postpone_all(now);
    }

    /// Takes note of what another host says; what that tells of the owner, if it is new.
    pub(crate) fn heard(&mut self, cidr: Cidr, heard: &Heard, now: Instant) -> Option<Liveness> {
        if heard.kind == Kind::Claim {
            self.reference_probes.end(cidr);
        }
        self.monitored.heard(cidr, heard.kind, heard.mac, now)
    }

    /// Takes note of what another host says of whatever address, on the interface with this index.
    pub(crate) fn overhear(&mut self, index: u32, heard: &Heard, now: Instant) {
        self.reference_probes.heard(index, heard, now);
    }

    /// Whether `take_silent` may find somebody at that time.
    pub(crate) fn is_silence_due(&self, now: Instant) -> bool {
        self.monitored.is_silence_due(now)
    }

    /// What is new of owners that are silent. All that has come until `now` must have been heard.
    /// Without a `source`, nobody can be heard.
    pub(crate) fn take_silent(
        &mut self,
        now: Instant,
        source: impl Fn(Cidr) -> Option<ProbeSource>,
    ) -> Vec<(Cidr, Liveness)> {
        let silent = self.monitored.take_silent(now, |cidr| source(cidr).is_some());
        silent.iter().for_each(|(cidr, _)| self.begin_references(*cidr, now));
        silent
    }

    /// Its neighbours are to be asked, too, if that is not being done.
    fn begin_references(&mut self, cidr: Cidr, now: Instant) {
        if let Some((owner, timing)) = self.monitored.owner(cidr) {
            self.reference_probes.begin(cidr, owner, timing, now);
        }
    }

    /// What is new of owners that are silent: whether others are heard. All that has come until `now`
    /// must have been heard, and who is silent must have been taken.
    pub(crate) fn take_references(&mut self, now: Instant) -> Vec<(Cidr, Liveness)> {
        self.reference_probes.keep(|cidr| self.monitored.is_doubted(cidr));
        let news = self.reference_probes.take_news(now, |cidr| self.monitored.is_silent(cidr));
        let liveness = |others| if others { Liveness::Dead } else { Liveness::Suspect };
        news.into_iter().map(|(cidr, others)| (cidr, liveness(others))).collect()
    }

    /// Asks the neighbours of owners that are doubted, and then each of these that is silent once more.
    /// `look` tells from where, and who they are; the ones to be preferred come first.
    pub(crate) fn ask_neighbours_due(
        &mut self,
        mut look: impl FnMut(Cidr) -> Option<(ProbeSource, Vec<Reference>)>,
    ) {
        let now = Instant::now();
        for (cidr, owner) in self.reference_probes.due(now) {
            match look(cidr) {
                Some((source, neighbours)) => {
                    let asked = self.ask_neighbours(source, owner, neighbours);
                    // Until it is silent, it is asked anyway.
                    if self.monitored.is_silent(cidr) {
                        self.asker.ask(cidr, source, None);
                    }
                    self.reference_probes.asked(cidr, source.index, asked, Instant::now());
                }
                // Nobody can be heard there.
                None => self.reference_probes.asked(cidr, 0, Vec::new(), now),
            }
        }
    }

    /// Asks a few of them, each alone; the addresses for which they were asked.
    fn ask_neighbours(
        &mut self,
        source: ProbeSource,
        owner: Mac,
        neighbours: Vec<Reference>,
    ) -> Vec<IpAddr> {
        let others = neighbours.into_iter().filter(|it| it.neighbour.mac != owner);
        let asked = others.take(NEIGHBOURS).filter(|it| self.asker.ask_neighbour(it, source));
        asked.map(|it| it.neighbour.ip).collect()
    }

    /// Asks whom it is time to ask; the addresses whose owners are doubted from now on. Just before each
    /// question `source` is asked.
    pub(crate) fn ask_due(&mut self, source: impl Fn(Cidr) -> Option<ProbeSource>) -> Vec<Cidr> {
        let (now, mut doubted) = (Instant::now(), Vec::new());
        for _ in 0..MAX_AT_ONCE {
            let Some((cidr, owner)) = self.monitored.pop(now) else {
                break;
            };
            match source(cidr) {
                Some(source) if self.asker.ask(cidr, source, owner) => {
                    self.groups.join(cidr, source.index);
                    if self.monitored.doubt(cidr) {
                        doubted.push(cidr);
                    }
                    // By the time of silence, the neighbours have answered.
                    if self.monitored.is_doubted(cidr) {
                        self.begin_references(cidr, now);
                    }
                }
                Some(_) => self.monitored.recount(cidr),
                None => self.monitored.suspend(cidr, now),
            }
        }
        while let Some((cidr, owner)) = self.monitored.pop_repeat(now) {
            // Silence does not depend on a repetition: one that does not leave changes nothing.
            source(cidr).map(|source| self.asker.ask(cidr, source, Some(owner)));
        }
        doubted
    }

    /// When one of those that take or ask something will have something to do.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        [self.monitored.next_due(now), self.reference_probes.next_due()].into_iter().flatten().min()
    }
}
