//! The commands of the API: each is checked against the table, stored in etcd, and only then done.

use log::{info, warn};

use super::debts::Debt;
use super::{Actor, Pending, Presence, Reply, Vip, answer_to};
use crate::command::{Answer, Change, Command, NewVip, Refusal, Request};
use crate::etcd;
use crate::fsm::State;
use crate::lock;
use crate::store::{self, Conflict, Record};
use crate::vip::{Cidr, VipId};

/// The outcome of a request to etcd.
type Outcome = Result<etcd::Reply, etcd::Error>;

impl Actor {
    pub(super) fn on_request(&mut self, Request { command, reply }: Request) {
        if command == Command::Health {
            let problems = self.trouble().into_iter().collect();
            return answer_to(Some(reply), Ok(Answer::Health(problems)));
        }
        // The answer is on its way: whoever asks right after the start can wait for it.
        if !self.loaded && self.load_at.is_none() && self.stopping.is_none() {
            return self.waiting.push(Request { command, reply });
        }
        let outcome = self.ready(&command).and_then(|()| self.carry_out(command, &reply));
        if let Err(refusal) = outcome {
            answer_to(Some(reply), Err(refusal));
        }
    }

    /// Nothing is told before this host's IPs are known, and nothing changed before its records in etcd
    /// were read.
    fn ready(&self, command: &Command) -> Result<(), Refusal> {
        let reads = matches!(command, Command::List | Command::Get(_));
        let enough = if reads { self.known } else { self.loaded };
        match self.trouble() {
            _ if enough && self.stopping.is_none() => Ok(()),
            Some(trouble) => Err(Refusal::Unavailable(trouble)),
            None => Err(Refusal::Unavailable("etcd was not read yet".to_owned())),
        }
    }

    /// Answers at once, or has the answer come later; an error is answered by the caller.
    fn carry_out(&mut self, command: Command, reply: &Reply) -> Result<(), Refusal> {
        let now = |answer| {
            let _ = reply.send(Ok(answer));
        };
        match command {
            Command::Health => {}
            Command::List => now(Answer::List(self.list())),
            Command::Get(id) => now(self.one(&id)?),
            Command::Create(new) => self.create(new, reply)?,
            Command::Change(id, change) => self.change(&id, change, reply)?,
            Command::Delete(id) => self.delete(id, reply)?,
            Command::Lock(id) => {
                let vip = self.find(&id)?;
                self.reachable()?;
                vip.election.lock_now();
                now(Answer::Done);
            }
            Command::Failover(id, target) => self.begin_failover(&id, target, reply)?,
            Command::Hosts(id) => {
                let txn = lock::candidates_txn(self.find(&id)?.record.cidr);
                self.submit(txn, Pending::Hosts { id, reply: reply.clone() });
            }
        }
        Ok(())
    }

    fn find(&self, id: &VipId) -> Result<&Vip, Refusal> {
        self.vip(id).ok_or(Refusal::NotFound)
    }

    fn reachable(&self) -> Result<(), Refusal> {
        self.trouble().map_or(Ok(()), |trouble| Err(Refusal::Unavailable(trouble)))
    }

    fn create(&mut self, new: NewVip, reply: &Reply) -> Result<(), Refusal> {
        self.check_new(new.cidr)?;
        let record = Record {
            id: VipId::random(),
            cidr: new.cidr,
            checks: new.checks,
            healthcheck_interval: new.healthcheck_interval,
            interface: new.interface,
            loss: new.loss,
            revision: 0,
        };
        self.check_own_address(&record)?;
        let id = record.id.clone();
        let txn = store::write_record_txn(&self.params.host, &record);
        // The thread comes first: when there can be no more, nothing is stored.
        let cidr = record.cidr;
        self.insert(record, Presence::Storing).map_err(|error| {
            Refusal::Unavailable(format!("start the election of {cidr}: {error}"))
        })?;
        self.submit(txn, Pending::Create { id, reply: reply.clone() });
        Ok(())
    }

    fn check_new(&self, cidr: Cidr) -> Result<(), Refusal> {
        let mut known = self.vips.values().map(|vip| vip.record.cidr);
        if let Some(same) = known.find(|same| same.addr() == cidr.addr()) {
            return Err(Refusal::Conflict(format!("ip {same} is already configured on this host")));
        }
        if self.debts.has_lock(cidr) {
            let why = format!("etcd has still to be told that {cidr} was given up on this host");
            return Err(Refusal::Unavailable(why));
        }
        match self.params.max_ips {
            Some(max) if self.vips.len() >= max => {
                let why = format!("{cidr} is one too many: MAX_NUMBER_OF_ENDPOINTS is {max}");
                Err(Refusal::invalid("ip", why))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An address that the host itself has, with whatever prefix, is not LinK's to move.
    fn check_own_address(&self, record: &Record) -> Result<(), Refusal> {
        let interface = record.interface.as_ref().unwrap_or(&self.params.interface);
        let addresses = self.params.net.addresses(interface);
        let addresses = addresses.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let own = |address: &&crate::net::Address| {
            address.cidr.addr() == record.cidr.addr() && !address.ours
        };
        match addresses.iter().find(own) {
            Some(own) => {
                let why = format!("{} is an address of the host itself on {interface}", own.cidr);
                Err(Refusal::invalid("ip", why))
            }
            None => Ok(()),
        }
    }

    /// Changes wait for each other, so that none undoes what another one says.
    fn change(&mut self, id: &VipId, change: Change, reply: &Reply) -> Result<(), Refusal> {
        let vip = self.vip_mut(id).ok_or(Refusal::NotFound)?;
        vip.changes.push_back((change, reply.clone()));
        if vip.changes.len() == 1 {
            self.store_change(id);
        }
        Ok(())
    }

    /// Stores the first change of an IP, if there is one.
    fn store_change(&self, id: &VipId) {
        let Some(vip) = self.vip(id) else { return };
        if let Some((change, _)) = vip.changes.front() {
            let record = changed(&vip.record, change);
            let txn = store::write_record_txn(&self.params.host, &record);
            self.submit(txn, Pending::Change(record));
        }
    }

    fn delete(&mut self, id: VipId, reply: &Reply) -> Result<(), Refusal> {
        let vip = self.vip_mut(&id).ok_or(Refusal::NotFound)?;
        vip.deletions += 1;
        self.submit_delete(id, reply.clone());
        Ok(())
    }

    fn submit_delete(&self, id: VipId, reply: Reply) {
        let Some(vip) = self.vip(&id) else { return };
        let txn = store::delete_record_txn(&self.params.host, &vip.record);
        self.submit(txn, Pending::Delete { id, reply });
    }

    fn begin_failover(
        &mut self,
        id: &VipId,
        target: Option<String>,
        reply: &Reply,
    ) -> Result<(), Refusal> {
        self.reachable()?;
        let vip = self.vip_mut(id).ok_or(Refusal::NotFound)?;
        if vip.status.state != State::Activated {
            let owner = vip.status.owner.as_deref().unwrap_or("nobody");
            let why = format!("this host is not the owner of {} ({owner} is)", vip.record.cidr);
            return Err(Refusal::Conflict(why));
        }
        if vip.failover.is_some() {
            return Err(Refusal::Conflict("this host is already handing it over".to_owned()));
        }
        vip.failover = Some(reply.clone());
        vip.election.failover(target);
        Ok(())
    }

    pub(super) fn on_stored(&mut self, pending: Pending, outcome: Outcome) {
        match pending {
            // These are the supervisor's own; it has taken them out already.
            Pending::Load | Pending::SaveLease(_) | Pending::Debt => {}
            Pending::Create { id, reply } => self.created(&id, reply, outcome),
            Pending::Change(record) => self.change_stored(record, outcome),
            Pending::Delete { id, reply } => self.deleted(&id, reply, outcome),
            Pending::Hosts { id, reply } => {
                answer_to(Some(reply), self.hosts(&id, outcome).map(Answer::Hosts));
            }
        }
    }

    fn created(&mut self, id: &VipId, reply: Reply, outcome: Outcome) {
        let Some(vip) = self.vips.get_mut(id) else { return };
        // No answer is not a no: the record may have been written, or be written yet.
        let unknown = outcome.as_ref().is_err_and(etcd::Error::outcome_is_unknown);
        let refusal = match stored(outcome, |reply| store::record_written(&vip.record, reply)) {
            Ok(Ok(revision)) => {
                info!("{}: registered as {id}", vip.record.cidr);
                vip.record.revision = revision;
                vip.presence = Presence::Registered;
                vip.election.lease(self.lease.told);
                self.write_copy();
                answer_to(Some(reply), self.one(id));
                return self.leave_if_stopping(id);
            }
            Ok(Err(Conflict(_))) => {
                Refusal::Conflict(format!("the id {id} was just stored by somebody else"))
            }
            Err(refusal) => refusal,
        };
        self.vips.remove(id);
        if unknown {
            self.debts.owe(Debt::Record(id.clone()));
        }
        answer_to(Some(reply), Err(refusal));
        self.end_stop();
    }

    fn one(&self, id: &VipId) -> Result<Answer, Refusal> {
        Ok(Answer::One(Box::new(self.show(self.find(id)?))))
    }

    fn change_stored(&mut self, record: Record, outcome: Outcome) {
        let id = record.id.clone();
        // Who waited for the change of an IP that is given up was told so.
        let Some(vip) = self.vip_mut(&id) else { return };
        let written = match stored(outcome, |reply| store::record_written(&record, reply)) {
            // The answer to the deletion is still on its way.
            Ok(Err(Conflict(0))) if vip.deletions > 0 => Err(Refusal::NotFound),
            // A PUT replaces what is there, whoever wrote it.
            Ok(Err(Conflict(revision))) => {
                warn!("{}: the record in etcd was changed by somebody else", record.cidr);
                vip.record.revision = revision;
                return self.store_change(&id);
            }
            Ok(Ok(revision)) => Ok(Record { revision, ..record }),
            Err(refusal) => Err(refusal),
        };
        let Some((change, reply)) = vip.changes.pop_front() else { return };
        let answer = written.and_then(|record| {
            self.make_change(&change, record);
            self.one(&id)
        });
        answer_to(Some(reply), answer);
        self.store_change(&id);
    }

    /// Does what was stored.
    fn make_change(&mut self, change: &Change, record: Record) {
        let (timing, loss) = (self.timing(&record), self.loss_policy(&record));
        let Some(vip) = self.vip_mut(&record.id) else { return };
        if change.checks.is_some() {
            vip.election.set_checks(record.checks.clone(), timing);
        }
        vip.election.set_loss_policy(loss);
        vip.record = record;
        self.write_copy();
    }

    fn deleted(&mut self, id: &VipId, reply: Reply, outcome: Outcome) {
        let Some(vip) = self.vip_mut(id) else {
            return answer_to(Some(reply), Err(Refusal::NotFound));
        };
        match stored(outcome, store::record_deleted) {
            Ok(Ok(())) => {
                info!("{}: no longer registered", vip.record.cidr);
                vip.leave(Some(reply));
                self.write_copy();
            }
            Ok(Err(Conflict(revision))) => {
                vip.record.revision = revision;
                self.submit_delete(id.clone(), reply);
            }
            Err(refusal) => {
                vip.deletions -= 1;
                answer_to(Some(reply), Err(refusal));
            }
        }
    }

    fn hosts(&self, id: &VipId, outcome: Outcome) -> Result<Vec<String>, Refusal> {
        let cidr = self.find(id)?.record.cidr;
        let reply = outcome.map_err(unavailable)?;
        let candidates = lock::candidates(cidr, reply.kvs(0));
        Ok(candidates.into_iter().map(|candidate| candidate.host).collect())
    }
}

/// A record as a change wants it.
fn changed(record: &Record, change: &Change) -> Record {
    let mut changed = record.clone();
    if let Some(checks) = &change.checks {
        changed.checks.clone_from(checks);
    }
    changed.loss = change.loss.unwrap_or(changed.loss);
    changed
}

fn unavailable(error: etcd::Error) -> Refusal {
    Refusal::Unavailable(format!("etcd: {error}"))
}

/// What a write has come to: its own outcome if etcd answered, a refusal if not.
fn stored<T>(outcome: Outcome, read: impl FnOnce(&etcd::Reply) -> T) -> Result<T, Refusal> {
    outcome.map(|reply| read(&reply)).map_err(unavailable)
}
