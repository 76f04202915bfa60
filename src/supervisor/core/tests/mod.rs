//! The core of the supervisor, event by event: what it asks of etcd, of the elections and of the disk.

mod answered;
mod batch;
mod commands;
mod compare;
mod drain;
mod fence;
mod fixed;
mod groups;
mod identity;
mod lease;
mod leave;
mod many;
mod mark;
mod measure;
mod mending;
mod moves;
mod noticed;
mod outcome;
mod presence;
mod priority;
mod regroup;
mod seen;
mod serving;
mod start;
mod stop;
mod told;
mod ungroup;
mod without_etcd;

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::command::Command;
use crate::election::Status;
use crate::lock::{Gap, Lease};
use crate::network::Liveness;
use crate::policy::{LossPolicy, StopPolicy};
use crate::store::{At, Found, HostKey, LocalCopy, Record};
use crate::vip::VipId;

/// When the agent began.
const STARTED: u64 = 1_764_402_900;

const LEASE: i64 = 7;
const CLUSTER: u64 = 1;
const TTL: Duration = Duration::from_secs(5);

fn machine(last: u8) -> Instance {
    let mac = Some([2, 0, 0, 0, 0, last]);
    Instance::new(format!("i{last}"), format!("b{last}"), mac)
}

fn id(number: u8) -> VipId {
    format!("vip-00000000-0000-4000-8000-00000000{number:04}").parse().unwrap()
}

/// The record of 10.0.0.`number`, at this revision.
fn record(number: u8, revision: i64) -> Record {
    Record {
        id: id(number),
        cidr: format!("10.0.0.{number}").parse().unwrap(),
        checks: Vec::new(),
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority: None,
        group: None,
        revision,
    }
}

/// The history of etcd in which this host has written.
const DETECTION: failure_detector::Timing = failure_detector::Timing {
    interval: Duration::from_millis(100),
    alone: false,
    last_sign: Duration::from_millis(150),
};
const HISTORY: &str = "one";

fn at(revision: i64) -> At {
    At { cluster: CLUSTER, revision }
}

fn unknown() -> Failure {
    Failure { outcome: Outcome::Unknown, why: "no answer in time".to_owned() }
}

fn refused() -> Failure {
    Failure { outcome: Outcome::Refused, why: "permission denied".to_owned() }
}

fn not_sent() -> Failure {
    Failure { outcome: Outcome::NotSent, why: "connection refused".to_owned() }
}

/// A core, the time, and what it has done: an election is started when it is asked for, as the driver
/// does; everything else is fed by the test.
struct Story {
    core: Core,
    now: Instant,
    /// What was done and not looked at yet.
    done: VecDeque<Action>,
    next_token: u64,
    /// The local copy, and whether it was written.
    disk: Vec<u8>,
    written: bool,
    /// Why no election can be started, if so.
    no_threads: Option<StartError>,
}

impl Story {
    /// Begins, with this copy on disk.
    fn begin(copy: Option<LocalCopy>) -> Story {
        Story::begin_with(|_| {}, copy)
    }

    fn begin_with(change: impl FnOnce(&mut CoreConfig), copy: Option<LocalCopy>) -> Story {
        let mut config = CoreConfig {
            host: "h1".to_owned(),
            instance: machine(1),
            interface: "eth0".to_owned(),
            permits: Permits { max_ips: Some(10), commands: false },
            defaults: Defaults { loss: LossPolicy::Take, priority: 100 },
            renewal: Duration::from_secs(1),
            loss_after: Duration::from_secs(5),
            detection: Some(DETECTION),
            new_id: VipId::random,
            unix_time: || 1_000_000,
            etcd_addresses: vec![[10, 0, 0, 9].into()],
            started: STARTED,
        };
        change(&mut config);
        let mut story = Story {
            core: Core::new(config),
            now: Instant::now(),
            done: VecDeque::new(),
            next_token: 0,
            disk: Vec::new(),
            written: false,
            no_threads: None,
        };
        story.feed(Event::Begin(Box::new(Copies { own: copy.map(Ok), others: Vec::new() })));
        story.expect_ask(&Request::Load);
        story
    }

    /// A host that holds its lease and has these IPs; nothing is under way.
    fn running(records: &[Record]) -> Story {
        let mut story = Story::begin(None);
        story.load(records);
        story.settle_comparison(records);
        story.feed(Event::Timer(Timer::Copy));
        story.done.clear();
        story.written = false;
        story
    }

    /// etcd tells what is registered, with the key of the host as this machine has written it.
    fn load(&mut self, records: &[Record]) {
        let found = found(records);
        self.answer_load(found);
        self.held();
    }

    fn answer_load(&mut self, found: Found) {
        self.answer_load_at(found, 100);
    }

    fn answer_load_at(&mut self, found: Found, revision: i64) {
        let answer = store::Answer::Loaded(Box::new(found));
        self.feed(Event::Answered(Request::Load, Ok((answer, at(revision)))));
    }

    fn held(&mut self) {
        self.feed(Event::LeaseHeld { id: LEASE, ttl: TTL });
    }

    /// Goes through the comparison that is due: nothing is found to differ.
    fn settle_comparison(&mut self, records: &[Record]) {
        if self.did(|action| *action == Action::Ask(Request::Load)) {
            self.answer_load(found(records));
        }
        if self.did(|action| *action == Action::ReadLeaseKeys(LEASE)) {
            self.feed(Event::LeaseKeys(LEASE, Ok(Vec::new())));
        }
        if let Some(Request::OtherPrefixes(cidrs)) =
            self.take_ask(|request| matches!(request, Request::OtherPrefixes(_)))
        {
            let answer = store::Answer::OtherPrefixes(Vec::new());
            self.feed(Event::Answered(Request::OtherPrefixes(cidrs), Ok((answer, at(100)))));
        }
    }

    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.core.handle(event, self.now) {
                if let Action::Start { slot, .. } = &action {
                    let result = self.no_threads.clone().map_or(Ok(()), Err);
                    events.push_back(Event::Started(*slot, result));
                }
                self.note_copy(&action);
                self.done.push_back(action);
            }
        }
    }

    fn note_copy(&mut self, action: &Action) {
        if let Action::WriteCopy(copy) = action {
            self.disk.clone_from(copy);
            self.written = true;
        } else if let Action::AppendToCopy(change) = action {
            self.disk.extend(change);
            self.written = true;
        }
    }

    fn answer(&mut self, request: Request, answer: store::Answer) {
        self.feed(Event::Answered(request, Ok((answer, at(101)))));
    }

    fn fail(&mut self, request: Request, failure: Failure) {
        self.feed(Event::Answered(request, Err(failure)));
    }

    fn command(&mut self, command: Command) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.feed(Event::Command(command, token));
        token
    }

    fn timer(&mut self, timer: Timer) {
        assert!(self.did(|it| matches!(it, Action::Arm(armed, _) if *armed == timer)), "{timer:?}");
        self.feed(Event::Timer(timer));
    }

    fn notice(&mut self, slot: Slot, notice: Notice) {
        let vip = self.core.table.get(slot);
        let serial = vip.and_then(|vip| vip.election.serial).unwrap_or_default();
        self.feed(Event::Election(slot, serial, notice));
    }

    /// Takes everything up to the first action that is this, if there is one.
    fn did(&mut self, is_it: impl Fn(&Action) -> bool) -> bool {
        let found = self.done.iter().position(is_it);
        found.map(|index| self.done.remove(index)).is_some()
    }

    fn take_ask(&mut self, is_it: impl Fn(&Request) -> bool) -> Option<Request> {
        let index = self
            .done
            .iter()
            .position(|action| matches!(action, Action::Ask(request) if is_it(request)))?;
        match self.done.remove(index) {
            Some(Action::Ask(request)) => Some(request),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn expect(&mut self, action: &Action) {
        assert!(self.did(|done| done == action), "{action:?} is not in {:#?}", self.done);
    }

    #[track_caller]
    fn expect_ask(&mut self, request: &Request) {
        self.expect(&Action::Ask(request.clone()));
    }

    #[track_caller]
    fn expect_tell(&mut self, slot: Slot, order: Order) {
        self.expect(&Action::Tell(slot, order));
    }

    #[track_caller]
    fn reply(&mut self, token: Token) -> Result<Answer, Refusal> {
        let index = self
            .done
            .iter()
            .position(|action| matches!(action, Action::Reply(to, _) if *to == token));
        let index = index.unwrap_or_else(|| panic!("no reply in {:#?}", self.done));
        match self.done.remove(index) {
            Some(Action::Reply(_, answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn replied(&self, token: Token) -> bool {
        self.done.iter().any(|action| matches!(action, Action::Reply(to, _) if *to == token))
    }

    /// The warnings and errors that were logged.
    fn warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        self.done.retain(|action| {
            let Action::Happened(level, happening) = action else { return true };
            if *level <= Level::Warn {
                warnings.push(happening.to_string());
            }
            *level > Level::Warn
        });
        warnings
    }

    #[track_caller]
    fn expect_warning(&mut self, part: &str) {
        let warnings = self.warnings();
        assert!(warnings.iter().any(|text| text.contains(part)), "{part:?} is not in {warnings:?}");
    }

    fn problems(&mut self) -> Vec<String> {
        let token = self.command(Command::Health);
        match self.reply(token) {
            Ok(Answer::Health(problems)) => problems,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn expect_problem(&mut self, part: &str) {
        let problems = self.problems();
        assert!(problems.iter().any(|text| text.contains(part)), "{part:?} is not in {problems:?}");
    }

    fn listed(&mut self) -> Vec<String> {
        let token = self.command(Command::List);
        match self.reply(token) {
            Ok(Answer::List(ips)) => ips.into_iter().map(|ip| ip.ip).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// The number of the election of 10.0.0.`number`.
    #[track_caller]
    fn slot(&self, number: u8) -> Slot {
        let address = format!("10.0.0.{number}").parse().unwrap();
        self.core.table.at(address).expect("it is in the table").0
    }

    /// The local copy, if something was written there since this was asked last.
    fn copy(&mut self) -> Option<LocalCopy> {
        let written = std::mem::take(&mut self.written);
        written.then(|| LocalCopy::read(&self.disk).unwrap())
    }
}

/// What etcd has of a host that has these IPs.
fn found(records: &[Record]) -> Found {
    let host = HostKey { lease: Some(LEASE), instance: Some(machine(1)), revision: 50 };
    let history = HISTORY.to_owned();
    Found { host: Some(host), records: records.to_vec(), written: 90, history, ..Found::default() }
}

/// A copy that this machine wrote of these IPs, the last of which it had registered at 90.
fn copy_of(records: &[Record]) -> LocalCopy {
    LocalCopy {
        deleted: Vec::new(),
        host: "h1".to_owned(),
        lease: Some(LEASE),
        records: records.iter().map(|it| Record { revision: 0, ..it.clone() }).collect(),
        cluster: CLUSTER,
        written: 90,
        history: HISTORY.to_owned(),
        instance: Some(machine(1)),
        drained_until: None,
        groups: Vec::new(),
        skipped: Vec::new(),
    }
}

fn written(revision: i64) -> store::Answer {
    store::Answer::Written(Ok(revision))
}
