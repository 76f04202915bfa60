//! What is only told of an IP, and when it changed: nothing is decided by it.

use std::time::Instant;

use super::counts::Measured;
use super::moves::Moves;
use super::told::Told;
use crate::election::Status;
use crate::network::Liveness;

/// What is only told of an IP.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) seen: Seen,
    pub(super) measured: Measured,
    pub(super) moves: Moves,
    pub(super) told: Told,
}

/// When what changed last.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The owner in etcd.
    pub(super) owner: Option<Instant>,
    /// Whether the kernel has the address.
    pub(super) bound: Option<Instant>,
    /// What is heard of the owner's host.
    pub(super) liveness: Option<(Liveness, Instant)>,
}

impl Seen {
    /// Takes note of what another status tells.
    pub(super) fn note(&mut self, before: &Status, after: &Status, now: Instant) {
        if self.owner.is_none() || before.owner != after.owner {
            self.owner = Some(now);
            // It was about another host.
            self.liveness = None;
        }
        if self.bound.is_none() || before.bound != after.bound {
            self.bound = Some(now);
        }
    }

    /// Takes note of what is heard of the owner's host.
    pub(super) fn heard(&mut self, liveness: Liveness, now: Instant) {
        if self.liveness.is_none_or(|(before, _)| before != liveness) {
            self.liveness = Some((liveness, now));
        }
    }
}
