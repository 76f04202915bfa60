//! What is registered on a host: its keys in etcd, the formats of their values, shared with the Go
//! LinK, and the local copy of them.
//!
//! | key | value | lease |
//! |---|---|---|
//! | `/link/hosts/<host>/<id>` | a [`Record`] | none |
//! | `/link/config/<host>` | the host: its lease, and which machine it is | none |
//! | `/link/config/<host>/<instance>` | another machine that starts under this name | the host's |
//! | `/link/config/.groups/<name>` | which IPs belong to a group | none |
//! | `/link/config/.written/<host>` | the name of the history of etcd in which this host wrote last; the revision tells when | none |
//!
//! The keys of the elections are the business of [`crate::lock`], and those of calls of [`crate::call`].
//!
//! Everything here is a pure function: from a [`Request`] to a transaction, from its outcome to an
//! [`Answer`]. What is read is untrusted: what cannot be understood is named and skipped.

mod footprint;
mod found;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod group;
mod host;
mod local;
mod many;
mod mark;
mod record;
mod request;

use serde::Serialize;

pub use self::footprint::{Footprint, Owned};
pub use self::found::{Found, Unreadable, read_record};
pub use self::group::{
    GROUPS, Group, GroupView, IpView, Leaver, Left, MOST_MEMBERS, Regroup, Right, group_of_key,
};
pub use self::host::{Claim, HOSTS, HostKey, Instance, config_prefix, read_host};
pub use self::local::LocalCopy;
pub use self::many::RECORDS_AT_ONCE;
pub use self::mark::Mark;
pub use self::record::{Obstacle, Record};
pub use self::request::{Answer, At, DRY_AT_ONCE, Request, answer_of, txn_of};

/// The records of a host. The slash at its end keeps `h1` from matching `h10`.
pub fn records_prefix(host: &str) -> String {
    format!("/link/hosts/{host}/")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with text keys are always JSON")
}

#[cfg(test)]
mod tests;
