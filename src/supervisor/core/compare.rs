//! Wanted against found: what this host should have in etcd, and what it has.
//!
//! *Wanted* is the table: a record for each registered IP, a lock and a candidacy for these only, the
//! key of the host and its presence, and the calls that are under way. *Found* are the records and the key of the host, the keys that are attached to
//! its lease, and candidacies of other hosts with another prefix length. They are compared at a start,
//! when a lease is held, when the watch was opened again, when a key of this host was written by
//! another, after requests whose outcome is not known, once more ten seconds after each of these, and
//! slowly otherwise. What differs is mended, and a warning says what it was. Of an IP that was given up, only
//! its own keys are looked after, ten seconds later: that costs the same however many there are.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::identity::Name;
use super::start::Start;
use super::stop::Life;
use super::table::{RecordRequest, Stage};
use super::{Core, Failure, Order, Timer};
use crate::call;
use crate::history::Kind;
use crate::lock::{self, Lease};
use crate::store::{self, At, Found, Request};
use crate::vip::{Cidr, Slot};

/// Between two comparisons for no reason. Each reads all that this host has in etcd.
const SLOWLY: Duration = Duration::from_secs(600);

/// The keys of the lease alone are one small request, and candidacies are not watched: each has the
/// prefix of its IP. So they are looked at once in so many renewals, and one more for so many IPs: with a
/// thousand, the answer has two thousand keys.
const RENEWALS: u32 = 60;
const IPS_PER_RENEWAL: u32 = 10;

/// After a comparison that had a reason, until it is made once more. What was asked for before it, by a
/// life of this agent that was killed or in a request that was given up, may have been carried out since
/// (etcd gives a request up after 7 s), and a member that lags may have told what was.
const LATE: Duration = Duration::from_secs(10);

/// Before a comparison that could not be made is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How many keys one transaction releases or looks at; etcd takes 128 operations (`--max-txn-ops`).
pub(super) const AT_ONCE: usize = 100;

/// How far the comparison is.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) step: Step,
    /// Something has happened since it began: it is made again.
    again: bool,
    /// It has a reason, so that it is made once more.
    has_reason: bool,
    /// Keys on the own lease that no registered IP explains, until etcd has deleted them.
    releasing: BTreeSet<String>,
    /// IPs that were given up: what their elections asked for before may be carried out yet.
    left: Vec<Cidr>,
    /// IPs whose elections had a candidacy in etcd when the keys were asked for.
    candidates: Vec<Slot>,
    /// Whether the presence was in etcd then.
    present: bool,
    /// Addresses that are still to be looked for with another prefix length.
    pub(super) prefixes: Vec<Cidr>,
    /// When in the history of etcd the last own write was: what was read before it is old.
    pub(super) last_write: At,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    #[default]
    None,
    Due,
    Records,
    Keys,
    Prefixes,
    /// The keys of the lease, and nothing else.
    KeysAlone,
}

impl Comparison {
    /// Whether the lock or the candidacy of an IP that was given up is still to be deleted.
    pub(super) fn releases(&self, cidr: Cidr) -> bool {
        self.releasing.iter().any(|key| explained_by(key) == Some(cidr.election_key().as_str()))
    }

    /// Whether what was read is older than the last write. That is so at most once: after that, etcd
    /// itself has gone back.
    fn is_outdated(&mut self, at: At) -> bool {
        let last = std::mem::take(&mut self.last_write);
        last.cluster == at.cluster && at.revision < last.revision
    }
}

impl Core {
    /// Takes note of what was written, and at which revision (0: it was not).
    pub(super) fn wrote(&mut self, at: At, revision: i64) {
        self.comparison.last_write = at;
        self.copy.wrote(At { revision, ..at });
    }

    /// Has wanted and found compared for a reason, when that is possible.
    pub(super) fn compare_soon(&mut self) {
        self.comparison.has_reason = true;
        self.compare();
    }

    /// Has them compared.
    pub(super) fn compare(&mut self) {
        match self.comparison.step {
            Step::None => self.comparison.step = Step::Due,
            Step::Due => {}
            Step::Records | Step::Keys | Step::Prefixes | Step::KeysAlone => {
                self.comparison.again = true;
            }
        }
    }

    /// Has the keys of the lease looked at, unless a comparison does that.
    pub(super) fn compare_keys(&mut self) {
        if self.comparison.step == Step::None && self.life == Life::Running {
            self.read_lease_keys(Step::KeysAlone);
        }
        // A watch that is dead, while requests work, does not tell what belongs to them.
        self.all_groups_due();
        // Like the keys of the lease, candidacies have no prefix that a host could watch.
        for slot in self.table.slots() {
            if self.table.get(slot).is_some_and(|vip| self.tells_strangers(vip)) {
                self.tell(slot, Order::CandidatesOutdated);
            }
        }
    }

    /// Has the keys of an IP that was given up released when nothing can be under way any more.
    pub(super) fn release_late(&mut self, cidr: Cidr) {
        self.comparison.left.push(cidr);
        self.arm(Timer::ReleaseLate, LATE);
    }

    /// Releases what the elections of IPs that were given up have asked for too late. With another lease, all is compared.
    pub(super) fn release_left(&mut self) {
        let left = std::mem::take(&mut self.comparison.left);
        let Lease::Held(lease) = self.lease.told else { return };
        let is_here =
            |cidr: Cidr| self.table.at(cidr.addr()).is_some_and(|(_, vip)| vip.record.cidr == cidr);
        let gone = left.into_iter().filter(|cidr| !is_here(*cidr));
        let host = &self.config.host;
        let keys = gone.flat_map(|cidr| [lock::key(cidr), lock::candidacy_key(cidr, host)]);
        let keys: Vec<String> = keys.collect();
        for keys in keys.chunks(AT_ONCE) {
            self.comparison.releasing.extend(keys.iter().cloned());
            self.ask(Request::Release { lease, keys: keys.to_vec() });
        }
    }

    pub(super) fn begin_comparison(&mut self) {
        let ready = self.start == Start::Loaded && self.life == Life::Running;
        if ready && self.comparison.step == Step::Due {
            self.comparison.step = Step::Records;
            self.ask(Request::Load);
        }
    }

    /// The records were read by a start: the comparison goes on from there.
    pub(super) fn compare_from(&mut self, found: &Found) {
        self.comparison.step = Step::Records;
        self.comparison.has_reason = true;
        self.found_records(found);
    }

    pub(super) fn on_found(&mut self, result: Result<(store::Answer, At), Failure>) {
        match result {
            Ok((store::Answer::Loaded(found), at)) if self.comparison.step == Step::Records => {
                if self.comparison.is_outdated(at) {
                    return self.ask(Request::Load);
                }
                self.note_mark(&found, at);
                self.found_host(found.host.as_ref(), &found.claims);
                match self.identity.name {
                    Name::Own => self.found_records(&found),
                    // The records may be those of a machine that is alive.
                    Name::Disputed(_) | Name::Taken(_) => self.comparison_failed(),
                }
            }
            Ok(_) => {}
            // A refusal was noted; whether etcd is silent the lease tells.
            Err(_) => self.comparison_failed(),
        }
    }

    fn found_records(&mut self, found: &Found) {
        self.mend_records(found);
        self.read_lease_keys(Step::Keys);
    }

    fn read_lease_keys(&mut self, step: Step) {
        match self.lease.told {
            Lease::Held(lease) => {
                self.comparison.step = step;
                let candidates =
                    self.table.iter().filter(|(_, vip)| vip.status.candidate.is_some());
                self.comparison.candidates = candidates.map(|(slot, _)| slot).collect();
                self.comparison.present = self.lease.presence.is_on(lease);
                self.out.push(super::Action::ReadLeaseKeys(lease));
            }
            // With the next lease it is compared again.
            Lease::None | Lease::Lost => self.end_comparison(),
        }
    }

    pub(super) fn on_lease_keys(&mut self, lease: i64, result: Result<Vec<String>, Failure>) {
        let step = self.comparison.step;
        if !matches!(step, Step::Keys | Step::KeysAlone) {
            return;
        }
        match result {
            Ok(keys) if self.lease.told == Lease::Held(lease) => {
                if self.comparison.present && !keys.contains(&call::presence_key(&self.config.host))
                {
                    self.presence_is_missing();
                }
                self.restore_candidacies(&keys);
                self.release(lease, keys);
                if step == Step::Keys {
                    self.arm(Timer::Compare, SLOWLY);
                    self.look_for_prefixes();
                } else {
                    self.end_comparison();
                }
            }
            Ok(_) => self.comparison_failed(),
            Err(failure) => {
                self.on_failure(&failure);
                self.comparison_failed();
            }
        }
    }

    /// Has elections look again whose lock or candidacy is not on the own lease any more.
    fn restore_candidacies(&mut self, keys: &[String]) {
        let keys: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let mut missing = Vec::new();
        for slot in std::mem::take(&mut self.comparison.candidates) {
            let Some(vip) = self.table.get(slot).filter(|vip| vip.is_registered()) else {
                continue;
            };
            if self.table.election_of(slot) != slot {
                continue;
            }
            let key = self.table.whole_key(slot, vip.record.cidr);
            // A lock that is gone, of which the watch does not tell.
            let owns = vip.status.owner.as_ref() == Some(&self.config.host);
            if owns && !keys.contains(lock::key(&key).as_str()) {
                self.tell(slot, Order::LockNow);
            } else if !keys.contains(lock::candidacy_key(&key, &self.config.host).as_str()) {
                missing.push(key.to_string());
                self.tell(slot, Order::LockNow);
            }
        }
        self.warn_of(
            Kind::Trouble,
            "candidacies in etcd were missing, and are written again",
            &missing,
        );
    }

    /// Gives up what is attached to the own lease and belongs to no registered IP: what a crash or an
    /// unknown outcome has left, and what belongs to records that this agent does not serve.
    fn release(&mut self, lease: i64, keys: Vec<String>) {
        // Also those that are not registered yet or are being given up: what is deleted now may be theirs
        // by then.
        let single = self.table.iter().map(|(_, vip)| vip.record.cidr.election_key());
        let known: HashSet<String> = single.chain(self.table.seat_names()).collect();
        let is_of_no_ip =
            |key: &String| explained_by(key).is_some_and(|name| !known.contains(name));
        let is_left = |key: &String| is_of_no_ip(key) || self.is_left_of_calls(key);
        let left: Vec<String> = keys.into_iter().filter(is_left).collect();
        let mut new = Vec::new();
        for key in &left {
            if self.comparison.releasing.insert(key.clone()) && is_of_no_ip(key) {
                new.push(key.clone());
            }
        }
        self.warn_of(
            Kind::Trouble,
            "keys that belong to no IP that is served here are given up",
            &new,
        );
        for keys in left.chunks(AT_ONCE) {
            self.ask(Request::Release { lease, keys: keys.to_vec() });
        }
    }

    pub(super) fn on_released(&mut self, keys: &[String], done: bool) {
        for key in keys {
            self.comparison.releasing.remove(key);
        }
        if !done {
            self.arm(Timer::Compare, AGAIN);
        }
    }

    pub(super) fn end_comparison(&mut self) {
        if std::mem::take(&mut self.comparison.again) {
            self.comparison.step = Step::Due;
            return;
        }
        self.comparison.step = Step::None;
        let ips = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let renewals = RENEWALS.saturating_add(ips / IPS_PER_RENEWAL);
        self.arm(Timer::CompareKeys, self.config.renewal.saturating_mul(renewals));
        if std::mem::take(&mut self.comparison.has_reason) {
            self.arm(Timer::CompareLate, LATE);
        }
    }

    pub(super) fn comparison_failed(&mut self) {
        self.comparison.step = Step::None;
        self.comparison.again = false;
        self.arm(Timer::Compare, AGAIN);
    }

    /// A key of this host was written: by this agent, or the comparison finds out what has changed.
    pub(super) fn on_key_changed(&mut self, key: &str, exists: bool, revision: i64) {
        if let Some(name) = store::group_of_key(key) {
            return self.group_changed(name);
        }
        if let Some(cidr) = lock::misspelled(key) {
            return self.note_spelling(key, cidr, exists);
        }
        let id = key.strip_prefix(&store::records_prefix(&self.config.host));
        let vip = id
            .and_then(|id| id.parse().ok())
            .and_then(|id| self.table.slot(&id))
            .and_then(|slot| self.table.get(slot));
        if id.is_some() && vip.is_none() && !exists {
            // It is not registered, and not there.
            return;
        }
        // The answer to a request that is under way comes after what the watch has seen of it.
        let own = match vip {
            Some(vip) => {
                vip.record.revision >= revision
                    || vip.request != RecordRequest::None
                    || matches!(vip.stage, Stage::Joining(_) | Stage::Leaving(_))
            }
            None => self.lease.wrote(revision),
        };
        if !own {
            self.compare_soon();
        }
    }
}

/// The election to which a key on the own lease belongs; nothing if it belongs to none.
fn explained_by(key: &str) -> Option<&str> {
    let name = key.strip_prefix(lock::PREFIX);
    name.or_else(|| Some(key.strip_prefix(lock::CANDIDACIES)?.split_once('/')?.0))
}
