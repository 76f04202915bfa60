//! This host's records: read from etcd, or from the local copy until etcd answers.
//!
//! etcd's records win. Until they were read, the API only reads, and the IPs of the local copy are
//! treated like any others: as long as etcd is silent, this host takes them by the policy.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::{Actor, Pending, Presence};
use crate::etcd;
use crate::store::{self, Record, Stored};
use crate::vip::{Cidr, VipId};

/// Between two attempts to read this host's records.
const RETRY: Duration = Duration::from_millis(500);

/// Between two local copies, for each IP. Each copy is of all of them, so that a thousand that are
/// registered one after the other would cost half a million records; at a few microseconds a record,
/// so long a pause makes it a few percent of the time.
const PAUSE: Duration = Duration::from_micros(200);

impl Actor {
    pub(super) fn load(&mut self) {
        self.load_at = None;
        self.submit(store::load_txn(&self.params.host), Pending::Load);
    }

    pub(super) fn on_loaded(&mut self, result: Result<etcd::Reply, etcd::Error>) {
        if self.stopping.is_some() {
            return;
        }
        match result {
            Ok(reply) => self.take_over(store::loaded(&self.params.host, &reply)),
            Err(error) => {
                self.troubled("etcd was not read yet", &error);
                self.load_at = Some(Instant::now() + RETRY);
                if !self.known {
                    self.start_without_etcd();
                }
            }
        }
        for request in std::mem::take(&mut self.waiting) {
            self.on_request(request);
        }
    }

    /// Takes the local copy for the truth, until etcd tells more.
    fn start_without_etcd(&mut self) {
        let Some(stored) = self.read_copy() else { return };
        let path = self.params.state.path().display();
        warn!("etcd does not answer: {} IPs known from {path}", stored.records.len());
        self.report_skipped(&stored);
        self.known = true;
        // What the copy does not know may be registered all the same: no address is a left-over before
        // etcd has said so.
        self.insert_all(stored.records);
        self.begin_lease(stored.lease, self.silent_since());
    }

    /// What the local copy says, if there is one.
    fn read_copy(&self) -> Option<Stored> {
        let copy = self.params.state.read()?;
        let stored = store::read_local_copy(&self.params.host, &copy);
        let path = self.params.state.path().display();
        stored.map_err(|error| warn!("state file {path}: {error}")).ok()
    }

    /// Since when etcd counts as silent: longer than this process lives. At a boot nobody may have the
    /// IP, so that waiting costs more than with an etcd that has just fallen silent.
    fn silent_since(&self) -> Instant {
        self.started.checked_sub(self.params.loss_after * 2 / 5).unwrap_or(self.started)
    }

    /// Makes the IPs of this host those that etcd has.
    fn take_over(&mut self, stored: Stored) {
        self.report_skipped(&stored);
        info!("{} IPs are registered on {}", stored.records.len(), self.params.host);
        let known = std::mem::replace(&mut self.known, true);
        self.loaded = true;
        let ids: HashSet<VipId> = stored.records.iter().map(|record| record.id.clone()).collect();
        let gone: Vec<VipId> = self.vips.keys().filter(|id| !ids.contains(*id)).cloned().collect();
        for id in gone {
            self.give_up(&id);
        }
        let mut new = stored.records;
        new.retain(|record| !self.refresh(record));
        self.insert_all(new);
        self.params.net.remove_left_overs(self.formerly_managed());
        self.lease.stored(stored.lease, stored.lease_revision);
        if known {
            if let Some(id) = self.lease.current {
                self.on_renewed(id);
            }
        } else {
            self.begin_lease(stored.lease, Instant::now());
        }
        self.write_copy();
    }

    /// What a former life of this host has managed, as far as the local copy tells. What is still
    /// registered is managed by now, and no left-over.
    fn formerly_managed(&self) -> Vec<(Cidr, String)> {
        let records = self.read_copy().map_or_else(Vec::new, |stored| stored.records);
        let place = |Record { cidr, interface, .. }| {
            (cidr, interface.unwrap_or_else(|| self.params.interface.clone()))
        };
        records.into_iter().map(place).collect()
    }

    fn report_skipped(&self, stored: &Stored) {
        for skipped in &stored.skipped {
            warn!("skipped: {skipped}");
        }
    }

    /// An IP of the local copy is no longer registered: it was deleted, and the copy is older.
    fn give_up(&mut self, id: &VipId) {
        if let Some(vip) = self.vip_mut(id) {
            warn!("{}: known from the local copy only, given up", vip.record.cidr);
            vip.leave(None);
        }
    }

    /// Brings an IP that is known already to its record in etcd; false if it has to be started.
    fn refresh(&mut self, record: &Record) -> bool {
        let timing = self.timing(record);
        let loss = self.loss_policy(record);
        let Some(vip) = self.vip_mut(&record.id) else { return false };
        let same = vip.record.cidr == record.cidr && vip.record.interface == record.interface;
        if !same {
            // Its election ends here, and the address is a left-over.
            self.vips.remove(&record.id);
            self.note_owner(&record.id);
            return false;
        }
        let checked = (&record.checks, record.healthcheck_interval);
        if (&vip.record.checks, vip.record.healthcheck_interval) != checked {
            vip.election.set_checks(record.checks.clone(), timing);
        }
        vip.election.set_loss_policy(loss);
        vip.record = record.clone();
        true
    }

    fn insert_all(&mut self, records: Vec<Record>) {
        for record in records {
            let cidr = record.cidr;
            if let Err(error) = self.insert(record, Presence::Registered) {
                warn!("{cidr}: start the election: {error}");
            }
        }
    }

    /// Has the local copy follow what is registered: at once, or a moment after the last.
    pub(super) fn write_copy(&mut self) {
        let now = Instant::now();
        let ips = u32::try_from(self.vips.len()).unwrap_or(u32::MAX);
        let next = self.copied.map_or(now, |copied| copied + PAUSE * ips);
        self.copy_at.get_or_insert(next);
        self.copy_if_due(now);
    }

    /// Writes the local copy, if that is due.
    pub(super) fn copy_if_due(&mut self, now: Instant) {
        if self.copy_at.is_some_and(|at| now >= at) {
            self.copied = Some(now);
            self.copy_now();
        }
    }

    /// Writes the local copy, if it is not what is registered.
    pub(super) fn copy_now(&mut self) {
        if self.copy_at.take().is_none() {
            return;
        }
        let registered = self.vips.values().filter(|vip| vip.is_registered());
        let records = registered.map(|vip| &vip.record);
        let copy = store::local_copy(&self.params.host, self.lease.saved(), records);
        self.params.state.write(copy);
    }
}
