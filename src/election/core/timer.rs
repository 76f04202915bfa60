//! The times that an election waits for: a core knows which it waits for, its driver when they come.

use std::time::Duration;

use super::conflict::Conflict;
use super::departure::Departure;
use super::request::NotBefore;
use super::transfer::Transfer;
use super::{Acknowledgement, Action, Core};
use crate::fsm::State;

/// How long an owner that hands over keeps answering while it waits for another host to take the
/// lock. Longer than the 3 s after which a Go LinK polls the lock.
pub const HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// What is waited for. Armed as long as the state lasts that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// A request to etcd has failed: until the next.
    Retry,
    /// Others go first: who has the IP, or whoever could have it.
    Courtesy,
    /// The lock was given up for whichever host finds that out by itself.
    Successor,
    /// A failover or a leave has to end.
    Handover,
    /// An owner that leaves looks whether there still is somebody to wait for: all hosts of a rack may
    /// be told to stop at once.
    Recheck,
    /// The host that got the lock has to be heard. It takes milliseconds; a busy one, some tens of them.
    Announcement,
    /// The host that has passed the lock on writes it again as it is when it has heard this one. If it does
    /// not, it may be deaf. It finds that out in 30 ms.
    Passing,
    /// Candidates that were not heard are given another try.
    Unheard,
    /// Without etcd, an owner is assumed to have the IP after it was last seen to hold the lock. Longer
    /// than the time between two reads of a watch that works.
    AssumeOwner,
    /// The hosts that took the IP while etcd was lost agree on one of them. Less than half of the second
    /// within which all but the owner have let go.
    Agreement,
    /// An owner that has lost etcd is waited for. One that has a lock for longer renews its lease, answers no
    /// calls (a Go LinK), and the network between the two hosts does not work; leases of a sensible length end
    /// sooner.
    OwnerWait,
    /// An interface is unusable. A bond that fails over and a cable that is seated anew are over by then,
    /// and a move costs more than they do.
    InterfaceDown,
    /// An interface is usable again. One that comes and goes must not make the IP come and go.
    InterfaceUp,
    /// The kernel was told to add the addresses.
    Addition,
    /// A host whose kernel did not take the addresses is given another try.
    AdditionRetry,
    /// Between two defences of an address (DEFEND_INTERVAL: RFC 5227, 2.4).
    Defence,
    /// A host that hears nobody leaves a lock that it could take to those that may hear somebody. They need
    /// less than that to find that an owner is dead.
    Isolated,
    /// A host that is preferred takes a lock that is free. It takes milliseconds; to find that an owner is dead,
    /// one host may take one and three quarter intervals of questions longer than another.
    Turn,
    /// Agents that start at the same time tell each other which IPs they offer. Machines that begin together
    /// differ by more; then it is a host alone that begins.
    Company,
    /// A host that has booted and finds its own lock leaves it to the one that has the IP. That one takes it after two
    /// seconds and the time of a call; what has not taken it then is a stranger, or the network tells nothing.
    FormerLife,
}

impl Timer {
    /// All timers.
    pub const ALL: [Timer; 20] = [
        Timer::Retry,
        Timer::Courtesy,
        Timer::Successor,
        Timer::Handover,
        Timer::Recheck,
        Timer::Announcement,
        Timer::Passing,
        Timer::Unheard,
        Timer::AssumeOwner,
        Timer::Agreement,
        Timer::OwnerWait,
        Timer::InterfaceDown,
        Timer::InterfaceUp,
        Timer::Addition,
        Timer::AdditionRetry,
        Timer::Defence,
        Timer::Isolated,
        Timer::Turn,
        Timer::Company,
        Timer::FormerLife,
    ];

    /// How long it takes; for [`Timer::Retry`], how long at first.
    pub fn duration(self) -> Duration {
        match self {
            Timer::Passing => Duration::from_millis(40),
            Timer::Retry => Duration::from_millis(50),
            Timer::Turn | Timer::Company => Duration::from_millis(300),
            Timer::Agreement => Duration::from_millis(350),
            Timer::Courtesy => Duration::from_millis(400),
            Timer::Recheck | Timer::Announcement | Timer::InterfaceDown | Timer::Addition => {
                Duration::from_millis(500)
            }
            Timer::InterfaceUp | Timer::Isolated => Duration::from_secs(1),
            Timer::Successor | Timer::Handover | Timer::FormerLife => HANDOVER_TIMEOUT,
            Timer::Defence | Timer::Unheard => Duration::from_secs(10),
            Timer::AssumeOwner => Duration::from_secs(15),
            Timer::OwnerWait | Timer::AdditionRetry => Duration::from_secs(60),
        }
    }
}

impl Core {
    /// Whether a timer is waited for.
    pub fn is_armed(&self, timer: Timer) -> bool {
        match timer {
            Timer::Retry => self.etcd.not_before == NotBefore::Retry,
            Timer::Courtesy => self.etcd.not_before == NotBefore::Courtesy,
            Timer::Successor => self.etcd.not_before == NotBefore::Successor,
            Timer::Handover => {
                matches!(self.departure, Departure::HandsOver { .. } | Departure::Leaves)
            }
            Timer::Recheck => self.waits_for_a_successor(),
            Timer::Announcement => {
                matches!(self.handover.transfer, Transfer::Confirmed { .. })
            }
            Timer::Passing => {
                self.owed == Acknowledgement::OfPassing
                    && self.addresses.bound
                    && self.hears_others()
            }
            Timer::Unheard => self.state == State::Failing && !self.handover.unheard.is_empty(),
            Timer::AssumeOwner => self.assumes_owner(),
            Timer::Agreement => self.owner_wait.agrees(),
            Timer::OwnerWait => self.owner_wait.waits(),
            Timer::InterfaceDown | Timer::InterfaceUp => self.health.awaits() == Some(timer),
            Timer::Addition => self.is_being_added(),
            Timer::AdditionRetry => self.health.cannot_add() && !self.is_ordered(),
            Timer::Defence => self.wire.conflict != Conflict::None,
            Timer::Isolated => self.waits_for_others(),
            Timer::Turn => self.waits_for_turn(),
            Timer::Company => self.gives_time_to_company(),
            Timer::FormerLife => self.leaves_its_lock(),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, actions: &mut Vec<Action>) {
        // It may have been disarmed at the last moment.
        if !self.is_armed(timer) {
            return;
        }
        match timer {
            Timer::Retry | Timer::Courtesy | Timer::Successor => {
                self.etcd.not_before = NotBefore::Now;
            }
            Timer::Handover => self.end_departure(actions),
            Timer::Recheck => self.etcd.candidates.outdate(),
            Timer::Announcement => self.handover.is_overdue(),
            Timer::Passing => self.owed = Acknowledgement::OfReturn,
            Timer::Unheard => {
                self.handover.unheard.clear();
                self.etcd.candidates.outdate();
            }
            Timer::AssumeOwner => self.etcd.lock.forget(),
            Timer::Agreement => self.on_agreement(actions),
            Timer::OwnerWait => self.owner_wait.end(),
            Timer::InterfaceDown | Timer::InterfaceUp => self.health.settle_interface(),
            Timer::Addition => self.health.added(false),
            Timer::AdditionRetry => self.health.added(true),
            Timer::Defence => self.on_defence_due(),
            Timer::Isolated => self.on_turn(),
            Timer::Turn => self.etcd.turns.passed(),
            Timer::Company => self.company_is_there(),
            Timer::FormerLife => self.etcd.lock.forget_former_life(),
        }
    }

    /// The kernel was told to add the addresses, could do so, and has not.
    fn is_being_added(&self) -> bool {
        let could = self.health.usable_interface().is_some() && !self.health.cannot_add();
        self.is_ordered() && !self.addresses.bound && could
    }
}
