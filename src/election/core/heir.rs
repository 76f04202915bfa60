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
use super::lock::Ownership;
use crate::election::message::{Action, Holder, Lease};
use crate::fsm::State;

/// How long the hosts that took the IP have to agree on one of them. Less than half of the second
/// within which all but the owner have let go.
const AGREE: Duration = Duration::from_millis(350);

/// How long a host that hears etcd, and is not heard by it, waits: it cannot look for the owner there.
const HALF_BACK: Duration = Duration::from_millis(700);

/// How long an owner may be silent. One that has a lock for longer renews its lease, and the network
/// between the two hosts does not work; leases of a sensible length end sooner.
const SILENT: Duration = Duration::from_secs(60);

/// What was known of the lock when etcd was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Unknown,
    /// It was attached to the lease of another host, and this was the newest revision.
    Other { lease: i64, revision: i64 },
}

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
    /// Remembers, when etcd is lost, what is known of the lock. If it is not another's, whoever has it
    /// when etcd is back has got it since.
    pub(super) fn remember_owner(&mut self) {
        let lock = self.lock.as_ref();
        let newest = lock.map_or(0, |lock| lock.revision.max(self.heard));
        let holder = lock.and_then(|lock| lock.holder.as_ref());
        self.before = match (self.ownership(), holder) {
            // Not much was seen of etcd since it was lost before.
            (Ownership::Unknown, _) => self.before.or(Some(Before::Unknown)),
            (Ownership::Other, Some(&Holder { lease, .. })) => match self.before {
                Some(Before::Other { lease: known, .. }) if known == lease => self.before,
                Some(_) | None => Some(Before::Other { lease, revision: newest }),
            },
            (Ownership::Free | Ownership::Mine | Ownership::Ghost | Ownership::Other, _) => None,
        };
    }

    /// Whether the address stays until that owner is heard.
    pub(super) fn waits_to_hear(
        &mut self,
        holder: &Holder,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let revision = match self.before {
            Some(Before::Other { lease, revision }) if lease == holder.lease => revision,
            Some(Before::Unknown) => self.lock.as_ref().map_or(0, |lock| lock.revision),
            Some(Before::Other { .. }) | None => return self.waits_no_more(),
        };
        let hears = self.health.interface_is_usable() && self.handover.is_none();
        if !hears || self.state != State::Activated {
            return self.waits_no_more();
        }
        let written = holder.written;
        match &mut self.heir {
            Some(heir) if heir.written == written => {}
            // Another host that took the IP may have let go of it, or the owner is back.
            Some(heir) => {
                (heir.written, heir.asks) = (written, true);
                actions.push(Action::Announce);
            }
            None => {
                let held = matches!(self.lease, Lease::Held(_));
                let (agree, until) =
                    (Some(now + AGREE), now + if held { SILENT } else { HALF_BACK });
                self.heir = Some(Heir { written, revision, asks: true, agree, until });
                self.ask_network_anew(actions);
            }
        }
        self.reason = format!("{} holds the lock, and is not heard", holder.host);
        true
    }

    fn waits_no_more(&mut self) -> bool {
        self.forget_owner();
        false
    }

    pub(super) fn forget_owner(&mut self) {
        self.heir = None;
        self.before = None;
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
        precedes: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(heir) = self.heir else { return false };
        if precedes || heir.agree.is_none() {
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
