//! The trace of one election, and the model that does the same.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use link::election::core::Core;
use link::election::driver::Driver;
use link::election::message::{Action, Input};
use link::election::trace::{Begin, Step, fingerprint};
use link::fsm::State;
use link::lock::{LockAnswer, Request};

use super::TOLD;

/// An election that is done again.
pub(super) struct Replayed {
    begin: Begin,
    driver: Driver,
    /// The moment from which its times are counted.
    base: Instant,
    last: u64,
    /// The request to etcd that is under way.
    asked: Option<Request>,
    /// The last steps, oldest first.
    story: VecDeque<(State, Step)>,
}

impl Replayed {
    pub(super) fn new(begin: Begin) -> Replayed {
        let base = Instant::now();
        let now = base + Duration::from_nanos(begin.at);
        let driver = Driver::new(Core::new(begin.config.clone()), now);
        let last = begin.at;
        Replayed { begin, driver, base, last, asked: None, story: VecDeque::new() }
    }

    /// What its lock is named by.
    pub(super) fn key(&self) -> &str {
        &self.begin.key
    }

    /// The last steps, oldest first, the last of them the one that was refused: each with the time since the
    /// beginning, and the state before it.
    pub(super) fn story(&self) -> String {
        let steps = self.story.iter().map(|(state, step)| {
            let since = Duration::from_nanos(step.at.saturating_sub(self.begin.at));
            format!("  {since:?}, {state}: {:?} -> {:?}\n", step.input, step.actions)
        });
        steps.collect()
    }

    /// Does a step, or tells why the model does not do it.
    pub(super) fn take(&mut self, step: &Step) -> Result<(), String> {
        self.tell(step);
        if step.at < self.last {
            return Err("it is earlier than the step before it".to_owned());
        }
        self.last = step.at;
        let now = self.base + Duration::from_nanos(step.at);
        if let Some(answer @ (Input::Answered(_) | Input::Unanswered)) = &step.input {
            let Some(request) = self.asked.take() else {
                return Err("it is the answer to a request that is not under way".to_owned());
            };
            if !fits(&request, answer, &self.begin.config.host) {
                return Err(format!("it is no answer to {request:?}"));
            }
        }
        if matches!(step.input, Some(Input::Timer(_))) {
            return Err("nobody but the driver knows when a timer is due".to_owned());
        }
        let actions = match &step.input {
            Some(input) => self.driver.handle(input.clone(), now),
            None => self.driver.wake(now),
        };
        if actions != step.actions {
            return Err(format!("the model answers {actions:?}"));
        }
        for action in &actions {
            let Action::Ask(request) = action else { continue };
            if self.asked.replace(request.clone()).is_some() {
                return Err("it asks though a request is under way".to_owned());
            }
        }
        let due = self.driver.deadline().map(|due| due.duration_since(self.base).as_nanos());
        if due != step.deadline.map(u128::from) {
            return Err(format!("the next timer of the model is due at {due:?}"));
        }
        if fingerprint(self.driver.core()) != step.core {
            return Err(format!("the model is another afterwards: {:?}", self.driver.core()));
        }
        Ok(())
    }

    fn tell(&mut self, step: &Step) {
        if self.story.len() > TOLD {
            self.story.pop_front();
        }
        self.story.push_back((self.driver.core().state(), step.clone()));
    }
}

/// Whether etcd can answer the request of that host like this.
fn fits(request: &Request, answer: &Input, host: &str) -> bool {
    let Input::Answered(LockAnswer { lock, succeeded, others, own }) = answer else { return true };
    let holder = lock.holder.as_ref();
    let written = |host: &str, lease| {
        holder.is_some_and(|it| {
            (it.host.as_str(), it.lease, it.written) == (host, lease, lock.revision)
        })
    };
    let (reads, holds) = match request {
        Request::ReadLock { .. } => (false, true),
        Request::Acknowledge { .. } => {
            (false, !succeeded || holder.is_some_and(|it| it.written == lock.revision))
        }
        Request::ReadCandidates { .. } | Request::Advertise { .. } => (true, true),
        Request::Resign { .. } => (true, !succeeded || holder.is_none()),
        Request::Transfer { to, .. } => (!succeeded, !succeeded || written(&to.host, to.lease)),
        Request::Campaign { lease, .. }
        | Request::ReacquireUnavailable { lease }
        | Request::TakeOver { lease, .. }
        | Request::Preempt { lease, .. } => (!succeeded, !succeeded || written(host, *lease)),
    };
    holds && others.is_some() == reads && (own.is_none() || request.advertisement().is_some())
}
