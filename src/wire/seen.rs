//! What a host has seen of an IP, part by part.

use serde::{Deserialize, Serialize};

/// How an IP came to this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailover {
    /// `crash`: its host had fallen silent; `handover`: its lock was given to this host, or free.
    pub kind: String,
    /// For how long nobody had it, in microseconds: since that host fell silent, or since this one knew of the lock,
    /// until the kernel of this host had the address.
    pub took_us: u64,
    /// By how much that may be wrong, in microseconds: a host may have died at any time between two questions.
    pub give_or_take_us: u64,
    /// So many seconds ago.
    pub ago: u64,
}

/// The host of an owner on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersHost {
    /// `answers`; `doubted`: not the last question; `silent`.
    pub network: String,
    /// Seconds since that is so.
    pub since: u64,
}

/// A machine that has claimed an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Its hardware address, `02:00:00:00:00:01`.
    pub hardware_address: String,
    /// How many seconds ago.
    pub ago: u64,
}

/// What is known of one health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStanding {
    /// The check, as people read it: `TCP 127.0.0.1:80`.
    pub check: String,
    /// Whether it counts as up, by its `rise` and `fall`; null before it has found anything.
    pub up: Option<bool>,
    /// What it has found; null before that.
    pub checked: Option<Checked>,
}

/// What health checks have found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The last check that could be made has passed.
    pub passed: bool,
    /// Seconds since that is so.
    pub since: u64,
    /// Why a check failed last, if one has.
    pub last_error: Option<String>,
    /// How many seconds ago that began.
    pub last_error_ago: Option<u64>,
}
