//! The etcd of a world: an etcd in memory, with what may be wrong with a real one.

use std::collections::VecDeque;

use link::etcd::{ErrorKind, Op, Reply, TimeToLive, Txn};

use crate::memory_etcd::{Change, History, MemoryEtcd, Millis};
use crate::setup::HostId;
use crate::times::TTL;

/// How many snapshots there are to go back to, one every five seconds.
const SNAPSHOTS: usize = 12;

/// Whether etcd carries out what it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Serves,
    /// An alarm NOSPACE: nothing is written, but keys can be deleted.
    NoSpace,
    /// The role of the agents may not write.
    ReadOnly,
    /// An alarm CORRUPT: nothing is answered but renewals.
    Corrupt,
}

/// Why etcd did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct No {
    pub(crate) kind: ErrorKind,
    pub(crate) why: String,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) up: bool,
    pub(crate) data: MemoryEtcd,
    pub(crate) service: Service,
    pub(crate) history: History,
    /// The newest last.
    snapshots: VecDeque<MemoryEtcd>,
    clusters: u64,
    /// What so many reads of these hosts find: data of a while ago.
    stale: Vec<Option<(u32, MemoryEtcd)>>,
    /// Renewals of these hosts are acknowledged whatever has become of the lease.
    pub(crate) zombies: Vec<bool>,
}

impl Cluster {
    pub(crate) fn new(hosts: usize) -> Cluster {
        let data = MemoryEtcd::new(1);
        Cluster {
            up: true,
            service: Service::Serves,
            history: History::default(),
            snapshots: VecDeque::from([data.clone()]),
            data,
            clusters: 1,
            stale: vec![None; hosts],
            zombies: vec![false; hosts],
        }
    }

    /// Carries out a transaction of a host.
    pub(crate) fn transact(&mut self, host: HostId, txn: &Txn) -> Result<(Reply, Vec<Change>), No> {
        if let Some(why) = self.refuses(txn) {
            return Err(No { kind: ErrorKind::Refused, why: why.to_owned() });
        }
        let read_only = !has(txn, |op| !is_read(op));
        if let Some((reads, mut stale)) = self.stale[host].take_if(|_| read_only) {
            let answer = stale.transact(txn).map_err(No::from);
            self.stale[host] = (reads > 1).then_some((reads - 1, stale));
            return answer;
        }
        let (reply, changes) = self.data.transact(txn).map_err(No::from)?;
        self.history.record(&changes);
        Ok((reply, changes))
    }

    fn refuses(&self, txn: &Txn) -> Option<&'static str> {
        match self.service {
            Service::NoSpace if has(txn, is_put) => {
                Some("etcdserver: mvcc: database space exceeded")
            }
            Service::ReadOnly if has(txn, |op| !is_read(op)) => {
                Some("etcdserver: permission denied")
            }
            Service::Corrupt => Some("etcdserver: corrupt cluster"),
            Service::Serves | Service::NoSpace | Service::ReadOnly => None,
        }
    }

    /// Grants a lease, if etcd does that now.
    pub(crate) fn grant(&mut self, now: Millis) -> Option<i64> {
        match self.service {
            Service::Serves | Service::ReadOnly => Some(self.data.grant(TTL, now)),
            Service::NoSpace | Service::Corrupt => None,
        }
    }

    /// Renews the lease of a host and tells its TTL; nothing if it is gone.
    pub(crate) fn renew(&mut self, host: HostId, lease: i64, now: Millis) -> Option<u32> {
        self.data.renew(lease, now).or(self.zombies[host].then_some(TTL))
    }

    pub(crate) fn time_to_live(&self, lease: i64, now: Millis) -> TimeToLive {
        self.data.time_to_live(lease, now)
    }

    /// Ends a lease; what that has deleted.
    pub(crate) fn revoke(&mut self, lease: i64) -> Vec<Change> {
        let changes = self.data.revoke(lease).unwrap_or_default();
        self.history.record(&changes);
        changes
    }

    /// Ends the leases whose time is over.
    pub(crate) fn expire(&mut self, now: Millis) -> Vec<Change> {
        let changes = self.data.expire(now);
        self.history.record(&changes);
        changes
    }

    /// What somebody does with etcdctl.
    pub(crate) fn by_hand(&mut self, op: Op) -> Vec<Change> {
        let (_, changes) =
            self.data.transact(&Txn::unconditional(vec![op])).expect("it is possible");
        self.history.record(&changes);
        changes
    }

    /// Has the next reads of a host find what is there now.
    pub(crate) fn set_stale(&mut self, host: HostId, reads: u32) {
        self.stale[host] = (reads > 0).then(|| (reads, self.data.clone()));
    }

    /// Whether the next read of a host finds old data.
    pub(crate) fn is_stale(&self, host: HostId) -> bool {
        self.stale[host].is_some()
    }

    pub(crate) fn take_snapshot(&mut self) {
        self.snapshots.push_back(self.data.clone());
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
    }

    /// A snapshot comes back: the newest for 0, an older one for more. It may be of a history that has
    /// ended since: of before a wipe, or of before another snapshot came back.
    pub(crate) fn restore(&mut self, back: usize, now: Millis) {
        let index = self.snapshots.len().saturating_sub(back + 1);
        self.data.restore(&self.snapshots[index], now);
        self.begin_anew();
    }

    /// Everything is gone; `another` if that is another cluster.
    pub(crate) fn wipe(&mut self, another: bool) {
        self.clusters += u64::from(another);
        self.data.wipe(self.clusters);
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.history = History::default();
        self.stale.fill(None);
    }
}

impl From<crate::memory_etcd::Refusal> for No {
    fn from(refusal: crate::memory_etcd::Refusal) -> No {
        No { kind: refusal.kind(), why: refusal.to_string() }
    }
}

/// Whether a transaction has an operation like that in any branch.
fn has(txn: &Txn, like: fn(&Op) -> bool) -> bool {
    txn.then.iter().chain(&txn.otherwise).any(|op| match op {
        Op::Nested(txn) => has(txn, like),
        Op::Get(_)
        | Op::GetPrefix(_)
        | Op::Put { .. }
        | Op::Touch(_)
        | Op::Delete(_)
        | Op::DeletePrefix(_) => like(op),
    })
}

fn is_put(op: &Op) -> bool {
    matches!(op, Op::Put { .. } | Op::Touch(_))
}

fn is_read(op: &Op) -> bool {
    matches!(op, Op::Get(_) | Op::GetPrefix(_))
}
