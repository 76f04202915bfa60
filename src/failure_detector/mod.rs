//! Whether the host of an owner is dead: what the network and etcd say of it together.
//!
//! Pure: no clock, no channel, no I/O. A standby monitors the hosts that own its IPs, each through one
//! of them. A host that was heard on the network and is not any more is a suspect; etcd is then asked
//! for its lease. If the lease was not renewed when it should have been, the host is dead, and its IPs
//! need not wait for the end of the lease. If only the network or only etcd misses the host, nothing
//! moves, unless the network alone is to tell: then a suspect is dead where others are heard.
//!
//! etcd tells what is left of a lease in whole seconds, rounded down. A lease is renewed five times in
//! its life, so that more than a fifth of it can be over only if a renewal is missing. Two answers
//! must say so, some time apart: one may come just before the renewal.
//!
//! A host that was declared dead and lives has lost its IPs for nothing, and must not again and again.
//! Such a host shows that it lives by its *acknowledgement*: a host that has an IP and finds its lock
//! with another lets go and then writes that lock again as it is, before it can own the IP anew. All
//! candidates see that. A host that has really died has no IP when it is back and acknowledges nothing;
//! its next death is found as soon.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::network::Liveness;
use crate::vip::Slot;

/// Between two questions for a lease, while its host is a suspect and there is reason to ask.
const ASK: Duration = Duration::from_millis(100);

/// By how much a renewal must be late at least.
const LATE: Duration = Duration::from_millis(250);

/// Between two questions for the lease of a suspect that renews it.
const ASK_SLOWLY: Duration = Duration::from_secs(1);

/// How long a host that was declared dead and lives cannot be declared dead again, so that nothing can
/// flap.
const HOLD_DOWN: Duration = Duration::from_secs(60);

/// Between two times that an owner is told that it was not heard for a while.
const HEARD_AGAIN: Duration = Duration::from_secs(10);

/// What tells that a host is dead, beside its silence on the network.
const NOT_RENEWED: &str = "its lease is not renewed";
const OTHERS_ARE_HEARD: &str = "others are heard there";

/// After how long at most etcd shows that a lease of this TTL is not renewed any more: its seconds are
/// whole ones.
pub fn unrenewed_after(ttl: Duration) -> Duration {
    Duration::from_secs(ttl.as_secs().div_ceil(5)) + LATE + ASK
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin or end to monitor the owner of this IP on the network.
    Monitor(Slot, bool),
    /// Ask etcd what is left of this lease; the answer comes back through
    /// [`FailureDetector::lease_is`].
    ReadLease(i64),
    /// The host with this lease is dead: these IPs can be taken from it.
    Dead {
        /// Its name.
        host: String,
        /// Its lease.
        lease: i64,
        /// The IPs of which it is the owner and this host a standby.
        ips: BTreeSet<Slot>,
        /// What tells so, beside its silence on the network.
        because: &'static str,
    },
    /// The owner of these IPs was not heard for a while, and is now: clients may have given them up.
    HeardAgain(BTreeSet<Slot>),
    /// Something to be logged.
    Log(String),
}

/// How well the owner of an IP can be monitored through that IP; the best comes first. The answer to a
/// question for an address of IPv4 is for the asker alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// An address of IPv4.
    Ipv4,
    /// An address of IPv6.
    Ipv6,
    /// The interface of this host cannot be used.
    Down,
}

/// What is known of the owners.
#[derive(Clone, Debug, Default)]
pub struct FailureDetector {
    owners: BTreeMap<i64, Owner>,
    awaited: HashMap<Slot, i64>,
    deaths: HashMap<String, Death>,
}

/// A host that owns IPs for which this host is a standby.
#[derive(Clone, Debug)]
struct Owner {
    host: String,
    ips: BTreeMap<Slot, Route>,
    /// The IP through which the owner is monitored.
    monitored: Option<Slot>,
    sight: Sight,
    /// When to ask for its lease; never while it is heard, or an answer is awaited.
    ask_at: Option<Instant>,
    /// That the owner renews its lease though it is not heard was logged.
    logged: bool,
    /// When it was declared dead, and still has the locks.
    dead: Option<Instant>,
    /// When it was last told that it is heard again.
    told: Option<Instant>,
}

/// What the network says of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It was not heard yet through the IP that is monitored. What is told before is told of the owner
    /// before, by whose silence the IP may just have moved.
    Unheard,
    /// It is heard.
    Alive,
    /// It is not heard any more.
    Suspect {
        /// Since when.
        since: Instant,
        /// Others are heard there, and that is enough.
        alone: bool,
        /// Since when its renewal is known to be late.
        late: Option<Instant>,
    },
}

/// The last death of a host, and what came of it.
#[derive(Clone, Debug)]
struct Death {
    at: Instant,
    /// What was to be taken from it, until it is known to live.
    ips: BTreeSet<Slot>,
    /// Until when it is not declared dead again.
    held_down: Option<Instant>,
}

impl FailureDetector {
    /// Takes note of the host and the lease on which an IP waits, and of how its owner can be monitored
    /// through it; of no owner if the IP does not wait.
    pub fn awaits(&mut self, ip: Slot, route: Route, owner: Option<(&str, i64)>) -> Vec<Step> {
        let mut steps = Vec::new();
        let lease = owner.map(|(_, lease)| lease);
        if self.awaited.get(&ip).copied() != lease {
            self.awaits_no_more(ip, &mut steps);
        }
        if let Some((host, lease)) = owner {
            self.awaited.insert(ip, lease);
            let owner = self.owners.entry(lease).or_insert_with(|| Owner::new(host));
            if owner.ips.insert(ip, route) != Some(route) {
                owner.monitor(&mut steps);
            }
        }
        steps
    }

    fn awaits_no_more(&mut self, ip: Slot, steps: &mut Vec<Step>) {
        let Some(lease) = self.awaited.remove(&ip) else { return };
        let Some(owner) = self.owners.get_mut(&lease) else { return };
        owner.ips.remove(&ip);
        owner.monitor(steps);
        if owner.ips.is_empty() {
            self.owners.remove(&lease);
        }
    }

    /// Takes note of what the network says of the owner of an IP.
    pub fn heard(&mut self, ip: Slot, liveness: Liveness, now: Instant) -> Vec<Step> {
        let lease = self.awaited.get(&ip).copied().unwrap_or(0);
        let monitored = self.owners.get_mut(&lease).filter(|owner| owner.monitored == Some(ip));
        let Some(owner) = monitored else { return Vec::new() };
        match (liveness, &mut owner.sight) {
            (Liveness::Alive, _) => owner.is_heard(now),
            (Liveness::Doubted, _) => Vec::new(),
            (Liveness::Suspect | Liveness::Dead, Sight::Unheard) => Vec::new(),
            (Liveness::Suspect, Sight::Alive) => {
                owner.sight = Sight::Suspect { since: now, alone: false, late: None };
                owner.ask_at = None;
                vec![Step::ReadLease(lease)]
            }
            (Liveness::Suspect, Sight::Suspect { alone, .. }) => {
                *alone = false;
                Vec::new()
            }
            (Liveness::Dead, Sight::Alive | Sight::Suspect { .. }) => {
                let since = owner.suspect_since().unwrap_or(now);
                owner.sight = Sight::Suspect { since, alone: true, late: None };
                self.declare_dead(lease, OTHERS_ARE_HEARD, now)
            }
        }
    }

    /// Takes note of what etcd says of a lease: what is left of it and what was granted, in whole
    /// seconds. Nothing if etcd did not answer.
    pub fn lease_is(&mut self, lease: i64, left: Option<(i64, i64)>, now: Instant) -> Vec<Step> {
        let Some(owner) = self.owners.get_mut(&lease) else {
            return Vec::new();
        };
        let Sight::Suspect { since, alone, late } = &mut owner.sight else {
            return Vec::new();
        };
        owner.ask_at = Some(now + ASK);
        if *alone {
            return self.declare_dead(lease, OTHERS_ARE_HEARD, now);
        }
        let Some((left, granted)) = left else {
            *late = None;
            return Vec::new();
        };
        if !is_late(left, granted) {
            *late = None;
            let silent = now.saturating_duration_since(*since);
            return owner.renews(silent, granted, now);
        }
        let late = *late.get_or_insert(now);
        if now < late + LATE {
            owner.ask_at = Some(late + LATE);
            return Vec::new();
        }
        self.declare_dead(lease, NOT_RENEWED, now)
    }

    fn declare_dead(&mut self, lease: i64, because: &'static str, now: Instant) -> Vec<Step> {
        let Some(owner) = self.owners.get_mut(&lease) else {
            return Vec::new();
        };
        owner.ask_at = Some(now + ASK_SLOWLY);
        if let Sight::Suspect { late, .. } = &mut owner.sight {
            *late = None;
        }
        let last = self.deaths.get(&owner.host);
        let held_down = last.and_then(|last| last.held_down).filter(|until| now < *until);
        let declared = owner.dead.is_some_and(|at| now < at + ASK_SLOWLY);
        if held_down.is_some() || declared {
            return Vec::new();
        }
        let ips: BTreeSet<Slot> = owner.ips.keys().copied().collect();
        let again = owner.dead.replace(now).is_some();
        // Some of its IPs may have been taken, and be acknowledged yet.
        let taken = last.filter(|_| again).map_or_else(BTreeSet::new, |last| last.ips.clone());
        let host = owner.host.clone();
        self.deaths.insert(host.clone(), Death { at: now, ips: &ips | &taken, held_down: None });
        vec![Step::Dead { host, lease, ips, because }]
    }

    /// Takes note that a host has let go of an IP and acknowledged its owner: if the IP was taken from
    /// a host that was declared dead, that host lives.
    pub fn acknowledged(&mut self, ip: Slot, now: Instant) -> Vec<Step> {
        let deaths = self.deaths.iter_mut().filter(|(_, death)| death.ips.contains(&ip));
        let Some((host, death)) = deaths.max_by_key(|(_, death)| death.at) else {
            return Vec::new();
        };
        death.ips.clear();
        death.held_down = Some(now + HOLD_DOWN);
        let text = "was declared dead and lives: it is not declared dead again for";
        vec![Step::Log(format!("host {host} {text} {HOLD_DOWN:?}"))]
    }

    /// This process did not run for a while: what was heard before it counts no more.
    pub fn forget(&mut self) {
        self.owners.values_mut().for_each(Owner::hear);
    }

    /// When [`FailureDetector::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.owners.values().filter_map(|owner| owner.ask_at).min()
    }

    /// Does what has become due.
    pub fn wake(&mut self, now: Instant) -> Vec<Step> {
        let due = |(lease, owner): (&i64, &mut Owner)| {
            owner.ask_at.take_if(|at| now >= *at).map(|_| Step::ReadLease(*lease))
        };
        self.owners.iter_mut().filter_map(due).collect()
    }
}

impl Owner {
    fn new(host: &str) -> Owner {
        Owner {
            host: host.to_owned(),
            ips: BTreeMap::new(),
            monitored: None,
            sight: Sight::Unheard,
            ask_at: None,
            logged: false,
            dead: None,
            told: None,
        }
    }

    fn suspect_since(&self) -> Option<Instant> {
        match self.sight {
            Sight::Suspect { since, .. } => Some(since),
            Sight::Unheard | Sight::Alive => None,
        }
    }

    /// Monitors the owner through one of its IPs: through the same one as long as none is better.
    fn monitor(&mut self, steps: &mut Vec<Step>) {
        let best = self.ips.values().min();
        let is_best = |ip: &Slot| self.ips.get(ip).is_some_and(|route| Some(route) == best);
        let still = self.monitored.filter(is_best);
        let best = still.or_else(|| self.ips.keys().copied().find(is_best));
        if best == self.monitored {
            return;
        }
        if let Some(before) = std::mem::replace(&mut self.monitored, best) {
            steps.push(Step::Monitor(before, false));
        }
        // What was heard was heard through the other IP.
        self.sight = Sight::Unheard;
        self.ask_at = None;
        steps.extend(best.map(|ip| Step::Monitor(ip, true)));
    }

    /// It is no suspect, as far as is known.
    fn hear(&mut self) {
        if self.sight != Sight::Unheard {
            self.sight = Sight::Alive;
        }
        self.ask_at = None;
    }

    fn is_heard(&mut self, now: Instant) -> Vec<Step> {
        let suspect = self.suspect_since().is_some();
        self.sight = Sight::Alive;
        self.ask_at = None;
        let mut steps = Vec::new();
        if std::mem::take(&mut self.logged) {
            steps.push(Step::Log(format!("host {} is heard on the network again", self.host)));
        }
        if suspect && self.told.is_none_or(|told| now >= told + HEARD_AGAIN) {
            self.told = Some(now);
            steps.push(Step::HeardAgain(self.ips.keys().copied().collect()));
        }
        steps
    }

    /// It renews its lease: once a whole life of the lease has passed, that is logged, and it is asked
    /// for less often.
    fn renews(&mut self, silent: Duration, granted: i64, now: Instant) -> Vec<Step> {
        if silent < Duration::from_secs(u64::try_from(granted).unwrap_or(0)) {
            return Vec::new();
        }
        self.ask_at = Some(now + ASK_SLOWLY);
        if std::mem::replace(&mut self.logged, true) {
            return Vec::new();
        }
        let alive = format!("host {} is not heard on the network, but renews its lease", self.host);
        vec![Step::Log(alive)]
    }
}

/// Whether more than a fifth of a lease is over for certain. One that does not exist is not late:
/// what was attached to it is gone, and that is heard of.
fn is_late(left: i64, granted: i64) -> bool {
    let over_at_least = granted - left - 1;
    left >= 0 && over_at_least * 5 >= granted
}

#[cfg(test)]
mod tests;
