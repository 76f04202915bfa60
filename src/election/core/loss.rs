//! What is done without etcd: by policy, by what the network says of the address, and when another
//! host claims it.

use std::time::Instant;

use super::Core;
use super::lock::Ownership;
use crate::election::message::Action;
use crate::fsm::{Event, State};
use crate::lock::Lease;
use crate::network::ProbeResult;
use crate::policy::{AllFailingPolicy, LossPolicy};

const LOST: &str = "etcd cannot be reached";

impl Core {
    /// etcd is lost, or is still lost when something else has changed.
    pub(super) fn on_loss(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let has_it = self.state == State::Activated || self.has_address();
        match self.loss {
            LossPolicy::Take => self.step(Event::Fault, LOST, now, actions),
            LossPolicy::Hold if has_it => self.step(Event::Fault, LOST, now, actions),
            LossPolicy::Probe if self.state == State::Activated => {
                self.step(Event::Fault, LOST, now, actions);
            }
            LossPolicy::Hold => self.explain(&format!("{LOST}: the IP is left where it is")),
            LossPolicy::Probe => self.explain(&format!("{LOST}: the network is asked")),
        }
    }

    /// A host that was failing is well again while etcd is lost. If it has the IP still, no other host
    /// was heard to have it.
    pub(super) fn on_recovery(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.has_address() {
            self.step(Event::Fault, LOST, now, actions);
        } else {
            self.on_loss(now, actions);
        }
    }

    pub(super) fn on_loss_policy(
        &mut self,
        policy: LossPolicy,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let before = std::mem::replace(&mut self.loss, policy);
        if before != policy && self.lease == Lease::Lost && self.believed.is_none() {
            self.on_loss(now, actions);
        }
    }

    /// Doubts an owner of whom nothing was heard for too long, as at the loss itself.
    pub(super) fn end_belief(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.believed.is_some_and(|until| now >= until) {
            self.believed = None;
            self.on_loss(now, actions);
        }
    }

    /// Has the network asked for as long as only it can tell who has the address.
    pub(super) fn settle_probe(&mut self, actions: &mut Vec<Action>) {
        let lost = self.lease == Lease::Lost && self.believed.is_none() && !self.gone;
        let asks_by_policy = lost
            && match self.state {
                // An owner goes on asking: the network may have been in two parts, with one in each.
                State::Activated | State::Standby => self.loss == LossPolicy::Probe,
                State::Failing => self.has_address(),
            };
        let wanted = asks_by_policy || self.heir.is_some();
        if wanted != std::mem::replace(&mut self.probing, wanted) {
            actions.push(Action::Probe(wanted));
        }
    }

    pub(super) fn on_wire(&mut self, wire: ProbeResult, now: Instant, actions: &mut Vec<Action>) {
        if !self.probing {
            return;
        }
        if let (Some(_), ProbeResult::Answered { wins_tie_break }) = (self.heir, wire) {
            self.hear_owner(wins_tie_break, now, actions);
            return;
        }
        match (self.state, wire) {
            (State::Standby, ProbeResult::Silent) => {
                self.step(Event::Fault, &format!("{LOST}, nobody answers"), now, actions);
            }
            // Both have it: a left-over here, or there.
            (State::Standby, ProbeResult::Answered { wins_tie_break: false })
                if self.has_address() =>
            {
                self.step(Event::Fault, &format!("{LOST}, comes before another"), now, actions);
            }
            (State::Standby, ProbeResult::Answered { .. }) => {
                let why = format!("{LOST}, another host answers");
                if self.has_address() {
                    self.step(Event::Demoted, &why, now, actions);
                } else {
                    self.explain(&why);
                }
            }
            (State::Activated, ProbeResult::Answered { wins_tie_break }) => {
                self.on_claim(wins_tie_break, now, actions)
            }
            // The service is dead here, and another host has the IP.
            (State::Failing, ProbeResult::Answered { .. }) => self.order(false, actions),
            (State::Activated | State::Failing, ProbeResult::Silent) => {}
        }
    }

    /// Another host announces the address that is bound here.
    pub(super) fn on_claim(
        &mut self,
        wins_tie_break: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.hear_new_owner(now, actions) || self.hear_owner(wins_tie_break, now, actions) {
            return;
        }
        match (self.lease, self.state) {
            (Lease::Lost, State::Activated) if wins_tie_break && self.loss == LossPolicy::Probe => {
                let why = format!("{LOST}, another host has it");
                self.step(Event::Demoted, &why, now, actions);
            }
            (Lease::Lost, State::Failing) if self.has_address() => self.order(false, actions),
            (Lease::None | Lease::Held(_) | Lease::Lost, _) => self.doubt(),
        }
    }

    /// Keeps the address of a failing host where it is as long as no other host could have it, or
    /// takes it away, as the policy says.
    pub(super) fn settle_failing(&mut self, actions: &mut Vec<Action>) {
        if self.state != State::Failing || self.handover.is_some() {
            return;
        }
        let keeps = self.all_failing == AllFailingPolicy::KeepLast;
        match (self.lease, self.ownership()) {
            (Lease::Lost, _) if !keeps && self.has_address() => self.order(false, actions),
            (Lease::Held(_), Ownership::Free) if !keeps && self.has_address() => {
                self.order(false, actions);
            }
            (Lease::Held(_), Ownership::Mine) if keeps && self.has_nobody_to_give_it_to() => {
                if !std::mem::replace(&mut self.kept, true) {
                    self.order(true, actions);
                }
            }
            (Lease::None | Lease::Held(_) | Lease::Lost, _) => {}
        }
    }

    fn explain(&mut self, reason: &str) {
        if self.state != State::Failing {
            reason.clone_into(&mut self.reason);
        }
    }
}
