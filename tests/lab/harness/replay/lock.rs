//! The locks of a lab, as etcd tells what became of them, revision by revision: what an election was told of its lock
//! is true of the revision that it names, and each write of a lock is one that an election has asked for, and that
//! the protocol allows after what was there before.
//!
//! A lock that nobody's lease holds, or a lease that is none of the agents', is not theirs: a Go LinK wrote it, or the
//! test did; and a supervisor writes the lock of an IP that joins or leaves a group. That a lock has ended is no step of an election if nothing of its lease is left.

use std::collections::{BTreeMap, BTreeSet};

use link::election::message::{Action, Input};
use link::election::trace::Step;
use link::lock::{Lease, LockAnswer, LockView, PREFIX, Request};
use link::vip::ElectionKey;

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The revision of etcd that it has made.
    pub(crate) revision: i64,
    /// The key.
    pub(crate) key: String,
    /// The value, and the lease to which it is attached or 0; nothing if the key was deleted.
    pub(crate) put: Option<(String, i64)>,
    /// The test itself has done it, or may have.
    pub(crate) by_hand: bool,
}

/// What the elections of a lab have asked and were told.
#[derive(Default)]
pub(super) struct Facts {
    asked: BTreeMap<String, Vec<Asked>>,
    told: BTreeMap<String, Vec<(String, LockView)>>,
    /// The leases of the agents, with their hosts.
    leases: BTreeSet<(String, i64)>,
    /// The hosts and the locks of elections that have left.
    left: BTreeSet<(String, String)>,
    /// The hosts on which more than one agent has run.
    lived_before: BTreeSet<String>,
}

struct Asked {
    host: String,
    request: Request,
    carried_out: bool,
}

/// A lock as it was written last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    host: String,
    lease: i64,
    written: i64,
}

impl Facts {
    /// Takes note that an agent has run on a host before the present one.
    pub(super) fn lives_again(&mut self, host: &str) {
        self.lived_before.insert(host.to_owned());
    }

    /// Takes note of a step.
    pub(super) fn note(&mut self, host: &str, key: &str, step: &Step) {
        let lock = format!("{PREFIX}{key}");
        if let Some(Input::Lease(Lease::Held(lease))) = step.input {
            self.leases.insert((host.to_owned(), lease));
        }
        if let Some(Input::Lock(view) | Input::Answered(LockAnswer { lock: view, .. })) =
            &step.input
        {
            self.told.entry(lock.clone()).or_default().push((host.to_owned(), view.clone()));
        }
        if step.actions.contains(&Action::Left) {
            self.left.insert((host.to_owned(), lock.clone()));
        }
        for action in &step.actions {
            if let Action::Ask(request) = action {
                let (host, request) = (host.to_owned(), request.clone());
                let asked = Asked { host, request, carried_out: false };
                self.asked.entry(lock.clone()).or_default().push(asked);
            }
        }
    }

    /// Compares all of it with what became of the keys, which begins with the first revision. Gives how many writes
    /// of locks and how many views of them were compared.
    pub(super) fn judge(&mut self, history: &[Change]) -> Result<(usize, usize), String> {
        let mut writes = 0;
        let mut keys: BTreeMap<&str, Held> = BTreeMap::new();
        for (number, change) in history.iter().enumerate() {
            let key = change.key.as_str();
            let before = keys.get(key).cloned();
            let held = change.put.as_ref().map(|(host, lease)| Held {
                host: host.clone(),
                lease: *lease,
                written: change.revision,
            });
            match &held {
                Some(held) => keys.insert(key, held.clone()),
                None => keys.remove(key),
            };
            if !key.starts_with(PREFIX) || change.by_hand {
                continue;
            }
            writes += 1;
            let ends = |lease: i64| {
                // What ends with a lease is deleted at one revision.
                let rest = history.iter().skip(number + 1);
                let rest = rest.take_while(|other| other.revision == change.revision);
                let gone: BTreeSet<&str> = rest.map(|other| other.key.as_str()).collect();
                keys.iter().all(|(key, held)| held.lease != lease || gone.contains(key))
            };
            let explained = match (&held, &before) {
                (Some(held), _) => self.explains(key, held, before.as_ref()),
                (None, Some(before)) => ends(before.lease) || self.resigns(key, before),
                (None, None) => true,
            };
            if !explained {
                return Err(format!(
                    "revision {}: {key} is {held:?} after {before:?}, and no election has asked for that",
                    change.revision
                ));
            }
        }
        Ok((writes, self.judge_views(history)?))
    }

    fn is_ours(&self, held: &Held) -> bool {
        self.leases.contains(&(held.host.clone(), held.lease))
    }

    /// Whether an election has asked to write the lock like this, after what was there.
    fn explains(&mut self, key: &str, held: &Held, before: Option<&Held>) -> bool {
        // An IP that leaves its group: the supervisor of the group's owner has its lock written.
        let leaves_group =
            before.is_some_and(|it| it.lease == 0 && it.host.starts_with(ElectionKey::GROUP));
        if !self.is_ours(held) || leaves_group {
            return true;
        }
        self.carry_out(key, |host, request| match (request, before) {
            (Request::Campaign { lease, .. } | Request::ReacquireUnavailable { lease }, None) => {
                host == held.host && *lease == held.lease
            }
            (Request::Acknowledge { written, .. }, Some(before)) => {
                (&held.host, held.lease, *written) == (&before.host, before.lease, before.written)
            }
            (Request::Transfer { lease, to, .. }, Some(before)) => {
                (host, *lease) == (before.host.as_str(), before.lease)
                    && (&to.host, to.lease) == (&held.host, held.lease)
            }
            (Request::TakeOver { lease, written }, Some(before)) => {
                host == held.host && (*lease, *written) == (held.lease, before.written)
            }
            (Request::Preempt { lease, owner }, Some(before)) => {
                host == held.host
                    && *lease == held.lease
                    && (&owner.host, owner.lease) == (&before.host, before.lease)
            }
            _ => false,
        })
    }

    /// Whether the owner has asked to give the lock up. That of a group is deleted with the group. What no election
    /// of a host has any more, its supervisor gives up: after a restart, or if the election could not make sure.
    fn resigns(&mut self, key: &str, before: &Held) -> bool {
        !self.is_ours(before)
            || self.lived_before.contains(&before.host)
            || self.left.contains(&(before.host.clone(), key.to_owned()))
            || key.starts_with(&format!("{PREFIX}{}", ElectionKey::GROUP))
            || self.carry_out(key, |host, request| {
                host == before.host
                    && matches!(request, Request::Resign { lease, .. } if *lease == before.lease)
            })
    }

    /// Finds a request that was asked for and not carried out yet. Each is carried out once at most.
    fn carry_out(&mut self, key: &str, is_it: impl Fn(&str, &Request) -> bool) -> bool {
        let mut asked = self.asked.get_mut(key).into_iter().flatten();
        let found = asked.find(|asked| !asked.carried_out && is_it(&asked.host, &asked.request));
        found.is_some_and(|asked| {
            asked.carried_out = true;
            true
        })
    }

    fn judge_views(&self, history: &[Change]) -> Result<usize, String> {
        let mut compared = 0;
        for (key, told) in &self.told {
            let changes: Vec<&Change> = history.iter().filter(|it| it.key == *key).collect();
            for (host, view) in told {
                let until = changes.partition_point(|change| change.revision <= view.revision);
                let last = until.checked_sub(1).map(|last| changes[last]);
                let truth = last.and_then(|change| {
                    let (host, lease) = change.put.clone()?;
                    Some(Held { host, lease, written: change.revision })
                });
                let seen = view.holder.as_ref().map(|holder| Held {
                    host: holder.host.clone(),
                    lease: holder.lease,
                    written: holder.written,
                });
                if seen != truth {
                    return Err(format!(
                        "{host} is told that {key} was {seen:?} at revision {}, when it was {truth:?}",
                        view.revision
                    ));
                }
                compared += 1;
            }
        }
        Ok(compared)
    }
}
