//! A drained host: its IPs go to other hosts, and it campaigns for none, until it is told otherwise or the
//! time is over. An IP that no other host can have stays. That a host is drained outlives the agent: it
//! is in the local copy.

use std::time::Duration;

use log::Level;

use super::start::Start;
use super::table::Vip;
use super::{Core, Order, Timer, Token};
use crate::command::Answer;
use crate::fsm::State;
use crate::history::Kind;
use crate::sorted::sort_by;
use crate::vip::Slot;
use crate::wire;

/// How often it is looked whether the time is over. The machine's clock may be set meanwhile, and goes on while
/// the machine is suspended.
const LOOK: Duration = Duration::from_secs(60);

impl Core {
    pub(super) fn drain(&mut self, time: Option<Duration>, token: Token) {
        let until = time.map_or(0, |time| (self.config.unix_time)().saturating_add(time.as_secs()));
        let how_long = match time {
            Some(time) => format!("for {} s", time.as_secs()),
            None => "until it is told otherwise".to_owned(),
        };
        let text = format!("drained {how_long}: other hosts are to have the IPs");
        self.happened(Level::Info, Kind::Agent.of(text));
        self.set_drained(Some(until));
        self.reply(token, Ok(Answer::Drain(self.drained())));
    }

    pub(super) fn undrain(&mut self) {
        if self.is_drained() {
            self.happened(Level::Info, Kind::Agent.of("drained no more: a candidate again"));
            self.set_drained(None);
        }
    }

    /// The time may be over.
    pub(super) fn undrain_in_time(&mut self) {
        match self.copy.drained_until {
            Some(until) if self.left_until(until).is_zero() => self.undrain(),
            Some(_) | None => self.plan_undrain(),
        }
    }

    /// A former life was drained, of this machine: a cloned image has the copy of another.
    pub(super) fn drain_as_before(&mut self) {
        let machine = self.copy.former().and_then(|former| former.instance.as_ref());
        if machine.is_some_and(|machine| !machine.is_same(&self.config.instance)) {
            self.copy.drained_until = None;
        }
        if self.is_drained() {
            let text = "drained, as before: no candidate unless no other host is one";
            self.happened(Level::Info, Kind::Agent.of(text));
            self.plan_undrain();
        }
    }

    fn set_drained(&mut self, until: Option<u64>) {
        self.copy.drained_until = until;
        self.copy.changed();
        self.lease.presence.outdate();
        if self.start == Start::FromCopy {
            self.copy_former();
        }
        self.plan_undrain();
        for slot in self.table.slots() {
            self.tell(slot, Order::Drained(until.is_some()));
        }
    }

    fn plan_undrain(&mut self) {
        match self.copy.drained_until {
            None | Some(0) => self.disarm(Timer::Undrain),
            Some(until) => self.arm(Timer::Undrain, self.left_until(until).min(LOOK)),
        }
    }

    fn left_until(&self, until: u64) -> Duration {
        Duration::from_secs(until.saturating_sub((self.config.unix_time)()))
    }

    /// Whether this host is drained.
    pub fn is_drained(&self) -> bool {
        self.copy.drained_until.is_some()
    }

    /// Tells an election that has just begun what is known of this host.
    pub(super) fn introduce(&mut self, slot: Slot) {
        if self.is_drained() {
            self.tell(slot, Order::Drained(true));
        }
        self.tell(slot, Order::Lease(self.lease.told));
    }

    /// Whether this host is drained, and which IPs it has all the same.
    pub(super) fn drained(&self) -> wire::Drain {
        let until = self.copy.drained_until;
        let has = |vip: &Vip| vip.status.bound || vip.status.state == State::Activated;
        let owned = self.table.iter().filter(|(_, vip)| vip.is_registered() && has(vip));
        let mut owned: Vec<&Vip> = owned.map(|(_, vip)| vip).collect();
        sort_by(&mut owned, |a, b| a.record.cidr.cmp(&b.record.cidr));
        let shown = |vip: &Vip| wire::DrainedIp {
            ip: vip.record.cidr.to_string(),
            stays: vip.status.drained_last,
        };
        wire::Drain {
            drained: until.is_some(),
            seconds_left: until.filter(|at| *at != 0).map(|at| self.left_until(at).as_secs()),
            ips: owned.into_iter().map(shown).collect(),
        }
    }
}
