//! The owner is silent on the network, and etcd is silent as well: it has no leader, or is out of reach.
//! A majority of the candidates decides. Each asks everybody for the silent owner, so that those that miss
//! it hear each other. If they are more than half of the candidates, the owner among these, one of them
//! takes the IP at once, and the lock when etcd answers: the one with the lowest hardware address and, if
//! nothing comes of it, the next.
//!
//! Two candidates have no majority. There the policy for the loss of etcd decides: where it takes the IP
//! anyhow, it need not wait for the end of all attempts to reach etcd, if neighbours are heard.

use super::lock::Ownership;
use super::{Core, Departure};
use crate::election::health::Verdict;
use crate::fsm::State;
use crate::lock::{Candidate, Lease};
use crate::network::{Mac, Missed};
use crate::policy::LossPolicy;

/// After so many turns no majority is waited for before etcd is asked.
const PATIENCE: u32 = 10;

impl Core {
    pub(super) fn on_owner_missed(&mut self, missed: &Missed) {
        let waits = self.state == State::Standby
            && self.ownership() == Ownership::Other
            && matches!(self.lease, Lease::Held(_))
            && self.departure == Departure::Stays
            && self.health.verdict() == Verdict::Healthy;
        let holder = self.etcd.lock.known_holder();
        let holds = holder.is_some_and(|holder| holder.lease == missed.lease);
        if !(waits && holds) {
            return;
        }
        if self.is_first_of_majority(missed) || self.is_one_of_two(missed) {
            self.etcd.lock.replace_owner();
        } else if missed.turn >= PATIENCE {
            // etcd may refuse what shows a change of the lock; that it refuses has to come out.
            self.etcd.lock.doubt(self.etcd.pending.is_some());
        }
    }

    /// The other candidates that are not the owner.
    fn other_standbys(&self) -> impl Iterator<Item = &Candidate> {
        let holder = self.etcd.lock.known_holder().map(|holder| &holder.host);
        self.etcd.candidates.current().filter(move |other| Some(&other.host) != holder)
    }

    /// How many candidates there are: this host, the owner, the others, and the hosts that may have become
    /// candidates since the candidates were read. Nothing if that is not known.
    fn number_of_candidates(&self, agents: &[(String, i64)]) -> Option<usize> {
        let since = self.etcd.candidates.current_since()?;
        let holder = self.etcd.lock.known_holder()?;
        let is_known = |host: &String| {
            *host == self.config.host
                || *host == holder.host
                || self.etcd.candidates.current().any(|other| other.host == *host)
        };
        let new = agents.iter().filter(|(host, at)| *at > since && !is_known(host)).count();
        Some(2 + self.other_standbys().count() + new)
    }

    fn is_first_of_majority(&self, missed: &Missed) -> bool {
        let Some(all) = self.number_of_candidates(&missed.agents) else { return false };
        let macs = self.other_standbys().filter_map(|other| other.hardware_address);
        let voters: Vec<Mac> = macs.filter(|mac| missed.by.contains(mac)).collect();
        let own = self.health.hardware_address();
        let before = voters.iter().filter(|mac| Some(**mac) < own).count();
        (1 + voters.len()) * 2 > all && before <= usize::try_from(missed.turn).unwrap_or(0)
    }

    fn is_one_of_two(&self, missed: &Missed) -> bool {
        let takes = matches!(self.loss(), LossPolicy::Take | LossPolicy::Probe);
        takes && missed.neighbours && self.number_of_candidates(&missed.agents) == Some(2)
    }
}
