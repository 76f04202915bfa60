//! Calls: what an agent asks another through etcd, and how that one answers, whatever its supervisor does.
//! What stands for the driver of `link::call` (supervisor::calls).

use link::call::{self, Purpose, Question, Step};
use link::etcd::{Followed, Kv, Txn};
use link::failure_detector::CallNews;
use link::network::{Heard, Hearing};
use link::supervisor::core::Event as SupervisorEvent;

use super::{Process, World};
use crate::bugs::Bug;
use crate::client::{Asker, Call, Failed, Said};
use crate::memory_etcd::{Change, Millis};
use crate::setup::{HostId, ip_of};
use crate::times::CALL_DEADLINE;

impl World {
    pub(super) fn call(
        &mut self,
        host: HostId,
        (called, purpose): (String, Purpose),
        lease: i64,
        question: Question,
    ) {
        let key = call::call_key(&called, &self.hosts[host].name, purpose);
        let txn = call::call_txn(key, lease, question);
        self.write(host, Asker::Call(called, purpose, question.number), txn);
    }

    /// Of a call that may be stored yet, the watch tells.
    pub(super) fn called(
        &mut self,
        host: HostId,
        (called, purpose): (String, Purpose),
        number: u64,
        said: &Result<Said, Failed>,
    ) {
        if let Err(Failed::NotSent | Failed::Refused(_)) = said {
            let news = SupervisorEvent::Call(called, purpose, number, CallNews::Failed);
            self.tell_supervisor(host, news);
        }
    }

    pub(super) fn end_call(&mut self, host: HostId, called: &str, purpose: Purpose) {
        let key = call::call_key(called, &self.hosts[host].name, purpose);
        self.write(host, Asker::Nobody, call::end_txn(key));
    }

    fn write(&mut self, host: HostId, asker: Asker, txn: Txn) {
        self.submit_call(host, asker, Call::Transact(txn), CALL_DEADLINE);
    }

    /// What a watch that was opened has read.
    pub(super) fn read_agents(&mut self, host: HostId, kvs: &[Kv], revision: i64) {
        let of_agents = kvs.iter().filter(|kv| kv.key.starts_with(call::PREFIX));
        let kvs = of_agents.cloned().collect();
        self.follow(host, Followed::All { kvs, revision });
    }

    /// What a watch tells of a key of the agents.
    pub(super) fn agents_changed(&mut self, host: HostId, change: &Change) {
        let (key, revision) = (change.key.to_string(), change.revision);
        let deleted = Followed::Deleted { key, revision };
        self.follow(host, change.state().kv.map_or(deleted, Followed::Written));
    }

    fn follow(&mut self, host: HostId, what: Followed) {
        let now = self.instant();
        let Some(agent) = &mut self.hosts[host].agent else { return };
        for step in agent.client.exchange.hear(what, now) {
            match step {
                Step::Answer(call) => self.listen(host, call),
                Step::News(_, Purpose::Detection, _, CallNews::Answered(_))
                    if self.bug == Some(Bug::OneWitnessIsEnough) => {}
                Step::News(_, Purpose::Fence, _, CallNews::Answered(_))
                    if self.bug == Some(Bug::LiveHostsAreFenced) => {}
                Step::News(called, purpose, number, news) => {
                    let news = SupervisorEvent::Call(called, purpose, number, news);
                    self.tell_supervisor(host, news);
                }
                Step::Agent(name, lease, revision) => {
                    let event = SupervisorEvent::Agent { host: name, lease, revision };
                    self.tell_supervisor(host, event);
                }
                Step::Bad(_) => {}
            }
        }
    }

    /// This agent is asked what it hears: it listens, until it hears somebody.
    fn listen(&mut self, host: HostId, call: call::Call) {
        let within = Millis::try_from(call.question.within.as_millis()).expect("a short time");
        let soon = self.random.between(1, 10);
        let after = if self.hears_somebody(host) { soon } else { within };
        self.process_after(after, host, Process::Listened(Box::new(call)));
    }

    /// It answers.
    pub(super) fn listened(&mut self, host: HostId, call: &call::Call) {
        let machine = &self.hosts[host];
        let agent = machine.agent.as_ref();
        let election = ip_of(call.question.cidr).and_then(|ip| agent?.election(ip));
        let hears = match (election, machine.faults.unplugged, self.hears_somebody(host)) {
            (None, _, _) | (_, 1.., _) => Hearing::Unknown,
            (Some(_), 0, true) => Hearing::Others,
            (Some(_), 0, false) => Hearing::Nobody,
        };
        let has_address = election.is_some_and(|election| election.are_bound(&machine.kernel));
        self.trace(host, || format!("is called and hears {hears:?}"));
        self.write(host, Asker::Nobody, call.answer_txn(Heard { hearing: hears, has_address }));
    }
}
