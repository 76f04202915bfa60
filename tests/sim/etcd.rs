//! The etcd of a world: the requests of elections are carried out on an etcd in memory, by the
//! product's own transactions. Bugs are mutations of those.

use link::etcd::{Gap, Op, TimeToLive, Txn};
use link::lock::{
    self, Advertisement, Candidacy, Candidate, Holder, LockAnswer, LockView, Request, answer_of,
    txn_of, view_of,
};
use link::vip::Cidr;

use crate::bugs::Bug;
use crate::memory_etcd::{Change, MemoryEtcd, Millis, Refusal};

/// The TTL of every lease, in seconds.
const TTL: u32 = 5;

/// The time stamp in all values, which tells nobody anything.
const WRITTEN_AT: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

#[derive(Debug)]
pub(crate) struct Etcd {
    pub(crate) up: bool,
    data: MemoryEtcd,
    snapshot: MemoryEtcd,
    bug: Option<Bug>,
}

impl Etcd {
    pub(crate) fn new(bug: Option<Bug>) -> Etcd {
        let data = MemoryEtcd::new(1);
        Etcd { up: true, snapshot: data.clone(), data, bug }
    }

    pub(crate) fn grant(&mut self, now: Millis) -> i64 {
        self.data.grant(TTL, now)
    }

    /// False when the lease does not exist.
    pub(crate) fn renew(&mut self, lease: i64, now: Millis) -> bool {
        self.data.renew(lease, now).is_some() || self.bug == Some(Bug::DeadLeaseLooksAlive)
    }

    pub(crate) fn time_to_live(&self, lease: i64, now: Millis) -> TimeToLive {
        self.data.time_to_live(lease, now)
    }

    /// As after a restart or the change of etcd's leader.
    pub(crate) fn restart_leases(&mut self, now: Millis) {
        self.data.restart_leases(now);
    }

    pub(crate) fn take_snapshot(&mut self) {
        self.snapshot.clone_from(&self.data);
    }

    /// The last snapshot comes back.
    pub(crate) fn restore(&mut self, now: Millis) {
        self.data.restore(&self.snapshot, now);
    }

    /// Ends one lease, with everything attached to it; true if that was the lock.
    pub(crate) fn revoke(&mut self, lease: i64) -> bool {
        is_about_lock(&self.data.revoke(lease).unwrap_or_default())
    }

    /// Ends the leases whose time is over; true if the lock was attached to one.
    pub(crate) fn expire(&mut self, now: Millis) -> bool {
        is_about_lock(&self.data.expire(now))
    }

    /// Deletes the lock as somebody would with etcdctl; true if there was one.
    pub(crate) fn delete_lock(&mut self) -> bool {
        let delete = Txn::read(vec![Op::Delete(lock::key(ip()))]);
        self.data.transact(&delete).is_ok_and(|(_, changes)| is_about_lock(&changes))
    }

    pub(crate) fn view(&self) -> LockView {
        view_of(&self.data.state_of(&lock::key(ip()), Gap::None))
    }

    pub(crate) fn holder(&self) -> Option<Holder> {
        self.view().holder
    }

    fn candidate(&self, host: &str) -> Option<Candidate> {
        let found = self.data.get(&lock::candidacy_key(ip(), host))?;
        lock::candidates(ip(), &[found]).pop()
    }

    /// Whether a host has told of itself after this revision.
    pub(crate) fn offered_after(&self, host: &str, revision: i64) -> bool {
        self.candidate(host).is_some_and(|candidate| candidate.written > revision)
    }

    /// Whether a host is a candidate that could be elected under this lease.
    pub(crate) fn offers(&self, host: &str, lease: Option<i64>) -> bool {
        let candidate = self.candidate(host).filter(|candidate| Some(candidate.lease) == lease);
        candidate.is_some_and(|candidate| candidate.available)
    }

    /// Carries a request out; also tells whether the lock has changed.
    pub(crate) fn carry_out(
        &mut self,
        host: &str,
        request: &Request,
    ) -> Result<(LockAnswer, bool), Refusal> {
        let txn = self.mutated(request, txn_of(request, ip(), host, WRITTEN_AT));
        let (reply, changes) = self.data.transact(&txn)?;
        Ok((answer_of(request, ip(), host, &reply), is_about_lock(&changes)))
    }

    /// The transaction of a request as a bug has it.
    fn mutated(&self, request: &Request, mut txn: Txn) -> Txn {
        match (self.bug, request) {
            (
                Some(Bug::UnconditionalUnlock),
                Request::Advertise {
                    own:
                        Advertisement {
                            candidacy: Candidacy::Unavailable | Candidacy::Withdrawn, ..
                        },
                    ..
                },
            ) => txn.then.push(Op::Delete(lock::key(ip()))),
            (Some(Bug::UnconditionalUnlock), Request::Resign { .. })
            | (Some(Bug::UnconditionalTakeOver), Request::TakeOver { .. })
            | (Some(Bug::UnconditionalCampaign), Request::Campaign { .. }) => txn.when.clear(),
            (Some(Bug::CandidaciesOutliveHosts), _) => detach_candidacies(&mut txn),
            (Some(_) | None, _) => {}
        }
        txn
    }
}

fn detach_candidacies(txn: &mut Txn) {
    for op in txn.then.iter_mut().chain(&mut txn.otherwise) {
        match op {
            Op::Put { key, lease, .. } if !key.starts_with(lock::PREFIX) => *lease = 0,
            Op::Nested(txn) => detach_candidacies(txn),
            Op::Get(_)
            | Op::GetPrefix(_)
            | Op::Put { .. }
            | Op::Touch(_)
            | Op::Delete(_)
            | Op::DeletePrefix(_) => {}
        }
    }
}

/// The one IP of the world.
pub(crate) fn ip() -> Cidr {
    "10.0.0.1/32".parse().expect("an address")
}

fn is_about_lock(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.key.starts_with(lock::PREFIX))
}
