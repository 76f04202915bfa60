//! The transactions of the elections: over the lock of an IP and the offers of its hosts.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::{json, lock_key};
use crate::election::message::{Candidate, Holder, LockAnswer, LockView, Offer, Request};
use crate::etcd::{Compare, Gap, KeyState, Kv, Op, Reply, Txn};
use crate::vip::Cidr;

/// What a host tells about an IP.
#[derive(Debug, Serialize, Deserialize)]
struct OfferValue {
    updated_at: String,
    /// Whether it is available for election. The Go LinK does not write it.
    #[serde(default = "yes")]
    available: bool,
}

fn yes() -> bool {
    true
}

/// The prefix of all offers of an IP. The slash at its end keeps `10.0.0.1_3` from matching
/// `10.0.0.1_32`.
fn offers_prefix(cidr: Cidr) -> String {
    format!("/link/ips/{}/", cidr.election_key())
}

fn offer_key(cidr: Cidr, host: &str) -> String {
    format!("{}{host}", offers_prefix(cidr))
}

/// The transaction for a request of an election.
pub fn election_txn(request: &Request, cidr: Cidr, host: &str) -> Txn {
    let lock = lock_key(cidr);
    let look = Op::Get(lock.clone());
    let look_around = || vec![Op::Get(lock.clone()), Op::GetPrefix(offers_prefix(cidr))];
    let take = |lease| put_lock(&lock, host, lease);
    let told = |lease, offer| offer_op(cidr, host, lease, offer);
    match request {
        Request::Look { .. } => Txn::read(vec![look]),
        Request::Acquire { lease } => {
            let offer = told(*lease, Offer::Available);
            Txn {
                when: vec![Compare::Absent(lock.clone())],
                then: vec![take(*lease), offer.clone()],
                otherwise: [vec![offer], look_around()].concat(),
            }
        }
        Request::Retake { lease } => Txn {
            when: vec![Compare::Absent(lock.clone())],
            then: vec![take(*lease)],
            otherwise: look_around(),
        },
        Request::Survey { lease, offer } => {
            Txn::read([vec![told(*lease, *offer)], look_around()].concat())
        }
        Request::Release { lease, offer } => {
            let others = Op::GetPrefix(offers_prefix(cidr));
            let told = told(*lease, *offer);
            Txn {
                when: vec![Compare::Lease(lock.clone(), *lease)],
                then: vec![Op::Delete(lock.clone()), told.clone(), others],
                otherwise: [vec![told], look_around()].concat(),
            }
        }
        Request::Pass { lease, to } => Txn {
            when: vec![Compare::Lease(lock.clone(), *lease), unchanged(cidr, to)],
            then: vec![put_lock(&lock, &to.host, to.lease)],
            otherwise: look_around(),
        },
        Request::Seize { lease, written } => Txn {
            when: vec![Compare::ModRevision(lock.clone(), *written)],
            then: vec![take(*lease)],
            otherwise: look_around(),
        },
        Request::Oust { lease, owner } => Txn {
            when: vec![Compare::Lease(lock.clone(), owner.lease), unchanged(cidr, owner)],
            then: vec![take(*lease)],
            otherwise: look_around(),
        },
        Request::Touch { owner, .. } => Txn {
            when: vec![Compare::Lease(lock.clone(), *owner)],
            then: vec![Op::Touch(lock.clone()), look.clone()],
            otherwise: vec![look],
        },
    }
}

fn put_lock(lock: &str, host: &str, lease: i64) -> Op {
    Op::Put { key: lock.to_owned(), value: host.as_bytes().to_vec(), lease }
}

/// The offer of a host is what it was: the host is alive, and its state the same.
fn unchanged(cidr: Cidr, other: &Candidate) -> Compare {
    Compare::ModRevision(offer_key(cidr, &other.host), other.written)
}

fn offer_op(cidr: Cidr, host: &str, lease: i64, offer: Offer) -> Op {
    let key = offer_key(cidr, host);
    let available = match offer {
        Offer::Withdrawn => return Op::Delete(key),
        Offer::Available => true,
        Offer::Unavailable => false,
    };
    let updated_at = jiff::Timestamp::now().to_string();
    Op::Put { key, value: json(&OfferValue { updated_at, available }), lease }
}

/// What the transaction of a request has found.
pub fn election_answer(request: &Request, cidr: Cidr, host: &str, reply: &Reply) -> LockAnswer {
    let written =
        |host: &str, lease| Holder { host: host.to_owned(), lease, written: reply.revision };
    let holder = match request {
        Request::Acquire { lease }
        | Request::Retake { lease }
        | Request::Seize { lease, .. }
        | Request::Oust { lease, .. }
            if reply.succeeded =>
        {
            Some(written(host, *lease))
        }
        Request::Pass { to, .. } if reply.succeeded => Some(written(&to.host, to.lease)),
        Request::Release { .. } if reply.succeeded => None,
        Request::Look { .. }
        | Request::Acquire { .. }
        | Request::Retake { .. }
        | Request::Survey { .. }
        | Request::Release { .. }
        | Request::Pass { .. }
        | Request::Seize { .. }
        | Request::Oust { .. }
        | Request::Touch { .. } => found(reply, &lock_key(cidr)).map(holder),
    };
    let lock = LockView { holder, revision: reply.revision, gap: Gap::None };
    LockAnswer { lock, others: reads_offers(request, reply).then(|| others(cidr, host, reply)) }
}

fn found<'a>(reply: &'a Reply, key: &str) -> Option<&'a Kv> {
    reply.found.iter().flatten().find(|kv| kv.key == key)
}

fn reads_offers(request: &Request, reply: &Reply) -> bool {
    match request {
        Request::Survey { .. } | Request::Release { .. } => true,
        Request::Look { .. } | Request::Touch { .. } => false,
        Request::Acquire { .. }
        | Request::Retake { .. }
        | Request::Pass { .. }
        | Request::Seize { .. }
        | Request::Oust { .. } => !reply.succeeded,
    }
}

/// The other hosts, those first to which the lock can be passed. Among them each IP has an order of
/// its own, so that the IPs of a host that is emptied spread over the others.
fn others(cidr: Cidr, host: &str, reply: &Reply) -> Vec<Candidate> {
    let mut others: Vec<_> = reply.found.iter().flat_map(|kvs| candidates(cidr, kvs)).collect();
    others.retain(|other| other.host != host);
    others.sort_by_cached_key(|other| {
        let mut hasher = DefaultHasher::new();
        (cidr, &other.host).hash(&mut hasher);
        (other.lease == 0, hasher.finish())
    });
    others
}

/// What a watch or a read has seen of a lock.
pub fn lock_view(state: &KeyState) -> LockView {
    LockView { holder: state.kv.as_ref().map(holder), revision: state.revision, gap: state.gap }
}

fn holder(kv: &Kv) -> Holder {
    Holder {
        host: String::from_utf8_lossy(&kv.value).into_owned(),
        lease: kv.lease,
        written: kv.mod_revision,
    }
}

/// Reads the hosts that offer an IP.
pub fn candidates_txn(cidr: Cidr) -> Txn {
    Txn::read(vec![Op::GetPrefix(offers_prefix(cidr))])
}

/// The hosts that offer an IP, by name. A value that is not understood counts as an offer: the Go
/// LinK only looks at the key.
pub fn candidates(cidr: Cidr, kvs: &[Kv]) -> Vec<Candidate> {
    let prefix = offers_prefix(cidr);
    let candidate = |kv: &Kv| {
        let host = kv.key.strip_prefix(&prefix)?.to_owned();
        let value = serde_json::from_slice::<OfferValue>(&kv.value);
        let available = value.map_or(true, |value| value.available);
        Some(Candidate { host, available, lease: kv.lease, written: kv.mod_revision })
    };
    kvs.iter().filter_map(candidate).collect()
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
