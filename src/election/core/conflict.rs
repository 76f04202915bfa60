//! A stranger on the network has the address of which this host is the owner: by mistake, or because
//! it belongs to another cluster. The address is defended as RFC 5227 says (2.4), at most once in 10 s,
//! so that two owners that hear each other never make a storm.

use super::lock::Ownership;
use super::{Core, Neighbours, Probe};
use crate::fsm::State;
use crate::network::Mac;

/// Whether another machine claims the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// None does.
    None,
    /// It did once, and the address was defended.
    Defended,
    /// It did again since.
    Claimed,
    /// The address was defended once more.
    DefendedAgain,
    /// It goes on in spite of that.
    Persists {
        /// The address was claimed since the last defence.
        claimed: bool,
    },
}

impl Core {
    pub(super) fn on_claim(&mut self, from: Mac, wins_tie_break: bool) {
        if self.handover.hears_announcement(from) {
            return;
        }
        let counts = self.state != State::Activated || !self.is_stranger(from);
        if self.wire.probe != Probe::Off && counts {
            self.wire.probe = Probe::Claimed { wins_tie_break };
        }
        // The election of a group of this host's would have taken the address over by now, or does so at once: it is
        // another host's. Who that is this host need not know: it looks at no candidates any more.
        if self.ownership() == Ownership::Joined {
            self.etcd.lock.leave_to_group();
        }
        let owns = self.ownership() == Ownership::Mine && self.is_ordered();
        if owns {
            self.wire.conflict = match self.wire.conflict {
                Conflict::None => {
                    self.revalidate();
                    Conflict::Defended
                }
                Conflict::Defended | Conflict::Claimed => Conflict::Claimed,
                Conflict::DefendedAgain | Conflict::Persists { .. } => {
                    Conflict::Persists { claimed: true }
                }
            };
        } else if self.has_address() {
            // Whose it is comes out later; until then the neighbours may send to the other.
            self.neighbours = Neighbours::Contested;
        }
    }

    /// So long ago was the address defended.
    pub(super) fn on_defence_due(&mut self) {
        self.wire.conflict = match self.wire.conflict {
            Conflict::Claimed => Conflict::DefendedAgain,
            Conflict::Persists { claimed: true } => Conflict::Persists { claimed: false },
            Conflict::None
            | Conflict::Defended
            | Conflict::DefendedAgain
            | Conflict::Persists { claimed: false } => Conflict::None,
        };
        if self.wire.conflict != Conflict::None {
            self.revalidate();
        }
    }

    /// Only an owner is in conflict with others.
    pub(super) fn settle_conflict(&mut self) {
        if !matches!(self.ownership(), Ownership::Mine | Ownership::Unknown) {
            if matches!(
                self.wire.conflict,
                Conflict::Claimed | Conflict::Persists { claimed: true }
            ) {
                self.neighbours = Neighbours::Contested;
            }
            self.wire.conflict = Conflict::None;
        }
    }
}
