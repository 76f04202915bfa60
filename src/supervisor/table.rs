//! The table of IPs, as the API shows it.

use std::time::Instant;

use super::{Actor, Presence, Vip};
use crate::election::Status;
use crate::fsm::State;
use crate::vip::VipId;
use crate::wire;

/// What is shown of an election that has not said anything yet.
pub(super) fn initial_status() -> Status {
    Status {
        state: State::Standby,
        since: Instant::now(),
        reason: "starting".to_owned(),
        owner: None,
        awaited: None,
        bound: false,
    }
}

impl Actor {
    /// An IP that is registered.
    pub(super) fn vip(&self, id: &VipId) -> Option<&Vip> {
        self.vips.get(id).filter(|vip| vip.is_registered())
    }

    /// The same, to be changed.
    pub(super) fn vip_mut(&mut self, id: &VipId) -> Option<&mut Vip> {
        self.vips.get_mut(id).filter(|vip| vip.is_registered())
    }

    /// All IPs that are registered, by address.
    pub(super) fn list(&self) -> Vec<wire::Ip> {
        let mut vips: Vec<&Vip> = self.vips.values().filter(|vip| vip.is_registered()).collect();
        vips.sort_by_key(|vip| vip.record.cidr);
        vips.into_iter().map(|vip| self.show(vip)).collect()
    }

    /// An IP as the API shows it.
    pub(super) fn show(&self, vip: &Vip) -> wire::Ip {
        let Vip { record, status, .. } = vip;
        wire::Ip {
            id: record.id.to_string(),
            ip: record.cidr.to_string(),
            interface: record.interface.clone().unwrap_or_else(|| self.params.interface.clone()),
            status: status.state.to_string(),
            checks: record.checks.clone(),
            healthcheck_interval: record.healthcheck_interval,
            etcd_loss_policy: self.loss_policy(record).to_string(),
            plugin: "arp".to_owned(),
            election_key: record.cidr.election_key(),
            owner: status.owner.clone(),
            bound: status.bound,
            reason: status.reason.clone(),
            since: status.since.elapsed().as_secs(),
        }
    }
}

impl Vip {
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.presence, Presence::Registered)
    }
}
