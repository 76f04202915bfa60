//! Whether an owner of IPs is dead, or cut off from those who need it: what the network and etcd say
//! of it together.
//!
//! Pure: no clock, no channel, no I/O. A standby monitors the hosts that own its IPs, each through one
//! of them. A host that has not answered a question is *called*: it is asked through etcd, too (`call`),
//! what it hears on that network. Silence on the network and the answer in etcd together tell
//!
//! | in etcd | then |
//! |---|---|
//! | no answer, though etcd shows the question | dead |
//! | an answer: it hears nobody, and this host hears somebody | isolated: as good as dead |
//! | an answer: it hears others, or nobody hears anybody | nothing moves |
//! | etcd does not show the question | it is *missed*: the elections count who else misses it |
//!
//! A host that took IPs while it had lost etcd calls their owner when etcd is back, whatever the network says: the
//! owner is back, too, and has them, or it has booted without them, or it is dead (`death`).
//!
//! Only agents that say so in etcd answer calls. A host without such an agent is found dead by the end
//! of its lease. Where the network alone is to tell, a silent host is dead where others are heard.

mod call;
mod death;
mod look;
mod owner;
mod words;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use self::call::Call;
pub use self::call::CallNews;
use self::death::{DECLARED, Death};
use self::owner::{Owner, Verdict};
pub use self::words::{Route, Step, Timing};
use crate::few::Few;
use crate::network::{Liveness, Mac, Missed};
use crate::sorted::set_of;
use crate::vip::Slot;

/// How long an owner that has come back has to take back what this host has in its place. With the address on its
/// interface it does so at once; without, it has booted, and asks the network first.
const COMES_BACK: Duration = Duration::from_secs(2);

/// For so many intervals another host has its turn to take the IPs of a missed one, and then the next.
const TURNS: u32 = 10;

const ISOLATED: &str = "is isolated: silent on the network, where it hears nobody itself";

const NOT_BACK: &str = "is back without its IPs";

/// What is known of the owners.
#[derive(Clone, Debug)]
pub struct FailureDetector {
    timing: Timing,
    owners: Few<i64, Owner>,
    awaited: HashMap<Slot, i64>,
    agents: Few<String, Agent>,
    deaths: HashMap<String, Death>,
    /// Hosts that did not answer when they lost their last IP, and have said nothing in etcd since.
    away: Vec<(String, Instant)>,
    /// What was last said of owners that are missed.
    missed: Option<Missed>,
    /// When there is something to do without being told.
    due: Few<i64, Instant>,
    calls: u64,
    /// IPs that are registered no more, which was not seen to yet.
    gone: Vec<Slot>,
}

/// An agent that answers calls.
#[derive(Clone, Copy, Debug)]
struct Agent {
    lease: i64,
    /// Since when it has that.
    since: Instant,
    /// The revision of etcd at which it has last said something: see [`crate::call`].
    revision: i64,
}

impl FailureDetector {
    /// Nobody is known yet.
    pub fn new(timing: Timing) -> FailureDetector {
        FailureDetector {
            timing,
            owners: Few::default(),
            awaited: HashMap::new(),
            agents: Few::default(),
            deaths: HashMap::new(),
            away: Vec::new(),
            missed: None,
            due: Few::default(),
            calls: 0,
            gone: Vec::new(),
        }
    }

    /// Takes note of the host and the lease on which an IP waits, and of how its owner can be monitored
    /// through it; of no owner if the IP does not wait.
    pub fn awaits(
        &mut self,
        ip: Slot,
        route: Route,
        owner: Option<(&str, i64)>,
        now: Instant,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let lease = owner.map(|(_, lease)| lease);
        if self.awaited.get(&ip).copied() != lease {
            self.awaits_no_more(ip, now, &mut steps);
        }
        if let Some((host, lease)) = owner {
            // It is back with another lease, and owns the IP anew: it has acknowledged whoever took it.
            if let Some(death) = self.deaths.get_mut(host).filter(|death| death.lease != lease) {
                death.ips.remove(&ip);
            }
            self.awaited.insert(ip, lease);
            let owner = self.owners.get_or_insert(lease, || Owner::new(host, now));
            if owner.ips.insert(ip, route) != Some(route) {
                owner.monitor(now, &mut steps);
                self.judge(lease, now, &mut steps);
                self.say_lives(lease, Some(ip).filter(|_| route == Route::Taken), now, &mut steps);
            }
        }
        steps
    }

    /// An IP is registered no more; what follows is told by [`FailureDetector::settle`].
    pub fn gone(&mut self, ip: Slot) {
        self.gone.push(ip);
    }

    /// What follows from IPs that are gone.
    pub fn settle(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        for ip in std::mem::take(&mut self.gone) {
            self.awaits_no_more(ip, now, &mut steps);
        }
        steps
    }

    /// Whether this host hears anybody on the network of an IP.
    pub fn hears(&mut self, ip: Slot, hears: bool) {
        let lease = self.awaited.get(&ip).copied().unwrap_or(0);
        self.owners.get_mut(&lease).into_iter().for_each(|owner| owner.hears = hears);
    }

    fn awaits_no_more(&mut self, ip: Slot, now: Instant, steps: &mut Vec<Step>) {
        let Some(lease) = self.awaited.remove(&ip) else { return };
        let Some(owner) = self.owners.get_mut(&lease) else { return };
        let away = owner.is_away_since();
        owner.loses(ip, self.timing.alone, now, steps);
        if owner.ips.is_empty() {
            let host = owner.host.clone();
            self.away.retain(|(other, _)| *other != host);
            self.away.extend(away.map(|since| (host, since)));
            let called = owner.call.is_some();
            steps.extend(called.then(|| Step::EndCall(owner.host.clone())));
            self.owners.remove(&lease);
            self.due.remove(&lease);
        } else {
            self.judge(lease, now, steps);
        }
    }

    /// Takes note of what the network says of the owner of an IP.
    pub fn heard(&mut self, ip: Slot, liveness: Liveness, now: Instant) -> Vec<Step> {
        let lease = self.awaited.get(&ip).copied().unwrap_or(0);
        let monitored = self.owners.get_mut(&lease).filter(|owner| owner.monitored == Some(ip));
        let Some(owner) = monitored else { return Vec::new() };
        let mut steps = owner.heard(liveness, now);
        self.judge(lease, now, &mut steps);
        steps
    }

    /// The host with this hardware address misses the owner of an IP, too.
    pub fn also_missed(&mut self, ip: Slot, by: Mac, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let lease = self.awaited.get(&ip).copied().unwrap_or(0);
        if let Some(owner) = self.owners.get_mut(&lease) {
            owner.is_missed_by(by, now);
            self.judge(lease, now, &mut steps);
        }
        steps
    }

    /// An agent that answers calls has this lease, and its candidacies or what it hears have changed at this
    /// revision of etcd; or it has gone, if the lease is 0.
    pub fn agent(&mut self, host: String, lease: i64, revision: i64, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let before = self.agents.get(&host).copied();
        if before.is_none_or(|it| (it.lease, it.revision) != (lease, revision)) {
            self.away.retain(|(other, _)| *other != host);
        }
        if lease == 0 {
            self.agents.remove(&host);
        } else {
            let since = before.filter(|it| it.lease == lease).map_or(now, |it| it.since);
            self.agents.insert(host.clone(), Agent { lease, since, revision });
            // It may have come to hear nobody, and was asked long ago.
            if before.is_some_and(|before| before.revision != revision) {
                let owner = self.owners.get_mut(&lease);
                owner.and_then(|owner| owner.call.as_mut()).into_iter().for_each(Call::has_news);
            }
            self.judge(lease, now, &mut steps);
            for former in self.former_lives(&host, lease) {
                self.judge(former, now, &mut steps);
            }
        }
        steps
    }

    /// The leases of former lives of a host that has this one now.
    fn former_lives(&self, host: &str, lease: i64) -> Vec<i64> {
        let owners = self.owners.iter().filter(|(_, owner)| owner.host == host);
        owners.map(|(of, _)| *of).filter(|of| *of != lease).collect()
    }

    /// By when an owner should have taken back what this host has in its place: its agent has another lease since then,
    /// or says that it has not got it.
    fn comes_back_by(&self, lease: i64) -> Option<Instant> {
        let owner = self.owners.get(&lease).filter(|owner| owner.has_heir())?;
        let agent = self.agents.get(&owner.host).filter(|agent| agent.lease != lease);
        let since = agent.map(|agent| agent.since).or(owner.without)?;
        Some(since + COMES_BACK)
    }

    /// Takes note of what became of a call.
    pub fn call_news(
        &mut self,
        host: &str,
        number: u64,
        news: CallNews,
        now: Instant,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let lease = self.owners.iter_mut().find_map(|(lease, owner)| {
            let call = owner.call.as_mut().filter(|_| owner.host == host)?;
            call.note(number, news, now).then_some(*lease)
        });
        if let Some(lease) = lease {
            let answered = matches!(news, CallNews::Answered(_));
            let owner = self.owners.get_mut(&lease).filter(|_| answered);
            owner.into_iter().for_each(|owner| owner.has_answered(now));
            self.judge(lease, now, &mut steps);
            let taken = self.owners.get(&lease).into_iter().flat_map(Owner::taken);
            let taken: Vec<Slot> = taken.collect();
            self.say_lives(lease, taken, now, &mut steps);
        }
        steps
    }

    /// Of the IPs that this host has in place of an owner: the owner is back, if it is.
    fn say_lives(
        &self,
        lease: i64,
        ips: impl IntoIterator<Item = Slot>,
        now: Instant,
        steps: &mut Vec<Step>,
    ) {
        let ips = set_of(ips);
        let serves = self.owners.get(&lease).is_some_and(|it| it.serves(self.timing, now));
        steps.extend((serves && !ips.is_empty()).then_some(Step::Lives(lease, ips)));
    }

    /// What follows from what is known of an owner.
    fn judge(&mut self, lease: i64, now: Instant, steps: &mut Vec<Step>) {
        self.due.remove(&lease);
        let held_down = self.held_down(lease, now);
        self.owners.get_mut(&lease).into_iter().for_each(Owner::forget_without_heir);
        let comes_back_by = self.comes_back_by(lease);
        self.settle_call(lease, now, steps);
        let Some(owner) = self.owners.get_mut(&lease) else { return };
        let verdict = match comes_back_by {
            Some(by) if now >= by => Verdict::NotBack,
            Some(_) | None => owner.verdict(self.timing, now),
        };
        let due = match (verdict, held_down) {
            (Verdict::Lives, _) => {
                owner.again_at().or(owner.doubted_at(now).filter(|at| now < *at))
            }
            (Verdict::Open(until), _) => until,
            (Verdict::Isolated, _) => {
                let ips = owner.lost(true);
                self.declare_dead(lease, ISOLATED, ips, true, now, steps)
            }
            (Verdict::Stays(what), _) => {
                steps.extend(owner.say(what));
                owner.again_at()
            }
            (
                Verdict::Uncertain | Verdict::Dead(_) | Verdict::NotBack | Verdict::Missed { .. },
                Some(until),
            ) => Some(owner.again_at().map_or(until, |at| at.min(until))),
            (Verdict::Uncertain, None) => {
                let text = "is not heard on the network, and its agent answers no calls: its lease decides";
                steps.extend(owner.say(text));
                None
            }
            (Verdict::Dead(what), None) => {
                let ips = owner.lost(false);
                self.declare_dead(lease, what, ips, false, now, steps)
            }
            (Verdict::NotBack, None) => {
                let ips = set_of(owner.taken());
                self.declare_dead(lease, NOT_BACK, ips, false, now, steps)
            }
            (Verdict::Missed { by, neighbours, since }, None) => {
                let turn = now.saturating_duration_since(since).as_millis()
                    / self.timing.interval.as_millis().max(1);
                let turn = u32::try_from(turn).unwrap_or(TURNS).min(TURNS);
                let missed = Missed { lease, by, neighbours, turn, agents: self.known_agents() };
                self.say_missed(missed, steps);
                Some(if turn < TURNS { now + self.timing.interval } else { now + DECLARED })
            }
        };
        let by = comes_back_by.filter(|by| now < *by);
        if let Some(due) = due.into_iter().chain(by).min() {
            self.due.insert(lease, due);
        }
    }

    /// A host is called as long as it is doubted and answers calls: again after a while. A call that
    /// cannot be made again would be due for ever.
    fn settle_call(&mut self, lease: i64, now: Instant, steps: &mut Vec<Step>) {
        let Some(owner) = self.owners.get_mut(&lease) else { return };
        let answers = self.agents.get(&owner.host).is_some_and(|agent| agent.lease == lease);
        if owner.doubted_at(now).is_none_or(|at| now < at) || !answers {
            steps.extend(owner.call.take().map(|_| Step::EndCall(owner.host.clone())));
            return;
        }
        let overdue = owner.overdue(self.timing, now);
        let due = owner.call.is_none() || owner.again_at().is_some_and(|at| now >= at);
        if let Some(ip) = owner.asked().filter(|_| due || overdue.is_some()) {
            self.calls += 1;
            let number = self.calls;
            let anew = Call::sent(number, owner.listens(self.timing, now), now);
            let call = overdue.map_or(anew, |call| call.again(number, now));
            owner.call = Some(call);
            let host = owner.host.clone();
            steps.push(Step::Call { host, ip, number, within: call.within() });
        }
    }

    fn known_agents(&self) -> Vec<(String, i64)> {
        self.agents.iter().map(|(host, agent)| (host.clone(), agent.revision)).collect()
    }

    /// The elections are told when that is news to them.
    fn say_missed(&mut self, missed: Missed, steps: &mut Vec<Step>) {
        if self.missed.as_ref() != Some(&missed)
            && let Some(owner) = self.owners.get(&missed.lease)
        {
            steps.push(Step::Missed(set_of(owner.ips.keys().copied()), missed.clone()));
            self.missed = Some(missed);
        }
    }

    /// This process did not run for a while: what was heard before it counts no more.
    pub fn forget(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        self.away.clear();
        let leases: Vec<i64> = self.owners.keys().copied().collect();
        for lease in leases {
            self.owners.get_mut(&lease).into_iter().for_each(|it| it.forget(now));
            self.judge(lease, now, &mut steps);
        }
        steps
    }

    /// When [`FailureDetector::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Does what has become due.
    pub fn wake(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let due: Vec<i64> =
            self.due.iter().filter(|(_, at)| now >= **at).map(|(lease, _)| *lease).collect();
        for lease in due {
            self.judge(lease, now, &mut steps);
        }
        steps
    }
}

#[cfg(test)]
mod tests;
