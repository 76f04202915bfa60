//! The kernels of the hosts and the network between them: addresses, interfaces, questions, and
//! announcements. By the rules of `link::net`.

use link::election::Notice;
use link::election::message::Input;
use link::network::{Liveness, Unusable};
use link::policy::CrashDetection;
use link::vip::Slot;

use super::{Millis, Process, World};
use crate::agent::Election;
use crate::bugs::Bug;
use crate::lan::{Monitoring, Probing};
use crate::setup::{self, HostId, IPS, IpId};
use crate::times::{
    ADD_AGAIN, CLAIM_GAP, FAST, Pace, REFRESH, REPEATS, SILENCE, SILENCE_AFTER_ANSWER, STRICT,
};

impl World {
    pub(super) fn election_mut(&mut self, host: HostId, slot: Slot) -> Option<&mut Election> {
        self.hosts[host].agent.as_mut()?.elections.get_mut(&slot)
    }

    pub(super) fn tell_interface(&mut self, host: HostId, slot: Slot) {
        let usable = match self.hosts[host].faults.unplugged {
            0 => Ok(setup::mac(host)),
            _ => Err(Unusable::NoCarrier),
        };
        self.tell_election(host, slot, Input::Interface(usable));
    }

    /// The agent hears of the carrier, and announces anew when it is back.
    pub(super) fn carrier_changed(&mut self, host: HostId) {
        let Some(agent) = &self.hosts[host].agent else { return };
        let slots: Vec<Slot> = agent.elections.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.tell_interface(host, slot));
        if self.hosts[host].faults.unplugged == 0 {
            for ip in 0..IPS {
                if self.is_bound(host, ip) {
                    self.announce_at(host, ip, &REPEATS);
                }
            }
        }
    }

    /// The address is where this agent wants it.
    fn is_bound(&self, host: HostId, ip: IpId) -> bool {
        let machine = &self.hosts[host];
        let election = machine.agent.as_ref().and_then(|agent| agent.election(ip));
        machine.kernel[ip] && election.is_some_and(|election| election.desired == Some(true))
    }

    /// An order to the kernel.
    pub(super) fn set_desired(&mut self, host: HostId, slot: Slot, desired: bool) {
        let Some(election) = self.election_mut(host, slot) else { return };
        let (ips, before) = (election.ips.clone(), election.desired.replace(desired));
        if before == Some(desired) || election.unsubscribed {
            return;
        }
        let half = self.bug == Some(Bug::HalfAGroupIsEnough);
        let some = if half { 1 } else { ips.len() };
        // The first is added when the others are there.
        for ip in ips.into_iter().take(some).rev() {
            let found = self.hosts[host].kernel[ip];
            self.hosts[host].add_pause[ip] = 0;
            self.settle_kernel(host, ip);
            // What a former life has left is kept, and announced once.
            if desired && found && before.is_none() {
                self.announce_at(host, ip, &REPEATS[..1]);
            }
        }
    }

    /// Brings the kernel to what is wanted, or tries again later.
    pub(super) fn settle_kernel(&mut self, host: HostId, ip: IpId) {
        let machine = &mut self.hosts[host];
        let election = machine.agent.as_ref().and_then(|agent| agent.election(ip));
        let Some(election) = election else { return };
        let Some(wanted) = election.desired else { return };
        let before = machine.kernel[ip];
        let half = self.bug == Some(Bug::HalfAGroupIsEnough);
        let others = half || election.ips.iter().skip(1).all(|other| machine.kernel[*other]);
        if wanted && !before && ip == election.ip && !others {
            return;
        }
        let first = election.ip;
        if wanted && !before && machine.faults.stuck[ip] > 0 {
            let pause = machine.add_pause[ip].clamp(ADD_AGAIN.0, ADD_AGAIN.1);
            machine.add_pause[ip] = pause * 2;
            if self.bug == Some(Bug::UnboundIsNotNoticed) {
                self.tell_bound(host, ip, true);
            }
            return self.process_after(pause, host, Process::AddAgain(ip));
        }
        machine.kernel[ip] = wanted;
        if before != wanted {
            self.changed = true;
            if wanted {
                self.announce_at(host, ip, &REPEATS);
            }
            self.tell_bound(host, ip, wanted);
            if wanted && ip != first {
                self.settle_kernel(host, first);
            }
        }
    }

    /// The kernel drops an address: it is missed, and added again at once.
    pub(super) fn lose_address(&mut self, host: HostId, ip: IpId) {
        if std::mem::take(&mut self.hosts[host].kernel[ip]) {
            self.tell_bound(host, ip, false);
            self.process_after(1, host, Process::AddAgain(ip));
        }
    }

    fn tell_bound(&mut self, host: HostId, ip: IpId, bound: bool) {
        let machine = &self.hosts[host];
        let Some(agent) = &machine.agent else { return };
        let half = self.bug == Some(Bug::HalfAGroupIsEnough);
        let all = |slot: &Slot| {
            let mut ips = agent.elections[slot].ips.iter();
            bound && (half || ips.all(|it| *it == ip || machine.kernel[*it]))
        };
        let told: Vec<(Slot, bool)> =
            agent.slots(ip).into_iter().map(|slot| (slot, all(&slot))).collect();
        for (slot, bound) in told {
            self.tell_election(host, slot, Input::Bound(bound));
        }
    }

    /// Addresses of former lives that nobody manages.
    pub(super) fn remove_left_overs(&mut self, host: HostId) {
        for ip in 0..IPS {
            let managed =
                self.hosts[host].agent.as_ref().is_some_and(|it| it.election(ip).is_some());
            if !managed {
                self.hosts[host].kernel[ip] = false;
                self.changed = true;
            }
        }
    }

    pub(super) fn announce_election(&mut self, host: HostId, slot: Slot) {
        if let Some(election) = self.election_mut(host, slot) {
            for ip in election.ips.clone() {
                self.announce_at(host, ip, &REPEATS);
            }
        }
    }

    /// Announces an address from now on, whatever was planned for it before.
    pub(super) fn announce_at(&mut self, host: HostId, ip: IpId, pauses: &[Millis]) {
        self.hosts[host].announcing[ip] += 1;
        let number = self.hosts[host].announcing[ip];
        for pause in pauses {
            let what = Process::Announce { ip, number, refresh: false };
            self.process_after(pause + 1, host, what);
        }
        self.process_after(REFRESH, host, Process::Announce { ip, number, refresh: true });
    }

    pub(super) fn announce(&mut self, host: HostId, ip: IpId, number: u64, refresh: bool) {
        if self.hosts[host].announcing[ip] != number || !self.is_bound(host, ip) {
            return;
        }
        if refresh {
            self.process_after(REFRESH, host, Process::Announce { ip, number, refresh });
        }
        self.say(host, ip);
    }

    /// A host says on the network that it has an address.
    pub(super) fn say(&mut self, host: HostId, ip: IpId) {
        self.trace(host, || format!("announces {ip}"));
        if self.hosts[host].faults.lan_out == 0 {
            self.neighbour[ip] = Some(host);
            self.changed = true;
        }
        if self.bug == Some(Bug::NetworkIsNotHeard) {
            return;
        }
        for other in 0..self.hosts.len() {
            if other != host && self.hosts[host].reaches(&self.hosts[other]) {
                self.hear(other, ip, host);
                self.claimed(other, ip, host);
            }
        }
    }

    /// A host that asks who has an address hears that another has it, or wants it and comes first.
    fn hear(&mut self, host: HostId, ip: IpId, from: HostId) {
        let (now, wins) = (self.now, from < host);
        let Some(agent) = &mut self.hosts[host].agent else { return };
        if agent.frozen.is_some() {
            return;
        }
        let mut news = Vec::new();
        for (slot, election) in agent.elections.iter_mut().filter(|(_, it)| it.ip == ip) {
            if let Some(probing) = &mut election.probing {
                news.extend(probing.answered(wins, now).map(|result| (*slot, result)));
            }
        }
        for (slot, result) in news {
            self.tell_election(host, slot, Input::Probed(result));
        }
    }

    /// An owner hears that another host has its address.
    fn claimed(&mut self, host: HostId, ip: IpId, from: HostId) {
        if !self.is_bound(host, ip) || self.hosts[host].faults.unplugged > 0 {
            return;
        }
        let now = self.now;
        let claims = &mut self.hosts[host].claimed[ip];
        claims.retain(|(_, at)| now < at + CLAIM_GAP);
        if claims.iter().any(|(other, _)| *other == from) {
            return;
        }
        claims.push((from, now));
        let input = Input::Claimed { from: setup::mac(from), wins_tie_break: from < host };
        let Some(agent) = &self.hosts[host].agent else { return };
        let first = |slot: &Slot| agent.elections[slot].ip == ip;
        let told: Vec<(Slot, bool)> =
            agent.slots(ip).into_iter().map(|slot| (slot, first(&slot))).collect();
        for (slot, is_first) in told {
            let input = if is_first { input.clone() } else { Input::Paused };
            self.tell_election(host, slot, input);
        }
    }

    pub(super) fn set_probing(&mut self, host: HostId, slot: Slot, on: bool) {
        let Some(election) = self.election_mut(host, slot) else { return };
        election.probing = on.then(Probing::default);
        election.probes += 1;
        let number = election.probes;
        if on {
            self.process_after(1, host, Process::Probe(slot, number));
        }
    }

    /// Asks the network who has an address.
    pub(super) fn probe(&mut self, host: HostId, slot: Slot, number: u64) {
        let (now, deaf) = (self.now, self.hosts[host].faults.unplugged > 0);
        let Some(election) = self.election_mut(host, slot) else { return };
        if election.probes != number {
            return;
        }
        let (ip, Some(probing)) = (election.ip, &mut election.probing) else { return };
        // Without a carrier nobody can be heard, and nothing is said.
        if deaf {
            *probing = Probing::default();
            return self.process_after(1_000, host, Process::Probe(slot, number));
        }
        let gap = probing.ask(now);
        self.process_after(gap, host, Process::Probe(slot, number));
        for after in [SILENCE, SILENCE_AFTER_ANSWER] {
            self.process_after(after, host, Process::ProbeSilence(slot, number));
        }
        if self.bug != Some(Bug::NetworkIsNotHeard) {
            self.ask_all(host, ip);
            self.ask_everybody(host, ip);
        }
    }

    fn ask_all(&mut self, host: HostId, ip: IpId) {
        for other in 0..self.hosts.len() {
            let (asker, asked) = (&self.hosts[host], &self.hosts[other]);
            if other == host || !asker.reaches(asked) {
                continue;
            }
            // The kernel of a host that has the address answers, whatever its agent does.
            if asked.has(ip) {
                if asked.reaches(asker) {
                    self.claimed(host, ip, other);
                    self.hear(host, ip, other);
                }
            } else if host < other {
                // Who wants it, too, hears a question as an answer, if the asker comes first.
                self.hear(other, ip, host);
            }
        }
    }

    pub(super) fn probe_silence(&mut self, host: HostId, slot: Slot, number: u64) {
        let now = self.now;
        let Some(election) = self.election_mut(host, slot) else { return };
        if election.probes != number {
            return;
        }
        let silent = election.probing.as_mut().and_then(|probing| probing.silent(now));
        if let Some(result) = silent {
            self.tell_election(host, slot, Input::Probed(result));
        }
    }

    pub(super) fn set_monitoring(&mut self, host: HostId, slot: Slot, on: bool) {
        let Some(election) = self.election_mut(host, slot) else { return };
        election.monitoring = on.then(Monitoring::default);
        election.monitors += 1;
        let number = election.monitors;
        if on {
            let first = self.random.between(1, STRICT.calm);
            self.process_after(first, host, Process::Monitor(slot, number));
        }
    }

    fn pace(&self, host: HostId) -> Pace {
        if self.hosts[host].policies.crash == CrashDetection::Fast { FAST } else { STRICT }
    }

    /// Asks the host of an owner whether it lives: it alone and, if it has not answered, everybody.
    pub(super) fn monitor(&mut self, host: HostId, slot: Slot, number: u64) {
        let (machine, pace) = (&self.hosts[host], self.pace(host));
        let deaf = machine.faults.unplugged > 0;
        let election = machine.agent.as_ref().and_then(|agent| agent.elections.get(&slot));
        let Some(election) = election.filter(|election| election.monitors == number) else {
            return;
        };
        let ip = election.ip;
        let answered = self.is_answered(host, ip);
        let Some(election) = self.election_mut(host, slot) else { return };
        let Some(monitoring) = &mut election.monitoring else { return };
        let news = if deaf {
            monitoring.restart();
            None
        } else {
            monitoring.ask(answered)
        };
        let (gap, doubts) = (monitoring.gap(pace), monitoring.asks_everybody());
        self.process_after(gap, host, Process::Monitor(slot, number));
        if doubts {
            self.process_after(pace.patience, host, Process::MonitorSilence(slot, number));
            self.ask_everybody(host, ip);
        }
        self.tell_liveness(host, slot, news);
    }

    fn is_answered(&self, host: HostId, ip: IpId) -> bool {
        self.hosts.iter().any(|other| other.has(ip) && self.hosts[host].talks_to(other))
    }

    /// The last question was not answered until now. With the neighbours the owner is asked once more.
    pub(super) fn monitor_silence(&mut self, host: HostId, slot: Slot, number: u64) {
        let (careless, pace) = (self.bug == Some(Bug::DeafStandbysTakeIt), self.pace(host));
        let Some(ip) = self.election_mut(host, slot).map(|election| election.ip) else { return };
        let others = careless || self.hears_neighbours(host, ip);
        let answered = self.is_answered(host, ip);
        let Some(election) = self.election_mut(host, slot) else { return };
        if election.monitors == number {
            let monitoring = election.monitoring.as_mut();
            let news = monitoring.and_then(|it| match answered {
                true => it.ask(true),
                false => it.silent(pace, others),
            });
            self.tell_liveness(host, slot, news);
        }
    }

    fn tell_liveness(&mut self, host: HostId, slot: Slot, news: Option<Liveness>) {
        if let Some(liveness) = news {
            let notice = Notice::Owner(liveness);
            self.notice(host, slot, notice);
        }
    }
}
