//! This host's lease: written down before it is used, and told to all elections.

use std::time::{Duration, Instant};

use log::Level;

use super::identity::Name;
use super::presence::Presence;
use super::start::Start;
use super::stop::Life;
use super::table::{Service, Stage};
use super::{Action, Core, Failure, Order, Timer};
use crate::history::Kind;
use crate::lock::Lease;
use crate::store::{self, At, Obstacle, Request};

/// What is known of the lease.
#[derive(Clone, Debug)]
pub(super) struct HostLease {
    /// When etcd was asked for the first time.
    pub(super) asked: Option<Instant>,
    /// What the elections were told last.
    pub(super) told: Lease,
    /// The lease that was renewed last.
    pub(super) current: Option<i64>,
    /// The lease that the next life of this host would find, and the revision at which that is written.
    pub(super) saved: Option<i64>,
    pub(super) revision: i64,
    /// It is being written.
    saving: bool,
    /// It does not name this machine as it is now: it is written again when the lease is held.
    pub(super) stale: bool,
    /// A lease is kept: [`Action::KeepLease`] was given.
    keeping: bool,
    /// Why etcd cannot be used, if it cannot.
    pub(super) trouble: Option<String>,
    /// When it ends, if it is not renewed.
    pub(super) until: Option<Instant>,
    /// It was not renewed in time.
    pub(super) overdue: bool,
    pub(super) presence: Presence,
}

impl Default for HostLease {
    fn default() -> HostLease {
        HostLease {
            asked: None,
            told: Lease::None,
            current: None,
            saved: None,
            revision: 0,
            saving: false,
            stale: false,
            keeping: false,
            trouble: Some("etcd was not read yet".to_owned()),
            until: None,
            overdue: false,
            presence: Presence::default(),
        }
    }
}

impl HostLease {
    /// Whether the key of the host was written by this agent at that revision, or is being written.
    pub(super) fn wrote(&self, revision: i64) -> bool {
        self.saving || self.revision >= revision
    }
}

impl Core {
    /// Begins to keep a lease: this one, if etcd still has it. If it cannot be renewed, etcd counts as
    /// silent for so long already.
    pub(super) fn begin_lease(&mut self, resume: Option<i64>, silent: Duration) {
        if !std::mem::replace(&mut self.lease.keeping, true) {
            self.out.push(Action::KeepLease(resume, silent));
        }
    }

    pub(super) fn on_lease_held(&mut self, id: i64, ttl: Duration, now: Instant) {
        self.lease.until = Some(now + ttl);
        self.arm(Timer::LeaseOverdue, ttl);
        self.lease.overdue = false;
        self.lease.current = Some(id);
        self.hold_or_save();
    }

    /// Uses the lease if it is written down, and writes it down if not.
    pub(super) fn hold_or_save(&mut self) {
        let Some(id) = self.lease.current else { return };
        if self.lease.saved == Some(id) {
            self.hold(id);
        } else {
            self.save(id);
        }
    }

    /// Writes a lease down, so that the next life of this host can resume it. Nothing is attached to
    /// it before, or a crash in between would leave locks that nobody renews or releases.
    fn save(&mut self, id: i64) {
        // What another machine has written, which may be alive, is not written over.
        let named = self.start == Start::Loaded && self.identity.name == Name::Own;
        let ready = named && self.life == Life::Running;
        if ready && !std::mem::replace(&mut self.lease.saving, true) {
            self.ask(Request::WriteHost { lease: id, revision: self.lease.revision });
        }
    }

    pub(super) fn on_host_written(
        &mut self,
        lease: i64,
        result: Result<(store::Answer, At), Failure>,
    ) {
        self.lease.saving = false;
        match result {
            Ok((store::Answer::Written(Ok(revision)), at)) => {
                self.wrote(at, revision);
                self.lease.revision = revision;
                self.lease.saved = Some(lease);
                self.lease.stale = false;
                self.copy.changed();
                self.hold_or_save();
            }
            // Another agent has written it: whether that may be is seen when it is read.
            Ok((
                store::Answer::Written(Err(Obstacle::Changed(_) | Obstacle::OtherPrefix(_))),
                _,
            )) => {
                self.lease.saved = None;
                self.compare_soon();
            }
            Ok(_) => {}
            // The next renewal tries again. What is written down already can be used meanwhile, and that
            // etcd refuses is told by what it refuses (`serving`).
            Err(_) if self.lease.saved == Some(lease) => self.lease.stale = true,
            Err(failure) => self.troubled("write down the lease", &failure),
        }
    }

    fn hold(&mut self, id: i64) {
        if let Some(trouble) = self.lease.trouble.take() {
            let back = Kind::EtcdBack.of(format!("etcd is usable: lease {id:x} is held"));
            self.happened(Level::Info, back.because(format!("until now {trouble}")));
        }
        let before = self.lease.told;
        self.tell_lease(Lease::Held(id));
        if before != self.lease.told {
            self.lease.presence.begin();
            self.compare_soon();
            self.all_groups_due();
            self.table.retry();
        }
        if std::mem::take(&mut self.lease.stale) {
            self.save(id);
        }
    }

    pub(super) fn on_etcd_lost(&mut self, why: &str, revision: i64) {
        let why_and_then = format!("{why}; each IP is dealt with by its policy");
        self.happened(Level::Warn, Kind::EtcdLost.of("etcd is lost").because(why_and_then));
        self.lease.trouble = Some(format!("etcd is lost: {why}"));
        for slot in self.table.slots() {
            self.tell(slot, Order::EtcdHeard(revision));
        }
        self.tell_lease(Lease::Lost);
    }

    /// Tells the elections of the lease; those that have it are not told again.
    pub(super) fn tell_lease(&mut self, lease: Lease) {
        if self.lease.told == lease {
            return;
        }
        self.lease.told = lease;
        // One that is being stored hears of it when it is; a change comes after that.
        let storing = |stage: &Stage| {
            matches!(stage, Stage::Starting(_) | Stage::Joining(_) | Stage::Storing(_))
        };
        for slot in self.table.slots() {
            let Some(vip) = self.table.get_mut(slot) else { continue };
            vip.service = Service::Served;
            if !storing(&vip.stage) {
                self.tell(slot, Order::Lease(lease));
            }
        }
        if !matches!(lease, Lease::Held(_)) {
            self.leave_groups();
        }
    }

    /// Takes note of why etcd cannot be used. A refusal is logged, once; of members that do not answer
    /// etcd's client logs.
    pub(super) fn troubled(&mut self, what: &str, failure: &Failure) {
        let why = format!("{what}: {}", failure.why);
        let known = self.lease.trouble.as_ref() == Some(&why);
        if failure.outcome == super::Outcome::Refused && !known {
            let refused = Kind::Refused.of(what).because(failure.why.clone());
            self.happened(Level::Warn, refused);
        }
        self.lease.trouble = Some(why);
    }
}
