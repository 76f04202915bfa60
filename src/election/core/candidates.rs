//! The other hosts that are candidates, as etcd last said. Others may have come since, or gone: then they are
//! read again before anything is asked of etcd that depends on them. What is decided without etcd is decided with
//! what is known: a list that is outdated is still the best there is, and no other can be had.

use crate::lock::Candidate;

/// What is known of the other candidates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidates {
    /// As last read; nothing before that.
    last_read: Option<Vec<Candidate>>,
    /// The revision at which they were read.
    read_at: i64,
    /// They have to be read again before they count.
    outdated: bool,
    /// They are to be read again, when there is nothing else to do.
    due: bool,
}

impl Candidates {
    pub(super) fn unknown() -> Candidates {
        Candidates { last_read: None, read_at: 0, outdated: false, due: false }
    }

    /// etcd has told them at this revision.
    pub(super) fn read(&mut self, others: Vec<Candidate>, at: i64) {
        *self = Candidates { last_read: Some(others), read_at: at, outdated: false, due: false };
    }

    /// They count no more until they are read again, but where etcd cannot be asked.
    pub(super) fn outdate(&mut self) {
        self.outdated = true;
    }

    /// Tells whether they are to be read again, when there is nothing else to do.
    pub(super) fn set_due(&mut self, due: bool) {
        self.due = due;
    }

    /// Whether they are to be read again, when there is nothing else to do.
    pub(super) fn are_due(&self) -> bool {
        self.due
    }

    /// They were read, and count.
    pub(super) fn are_current(&self) -> bool {
        self.last_read.is_some() && !self.outdated
    }

    /// Those that count; none if they have to be read first.
    pub(super) fn current(&self) -> impl Iterator<Item = &Candidate> {
        let current = self.are_current();
        self.last_read.iter().flatten().filter(move |_| current)
    }

    /// The revision at which those were read that count.
    pub(super) fn current_since(&self) -> Option<i64> {
        self.are_current().then_some(self.read_at)
    }

    /// Those that were read last, whatever has become of them; nothing if none were ever read.
    pub(super) fn last_known(&self) -> Option<&[Candidate]> {
        self.last_read.as_deref()
    }
}
