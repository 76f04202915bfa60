//! Whether others are heard where a host is silent: if nobody is, it may be this host that is deaf.
//!
//! Pure: time comes in as an argument. As soon as a host is doubted, a few neighbours are asked, each
//! alone, for an address that it has; again and again until one has answered or the host is silent, and
//! once a second from then on. One answer is enough: questions leave this host
//! then, and answers arrive. A host that asks everybody for the address of the silent one, as often as
//! one that finds it silent, misses it as well: that is as good as an answer.
//!
//! What was not heard while this host was deaf says nothing, and the hearing may come back at any
//! moment. So the silent host is asked again together with its neighbours: only after its time to
//! answer does the answer of another tell something of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::monitored::MonitorTiming;
use crate::net::codec::ethernet::Mac;
use crate::net::codec::heard::{Heard, Kind};
use crate::vip::Cidr;

/// How many neighbours are asked: some may be dead for the same reason.
pub(super) const NEIGHBOURS: usize = 3;

/// Between two times that they are asked.
const GAP: Duration = Duration::from_secs(1);

/// How long an answer is waited for at least: a neighbour may have other things to do.
const PATIENCE: Duration = Duration::from_millis(20);

/// Of so many hosts it is known how often they have asked.
const PEERS: usize = 16;

/// The hosts that are silent, each known by an address that it had.
#[derive(Debug, Default)]
pub(super) struct ReferenceProbes {
    silent: BTreeMap<Cidr, ReferenceProbe>,
}

/// How far the search for others has come.
#[derive(Debug)]
struct ReferenceProbe {
    owner: Mac,
    timing: MonitorTiming,
    /// The index of the interface on which was asked last.
    index: u32,
    /// When to ask next; while an answer is awaited, when to wait no more.
    due: Instant,
    /// While an answer is awaited.
    asked: Option<Asked>,
    answered: bool,
    /// The host is silent, no longer only doubted.
    silent: bool,
    /// Others are heard, as was told.
    told: bool,
    peers: Vec<Peer>,
}

/// Another host that asks everybody for the silent one.
#[derive(Debug)]
struct Peer {
    mac: Mac,
    /// How often, without a pause.
    times: u32,
    last: Instant,
}

/// What was asked.
#[derive(Debug)]
struct Asked {
    /// The addresses for which neighbours were asked.
    ips: Vec<IpAddr>,
    /// Until when the silent host may answer.
    settled: Instant,
}

impl ReferenceProbes {
    /// A host falls silent that is monitored so: its neighbours are to be asked, if they are not
    /// already.
    pub(super) fn begin(&mut self, cidr: Cidr, owner: Mac, timing: MonitorTiming, now: Instant) {
        self.silent.entry(cidr).or_insert_with(|| ReferenceProbe::new(owner, timing, now));
    }

    /// It is heard again, or nobody wants to know any more.
    pub(super) fn end(&mut self, cidr: Cidr) {
        self.silent.remove(&cidr);
    }

    /// Goes on with these hosts alone: the others have turned out not to be silent.
    pub(super) fn keep(&mut self, is_doubted: impl Fn(Cidr) -> bool) {
        self.silent.retain(|cidr, _| is_doubted(*cidr));
    }

    /// What was heard until now does not count: the neighbours are asked anew in a while.
    pub(super) fn postpone(&mut self, cidr: Cidr, now: Instant) {
        if let Some(probe) = self.silent.get_mut(&cidr) {
            probe.rest(now);
        }
    }

    /// The same for all of them.
    pub(super) fn postpone_all(&mut self, now: Instant) {
        self.silent.values_mut().for_each(|probe| probe.rest(now));
    }

    /// The silent hosts whose neighbours are to be asked now, with their hardware addresses.
    pub(super) fn due(&self, now: Instant) -> Vec<(Cidr, Mac)> {
        let due = self.silent.iter().filter(|(_, at)| at.asked.is_none() && at.due <= now);
        due.map(|(cidr, probe)| (*cidr, probe.owner)).collect()
    }

    /// Neighbours were asked for these addresses, on the interface with this index, and then the silent
    /// host.
    pub(super) fn asked(&mut self, cidr: Cidr, index: u32, ips: Vec<IpAddr>, now: Instant) {
        if let Some(probe) = self.silent.get_mut(&cidr) {
            probe.index = index;
            probe.asked = Some(Asked { ips, settled: now + probe.timing.patience() });
            probe.due = now + probe.timing.doubt.max(PATIENCE);
        }
    }

    /// Takes note of what another host has said on the interface with this index.
    pub(super) fn heard(&mut self, index: u32, heard: &Heard, now: Instant) {
        for (cidr, probe) in &mut self.silent {
            probe.answered |= probe.is_answered_by(cidr.addr(), index, heard, now);
        }
    }

    /// What is new of those that are silent by now: whether others are heard. All that has come until
    /// `now` must have been heard.
    pub(super) fn take_news(
        &mut self,
        now: Instant,
        is_silent: impl Fn(Cidr) -> bool,
    ) -> Vec<(Cidr, bool)> {
        let mut news = Vec::new();
        for (cidr, probe) in &mut self.silent {
            probe.silent = is_silent(*cidr);
            if probe.asked.is_none() || probe.next_due().is_none_or(|due| now < due) {
                continue;
            }
            if !probe.silent {
                (probe.asked, probe.due) = (None, now);
                continue;
            }
            let answered = probe.answered;
            probe.rest(now);
            if std::mem::replace(&mut probe.told, answered) != answered {
                news.push((*cidr, answered));
            }
        }
        news
    }

    /// When there is something to do next, if nothing is heard until then.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.silent.values().filter_map(ReferenceProbe::next_due).min()
    }
}

impl ReferenceProbe {
    fn new(owner: Mac, timing: MonitorTiming, due: Instant) -> ReferenceProbe {
        ReferenceProbe {
            owner,
            timing,
            index: 0,
            due,
            asked: None,
            answered: false,
            silent: false,
            told: false,
            peers: Vec::new(),
        }
    }

    /// An answer that has come before the host is silent is enough, when it is.
    fn next_due(&self) -> Option<Instant> {
        match self.asked.as_ref().filter(|_| self.answered) {
            Some(asked) => self.silent.then_some(asked.settled),
            None => Some(self.due),
        }
    }

    fn rest(&mut self, now: Instant) {
        self.due = now + GAP;
        self.asked = None;
        self.answered = false;
    }

    /// What the silent host says itself does not count, nor what is said in its name: it is dead by
    /// what is not heard of it.
    fn is_answered_by(&mut self, silent: IpAddr, index: u32, heard: &Heard, now: Instant) -> bool {
        if heard.mac == self.owner || heard.source == self.owner || self.index != index {
            return false;
        }
        let told = match heard.kind {
            Kind::Claim => self.asked.as_ref().is_some_and(|asked| asked.ips.contains(&heard.ip)),
            Kind::Probe => heard.ip == silent && self.is_missed_by(heard.mac, now),
            Kind::Sign => false,
        };
        told && self.asked.is_some()
    }

    /// Whether a host that asks everybody has done so as often as one does, after a first question to
    /// the owner alone, that finds it silent. Who has lost a single answer asks once.
    fn is_missed_by(&mut self, mac: Mac, now: Instant) -> bool {
        let pause = self.timing.doubt * 2;
        let needed = self.timing.count.saturating_sub(1);
        let has_room = self.peers.len() < PEERS;
        match self.peers.iter_mut().find(|peer| peer.mac == mac) {
            Some(peer) => {
                let goes_on = now.saturating_duration_since(peer.last) <= pause;
                peer.times = if goes_on { peer.times.saturating_add(1) } else { 1 };
                peer.last = now;
                peer.times >= needed
            }
            None if has_room => {
                self.peers.push(Peer { mac, times: 1, last: now });
                needed <= 1
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
