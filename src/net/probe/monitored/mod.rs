//! Which hosts are monitored, when they are asked, and what their answers and their silence mean.
//!
//! Pure: time comes in as an argument. A host is known by an address that it has. It is asked for that
//! at its hardware address, once in an interval, and at another pace once it has not answered; until that
//! address is known, all hosts are asked, once a second. Silence is a number of questions in a row that
//! are not answered, and some time after the last of them. From the second of them on, everybody is
//! asked: the others hear that this host misses the owner, too. A host that has been silent for a while
//! is asked once a second.
//!
//! Frames get lost. Until a question is answered, or silence is told, it is *repeated* at short intervals to that
//! one host: a network that pauses for almost as long as silence lasts, and loses a frame before or after that, does
//! not make a host silent.
//!
//! Only what was asked in time counts: a host that sends a question late, or looks for the answer late,
//! has missed something itself and declares nobody dead.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use crate::net::bucket::Bucket;
use crate::net::codec::ethernet::Mac;
use crate::net::codec::heard::Kind;
use crate::network::Liveness;
use crate::vip::Cidr;

/// Between two questions to all hosts, as long as it is not known whom to ask; and how long nobody is
/// asked where nobody can be heard.
const GAP: Duration = Duration::from_secs(1);

/// How long a silent host is asked as often as before: the others may be about to find it silent, too.
const EAGERLY: Duration = Duration::from_secs(5);

/// Frames per second and at once: twenty hosts at the shortest interval, 1 Mbit/s. Beyond that
/// questions are late, and do not count.
const RATE: (u32, u32) = (2000, 50);

/// So often a question is asked, the first time included, until the next one is due; but no sooner after one another
/// than that.
const REPEATS: u32 = 8;
const REPEAT_GAP: Duration = Duration::from_millis(5);

/// In so many parts an interval is divided to choose where in it a host is asked.
const PARTS: u32 = 1000;

/// How the host that has an address is monitored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorTiming {
    /// Between two questions, as long as it answers; 10 ms at least.
    pub interval: Duration,
    /// Between two questions, once one was not answered; no longer than that.
    pub doubt: Duration,
    /// How many in a row are not answered when the host is silent, 1 to 199.
    pub count: u32,
    /// `CRASH_DETECTION=fast`: the network alone is to tell.
    pub alone: bool,
}

impl MonitorTiming {
    /// How long the last answer is waited for: not as long as between two questions, for an answer takes
    /// less than a millisecond on an idle network.
    pub fn patience(self) -> Duration {
        self.doubt / 2
    }

    /// How long after its last answer a host is silent, at the latest.
    pub fn silence(self) -> Duration {
        self.interval + self.doubt * self.count.saturating_sub(1) + self.patience()
    }

    /// Until a question is repeated that was not answered, if there is time for that.
    fn repeat(self) -> Option<Duration> {
        Some((self.doubt / REPEATS).max(REPEAT_GAP)).filter(|gap| *gap < self.doubt)
    }
}

/// The hosts that are monitored. They are few, so all are looked through.
#[derive(Debug)]
pub(super) struct Monitored {
    hosts: BTreeMap<Cidr, MonitoredHost>,
    jitter: RandomState,
    bucket: Bucket,
}

/// How far the monitoring of one host has come.
#[derive(Debug)]
struct MonitoredHost {
    timing: MonitorTiming,
    /// How long it is waited before the first question, so that many hosts do not ask together.
    phase: Duration,
    /// When it was asked last.
    asked: Option<Instant>,
    /// When to ask next.
    due: Instant,
    /// When to repeat the last question, if it is not answered until then.
    repeat: Option<Instant>,
    /// How many questions in a row were not answered, as far as they count.
    unanswered: u32,
    /// When it is silence, if nobody answers until then.
    silent_at: Option<Instant>,
    /// Who said last that he has the address; nobody, since it was started afresh.
    owner: Option<Mac>,
    told: Option<Liveness>,
    /// Since when that was told, if that is silence.
    silent_since: Option<Instant>,
}

impl Monitored {
    /// Nobody is monitored yet. `jitter` spreads the questions.
    pub(super) fn new(jitter: RandomState) -> Monitored {
        Monitored { hosts: BTreeMap::new(), jitter, bucket: Bucket::new(RATE.0, RATE.1) }
    }

    /// Monitors the host that has an address from now on, or monitors it at another pace.
    pub(super) fn start(&mut self, cidr: Cidr, timing: MonitorTiming, now: Instant) {
        let phase = phase(timing.interval, self.jitter.hash_one(cidr));
        match self.hosts.entry(cidr) {
            Entry::Vacant(place) => {
                place.insert(MonitoredHost::new(timing, phase, now));
            }
            Entry::Occupied(mut place) => place.get_mut().change(timing, phase, now),
        }
    }

    /// Monitors it no more.
    pub(super) fn stop(&mut self, cidr: Cidr) {
        self.hosts.remove(&cidr);
    }

    /// Starts afresh with a host that is monitored: whoever has the address now has to be heard before
    /// his silence means anything.
    pub(super) fn restart(&mut self, cidr: Cidr, now: Instant) {
        if let Some(host) = self.hosts.get_mut(&cidr) {
            host.restart(now);
        }
    }

    /// Who had an address when he was last heard, and how he is monitored.
    pub(super) fn owner(&self, cidr: Cidr) -> Option<(Mac, MonitorTiming)> {
        let host = self.hosts.get(&cidr)?;
        Some((host.owner?, host.timing))
    }

    /// Whether its host is silent, as was told.
    pub(super) fn is_silent(&self, cidr: Cidr) -> bool {
        self.hosts.get(&cidr).is_some_and(|host| host.told == Some(Liveness::Suspect))
    }

    /// Whether its host is silent, or has not answered a question after which another has left.
    pub(super) fn is_doubted(&self, cidr: Cidr) -> bool {
        let doubted = |host: &MonitoredHost| host.told == Some(Liveness::Doubted) && host.misses();
        self.is_silent(cidr) || self.hosts.get(&cidr).is_some_and(doubted)
    }

    /// The question that was due has left. Whether its host is doubted from now on.
    pub(super) fn doubt(&mut self, cidr: Cidr) -> bool {
        let present = |host: &&mut MonitoredHost| host.told == Some(Liveness::Alive);
        match self.hosts.get_mut(&cidr).filter(present) {
            Some(host) if host.misses() => {
                host.told = Some(Liveness::Doubted);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Starts afresh with all of them.
    pub(super) fn restart_all(&mut self, now: Instant) {
        self.hosts.values_mut().for_each(|host| host.restart(now));
    }

    /// Nobody can be heard at the moment: starts afresh in a while.
    pub(super) fn suspend(&mut self, cidr: Cidr, now: Instant) {
        self.restart(cidr, now + GAP);
    }

    /// The last question did not leave: counts anew.
    pub(super) fn recount(&mut self, cidr: Cidr) {
        if let Some(host) = self.hosts.get_mut(&cidr) {
            host.recount();
        }
    }

    /// Answers may have been lost: counts anew with all of them.
    pub(super) fn recount_all(&mut self) {
        self.hosts.values_mut().for_each(MonitoredHost::recount);
    }

    /// The address for which to ask now, if one is due and the limit allows it, and whom; all, if that
    /// is not known. It counts as asked.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Cidr, Option<Mac>)> {
        let due = self.hosts.iter_mut().filter(|(_, host)| host.due <= now);
        let (cidr, host) = due.min_by_key(|(_, host)| host.due)?;
        self.bucket.take(1, now).ok()?;
        Some((*cidr, host.ask(now)))
    }

    /// The address for which to repeat the last question now, and whom to ask. A repetition leaves room for the
    /// questions that count: beyond that it is left out.
    pub(super) fn pop_repeat(&mut self, now: Instant) -> Option<(Cidr, Mac)> {
        let reserve = RATE.1 / 2;
        for (cidr, host) in &mut self.hosts {
            let Some(owner) = host.owner.filter(|_| host.repeat.is_some_and(|at| at <= now)) else {
                continue;
            };
            host.repeat = host.next_repeat(now);
            if self.bucket.ready_at(reserve, now) <= now && self.bucket.take(1, now).is_ok() {
                return Some((*cidr, owner));
            }
        }
        None
    }

    /// Whether there will be silence if nobody has answered until now.
    pub(super) fn is_silence_due(&self, now: Instant) -> bool {
        self.hosts.values().any(|host| host.silent_at.is_some_and(|at| at <= now))
    }

    /// The addresses of hosts that are silent now, each with what is new of it. All that has come until
    /// `now` must have been heard. Where nobody `can_be_heard`, nobody is silent.
    pub(super) fn take_silent(
        &mut self,
        now: Instant,
        can_be_heard: impl Fn(Cidr) -> bool,
    ) -> Vec<(Cidr, Liveness)> {
        let mut silent = Vec::new();
        for (cidr, host) in &mut self.hosts {
            let Some(at) = host.silent_at.filter(|at| *at <= now) else {
                continue;
            };
            if !can_be_heard(*cidr) {
                host.restart(now + GAP);
            } else if host.is_late(at, now) {
                host.recount();
            } else {
                (host.silent_at, host.repeat, host.silent_since) = (None, None, Some(now));
                // It is silent after a single question.
                if host.told.replace(Liveness::Suspect) == Some(Liveness::Alive) {
                    silent.push((*cidr, Liveness::Doubted));
                }
                silent.push((*cidr, Liveness::Suspect));
            }
        }
        silent
    }

    /// Takes note of what another host says; what that tells of the owner, if it is new.
    pub(super) fn heard(
        &mut self,
        cidr: Cidr,
        kind: Kind,
        mac: Mac,
        now: Instant,
    ) -> Option<Liveness> {
        match kind {
            Kind::Claim => self.hosts.get_mut(&cidr)?.answered(mac, now),
            Kind::Probe | Kind::Sign => None,
        }
    }

    /// When there is something to do next, if nothing changes until then.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let hosts = self.hosts.values();
        let ask = hosts.clone().map(|host| host.due).min();
        let ask = ask.map(|due| self.bucket.ready_at(1, now).max(due));
        hosts.flat_map(|host| [host.silent_at, host.repeat]).flatten().chain(ask).min()
    }
}

impl MonitoredHost {
    fn new(timing: MonitorTiming, phase: Duration, now: Instant) -> MonitoredHost {
        MonitoredHost {
            timing,
            phase,
            asked: None,
            due: now + phase,
            repeat: None,
            unanswered: 0,
            silent_at: None,
            owner: None,
            told: None,
            silent_since: None,
        }
    }

    fn change(&mut self, timing: MonitorTiming, phase: Duration, now: Instant) {
        if timing != self.timing {
            (self.timing, self.phase) = (timing, phase);
            self.due = self.due.min(now + phase);
            self.recount();
        }
    }

    /// What was told stays told.
    fn restart(&mut self, now: Instant) {
        self.owner = None;
        self.due = now + self.phase;
        self.recount();
    }

    fn recount(&mut self) {
        self.unanswered = 0;
        (self.silent_at, self.repeat) = (None, None);
    }

    /// Between two questions, as long as they are not answered.
    fn gap(&self, now: Instant) -> Duration {
        let Some(_) = self.owner else { return GAP };
        match self.silent_since {
            Some(since) if now >= since + EAGERLY => self.timing.doubt.max(GAP),
            Some(_) | None => self.timing.doubt,
        }
    }

    /// Whether it is so late that answers may be missing for the same reason.
    fn is_late(&self, due: Instant, now: Instant) -> bool {
        now.saturating_duration_since(due) > self.gap(now) / 2
    }

    /// Whether the owner, who is known, has not answered the last question but one.
    fn misses(&self) -> bool {
        self.unanswered > 1 && self.owner.is_some()
    }

    /// Whom to ask. Who has not answered may have got another hardware address, and what he said of that
    /// may have been lost.
    fn ask(&mut self, now: Instant) -> Option<Mac> {
        // The gaps do not grow by what each question is late.
        let mut asked = self.due;
        if self.is_late(self.due, now) {
            asked = now;
            self.recount();
        }
        self.asked = Some(asked);
        self.due = asked + self.gap(now);
        self.unanswered = self.unanswered.saturating_add(1);
        let silent = self.told == Some(Liveness::Suspect);
        let is_last = self.unanswered == self.timing.count;
        if is_last && self.owner.is_some() && self.told.is_some() && !silent {
            self.silent_at = Some(now + self.timing.patience());
        }
        self.repeat = self.next_repeat(now);
        let for_all = (silent || self.misses()) && self.timing.count > 1;
        self.owner.filter(|_| !for_all)
    }

    /// When to repeat the last question, before something else is to be done.
    fn next_repeat(&self, now: Instant) -> Option<Instant> {
        let repeat = now + self.timing.repeat()?;
        let counts = self.owner.is_some() && self.told != Some(Liveness::Suspect);
        Some(repeat).filter(|at| counts && *at < self.silent_at.unwrap_or(self.due))
    }

    fn answered(&mut self, mac: Mac, now: Instant) -> Option<Liveness> {
        self.recount();
        if self.owner.replace(mac).is_none() {
            self.due = self.due.min(now + self.phase);
        } else if let Some(asked) = self.asked {
            self.due = asked + self.timing.interval;
        }
        self.silent_since = None;
        let new = self.told.replace(Liveness::Alive) != Some(Liveness::Alive);
        new.then_some(Liveness::Alive)
    }
}

fn phase(interval: Duration, random: u64) -> Duration {
    let part = u32::try_from(random % u64::from(PARTS)).unwrap_or(0);
    interval / PARTS * part
}

#[cfg(test)]
mod tests;
