//! The records of this host's IPs in etcd: for each IP at most one request is under way, the one that
//! brings its record closer to what the table says.
//!
//! A request is guarded, and finds its own work when it is sent again. So one whose outcome is not
//! known is sent again until etcd has said yes or no. A client that waits for it is told after a while
//! that the outcome is not known; the agent goes on all the same. A no after an unknown outcome says
//! nothing of the request before: then wanted and found are compared.

use std::time::Duration;

use log::Level;

use super::table::{BEYOND_LIMIT, RecordRequest, Stage, Vip};
use super::{Action, Core, Failure, Order, Timer, Token};
use crate::command::{Answer, Change, Refusal};
use crate::history::Kind;
use crate::store::{self, At, Obstacle, Record, Request};
use crate::vip::{Slot, VipId};

/// Between two requests about one record, after one whose outcome is not known.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// How much longer a client waits, once the outcome of its request is not known.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

impl Core {
    /// Sends the requests that are missing.
    pub(super) fn ask_about_records(&mut self) {
        for slot in self.table.take_due() {
            let Some(vip) = self.table.get_mut(slot) else { continue };
            let Some(request) = vip.missing_request() else { continue };
            vip.request = RecordRequest::Asked(vip.request == RecordRequest::Unknown);
            self.ask(request);
        }
    }

    pub(super) fn on_record_written(
        &mut self,
        record: Record,
        result: Result<(store::Answer, At), Failure>,
    ) {
        let Some(slot) = self.table.slot(&record.id) else { return };
        let Some(was_unknown) = self.take_answer(slot) else { return };
        match result {
            Ok((store::Answer::Written(written), at)) => {
                self.wrote(at, written.as_ref().copied().unwrap_or(0));
                self.record_is(slot, record, written);
            }
            Ok(_) => self.compare_soon(),
            Err(failure) => self.record_request_failed(slot, was_unknown, &failure),
        }
    }

    pub(super) fn on_record_deleted(
        &mut self,
        id: &VipId,
        result: Result<(store::Answer, At), Failure>,
    ) {
        let Some(slot) = self.table.slot(id) else { return };
        let Some(was_unknown) = self.take_answer(slot) else { return };
        match result {
            Ok((store::Answer::Deleted(Ok(())), at)) => {
                self.comparison.last_write = at;
                self.record_is_gone(slot);
            }
            Ok((store::Answer::Deleted(Err(revision)), _)) => {
                self.table.look_at(slot);
                if let Some(vip) = self.table.get_mut(slot) {
                    vip.record.revision = revision;
                }
            }
            Ok(_) => self.compare_soon(),
            Err(failure) => self.record_request_failed(slot, was_unknown, &failure),
        }
    }

    /// Takes note that the request about a record is no longer under way; whether the outcome of one
    /// before it is unknown. Nothing if no request of this IP was under way: that one was sent to
    /// remove what is not in the table.
    fn take_answer(&mut self, slot: Slot) -> Option<bool> {
        let vip = self.table.get_mut(slot)?;
        let RecordRequest::Asked(was_unknown) = vip.request else { return None };
        vip.request = RecordRequest::None;
        Some(was_unknown)
    }

    /// A record was written, or found in the way of the write. What is missing then is asked for at once, unless only another
    /// host can make room.
    fn record_is(&mut self, slot: Slot, record: Record, written: Result<i64, Obstacle>) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        match (written, &vip.stage) {
            (Ok(revision), Stage::Storing(_)) => self.registered_as(slot, revision),
            (Ok(revision), Stage::Registered) => {
                self.record_changed(slot, Record { revision, ..record });
            }
            (Ok(revision) | Err(Obstacle::Changed(revision)), Stage::Deleting(_)) => {
                vip.record.revision = revision;
            }
            (Err(obstacle), Stage::Storing(_)) => {
                self.not_stored(slot, in_the_way(obstacle));
            }
            // A change replaces what is there, whoever wrote it.
            (Err(Obstacle::Changed(revision)), Stage::Registered) => {
                vip.record.revision = revision;
                let cidr = vip.record.cidr;
                let what = "the record in etcd was changed by another program";
                self.happened(Level::Warn, Kind::Conflict.of(what).to(cidr));
            }
            (Err(Obstacle::OtherPrefix(other)), Stage::Registered) => {
                let new = self.note_other_prefix(slot, Some(other));
                self.warn_of_prefixes(new.as_slice());
                return self.try_again_later(slot);
            }
            (_, Stage::Starting(_) | Stage::Joining(_) | Stage::Leaving(_))
            | (Err(Obstacle::OtherPrefix(_)), Stage::Deleting(_)) => {}
        }
        self.table.look_at(slot);
    }

    /// A new IP is registered.
    pub(super) fn registered_as(&mut self, slot: Slot, revision: i64) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let Stage::Storing(token) = std::mem::replace(&mut vip.stage, Stage::Registered) else {
            return;
        };
        vip.record.revision = revision;
        self.copy.created(vip.record.cidr.addr());
        self.copy.ip_changed(&vip.record.id);
        let text = format!("{}: registered as {}", vip.record.cidr, vip.record.id);
        self.out.push(Action::Log(Level::Info, text));
        self.table.note_stored(slot, true);
        self.introduce(slot);
        if let Some(token) = token {
            self.disarm(Timer::Answer(token));
            self.reply_with(slot, token);
        }
        self.leave_if_stopping(slot);
    }

    /// The record of a registered IP is now this: a change was stored, or a lost record was restored.
    pub(super) fn record_changed(&mut self, slot: Slot, record: Record) {
        self.table.note_stored(slot, true);
        let Some(vip) = self.table.get_mut(slot) else { return };
        self.copy.ip_changed(&record.id);
        let before = std::mem::replace(&mut vip.record, record);
        let group = vip.record.group.clone();
        let (checks, interval) = (vip.record.checks.clone(), vip.record.healthcheck_interval);
        let loss = vip.record.loss.unwrap_or(self.config.defaults.loss);
        let priority = vip.record.priority.unwrap_or(self.config.defaults.priority);
        // A change that came while a lost record was written again is not part of that.
        let made = vip
            .changes
            .front()
            .is_some_and(|(change, _)| changed(&before, change).is_same(&vip.record));
        let done = if made { vip.changes.pop_front() } else { None };
        self.table.look_at(slot);
        if before.group != group {
            self.groups_due(before.group.iter().chain(&group).cloned());
        }
        if before.checks != checks || before.healthcheck_interval != interval {
            self.tell(slot, Order::Checks(before.cidr, checks, interval));
        }
        // Of a group the first IP says what holds for all.
        let says = self.table.election_of(slot) == slot;
        if says && before.loss.unwrap_or(self.config.defaults.loss) != loss {
            self.tell(slot, Order::LossPolicy(loss));
        }
        if says && before.priority.unwrap_or(self.config.defaults.priority) != priority {
            self.tell(slot, Order::Priority(priority));
        }
        if let Some((_, Some(token))) = done {
            self.disarm(Timer::Answer(token));
            self.reply_with(slot, token);
        }
    }

    fn reply_with(&mut self, slot: Slot, token: Token) {
        if let Some(vip) = self.table.get(slot) {
            let shown = self.show(vip);
            self.reply(token, Ok(Answer::One(Box::new(shown))));
        }
    }

    /// The record of an IP is gone: its election gives the IP up.
    pub(super) fn record_is_gone(&mut self, slot: Slot) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let Stage::Deleting(tokens) = &mut vip.stage else { return };
        let tokens = std::mem::take(tokens);
        let text = format!("{}: no longer registered", vip.record.cidr);
        self.out.push(Action::Log(Level::Info, text));
        for token in &tokens {
            self.disarm(Timer::Answer(*token));
        }
        self.leave(slot, tokens);
    }

    fn record_request_failed(&mut self, slot: Slot, was_unknown: bool, failure: &Failure) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        if !was_unknown && !failure.is_unknown() {
            return self.nothing_was_changed(slot, &failure.why);
        }
        let tokens = vip.tokens();
        if was_unknown {
            self.compare_soon();
        } else {
            tokens.into_iter().for_each(|token| self.arm(Timer::Answer(token), PATIENCE));
        }
        let Some(vip) = self.table.get_mut(slot) else { return };
        if failure.is_unknown() {
            vip.request = RecordRequest::Unknown;
            self.try_again_later(slot);
        } else {
            vip.request = RecordRequest::Contradicted(failure.why.clone());
        }
    }

    /// A client comes while it is not known what became of a request before: it does not wait for longer
    /// than those who were there.
    pub(super) fn wait_for_unknown(&mut self, slot: Slot, token: Token) {
        let known = [RecordRequest::None, RecordRequest::Asked(false)];
        if self.table.get(slot).is_some_and(|vip| !known.contains(&vip.request)) {
            self.arm(Timer::Answer(token), PATIENCE);
        }
    }

    fn try_again_later(&mut self, slot: Slot) {
        self.table.look_at_later(slot);
        self.arm(Timer::Retry, RETRY);
    }

    /// etcd has said no, or was not asked: all is as it was.
    pub(super) fn nothing_was_changed(&mut self, slot: Slot, why: &str) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        vip.request = RecordRequest::None;
        let refusal = Refusal::Unavailable(format!("etcd: {why}"));
        match &mut vip.stage {
            Stage::Storing(_) => self.not_stored(slot, refusal),
            Stage::Deleting(tokens) => {
                let tokens = std::mem::take(tokens);
                vip.stage = Stage::Registered;
                let beyond = vip.election.not_started.as_deref() == Some(BEYOND_LIMIT);
                self.refuse(tokens, &refusal);
                if beyond {
                    self.is_beyond_limit_still(slot);
                }
            }
            Stage::Registered => match vip.changes.pop_front() {
                Some((_, token)) => {
                    self.table.look_at(slot);
                    self.refuse(token, &refusal);
                }
                // A record that is to be restored.
                None => self.try_again_later(slot),
            },
            Stage::Starting(_) | Stage::Joining(_) | Stage::Leaving(_) => {}
        }
    }

    /// A new IP was not stored: it is none.
    pub(super) fn not_stored(&mut self, slot: Slot, refusal: Refusal) {
        if let Some(Stage::Joining(batch)) = self.table.get(slot).map(|vip| &vip.stage) {
            return self.one_is_refused(*batch, slot, refusal);
        }
        let Some(vip) = self.forget(slot) else { return };
        if let Stage::Starting(token) | Stage::Storing(Some(token)) = vip.stage {
            self.refuse([token], &refusal);
        }
    }

    pub(super) fn refuse(&mut self, tokens: impl IntoIterator<Item = Token>, refusal: &Refusal) {
        for token in tokens {
            self.disarm(Timer::Answer(token));
            self.reply(token, Err(refusal.clone()));
        }
    }

    /// A client has waited long enough for an outcome that is not known.
    pub(super) fn answer_unknown(&mut self, token: Token) {
        let mut said = self.batch_goes_on(token).map(goes_on);
        for slot in self.table.slots() {
            let Some(vip) = self.table.get_mut(slot) else { continue };
            if vip.request != RecordRequest::None
                && let Some(goes_on) = vip.let_go(token)
            {
                said = Some(self::goes_on(goes_on));
                break;
            }
        }
        if let Some(text) = said {
            self.reply(token, Err(Refusal::OutcomeUnknown(text)));
        }
    }
}

impl Vip {
    /// The request that is missing, if none is under way.
    fn missing_request(&self) -> Option<Request> {
        if matches!(self.request, RecordRequest::Asked(_) | RecordRequest::Contradicted(_)) {
            return None;
        }
        match &self.stage {
            Stage::Starting(_) | Stage::Joining(_) | Stage::Leaving(_) => None,
            Stage::Storing(_) => Some(Request::WriteRecord(self.record.clone())),
            Stage::Registered => match self.changes.front() {
                Some((change, _)) => Some(Request::WriteRecord(changed(&self.record, change))),
                None => (!self.stored).then(|| Request::WriteRecord(self.record.clone())),
            },
            Stage::Deleting(_) => {
                Some(Request::DeleteRecord(self.record.id.clone(), self.record.revision))
            }
        }
    }

    /// Where the outcome of the request that is under way is answered.
    fn tokens(&self) -> Vec<Token> {
        match &self.stage {
            Stage::Starting(token) | Stage::Joining(token) => vec![*token],
            Stage::Storing(token) => token.iter().copied().collect(),
            Stage::Registered => self.changes.iter().filter_map(|(_, token)| *token).collect(),
            Stage::Deleting(tokens) | Stage::Leaving(tokens) => tokens.clone(),
        }
    }

    /// Lets a client go whose request goes on; with what it goes on, if it is one of this IP.
    fn let_go(&mut self, token: Token) -> Option<String> {
        let cidr = self.record.cidr;
        match &mut self.stage {
            Stage::Storing(waits) if *waits == Some(token) => {
                *waits = None;
                Some(format!("registering {cidr}"))
            }
            Stage::Deleting(tokens) if tokens.contains(&token) => {
                tokens.retain(|other| *other != token);
                Some(format!("deleting {cidr}"))
            }
            Stage::Registered => {
                let change = self.changes.iter_mut().find(|(_, waits)| *waits == Some(token))?;
                change.1 = None;
                Some(format!("changing {cidr}"))
            }
            Stage::Starting(_)
            | Stage::Joining(_)
            | Stage::Storing(_)
            | Stage::Deleting(_)
            | Stage::Leaving(_) => None,
        }
    }
}

fn goes_on(what: String) -> String {
    format!("etcd did not answer; this agent goes on {what}")
}

/// Why a new record is not written.
pub(super) fn in_the_way(obstacle: Obstacle) -> Refusal {
    Refusal::Conflict(match obstacle {
        Obstacle::Changed(_) => "its id is taken".to_owned(),
        Obstacle::OtherPrefix(other) => {
            let (cidr, host) = (&other.cidr, &other.host);
            format!("host {host} offers this address as {cidr}: use that mask here too")
        }
    })
}

/// A record as a change wants it.
pub(super) fn changed(record: &Record, change: &Change) -> Record {
    let mut changed = record.clone();
    if let Some(checks) = &change.checks {
        changed.checks.clone_from(checks);
    }
    changed.healthcheck_interval = change.interval.unwrap_or(changed.healthcheck_interval);
    changed.loss = change.loss.unwrap_or(changed.loss);
    changed.priority = change.priority.unwrap_or(changed.priority);
    if let Some(group) = &change.group {
        changed.group.clone_from(group);
    }
    changed
}
