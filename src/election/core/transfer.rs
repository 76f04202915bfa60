//! How the IP is given to another host: make before break.
//!
//! The lock is written for the other host in one transaction, guarded by its candidacy, so that it
//! goes to a candidate or stays. The other binds and announces; only when this host has heard that on
//! the network does it let go of the address. A host that is not heard in time did not take it: the
//! lock is taken back, and the next candidate gets it. Who hears nobody waits for nothing: nobody has
//! the IP from such a host. It may not know that yet, so that neighbours are asked while etcd is: if none
//! answers, it is enough that the other says in etcd that it has the IP.
//!
//! A Go LinK attaches its candidacy to no lease, so that the lock cannot be written for it: the lock is
//! deleted instead, and the address stays until the Go LinK has taken it.

use super::lock::Ownership;
use super::{Core, Departure, Neighbours};
use crate::fsm::State;
use crate::lock::{Advertisement, Candidacy, Candidate, Request};
use crate::network::{Hearing, Mac};
use crate::policy::AllFailingPolicy;

/// The lock on its way to another host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handover {
    pub(super) transfer: Transfer,
    /// The hosts that got the lock and were not heard on the network, or have given it back.
    pub(super) unheard: Vec<String>,
    /// None of the neighbours has answered that were asked.
    is_alone: bool,
}

/// Whether anybody is heard on an interface with this hardware address: on a loopback nobody is.
fn resolves_addresses(mac: Mac) -> bool {
    mac != [0; 6]
}

/// How far a transfer has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transfer {
    None,
    /// etcd was asked, and has not confirmed it.
    Asked {
        to: Candidate,
        /// The other was heard to announce the IP all the same.
        heard: bool,
    },
    /// The lock was written for the other, at this revision; the other has to be heard.
    Confirmed {
        to: Candidate,
        written: i64,
    },
    /// The other was not heard in time: the lock is taken back.
    Overdue {
        to: Candidate,
        written: i64,
        /// It is heard now, while etcd is being asked.
        heard: bool,
    },
}

impl Handover {
    pub(super) fn none() -> Handover {
        Handover { transfer: Transfer::None, unheard: Vec::new(), is_alone: false }
    }

    pub(super) fn awaits_announcement(&self) -> bool {
        self.transfer != Transfer::None
    }

    /// Whether a claim is the announcement for which this host waits. An older agent and a Go LinK do
    /// not tell their hardware address: any claim is taken for theirs.
    pub(super) fn hears_announcement(&mut self, from: Mac) -> bool {
        let (Transfer::Asked { to, .. }
        | Transfer::Confirmed { to, .. }
        | Transfer::Overdue { to, .. }) = &self.transfer
        else {
            return false;
        };
        if to.hardware_address.is_some_and(|mac| mac != from) {
            return false;
        }
        match &mut self.transfer {
            Transfer::Asked { heard, .. } | Transfer::Overdue { heard, .. } => *heard = true,
            Transfer::None | Transfer::Confirmed { .. } => self.transfer = Transfer::None,
        }
        true
    }

    /// etcd is asked to write the lock for another host.
    pub(super) fn begin(&mut self, to: Candidate) {
        self.transfer = Transfer::Asked { to, heard: false };
        self.is_alone = false;
    }

    /// What the neighbours have said.
    pub(super) fn hears(&mut self, hearing: Hearing) {
        self.is_alone = self.awaits_announcement() && hearing == Hearing::Nobody;
    }

    pub(super) fn is_overdue(&mut self) {
        if let Transfer::Confirmed { to, written } = &self.transfer {
            self.transfer = Transfer::Overdue { to: to.clone(), written: *written, heard: false };
        }
    }
}

impl Core {
    /// Brings a transfer in line with what is known of the lock.
    pub(super) fn settle_transfer(&mut self) {
        if self.handover.transfer == Transfer::None || !self.etcd.lock.is_known() {
            return;
        }
        let asking = self.etcd.pending.is_some();
        let hears = self.health.usable_interface().is_some_and(resolves_addresses)
            && !self.hears_nobody()
            && self.addresses.bound
            && self.addresses.ordered != Some(false);
        let holder = self.etcd.lock.known_holder();
        let held_at =
            |to: &Candidate| holder.filter(|holder| holder.lease == to.lease).map(|it| it.written);
        let speaks = |to: &Candidate| to.hardware_address.is_none_or(resolves_addresses);
        let transfer = std::mem::replace(&mut self.handover.transfer, Transfer::None);
        self.handover.transfer = match transfer {
            Transfer::Asked { to, heard } => match held_at(&to) {
                Some(written) if hears && speaks(&to) && !heard => {
                    Transfer::Confirmed { to, written }
                }
                None if asking => Transfer::Asked { to, heard },
                None if heard => {
                    self.neighbours = Neighbours::Contested;
                    Transfer::None
                }
                Some(_) | None => Transfer::None,
            },
            // The new owner has written it again, because nobody has told that it is heard.
            Transfer::Confirmed { to, written }
                if held_at(&to).is_some_and(|at| at > written) && self.handover.is_alone =>
            {
                Transfer::None
            }
            Transfer::Confirmed { to, written } if held_at(&to).is_some() && hears => {
                Transfer::Confirmed { to, written }
            }
            Transfer::Overdue { to, written, heard }
                if held_at(&to) == Some(written) && (asking || !heard) =>
            {
                Transfer::Overdue { to, written, heard }
            }
            // If the lock is still there, it was written again since: by the new owner, or by a host that
            // has heard that one. If it is back, that one does not get it again at once.
            Transfer::Confirmed { to, .. } | Transfer::Overdue { to, .. } => {
                if self.ownership() == Ownership::Mine {
                    self.neighbours = Neighbours::Contested;
                    self.handover.unheard.push(to.host);
                }
                Transfer::None
            }
            Transfer::None => Transfer::None,
        };
    }

    /// The request that brings the lock to another host; nothing if there is none, or if it is done.
    pub(super) fn next_transfer(&self, lease: i64, candidacy: Candidacy) -> Option<Request> {
        let own = self.advertisement(candidacy);
        let ownership = self.ownership();
        if !self.is_advertised(candidacy) {
            return Some(Request::Advertise { lease, own });
        }
        if !self.etcd.candidates.are_current() || ownership == Ownership::Unknown {
            return Some(Request::ReadCandidates { lease });
        }
        let to = self.candidate().filter(|_| ownership == Ownership::Mine)?;
        if to.lease == 0 {
            return Some(Request::Resign { lease, own: self.parting_words().unwrap_or(own) });
        }
        Some(Request::Transfer { lease, to: to.clone(), own: self.parting_words() })
    }

    /// The lock is gone, and was not left to a Go LinK: it has to be taken again first.
    pub(super) fn has_nothing_to_pass_on(&self) -> bool {
        let left_to_go = self.candidate().is_some_and(|to| to.lease == 0);
        self.ownership() == Ownership::Free && !left_to_go
    }

    /// A host that leaves is a candidate no more, but for the sake of a Go LinK, which watches the
    /// candidacies only, not before the lock is gone.
    pub(super) fn parting_words(&self) -> Option<Advertisement> {
        let leaves = self.departure == Departure::Leaves;
        leaves.then(|| self.advertisement(Candidacy::Withdrawn))
    }

    /// The host that gets the IP, if any can.
    pub(super) fn candidate(&self) -> Option<&Candidate> {
        let named = match &self.departure {
            Departure::HandsOver { to } => to.as_ref(),
            Departure::Stays | Departure::Leaves | Departure::Left { .. } => None,
        };
        self.etcd.candidates.current().find(|other| {
            // The lock would be left to whichever host is faster.
            let is_named = named.is_none_or(|named| *named == other.host && other.lease != 0);
            other.available && is_named && !self.handover.unheard.contains(&other.host)
        })
    }

    /// A host that fails as well, if such hosts keep what they have.
    pub(super) fn failing_candidate(&self) -> Option<&Candidate> {
        let keeps = self.config.all_failing == AllFailingPolicy::KeepLast;
        let mut others = self.etcd.candidates.current().filter(|_| keeps);
        others.find(|other| other.lease != 0 && !self.handover.unheard.contains(&other.host))
    }

    /// All is known that has to be known, and no other host could have the IP of this failing one.
    pub(super) fn is_last_resort(&self) -> bool {
        // Who has got the lock and is waited for is a candidate.
        self.keeps_last()
            && self.state == State::Failing
            && self.departure == Departure::Stays
            && self.etcd.pending.is_none()
            && self.etcd.candidates.are_current()
            && self.is_advertised(Candidacy::Unavailable)
            && self.candidate().is_none()
    }
}
