//! Whether the host of an owner is dead, by two witnesses: the network and etcd.
//!
//! Pure: no clock, no channel, no I/O. A standby watches the hosts that own its IPs, each through one
//! of them. When a host is silent on the network that was heard there before, etcd is asked for its
//! lease: if that was not renewed when it should have been, the host is dead, and its IPs need not
//! wait for the lease's end. If only one of the two is silent, nothing moves.
//!
//! etcd tells what is left of a lease in whole seconds, rounded down. A lease is renewed five times in
//! its life, so that more than a fifth of it can be over only if a renewal is missing. Two answers
//! must say so, some time apart: one may come just before the renewal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::etcd::TimeToLive;
use crate::net::Presence;
use crate::vip::VipId;

/// Between two questions for a lease, while its host is silent and there is reason to ask.
const ASK: Duration = Duration::from_millis(100);

/// By how much a renewal must be late at least.
const LATE: Duration = Duration::from_millis(250);

/// Between two questions for the lease of a host that is silent and alive.
const ASK_SLOWLY: Duration = Duration::from_secs(1);

/// How long a host that was declared dead cannot be declared dead again: at first, and at most. Each
/// time is twice as long as the one before, so that nothing can flap.
const HOLD_DOWN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// After how long without a death the first hold-down is due again.
const FORGIVEN: Duration = Duration::from_secs(3600);

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
    /// The IP through which it is watched.
    watched: Option<VipId>,
    /// It is silent on the network, since then.
    silent: Option<Instant>,
    /// When to ask for its lease; never while it is heard, or an answer is awaited.
    ask_at: Option<Instant>,
    /// Since when its renewal is known to be late.
    late: Option<Instant>,
    /// That it renews its lease though it is not heard was told.
    told: bool,
}

/// The last death of a host.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: Instant,
    hold_down: Duration,
}

impl Witness {
    /// Takes note of the host and the lease on which an IP waits; of none if it does not.
    pub fn awaits(&mut self, id: &VipId, owner: Option<(&str, i64)>) -> Vec<Step> {
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
            owner.watch(&mut steps);
        }
        steps
    }

    fn awaits_no_more(&mut self, id: &VipId, steps: &mut Vec<Step>) {
        let Some(lease) = self.awaited.remove(id) else { return };
        let Some(owner) = self.owners.get_mut(&lease) else { return };
        owner.ips.remove(id);
        if owner.watched.take_if(|watched| *watched == *id).is_some() {
            steps.push(Step::Watch(id.clone(), false));
            // What was heard was heard through that IP.
            owner.hear();
        }
        owner.watch(steps);
        if owner.ips.is_empty() {
            self.owners.remove(&lease);
        }
    }

    /// Takes note of what the network says of the owner of an IP.
    pub fn heard(&mut self, id: &VipId, presence: Presence, now: Instant) -> Vec<Step> {
        let lease = self.awaited.get(id).copied().unwrap_or(0);
        let Some(owner) = self.owners.get_mut(&lease) else {
            return Vec::new();
        };
        if owner.watched.as_ref() != Some(id) {
            return Vec::new();
        }
        match presence {
            Presence::Present => {
                let told = std::mem::take(&mut owner.told);
                owner.hear();
                let back = format!("host {} is heard on the network again", owner.host);
                told.then_some(Step::Tell(back)).into_iter().collect()
            }
            Presence::Silent => {
                owner.silent = Some(now);
                owner.ask_at = None;
                vec![Step::AskLease(lease)]
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
        self.declare_dead(lease, now)
    }

    fn declare_dead(&mut self, lease: i64, now: Instant) -> Vec<Step> {
        let Some(owner) = self.owners.get_mut(&lease) else {
            return Vec::new();
        };
        owner.ask_at = Some(now + ASK_SLOWLY);
        owner.late = None;
        let last = self.deaths.get(&owner.host).copied();
        let last = last.filter(|last| now < last.at + FORGIVEN);
        let hold_down = match last {
            Some(last) if now < last.at + last.hold_down => return Vec::new(),
            Some(last) => (last.hold_down * 2).min(HOLD_DOWN.1),
            None => HOLD_DOWN.0,
        };
        self.deaths.insert(owner.host.clone(), Death { at: now, hold_down });
        let (host, ips) = (owner.host.clone(), owner.ips.clone());
        vec![Step::Dead { host, lease, ips }]
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
            watched: None,
            silent: None,
            ask_at: None,
            late: None,
            told: false,
        }
    }

    /// Watches it through one of its IPs, if it is not watched yet.
    fn watch(&mut self, steps: &mut Vec<Step>) {
        if self.watched.is_none() {
            self.watched = self.ips.first().cloned();
            steps.extend(self.watched.clone().map(|id| Step::Watch(id, true)));
        }
    }

    /// It is not silent, as far as is known.
    fn hear(&mut self) {
        self.silent = None;
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
mod tests {
    use super::*;

    const LEASE: i64 = 9;

    fn id(number: u8) -> VipId {
        format!("vip-00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
    }

    fn ttl(left: i64) -> Option<TimeToLive> {
        Some(TimeToLive { left, granted: 5 })
    }

    /// A witness whose owner has just fallen silent.
    fn silent(now: Instant) -> Witness {
        let mut witness = Witness::default();
        let watch = Step::Watch(id(1), true);
        assert_eq!(witness.awaits(&id(1), Some(("h2", LEASE))), [watch]);
        assert_eq!(witness.heard(&id(1), Presence::Present, now), []);
        assert_eq!(witness.heard(&id(1), Presence::Silent, now), [Step::AskLease(LEASE)]);
        witness
    }

    fn dead(ips: &[u8]) -> Step {
        let ips = ips.iter().map(|number| id(*number)).collect();
        Step::Dead { host: "h2".to_owned(), lease: LEASE, ips }
    }

    #[test]
    fn a_host_is_dead_when_the_network_and_etcd_do_not_hear_of_it() {
        let now = Instant::now();
        let mut witness = silent(now);
        assert_eq!(witness.told(LEASE, ttl(4), now), []);
        assert_eq!(witness.deadline(), Some(now + ASK));
        assert_eq!(witness.wake(now + ASK), [Step::AskLease(LEASE)]);
        assert_eq!(witness.deadline(), None, "one question at a time");
        assert_eq!(witness.told(LEASE, ttl(3), now + ASK), []);
        let due = now + ASK + LATE;
        assert_eq!(witness.deadline(), Some(due));
        assert_eq!(witness.wake(due), [Step::AskLease(LEASE)]);
        assert_eq!(witness.told(LEASE, ttl(3), due), [dead(&[1])]);
    }

    #[test]
    fn a_renewal_that_comes_a_little_late_saves_it() {
        let now = Instant::now();
        let mut witness = silent(now);
        witness.told(LEASE, ttl(3), now);
        assert_eq!(witness.told(LEASE, ttl(4), now + LATE), []);
        assert_eq!(witness.told(LEASE, ttl(3), now + LATE * 2), [], "that is another one");
    }

    #[test]
    fn an_answer_from_the_network_saves_it() {
        let now = Instant::now();
        let mut witness = silent(now);
        witness.told(LEASE, ttl(3), now);
        assert_eq!(witness.heard(&id(1), Presence::Present, now), []);
        assert_eq!(witness.told(LEASE, ttl(0), now + LATE), []);
        assert_eq!(witness.deadline(), None);
    }

    #[test]
    fn without_an_answer_from_etcd_nothing_moves() {
        let now = Instant::now();
        let mut witness = silent(now);
        witness.told(LEASE, ttl(3), now);
        assert_eq!(witness.told(LEASE, None, now + LATE), []);
        assert_eq!(witness.told(LEASE, ttl(2), now + LATE * 2), [], "it counts from the beginning");
    }

    #[test]
    fn a_host_that_is_silent_and_alive_is_told_once_and_asked_for_slowly() {
        let now = Instant::now();
        let mut witness = silent(now);
        let later = now + Duration::from_secs(5);
        let told = witness.told(LEASE, ttl(4), later);
        let alive = "host h2 is not heard on the network, but renews its lease";
        assert_eq!(told, [Step::Tell(alive.to_owned())]);
        assert_eq!(witness.deadline(), Some(later + ASK_SLOWLY));
        assert_eq!(witness.told(LEASE, ttl(4), later), []);
        let back = Step::Tell("host h2 is heard on the network again".to_owned());
        assert_eq!(witness.heard(&id(1), Presence::Present, later), [back]);
    }

    #[test]
    fn who_was_declared_dead_is_so_again_only_after_a_while_that_grows() {
        let start = Instant::now();
        let mut witness = silent(start);
        let mut declared = Vec::new();
        for tick in 0..1_200_u32 {
            let now = start + LATE * tick;
            let steps = witness.told(LEASE, ttl(0), now);
            if steps.contains(&dead(&[1])) {
                declared.push((now - start).as_secs());
            }
        }
        assert_eq!(declared, [0, 10, 30, 70, 150], "the pauses double");
    }

    #[test]
    fn each_host_is_watched_through_one_of_its_ips() {
        let now = Instant::now();
        let mut witness = silent(now);
        assert_eq!(witness.awaits(&id(2), Some(("h2", LEASE))), []);
        witness.told(LEASE, ttl(3), now);
        assert_eq!(witness.told(LEASE, ttl(3), now + LATE), [dead(&[1, 2])]);
        // The one through which it was watched is owned by somebody else now.
        let other = [Step::Watch(id(1), false), Step::Watch(id(2), true), Step::Watch(id(1), true)];
        assert_eq!(witness.awaits(&id(1), Some(("h3", 11))), other);
        assert_eq!(witness.awaits(&id(2), None), [Step::Watch(id(2), false)]);
        assert_eq!(witness.heard(&id(2), Presence::Silent, now), []);
    }

    #[test]
    fn a_lease_is_late_when_more_than_a_fifth_is_over() {
        // As granted: 5 s renewed every second, 3 s every half, 15 s every three.
        for (left, granted, late) in [
            (4, 5, false),
            (3, 5, true),
            (2, 3, false),
            (1, 3, true),
            (1, 2, false),
            (0, 2, true),
            (12, 15, false),
            (11, 15, true),
            (-1, 0, false),
        ] {
            assert_eq!(is_late(left, granted), late, "{left} of {granted}");
        }
    }
}
