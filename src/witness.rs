//! Whether the host of an owner is dead, by two witnesses: the network and etcd.
//!
//! Pure: no clock, no channel, no I/O. A standby watches the hosts that own its IPs, each through one
//! of them. When a host is silent on the network that was heard there before, etcd is asked for its
//! lease: if that was not renewed when it should have been, the host is dead, and its IPs need not
//! wait for the lease's end. If only one of the two is silent, nothing moves, unless the network alone
//! is to tell: then a host is dead that is silent where others are heard.
//!
//! etcd tells what is left of a lease in whole seconds, rounded down. A lease is renewed five times in
//! its life, so that more than a fifth of it can be over only if a renewal is missing. Two answers
//! must say so, some time apart: one may come just before the renewal.
//!
//! A host that was declared dead and lives has lost its IPs for nothing, and must not again and again.
//! It is known by its *yielding*: who finds the lock of an IP that he has with somebody else lets go and
//! then writes that lock again as it is, before he can own the IP anew. All candidates see that. Who
//! has really died has no IP when he is back and does not yield; his next death is found as soon.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::etcd::TimeToLive;
use crate::network::Liveness;
use crate::vip::VipId;

/// Between two questions for a lease, while its host is silent and there is reason to ask.
const ASK: Duration = Duration::from_millis(100);

/// By how much a renewal must be late at least.
const LATE: Duration = Duration::from_millis(250);

/// Between two questions for the lease of a host that is silent and alive.
const ASK_SLOWLY: Duration = Duration::from_secs(1);

/// How long a host that was declared dead and lives cannot be declared dead again: at first, and at
/// most. Each time is twice as long as the one before, so that nothing can flap.
const HOLD_DOWN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// How long after the end of a hold-down the first one is due again.
const FORGIVEN: Duration = Duration::from_secs(3600);

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
    /// Begin or end to watch the owner of this IP on the network.
    Watch(VipId, bool),
    /// Ask etcd what is left of this lease; the answer comes back through [`Witness::told`].
    AskLease(i64),
    /// The host with this lease is dead: these IPs can be taken from it.
    Dead {
        /// Its name.
        host: String,
        /// Its lease.
        lease: i64,
        /// The IPs of which it is the owner and this host a standby.
        ips: BTreeSet<VipId>,
        /// What tells so, beside its silence on the network.
        because: &'static str,
    },
    /// Something to be logged.
    Tell(String),
}

/// What is known of the owners.
#[derive(Debug, Default)]
pub struct Witness {
    owners: BTreeMap<i64, Owner>,
    awaited: HashMap<VipId, i64>,
    deaths: HashMap<String, Death>,
}

/// A host that owns IPs for which this host is a standby.
#[derive(Debug)]
struct Owner {
    host: String,
    ips: BTreeSet<VipId>,
    /// Those of IPv4.
    ipv4: BTreeSet<VipId>,
    /// The IP through which it is watched.
    watched: Option<VipId>,
    /// It was heard through that IP. What is told before is told of the owner before, by whose silence
    /// the IP may just have moved.
    heard: bool,
    /// It is silent on the network, since then.
    silent: Option<Instant>,
    /// Others are heard where it is silent, and that is enough.
    gone: bool,
    /// When to ask for its lease; never while it is heard, or an answer is awaited.
    ask_at: Option<Instant>,
    /// Since when its renewal is known to be late.
    late: Option<Instant>,
    /// That it renews its lease though it is not heard was told.
    told: bool,
    /// When it was declared dead, and still has the locks.
    dead: Option<Instant>,
}

/// The last death of a host, and what came of it.
#[derive(Clone, Debug)]
struct Death {
    at: Instant,
    /// What was to be taken from it, until it is known to live.
    ips: BTreeSet<VipId>,
    /// The last hold-down, and its end.
    hold_down: Option<(Duration, Instant)>,
}

impl Witness {
    /// Takes note of the host and the lease on which an IP waits; of none if it does not. The answer to
    /// a question for one of IPv4 is for the asker alone, so that such a one is preferred.
    pub fn awaits(&mut self, id: &VipId, is_ipv4: bool, owner: Option<(&str, i64)>) -> Vec<Step> {
        let mut steps = Vec::new();
        let lease = owner.map(|(_, lease)| lease);
        if self.awaited.get(id).copied() == lease {
            return steps;
        }
        self.awaits_no_more(id, &mut steps);
        if let Some((host, lease)) = owner {
            self.awaited.insert(id.clone(), lease);
            let owner = self.owners.entry(lease).or_insert_with(|| Owner::new(host));
            owner.ips.insert(id.clone());
            if is_ipv4 {
                owner.ipv4.insert(id.clone());
            }
            owner.watch(&mut steps);
        }
        steps
    }

    fn awaits_no_more(&mut self, id: &VipId, steps: &mut Vec<Step>) {
        let Some(lease) = self.awaited.remove(id) else { return };
        let Some(owner) = self.owners.get_mut(&lease) else { return };
        owner.ips.remove(id);
        owner.ipv4.remove(id);
        owner.watch(steps);
        if owner.ips.is_empty() {
            self.owners.remove(&lease);
        }
    }

    /// Takes note of what the network says of the owner of an IP.
    pub fn heard(&mut self, id: &VipId, presence: Liveness, now: Instant) -> Vec<Step> {
        let lease = self.awaited.get(id).copied().unwrap_or(0);
        let Some(owner) = self.owners.get_mut(&lease) else {
            return Vec::new();
        };
        if owner.watched.as_ref() != Some(id) {
            return Vec::new();
        }
        owner.heard |= presence == Liveness::Alive;
        if !owner.heard {
            return Vec::new();
        }
        match presence {
            Liveness::Alive => {
                let told = std::mem::take(&mut owner.told);
                owner.hear();
                let back = format!("host {} is heard on the network again", owner.host);
                told.then_some(Step::Tell(back)).into_iter().collect()
            }
            Liveness::Suspect if owner.silent.is_some() => {
                owner.gone = false;
                Vec::new()
            }
            Liveness::Suspect => {
                owner.silent = Some(now);
                owner.ask_at = None;
                vec![Step::AskLease(lease)]
            }
            Liveness::Dead => {
                owner.silent.get_or_insert(now);
                owner.gone = true;
                self.declare_dead(lease, OTHERS_ARE_HEARD, now)
            }
        }
    }

    /// Takes note of what etcd says of a lease; of nothing if it did not answer.
    pub fn told(&mut self, lease: i64, answer: Option<TimeToLive>, now: Instant) -> Vec<Step> {
        let Some(owner) = self.owners.get_mut(&lease) else {
            return Vec::new();
        };
        let Some(silent) = owner.silent else {
            return Vec::new();
        };
        owner.ask_at = Some(now + ASK);
        if owner.gone {
            return self.declare_dead(lease, OTHERS_ARE_HEARD, now);
        }
        let Some(TimeToLive { left, granted }) = answer else {
            owner.late = None;
            return Vec::new();
        };
        if !is_late(left, granted) {
            owner.late = None;
            return owner.renews(now.saturating_duration_since(silent), granted, now);
        }
        let late = *owner.late.get_or_insert(now);
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
        owner.late = None;
        let last = self.deaths.get(&owner.host);
        let hold_down = last.and_then(|last| last.hold_down);
        let held = hold_down.is_some_and(|(_, until)| now < until);
        let declared = owner.dead.is_some_and(|at| now < at + ASK_SLOWLY);
        if held || declared {
            return Vec::new();
        }
        let (host, ips) = (owner.host.clone(), owner.ips.clone());
        let again = owner.dead.replace(now).is_some();
        // Some of its IPs may have been taken, and be yielded yet.
        let taken = last.filter(|_| again).map_or_else(BTreeSet::new, |last| last.ips.clone());
        let death = Death { at: now, ips: &ips | &taken, hold_down };
        self.deaths.insert(host.clone(), death);
        vec![Step::Dead { host, lease, ips, because }]
    }

    /// Takes note that somebody has let go of an IP and left it to another host: if it was taken from
    /// a host that was declared dead, that one lives.
    pub fn yielded(&mut self, id: &VipId, now: Instant) -> Vec<Step> {
        let deaths = self.deaths.iter_mut().filter(|(_, death)| death.ips.contains(id));
        let Some((host, death)) = deaths.max_by_key(|(_, death)| death.at) else {
            return Vec::new();
        };
        death.ips.clear();
        let last = death.hold_down.filter(|(_, until)| now < *until + FORGIVEN);
        let hold_down = last.map_or(HOLD_DOWN.0, |(last, _)| (last * 2).min(HOLD_DOWN.1));
        death.hold_down = Some((hold_down, now + hold_down));
        let text = "was declared dead and lives: it is not declared dead again for";
        vec![Step::Tell(format!("host {host} {text} {hold_down:?}"))]
    }

    /// This process did not run for a while: what was heard before it counts no more.
    pub fn forget(&mut self) {
        self.owners.values_mut().for_each(Owner::hear);
    }

    /// When [`Witness::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.owners.values().filter_map(|owner| owner.ask_at).min()
    }

    /// Does what has become due.
    pub fn wake(&mut self, now: Instant) -> Vec<Step> {
        let due = |(lease, owner): (&i64, &mut Owner)| {
            owner.ask_at.take_if(|at| now >= *at).map(|_| Step::AskLease(*lease))
        };
        self.owners.iter_mut().filter_map(due).collect()
    }
}

impl Owner {
    fn new(host: &str) -> Owner {
        Owner {
            host: host.to_owned(),
            ips: BTreeSet::new(),
            ipv4: BTreeSet::new(),
            watched: None,
            heard: false,
            silent: None,
            gone: false,
            ask_at: None,
            late: None,
            told: false,
            dead: None,
        }
    }

    /// Watches it through one of its IPs: through the same one as long as none is better.
    fn watch(&mut self, steps: &mut Vec<Step>) {
        let candidates = if self.ipv4.is_empty() { &self.ips } else { &self.ipv4 };
        let still = self.watched.as_ref().filter(|watched| candidates.contains(watched));
        let best = still.or(candidates.first()).cloned();
        if best == self.watched {
            return;
        }
        self.heard = false;
        if let Some(watched) = std::mem::replace(&mut self.watched, best.clone()) {
            steps.push(Step::Watch(watched, false));
            // What was heard was heard through that IP.
            self.hear();
        }
        steps.extend(best.map(|id| Step::Watch(id, true)));
    }

    /// It is not silent, as far as is known.
    fn hear(&mut self) {
        self.silent = None;
        self.gone = false;
        self.ask_at = None;
        self.late = None;
    }

    /// It renews its lease: once a whole life of the lease has passed, that is told, and it is asked
    /// for less often.
    fn renews(&mut self, silent: Duration, granted: i64, now: Instant) -> Vec<Step> {
        if silent < Duration::from_secs(u64::try_from(granted).unwrap_or(0)) {
            return Vec::new();
        }
        self.ask_at = Some(now + ASK_SLOWLY);
        if std::mem::replace(&mut self.told, true) {
            return Vec::new();
        }
        let alive = format!("host {} is not heard on the network, but renews its lease", self.host);
        vec![Step::Tell(alive)]
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
