//! What was asked of etcd, counted: the answers by their time, the failures by what follows from them.

use std::time::Duration;

use super::error::ErrorKind;
use super::pool::Pool;
use crate::metrics::EtcdCounts;

/// Hears what was counted; called on the runtime's thread, must not block.
pub type CountSink = Box<dyn FnOnce(EtcdCounts) + Send>;

impl Pool {
    /// What was counted since the start.
    pub(super) fn counts(&self) -> EtcdCounts {
        let certificates = self.expiries();
        EtcdCounts { certificates, ..self.counts.borrow().clone() }
    }

    /// A member has answered a transaction.
    pub(super) fn count_transaction(&self, took: Duration) {
        self.counts.borrow_mut().transactions.observe(took);
    }

    /// A member has renewed the lease.
    pub(super) fn count_renewal(&self, took: Duration) {
        self.counts.borrow_mut().renewals.observe(took);
    }

    /// A request to a member has failed.
    pub(super) fn count_failure(&self, kind: ErrorKind) {
        let mut counts = self.counts.borrow_mut();
        let count = match kind {
            ErrorKind::Unreachable => &mut counts.unreachable,
            ErrorKind::Auth => &mut counts.auth,
            ErrorKind::LeaseNotFound => &mut counts.lease_not_found,
            ErrorKind::Refused => &mut counts.refused,
        };
        *count += 1;
    }
}
