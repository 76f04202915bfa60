//! New IPs that are registered together, all of them or none.
//!
//! First their elections are started, a slice after the other, so that nothing else waits for a thousand
//! threads: when there can be no more, nothing is stored. Then they are stored, in transactions of some
//! dozens each. When one of these is refused, what the others have stored is taken back. A transaction
//! whose outcome is not known is sent again until etcd has said yes or no, as that of a single IP is. Until
//! all are stored, none is shown to anybody.

use std::time::Duration;

use log::Level;

use super::records::{PATIENCE, RETRY, in_the_way};
use super::table::Stage;
use super::{Action, Core, Failure, Origin, Timer, Token};
use crate::command::{Answer, NewVip, Refusal};
use crate::history::Kind;
use crate::sorted::map_of;
use crate::store::{self, At, RECORDS_AT_ONCE, Record, Request};
use crate::vip::{Slot, VipId};

/// How many elections are started or ended at a time.
const SLICE: usize = 50;

/// IPs that are being registered together.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Where the outcome is answered, unless it was already said that it is not known.
    token: Option<Token>,
    /// It was said how long that is waited for.
    patience: bool,
    /// The IPs, in the order in which they were asked for, and how each is started.
    slots: Vec<Slot>,
    origins: Vec<Origin>,
    /// How many elections were told to start, and how many have.
    begun: usize,
    started: usize,
    /// What became of the records, of so many IPs each.
    parts: Vec<Part>,
    /// Why none is registered, if so.
    refusal: Option<Refusal>,
}

/// What is known of the records that one transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// To be written; true if the outcome of a request before is not known.
    Due(bool),
    /// Being written; the same.
    Asked(bool),
    /// They may be there or not; looked at again a while later.
    Unknown,
    Stored(i64),
    TakingBack,
    NotStored,
}

impl Core {
    pub(super) fn create_many(&mut self, all: Vec<NewVip>, token: Token) -> Result<(), Refusal> {
        let mut origins = Vec::with_capacity(all.len());
        let mut records = Vec::with_capacity(all.len());
        for (index, new) in all.into_iter().enumerate() {
            let checked = self.check_commands(&new.checks);
            let checked = checked.and_then(|()| self.check_new(new.cidr, index));
            origins.push(if new.force { Origin::Forced } else { Origin::New });
            let record = self.record_of(new);
            let checked = checked.and_then(|()| self.check_group(&record, &records));
            checked.map_err(|refusal| of_one(index, refusal))?;
            records.push(record);
        }
        self.reachable()?;
        let insert = |record| self.table.insert(record, Stage::Joining(token));
        let slots: Vec<Slot> = records.into_iter().map(insert).collect();
        let parts = vec![Part::Due(false); slots.len().div_ceil(RECORDS_AT_ONCE)];
        let batch = Batch {
            token: Some(token),
            patience: false,
            slots,
            origins,
            begun: 0,
            started: 0,
            parts,
            refusal: None,
        };
        self.clients.batches.insert(token, batch);
        self.work_on_batches();
        Ok(())
    }

    /// Starts or ends the elections of the next slice of each.
    pub(super) fn work_on_batches(&mut self) {
        let batches: Vec<Token> = self.clients.batches.keys().copied().collect();
        for id in batches {
            let Some(mut batch) = self.clients.batches.remove(&id) else { continue };
            if batch.refusal.is_none() {
                self.start_slice(&mut batch);
            } else if batch.is_taken_back() {
                self.forget_slice(&mut batch);
            }
            self.go_on(id, batch);
        }
    }

    fn start_slice(&mut self, batch: &mut Batch) {
        let all = batch.slots.iter().zip(&batch.origins);
        for (slot, origin) in all.skip(batch.begun).take(SLICE) {
            batch.begun += 1;
            let Some(vip) = self.table.get(*slot) else { continue };
            let record = vip.record.clone();
            self.start_election(*slot, record, *origin);
        }
        if batch.begun < batch.slots.len() {
            self.arm(Timer::Batch, Duration::ZERO);
        }
    }

    fn forget_slice(&mut self, batch: &mut Batch) {
        let rest = batch.slots.split_off(batch.slots.len().saturating_sub(SLICE));
        for slot in rest {
            self.forget(slot);
        }
    }

    /// The election of one of them has been started.
    pub(super) fn one_started(&mut self, slot: Slot) {
        let Some(Stage::Joining(id)) = self.table.get(slot).map(|vip| vip.stage.clone()) else {
            return;
        };
        let Some(mut batch) = self.clients.batches.remove(&id) else { return };
        batch.started += 1;
        self.go_on(id, batch);
    }

    /// One of them cannot be registered: none is.
    pub(super) fn one_is_refused(&mut self, id: Token, slot: Slot, refusal: Refusal) {
        let Some(mut batch) = self.clients.batches.remove(&id) else { return };
        let index = batch.slots.iter().position(|other| *other == slot).unwrap_or_default();
        batch.refusal.get_or_insert(of_one(index, refusal));
        self.go_on(id, batch);
    }

    /// Asks for what is missing now, or says that it is done.
    fn go_on(&mut self, id: Token, mut batch: Batch) {
        if batch.refusal.is_some() {
            self.take_back(&mut batch);
            if batch.slots.is_empty() {
                return self.batch_is_refused(batch);
            }
            if batch.is_taken_back() {
                self.arm(Timer::Batch, Duration::ZERO);
            }
        } else if batch.started == batch.slots.len() {
            for (index, part) in batch.parts.iter_mut().enumerate() {
                if let Part::Due(unknown) = *part {
                    *part = Part::Asked(unknown);
                    let slots = batch.slots.chunks(RECORDS_AT_ONCE).nth(index);
                    let records = self.records_of(slots.unwrap_or_default());
                    self.ask(Request::WriteRecords(records));
                }
            }
            let stored = |part: &Part| matches!(part, Part::Stored(_));
            if batch.parts.iter().all(stored) {
                return self.batch_is_registered(batch);
            }
        }
        self.clients.batches.insert(id, batch);
    }

    /// Nothing is taken back while something is still being written: that may come later.
    fn take_back(&mut self, batch: &mut Batch) {
        if batch.parts.iter().any(|part| matches!(part, Part::Asked(_))) {
            return;
        }
        for (index, part) in batch.parts.iter_mut().enumerate() {
            match part {
                Part::Due(false) => *part = Part::NotStored,
                Part::Due(true) | Part::Stored(_) => {
                    *part = Part::TakingBack;
                    let slots = batch.slots.chunks(RECORDS_AT_ONCE).nth(index);
                    let records = self.records_of(slots.unwrap_or_default());
                    let ids = records.into_iter().map(|record| record.id).collect();
                    self.ask(Request::DeleteRecords(ids));
                }
                Part::Asked(_) | Part::Unknown | Part::TakingBack | Part::NotStored => {}
            }
        }
    }

    fn records_of(&self, slots: &[Slot]) -> Vec<Record> {
        slots.iter().filter_map(|slot| Some(self.table.get(*slot)?.record.clone())).collect()
    }

    pub(super) fn on_records_written(
        &mut self,
        records: &[Record],
        result: Result<(store::Answer, At), Failure>,
    ) {
        let ids = records.iter().map(|record| &record.id);
        let Some((id, mut batch, index)) = self.take_part(ids) else { return };
        if let Part::Asked(was_unknown) = batch.parts[index] {
            batch.parts[index] = match result {
                Ok((store::Answer::WrittenAll(Ok(revision)), at)) => {
                    self.wrote(at, revision);
                    Part::Stored(revision)
                }
                Ok((store::Answer::WrittenAll(Err((place, obstacle))), _)) => {
                    let place = index * RECORDS_AT_ONCE + place;
                    batch.refusal.get_or_insert(of_one(place, in_the_way(obstacle)));
                    Part::NotStored
                }
                Ok(_) => Part::Unknown,
                Err(failure) => self.part_failed(&mut batch, was_unknown, &failure),
            };
        }
        self.go_on(id, batch);
    }

    /// A no after an unknown outcome says nothing of the request before.
    fn part_failed(&mut self, batch: &mut Batch, was_unknown: bool, failure: &Failure) -> Part {
        let is_said = failure.outcome == super::Outcome::Refused;
        if is_said || !(was_unknown || failure.is_unknown()) {
            let why = format!("etcd: {}", failure.why);
            batch.refusal.get_or_insert(Refusal::Unavailable(why));
        }
        match was_unknown || failure.is_unknown() {
            true => self.part_is_unknown(batch),
            false => Part::NotStored,
        }
    }

    fn part_is_unknown(&mut self, batch: &mut Batch) -> Part {
        self.arm(Timer::Retry, RETRY);
        if let Some(token) = batch.token.filter(|_| !batch.patience) {
            batch.patience = true;
            self.arm(Timer::Answer(token), PATIENCE);
        }
        Part::Unknown
    }

    pub(super) fn on_records_deleted(&mut self, ids: &[VipId], done: bool) {
        let Some((id, mut batch, index)) = self.take_part(ids.iter()) else { return };
        if batch.parts[index] == Part::TakingBack {
            batch.parts[index] = match done {
                true => Part::NotStored,
                false => self.part_is_unknown(&mut batch),
            };
        }
        self.go_on(id, batch);
    }

    /// The batch to which these belong, and which part of it they are.
    fn take_part<'a>(
        &mut self,
        mut ids: impl Iterator<Item = &'a VipId>,
    ) -> Option<(Token, Batch, usize)> {
        let slot = self.table.slot(ids.next()?)?;
        let Stage::Joining(id) = self.table.get(slot)?.stage else { return None };
        let place = self.clients.batches.get(&id)?.slots.iter().position(|it| *it == slot)?;
        Some((id, self.clients.batches.remove(&id)?, place / RECORDS_AT_ONCE))
    }

    /// What is not known is asked for again.
    pub(super) fn retry_batches(&mut self) {
        let batches: Vec<Token> = self.clients.batches.keys().copied().collect();
        for id in batches {
            let Some(mut batch) = self.clients.batches.remove(&id) else { continue };
            for part in &mut batch.parts {
                if *part == Part::Unknown {
                    *part = Part::Due(true);
                }
            }
            self.go_on(id, batch);
        }
    }

    fn batch_is_registered(&mut self, batch: Batch) {
        let mut shown = Vec::with_capacity(batch.slots.len());
        for (slots, part) in batch.slots.chunks(RECORDS_AT_ONCE).zip(&batch.parts) {
            let Part::Stored(revision) = *part else { continue };
            for slot in slots {
                let Some(vip) = self.table.get_mut(*slot) else { continue };
                vip.stage = Stage::Registered;
                vip.record.revision = revision;
                self.copy.created(vip.record.cidr.addr());
                self.copy.ip_changed(&vip.record.id);
                self.table.note_stored(*slot, true);
                self.introduce(*slot);
                shown.extend(self.table.get(*slot).map(|vip| self.show(vip)));
            }
        }
        let text = format!("{} IPs: registered together", shown.len());
        self.out.push(Action::Log(Level::Info, text));
        if let Some(token) = batch.token {
            self.disarm(Timer::Answer(token));
            self.reply(token, Ok(Answer::List(shown)));
        }
        batch.slots.into_iter().for_each(|slot| self.leave_if_stopping(slot));
    }

    fn batch_is_refused(&mut self, batch: Batch) {
        let Some(refusal) = batch.refusal else { return };
        if batch.patience {
            // What had no answer may be carried out late.
            self.compare_soon();
        }
        match batch.token {
            Some(token) => self.refuse([token], &refusal),
            None => {
                let what = "IPs that were to be registered together are not";
                self.happened(Level::Warn, Kind::Refused.of(what).because(refusal.to_string()));
            }
        }
    }

    /// A client has waited long enough; with what is gone on, if it is one of a batch.
    pub(super) fn batch_goes_on(&mut self, token: Token) -> Option<String> {
        let batch = self.clients.batches.get_mut(&token)?;
        batch.token.take()?;
        let many = format!("{} IPs", batch.slots.len());
        Some(match batch.refusal {
            None => format!("registering {many}"),
            Some(_) => format!("taking back {many}, none of which is to be registered"),
        })
    }

    /// The elections of all IPs are given up, of those that were not registered yet, too.
    pub(super) fn abandon_batches(&mut self, why: &str) {
        let batches = std::mem::take(&mut self.clients.batches);
        let tokens = batches.into_values().filter_map(|batch| batch.token);
        self.refuse(tokens, &Refusal::OutcomeUnknown(why.to_owned()));
    }
}

impl Batch {
    /// Whether etcd has none of the records.
    fn is_taken_back(&self) -> bool {
        self.parts.iter().all(|part| *part == Part::NotStored)
    }
}

/// A refusal that names which one it is about.
fn of_one(index: usize, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotFound => Refusal::NotFound,
        Refusal::Conflict(why) => Refusal::Conflict(format!("[{index}]: {why}")),
        Refusal::Invalid(errors) => {
            let errors = errors.into_iter().map(|(field, it)| (format!("[{index}].{field}"), it));
            Refusal::Invalid(map_of(errors))
        }
        Refusal::Unavailable(why) => Refusal::Unavailable(format!("[{index}]: {why}")),
        Refusal::OutcomeUnknown(why) => Refusal::OutcomeUnknown(format!("[{index}]: {why}")),
    }
}
