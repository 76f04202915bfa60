//! To whom the neighbours send what is meant for the IP: to whichever host has announced it last. An owner
//! announces it again when another host may have done so since, as soon as it is known whose the IP is; a
//! host that lets go for an owner has it announced, by writing its lock again as it is. A Go LinK takes no
//! notice of that: the host that has let go announces the IP for it. So does one that lets go for an owner
//! which it has heard: an etcd that is just back may be slow.

use super::lock::Ownership;
use super::{Action, Core};
use crate::fsm::State;

/// To whom the neighbours may send what is meant for the IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Neighbours {
    /// To the owner.
    Settled,
    /// More than one host may have announced the IP, this one among them.
    Contested,
    /// The same, and this host lets go for an owner that it hears.
    Yielded,
    /// The same, and the owner does not announce it again, or not soon.
    Forsaken,
}

/// For whom the lock is to be written again as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Acknowledgement {
    None,
    /// The owner with this lease: this host has let go of the address, or hears it again.
    OfOwner(i64),
    /// The others: this host has lost etcd and is back; it may be the owner still.
    OfReturn,
    /// The host that has passed the lock on, if it does not write it again soon: it may be deaf, and then does
    /// not hear that this host has the IP.
    OfPassing,
}

impl Core {
    pub(super) fn settle_acknowledgement(&mut self) {
        let ownership = self.ownership();
        let holder = self.etcd.lock.known_holder().map(|holder| holder.lease);
        match self.owed {
            // Nothing is owed to an owner that was; but the neighbours may send to this host still.
            Acknowledgement::OfOwner(lease)
                if ownership != Ownership::Unknown && holder != Some(lease) =>
            {
                self.owed = Acknowledgement::None;
                self.neighbours = Neighbours::Contested;
            }
            Acknowledgement::OfReturn | Acknowledgement::OfPassing
                if !matches!(ownership, Ownership::Unknown | Ownership::Mine) =>
            {
                self.owed = Acknowledgement::None;
            }
            Acknowledgement::None
            | Acknowledgement::OfOwner(_)
            | Acknowledgement::OfReturn
            | Acknowledgement::OfPassing => {}
        }
        // The owner of a group does not watch this lock.
        let unwatched = ownership == Ownership::Grouped && !self.has_address();
        if unwatched && !self.addresses.bound && self.neighbours != Neighbours::Settled {
            self.neighbours = Neighbours::Forsaken;
        }
        let others = ownership == Ownership::Other && self.lets_go();
        let after = match self.neighbours {
            Neighbours::Contested => Neighbours::Settled,
            Neighbours::Yielded => Neighbours::Forsaken,
            Neighbours::Settled | Neighbours::Forsaken => return,
        };
        if let Some(holder) = holder.filter(|_| others) {
            self.owed = Acknowledgement::OfOwner(holder);
            self.neighbours = after;
        }
    }

    /// Announces what others may have announced, as soon as it is known whose it is.
    pub(super) fn settle_neighbours(&mut self, actions: &mut Vec<Action>) {
        if self.neighbours == Neighbours::Forsaken {
            self.neighbours = Neighbours::Settled;
            actions.push(Action::AnnounceOwner);
        }
        let confirmed = self.ownership() == Ownership::Mine && !self.etcd.lock.is_doubted();
        let is_contested = matches!(self.neighbours, Neighbours::Contested | Neighbours::Yielded);
        if is_contested && confirmed && self.is_ordered() {
            self.neighbours = Neighbours::Settled;
            // Whoever adds an address announces it.
            if !actions.contains(&Action::Bind) {
                actions.push(Action::Announce);
            }
        }
    }

    /// The owner was told that this host has let go, or hears it again.
    pub(super) fn acknowledged(&mut self) {
        self.owed = Acknowledgement::None;
        if self.ownership() == Ownership::Other && self.owner_is_go_link() {
            self.neighbours = Neighbours::Forsaken;
        }
    }

    fn owner_is_go_link(&self) -> bool {
        let holder = self.etcd.lock.known_holder();
        let mut others = self.etcd.candidates.last_known().unwrap_or_default().iter();
        others.any(|it| it.lease == 0 && holder.is_some_and(|holder| holder.host == it.host))
    }

    pub(super) fn on_owner_heard_again(&mut self) {
        let waits = self.state == State::Standby && self.ownership() == Ownership::Other;
        if let (true, Some(holder)) = (waits, self.etcd.lock.known_holder()) {
            self.owed = Acknowledgement::OfOwner(holder.lease);
        }
    }
}
