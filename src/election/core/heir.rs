//! A host that took the IP while etcd was lost, when etcd is back and still has the lock of another.
//!
//! That one may have died meanwhile, and its lock goes on living as long as its lease, which begins
//! again with etcd. So the address stays until the owner is heard: in etcd, where it offers the IP
//! anew as soon as it is back and then writes its lock, or on the network.
//!
//! On the network, an owner cannot be told from another host that took the IP as well. Of these, all
//! that come after another let go at once ([`AGREE`]); who is heard then has stayed for another reason.

use std::time::{Duration, Instant};

use super::Core;
use crate::election::message::Action;
use crate::fsm::State;
use crate::lock::Holder;

/// How long the hosts that took the IP have to agree on one of them. Less than half of the second
/// within which all but the owner have let go.
const AGREE: Duration = Duration::from_millis(350);

/// How long an owner may be silent. One that has a lock for longer renews its lease, and the network
/// between the two hosts does not work; leases of a sensible length end sooner.
const SILENT: Duration = Duration::from_secs(60);

/// The owner is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heir {
    /// When the lock was last written, by whomever.
    written: i64,
    /// An owner that has offered the IP after this revision is back.
    revision: i64,
    /// The offers have to be read again.
    asks: bool,
    /// Until when others that took the IP may still be heard.
    agree: Option<Instant>,
    /// When it is not waited any more.
    until: Instant,
}

impl Heir {
    pub(super) fn deadline(&self) -> Instant {
        self.agree.unwrap_or(self.until)
    }

    pub(super) fn asks(&self) -> bool {
        self.asks
    }
}

impl Core {
    /// Remembers, when etcd is lost, how much of it was heard; if it was lost before and nobody knows yet
    /// what came of that, how much was heard then.
    pub(super) fn remember_loss(&mut self) {
        let seen = self.lock.as_ref().map_or(0, |lock| lock.revision);
        self.lost_at.get_or_insert(seen.max(self.heard));
    }

    /// Whether the address stays until that owner is heard.
    pub(super) fn waits_to_hear(
        &mut self,
        holder: &Holder,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(lost_at) = self.lost_at else { return false };
        let hears = self.health.interface_is_usable() && self.handover.is_none();
        if !hears || self.state != State::Activated {
            self.forget_owner();
            return false;
        }
        let written = holder.written;
        // Of a host that has heard nothing before nobody can tell who was back first.
        let newest = self.lock.as_ref().map_or(0, |lock| lock.revision);
        let revision = if lost_at > 0 { lost_at } else { newest };
        match &mut self.heir {
            Some(heir) if heir.written == written => {}
            // Another host that took the IP may have let go of it, or the owner is back.
            Some(heir) => {
                (heir.written, heir.asks) = (written, true);
                actions.push(Action::Announce);
            }
            None => {
                let (agree, until) = (Some(now + AGREE), now + SILENT);
                self.heir = Some(Heir { written, revision, asks: true, agree, until });
                self.ask_network_anew(actions);
            }
        }
        self.reason = format!("{} holds the lock, and is not heard", holder.host);
        true
    }

    pub(super) fn forget_owner(&mut self) {
        self.heir = None;
        self.lost_at = None;
    }

    /// Looks at the offers for a sign of the owner, if they were read.
    pub(super) fn look_for_owner(
        &mut self,
        read_at: Option<i64>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let holder = self.lock.as_ref().and_then(|lock| lock.holder.as_ref());
        let (Some(heir), Some(holder), Some(read_at)) = (&mut self.heir, holder, read_at) else {
            return;
        };
        // The owner offers the IP before it writes the lock.
        if !heir.asks || read_at < heir.written {
            return;
        }
        heir.asks = false;
        let mut others = self.others.iter().flatten();
        let offer = others.find(|other| other.host == holder.host);
        if offer.is_none_or(|offer| offer.written > heir.revision) {
            self.let_go(now, actions);
        }
    }

    /// Another host has the address, too. True if the owner was waited for.
    pub(super) fn hear_owner(
        &mut self,
        wins_tie_break: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(heir) = self.heir else { return false };
        if wins_tie_break || heir.agree.is_none() {
            self.let_go(now, actions);
        }
        true
    }

    pub(super) fn on_heir_timer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(heir) = &mut self.heir else { return };
        if now >= heir.until {
            self.let_go(now, actions);
        } else if heir.agree.take_if(|at| now >= *at).is_some() {
            actions.push(Action::Announce);
            self.ask_network_anew(actions);
        }
    }

    /// Ends the waiting if this host can no longer be the one to have the IP meanwhile.
    pub(super) fn settle_heir(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.heir.is_none() {
            return;
        }
        if self.state != State::Activated || self.handover.is_some() {
            self.let_go(now, actions);
        }
    }

    fn let_go(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.forget_owner();
        self.on_other(now, actions);
    }

    /// What was heard before counts no more.
    fn ask_network_anew(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.probing) {
            actions.push(Action::Probe(false));
        }
    }
}
