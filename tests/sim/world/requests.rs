//! Requests of agents to etcd: each may be lost before or after it is carried out, be repeated, or come
//! late.

use std::time::SystemTime;

use link::election::Notice;
use link::election::message::Input;
use link::etcd::{ErrorKind, Reply};
use link::lock;
use link::store::{self, At};
use link::supervisor::core::{Event as SupervisorEvent, Failure, Outcome};
use link::vip::Slot;

use super::{Event, Process, World};
use crate::bugs::Bug;
use crate::client::{Asker, Call, Failed, Said};
use crate::cluster::No;
use crate::memory_etcd::{Change, Millis};
use crate::setup::HostId;
use crate::times::{ATTEMPT, ATTEMPT_PAUSE, DEADLINE, LATE, LEASE_DEADLINE};

/// The time stamp in all values, which tells nobody anything.
const WRITTEN_AT: SystemTime = SystemTime::UNIX_EPOCH;

impl World {
    /// Asks etcd something on behalf of an agent.
    pub(super) fn submit(&mut self, host: HostId, asker: Asker) {
        let asker = self.misled(host, asker);
        let machine = &self.hosts[host];
        let Some(agent) = &machine.agent else { return };
        let (call, within) = match &asker {
            Asker::Supervisor(request) => {
                let mut txn =
                    store::txn_of(request, &machine.name, &agent.instance, agent.core.history());
                let careless = self.bug == Some(crate::bugs::Bug::AnybodyJoins);
                if careless && matches!(request, store::Request::Regroup(_)) {
                    txn.when.clear();
                }
                (Call::Transact(txn), DEADLINE)
            }
            Asker::Election(slot, request) => {
                // It was replaced meanwhile.
                let Some(election) = agent.elections.get(slot) else { return };
                let txn = lock::txn_of(request, &election.key, &machine.name, WRITTEN_AT);
                let txn = crate::bugs::mutated(self.bug, request, election, txn);
                (Call::Transact(txn), DEADLINE)
            }
            Asker::LeaseKeys(lease) => (Call::LeaseKeys(*lease), DEADLINE),
            Asker::LeaseLeft(lease) => (Call::LeaseLeft(*lease), LEASE_DEADLINE),
            Asker::Revoke | Asker::Fence(..) | Asker::Call(..) | Asker::Nobody => {
                unreachable!("it is submitted with what it asks for")
            }
        };
        self.submit_call(host, asker, call, within);
    }

    pub(super) fn submit_call(&mut self, host: HostId, asker: Asker, call: Call, within: Millis) {
        let deadline = self.now + within;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let number = agent.client.add(asker, call, deadline);
        self.process_at(deadline, host, Process::Deadline(number));
        self.attempt(host, number);
    }

    /// Sends a request, if etcd can be reached.
    pub(super) fn attempt(&mut self, host: HostId, number: u64) {
        let refused = !self.cluster.up;
        let cut = self.hosts[host].faults.cut_out > 0;
        // An existing connection takes a request also when nothing gets through, a new one does not.
        let no_connection = refused || (cut && self.random.one_in(2));
        let fate = self.random.between(1, 50);
        let late = self.random.between(DEADLINE, LATE);
        let usual = self.way(host);
        let way = if fate == 2 { late } else { usual };
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(pending) = agent.client.requests.get_mut(&number) else { return };
        pending.attempts += 1;
        let (attempt, call) = (pending.attempts, Box::new(pending.call.clone()));
        // What is lost of a call looks like a dead host, as it should.
        let calls = matches!(pending.asker, Asker::Call(..) | Asker::Nobody);
        let (fate, way) = if calls { (50, usual) } else { (fate, way) };
        if no_connection {
            return self.process_after(ATTEMPT_PAUSE * 4, host, Process::Attempt(number));
        }
        pending.was_sent = true;
        self.process_after(ATTEMPT, host, Process::AttemptOver(number, attempt));
        // One in fifty is lost, and one comes when its sender has long given up.
        if fate > 1 && !cut {
            let (life, era) = (self.hosts[host].life, self.era);
            self.after(way, Event::RequestArrives { host, life, era, number, call });
        }
    }

    /// No answer has come to this attempt: the next member is asked, which is the same.
    pub(super) fn attempt_over(&mut self, host: HostId, number: u64, attempt: u32) {
        let Some(agent) = &self.hosts[host].agent else { return };
        let waits = agent.client.requests.get(&number).filter(|it| it.attempts == attempt);
        if waits.is_some_and(|pending| self.now + ATTEMPT_PAUSE < pending.deadline) {
            self.process_after(ATTEMPT_PAUSE, host, Process::Attempt(number));
        }
    }

    pub(super) fn deadline(&mut self, host: HostId, number: u64) {
        let Some(agent) = &self.hosts[host].agent else { return };
        let Some(pending) = agent.client.requests.get(&number) else { return };
        let failed = if pending.was_sent { Failed::Unknown } else { Failed::NotSent };
        self.replied(host, number, Err(failed));
    }

    pub(super) fn request_arrives(&mut self, host: HostId, life: u64, number: u64, call: Call) {
        if !self.cluster.up {
            return;
        }
        if let Call::Revoke(lease) = call {
            crate::audit::Audit::fenced_now(self, host, lease);
        }
        let (said, changes) = self.carry_out(host, &call);
        self.trace(host, || format!("   etcd carries out {call:?}: {said:?}"));
        self.publish(&changes);
        let way = self.way(host);
        // One answer in fifty is lost.
        if self.hosts[host].faults.cut_in == 0 && !self.random.one_in(50) {
            let what = Process::Replied(number, Box::new(said));
            self.after(way, Event::Process { host, life, what });
        }
    }

    fn carry_out(&mut self, host: HostId, call: &Call) -> (Result<Said, Failed>, Vec<Change>) {
        let corrupt = self.cluster.service == crate::cluster::Service::Corrupt;
        let refused = || {
            let why = "etcdserver: corrupt cluster".to_owned();
            Err(Failed::Refused(No { kind: ErrorKind::Refused, why }))
        };
        match call {
            Call::Transact(txn) => match self.cluster.transact(host, txn) {
                Ok((reply, changes)) => (Ok(Said::Reply(reply)), changes),
                Err(no) => (Err(Failed::Refused(no)), Vec::new()),
            },
            Call::LeaseKeys(_) | Call::LeaseLeft(_) | Call::Revoke(_) if corrupt => {
                (refused(), Vec::new())
            }
            Call::LeaseKeys(lease) => {
                let keys = self.cluster.data.attached(*lease).map(str::to_owned).collect();
                (Ok(Said::Keys(keys)), Vec::new())
            }
            Call::LeaseLeft(lease) => {
                let left = self.cluster.time_to_live(*lease, self.now);
                (Ok(Said::Left(left.left, left.granted)), Vec::new())
            }
            Call::Revoke(lease) => (Ok(Said::Revoked), self.cluster.revoke(*lease)),
        }
    }

    /// The outcome of a request is known, or that it is not.
    pub(super) fn replied(&mut self, host: HostId, number: u64, said: Result<Said, Failed>) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let Some(pending) = agent.client.requests.remove(&number) else { return };
        if let Ok(Said::Reply(reply)) = &said {
            agent.client.heard(reply.revision);
        }
        if let Err(Failed::Refused(No { kind: ErrorKind::LeaseNotFound, .. })) = &said {
            self.suspect_lease(host);
        }
        match pending.asker {
            Asker::Supervisor(request) => self.answer_supervisor(host, request, said),
            Asker::Election(slot, request) => self.answer_election(host, slot, &request, said),
            Asker::LeaseKeys(lease) => {
                let overlooked = self.bug == Some(Bug::LeftOversAreKept);
                let keys = said.map_err(failure).map(|said| match said {
                    Said::Keys(keys) if !overlooked => keys,
                    Said::Keys(_) | Said::Reply(_) | Said::Left(..) | Said::Revoked => Vec::new(),
                });
                self.tell_supervisor(host, SupervisorEvent::LeaseKeys(lease, keys));
            }
            Asker::LeaseLeft(lease) => {
                let left = match said {
                    Ok(Said::Left(left, granted)) => Some((left, granted)),
                    Ok(Said::Reply(_) | Said::Keys(_) | Said::Revoked) | Err(_) => None,
                };
                self.tell_supervisor(host, SupervisorEvent::LeaseLeft(lease, left));
            }
            Asker::Call(called, purpose, number) => {
                self.called(host, (called, purpose), number, &said);
            }
            Asker::Fence(token, lease) => {
                let result = said.map(drop).map_err(failure);
                self.tell_supervisor(host, SupervisorEvent::Fenced(token, lease, result));
            }
            Asker::Nobody => {}
            Asker::Revoke => {
                let result = said.map(drop).map_err(|failed| failure(failed).why);
                self.tell_supervisor(host, SupervisorEvent::Revoked(result));
            }
        }
    }

    fn answer_supervisor(
        &mut self,
        host: HostId,
        request: store::Request,
        said: Result<Said, Failed>,
    ) {
        let said = match said {
            Err(Failed::Unknown) if self.bug == Some(Bug::UnknownMeansNo) => Err(Failed::NotSent),
            said => said,
        };
        if request == store::Request::Load && self.bug == Some(Bug::OldElectionsUnsubscribe) {
            self.unsubscribe_old(host, &said);
        }
        let machine = &self.hosts[host];
        let Some(agent) = &machine.agent else { return };
        let result = said.map_err(failure).map(|said| {
            let reply = reply_of(said);
            let at = At { cluster: reply.cluster, revision: reply.revision };
            (store::answer_of(&request, &machine.name, &agent.instance, &reply), at)
        });
        self.tell_supervisor(host, SupervisorEvent::Answered(request, result));
    }

    fn answer_election(
        &mut self,
        host: HostId,
        slot: Slot,
        request: &lock::Request,
        said: Result<Said, Failed>,
    ) {
        let machine = &mut self.hosts[host];
        let Some(agent) = &mut machine.agent else { return };
        let Some(election) = agent.elections.get_mut(&slot) else { return };
        let refusal = match &said {
            Err(Failed::Refused(no)) if no.kind == ErrorKind::Refused => Some(no.why.clone()),
            Ok(_) | Err(_) => None,
        };
        let before = std::mem::replace(&mut election.refused, refusal.is_some());
        if said.is_ok() {
            election.owed = None;
        }
        let key = election.key.clone();
        let (notice, input) = match said {
            Ok(said) => {
                let answer = lock::answer_of(request, key, &machine.name, &reply_of(said));
                (before.then_some(Notice::Served), Input::Answered(answer))
            }
            Err(_) => (refusal.map(Notice::Refused), Input::Unanswered),
        };
        if let Some(notice) = notice {
            self.notice(host, slot, notice);
        }
        if input == Input::Unanswered && self.bug == Some(Bug::FailuresAreFinal) {
            return;
        }
        self.tell_election(host, slot, input);
    }
}

fn reply_of(said: Said) -> Reply {
    match said {
        Said::Reply(reply) => reply,
        Said::Keys(_) | Said::Left(..) | Said::Revoked => Reply::new(false, 0, Vec::new()),
    }
}

/// What the product makes of it.
fn failure(failed: Failed) -> Failure {
    let (outcome, why) = match failed {
        Failed::Unknown => (Outcome::Unknown, "no answer in time".to_owned()),
        Failed::NotSent => (Outcome::NotSent, "no connection".to_owned()),
        Failed::Refused(no) => (Outcome::Refused, no.why),
    };
    Failure { outcome, why }
}
