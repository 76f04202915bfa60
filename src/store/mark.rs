//! The mark of a host in etcd: when the host wrote there last, and in which history of etcd.
//!
//! etcd's revisions count on in every history. An etcd that began anew or was restored goes on with
//! another one, and its revisions say nothing of what was written in the one before; so each history has
//! a name, which the host gives it when it does not find what it wrote last.

use super::found::Found;
use super::local::LocalCopy;
use super::request::At;

/// A mark of a host, in etcd or as the local copy remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// When it was written; 0 if that is not known.
    pub at: At,
    /// The name of the history; empty if it has none, as with older agents.
    pub history: String,
}

impl Mark {
    /// As it was found; `at` says in which cluster.
    pub fn of(found: &Found, at: At) -> Mark {
        Mark { at: At { revision: found.written, ..at }, history: found.history.clone() }
    }

    /// As it was when this copy was written.
    pub fn of_copy(copy: &LocalCopy) -> Mark {
        let at = At { cluster: copy.cluster, revision: copy.written };
        Mark { at, history: copy.history.clone() }
    }

    /// What the host had written by then is not in an etcd with that mark: it was written in another
    /// history, whatever came since. Of a mark without a name only the revision tells.
    pub fn is_lost_in(&self, found: &Mark) -> bool {
        let is_other = !self.history.is_empty() && self.history != found.history;
        is_other || self.is_of_another_cluster(found) || found.at.revision < self.at.revision
    }

    /// It is known to have been another cluster.
    pub fn is_of_another_cluster(&self, found: &Mark) -> bool {
        self.at.cluster != 0 && self.at.cluster != found.at.cluster
    }
}
