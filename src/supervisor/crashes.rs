//! The crash of an owner's host, before etcd ends its lease: what the witnesses say goes to
//! [`crate::witness`], and what follows from it to the network, to etcd and to the elections.

use std::time::{Duration, Instant};

use log::{info, warn};

use super::{Actor, Event};
use crate::network::Liveness;
use crate::vip::VipId;
use crate::witness::Step;

/// How long etcd may take to say what is left of a lease. Later, it has nothing to say of a crash.
const ASK: Duration = Duration::from_secs(1);

impl Actor {
    /// Takes note of the owner on which an IP waits now.
    pub(super) fn note_owner(&mut self, id: &VipId) {
        if self.params.watch.is_none() {
            return;
        }
        let vip = self.vips.get(id);
        let is_ipv4 = vip.is_some_and(|vip| vip.record.cidr.addr().is_ipv4());
        let awaited = vip.and_then(|vip| vip.status.awaited.as_ref());
        let awaited = awaited.map(|(host, lease)| (host.as_str(), *lease));
        let steps = self.witness.awaits(id, is_ipv4, awaited);
        self.follow(steps);
    }

    pub(super) fn on_presence(&mut self, id: &VipId, liveness: Liveness) {
        let steps = self.witness.heard(id, liveness, Instant::now());
        self.follow(steps);
    }

    /// Somebody has let go of an IP and left it to the host that holds the lock.
    pub(super) fn on_yielded(&mut self, id: &VipId) {
        let steps = self.witness.yielded(id, Instant::now());
        self.follow(steps);
    }

    pub(super) fn wake_witness(&mut self) {
        let steps = self.witness.wake(Instant::now());
        self.follow(steps);
    }

    pub(super) fn follow(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Watch(id, on) => {
                    let timing = self.params.watch.filter(|_| on);
                    if let Some(vip) = self.vips.get(&id) {
                        vip.election.watch(timing);
                    }
                }
                Step::AskLease(lease) => self.ask_for_lease(lease),
                Step::Dead { host, lease, ips, because } => {
                    warn!("host {host} is dead: silent on the network, and {because}");
                    for vip in ips.iter().filter_map(|id| self.vips.get(id)) {
                        vip.election.owner_dead(lease);
                    }
                }
                Step::Tell(text) => info!("{text}"),
            }
        }
    }

    fn ask_for_lease(&self, lease: i64) {
        let event_tx = self.event_tx.clone();
        let reply = move |answer| {
            let _ = event_tx.send(Box::new(Event::OwnerLease(lease, answer)));
        };
        self.params.etcd.time_to_live(lease, ASK, Box::new(reply));
    }
}
