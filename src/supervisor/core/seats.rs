//! What is known of the election of an IP, and of a group.

use std::time::Instant;

use super::Serial;
use crate::store::{At, Group};
use crate::vip::{Cidr, ElectionKey, GroupName, Slot};

/// The election of an IP, perhaps together with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InElection {
    pub(super) place: Place,
    /// That of the election with the number of this IP that was started last, as long as it runs.
    pub(super) serial: Option<Serial>,
    /// Why there is none, if it could not be started.
    pub(super) not_started: Option<String>,
}

/// In which election an IP is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// In one of its own.
    #[default]
    Alone,
    /// In that of a group, which has the number of this IP, the first of them.
    First(Box<Seat>),
    /// In that of a group, which has this number.
    With(Slot),
}

/// What is known of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) group: Group,
    /// The number of its election, if this host has one.
    pub(super) leader: Option<Slot>,
    /// It is to be read.
    pub(super) due: bool,
    /// It is being read, or changed.
    pub(super) asked: bool,
    /// It is being changed.
    pub(super) changing: bool,
    /// Since when nobody owns it or is a candidate.
    pub(super) orphan_since: Option<Instant>,
    /// IPs that were handed to its owner lately.
    pub(super) handed: Vec<Cidr>,
    /// When in the history of etcd it was read or changed last: what was read before that is old.
    pub(super) at: At,
}

/// The election of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) name: GroupName,
    /// The revision of what belongs to the group.
    pub(super) revision: i64,
    /// The IPs, the lowest first.
    pub(super) slots: Vec<Slot>,
    /// It was told to give all of them up.
    pub(super) leaves: bool,
}

impl Seat {
    pub(super) fn key(&self) -> ElectionKey {
        ElectionKey::Group(self.name.clone(), self.revision)
    }
}
