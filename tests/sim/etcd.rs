//! A simulated etcd: one lock, the offers, leases, and revisions.

use std::collections::BTreeMap;

use link::election::message::{Holder, LockAnswer, LockView, Offer, Request};

use crate::bugs::Bug;
use crate::world::Millis;

/// The TTL of every lease.
pub(crate) const TTL: Millis = 5_000;

/// What etcd stores of one IP. Cloned for a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    pub(crate) lock: Option<(Holder, i64)>,
    offers: BTreeMap<String, (i64, bool)>,
    /// When each lease ends.
    leases: BTreeMap<i64, Millis>,
    pub(crate) revision: i64,
}

#[derive(Debug)]
pub(crate) struct Etcd {
    pub(crate) up: bool,
    pub(crate) data: Data,
    next_lease: i64,
    bug: Option<Bug>,
}

impl Etcd {
    pub(crate) fn new(bug: Option<Bug>) -> Etcd {
        let data = Data { revision: 1, ..Data::default() };
        Etcd { up: true, data, next_lease: 100, bug }
    }

    pub(crate) fn grant(&mut self, now: Millis) -> i64 {
        self.next_lease += 1;
        self.data.leases.insert(self.next_lease, now + TTL);
        self.next_lease
    }

    /// False when the lease does not exist.
    pub(crate) fn renew(&mut self, lease: i64, now: Millis) -> bool {
        match self.data.leases.get_mut(&lease) {
            Some(until) => {
                *until = now + TTL;
                true
            }
            None => self.bug == Some(Bug::DeadLeaseLooksAlive),
        }
    }

    /// As after a restart or the change of etcd's leader: every lease begins again.
    pub(crate) fn restart_leases(&mut self, now: Millis) {
        for until in self.data.leases.values_mut() {
            *until = now + TTL;
        }
    }

    /// Ends one lease, with everything attached to it; true if that was the lock.
    pub(crate) fn revoke(&mut self, lease: i64) -> bool {
        self.data.leases.remove(&lease);
        let held = self.data.lock.as_ref().is_some_and(|(holder, _)| holder.lease == lease);
        if held || self.data.offers.values().any(|offer| offer.0 == lease) {
            self.data.revision += 1;
        }
        self.data.offers.retain(|_, offer| offer.0 != lease);
        if held {
            self.data.lock = None;
        }
        held
    }

    /// Leases whose time is over.
    pub(crate) fn expired(&self, now: Millis) -> Vec<i64> {
        let over = |(lease, until): (&i64, &Millis)| (now >= *until).then_some(*lease);
        self.data.leases.iter().filter_map(over).collect()
    }

    /// Deletes the lock as somebody would with etcdctl.
    pub(crate) fn delete_lock(&mut self) -> bool {
        let held = self.data.lock.take().is_some();
        self.data.revision += i64::from(held);
        held
    }

    /// Whether a host is a candidate that could be elected under this lease.
    pub(crate) fn offers(&self, host: &str, lease: Option<i64>) -> bool {
        let Some(lease) = lease else { return false };
        let alive = self.data.leases.contains_key(&lease);
        alive && self.data.offers.get(host) == Some(&(lease, true))
    }

    pub(crate) fn view(&self) -> LockView {
        LockView {
            holder: self.data.lock.as_ref().map(|(holder, _)| holder.clone()),
            revision: self.data.revision,
            reset: false,
        }
    }

    /// Carries a request out; nothing if it relies on a lease that does not exist. Also tells whether
    /// the lock has changed.
    pub(crate) fn carry_out(&mut self, host: &str, request: Request) -> Option<(LockAnswer, bool)> {
        let lease = request.lease();
        let writes = request.offer().is_some_and(|offer| offer != Offer::Withdrawn);
        if writes && !self.data.leases.contains_key(&lease) {
            return None;
        }
        let holder = self.data.lock.as_ref().map(|(holder, _)| holder.lease);
        let changed = match request {
            Request::Look { .. } => false,
            Request::Yield { owner, .. } => holder == Some(owner),
            Request::Acquire { .. } => holder.is_none(),
            Request::Release { .. } if self.bug == Some(Bug::UnconditionalUnlock) => {
                holder.is_some()
            }
            Request::Release { .. } => holder == Some(lease),
        };
        if changed || request.offer().is_some() {
            self.data.revision += 1;
        }
        match request {
            Request::Acquire { .. } if changed => {
                let written = self.data.revision;
                let holder = Holder { host: host.to_owned(), lease, written };
                self.data.lock = Some((holder, self.data.revision));
            }
            Request::Release { .. } if changed => self.data.lock = None,
            Request::Yield { .. } if changed => {
                let revision = self.data.revision;
                self.data.lock.iter_mut().for_each(|(holder, _)| holder.written = revision);
            }
            Request::Look { .. }
            | Request::Acquire { .. }
            | Request::Release { .. }
            | Request::Yield { .. } => {}
        }
        self.write_offer(host, lease, request.offer());
        let others = |(other, offer): (&String, &(i64, bool))| other != host && offer.1;
        let successor = self.data.offers.iter().any(others);
        Some((LockAnswer { lock: self.view(), successor }, changed))
    }

    fn write_offer(&mut self, host: &str, lease: i64, offer: Option<Offer>) {
        let available = match offer {
            Some(Offer::Available) => true,
            Some(Offer::Unavailable) => false,
            Some(Offer::Withdrawn) => {
                self.data.offers.remove(host);
                return;
            }
            None => return,
        };
        self.data.offers.insert(host.to_owned(), (lease, available));
    }
}
