//! The end: everything is handed over, or everything is left as it is.

use std::time::{Duration, Instant};

use log::{info, warn};

use super::Actor;
use crate::election::core::HANDOVER_BOUND;
use crate::lock::Lease;
use crate::policy::StopPolicy;
use crate::vip::VipId;

/// How long the lease may take to be revoked.
const REVOKE: Duration = Duration::from_secs(1);

/// The elections are being ended.
pub(super) struct Stopping {
    /// When it is done whatever is left. Each election bounds itself; this is the net below.
    pub(super) until: Instant,
}

impl Actor {
    pub(super) fn begin_stop(&mut self, policy: StopPolicy) {
        self.stopping = Some(Stopping { until: Instant::now() + HANDOVER_BOUND + REVOKE });
        match policy {
            StopPolicy::Keep => self.ended = true,
            StopPolicy::Release => {
                info!("handing over {} IPs", self.vips.len());
                let ids: Vec<VipId> = self.vips.keys().cloned().collect();
                ids.iter().for_each(|id| self.leave_if_stopping(id));
                self.end_stop();
            }
        }
    }

    /// Has an IP given up; one that was being stored when the stop began comes late.
    pub(super) fn leave_if_stopping(&mut self, id: &VipId) {
        if self.stopping.is_none() {
            return;
        }
        if let Some(vip) = self.vip_mut(id) {
            vip.leave(None);
        }
    }

    /// Ends when all elections have left, or have had their time.
    pub(super) fn end_stop(&mut self) {
        let Some(stopping) = &self.stopping else {
            return;
        };
        let late = Instant::now() >= stopping.until;
        if self.ended || !(self.vips.is_empty() || late) {
            return;
        }
        for vip in self.vips.values() {
            warn!("{}: not handed over in time", vip.record.cidr);
        }
        if let Lease::Held(id) = self.lease.told {
            match self.params.etcd.revoke(id, REVOKE) {
                Ok(()) => info!("lease {id:x} is revoked"),
                Err(error) => warn!("lease {id:x} ends by itself: {error}"),
            }
        }
        self.ended = true;
    }
}
