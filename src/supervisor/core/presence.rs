//! What other hosts find of this agent in etcd: that it answers calls (`call`), and its own calls.
//!
//! The presence of the agent is on its lease, and written with each new one. It is written again, as it is, when
//! this host has become a candidate for an IP or is none any more, or is available no longer or again, once a second
//! at most: its revision tells others when to read the candidates again. So it is when this host hears nobody any
//! more where it owns an IP: a host that misses it, and has asked it long ago, asks it again.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use log::Level;

use super::stop::Life;
use super::table::Vip;
use super::{Action, Core, Failure, Order, Outcome, Timer};
use crate::call;
use crate::call::{Purpose, Question};
use crate::failure_detector::CallNews;
use crate::fsm::State;
use crate::history::Kind;
use crate::lock::Lease;
use crate::policy::LossPolicy;
use crate::store::{self, At, Request};
use crate::vip::Slot;

/// Between two times that the presence is written, and the same when etcd refuses it.
const PAUSE: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_secs(10);

/// How long after a candidacy has come or gone the candidates are read again.
const SETTLED: Duration = Duration::from_secs(3);

/// How often etcd has refused it when that is said: what else it refuses meanwhile is said at once.
const SAID_AT: u32 = 4;

/// How long a host is remembered that has gone, and how many of these are.
const REMEMBERED: Duration = Duration::from_secs(3600);
const MOST_GONE: usize = 100;

/// What is known of the keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    /// The lease on which etcd has the presence, and the revision at which it was written.
    written: Option<(i64, i64)>,
    /// Candidacies have changed since it was written, or what is heard.
    outdated: bool,
    /// It was asked for lately.
    pauses: bool,
    /// The candidates are to be read again in a while.
    candidates_due: bool,
    /// So many times in a row etcd has refused it.
    refused: u32,
    /// The hosts that are called.
    called: BTreeSet<String>,
    /// The other hosts whose agents are there.
    agents: BTreeSet<String>,
    /// Hosts whose agents have gone, and when; the last one last.
    gone: VecDeque<(String, Instant)>,
}

impl Presence {
    /// There is another lease, which has nothing to do with what became of it on the one before.
    pub(super) fn begin(&mut self) {
        self.pauses = false;
        self.refused = 0;
    }

    /// Candidacies of this host have come or gone, or it hears nobody any more.
    pub(super) fn outdate(&mut self) {
        self.outdated = true;
    }

    /// The agent of another host is there, or has gone.
    fn seen(&mut self, host: &str, is_there: bool, now: Instant) {
        self.gone.retain(|(other, at)| other != host && now.duration_since(*at) < REMEMBERED);
        if is_there {
            self.agents.insert(host.to_owned());
        } else if self.agents.remove(host) {
            if self.gone.len() >= MOST_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back((host.to_owned(), now));
        }
    }

    /// The other hosts whose agents are there, as last heard, by name.
    pub(super) fn agents(&self) -> Vec<String> {
        self.agents.iter().cloned().collect()
    }

    /// Hosts whose agents have gone within an hour, and how many seconds ago.
    pub(super) fn gone(&self) -> Vec<(String, u64)> {
        let ages = self.gone.iter().map(|(host, at)| (host.clone(), at.elapsed()));
        ages.filter(|(_, age)| *age < REMEMBERED).map(|(host, age)| (host, age.as_secs())).collect()
    }

    /// Whether etcd has it on this lease, as far as is known.
    pub(super) fn is_on(&self, lease: i64) -> bool {
        self.written.is_some_and(|(on, _)| on == lease)
    }
}

impl Core {
    /// Writes the presence, if it is time to.
    pub(super) fn write_presence(&mut self) {
        let Lease::Held(lease) = self.lease.told else { return };
        let presence = &mut self.lease.presence;
        let is_due = presence.outdated || !presence.is_on(lease);
        if self.life == Life::Running && is_due && !presence.pauses {
            presence.pauses = true;
            presence.outdated = false;
            self.arm(Timer::Presence, PAUSE);
            let (started, drained) = (self.config.started, self.is_drained());
            self.ask(Request::WritePresence { lease, started, drained });
        }
    }

    pub(super) fn may_write_presence_again(&mut self) {
        self.lease.presence.pauses = false;
    }

    pub(super) fn on_presence_written(
        &mut self,
        lease: i64,
        result: Result<(store::Answer, At), Failure>,
    ) {
        let presence = &mut self.lease.presence;
        let failure = match result {
            Ok((_, at)) => {
                presence.written = Some((lease, at.revision));
                presence.refused = 0;
                return;
            }
            Err(failure) => failure,
        };
        presence.outdated = true;
        if failure.outcome != Outcome::Refused {
            return;
        }
        // The first time the lease may have ended, which will be heard of.
        presence.refused += 1;
        if presence.refused >= 2 {
            presence.pauses = true;
            let first = presence.refused == SAID_AT;
            self.arm(Timer::Presence, REFUSED);
            if first {
                let what = "etcd refuses to show that this host answers calls";
                self.happened(Level::Warn, Kind::Refused.of(what).because(failure.why));
            }
        }
    }

    /// What etcd has of an agent has changed.
    pub(super) fn on_agent(&mut self, host: String, lease: i64, revision: i64, now: Instant) {
        if host != self.config.host {
            self.lease.presence.seen(&host, lease != 0, now);
            self.candidates_may_have_come();
            let steps = self.detector.agent(host, lease, revision, now);
            self.follow(steps, now);
            return self.plan_detection(now);
        }
        // What was before the last write is old.
        let written = self.lease.presence.written;
        if written.is_some_and(|(on, since)| on != lease && since < revision) {
            self.presence_is_missing();
        }
    }

    /// Other hosts may have become candidates: that is looked at when they are done with it, and not by all
    /// hosts at the same moment. What comes meanwhile does not put it off: it may come on and on.
    fn candidates_may_have_come(&mut self) {
        if std::mem::replace(&mut self.lease.presence.candidates_due, true) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        self.config.host.hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
        self.arm(Timer::Candidates, SETTLED + SETTLED * share / 1000);
    }

    /// Has all elections that may need the candidates read them again. To wake the others, thousands perhaps,
    /// is no use.
    pub(super) fn read_candidates(&mut self) {
        self.lease.presence.candidates_due = false;
        for slot in self.table.slots() {
            let needed = self.table.get(slot).is_some_and(|vip| match vip.status.state {
                State::Standby => true,
                State::Activated => {
                    let waits = vip.status.awaited.is_some();
                    waits || self.tells_strangers(vip) || !vip.status.hears_others
                }
                State::Failing => false,
            });
            if needed {
                self.tell(slot, Order::CandidatesOutdated);
            }
        }
    }

    /// Whether an owner without etcd has to know who the other hosts are.
    pub(super) fn tells_strangers(&self, vip: &Vip) -> bool {
        vip.record.loss.unwrap_or(self.config.defaults.loss) == LossPolicy::Probe
    }

    /// Has the presence written again that was written and is not there any more.
    pub(super) fn presence_is_missing(&mut self) {
        self.lease.presence.written = None;
        if matches!(self.lease.told, Lease::Held(_)) && self.life == Life::Running {
            let key = call::presence_key(&self.config.host);
            self.warn_of(Kind::Trouble, "keys in etcd were missing, and are written again", &[key]);
        }
    }

    /// Calls the owner of an IP. Without a lease etcd is silent anyway.
    pub(super) fn call(&mut self, host: String, ip: Slot, number: u64, within: Duration) {
        let cidr = self.table.get(ip).map(|vip| vip.record.cidr);
        if let (Lease::Held(lease), Some(cidr)) = (self.lease.told, cidr) {
            self.lease.presence.called.insert(host.clone());
            let question = Question { cidr, number, within };
            let purpose = Purpose::Detection;
            self.out.push(Action::Call { host, purpose, lease, question });
        }
    }

    pub(super) fn end_call(&mut self, host: String) {
        if self.lease.presence.called.remove(&host) {
            self.out.push(Action::EndCall(host, Purpose::Detection));
        }
    }

    pub(super) fn on_call(
        &mut self,
        (host, purpose): (&str, Purpose),
        number: u64,
        news: CallNews,
        now: Instant,
    ) {
        if purpose == Purpose::Fence {
            return self.fence_is_answered(host, number, news, now);
        }
        let steps = self.detector.call_news(host, number, news, now);
        self.follow(steps, now);
        self.plan_detection(now);
    }

    /// Whether a key on the own lease is what a former life of this agent has left of its calls.
    pub(super) fn is_left_of_calls(&self, key: &str) -> bool {
        let host = &self.config.host;
        let mut called = self.lease.presence.called.iter();
        key.starts_with(call::PREFIX)
            && key != call::presence_key(host)
            && !called.any(|it| key == call::call_key(it, host, Purpose::Detection))
            && !self.is_call_for_fence(key)
    }
}
