//! What an agent makes of what happens to calls and presences: its own calls, and those of others.

use std::time::Instant;

use super::{Call, Purpose, Word, call_key, parties, purpose_of, read};
use crate::etcd::{Followed, Kv};
use crate::failure_detector::CallNews;
use crate::text::is_host_name;

/// For how many calls a host listens at once, and for how many of one caller: for its last one, while the one before
/// is not over.
const AT_ONCE: usize = 64;
const OF_ONE_CALLER: usize = 2;

/// How many hosts are known at most.
const HOSTS: usize = 1000;

/// How many keys are named that cannot be understood.
const NAMED: usize = 100;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Listen on the network, and answer this call.
    Answer(Call),
    /// Something became of a call of this host, to that host, for that and with that number.
    News(String, Purpose, u64, CallNews),
    /// The agent of this host answers calls as long as this lease lives, and has said so at that
    /// revision; lease 0: it does not any more.
    Agent(String, i64, i64),
    /// To be logged: what cannot be understood, and why.
    Bad(String),
}

/// What is known of calls and presences.
#[derive(Clone, Debug)]
pub struct Exchange {
    host: String,
    /// Hosts whose agents answer calls.
    agents: Vec<String>,
    /// The calls of this host that etcd has shown: whom, for what, and the last number.
    own: Vec<(String, Purpose, u64)>,
    /// The callers for which this host listens, and until when.
    listens: Vec<(String, Instant)>,
    /// The keys that were named.
    named: Vec<String>,
}

impl Exchange {
    /// For the host with this name.
    pub fn new(host: &str) -> Exchange {
        let (agents, own, listens, named) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Exchange { host: host.to_owned(), agents, own, listens, named }
    }

    /// Takes note of what has happened in etcd.
    pub fn hear(&mut self, what: Followed, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        match what {
            Followed::All { kvs, revision } => {
                self.forget_all_but(&kvs, revision, &mut steps);
                kvs.into_iter().for_each(|kv| self.written(kv, now, &mut steps));
            }
            Followed::Written(kv) => self.written(kv, now, &mut steps),
            Followed::Deleted { key, revision } => match parties(&key) {
                Some((host, None)) => self.gone(host, revision, &mut steps),
                Some((host, Some(caller))) => {
                    let purpose = purpose_of(caller, &self.host);
                    purpose.into_iter().for_each(|it| self.lost(host, it, &mut steps));
                }
                None => {}
            },
        }
        steps
    }

    fn forget_all_but(&mut self, kvs: &[Kv], revision: i64, steps: &mut Vec<Step>) {
        let found: Vec<_> = kvs.iter().filter_map(|kv| parties(&kv.key)).collect();
        for host in self.agents.clone() {
            if !found.contains(&(host.as_str(), None)) {
                self.gone(&host, revision, steps);
            }
        }
        for (host, purpose, _) in self.own.clone() {
            let key = call_key(&host, &self.host, purpose);
            if !kvs.iter().any(|kv| kv.key == key) {
                self.lost(&host, purpose, steps);
            }
        }
    }

    fn written(&mut self, kv: Kv, now: Instant, steps: &mut Vec<Step>) {
        let key = kv.key.clone();
        let result = match parties(&key) {
            Some((host, None)) => self.present(host, kv, steps),
            Some((host, Some(caller))) => match purpose_of(caller, &self.host) {
                Some(purpose) => self.came_back(host, purpose, kv, steps),
                None if host == self.host => {
                    self.called(caller, kv, now).map(|call| steps.extend(call.map(Step::Answer)))
                }
                // What other hosts have to do with each other.
                None => Ok(()),
            },
            None => Ok(()),
        };
        if let Err(why) = result
            && self.named.len() < NAMED
            && !self.named.contains(&key)
        {
            // A key can be as long as a value.
            let shown: String = key.chars().take(300).collect();
            steps.push(Step::Bad(format!("skipped: {shown}: {why}")));
            self.named.push(key);
        }
    }

    fn present(&mut self, host: &str, kv: Kv, steps: &mut Vec<Step>) -> Result<(), String> {
        let (lease, revision) = (kv.lease, kv.mod_revision);
        let answers = match read(kv) {
            _ if !is_host_name(host) => return Err(NO_NAME.to_owned()),
            Ok(Word::Answers(answers)) => Ok(answers),
            Ok(Word::Call(_) | Word::Answer(..)) => Err("answers is missing".to_owned()),
            Err(why) => Err(why),
        };
        if answers != Ok(true) {
            self.gone(host, revision, steps);
            return answers.map(|_| ());
        }
        if !self.agents.iter().any(|agent| agent == host) {
            if self.agents.len() >= HOSTS {
                return Err(TOO_MANY.to_owned());
            }
            self.agents.push(host.to_owned());
        }
        steps.push(Step::Agent(host.to_owned(), lease, revision));
        Ok(())
    }

    fn gone(&mut self, host: &str, revision: i64, steps: &mut Vec<Step>) {
        if let Some(place) = self.agents.iter().position(|agent| agent == host) {
            self.agents.swap_remove(place);
            steps.push(Step::Agent(host.to_owned(), 0, revision));
        }
    }

    /// A call of this host, or its answer.
    fn came_back(
        &mut self,
        host: &str,
        purpose: Purpose,
        kv: Kv,
        steps: &mut Vec<Step>,
    ) -> Result<(), String> {
        let (number, news) = match read(kv)? {
            Word::Call(call) => (call.question.number, CallNews::CameBack),
            Word::Answer(number, heard) => (number, CallNews::Answered(heard)),
            Word::Answers(_) => return Err(NO_CALL.to_owned()),
        };
        self.own.retain(|(called, of, _)| called != host || *of != purpose);
        if self.own.len() >= HOSTS {
            return Err(TOO_MANY.to_owned());
        }
        self.own.push((host.to_owned(), purpose, number));
        steps.push(Step::News(host.to_owned(), purpose, number, news));
        Ok(())
    }

    /// A call of this host is not there any more. If this host did not remove it, its answer cannot come.
    fn lost(&mut self, host: &str, purpose: Purpose, steps: &mut Vec<Step>) {
        let is_it = |(called, of, _): &(String, Purpose, u64)| called == host && *of == purpose;
        if let Some(place) = self.own.iter().position(is_it) {
            let (host, purpose, number) = self.own.swap_remove(place);
            steps.push(Step::News(host, purpose, number, CallNews::Failed));
        }
    }

    /// A call to this host, or its own answer to one.
    fn called(&mut self, caller: &str, kv: Kv, now: Instant) -> Result<Option<Call>, String> {
        if !is_host_name(caller) {
            return Err(NO_NAME.to_owned());
        }
        let call = match read(kv)? {
            Word::Call(call) => call,
            Word::Answer(..) => return Ok(None),
            Word::Answers(_) => return Err(NO_CALL.to_owned()),
        };
        self.listens.retain(|(_, until)| *until > now);
        let of_caller = self.listens.iter().filter(|(other, _)| other == caller).count();
        if of_caller >= OF_ONE_CALLER || self.listens.len() >= AT_ONCE {
            return Err(TOO_MANY.to_owned());
        }
        self.listens.push((caller.to_owned(), now + call.question.within));
        Ok(Some(call))
    }
}

const NO_NAME: &str = "it names no host";
const NO_CALL: &str = "it is no call";
const TOO_MANY: &str = "there are too many of these";
