//! The start: this host's records are read from etcd, or from the local copy until etcd answers.
//!
//! etcd's records win, unless etcd is another cluster than the copy was made of, or lacks what this host
//! wrote there last: then what etcd lacks of the copy is registered again. Until etcd was read, the API only reads, and the IPs of the
//! copy are treated like any others: as long as etcd is silent, this host takes them by the policy.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use log::Level;

use super::stop::Life;
use super::table::{Stage, Vip};
use super::{Action, Copies, Core, Failure, Origin, StartError, Timer};
use crate::history::Kind;
use crate::sorted::{map_of, sort_by};
use crate::store::{self, At, Found, LocalCopy, Mark, Record, Request};
use crate::text::first_of;
use crate::vip::{Cidr, Slot};

/// Between two attempts to read this host's records, and to start an election.
const RETRY: Duration = Duration::from_millis(500);
const RESTART: Duration = Duration::from_secs(5);

/// What is said of an IP whose thread cannot be started.
const NOT_STARTED: &str = "its election cannot be started";

/// How many names of IPs are told in one line.
const NAMED: usize = 20;

/// How far the start is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    /// etcd is asked for the first time.
    #[default]
    Reading,
    /// etcd did not answer: the IPs are those of the local copy, if there is one.
    FromCopy,
    /// Another machine has this host's name: nothing is served.
    Taken,
    /// The IPs are those that etcd has.
    Loaded,
}

impl Core {
    pub(super) fn begin(&mut self, copies: Copies, now: Instant) {
        self.lease.asked = Some(now);
        match copies.own {
            Some(Ok(copy)) => {
                self.warn_of(Kind::Trouble, "skipped", &copy.skipped);
                self.copy.found(copy);
                self.drain_as_before();
            }
            Some(Err(why)) => self.happened(Level::Warn, Kind::Trouble.of(why)),
            None => {}
        }
        let mut left = Vec::new();
        for other in &copies.others {
            self.note_left_behind(&mut left, &other.host, &other.records);
        }
        self.warn_left_behind(&left);
        self.ask(Request::Load);
    }

    pub(super) fn on_loaded(&mut self, result: Result<(store::Answer, At), Failure>, now: Instant) {
        match self.start {
            Start::Loaded => self.on_found(result),
            _ if self.life != Life::Running => {}
            Start::Reading | Start::FromCopy | Start::Taken => match result {
                Ok((store::Answer::Loaded(found), at)) => {
                    self.lease.revision = found.host.as_ref().map_or(0, |host| host.revision);
                    if self.has_name(found.host.as_ref()) {
                        self.take_over(*found, at);
                    }
                }
                Ok(_) => {}
                Err(failure) => {
                    self.troubled("etcd was not read yet", &failure);
                    self.arm(Timer::Load, RETRY);
                    if self.start == Start::Reading {
                        self.start_without_etcd(now);
                    }
                }
            },
        }
        self.answer_waiting();
    }

    /// The machine that had this host's name is gone: the start goes on, with etcd as it is now.
    pub(super) fn take_name(&mut self) {
        self.lease.saved = None;
        self.start = match self.start {
            Start::Taken => Start::Reading,
            start @ (Start::Reading | Start::FromCopy | Start::Loaded) => start,
        };
        if self.start == Start::Loaded {
            return self.hold_or_save();
        }
        self.ask(Request::Load);
    }

    /// Takes the local copy for the truth, until etcd tells more.
    fn start_without_etcd(&mut self, now: Instant) {
        self.start = Start::FromCopy;
        let Some(copy) = self.copy.former() else { return };
        let (records, groups) = (copy.records.clone(), copy.groups.clone());
        let known = records.len();
        // A cloned image has the copy of another machine.
        let same = copy.instance.as_ref().is_none_or(|it| it.is_same(&self.config.instance));
        let lease = copy.lease.filter(|_| same);
        let known = format!("{known} IPs known from the local copy");
        self.happened(Level::Warn, Kind::EtcdLost.of("etcd does not answer").because(known));
        // What the copy does not know may be registered all the same: no address is a left-over before
        // etcd has said so.
        let records = self.within_limit(records);
        self.know_groups(&groups);
        self.insert_all(records, Origin::Before);
        // At a boot nobody may have the IP, so that waiting costs more than with an etcd that has just
        // fallen silent. It has been silent since it was asked first.
        let asked = self.lease.asked.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.begin_lease(lease, self.config.loss_after / 2 + asked);
    }

    /// Makes the IPs of this host those that etcd has.
    fn take_over(&mut self, mut found: Found, at: At) {
        self.start = Start::Loaded;
        let skipped: Vec<String> = found.unreadable.iter().map(|it| it.why.clone()).collect();
        self.warn_of(Kind::Trouble, "skipped", &skipped);
        let wanted = self.wanted(&mut found, at);
        let text = format!("{} IPs are registered on {}", wanted.len(), self.config.host);
        self.happened(Level::Info, Kind::Agent.of(text));
        self.know_groups(&found.groups);
        let mut known = vec![false; wanted.len()];
        for slot in self.table.slots() {
            let Some(vip) = self.table.get(slot) else { continue };
            let address = vip.record.cidr.addr();
            match place_of(address, &wanted) {
                Some(at) => known[at] |= self.refresh(slot, &wanted[at]),
                None => self.leave(slot, Vec::new()),
            }
        }
        let mut new = Vec::new();
        for (record, known) in wanted.into_iter().zip(known) {
            if !known {
                new.push(record);
            }
        }
        self.insert_all(new, self.origin(&found));
        self.out.push(Action::RemoveLeftOvers(self.formerly_managed()));
        self.copy.forget_former();
        let host = found.host.as_ref();
        self.lease.saved = host.and_then(|host| host.lease);
        self.lease.trouble = Some("etcd has granted no lease yet".to_owned());
        if host.is_none() {
            self.ask(Request::Hosts);
        }
        self.note_machine(host);
        self.note_mark(&found, at);
        self.begin_lease(self.lease.saved, Duration::ZERO);
        self.hold_or_save();
        self.compare_from(&found);
        self.all_groups_due();
    }

    /// Which program has served this host's IPs before: the host key tells, and without one the copy.
    fn origin(&self, found: &Found) -> Origin {
        match &found.host {
            Some(host) if host.instance.is_none() => Origin::Go,
            None if self.copy.former().is_none() => Origin::Go,
            Some(_) | None if found.others => Origin::BeforeWithOthers,
            Some(_) | None => Origin::Before,
        }
    }

    /// A host that names no machine (an older version has written it), or this one as it was before, is
    /// written again under the same lease. One that names another machine, which is gone, begins with
    /// another lease.
    fn note_machine(&mut self, host: Option<&store::HostKey>) {
        let instance = host.and_then(|host| host.instance.as_ref());
        self.lease.stale = instance != Some(&self.config.instance);
        if instance.is_some_and(|instance| !instance.is_same(&self.config.instance)) {
            self.lease.saved = None;
        }
    }

    /// What is to be served: etcd's records, and what the copy has and etcd has lost; as many as there
    /// may be.
    fn wanted(&mut self, found: &mut Found, at: At) -> Vec<Record> {
        by_address(&mut found.records);
        let mut wanted = found.records.clone();
        wanted.retain(|record| !self.copy.has_deleted(record));
        if let Some(copy) = self.copy.former().cloned() {
            let lost = self.lost(&copy, found, at);
            wanted.extend(lost);
        }
        self.within_limit(wanted)
    }

    /// As many of these as there may be.
    fn within_limit(&mut self, mut records: Vec<Record>) -> Vec<Record> {
        by_address(&mut records);
        let max = self.config.permits.max_ips.unwrap_or(usize::MAX);
        let beyond = records.split_off(records.len().min(max));
        let text = format!(
            "MAX_NUMBER_OF_ENDPOINTS is {max}: {} more IPs are registered and not served: {}",
            beyond.len(),
            names(&beyond)
        );
        let beyond = map_of(beyond.into_iter().map(|record| (record.id.clone(), record)));
        if !beyond.keys().eq(self.table.beyond_limit.keys()) && !beyond.is_empty() {
            self.happened(Level::Error, Kind::Refused.of(text));
        }
        self.table.beyond_limit = beyond;
        records
    }

    /// Serves those that were too many, as far as there is room for them now.
    pub(super) fn fill_up(&mut self) {
        let may = self.life == Life::Running && self.start == Start::Loaded;
        while may && self.config.permits.max_ips.is_none_or(|max| self.table.len() < max) {
            let first = self.table.beyond_limit.values().min_by_key(|record| record.cidr);
            let Some(record) = first.cloned() else { return };
            self.table.beyond_limit.remove(&record.id);
            let room = Kind::Trouble.of("there is room for it now").to(record.cidr);
            self.happened(Level::Info, room);
            self.copy.ip_changed(&record.id);
            self.insert_all(vec![record], Origin::Before);
        }
    }

    /// What the copy has and etcd lacks, if etcd has lost it: because etcd is another one, or older, or
    /// the record cannot be read. The others were deleted in etcd.
    fn lost(&mut self, copy: &LocalCopy, found: &Found, at: At) -> Vec<Record> {
        let has = |record: &Record| place_of(record.cidr.addr(), &found.records).is_some();
        let lacking = copy.records.iter().filter(|record| !has(record)).cloned();
        let (before, now) = (Mark::of_copy(copy), Mark::of(found, at));
        let another = before.is_of_another_cluster(&now);
        let restored = before.is_lost_in(&now);
        let garbled = |record: &Record| {
            found.unreadable.iter().any(|unreadable| unreadable.id.as_ref() == Some(&record.id))
        };
        let (lost, deleted): (Vec<Record>, Vec<Record>) =
            lacking.partition(|record| restored || garbled(record));
        if !lost.is_empty() {
            let why = match (another, restored) {
                (true, _) => "etcd is another cluster than before",
                (_, true) => "etcd lacks what this host wrote there last",
                (false, false) => "records in etcd cannot be read",
            };
            let text = format!("{why}: from the local copy are registered again: {}", names(&lost));
            self.happened(Level::Warn, Kind::Trouble.of(text));
        }
        if !deleted.is_empty() {
            let text = format!(
                "no longer registered in etcd, and given up; only the local copy knew: {}",
                names(&deleted)
            );
            self.happened(Level::Warn, Kind::Trouble.of(text));
        }
        lost
    }

    /// What a former life of this host has managed, as far as the local copy tells. What is still
    /// registered is managed by now, and no left-over.
    pub(super) fn formerly_managed(&self) -> Vec<(Cidr, String)> {
        let place = |record: &Record| (record.cidr, self.interface_of(record));
        self.copy.former().map_or_else(Vec::new, |copy| copy.records.iter().map(place).collect())
    }

    /// Warns of all these in one line; of many, the first are named.
    pub(super) fn warn_of(&mut self, kind: Kind, what: &str, names: &[String]) {
        if !names.is_empty() {
            let names = first_of(names.iter(), NAMED, "; ");
            self.happened(Level::Warn, kind.of(what).because(names));
        }
    }

    /// Brings an IP that is known already to its record in etcd; false if it has to be started anew.
    fn refresh(&mut self, slot: Slot, record: &Record) -> bool {
        let Some(vip) = self.table.get(slot) else { return false };
        let same = vip.record.cidr == record.cidr && vip.record.interface == record.interface;
        if !same || !vip.is_registered() {
            // Its election ends here, and the address is a left-over.
            self.forget(slot);
            return false;
        }
        self.table.rename(slot, record.id.clone());
        self.record_changed(slot, record.clone());
        true
    }

    fn insert_all(&mut self, records: Vec<Record>, origin: Origin) {
        let insert =
            |record: Record| (self.table.insert(record.clone(), Stage::Registered), record);
        let new: Vec<(Slot, Record)> = records.into_iter().map(insert).collect();
        self.seat_all(origin);
        for (slot, record) in new {
            if !self.table.is_seated(slot) {
                self.start_election(slot, record, origin);
            }
        }
    }

    /// Has the election of an IP started, unless the IP would cut this host off from etcd.
    pub(super) fn start_election(&mut self, slot: Slot, record: Record, origin: Origin) {
        if !self.is_etcd(record.cidr) {
            let subject = Box::new(self.subject(slot, record));
            let serial = self.table.next_serial(slot);
            return self.out.push(Action::Start { slot, serial, subject, origin });
        }
        let Some(vip) = self.table.get_mut(slot) else { return };
        if vip.election.not_started.replace(is_of_etcd(record.cidr)).is_none() {
            let what = format!("{}, and is not served", is_of_etcd(record.cidr));
            self.happened(Level::Error, Kind::Refused.of(what));
        }
    }

    pub(super) fn is_etcd(&self, cidr: Cidr) -> bool {
        self.config.etcd_addresses.contains(&cidr.addr())
    }

    pub(super) fn on_started(&mut self, slot: Slot, result: Result<(), StartError>) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let (cidr, first) = (vip.record.cidr, vip.election.not_started.is_none());
        match (result, &vip.stage) {
            (Ok(()), Stage::Starting(token)) => {
                vip.stage = Stage::Storing(Some(*token));
                self.table.look_at(slot);
            }
            (Ok(()), Stage::Joining(_)) => self.one_started(slot),
            (Ok(()), _) => {
                vip.election.not_started = None;
                self.introduce(slot);
            }
            (Err(StartError::Answered(mac)), Stage::Starting(_) | Stage::Joining(_)) => {
                self.on_answered(slot, cidr, mac)
            }
            (Err(error), Stage::Starting(_) | Stage::Joining(_)) => {
                self.not_stored(slot, error.refusal(cidr));
            }
            // Only a new IP is looked for.
            (Err(StartError::Answered(_)), _) => {}
            (Err(StartError::OwnAddress(own)), _) => {
                vip.election.not_started = Some(format!("{own} is an address of the host itself"));
            }
            (Err(StartError::Failed(why)), _) => {
                let text = format!("{NOT_STARTED}: {why}");
                vip.election.not_started = Some(text.clone());
                self.arm(Timer::Restart, RESTART);
                // What one lacks, all lack: threads, memory.
                let lacks = |vip: &Vip| {
                    vip.election
                        .not_started
                        .as_ref()
                        .is_some_and(|why| why.starts_with(NOT_STARTED))
                };
                if first && self.table.iter().filter(|(_, vip)| lacks(vip)).take(2).count() == 1 {
                    self.happened(Level::Error, Kind::Trouble.of(text).to(cidr));
                }
            }
        }
    }

    /// Tries again to start the elections that could not be started.
    pub(super) fn start_again(&mut self) {
        let waiting = self.table.iter().filter(|(_, vip)| vip.election.not_started.is_some());
        let waiting: Vec<(Slot, Record)> =
            waiting.map(|(slot, vip)| (slot, vip.record.clone())).collect();
        for (slot, record) in waiting {
            self.start_election(slot, record, Origin::Before);
        }
    }
}

fn by_address(records: &mut [Record]) {
    sort_by(records, |a, b| a.cidr.cmp(&b.cidr));
}

/// The first with this address, of records that are ordered by address.
fn place_of(address: IpAddr, ordered: &[Record]) -> Option<usize> {
    let place = ordered.partition_point(|record| record.cidr.addr() < address);
    ordered.get(place).filter(|record| record.cidr.addr() == address).map(|_| place)
}

pub(super) fn is_of_etcd(cidr: Cidr) -> String {
    format!("{cidr} is an address of etcd (ETCD_HOSTS)")
}

/// The IPs in one line; of many, the first.
pub(super) fn names(records: &[Record]) -> String {
    first_of(records.iter().map(|record| record.cidr), NAMED, ", ")
}
