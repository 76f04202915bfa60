//! The end, of one IP or of all: everything is handed over, or everything is left as it is.

use std::time::Duration;

use log::Level;

use super::table::{RecordRequest, Stage};
use super::{Action, Core, Failure, Order, Timer, Token};
use crate::command::{Answer, Refusal};
use crate::election::HANDOVER_TIMEOUT;
use crate::history::Kind;
use crate::lock::Lease;
use crate::policy::StopPolicy;
use crate::store::Request;
use crate::vip::Slot;

/// How long the lease may take to be revoked.
pub const REVOKE: Duration = Duration::from_secs(1);

/// Whether the agent lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// The IPs are being given up.
    Stopping,
    /// All IPs were given up; the lease is being revoked.
    Revoking,
    Ended,
}

impl Core {
    /// Has an IP given up; a client that waits for a change or a failover of it waits in vain.
    pub(super) fn leave(&mut self, slot: Slot, tokens: Vec<Token>) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        if let Stage::Leaving(waiting) = &mut vip.stage {
            return waiting.extend(tokens);
        }
        let changes = std::mem::take(&mut vip.changes);
        let failover = vip.failover.take();
        // Of many that are registered together some may not have been begun.
        let runs = vip.election.not_started.is_none() && vip.election.serial.is_some();
        vip.stage = Stage::Leaving(tokens);
        self.copy.ip_changed(&vip.record.id);
        let why = "the IP is being given up on this host".to_owned();
        let waiting = changes.into_iter().filter_map(|(_, token)| token).chain(failover);
        self.refuse(waiting, &Refusal::Conflict(why));
        if self.table.is_seated(slot) {
            self.leave_group(slot);
        } else if runs {
            self.tell(slot, Order::Leave);
        } else {
            self.on_left(slot, true);
        }
    }

    /// An election has given its IP up. What it could not delete in etcd is found by a comparison.
    pub(super) fn on_left(&mut self, slot: Slot, cleanup_pending: bool) {
        let Some(vip) = self.forget(slot) else { return };
        if let Stage::Leaving(tokens) = vip.stage {
            tokens.into_iter().for_each(|token| self.reply(token, Ok(Answer::Done)));
        }
        self.fill_up();
        if cleanup_pending {
            self.compare_soon();
        } else {
            self.release_late(vip.record.cidr);
        }
    }

    pub(super) fn begin_stop(&mut self, policy: StopPolicy) {
        // What is given up from now on stays registered, for the next life.
        self.copy_now();
        match policy {
            StopPolicy::Keep => self.end(),
            StopPolicy::Release => {
                self.life = Life::Stopping;
                let what = format!("handing over {} IPs", self.table.len());
                self.happened(Level::Info, Kind::Agent.of(what));
                // Each election bounds itself; this is the net below.
                self.arm(Timer::StopAtLast, HANDOVER_TIMEOUT + REVOKE);
                for slot in self.table.slots() {
                    self.leave_if_stopping(slot);
                }
            }
        }
    }

    /// Has an IP given up; one that was being stored when the stop began comes late.
    pub(super) fn leave_if_stopping(&mut self, slot: Slot) {
        let stage = self.table.get(slot).map(|vip| &vip.stage);
        let leaves = match stage {
            Some(Stage::Registered | Stage::Deleting(_)) => true,
            Some(
                Stage::Starting(_) | Stage::Joining(_) | Stage::Storing(_) | Stage::Leaving(_),
            )
            | None => false,
        };
        if leaves && self.life != Life::Running {
            self.leave_outcome_open(slot, "etcd had not answered when this agent was stopped");
            self.leave(slot, Vec::new());
        }
    }

    /// Whether a request that is under way is carried out, the next life finds in etcd.
    pub(super) fn leave_outcome_open(&mut self, slot: Slot, why: &str) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let open = match &mut vip.stage {
            Stage::Deleting(tokens) => std::mem::take(tokens),
            Stage::Registered if vip.request != RecordRequest::None => {
                vip.changes.front_mut().and_then(|(_, token)| token.take()).into_iter().collect()
            }
            Stage::Starting(token) => vec![*token],
            Stage::Storing(token) => token.take().into_iter().collect(),
            Stage::Registered | Stage::Joining(_) | Stage::Leaving(_) => Vec::new(),
        };
        self.refuse(open, &Refusal::OutcomeUnknown(why.to_owned()));
    }

    /// Revokes the lease when all elections have left.
    pub(super) fn end_stop(&mut self) {
        if self.life == Life::Stopping && self.table.is_empty() {
            self.revoke();
        }
    }

    fn revoke(&mut self) {
        match self.lease.told {
            Lease::Held(id) => {
                self.life = Life::Revoking;
                self.arm(Timer::StopAtLast, REVOKE * 2);
                if std::mem::take(&mut self.identity.leaves) {
                    return self.ask(Request::ForgetHost(self.lease.revision));
                }
                self.out.push(Action::Revoke(id));
            }
            Lease::None | Lease::Lost => self.end(),
        }
    }

    /// What was stored of this host itself is gone, or could not be removed.
    pub(super) fn on_forgotten(&mut self, result: Result<(), Failure>) {
        let (level, what) = match result {
            Ok(()) => (Level::Info, Kind::Agent.of("etcd has nothing of this host any more")),
            Err(failure) => {
                let what = Kind::Trouble.of("what etcd has of this host stays there");
                (Level::Warn, what.because(failure.why))
            }
        };
        self.happened(level, what);
        self.revoke();
    }

    /// This host shares no IP any more, and is to leave nothing in etcd when its agent stops.
    pub(super) fn plan_leave(&mut self, token: Token) -> Result<(), Refusal> {
        self.reachable()?;
        let left = self.table.iter().map(|(_, vip)| vip.record.cidr).next();
        let beyond = self.table.beyond_limit.values().map(|record| record.cidr);
        if let Some(cidr) = left.or(beyond.min()) {
            let why =
                format!("{cidr} is registered on this host: delete it first (linkctl leave does)");
            return Err(Refusal::Conflict(why));
        }
        self.identity.leaves = true;
        let what = "this host leaves: etcd has nothing of it when the agent has stopped";
        self.happened(Level::Info, Kind::Agent.of(what));
        self.reply(token, Ok(Answer::Done));
        Ok(())
    }

    pub(super) fn on_revoked(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.happened(Level::Info, Kind::Agent.of("the lease is revoked")),
            Err(why) => {
                let ends = Kind::Agent.of("the lease ends by itself").because(why);
                self.happened(Level::Warn, ends);
            }
        }
        if self.life == Life::Revoking {
            self.end();
        }
    }

    pub(super) fn stop_at_last(&mut self) {
        let late: Vec<String> =
            self.table.iter().map(|(_, vip)| vip.record.cidr.to_string()).collect();
        if !late.is_empty() {
            let late = Kind::Agent.of("not handed over in time").because(late.join(", "));
            self.happened(Level::Warn, late);
        }
        match self.life {
            Life::Stopping => self.revoke(),
            Life::Running | Life::Revoking | Life::Ended => self.end(),
        }
    }

    fn end(&mut self) {
        self.life = Life::Ended;
        self.out.push(Action::Ended);
    }
}
