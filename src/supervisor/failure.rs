//! What the core is told of a request to etcd that has failed.

use super::core::{Failure, Outcome};
use crate::etcd;

/// What is known of the outcome of a request that failed.
pub(super) fn failure(error: &etcd::Error) -> Failure {
    let outcome = match error.kind {
        _ if error.outcome_is_unknown() => Outcome::Unknown,
        etcd::ErrorKind::Unreachable => Outcome::NotSent,
        // Renewals need no password.
        etcd::ErrorKind::Auth | etcd::ErrorKind::Refused | etcd::ErrorKind::LeaseNotFound => {
            Outcome::Refused
        }
    };
    Failure { outcome, why: error.to_string() }
}
