//! The local copy of what is registered: it follows the table.
//!
//! What has changed is written behind the copy. All is written anew when the changes have become as many as
//! the IPs, so that a change costs the same however many there are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::start::Start;
use super::stop::Life;
use super::{Action, Core, Timer};
use crate::store::{At, Found, Instance, LocalCopy, Mark, Record};
use crate::vip::VipId;

/// Between two times that something is written, which a disk has to do at once: etcd may be on the same.
const PAUSE: Duration = Duration::from_millis(20);

/// So many changes are always written behind a copy.
const CHANGES: usize = 100;

/// What is known of the local copy.
#[derive(Clone, Debug)]
pub(super) struct CopyState {
    /// What a former life has left.
    former: Option<LocalCopy>,
    instance: Instance,
    /// The name of the history that goes into marks; empty until it is known.
    history: String,
    /// This host's mark in etcd: when in which history it wrote last.
    mark: Mark,
    /// The same, when etcd had all that is registered here. What etcd lacks after that was deleted there;
    /// what it lacks before, it has lost.
    complete: Mark,
    /// IPs that were deleted while etcd was lost, until their records are seen to be gone. By their
    /// addresses: an old copy may know an IP under another id than etcd.
    deleted: Vec<IpAddr>,
    /// Addresses of records that etcd has and the table has not: they are being removed there. A later life
    /// is to remove them, too.
    strays: BTreeSet<IpAddr>,
    /// Until when this host is drained, in seconds since 1970; 0: until it is told otherwise.
    pub(super) drained_until: Option<u64>,
    /// What may have changed since something was written.
    changed: BTreeSet<VipId>,
    /// How many changes may still be written behind the copy; none if it has to be written as a whole.
    room: usize,
    due: bool,
    pausing: bool,
}

impl CopyState {
    pub(super) fn of(instance: &Instance) -> CopyState {
        CopyState {
            former: None,
            instance: instance.clone(),
            history: String::new(),
            mark: Mark::default(),
            complete: Mark::default(),
            deleted: Vec::new(),
            strays: BTreeSet::new(),
            drained_until: None,
            changed: BTreeSet::new(),
            room: 0,
            due: false,
            pausing: false,
        }
    }

    pub(super) fn found(&mut self, copy: LocalCopy) {
        self.complete = Mark::of_copy(&copy);
        self.deleted.clone_from(&copy.deleted);
        self.drained_until = copy.drained_until;
        self.former = Some(copy);
    }

    /// Takes note of an IP that etcd has still to be told is deleted.
    pub(super) fn deleted_alone(&mut self, address: IpAddr) {
        if let Some(former) = &mut self.former {
            former.records.retain(|record| record.cidr.addr() != address);
        }
        self.deleted.push(address);
        self.due = true;
    }

    /// Takes note of an IP that is registered anew.
    pub(super) fn created(&mut self, address: IpAddr) {
        self.deleted.retain(|deleted| *deleted != address);
        self.due = true;
    }

    pub(super) fn has_deleted(&self, record: &Record) -> bool {
        self.deleted.contains(&record.cidr.addr())
    }

    /// Of what was deleted alone, etcd has these records still.
    pub(super) fn deleted_are(&mut self, records: &[Record]) {
        let before = self.deleted.len();
        self.deleted.retain(|address| records.iter().any(|it| it.cidr.addr() == *address));
        self.due |= self.deleted.len() != before;
    }

    /// These records are being removed from etcd.
    pub(super) fn strays_are(&mut self, records: &[Record]) {
        let strays = records.iter().map(|record| record.cidr.addr()).collect();
        if self.strays != strays {
            self.strays = strays;
            self.due = true;
        }
    }

    pub(super) fn former(&self) -> Option<&LocalCopy> {
        self.former.as_ref()
    }

    /// The name of the history that goes into marks.
    pub(super) fn history(&self) -> &str {
        &self.history
    }

    /// Takes note of a write of this host.
    pub(super) fn wrote(&mut self, at: At) {
        let before = self.mark.at;
        if at.cluster != before.cluster || at.revision > before.revision {
            self.mark = Mark { at, history: self.history.clone() };
            self.due = true;
        }
    }

    /// Takes note of the mark as etcd has it. An etcd that lacks what this host wrote was restored or began
    /// anew: another history begins, with a name of its own. Tells whether a mark with it has still to be
    /// written.
    pub(super) fn mark_is(&mut self, found: Mark, name: impl FnOnce() -> String) -> bool {
        let starts = self.history.is_empty();
        let is_lost = if starts { &self.complete } else { &self.mark }.is_lost_in(&found);
        if starts && !is_lost {
            self.history.clone_from(&found.history);
        }
        // One that has begun and is in no mark yet is as good as another.
        if self.history.is_empty() || is_lost && self.mark.history == self.history {
            self.history = name();
        }
        if self.mark != found {
            self.mark = found;
            self.due = true;
        }
        self.mark.history != self.history
    }

    /// What a former life has left was taken over.
    pub(super) fn forget_former(&mut self) {
        self.former = None;
        self.is_lost();
    }

    /// Something is different that belongs to no IP.
    pub(super) fn changed(&mut self) {
        self.due = true;
    }

    /// An IP has come, has changed, or is registered no more.
    pub(super) fn ip_changed(&mut self, id: &VipId) {
        self.changed.insert(id.clone());
        self.due = true;
    }

    /// What is on disk is not what was written there, or is to be another.
    pub(super) fn is_lost(&mut self) {
        self.room = 0;
        self.due = true;
    }

    pub(super) fn may_write_again(&mut self) {
        self.pausing = false;
    }
}

impl Core {
    /// Writes the copy if it is not what is registered, unless it was written a moment ago.
    pub(super) fn write_copy(&mut self) {
        // A copy of less than what is registered is worse than none.
        if !self.copy.due || self.copy.pausing || self.start != Start::Loaded {
            return;
        }
        self.copy_now();
        self.copy.pausing = true;
        self.arm(Timer::Copy, PAUSE);
    }

    /// Writes the copy if it is not what is registered. An agent that stops has given up IPs that are.
    pub(super) fn copy_now(&mut self) {
        let follows = self.start == Start::Loaded && self.life == Life::Running;
        if !std::mem::take(&mut self.copy.due) || !follows {
            return;
        }
        if self.table.are_all_stored() {
            self.copy.complete = self.copy.mark.clone();
        }
        let changed = std::mem::take(&mut self.copy.changed);
        let copy = self.copy_of_none();
        let action = match self.copy.room.checked_sub(changed.len() + 1) {
            Some(left) => {
                self.copy.room = left;
                let record = |id| self.registered(id).map(|(_, vip)| &vip.record);
                let changed: Vec<_> = changed.iter().map(|id| (id, record(id))).collect();
                Action::AppendToCopy(copy.change_to_bytes(&changed))
            }
            None => {
                self.copy.room = self.table.len().max(CHANGES);
                Action::WriteCopy(copy.to_bytes(self.table.registered()))
            }
        };
        self.out.push(action);
    }

    /// A copy with no IPs yet.
    fn copy_of_none(&self) -> LocalCopy {
        let registered =
            |address| self.table.at(address).is_some_and(|(_, vip)| vip.is_registered());
        let strays = self.copy.strays.iter().filter(|address| !registered(**address));
        LocalCopy {
            host: self.config.host.clone(),
            lease: self.lease.saved,
            cluster: self.copy.complete.at.cluster,
            written: self.copy.complete.at.revision,
            history: self.copy.complete.history.clone(),
            instance: Some(self.copy.instance.clone()),
            deleted: self.copy.deleted.iter().chain(strays).copied().collect(),
            drained_until: self.copy.drained_until,
            groups: self.table.groups_to_copy(),
            ..LocalCopy::default()
        }
    }

    /// Takes note of the mark of this host as etcd has it.
    pub(super) fn note_mark(&mut self, found: &Found, at: At) {
        // Only what is unique of an id: it names no IP.
        let name = || (self.config.new_id)().to_string().replace("vip-", "");
        if self.copy.mark_is(Mark::of(found, at), name) {
            self.lease.stale = true;
        }
    }

    /// The name of the history of etcd in which this host believes; its writes carry it.
    pub fn history(&self) -> &str {
        self.copy.history()
    }

    /// Writes what the former life has left, but for what was told since: etcd was not read yet.
    pub(super) fn copy_former(&mut self) {
        if let Some(former) = self.copy.former() {
            let (deleted, drained_until) = (self.copy.deleted.clone(), self.copy.drained_until);
            let copy = LocalCopy { deleted, drained_until, ..former.clone() };
            self.out.push(Action::WriteCopy(copy.to_bytes(copy.records.iter())));
        }
    }
}
