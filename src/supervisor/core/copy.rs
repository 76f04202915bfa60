//! The local copy of what is registered: it follows the table, at a pace that grows with it.
//!
//! Each copy is of all IPs, so that a thousand that are registered one after the other would cost half
//! a million records; at a few microseconds a record, so long a pause makes it a few percent of the time.

use std::time::Duration;

use super::start::Start;
use super::stop::Life;
use super::{Action, Core, Timer};
use crate::store::{At, Instance, LocalCopy, Record};
use crate::vip::VipId;

/// Between two copies, for each IP.
const PAUSE: Duration = Duration::from_micros(200);

/// What is known of the local copy.
#[derive(Clone, Debug)]
pub(super) struct CopyState {
    /// What a former life has left.
    former: Option<LocalCopy>,
    instance: Instance,
    /// When in the history of etcd this host wrote last.
    at: At,
    /// The same, when etcd had all that is registered here. What etcd lacks after that was deleted there;
    /// what it lacks before, it has lost.
    complete: At,
    /// IPs that were deleted while etcd was lost, until their records are seen to be gone.
    deleted: Vec<VipId>,
    due: bool,
    pausing: bool,
}

impl CopyState {
    pub(super) fn of(instance: &Instance) -> CopyState {
        let (at, instance) = (At::default(), instance.clone());
        let (complete, deleted) = (at, Vec::new());
        CopyState { former: None, instance, at, complete, deleted, due: false, pausing: false }
    }

    pub(super) fn found(&mut self, copy: LocalCopy) {
        self.complete = At { cluster: copy.cluster, revision: copy.written };
        self.deleted.clone_from(&copy.deleted);
        self.former = Some(copy);
    }

    /// Takes note of an IP that etcd has still to be told is deleted.
    pub(super) fn deleted_alone(&mut self, id: VipId) {
        if let Some(former) = &mut self.former {
            former.records.retain(|record| record.id != id);
        }
        self.deleted.push(id);
        self.due = true;
    }

    pub(super) fn has_deleted(&self, id: &VipId) -> bool {
        self.deleted.contains(id)
    }

    /// Of what was deleted alone, etcd has these records still.
    pub(super) fn deleted_are(&mut self, records: &[Record]) {
        let before = self.deleted.len();
        self.deleted.retain(|id| records.iter().any(|record| record.id == *id));
        self.due |= self.deleted.len() != before;
    }

    pub(super) fn former(&self) -> Option<&LocalCopy> {
        self.former.as_ref()
    }

    /// Takes note of a write of this host.
    pub(super) fn wrote(&mut self, at: At) {
        if at.cluster != self.at.cluster || at.revision > self.at.revision {
            self.is_at(at);
        }
    }

    /// Takes note of when this host wrote last, as etcd says; also if that was later before: etcd was
    /// restored.
    pub(super) fn is_at(&mut self, at: At) {
        if self.at != at {
            self.at = at;
            self.due = true;
        }
    }

    /// What a former life has left was taken over.
    pub(super) fn forget_former(&mut self) {
        self.former = None;
    }

    pub(super) fn changed(&mut self) {
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
        let ips = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        self.arm(Timer::Copy, PAUSE * ips);
    }

    /// Writes the copy if it is not what is registered. An agent that stops has given up IPs that are.
    pub(super) fn copy_now(&mut self) {
        let follows = self.start == Start::Loaded && self.life == Life::Running;
        if !std::mem::take(&mut self.copy.due) || !follows {
            return;
        }
        if self.table.iter().all(|(_, vip)| vip.stored || !vip.is_registered()) {
            self.copy.complete = self.copy.at;
        }
        let copy = LocalCopy {
            host: self.config.host.clone(),
            lease: self.lease.saved,
            cluster: self.copy.complete.cluster,
            written: self.copy.complete.revision,
            instance: Some(self.copy.instance.clone()),
            deleted: self.copy.deleted.clone(),
            ..LocalCopy::default()
        };
        let bytes = copy.to_bytes(self.table.registered());
        self.out.push(Action::WriteCopy(bytes));
    }

    /// Writes what the former life has left, but for what was deleted since: etcd was not read yet.
    pub(super) fn copy_former(&mut self) {
        if let Some(former) = self.copy.former() {
            let copy = LocalCopy { deleted: self.copy.deleted.clone(), ..former.clone() };
            self.out.push(Action::WriteCopy(copy.to_bytes(copy.records.iter())));
        }
    }
}
