//! What is counted of this host and its IPs, for who watches them: how long failovers took, and how long
//! an address was bound here without the lock.

use std::time::{Duration, Instant};

use super::counts::{Failover, Vacant};
use super::serving::Serving;
use super::table::Vip;
use super::{Action, Core, Token};
use crate::checks::CheckStanding;
use crate::election::Status;
use crate::fsm::State;
use crate::lock::Lease;
use crate::metrics::{HostCounts, VipCounts};
use crate::sorted::sort_by;
use crate::vip::Slot;

impl Core {
    /// Takes note of what has changed about an IP, before the failure detector does.
    pub(super) fn measure(&mut self, slot: Slot, before: &Status, now: Instant) {
        let silent = self.detector.silent_since(slot);
        let Some(vip) = self.table.get_mut(slot) else { return };
        let (status, measured) = (&vip.status, &mut vip.watched.measured);
        if status.awaited.is_some() {
            measured.vacant = None;
        } else if before.awaited.is_some() {
            // The election has known it since its state has changed, if it has.
            let known = if status.state == before.state { now } else { status.since.min(now) };
            let given_up = Vacant::GivenUp(known);
            measured.vacant = Some(silent.map_or(given_up, Vacant::Silent));
        }
        let taken = status.state == State::Activated && status.bound;
        let vacant = if taken { measured.vacant.take() } else { None };
        let unconfirmed = status.bound && status.owner.as_ref() != Some(&self.config.host);
        let since = std::mem::replace(&mut measured.unconfirmed, unconfirmed.then_some(now));
        let counts = &mut self.table.counts;
        counts.dual_ownership +=
            since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let (is_crash, histogram, since) = match vacant {
            Some(Vacant::Silent(since)) => (true, &mut counts.failovers.crash, since),
            Some(Vacant::GivenUp(since)) => (false, &mut counts.failovers.handover, since),
            None => return,
        };
        let took = now.saturating_duration_since(since);
        histogram.observe(took);
        if let Some(vip) = self.table.get_mut(slot) {
            vip.watched.measured.last = Some(Box::new(Failover { is_crash, took, at: now }));
        }
    }

    /// Answers with what is counted here; others add what they have.
    pub(super) fn tell_counts(&mut self, token: Token, now: Instant) {
        let counts = self.counts(now);
        self.out.push(Action::ReplyCounts(token, Box::new(counts)));
    }

    fn counts(&mut self, now: Instant) -> HostCounts {
        let dual_ownership = self.table.dual_ownership(now);
        let registered = self.table.iter().filter(|(_, vip)| vip.is_registered());
        let mut vips: Vec<VipCounts> =
            registered.map(|(slot, vip)| self.counts_of(slot, vip)).collect();
        sort_by(&mut vips, |a, b| a.cidr.cmp(&b.cidr));
        HostCounts {
            vips,
            etcd_up: matches!(self.lease.told, Lease::Held(_)) && self.serving == Serving::Yes,
            lease_remaining: self.lease.until.map(|at| at.saturating_duration_since(now)),
            dual_ownership,
            failovers: self.table.counts.failovers.clone(),
            drained: self.is_drained(),
            problems: u64::try_from(self.problems().len()).unwrap_or(u64::MAX),
            // Their owner adds them.
            hooks: Vec::new(),
        }
    }

    fn counts_of(&self, slot: Slot, vip: &Vip) -> VipCounts {
        let Vip { record, status, .. } = vip;
        VipCounts {
            cidr: record.cidr,
            state: status.state,
            lock_held: status.owner.as_ref() == Some(&self.config.host),
            conflict: status.tally.conflict,
            owner_heard: self.detector.hears_owner(slot),
            checks: checks_of(status.checks_of(record.cidr)),
            check_failures: status.tally.check_failures,
            transitions: status.tally.transitions.map(u64::from),
        }
    }
}

/// Two checks that are the same are one series.
fn checks_of(standings: &[CheckStanding]) -> Vec<(String, bool)> {
    let mut checks: Vec<(String, bool)> = Vec::with_capacity(standings.len());
    for standing in standings {
        let Some(up) = standing.up else { continue };
        match checks.iter_mut().find(|(check, _)| *check == standing.check) {
            Some((_, all)) => *all &= up,
            None => checks.push((standing.check.clone(), up)),
        }
    }
    checks
}

impl super::table::Table {
    /// How long addresses were bound here without the lock, until now.
    fn dual_ownership(&mut self, now: Instant) -> Duration {
        let mut time = Duration::ZERO;
        // Counted now: an IP may be gone the next time, and a counter does not fall.
        for since in self.vips_mut().filter_map(|vip| vip.watched.measured.unconfirmed.as_mut()) {
            time += now.saturating_duration_since(std::mem::replace(since, now));
        }
        self.counts.dual_ownership += time;
        self.counts.dual_ownership
    }
}
