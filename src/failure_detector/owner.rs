//! A host that owns IPs for which this host is a standby: what is known of it, and what that means.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::call::{self, Call, Finding};
use super::{Route, Step, Timing};
use crate::network::{Hearing, Liveness, Mac};
use crate::sorted::set_of;
use crate::vip::Slot;

/// Between two times that an owner is told that it was not heard for a while.
const HEARD_AGAIN: Duration = Duration::from_secs(10);

/// How long an owner may not have been heard at all before it is asked through etcd.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long it counts that another host has asked for the silent one.
const VOTE: Duration = Duration::from_secs(2);

/// A host that owns IPs for which this host is a standby.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) host: String,
    pub(super) ips: BTreeMap<Slot, Route>,
    /// The IP through which the owner is monitored.
    pub(super) monitored: Option<Slot>,
    sight: Sight,
    /// Since when it is doubted or silent, through whichever IP.
    doubted: Option<Instant>,
    /// Whether this host hears anybody there.
    pub(super) hears: bool,
    pub(super) call: Option<Call>,
    /// The hosts that miss it, too, and when they last said so.
    votes: Vec<Vote>,
    /// What was last said of its silence.
    said: Option<&'static str>,
    /// Since when it says that it has not got what this host has in its place.
    pub(super) without: Option<Instant>,
    /// When it was declared dead, and still has the locks.
    pub(super) dead: Option<Instant>,
    /// When it was last told that it is heard again.
    told: Option<Instant>,
}

/// Another host that asks everybody for the owner since this host has begun to doubt that it is there.
/// One question says nothing: a host asks everybody, too, that does not know the owner yet.
#[derive(Clone, Copy, Debug)]
struct Vote {
    mac: Mac,
    questions: u32,
    last: Instant,
}

/// What the network says of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It was not heard yet through the IP that is monitored, since then. What is told before is told of
    /// the owner before, by whose silence the IP may just have moved.
    Unheard(Instant),
    /// It is heard.
    Alive,
    /// It was heard, and has not answered the last question.
    Doubted,
    /// It is not heard any more.
    Silent {
        /// Since when.
        since: Instant,
        /// Neighbours are heard there.
        neighbours: bool,
    },
}

/// What is known of an owner, taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong, as far as is known.
    Lives,
    /// There may be something wrong: nothing is known until then, if there is such a time.
    Open(Option<Instant>),
    /// It is silent, and does not answer calls anyhow.
    Uncertain,
    /// It is dead: why.
    Dead(&'static str),
    /// It is as good as dead, by its own word.
    Isolated,
    /// It lives, and has not taken back what this host has in its place: it has booted.
    NotBack,
    /// It is silent here, and is not dead: why nothing moves.
    Stays(&'static str),
    /// It is silent, and so is etcd.
    Missed {
        /// The hardware addresses of the hosts that miss it, too.
        by: Vec<Mac>,
        /// Neighbours are heard there.
        neighbours: bool,
        /// Since when.
        since: Instant,
    },
}

impl Owner {
    pub(super) fn new(host: &str, now: Instant) -> Owner {
        Owner {
            host: host.to_owned(),
            ips: BTreeMap::new(),
            monitored: None,
            sight: Sight::Unheard(now),
            doubted: None,
            hears: false,
            call: None,
            votes: Vec::new(),
            said: None,
            without: None,
            dead: None,
            told: None,
        }
    }

    /// Monitors the owner through one of its IPs: through the same one as long as none is better.
    pub(super) fn monitor(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let best = self.ips.values().min().filter(|best| **best != Route::Taken);
        let is_best = |ip: &Slot| self.ips.get(ip).is_some_and(|route| Some(route) == best);
        let can_be_used = |ip: &Slot| self.ips.get(ip).is_some_and(|route| *route < Route::Down);
        let doubted = matches!(self.sight, Sight::Doubted | Sight::Silent { .. });
        let stays = |ip: &Slot| is_best(ip) || doubted && can_be_used(ip);
        let still = self.monitored.filter(stays);
        let best = still.or_else(|| self.ips.keys().copied().find(is_best));
        if best == self.monitored {
            return;
        }
        if let Some(before) = std::mem::replace(&mut self.monitored, best) {
            steps.push(Step::Monitor(before, false));
        }
        // What was heard was heard through the other IP.
        self.sight = Sight::Unheard(now);
        steps.extend(best.map(|ip| Step::Monitor(ip, true)));
    }

    /// An IP has another owner now, or is registered no more. Another standby may have found this owner dead a moment
    /// ago, and takes its IPs one after the other: a doubt goes on, and the answer in etcd decides. The network alone
    /// says nothing through an IP that the owner may have given away.
    pub(super) fn loses(&mut self, ip: Slot, alone: bool, now: Instant, steps: &mut Vec<Step>) {
        let doubted = match self.sight {
            Sight::Unheard(_) | Sight::Alive => None,
            Sight::Doubted => Some(now),
            Sight::Silent { since, .. } => Some(since),
        };
        let before = self.monitored;
        self.ips.remove(&ip);
        self.monitor(now, steps);
        if let Some(since) = doubted.filter(|_| self.call.is_some() && !alone)
            && self.monitored != before
        {
            self.sight = Sight::Silent { since, neighbours: false };
        }
    }

    /// It is no suspect, as far as is known.
    pub(super) fn forget(&mut self, now: Instant) {
        self.doubted = None;
        self.sight = match self.sight {
            Sight::Unheard(_) => Sight::Unheard(now),
            Sight::Alive | Sight::Doubted | Sight::Silent { .. } => Sight::Alive,
        };
    }

    /// Whether there is reason to ask more than the network; if that is not known yet, when it is.
    pub(super) fn doubted_at(&self, now: Instant) -> Option<Instant> {
        match self.sight {
            _ if self.has_heir() => Some(now),
            Sight::Alive => None,
            Sight::Unheard(since) => Some(since + UNHEARD),
            Sight::Doubted | Sight::Silent { .. } => Some(now),
        }
    }

    /// The IPs that this host has in its place.
    pub(super) fn taken(&self) -> impl Iterator<Item = Slot> {
        self.ips.iter().filter(|(_, route)| **route == Route::Taken).map(|(ip, _)| *ip)
    }

    /// This host has an IP in its place, and waits for a word of it.
    pub(super) fn has_heir(&self) -> bool {
        self.taken().next().is_some()
    }

    /// The IP about which it is asked.
    pub(super) fn asked(&self) -> Option<Slot> {
        self.taken().next().or(self.monitored)
    }

    /// The IPs that can be taken from it. Of an owner that is dead, and was never heard here, these are the ones
    /// that this host has: it may be heard by others, while its agent is started anew.
    pub(super) fn lost(&self, isolated: bool) -> BTreeSet<Slot> {
        let all = isolated || self.was_heard();
        if all { set_of(self.ips.keys().copied()) } else { set_of(self.taken()) }
    }

    /// It lives, and has what it was asked about.
    pub(super) fn serves(&self, timing: Timing, now: Instant) -> bool {
        let lives = matches!(self.verdict(timing, now), Verdict::Lives | Verdict::Stays(_));
        lives && self.call.is_some_and(|call| call.has_address())
    }

    /// A question that it has not answered in time is asked once more.
    pub(super) fn overdue(&self, timing: Timing, now: Instant) -> Option<Call> {
        let counts = self.was_heard() || self.has_heir();
        self.call.filter(|call| counts && call.finding(timing, now) == Finding::Overdue)
    }

    pub(super) fn was_heard(&self) -> bool {
        !matches!(self.sight, Sight::Unheard(_))
    }

    /// Whether it is heard, if it was ever.
    pub(super) fn is_heard_now(&self) -> Option<bool> {
        match self.sight {
            Sight::Unheard(_) => None,
            Sight::Alive | Sight::Doubted => Some(true),
            Sight::Silent { .. } => Some(false),
        }
    }

    /// Since when it is doubted or silent, if it is.
    pub(super) fn doubted_since(&self) -> Option<Instant> {
        self.doubted
    }

    /// Since when it does not answer, on the network or in etcd, as far as is known.
    pub(super) fn is_away_since(&self) -> Option<Instant> {
        let answers = self.call.is_some_and(|call| call.is_answered()) || self.said.is_some();
        self.silent_since().filter(|_| !answers)
    }

    fn silent_since(&self) -> Option<Instant> {
        match self.sight {
            Sight::Silent { since, .. } => Some(since),
            Sight::Unheard(_) | Sight::Alive | Sight::Doubted => None,
        }
    }

    /// For how long it is to listen if it is called now.
    pub(super) fn listens(&self, timing: Timing, now: Instant) -> Duration {
        let silent = match self.sight {
            Sight::Unheard(_) => None,
            Sight::Alive | Sight::Doubted => Some(Duration::ZERO),
            Sight::Silent { since, .. } => Some(now.saturating_duration_since(since)),
        };
        call::listens(timing, silent)
    }

    /// Takes note of what the network says; what is to be said at once.
    pub(super) fn heard(&mut self, liveness: Liveness, now: Instant) -> Vec<Step> {
        let since = self.silent_since().unwrap_or(now);
        if liveness != Liveness::Alive && self.was_heard() {
            self.doubted.get_or_insert(now);
        }
        if self.sight == Sight::Alive {
            self.votes.clear();
        }
        self.sight = match (liveness, self.sight) {
            (Liveness::Alive, _) => return self.is_heard(now),
            (_, unheard @ Sight::Unheard(_)) => unheard,
            (Liveness::Doubted, Sight::Alive | Sight::Doubted) => Sight::Doubted,
            (Liveness::Doubted, silent @ Sight::Silent { .. }) => silent,
            (Liveness::Suspect, _) => Sight::Silent { since, neighbours: false },
            (Liveness::Dead, _) => Sight::Silent { since, neighbours: true },
        };
        Vec::new()
    }

    fn is_heard(&mut self, now: Instant) -> Vec<Step> {
        let silent = self.silent_since().is_some();
        (self.sight, self.doubted) = (Sight::Alive, None);
        let mut steps = Vec::new();
        if self.said.take().is_some() {
            steps.push(Step::Log(format!("host {} is heard on the network again", self.host)));
        }
        if silent && self.told.is_none_or(|told| now >= told + HEARD_AGAIN) {
            self.told = Some(now);
            steps.push(Step::HeardAgain(set_of(self.ips.keys().copied())));
        }
        steps
    }

    /// Another host misses it, too.
    pub(super) fn is_missed_by(&mut self, mac: Mac, now: Instant) {
        self.votes.retain(|vote| now < vote.last + VOTE);
        match self.votes.iter_mut().find(|vote| vote.mac == mac) {
            Some(vote) => (vote.questions, vote.last) = (vote.questions + 1, now),
            None => self.votes.push(Vote { mac, questions: 1, last: now }),
        }
    }

    /// What all that is known means.
    pub(super) fn verdict(&self, timing: Timing, now: Instant) -> Verdict {
        let (since, neighbours) = match self.sight {
            Sight::Unheard(_) => return self.verdict_unheard(timing, now),
            Sight::Alive => return Verdict::Lives,
            Sight::Doubted => return Verdict::Open(None),
            Sight::Silent { since, neighbours } => (since, neighbours),
        };
        let by: Vec<Mac> = self.voters(now).collect();
        let others = neighbours || !by.is_empty();
        let finding = self.call.as_ref().map(|call| call.finding(timing, now));
        // What it says itself counts first: it holds nobody down.
        if others && finding == Some(Finding::Answers(Hearing::Nobody)) {
            return Verdict::Isolated;
        }
        if timing.alone && neighbours {
            return Verdict::Dead("is dead: silent on the network, where others are heard");
        }
        let Some(finding) = finding else { return Verdict::Uncertain };
        match finding {
            Finding::Open(until) => Verdict::Open(Some(until)),
            // It cannot be asked any more.
            Finding::Overdue => Verdict::Uncertain,
            Finding::NoAnswer => {
                Verdict::Dead("is dead: silent on the network, and does not answer in etcd")
            }
            Finding::EtcdIsSilent => Verdict::Missed { by, neighbours, since },
            Finding::Answers(Hearing::Others) => Verdict::Stays(
                "is not heard on the network, but answers in etcd and hears others there: this host is deaf, or the network works in one direction only",
            ),
            Finding::Answers(Hearing::Nobody) => Verdict::Stays(
                "is not heard on the network, but answers in etcd: nobody hears anybody there",
            ),
            Finding::Answers(Hearing::Unknown) => {
                Verdict::Stays("is not heard on the network, but answers in etcd")
            }
        }
    }

    /// What it has not got counts only as long as this host has that in its place.
    pub(super) fn forget_without_heir(&mut self) {
        if !self.has_heir() {
            self.without = None;
        }
    }

    /// Takes note of its answer.
    pub(super) fn has_answered(&mut self, now: Instant) {
        let without = self.has_heir() && self.call.is_some_and(|call| call.lacks_address());
        self.without = without.then(|| self.without.unwrap_or(now));
    }

    /// The hosts that have asked everybody for it lately.
    fn voters(&self, now: Instant) -> impl Iterator<Item = Mac> {
        let counts = move |vote: &&Vote| vote.questions > 1 && now < vote.last + VOTE;
        self.votes.iter().filter(counts).map(|vote| vote.mac)
    }

    /// It was never heard here: another host may be heard, and need not be. It is in the wrong network if
    /// it hears nobody where this host hears somebody.
    fn verdict_unheard(&self, timing: Timing, now: Instant) -> Verdict {
        let finding = self.call.as_ref().map(|call| call.finding(timing, now));
        match finding {
            Some(Finding::Answers(Hearing::Nobody)) if self.hears => Verdict::Isolated,
            Some(Finding::Open(until)) => Verdict::Open(Some(until)),
            Some(Finding::NoAnswer) if self.has_heir() => {
                Verdict::Dead("is dead: it has not come back, and does not answer in etcd")
            }
            Some(
                Finding::Answers(_) | Finding::Overdue | Finding::NoAnswer | Finding::EtcdIsSilent,
            )
            | None => Verdict::Lives,
        }
    }

    /// What is said of it, once for the same thing.
    pub(super) fn say(&mut self, what: &'static str) -> Option<Step> {
        let new = self.said.replace(what) != Some(what);
        new.then(|| Step::Log(format!("host {} {what}", self.host)))
    }

    /// When to ask it again through etcd, if it stays as silent as it is.
    pub(super) fn again_at(&self) -> Option<Instant> {
        let call = self.call.as_ref()?;
        match self.sight {
            Sight::Silent { since, .. } | Sight::Unheard(since) => Some(call.again_at(since)),
            Sight::Alive | Sight::Doubted => self.has_heir().then(|| call.again_soon()),
        }
    }
}
