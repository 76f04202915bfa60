//! One host, one name: which machine goes by the name of this host.
//!
//! The key of the host names the machine that wrote it last. A machine that starts under a name whose
//! lease another machine keeps alive is the second one: it serves nothing, tells the first by a claim,
//! and waits until that lease has ended. The first goes on, and says what it was told.

use std::time::Duration;

use log::Level;

use super::start::{Start, names};
use super::table::Stage;
use super::{Action, Core, Failure, Timer};
use crate::history::Kind;
use crate::lock::Lease;
use crate::store::{self, At, Claim, HostKey, Instance, Request};

/// Between two looks whether the other machine is alive.
const LOOK: Duration = Duration::from_secs(1);

/// Looks between two claims.
const CLAIM_EVERY: u32 = 10;

/// After this a claim that was not renewed is none any more.
const CLAIM_ENDS: Duration = Duration::from_secs(60);

/// Which machine has the name.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) name: Name,
    /// A lease of another machine with this name that has ended.
    ended: Option<i64>,
    /// Another machine that starts under this host's name, and the revision of its claim.
    pub(super) claim: Option<Claim>,
    /// Names that this machine had before, of which a warning was given.
    former: Vec<String>,
    /// This host is to leave nothing in etcd when its agent stops.
    pub(super) leaves: bool,
}

/// Who has the name of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Name {
    /// This machine, as far as is known.
    #[default]
    Own,
    /// Another machine, if it is alive: that is being asked.
    Disputed(Other),
    /// Another machine, which is alive.
    Taken(Other),
}

/// Another machine with the name of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) instance: Instance,
    lease: i64,
    /// Looks since the last claim.
    looks: u32,
}

impl Core {
    /// Whether this machine may act under its name, given what is stored of the host. If that is not
    /// known yet, the other machine's lease is asked for.
    pub(super) fn has_name(&mut self, host: Option<&HostKey>) -> bool {
        let instance = host.and_then(|host| host.instance.clone());
        let other = instance.filter(|instance| !instance.is_same(&self.config.instance));
        match (other, host.and_then(|host| host.lease)) {
            (Some(instance), Some(lease)) if self.identity.ended != Some(lease) => {
                let looks = 0;
                self.identity.name = Name::Disputed(Other { instance, lease, looks });
                self.out.push(Action::ReadLease(lease));
                false
            }
            // Nobody keeps the name.
            (Some(_) | None, Some(_) | None) => {
                self.identity.name = Name::Own;
                true
            }
        }
    }

    /// What is left of the lease of the other machine with this name.
    pub(super) fn on_lease_left(&mut self, lease: i64, left: Option<(i64, i64)>) {
        let other = match &self.identity.name {
            Name::Disputed(other) | Name::Taken(other) if other.lease == lease => other.clone(),
            Name::Own | Name::Disputed(_) | Name::Taken(_) => return,
        };
        match left {
            Some((left, _)) if left < 0 => self.name_is_free(lease),
            Some(_) => self.name_is_taken(other),
            None => self.arm(Timer::NameCheck, LOOK),
        }
    }

    fn name_is_free(&mut self, ended: i64) {
        self.identity.ended = Some(ended);
        if matches!(self.identity.name, Name::Taken(_)) {
            let what = format!("the name {} is free", self.config.host);
            self.happened(Level::Info, Kind::Agent.of(what).because("this host takes it"));
        }
        self.identity.name = Name::Own;
        self.take_name();
    }

    fn name_is_taken(&mut self, mut other: Other) {
        if !matches!(self.identity.name, Name::Taken(_)) {
            let text = self.name_trouble(&other.instance);
            self.happened(Level::Error, Kind::Conflict.of(text));
            self.serve_nothing();
        }
        if other.looks.is_multiple_of(CLAIM_EVERY) {
            self.ask(Request::ClaimName { lease: other.lease });
        }
        other.looks += 1;
        self.identity.name = Name::Taken(other);
        self.arm(Timer::NameCheck, LOOK);
        self.answer_waiting();
    }

    /// What is said while another machine has the name.
    pub(super) fn name_trouble(&self, other: &Instance) -> String {
        format!(
            "the name {} is in use by {}: this host serves nothing until its HOSTNAME is another or \
             that host's lease has ended",
            self.config.host,
            other.describe()
        )
    }

    /// Gives up everything that was begun under the name.
    fn serve_nothing(&mut self) {
        self.start = Start::Taken;
        self.out.push(Action::RemoveLeftOvers(self.formerly_managed()));
        let why = "another machine has the name of this host, which gives all up";
        self.abandon_batches(why);
        // Also to elections that begin because an IP leaves its group.
        self.tell_lease(Lease::None);
        for slot in self.table.slots() {
            if self.table.get(slot).is_some_and(|vip| !matches!(vip.stage, Stage::Leaving(_))) {
                self.leave_outcome_open(slot, why);
                self.leave(slot, Vec::new());
            }
        }
    }

    pub(super) fn check_name(&mut self) {
        if let Name::Disputed(other) | Name::Taken(other) = &self.identity.name {
            self.out.push(Action::ReadLease(other.lease));
        }
    }

    /// The key of the host, found by a comparison while this machine acts under its name.
    pub(super) fn found_host(&mut self, host: Option<&HostKey>, claims: &[Claim]) {
        self.note_claims(claims);
        let revision = host.map_or(0, |host| host.revision);
        if self.lease.saved.is_some() && revision == self.lease.revision {
            return;
        }
        let written = self.lease.saved.is_some();
        self.lease.revision = revision;
        self.lease.saved = None;
        if written {
            let (kind, what) = match host {
                Some(_) => (Kind::Conflict, "was written by another agent"),
                None => (Kind::Trouble, "was missing"),
            };
            let text = format!("the key of host {} {what}", self.config.host);
            self.happened(Level::Warn, kind.of(text));
        }
        if self.has_name(host) {
            self.hold_or_save();
        }
    }

    fn note_claims(&mut self, claims: &[Claim]) {
        let newest = claims.iter().max_by_key(|claim| claim.revision);
        let before = self.identity.claim.as_ref();
        let Some(claim) = newest else {
            self.identity.claim = None;
            return;
        };
        if before.is_some_and(|before| before.revision == claim.revision) {
            return;
        }
        let text = self.claim_trouble(claim);
        let known = before.is_some_and(|before| before.instance == claim.instance);
        self.identity.claim = Some(claim.clone());
        self.arm(Timer::ClaimsEnd, CLAIM_ENDS);
        if !known {
            self.happened(Level::Warn, Kind::Conflict.of(text));
        }
    }

    /// What is said while another machine starts under this host's name.
    pub(super) fn claim_trouble(&self, claim: &Claim) -> String {
        let host = &self.config.host;
        format!("{} is called {host}, too: that host serves nothing", claim.instance.describe())
    }

    /// The claim was not renewed: the other machine is gone, or has another name.
    pub(super) fn end_claims(&mut self) {
        self.identity.claim = None;
        self.ask(Request::DropClaims);
    }

    /// The hosts that etcd knows: this machine may have gone by one of their names.
    pub(super) fn on_hosts(&mut self, result: Result<(store::Answer, At), Failure>) {
        let Ok((store::Answer::Hosts(hosts), _)) = result else { return };
        let is_this = |key: &HostKey| {
            key.instance.as_ref().is_some_and(|it| it.has_hardware_of(&self.config.instance))
        };
        let own = &self.config.host;
        let former = hosts.iter().filter(|(name, key)| name != own && is_this(key));
        let former: Vec<String> = former.map(|(name, _)| name.clone()).collect();
        former.into_iter().for_each(|name| self.ask(Request::RecordsOf(name)));
    }

    /// The IPs that are registered under a former name of this machine.
    pub(super) fn on_records_of(
        &mut self,
        name: &str,
        result: Result<(store::Answer, At), Failure>,
    ) {
        let Ok((store::Answer::Records(records), _)) = result else { return };
        let mut left = Vec::new();
        self.note_left_behind(&mut left, name, &records);
        self.warn_left_behind(&left);
    }

    /// Adds a name that this host had before to those to be warned of, if IPs are left behind under it
    /// and no warning was given yet.
    pub(super) fn note_left_behind(
        &mut self,
        left: &mut Vec<String>,
        name: &str,
        records: &[store::Record],
    ) {
        if !records.is_empty() && !self.identity.former.iter().any(|former| former == name) {
            left.push(format!("{name:?}: {}", names(records)));
            self.identity.former.push(name.to_owned());
        }
    }

    /// Says which IPs a host that has another name now has left behind.
    pub(super) fn warn_left_behind(&mut self, left: &[String]) {
        let what = "this host had another name, and IPs stay registered under that. To serve them \
                    here, register them again (linkctl add IP), or start with that HOSTNAME. To end \
                    this warning, remove the records of that name (etcdctl del --prefix \
                    /link/hosts/NAME/) and NAME.json in STATE_DIR";
        self.warn_of(Kind::Trouble, what, left);
    }
}
