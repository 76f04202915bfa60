//! What the failure detector knows, for who watches it.

use std::time::{Duration, Instant};

use super::FailureDetector;
use super::owner::Owner;
use crate::vip::Slot;

impl FailureDetector {
    /// Whether the host of the owner on which an IP waits is heard on the network; nothing if it is not
    /// monitored, or was not heard yet.
    pub fn hears_owner(&self, ip: Slot) -> Option<bool> {
        self.owner_of(ip)?.is_heard_now()
    }

    /// Since when that host is silent, about: it may have died at any time between its last answer and the
    /// first question that it has not answered.
    pub fn silent_since(&self, ip: Slot) -> Option<Instant> {
        let doubted = self.owner_of(ip)?.doubted_since()?;
        doubted.checked_sub(self.timing.last_sign)
    }

    /// By how much that may be wrong: half of the time between two questions.
    pub fn blur(&self) -> Duration {
        let interval = self.timing.interval;
        // See `supervisor::calls`: a host that answers is asked less often, unless the network is to tell alone.
        if self.timing.alone { interval / 2 } else { interval * 7 / 8 }
    }

    /// The hosts that do not answer, and since when: owners for which this host is a standby, and those that were until
    /// another host took their last IP. Etcd may have their leases yet.
    pub fn away(&self) -> Vec<(&str, Instant)> {
        let owners = self.owners.values();
        let owners = owners.filter_map(|owner| Some((owner.host.as_str(), owner.is_away_since()?)));
        owners.chain(self.away.iter().map(|(host, since)| (host.as_str(), *since))).collect()
    }

    fn owner_of(&self, ip: Slot) -> Option<&Owner> {
        self.owners.get(self.awaited.get(&ip)?)
    }
}
