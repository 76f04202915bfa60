//! The Go LinK as far as others notice it: its keys, its poll and its watch, its one announcement, and
//! that it leaves its address where it is when it ends.

use link::etcd::{Compare, Op, Txn};
use link::lock;

use super::{Event, World};
use crate::cluster::Service;
use crate::memory_etcd::Change;
use crate::setup::{GO, IPS, IpId, cidr, name};
use crate::times::{GO_POLL, GO_TTL};

/// After how long somebody removes the address that it has left.
const REMOVED: u64 = 20_000;

#[derive(Debug)]
pub(super) struct GoLink {
    ip: IpId,
    lease: Option<i64>,
}

impl World {
    /// A Go LinK serves an IP, too, if all is well.
    pub(super) fn begin_go(&mut self, ip: IpId) {
        // A drained host gives it the IP when it finds it, in the middle of a calm.
        let mut agents = self.hosts.iter().filter_map(|it| it.agent.as_ref());
        let drained = agents.any(|agent| agent.core.is_drained());
        if !self.audit.is_well(self.now) || self.hosts[GO].power || drained {
            return;
        }
        self.hosts[GO].power = true;
        self.hosts[GO].life += 1;
        self.go = Some(GoLink { ip, lease: None });
        let key = lock::candidacy_key(cidr(ip), &name(GO));
        let value = br#"{"updated_at":"2026-11-22T07:35:39.486007637Z"}"#.to_vec();
        // Attached to no lease: it has no end.
        self.by_hand(Op::Put { key, value, lease: 0 });
        let life = self.hosts[GO].life;
        self.after(1, Event::GoWakes { life, polls: true });
    }

    /// Its process ends. Its lease runs out, and its address stays until somebody removes it.
    pub(super) fn stop_go(&mut self) {
        if self.go.take().is_some() {
            self.after(REMOVED, Event::GoIsRemoved);
        }
    }

    pub(super) fn remove_go(&mut self) {
        let serves = self.etcd_serves();
        for ip in (0..IPS).filter(|_| !serves) {
            self.hosts[GO].kernel[ip] = false;
        }
        if !serves {
            return self.after(500, Event::GoIsRemoved);
        }
        (self.hosts[GO].kernel, self.hosts[GO].power) = ([false; IPS], false);
        for ip in 0..IPS {
            self.by_hand(Op::Delete(lock::candidacy_key(cidr(ip), &name(GO))));
        }
        self.changed = true;
    }

    /// A candidacy was written: it tries for the lock at once.
    pub(super) fn tell_go(&mut self, changes: &[Change]) {
        let Some(go) = &self.go else { return };
        let own = lock::candidacy_key(cidr(go.ip), &name(GO));
        let prefix = own.trim_end_matches(&name(GO));
        let told = |change: &Change| {
            change.key.starts_with(prefix) && *change.key != *own && !change.is_deletion()
        };
        if changes.iter().any(told) {
            let (way, life) = (self.way(GO), self.hosts[GO].life);
            self.after(way, Event::GoWakes { life, polls: false });
        }
    }

    /// Tries for the lock, and looks whether it has it.
    pub(super) fn wake_go(&mut self, life: u64, polls: bool) {
        let now = self.now;
        let Some(go) = self.go.as_mut().filter(|_| self.hosts[GO].life == life) else { return };
        let (ip, key) = (go.ip, lock::key(cidr(go.ip)));
        if polls {
            self.at(now + GO_POLL, Event::GoWakes { life, polls });
        }
        if !self.etcd_serves() || self.cluster.service != Service::Serves {
            return;
        }
        let lease = self.go.as_ref().and_then(|go| go.lease);
        let held = lease.filter(|lease| self.cluster.data.renew(*lease, now).is_some());
        let lease = held.unwrap_or_else(|| self.cluster.data.grant(GO_TTL, now));
        self.go = Some(GoLink { ip, lease: Some(lease) });
        let txn = Txn {
            when: vec![Compare::Absent(key.clone())],
            then: vec![Op::Put { key: key.clone(), value: name(GO).into_bytes(), lease }],
            otherwise: Vec::new(),
        };
        let Ok((_, changes)) = self.cluster.transact(GO, &txn) else { return };
        self.publish(&changes);
        let owns = self.cluster.data.get(&key).is_some_and(|kv| kv.lease == lease);
        let had = std::mem::replace(&mut self.hosts[GO].kernel[ip], owns);
        self.changed |= had != owns;
        if owns && !had {
            // Once only.
            self.say(GO, ip);
        }
    }
}
