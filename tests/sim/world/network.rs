//! The network of the IP: interfaces, questions for the IP, and announcements.

use link::election::message::Input;
use link::network::{ProbeResult, Unusable};

use super::{Event, Millis, World};
use crate::bugs::Bug;
use crate::faults::HostId;
use crate::wire::{self, PROBE, Probing, REFRESH, REPEATS};

impl World {
    pub(super) fn tell_interface(&mut self, host: HostId) {
        let usable = match self.agents[host].unplugged {
            0 => Ok(wire::mac(host)),
            _ => Err(Unusable::NoCarrier),
        };
        self.tell(host, Input::Interface(usable));
    }

    /// The agent hears of the carrier, and announces anew when it is back.
    pub(super) fn carrier_changed(&mut self, host: HostId) {
        if self.agents[host].running && self.agents[host].power {
            self.tell_interface(host);
            if self.agents[host].unplugged == 0 && self.agents[host].bound {
                self.announce_at(host, &REPEATS);
            }
        }
    }

    pub(super) fn set_probing(&mut self, host: HostId, on: bool) {
        self.agents[host].probing = on.then(|| Probing::begin(self.now));
        if on {
            let life = self.agents[host].life;
            self.after(1, Event::Probe { host, life });
        }
    }

    pub(super) fn probe(&mut self, host: HostId, life: u64) {
        let Some(mut probing) = self.agents[host].probing else { return };
        self.after(PROBE, Event::Probe { host, life });
        // Without a carrier nobody can be heard, and nothing is said.
        if self.agents[host].unplugged > 0 || self.agents[host].frozen {
            self.agents[host].probing = Some(Probing::begin(self.now));
            return;
        }
        let deaf = self.bug == Some(Bug::NetworkIsNotHeard);
        let obeys = self.bug == Some(Bug::TheDeadAreObeyed) && !self.agents[host].lost;
        let news = match (deaf, obeys) {
            (true, _) => Probing::begin(0).probe(host, &[], self.now),
            (false, true) => Some(Input::Probed(ProbeResult::Answered { wins_tie_break: true })),
            (false, false) => probing.probe(host, &self.agents, self.now),
        };
        self.agents[host].probing = Some(probing);
        if let Some(news) = news {
            self.tell(host, news);
        }
    }

    /// Announces an address from now on, whatever was planned for it before.
    pub(super) fn announce_at(&mut self, host: HostId, pauses: &[Millis]) {
        let agent = &mut self.agents[host];
        agent.announcing += 1;
        let (life, announcing) = (agent.life, agent.announcing);
        for pause in pauses {
            self.after(pause + 1, Event::Announce { host, life, announcing, refresh: false });
        }
        self.after(REFRESH, Event::Announce { host, life, announcing, refresh: true });
    }

    pub(super) fn announce(&mut self, host: HostId, announcing: u64, refresh: bool) {
        let agent = &self.agents[host];
        if agent.announcing != announcing || !agent.bound {
            return;
        }
        let (life, frozen, heard) = (agent.life, agent.frozen, agent.lan_out == 0);
        if refresh {
            self.after(REFRESH, Event::Announce { host, life, announcing, refresh });
        }
        if frozen {
            return;
        }
        if heard {
            self.neighbour = Some(host);
        }
        if self.bug != Some(Bug::NetworkIsNotHeard) {
            for (to, claim) in wire::claimed(host, &mut self.agents, self.now) {
                self.tell(to, claim);
            }
        }
    }
}
