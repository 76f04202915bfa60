//! The commands of the API: each is checked against the table, stored in etcd, and only then done.

use std::net::IpAddr;

use log::Level;

use super::batch::Batch;
use super::fence::Fence;
use super::start::{Start, is_of_etcd};
use super::stop::Life;
use super::table::{BEYOND_LIMIT, Stage, Vip};
use super::{Core, Order, Origin, Timer, Token};
use crate::command::{Answer, Change, Command, NewVip, Refusal};
use crate::few::Few;
use crate::fsm::State;
use crate::history::Kind;
use crate::lock::Lease;
use crate::sorted::map_of;
use crate::store::Record;
use crate::vip::{Check, Cidr, ElectionKey, Slot, Target, VipId};

/// Clients whose commands wait for something but a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// Commands that came while this host's records were being read.
    waiting: Vec<(Command, Token)>,
    /// Which hosts offer an IP is being read.
    pub(super) asking_hosts: Vec<(ElectionKey, Token)>,
    /// IPs that are being registered together.
    pub(super) batches: Few<Token, Batch>,
    /// Hosts that are being fenced.
    pub(super) fences: Few<Token, Fence>,
}

impl Core {
    pub(super) fn on_command(&mut self, command: Command, token: Token) {
        if command == Command::Health {
            let problems = self.problems();
            return self.reply(token, Ok(Answer::Health(problems)));
        }
        // The answer is on its way: whoever asks right after the start can wait for it.
        if self.start == Start::Reading && self.life == Life::Running {
            return self.clients.waiting.push((command, token));
        }
        if command == Command::Status {
            return self.tell_status(token);
        }
        if let Err(refusal) = self.ready(&command).and_then(|()| self.carry_out(command, token)) {
            self.reply(token, Err(refusal));
        }
    }

    /// The commands that have waited for the start.
    pub(super) fn answer_waiting(&mut self) {
        for (command, token) in std::mem::take(&mut self.clients.waiting) {
            self.on_command(command, token);
        }
    }

    /// Nothing is told before this host's IPs are known, and nothing changed before its records in etcd
    /// were read.
    fn ready(&self, command: &Command) -> Result<(), Refusal> {
        let needs_no_etcd = match command {
            Command::List
            | Command::Get(_)
            | Command::Delete(_)
            | Command::Drain(_)
            | Command::Undrain
            | Command::Drained => true,
            Command::Create(_)
            | Command::CreateMany(_)
            | Command::Change(..)
            | Command::Lock(_)
            | Command::Failover(..)
            | Command::Fence { .. }
            | Command::Leave
            | Command::Hosts(_)
            | Command::Status
            | Command::Metrics
            | Command::Events(_)
            | Command::Health => false,
        };
        let enough = match self.start {
            Start::Loaded => true,
            Start::FromCopy => needs_no_etcd && self.copy.former().is_some(),
            Start::Reading | Start::Taken => false,
        };
        if enough && self.life == Life::Running {
            return Ok(());
        }
        let trouble = self.host_trouble().unwrap_or_else(|| "etcd was not read yet".to_owned());
        Err(Refusal::Unavailable(trouble))
    }

    /// Answers at once, or has the answer come later; an error is answered by the caller.
    fn carry_out(&mut self, command: Command, token: Token) -> Result<(), Refusal> {
        if matches!(command, Command::Create(_) | Command::CreateMany(_)) {
            self.identity.leaves = false;
        }
        match command {
            // The driver has the history.
            Command::Health | Command::Metrics | Command::Status | Command::Events(_) => {}
            Command::List => {
                let list = self.list();
                self.reply(token, Ok(Answer::List(list)));
            }
            Command::Get(id) => {
                let shown = self.show_in_full(self.find(&id)?.1);
                self.reply(token, Ok(Answer::One(Box::new(shown))));
            }
            Command::Create(new) => self.create(new, token)?,
            Command::CreateMany(all) => self.create_many(all, token)?,
            Command::Change(id, change) => self.change(&id, change, token)?,
            Command::Delete(id) => self.delete(&id, token)?,
            Command::Lock(id) => {
                let (slot, _) = self.find(&id)?;
                self.reachable()?;
                self.tell(slot, Order::LockNow);
                self.reply(token, Ok(Answer::Done));
            }
            Command::Failover(id, target) => self.begin_failover(&id, target, token)?,
            Command::Fence { host, force } => self.fence(host, force, token)?,
            Command::Drain(time) => self.drain(time, token),
            Command::Undrain => {
                self.undrain();
                self.reply(token, Ok(Answer::Done));
            }
            Command::Leave => self.plan_leave(token)?,
            Command::Drained => self.reply(token, Ok(Answer::Drain(self.drained()))),
            Command::Hosts(id) => {
                let (slot, vip) = self.find(&id)?;
                let key = self.table.whole_key(slot, vip.record.cidr);
                self.waiting_for_hosts(key, token);
            }
        }
        Ok(())
    }

    /// The IP that a command is about.
    pub fn ip_of(&self, command: &Command) -> Option<Cidr> {
        if let Command::Create(new) = command {
            return Some(new.cidr);
        }
        Some(self.find(command.id()?).ok()?.1.record.cidr)
    }

    fn find(&self, id: &VipId) -> Result<(Slot, &Vip), Refusal> {
        self.registered(id).ok_or(Refusal::NotFound)
    }

    /// An etcd that is known to be lost is not asked. One that was not heard yet may answer.
    pub(super) fn reachable(&self) -> Result<(), Refusal> {
        match self.lease.told {
            Lease::Lost => {
                let trouble = self.host_trouble().unwrap_or_else(|| "etcd is lost".to_owned());
                Err(Refusal::Unavailable(trouble))
            }
            Lease::None | Lease::Held(_) => Ok(()),
        }
    }

    fn create(&mut self, new: NewVip, token: Token) -> Result<(), Refusal> {
        self.check_commands(&new.checks)?;
        self.check_new(new.cidr, 0)?;
        self.reachable()?;
        let origin = if new.force { Origin::Forced } else { Origin::New };
        let record = self.record_of(new);
        self.check_group(&record, &[])?;
        // The election comes first: when there can be no more, nothing is stored.
        let slot = self.table.insert(record.clone(), Stage::Starting(token));
        self.start_election(slot, record, origin);
        Ok(())
    }

    pub(super) fn record_of(&self, new: NewVip) -> Record {
        Record {
            id: (self.config.new_id)(),
            cidr: new.cidr,
            checks: new.checks,
            healthcheck_interval: new.healthcheck_interval,
            interface: new.interface,
            loss: new.loss,
            priority: new.priority,
            group: new.group,
            revision: 0,
        }
    }

    /// Commands are run where the operator has named a folder of them.
    pub(super) fn check_commands(&self, checks: &[Check]) -> Result<(), Refusal> {
        let runs = |check: &&Check| matches!(check.target, Target::Exec { .. });
        match checks.iter().find(runs) {
            Some(check) if !self.config.permits.commands => {
                let why = "needs CHECK_COMMANDS_DIR in the environment of this agent, the folder of the commands";
                Err(Refusal::invalid("checks", format!("{check} {why}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether an IP can be registered beside those that are here, and so many that are new.
    pub(super) fn check_new(&self, cidr: Cidr, others: usize) -> Result<(), Refusal> {
        if let Some((_, same)) = self.table.at(cidr.addr()) {
            let same = same.record.cidr;
            return Err(Refusal::Conflict(format!("ip {same} is already configured on this host")));
        }
        if self.is_beyond_limit(cidr.addr()) {
            let why = format!("ip {cidr} is registered on this host, and beyond the limit of IPs");
            return Err(Refusal::Conflict(why));
        }
        if self.is_etcd(cidr) {
            return Err(Refusal::invalid("ip", is_of_etcd(cidr)));
        }
        if let Some(key) = self.table.other_spelling(cidr.addr()) {
            let why = format!("another agent shares this address in another spelling: {key:?}");
            return Err(Refusal::Conflict(why));
        }
        if self.comparison.releases(cidr) {
            let why = format!("etcd has still to be told that {cidr} was given up on this host");
            return Err(Refusal::Unavailable(why));
        }
        match self.config.permits.max_ips {
            Some(max) if self.table.len() + others >= max => {
                let why = format!("{cidr} is one too many: MAX_NUMBER_OF_ENDPOINTS is {max}");
                Err(Refusal::invalid("ip", why))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_beyond_limit(&self, address: IpAddr) -> bool {
        self.table.beyond_limit.values().any(|record| record.cidr.addr() == address)
    }

    /// Changes wait for each other, so that none undoes what another one says.
    fn change(&mut self, id: &VipId, change: Change, token: Token) -> Result<(), Refusal> {
        let (slot, vip) = self.find(id)?;
        if matches!(vip.stage, Stage::Deleting(_)) {
            return Err(Refusal::Conflict("the IP is being deleted".to_owned()));
        }
        self.check_commands(change.checks.as_deref().unwrap_or_default())?;
        let shown = self.show(vip);
        let differs = change.fixed.iter().filter(|(field, said)| shown.fixed(field) != *said);
        let texts = differs.map(|(field, said)| {
            let why = format!("{said} cannot be set: it is {}", shown.fixed(field));
            ((*field).to_owned(), vec![why])
        });
        let errors = map_of(texts);
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        if change.is_none() {
            self.reply(token, Ok(Answer::One(Box::new(shown))));
            return Ok(());
        }
        self.check_group(&super::records::changed(&vip.record, &change), &[])?;
        self.reachable()?;
        if let Some(vip) = self.table.get_mut(slot) {
            vip.changes.push_back((change, Some(token)));
        }
        self.wait_for_unknown(slot, token);
        self.table.look_at(slot);
        Ok(())
    }

    fn delete(&mut self, id: &VipId, token: Token) -> Result<(), Refusal> {
        if let Some(record) = self.table.beyond_limit.remove(id) {
            self.copy.ip_changed(&record.id);
            let slot = self.table.insert(record, Stage::Registered);
            let Some(vip) = self.table.get_mut(slot) else { return Ok(()) };
            vip.election.not_started = Some(BEYOND_LIMIT.to_owned());
        }
        let (slot, _) = self.find(id)?;
        if self.start == Start::FromCopy || self.reachable().is_err() {
            self.delete_without_etcd(slot, token);
            return Ok(());
        }
        let Some(vip) = self.table.get_mut(slot) else { return Ok(()) };
        if let Stage::Deleting(tokens) = &mut vip.stage {
            tokens.push(token);
        } else {
            vip.stage = Stage::Deleting(vec![token]);
        }
        let changes = std::mem::take(&mut vip.changes);
        let waiting = changes.into_iter().filter_map(|(_, token)| token);
        self.refuse(waiting, &Refusal::Conflict("the IP is being deleted".to_owned()));
        self.wait_for_unknown(slot, token);
        self.table.look_at(slot);
        Ok(())
    }

    /// An IP that is one too many was not deleted. There may be room for it by now.
    pub(super) fn is_beyond_limit_still(&mut self, slot: Slot) {
        let Some(Vip { record, .. }) = self.table.remove(slot) else { return };
        self.copy.ip_changed(&record.id);
        self.table.beyond_limit.insert(record.id.clone(), record);
        self.fill_up();
    }

    /// The address may be what keeps etcd away. The record is removed when etcd is there again.
    fn delete_without_etcd(&mut self, slot: Slot, token: Token) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let cidr = vip.record.cidr;
        let mut tokens = vec![token];
        if let Stage::Deleting(waiting) = &mut vip.stage {
            tokens.append(waiting);
        }
        tokens.iter().for_each(|token| self.disarm(Timer::Answer(*token)));
        let what = "deleted here; etcd is told when it answers again";
        self.happened(Level::Warn, Kind::Trouble.of(what).to(cidr));
        self.copy.deleted_alone(cidr.addr());
        if self.start == Start::FromCopy {
            self.copy_former();
        }
        self.leave(slot, tokens);
    }

    fn begin_failover(
        &mut self,
        id: &VipId,
        target: Option<String>,
        token: Token,
    ) -> Result<(), Refusal> {
        let (slot, vip) = self.find(id)?;
        self.reachable()?;
        if vip.status.state != State::Activated {
            let owner = vip.status.owner.as_deref().unwrap_or("nobody");
            let why = format!("this host is not the owner of {} ({owner} is)", vip.record.cidr);
            return Err(Refusal::Conflict(why));
        }
        if target.as_ref() == Some(&self.config.host) {
            let why = format!("this host, {}, is the owner already", self.config.host);
            return Err(Refusal::Conflict(why));
        }
        let under_way =
            |slot: &Slot| self.table.get(*slot).is_some_and(|vip| vip.failover.is_some());
        if self.table.together(slot).iter().any(under_way) {
            return Err(Refusal::Conflict("this host is already handing it over".to_owned()));
        }
        if let Some(vip) = self.table.get_mut(slot) {
            vip.failover = Some(token);
        }
        self.tell(slot, Order::Failover(target));
        Ok(())
    }

    pub(super) fn on_handed_over(&mut self, slot: Slot, result: Result<(), String>) {
        let token = self.table.get_mut(slot).and_then(|vip| vip.failover.take());
        if let Some(token) = token {
            let answer = result.map(|()| Answer::Done).map_err(Refusal::Conflict);
            self.reply(token, answer);
        }
    }
}
