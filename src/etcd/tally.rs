//! Whether a watch tells what changes: what it has told, counted up, against what reads find.

/// So many reads in a row find what the watch has not told: it is deaf. One or two may be ahead of it.
const READS: u32 = 3;

/// What a watch has told of, and what is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// The keys under the prefix that is read.
    read: Part,
    /// The keys of which only changes are told.
    own: Part,
    /// Reads in a row that the watch has fallen short of.
    short: u32,
}

/// How many keys there are, and the newest revision of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) count: usize,
    pub(super) newest: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    told: Keys,
    /// The revision at which the keys were counted: what is told up to it is counted already.
    since: i64,
    /// The newest revision that a read has found.
    written: i64,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Created,
    Written,
    Deleted,
}

impl Tally {
    /// A watch begins to tell of so many keys, each part of which was counted at its own revision.
    pub(super) fn of((read, at): (usize, i64), (own, own_at): (usize, i64)) -> Tally {
        let part =
            |count, since| Part { told: Keys { count, newest: since }, since, written: since };
        Tally { read: part(read, at), own: part(own, own_at), short: 0 }
    }

    /// The watch has told of a change.
    pub(super) fn told(&mut self, own: bool, revision: i64, change: Change) {
        let part = if own { &mut self.own } else { &mut self.read };
        if revision <= part.since {
            return;
        }
        let told = &mut part.told;
        told.newest = told.newest.max(revision);
        told.count = match change {
            Change::Created => told.count.saturating_add(1),
            Change::Written => told.count,
            Change::Deleted => told.count.saturating_sub(1),
        };
    }

    /// A read has found these keys.
    pub(super) fn found(&mut self, read: Keys, own: Keys) {
        let falls_short = self.read.falls_short(read) | self.own.falls_short(own);
        self.short = if falls_short { self.short + 1 } else { 0 };
    }

    /// Whether the next read is to show if the watch was only late.
    pub(super) fn is_short(&self) -> bool {
        self.short > 0
    }

    /// Whether the watch does not tell what changes.
    pub(super) fn is_deaf(&self) -> bool {
        self.short >= READS
    }
}

impl Part {
    fn falls_short(&mut self, found: Keys) -> bool {
        self.written = self.written.max(found.newest);
        self.told.count != found.count || self.told.newest < self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize, newest: i64) -> Keys {
        Keys { count, newest }
    }

    /// Whether a watch is deaf that has told this since revision 5, when there were two keys each.
    fn is_deaf(told: &[(bool, i64, Change)], read: Keys, own: Keys) -> bool {
        let mut tally = Tally::of((2, 5), (2, 5));
        for (own, revision, change) in told {
            tally.told(*own, *revision, *change);
        }
        for _ in 0..READS {
            assert!(!tally.is_deaf());
            tally.found(read, own);
        }
        tally.is_deaf()
    }

    #[test]
    fn a_watch_that_has_told_everything_is_not_deaf() {
        let old = keys(2, 0);
        assert!(!is_deaf(&[], old, old));
        assert!(!is_deaf(&[(true, 6, Change::Written)], old, keys(2, 6)));
        assert!(!is_deaf(&[(false, 6, Change::Created)], keys(3, 6), old));
        assert!(!is_deaf(&[(false, 6, Change::Deleted)], keys(1, 0), old));
        // One that is ahead of the reads is as good.
        assert!(!is_deaf(&[(true, 9, Change::Written)], old, keys(2, 6)));
    }

    #[test]
    fn a_key_of_which_it_has_not_told_makes_it_deaf() {
        let old = keys(2, 0);
        assert!(is_deaf(&[], old, keys(2, 6)), "one was written");
        assert!(is_deaf(&[], keys(1, 0), old), "one is gone");
        let other = (true, 6, Change::Written);
        assert!(is_deaf(&[other], keys(2, 7), keys(2, 6)), "it has told of another one");
        assert!(is_deaf(&[other], old, keys(3, 7)), "it has told of an earlier one");
    }

    #[test]
    fn what_was_counted_before_it_is_told_is_counted_once() {
        let mut tally = Tally::of((2, 5), (3, 7));
        // The watch was opened after 5.
        tally.told(true, 6, Change::Created);
        tally.found(keys(2, 0), keys(3, 6));
        assert!(!tally.is_short());
        tally.told(true, 8, Change::Created);
        tally.told(true, 8, Change::Deleted);
        tally.found(keys(2, 0), keys(3, 0));
        assert!(!tally.is_short());
    }

    #[test]
    fn a_watch_that_is_late_is_not_deaf() {
        let mut tally = Tally::of((2, 5), (2, 5));
        tally.found(keys(3, 6), keys(2, 0));
        // The next read leaves out what the one before has found.
        tally.found(keys(3, 0), keys(2, 0));
        assert!(tally.is_short() && !tally.is_deaf());
        tally.told(false, 6, Change::Created);
        tally.found(keys(3, 0), keys(2, 0));
        assert!(!tally.is_short());
    }
}
