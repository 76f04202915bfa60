//! What is done without etcd: by policy, and by what the network says of the address.

use super::{Action, Core, Departure, Ownership, Probe};
use crate::fsm::{Event, State};
use crate::lock::{Candidate, Lease};
use crate::network::Mac;
use crate::policy::LossPolicy;

impl Core {
    /// What is done without etcd. A mistake in the configuration looks like an etcd that is lost: as
    /// long as nothing was heard of etcd, nothing is taken before the network was asked.
    pub(super) fn loss(&self) -> LossPolicy {
        let heard = self.etcd.lock.revision() > 0 || self.owner_wait.etcd_heard > 0;
        if self.config.loss == LossPolicy::Take && !heard {
            return LossPolicy::Probe;
        }
        self.config.loss
    }

    /// The event that is due as long as only the policy and the network tell who has the IP.
    pub(super) fn due_without_etcd(&self) -> Option<Event> {
        let other_wins = self.other_wins();
        match self.state {
            State::Activated => {
                // What the kernel has here, others have claimed in as many words.
                let has_it = matches!(self.wire.probe, Probe::Claimed { .. });
                let loses = other_wins == Some(true) && (has_it || !self.addresses.bound);
                let lets_go = self.loss() == LossPolicy::Probe && loses;
                lets_go.then_some(Event::Demoted)
            }
            // The hosts of the group decide who has it.
            State::Standby if self.etcd.lock.is_of_group() => None,
            State::Standby => match self.loss() {
                LossPolicy::Take => Some(Event::Fault),
                LossPolicy::Hold => self.has_address().then_some(Event::Fault),
                LossPolicy::Probe => self.due_by_probe(other_wins),
            },
            // The service is dead here, or wanted elsewhere: whoever has the IP may keep it.
            State::Failing if self.has_address() => {
                (other_wins.is_some() || !self.keeps_last()).then_some(Event::Demoted)
            }
            State::Failing => self.would_be_last().then_some(Event::Elected),
        }
    }

    /// This host is drained and could serve the IP, and nobody answers for it.
    fn would_be_last(&self) -> bool {
        self.may_be_last() && self.wire.probe == Probe::Silent
    }

    /// A drained host has an IP without etcd if nobody else has it, by whatever policy it takes IPs.
    fn may_be_last(&self) -> bool {
        let stays = self.departure == Departure::Stays;
        stays && self.health.is_drained() && self.loss() != LossPolicy::Hold
    }

    /// Whether a machine with this hardware address is known to be no candidate, and so no host of LinK:
    /// an owner that has lost etcd lets go for none of those. As long as a candidate does not tell its
    /// own, or the candidates are not known, it may be anybody.
    pub(super) fn is_stranger(&self, mac: Mac) -> bool {
        let is_other = |it: &Candidate| it.hardware_address.is_some_and(|known| known != mac);
        self.etcd.candidates.last_known().is_some_and(|others| others.iter().all(is_other))
    }

    /// An owner knows who the candidates are that may have to tell hosts of LinK from strangers, or may not
    /// be heard itself.
    pub(super) fn needs_candidates(&self) -> bool {
        let tells_strangers = self.config.loss == LossPolicy::Probe;
        self.state == State::Activated && (tells_strangers || self.hears_nobody())
    }

    pub(super) fn on_candidates_outdated(&mut self) {
        let settled = !self.handover.awaits_announcement() && self.departure == Departure::Stays;
        if settled && self.needs_candidates() && matches!(self.lease, Lease::Held(_)) {
            self.etcd.candidates.outdate();
        }
        // A standby may have to decide with them what it cannot ask etcd any more: it keeps what it has.
        if self.state == State::Standby && self.etcd.candidates.are_current() {
            self.etcd.candidates.set_due(true);
        }
    }

    /// Whether the other host that is heard to have the address, if any, wins the tie-break.
    pub(super) fn other_wins(&self) -> Option<bool> {
        match self.wire.probe {
            Probe::Off | Probe::Asked | Probe::Silent => None,
            Probe::Answered { wins_tie_break } | Probe::Claimed { wins_tie_break } => {
                Some(wins_tie_break)
            }
        }
    }

    fn due_by_probe(&self, other_wins: Option<bool>) -> Option<Event> {
        match other_wins {
            None => (self.wire.probe == Probe::Silent).then_some(Event::Fault),
            // Both have it: a left-over here, or there.
            Some(false) => self.has_address().then_some(Event::Fault),
            Some(true) => self.has_address().then_some(Event::Demoted),
        }
    }

    /// Has the network asked for as long as only it can tell who has the address.
    pub(super) fn settle_probe(&mut self, actions: &mut Vec<Action>) {
        let lost = self.lease == Lease::Lost && !self.assumes_owner();
        let by_policy = match self.state {
            // An owner goes on asking: the network may have been in two parts, with one in each.
            State::Activated | State::Standby => self.loss() == LossPolicy::Probe,
            // What the kernel does not take is not there, and others are not to yield to a question about it.
            State::Failing => (self.has_address() && self.addresses.bound) || self.may_be_last(),
        };
        let wanted = (lost && by_policy && !self.has_left())
            || self.owner_wait.waits()
            || self.asks_before_it_comes_back()
            || self.ownership() == Ownership::Joined;
        let asked = self.wire.probe != Probe::Off;
        // Whoever has claimed the address may be gone before it is asked for it.
        let anew = self.state == State::Standby && matches!(self.wire.probe, Probe::Claimed { .. });
        if asked && (!wanted || anew) {
            self.ask_network_anew(actions);
        }
        if wanted && self.wire.probe == Probe::Off {
            self.wire.probe = Probe::Asked;
            actions.push(Action::Probe(true));
        }
    }

    /// What was heard before counts no more.
    pub(super) fn ask_network_anew(&mut self, actions: &mut Vec<Action>) {
        if self.wire.probe != Probe::Off {
            self.wire.probe = Probe::Off;
            actions.push(Action::Probe(false));
        }
    }
}
