//! This host's lease: written down before it is used, and told to all elections.

use std::time::Instant;

use log::{info, warn};

use super::{Actor, Event, Pending, Presence, Vip};
use crate::etcd;
use crate::lock::Lease;
use crate::store;

/// What is known of the lease.
pub(super) struct HostLease {
    /// What the elections were told last.
    pub(super) told: Lease,
    /// The last renewal.
    pub(super) renewed: Option<Instant>,
    /// Why etcd cannot be used, if it cannot.
    pub(super) trouble: Option<String>,
    /// The lease that the next life of this host would find, and where that is written.
    saved: Option<i64>,
    revision: i64,
    saving: bool,
    /// The lease that was renewed last.
    pub(super) current: Option<i64>,
}

impl HostLease {
    /// What the next life of this host would find.
    pub(super) fn saved(&self) -> Option<i64> {
        self.saved
    }

    /// What etcd was found to have stored.
    pub(super) fn stored(&mut self, lease: Option<i64>, revision: i64) {
        self.saved = lease;
        self.revision = revision;
        self.trouble = None;
    }
}

impl Default for HostLease {
    fn default() -> HostLease {
        HostLease {
            told: Lease::None,
            renewed: None,
            trouble: Some("etcd was not read yet".to_owned()),
            saved: None,
            revision: 0,
            saving: false,
            current: None,
        }
    }
}

impl Actor {
    /// Begins to keep a lease: that of this host's last life, if etcd still has it.
    /// If it cannot be renewed, etcd counts as silent since the time given.
    pub(super) fn begin_lease(&mut self, resume: Option<i64>, silent_since: Instant) {
        self.lease.saved = resume;
        if self.loaded {
            self.lease.trouble = Some("etcd has granted no lease yet".to_owned());
        }
        let event_tx = self.event_tx.clone();
        let events = move |event| {
            let _ = event_tx.send(Box::new(Event::Lease(event)));
        };
        self.params.etcd.keep_lease(resume, silent_since, Box::new(events));
    }

    pub(super) fn on_lease(&mut self, event: etcd::Event) {
        match event {
            etcd::Event::Granted { id, .. } => self.save_lease(id),
            etcd::Event::Held { id, .. } => self.on_renewed(id),
            etcd::Event::Paused(time) => {
                warn!("this process did not run for {time:.1?}: looking who owns its IPs");
                self.witness.forget();
                self.vips.values().for_each(|vip| vip.election.paused());
            }
            etcd::Event::Lost { why, revision } => {
                warn!("etcd is lost: {why}; each IP is dealt with by its policy");
                self.lease.trouble = Some(format!("etcd is lost: {why}"));
                self.vips.values().for_each(|vip| vip.election.etcd_heard(revision));
                self.tell_elections(Lease::Lost);
            }
            etcd::Event::WatchOpened { .. } => {}
        }
    }

    pub(super) fn on_renewed(&mut self, id: i64) {
        self.lease.renewed = Some(Instant::now());
        self.lease.current = Some(id);
        if self.lease.saved == Some(id) {
            self.hold(id);
        } else {
            self.save_lease(id);
        }
    }

    /// Writes a lease down, so that the next life of this host can resume it. Nothing is attached to
    /// it before, or a crash in between would leave locks that nobody renews or releases.
    fn save_lease(&mut self, id: i64) {
        let ready = self.loaded && self.stopping.is_none();
        if !ready || std::mem::replace(&mut self.lease.saving, true) {
            return;
        }
        let txn = store::save_lease_txn(&self.params.host, id, self.lease.revision);
        self.submit(txn, Pending::SaveLease(id));
    }

    pub(super) fn on_lease_saved(&mut self, id: i64, result: Result<etcd::Reply, etcd::Error>) {
        self.lease.saving = false;
        let written = match result {
            Ok(reply) => store::lease_saved(&self.params.host, id, &reply),
            // The next renewal tries again.
            Err(error) => return self.troubled("store the lease", &error),
        };
        match written {
            Ok(revision) => {
                self.lease.revision = revision;
                self.lease.saved = Some(id);
                self.write_copy();
                self.hold(id);
            }
            Err(store::Conflict(revision)) => {
                let host = &self.params.host;
                warn!("another agent has stored a lease for {host}: is the name used twice?");
                self.lease.revision = revision;
                self.save_lease(id);
            }
        }
    }

    fn hold(&mut self, id: i64) {
        if let Some(trouble) = self.lease.trouble.take() {
            info!("lease {id:x} is held (before: {trouble})");
        }
        self.tell_elections(Lease::Held(id));
        self.pay_debts();
    }

    fn tell_elections(&mut self, lease: Lease) {
        if self.lease.told != lease {
            self.lease.told = lease;
            // One that is being stored hears of it when it is; a change comes after that.
            let storing = |vip: &&Vip| matches!(vip.presence, Presence::Storing);
            for vip in self.vips.values().filter(|vip| !storing(vip)) {
                vip.election.lease(lease);
            }
        }
    }

    /// Takes note of why etcd cannot be used. What etcd refuses is said, once; of what does not
    /// answer etcd's client complains.
    pub(super) fn troubled(&mut self, what: &str, error: &etcd::Error) {
        let why = format!("{what}: {error}");
        let known = self.lease.trouble.as_ref() == Some(&why);
        if error.kind == etcd::ErrorKind::Refused && !known {
            warn!("{why}");
        }
        self.lease.trouble = Some(why);
    }

    /// Why this agent cannot keep its promises now, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        let old = self.lease.renewed.is_none_or(|renewed| renewed.elapsed() > self.params.ttl);
        match &self.lease.trouble {
            _ if self.stopping.is_some() => Some("stopping".to_owned()),
            Some(trouble) => Some(trouble.clone()),
            None if old => Some("the lease was not renewed in time".to_owned()),
            None => None,
        }
    }
}
