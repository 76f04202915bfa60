//! The records in etcd, brought to what the table says: what was found wrong is written again.

use super::Core;
use super::stop::Life;
use super::table::{RecordRequest, Stage};
use crate::history::Kind;
use crate::store::{Found, Record, Request};
use crate::vip::Slot;

/// What may be wrong with records, and which of it is what.
const WRONG: [&str; 3] = [
    "records in etcd were missing, and are written again",
    "records in etcd cannot be read, and are written again",
    "records in etcd were changed by another program, and are written again",
];
const MISSING: usize = 0;
const GARBLED: usize = 1;
const CHANGED: usize = 2;

impl Core {
    /// Brings the records in etcd to what the table says.
    pub(super) fn mend_records(&mut self, found: &Found) {
        let mut wrong = [Vec::new(), Vec::new(), Vec::new()];
        for (slot, there) in self.table.with_records(&found.records) {
            if let Some((what, name)) = self.mend_record(slot, there, found) {
                wrong[what].push(name);
            }
        }
        for (what, names) in WRONG.iter().zip(&wrong) {
            self.warn_of(Kind::Trouble, what, names);
        }
        self.copy.deleted_are(&found.records);
        // What an agent that stops has given up stays registered.
        if self.life != Life::Running {
            return;
        }
        let extra = found.records.iter().filter(|record| {
            self.table.slot(&record.id).is_none()
                && !self.table.beyond_limit.contains_key(&record.id)
        });
        let extra: Vec<_> = extra.cloned().collect();
        self.copy.strays_are(&extra);
        let mut removed = Vec::new();
        for record in extra {
            let deleted = self.copy.has_deleted(&record);
            let why = if deleted { "was deleted meanwhile" } else { "is not of this agent" };
            removed.push(format!("{} as {} ({why})", record.cidr, record.id));
            self.ask(Request::DeleteRecord(record.id, record.revision));
        }
        self.warn_of(Kind::Trouble, "records are removed from etcd", &removed);
    }

    /// Has the record of an IP written again if it is wrong; says so if it was not known.
    fn mend_record(
        &mut self,
        slot: Slot,
        there: Option<&Record>,
        found: &Found,
    ) -> Option<(usize, String)> {
        let vip = self.table.get_mut(slot)?;
        if matches!(vip.request, RecordRequest::Asked(_)) {
            return None;
        }
        if vip.request != RecordRequest::None {
            self.resolve(slot, there);
            return None;
        }
        if vip.stage != Stage::Registered {
            return None;
        }
        let wrong = match there {
            Some(there) if there.is_same(&vip.record) => {
                vip.record.revision = there.revision;
                self.table.note_stored(slot, true);
                return None;
            }
            Some(there) => {
                vip.record.revision = there.revision;
                CHANGED
            }
            None => {
                let id = Some(&vip.record.id);
                let garbled = found.unreadable.iter().find(|it| it.id.as_ref() == id);
                vip.record.revision = garbled.map_or(0, |it| it.revision);
                if garbled.is_some() { GARBLED } else { MISSING }
            }
        };
        let name = vip.record.cidr.to_string();
        let first = self.table.note_stored(slot, false);
        self.table.look_at(slot);
        first.then_some((wrong, name))
    }

    /// What became of a request whose outcome is not known.
    fn resolve(&mut self, slot: Slot, there: Option<&Record>) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let wanted =
            vip.changes.front().map(|(change, _)| super::records::changed(&vip.record, change));
        match (&vip.stage, there) {
            (Stage::Storing(_), Some(there)) => self.registered_as(slot, there.revision),
            (Stage::Deleting(_), None) => self.record_is_gone(slot),
            (Stage::Registered, Some(there)) if wanted.is_some_and(|it| it.is_same(there)) => {
                self.record_changed(slot, there.clone());
            }
            // Not at all, or not yet: then the request is sent again.
            (_, there) => {
                vip.record.revision = there.map_or(0, |there| there.revision);
                if let RecordRequest::Contradicted(why) = &vip.request {
                    let why = why.clone();
                    self.nothing_was_changed(slot, &why);
                }
                return;
            }
        }
        if let Some(vip) = self.table.get_mut(slot) {
            vip.request = RecordRequest::None;
            self.table.look_at(slot);
        }
    }
}
