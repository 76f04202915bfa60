//! A Go LinK among the hosts, as far as they notice it: its candidacy without a lease, its tries for the lock, one
//! announcement, and that it finds out by a poll that it has lost the lock.

use link::etcd::{Compare, Op, Txn};
use link::lock;

use crate::canon::LEASES;
use crate::host::{HostId, Life, name};
use crate::memory_etcd::Change;
use crate::step::Step;
use crate::world::{TTL, World, cidr};

/// Its number; the others are counted from 0.
pub(crate) const GO: HostId = 7;

#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct GoLink {
    runs: bool,
    lease: Option<i64>,
    /// Its kernel has the address.
    pub(crate) bound: bool,
    /// Its watch has told of a candidacy: it tries for the lock.
    told: bool,
}

impl World {
    /// It is started, and offers the IP.
    pub(crate) fn begin_go(&mut self) {
        self.state.go = GoLink { runs: true, told: true, ..self.state.go };
        let value = br#"{"updated_at":"2026-11-22T07:35:39.486007637Z"}"#.to_vec();
        // Attached to no lease: it has no end.
        self.write_for_go(Op::Put { key: candidacy(), value, lease: 0 });
    }

    /// It is stopped, and what it leaves behind is removed, but for its lease.
    pub(crate) fn end_go(&mut self) {
        self.state.go = GoLink { runs: false, bound: false, told: false, ..self.state.go };
        self.write_for_go(Op::Delete(candidacy()));
    }

    fn write_for_go(&mut self, op: Op) {
        let (_, changes) =
            self.state.etcd.transact(&Txn::unconditional(vec![op])).expect("one write");
        self.tell_watches(&changes);
    }

    /// Its own watch tells of candidacies that are written.
    pub(crate) fn tell_go(&mut self, changes: &[Change]) {
        let prefix = lock::candidacy_key(cidr(), "");
        let told = |it: &Change| {
            it.key.starts_with(&prefix) && *it.key != *candidacy() && !it.is_deletion()
        };
        self.state.go.told |= self.state.go.runs && changes.iter().any(told);
    }

    /// What can happen to it: at once, and within some seconds.
    pub(crate) fn go_steps(&self, messages: &mut Vec<Step>, later: &mut Vec<Step>) {
        let go = &self.state.go;
        let reaches = go.runs && self.state.etcd_is_up && !self.state.etcd_refuses;
        if reaches && go.told {
            messages.push(Step::GoTries);
        } else if reaches && (self.holder().is_none() || go.bound != self.go_owns()) {
            later.push(Step::GoTries);
        }
        let left = go.lease.is_some_and(|lease| self.state.etcd.has_lease(lease));
        if !go.runs && left && self.state.etcd_is_up {
            later.push(Step::GoLeaseEnds);
        }
    }

    /// It tries for the lock, and looks whether it has it.
    pub(crate) fn go_tries(&mut self) {
        let known = self.state.go.lease.filter(|lease| self.state.etcd.has_lease(*lease));
        let lease = known.unwrap_or_else(|| {
            // Ids are only told from each other.
            let next = self.state.go.lease.map_or(LEASES + 900_000, |former| former + 1);
            self.state.etcd.grant_as(next, TTL, 0);
            next
        });
        let key = lock::key(cidr());
        let take = Op::Put { key: key.clone(), value: name(GO).into_bytes(), lease };
        let txn = Txn { when: vec![Compare::Absent(key)], then: vec![take], ..Txn::default() };
        let (_, changes) = self.state.etcd.transact(&txn).expect("one write");
        self.state.go = GoLink { lease: Some(lease), told: false, ..self.state.go };
        self.tell_watches(&changes);
        let owns = self.go_owns();
        let had = std::mem::replace(&mut self.state.go.bound, owns);
        if owns && !had {
            self.announce_go();
        }
    }

    pub(crate) fn go_lease_ends(&mut self) {
        self.revoke(self.state.go.lease.unwrap_or_default());
    }

    /// The lock is its own.
    pub(crate) fn go_owns(&self) -> bool {
        let holder = self.holder();
        holder.is_some_and(|holder| Some(holder.lease) == self.state.go.lease)
    }

    /// Whether a host hears it on the network of the IP.
    pub(crate) fn hears_go(&self, to: HostId) -> bool {
        let host = self.host(to);
        self.state.go.bound && host.carrier && !host.deaf && host.life != Life::Off
    }

    fn announce_go(&mut self) {
        self.state.neighbours_send_to = Some(GO);
        for to in self.ids() {
            if self.hears_go(to) && self.host(to).bound {
                self.host_mut(to).claims |= 1 << GO;
            }
        }
    }
}

fn candidacy() -> String {
    lock::candidacy_key(cidr(), &name(GO))
}
