//! Hosts that were declared dead, and what came of that.
//!
//! A host that was declared dead and lives has lost its IPs for nothing, and must not again and again.
//! Such a host shows that it lives by its *acknowledgement*: a host that has an IP and finds its lock
//! with another lets go and then writes that lock again as it is, before it can own the IP anew. All
//! candidates see that. That it is isolated it has said itself, and that is no mistake. A host that has really died has no
//! IP when it is back and acknowledges nothing; its next death is found as soon.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{FailureDetector, Step};
use crate::vip::Slot;

/// Between two times that a host is declared dead whose locks were not taken.
pub(super) const DECLARED: Duration = Duration::from_secs(1);

/// How long a host that was declared dead and lives cannot be declared dead again, so that nothing can
/// flap.
pub(super) const HOLD_DOWN: Duration = Duration::from_secs(60);

/// The last death of a host, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) at: Instant,
    /// The lease that it had.
    pub(super) lease: i64,
    /// What was to be taken from it, until it is known to live.
    pub(super) ips: BTreeSet<Slot>,
    /// It was known to live, and cut off.
    pub(super) lives: bool,
    /// Until when it is not declared dead again.
    pub(super) held_down: Option<Instant>,
}

impl FailureDetector {
    /// Until when this owner is not declared dead.
    pub(super) fn held_down(&self, lease: i64, now: Instant) -> Option<Instant> {
        let death = self.deaths.get(&self.owners.get(&lease)?.host)?;
        death.held_down.filter(|until| now < *until)
    }

    /// Of a dead owner these IPs are to be taken; `lives` if the host is known to live. When to look again.
    pub(super) fn declare_dead(
        &mut self,
        lease: i64,
        what: &str,
        ips: BTreeSet<Slot>,
        lives: bool,
        now: Instant,
        steps: &mut Vec<Step>,
    ) -> Option<Instant> {
        let owner = self.owners.get_mut(&lease)?;
        if let Some(at) = owner.dead.filter(|at| now < *at + DECLARED) {
            return Some(at + DECLARED);
        }
        let again = owner.dead.replace(now).is_some();
        let text = format!("host {} {what}", owner.host);
        // Some of its IPs may have been taken, and be acknowledged yet.
        let last = self.deaths.get(&owner.host);
        let taken = last.filter(|_| again).map_or_else(BTreeSet::new, |last| last.ips.clone());
        let held_down = last.and_then(|last| last.held_down);
        let death = Death { at: now, lease, ips: &ips | &taken, lives, held_down };
        self.deaths.insert(owner.host.clone(), death);
        steps.push(Step::Dead { lease, ips, text });
        Some(now + DECLARED)
    }

    /// Takes note that a host has let go of an IP and acknowledged its owner: if the IP was taken from
    /// a host that was declared dead, that host lives.
    pub fn acknowledged(&mut self, ip: Slot, now: Instant) -> Vec<Step> {
        let deaths = self.deaths.iter_mut().filter(|(_, death)| death.ips.contains(&ip));
        let Some((host, death)) = deaths.max_by_key(|(_, death)| death.at) else {
            return Vec::new();
        };
        death.ips.clear();
        if death.lives {
            return Vec::new();
        }
        death.held_down = Some(now + HOLD_DOWN);
        let text = "was declared dead and lives: it is not declared dead again for";
        vec![Step::Log(format!("host {host} {text} {HOLD_DOWN:?}"))]
    }
}
