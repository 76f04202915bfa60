//! What a host hears on the network of the IPs: whether anybody is there, by the rules and times of
//! `link::net`.

use link::election::Notice;
use link::election::message::Input;
use link::network::Hearing;
use link::supervisor::core::{Event as SupervisorEvent, Token};
use link::vip::{Cidr, Slot};

use super::{Message, Millis, Process, World};
use crate::bugs::Bug;
use crate::host::Host;
use crate::setup::{self, HOSTS, HostId, IPS, IpId, ip_of};
use crate::times::{HEARD, UNHEARD, UNKNOWN};

impl World {
    /// Asks on the network who answers for an IP, for a tenth of a second.
    pub(super) fn look_for(&mut self, host: HostId, token: Token, cidr: Cidr) {
        let answers = |other: &Host| {
            let has = ip_of(cidr).is_some_and(|ip| other.has(ip));
            has && self.hosts[host].talks_to(other)
        };
        let found = self.hosts.iter().find(|other| other.id != host && answers(other));
        let found = found.map(|other| setup::mac(other.id));
        let found = found.filter(|_| self.bug != Some(Bug::LiveHostsAreFenced));
        let after = if found.is_some() { self.random.between(1, 10) } else { 100 };
        let answers = SupervisorEvent::Answers(token, cidr, found);
        let message = Message::Supervisor(Box::new(answers));
        self.process_after(after, host, Process::Message(message));
    }

    /// Whether anybody is heard there: whoever answers this host, and whoever asks it of his own accord.
    pub(crate) fn hears_somebody(&self, host: HostId) -> bool {
        let machine = &self.hosts[host];
        self.hosts.iter().any(|other| {
            machine.talks_to(other)
                || other.id != host && other.reaches(machine) && monitors(other, machine)
        })
    }

    /// Whether somebody other than the owner of an IP answers this host.
    pub(crate) fn hears_neighbours(&self, host: HostId, ip: IpId) -> bool {
        let machine = &self.hosts[host];
        self.hosts.iter().any(|other| machine.talks_to(other) && !other.has(ip))
    }

    /// Something has changed on the network: all agents find out whether they hear somebody.
    pub(super) fn attend_all(&mut self) {
        (0..HOSTS).for_each(|host| self.attend(host));
    }

    pub(super) fn attend(&mut self, host: HostId) {
        let (now, wanted) = (self.now, self.truly_heard(host));
        match self.hears_somebody(host) {
            true => self.heard_at[host] = now,
            false => self.deaf_at[host] = now,
        }
        let seldom = self.random.one_in(3);
        let (soon, late) =
            (self.random.between(1, HEARD), self.random.between(UNHEARD.0, UNHEARD.1));
        let Some(agent) = &mut self.hosts[host].agent else { return };
        if agent.hearing == wanted {
            agent.hears = None;
        } else if agent.hears.is_none_or(|(hears, _)| hears != wanted) {
            let after = match wanted {
                Hearing::Unknown => 0,
                Hearing::Others => soon,
                Hearing::Nobody if agent.hearing == Hearing::Unknown && seldom => UNKNOWN,
                Hearing::Nobody => late,
            };
            agent.hears = Some((wanted, now + after));
            self.process_after(after, host, Process::Hears(now + after));
        }
    }

    fn truly_heard(&self, host: HostId) -> Hearing {
        match (self.hosts[host].faults.unplugged, self.hears_somebody(host)) {
            _ if self.bug == Some(Bug::DeafHostsGoFirst) => Hearing::Others,
            (1.., _) => Hearing::Unknown,
            (0, true) => Hearing::Others,
            (0, false) => Hearing::Nobody,
        }
    }

    pub(super) fn hears(&mut self, host: HostId, at: Millis) {
        let truth = self.truly_heard(host);
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some((wanted, _)) = agent.hears.take_if(|(_, planned)| *planned == at) else { return };
        if wanted != truth {
            return self.attend(host);
        }
        agent.hearing = wanted;
        let slots: Vec<Slot> = agent.elections.keys().copied().collect();
        for slot in slots {
            self.tell_election(host, slot, Input::Hearing(wanted));
        }
    }

    /// Neighbours were asked by a host that hands an IP over.
    pub(super) fn neighbours(&mut self, host: HostId, slot: Slot) {
        let heard = self.truly_heard(host);
        self.tell_election(host, slot, Input::Neighbours(heard));
    }

    /// A host asks everybody for an address: the standbys that hear it know that it misses the owner.
    pub(super) fn ask_everybody(&mut self, host: HostId, ip: IpId) {
        for other in 0..self.hosts.len() {
            let (asker, asked) = (&self.hosts[host], &self.hosts[other]);
            if other == host || !asker.reaches(asked) || asked.kernel[ip] || !asked.runs() {
                continue;
            }
            let agent = asked.agent.as_ref();
            for slot in agent.map_or_else(Vec::new, |agent| agent.slots(ip)) {
                let notice = Notice::AlsoMissed(setup::mac(host));
                self.notice(other, slot, notice);
            }
        }
    }
}

/// Whether a host asks another again and again for an address.
fn monitors(host: &Host, owner: &Host) -> bool {
    let agent = host.agent.as_ref().filter(|agent| agent.frozen.is_none());
    let mut elections = agent.into_iter().flat_map(|agent| agent.elections.values());
    (0..IPS).any(|ip| owner.has(ip))
        && elections.any(|election| election.monitoring.is_some() && owner.has(election.ip))
}
