//! What has changed of late, for watches that begin in the past.

use std::collections::VecDeque;

use super::Change;

/// The changes since the last compaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    compacted: i64,
}

/// A watch cannot begin there: what has happened before this revision is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compacted(pub(crate) i64);

impl History {
    /// Remembers changes.
    pub(crate) fn record(&mut self, changes: &[Change]) {
        self.changes.extend(changes.iter().cloned());
    }

    /// What a watch of the keys that begin with `prefix` tells first if it begins with a revision.
    pub(crate) fn since<'a>(
        &'a self,
        revision: i64,
        prefix: &'a str,
    ) -> Result<impl Iterator<Item = &'a Change>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted(self.compacted));
        }
        let first = self.changes.partition_point(|change| change.revision < revision);
        Ok(self.changes.range(first..).filter(move |change| change.key.starts_with(prefix)))
    }

    /// Forgets what has happened before a revision, and what was deleted by it: etcd up to 3.4.35 and
    /// 3.5.17 does not tell of that any more (etcd #19179).
    pub(crate) fn compact(&mut self, revision: i64) {
        self.compacted = self.compacted.max(revision);
        self.changes.retain(|change| {
            change.revision > revision || change.revision == revision && !change.is_deletion()
        });
    }
}
