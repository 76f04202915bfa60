//! What is done without etcd: by policy, and by what the network says of the address.

use super::{Action, Core, Probe};
use crate::fsm::{Event, State};
use crate::lock::Lease;
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
                let lets_go = self.loss() == LossPolicy::Probe && other_wins == Some(true);
                lets_go.then_some(Event::Demoted)
            }
            State::Standby => match self.loss() {
                LossPolicy::Take => Some(Event::Fault),
                LossPolicy::Hold => self.has_address().then_some(Event::Fault),
                LossPolicy::Probe => self.due_by_probe(other_wins),
            },
            // The service is dead here: whoever has the IP may keep it.
            State::Failing => {
                let lets_go = other_wins.is_some() || !self.keeps_last();
                (lets_go && self.has_address()).then_some(Event::Demoted)
            }
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
            State::Failing => self.has_address(),
        };
        let wanted = (lost && by_policy && !self.has_left()) || self.owner_wait.waits();
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
