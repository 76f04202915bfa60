//! An etcd that answers and does not serve: leases are renewed, and writes are refused (an alarm of
//! NOSPACE or CORRUPT, a role without permission, a quota).
//!
//! A renewal is no proof that etcd serves. When requests of an IP's election are refused for as long as
//! an etcd that is silent counts as lost, etcd counts as lost for that IP. Meanwhile etcd is asked again and again
//! whether it would take what was refused: a role may let a host write its own key, and no lock.

use log::Level;

use super::table::Service;
use super::{Core, Failure, Order, Outcome, Timer};
use crate::history::Kind;
use crate::lock::Lease;
use crate::store::{DRY_AT_ONCE, Request};
use crate::vip::{ElectionKey, Slot};

/// Whether etcd carries out what it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Serving {
    /// As far as is known.
    #[default]
    Yes,
    /// It has refused something, for this reason.
    Doubted(String),
    /// It has refused for too long.
    No(String),
}

impl Core {
    /// Takes note of a request of the supervisor that has failed.
    pub(super) fn on_failure(&mut self, failure: &Failure) {
        if failure.outcome == Outcome::Refused {
            self.doubt(&failure.why);
        }
    }

    /// Takes note of a request that was carried out; a read shows nothing of writes.
    pub(super) fn on_served(&mut self, request: &Request) {
        let writes = match request {
            Request::WriteRecord(_) | Request::WriteRecords(_) | Request::WriteHost { .. } => true,
            Request::DryRun(_) if self.serving != Serving::Yes => return self.serves_again(),
            Request::DryRun(_)
            | Request::Load
            | Request::DeleteRecord(..)
            | Request::DeleteRecords(_)
            | Request::WritePresence { .. }
            | Request::Release { .. }
            | Request::ClaimName { .. }
            | Request::DropClaims
            | Request::ForgetHost(_)
            | Request::Hosts
            | Request::RecordsOf(_)
            | Request::Footprint(_)
            | Request::Locks
            | Request::Candidates(_)
            | Request::SharedBy(_)
            | Request::OtherPrefixes(_)
            | Request::Group(..)
            | Request::Regroup(_) => false,
        };
        // Only in doubt: there may be thousands, and this follows each request.
        let refuses = || self.table.iter().any(|(_, vip)| vip.service == Service::Refused);
        match &self.serving {
            Serving::Doubted(_) if writes && !refuses() => self.serves_again(),
            Serving::Yes | Serving::Doubted(_) | Serving::No(_) => {}
        }
    }

    pub(super) fn on_election_refused(&mut self, slot: Slot, why: &str) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        if vip.service == Service::Lost {
            return;
        }
        let refuses =
            Kind::Refused.of("etcd refuses its election").because(why).to(vip.record.cidr);
        let first = std::mem::replace(&mut vip.service, Service::Refused) == Service::Served;
        if first && self.serving == Serving::Yes {
            self.happened(Level::Warn, refuses);
        }
        self.doubt(why);
        if matches!(self.serving, Serving::No(_)) {
            self.lose_etcd_for(slot);
        }
    }

    pub(super) fn on_election_served(&mut self, slot: Slot) {
        if let Some(vip) = self.table.get_mut(slot).filter(|vip| vip.service == Service::Refused) {
            vip.service = Service::Served;
        }
    }

    fn doubt(&mut self, why: &str) {
        if self.serving == Serving::Yes {
            self.serving = Serving::Doubted(why.to_owned());
            self.arm(Timer::Refused, self.config.loss_after);
            self.arm(Timer::ServeCheck, self.config.renewal);
        }
    }

    pub(super) fn check_service(&mut self) {
        if self.serving != Serving::Yes {
            self.arm(Timer::ServeCheck, self.config.renewal);
            let mut keys: Vec<ElectionKey> = Vec::new();
            for (slot, vip) in self.table.iter().filter(|(_, vip)| vip.service != Service::Served) {
                let key = self.table.whole_key(slot, vip.record.cidr);
                if !keys.contains(&key) {
                    keys.push(key);
                }
                if keys.len() == DRY_AT_ONCE {
                    break;
                }
            }
            self.ask(Request::DryRun(keys));
        }
    }

    pub(super) fn on_refused_too_long(&mut self) {
        let Serving::Doubted(why) = &self.serving else { return };
        let why = why.clone();
        let why_and_then = format!(
            "it answers, and refuses ({why}); each IP that is refused is dealt with by its policy"
        );
        self.happened(Level::Warn, Kind::EtcdLost.of("etcd is lost").because(why_and_then));
        self.serving = Serving::No(why);
        if self.lease.told == Lease::None {
            return self.tell_lease(Lease::Lost);
        }
        for slot in self.table.slots() {
            if self.table.get(slot).is_some_and(|vip| vip.service == Service::Refused) {
                self.lose_etcd_for(slot);
            }
        }
    }

    fn lose_etcd_for(&mut self, slot: Slot) {
        if let Some(vip) = self.table.get_mut(slot) {
            vip.service = Service::Lost;
            self.tell(slot, Order::Lease(Lease::Lost));
        }
    }

    fn serves_again(&mut self) {
        self.serving = Serving::Yes;
        self.disarm(Timer::Refused);
        self.disarm(Timer::ServeCheck);
        self.happened(Level::Info, Kind::EtcdBack.of("etcd serves again"));
        for slot in self.table.slots() {
            let Some(vip) = self.table.get_mut(slot) else { continue };
            if std::mem::replace(&mut vip.service, Service::Served) == Service::Lost {
                self.tell(slot, Order::Lease(self.lease.told));
            }
        }
        self.compare_soon();
        self.table.retry();
    }
}
