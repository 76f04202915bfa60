//! A simulated etcd: one lock, the offers, leases, and revisions.

use std::collections::BTreeMap;

use link::etcd::TimeToLive;
use link::lock::{
    Advertised, Advertisement, Candidacy, Candidate, Gap, Holder, LockAnswer, LockView, Request,
};

use crate::bugs::Bug;
use crate::world::Millis;

/// The TTL of every lease.
pub(crate) const TTL: Millis = 5_000;

/// What etcd stores of one IP. Cloned for a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    pub(crate) lock: Option<(Holder, i64)>,
    offers: BTreeMap<String, Told>,
    /// When each lease ends.
    leases: BTreeMap<i64, Millis>,
    pub(crate) revision: i64,
}

/// What a host has told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    lease: i64,
    available: bool,
    written: i64,
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

    /// What is left of a lease, in whole seconds.
    pub(crate) fn time_to_live(&self, lease: i64, now: Millis) -> TimeToLive {
        let seconds = |millis: Millis| i64::try_from(millis / 1000).expect("a lease is short");
        match self.data.leases.get(&lease) {
            Some(until) => {
                TimeToLive { left: seconds(until.saturating_sub(now)), granted: seconds(TTL) }
            }
            None => TimeToLive { left: -1, granted: 0 },
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
        if held || self.data.offers.values().any(|told| told.lease == lease) {
            self.data.revision += 1;
        }
        self.data.offers.retain(|_, told| told.lease != lease);
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

    /// Whether a host has told of itself after this revision.
    pub(crate) fn offered_after(&self, host: &str, revision: i64) -> bool {
        self.data.offers.get(host).is_some_and(|told| told.written > revision)
    }

    /// Whether a host is a candidate that could be elected under this lease.
    pub(crate) fn offers(&self, host: &str, lease: Option<i64>) -> bool {
        let Some(lease) = lease else { return false };
        let alive = self.data.leases.contains_key(&lease);
        let told = self.data.offers.get(host);
        alive && told.is_some_and(|told| told.lease == lease && told.available)
    }

    pub(crate) fn view(&self) -> LockView {
        LockView {
            holder: self.data.lock.as_ref().map(|(holder, _)| holder.clone()),
            revision: self.data.revision,
            gap: Gap::None,
        }
    }

    /// Carries a request out; nothing if it relies on a lease that does not exist. Also tells whether
    /// the lock has changed.
    pub(crate) fn carry_out(
        &mut self,
        host: &str,
        request: &Request,
    ) -> Option<(LockAnswer, bool)> {
        let lease = request.lease();
        let takes = matches!(
            request,
            Request::ReacquireUnavailable { .. }
                | Request::TakeOver { .. }
                | Request::Preempt { .. }
        );
        let written = self.data.revision + 1;
        let lock = self.new_lock(host, request, written);
        let changed = lock.is_some();
        let transfer = matches!(request, Request::Transfer { .. });
        let own = request.advertisement().filter(|_| changed || !transfer);
        let writes = takes || own.is_some_and(|own| own.candidacy != Candidacy::Withdrawn);
        if writes && !self.data.leases.contains_key(&lease) {
            return None;
        }
        if changed || own.is_some() {
            self.data.revision = written;
        }
        if let Some(lock) = lock {
            self.data.lock = lock.map(|holder| (holder, written));
        }
        let own = own.map(|own| self.write_offer(host, lease, own, written));
        let others = reads_offers(request, changed).then(|| self.others(host));
        Some((LockAnswer { lock: self.view(), succeeded: changed, others, own }, changed))
    }

    /// What the lock becomes, if the request changes it.
    fn new_lock(&self, host: &str, request: &Request, written: i64) -> Option<Option<Holder>> {
        let holder = self.data.lock.as_ref().map(|(holder, _)| holder);
        let held_by = holder.map(|holder| holder.lease);
        let unguarded = self.bug == Some(Bug::UnconditionalUnlock);
        let mine = |lease| Some(Some(Holder { host: host.to_owned(), lease, written }));
        match request {
            Request::Campaign { lease, .. } | Request::ReacquireUnavailable { lease }
                if holder.is_none() =>
            {
                mine(*lease)
            }
            Request::Resign { .. }
            | Request::Advertise {
                own: Advertisement { candidacy: Candidacy::Unavailable | Candidacy::Withdrawn, .. },
                ..
            } if unguarded => holder.map(|_| None),
            Request::Resign { lease, .. } if held_by == Some(*lease) => Some(None),
            Request::Transfer { lease, to, .. }
                if held_by == Some(*lease) && self.is_unchanged(to) =>
            {
                Some(Some(Holder { host: to.host.clone(), lease: to.lease, written }))
            }
            Request::TakeOver { lease, written }
                if holder.is_some_and(|holder| holder.written == *written) =>
            {
                mine(*lease)
            }
            Request::Preempt { lease, owner }
                if held_by == Some(owner.lease) && self.is_unchanged(owner) =>
            {
                mine(*lease)
            }
            Request::Acknowledge { written: seen, .. }
                if holder.is_some_and(|holder| holder.written == *seen) =>
            {
                holder.map(|holder| Some(Holder { written, ..holder.clone() }))
            }
            Request::ReadLock { .. }
            | Request::Campaign { .. }
            | Request::ReacquireUnavailable { .. }
            | Request::Advertise { .. }
            | Request::Resign { .. }
            | Request::Transfer { .. }
            | Request::TakeOver { .. }
            | Request::Preempt { .. }
            | Request::Acknowledge { .. } => None,
        }
    }

    fn is_unchanged(&self, other: &Candidate) -> bool {
        self.data.offers.get(&other.host).is_some_and(|told| told.written == other.written)
    }

    fn others(&self, host: &str) -> Vec<Candidate> {
        let candidate = |(host, told): (&String, &Told)| Candidate {
            host: host.clone(),
            available: told.available,
            lease: told.lease,
            written: told.written,
            hardware_address: None,
        };
        let others = self.data.offers.iter().filter(|(other, _)| *other != host);
        let mut others: Vec<_> = others.map(candidate).collect();
        if self.bug == Some(Bug::PrefixesWithoutSlash) {
            // A host of 10.0.0.1_32, where the hosts of 10.0.0.1_3 are asked for.
            let host = "2/h9".to_owned();
            others.insert(
                0,
                Candidate { host, available: true, lease: 0, written: 1, hardware_address: None },
            );
        }
        others
    }

    fn write_offer(
        &mut self,
        host: &str,
        lease: i64,
        own: Advertisement,
        written: i64,
    ) -> Advertised {
        let found = self.data.offers.get(host).map_or(0, |told| told.written);
        if found != own.replaces {
            return Advertised::Changed(found);
        }
        let available = match own.candidacy {
            Candidacy::Available => true,
            Candidacy::Unavailable => false,
            Candidacy::Withdrawn => {
                self.data.offers.remove(host);
                return Advertised::Written(0);
            }
        };
        self.data.offers.insert(host.to_owned(), Told { lease, available, written });
        Advertised::Written(written)
    }
}

/// As the store has it: who writes the lock does not read the offers.
fn reads_offers(request: &Request, changed: bool) -> bool {
    match request {
        Request::Advertise { .. } | Request::Resign { .. } => true,
        Request::ReadLock { .. } | Request::Acknowledge { .. } => false,
        Request::Campaign { .. }
        | Request::ReacquireUnavailable { .. }
        | Request::Transfer { .. }
        | Request::TakeOver { .. }
        | Request::Preempt { .. } => !changed,
    }
}
