//! What is wrong: everything for which this host does not do what it should.
//!
//! A service whose check fails is no fault of the agent; it is shown with the IP.

use super::Core;
use super::identity::Name;
use super::serving::Serving;
use super::stop::Life;
use super::table::{Service, Vip};

impl Core {
    /// Why this host as a whole cannot keep its promises now, if so.
    pub(super) fn host_trouble(&self) -> Option<String> {
        if self.life != Life::Running {
            return Some("stopping".to_owned());
        }
        if let Name::Taken(other) = &self.identity.name {
            return Some(self.name_trouble(&other.instance));
        }
        if let Some(trouble) = &self.lease.trouble {
            return Some(trouble.clone());
        }
        match &self.serving {
            Serving::No(why) => Some(format!("etcd is lost: it answers, and refuses ({why})")),
            Serving::Yes | Serving::Doubted(_) if self.lease.overdue => {
                Some("the lease was not renewed in time".to_owned())
            }
            Serving::Yes | Serving::Doubted(_) => None,
        }
    }

    /// All that is wrong, worst first; nothing when all is well.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.host_trouble().into_iter().collect();
        if let Serving::Doubted(why) = &self.serving {
            problems.push(format!("etcd refuses: {why}"));
        }
        problems.extend(self.identity.claim.as_ref().map(|claim| self.claim_trouble(claim)));
        for (_, vip) in self.table.iter().filter(|(_, vip)| vip.is_registered()) {
            problems.extend(vip.problems().map(|why| format!("{}: {why}", vip.record.cidr)));
            problems.extend(self.table.other_spelling(vip.record.cidr.addr()).map(|key| {
                format!("{}: {key:?} is the lock of the same address", vip.record.cidr)
            }));
        }
        if !self.table.beyond_limit.is_empty() {
            let more = self.table.beyond_limit.len();
            let text = "IPs are registered and not served: MAX_NUMBER_OF_ENDPOINTS is too small";
            problems.push(format!("{more} {text}"));
        }
        problems
    }
}

impl Vip {
    /// What is wrong with this IP on this host.
    fn problems(&self) -> impl Iterator<Item = String> {
        let not_started = self.election.not_started.clone();
        let not_stored = (!self.stored).then(|| "its record is not in etcd".to_owned());
        let refused = match self.service {
            Service::Served => None,
            Service::Refused | Service::Lost => Some("etcd refuses its election".to_owned()),
        };
        let prefix = self
            .other_prefix
            .as_ref()
            .map(|other| format!("host {:?} offers this address as {:?}", other.host, other.cidr));
        let others = [not_started, not_stored, refused, prefix, self.status.shortage.clone()];
        others.into_iter().flatten().chain(self.status.trouble.clone())
    }
}
