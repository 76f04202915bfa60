//! The transactions of the lock protocol: over the lock of an IP and the candidacies of its hosts.

use std::cmp::Reverse;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Advertised, Advertisement, Candidacy, Candidate, Gap, Holder, LockAnswer, LockView,
    OtherPrefix, Request,
};
use crate::etcd::{self, Compare, KeyState, Kv, Op, Reply, Txn};
use crate::network::{Mac, mac_text};
use crate::preference::{DEFAULT_PRIORITY, Preference};
use crate::sorted::sort_by;
use crate::text::with_room;
use crate::vip::{Cidr, ElectionKey};

/// The prefix of all locks.
pub const PREFIX: &str = "/link/default/";

/// The prefix of all candidacies.
pub const CANDIDACIES: &str = "/link/ips/";

/// What a host tells about an IP.
#[derive(Debug, Serialize, Deserialize)]
struct CandidacyValue {
    updated_at: String,
    /// Whether it is available for election. The Go LinK does not write it.
    #[serde(default = "yes")]
    available: bool,
    /// The hardware address of its interface, `02:00:00:00:00:01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hardware_address: Option<String>,
    /// Who is first when the IP is free, 0 to 255. The Go LinK does not write it.
    #[serde(default)]
    priority: Value,
}

impl CandidacyValue {
    fn priority(&self) -> u8 {
        let priority = self.priority.as_u64().and_then(|number| u8::try_from(number).ok());
        priority.unwrap_or(DEFAULT_PRIORITY)
    }
}

fn yes() -> bool {
    true
}

/// The lock of an election. Keys are put together, not formatted: that takes less stack of the elections'
/// threads, and the supervisor makes those of all IPs to compare them.
pub fn key(of: impl Into<ElectionKey>) -> String {
    [PREFIX, &of.into().text()].concat()
}

/// The prefix of all candidacies for an election. The slash at its end keeps `10.0.0.1_3` from matching
/// `10.0.0.1_32`.
fn candidacies_prefix(of: &ElectionKey) -> String {
    [CANDIDACIES, &of.candidacies(), "/"].concat()
}

/// The candidacy of a host.
pub fn candidacy_key(of: impl Into<ElectionKey>, host: &str) -> String {
    [CANDIDACIES, &of.into().candidacies(), "/", host].concat()
}

/// The transaction for a request of an election, at this time.
pub fn txn_of(request: &Request, of: impl Into<ElectionKey>, host: &str, now: SystemTime) -> Txn {
    txn_for(request, &of.into(), host, now)
}

fn txn_for(request: &Request, of: &ElectionKey, host: &str, now: SystemTime) -> Txn {
    let lock = key(of);
    let read_lock = Op::Get(lock.clone());
    let read_candidacies = Op::GetPrefix(candidacies_prefix(of));
    let read_all = || vec![read_lock.clone(), read_candidacies.clone()];
    let take = |lease| put_lock(&lock, host, lease);
    // Before the rest: what it takes of the stack is not on top of the rest then.
    let value = request.advertisement().and_then(|own| candidacy_value(own, now));
    let advertise = |lease, own: &Advertisement| {
        advertise_op(candidacy_key(of, host), value.clone(), lease, own.replaces)
    };
    let guarded = |when, write| Txn { when, then: vec![write], otherwise: read_all() };
    match request {
        Request::ReadLock { .. } => Txn::unconditional(vec![read_lock.clone()]),
        Request::ReadCandidates { .. } => Txn::unconditional(read_all()),
        Request::Campaign { lease, own } => Txn {
            when: vec![Compare::Absent(lock.clone())],
            then: vec![take(*lease), advertise(*lease, own)],
            otherwise: [vec![advertise(*lease, own)], read_all()].concat(),
        },
        Request::Advertise { lease, own } => {
            Txn::unconditional([vec![advertise(*lease, own)], read_all()].concat())
        }
        Request::Resign { lease, own } => Txn {
            when: vec![Compare::Lease(lock.clone(), *lease)],
            then: vec![Op::Delete(lock.clone()), advertise(*lease, own), read_candidacies.clone()],
            otherwise: [vec![advertise(*lease, own)], read_all()].concat(),
        },
        Request::ReacquireUnavailable { lease } => {
            guarded(vec![Compare::Absent(lock.clone())], take(*lease))
        }
        Request::Transfer { lease, to, own } => {
            let when = vec![Compare::Lease(lock.clone(), *lease), unchanged(of, to)];
            let mut txn = guarded(when, put_lock(&lock, &to.host, to.lease));
            txn.then.extend(own.as_ref().map(|own| advertise(*lease, own)));
            txn
        }
        Request::TakeOver { lease, written } => {
            guarded(vec![Compare::ModRevision(lock.clone(), *written)], take(*lease))
        }
        Request::Preempt { lease, owner } => guarded(
            vec![Compare::Lease(lock.clone(), owner.lease), unchanged(of, owner)],
            take(*lease),
        ),
        Request::Acknowledge { written, .. } => Txn {
            when: vec![Compare::ModRevision(lock.clone(), *written)],
            then: vec![Op::Touch(lock.clone()), read_lock.clone()],
            otherwise: vec![read_lock.clone()],
        },
    }
}

fn put_lock(lock: &str, host: &str, lease: i64) -> Op {
    Op::Put { key: lock.to_owned(), value: host.as_bytes().to_vec(), lease }
}

/// The candidacy of a host is what it was: the host is alive, and its state the same.
fn unchanged(of: &ElectionKey, other: &Candidate) -> Compare {
    Compare::ModRevision(candidacy_key(of, &other.host), other.written)
}

/// Bytes of a time, `2026-11-22T07:35:39.486007637Z`.
const TIME: usize = 30;

/// What a candidacy says; nothing if it is withdrawn.
#[inline(never)]
fn candidacy_value(own: Advertisement, now: SystemTime) -> Option<Vec<u8>> {
    let available = match own.candidacy {
        Candidacy::Withdrawn => return None,
        Candidacy::Available => true,
        Candidacy::Unavailable => false,
    };
    let hardware_address = own.hardware_address.map(mac_text);
    let updated_at = with_room(TIME, format_args!("{}", humantime::format_rfc3339(now)));
    let priority = own.priority.into();
    let value = CandidacyValue { updated_at, available, hardware_address, priority };
    Some(serde_json::to_vec(&value).expect("a plain struct with text keys is always JSON"))
}

/// Writes the own candidacy if it is what it was, else reads it. A key that does not exist has the
/// revision 0 for etcd's comparisons.
fn advertise_op(key: String, value: Option<Vec<u8>>, lease: i64, replaces: i64) -> Op {
    let write = match value {
        None => Op::Delete(key.clone()),
        Some(value) => Op::Put { key: key.clone(), value, lease },
    };
    Op::Nested(Txn {
        when: vec![Compare::ModRevision(key.clone(), replaces)],
        then: vec![write],
        otherwise: vec![Op::Get(key)],
    })
}

fn mac_of(text: &str) -> Option<Mac> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// What the transaction of a request has found.
pub fn answer_of(
    request: &Request,
    of: impl Into<ElectionKey>,
    host: &str,
    reply: &Reply,
) -> LockAnswer {
    answer_for(request, &of.into(), host, reply)
}

fn answer_for(request: &Request, of: &ElectionKey, host: &str, reply: &Reply) -> LockAnswer {
    let written =
        |host: &str, lease| Holder { host: host.to_owned(), lease, written: reply.revision };
    let holder = match request {
        Request::Campaign { lease, .. }
        | Request::ReacquireUnavailable { lease }
        | Request::TakeOver { lease, .. }
        | Request::Preempt { lease, .. }
            if reply.succeeded =>
        {
            Some(written(host, *lease))
        }
        Request::Transfer { to, .. } if reply.succeeded => Some(written(&to.host, to.lease)),
        Request::Resign { .. } if reply.succeeded => None,
        Request::ReadLock { .. }
        | Request::ReadCandidates { .. }
        | Request::Campaign { .. }
        | Request::ReacquireUnavailable { .. }
        | Request::Advertise { .. }
        | Request::Resign { .. }
        | Request::Transfer { .. }
        | Request::TakeOver { .. }
        | Request::Preempt { .. }
        | Request::Acknowledge { .. } => found(reply, &key(of)).map(holder_of),
    };
    LockAnswer {
        lock: LockView { holder, revision: reply.revision, gap: Gap::None },
        succeeded: reply.succeeded,
        others: reads_candidacies(request, reply).then(|| others(of, host, reply)),
        own: reply.nested.first().and_then(|nested| advertised(request, reply, nested)),
    }
}

/// What became of the own candidacy.
fn advertised(request: &Request, reply: &Reply, nested: &Reply) -> Option<Advertised> {
    let own = request.advertisement()?;
    let revision = match (nested.succeeded, own.candidacy) {
        (true, Candidacy::Available | Candidacy::Unavailable) => reply.revision,
        (true, Candidacy::Withdrawn) => 0,
        (false, _) => {
            let found = nested.kvs(0).first().map_or(0, |kv| kv.mod_revision);
            return Some(Advertised::Changed(found));
        }
    };
    Some(Advertised::Written(revision))
}

fn found<'a>(reply: &'a Reply, key: &str) -> Option<&'a Kv> {
    reply.found.iter().flatten().find(|kv| kv.key == key)
}

fn reads_candidacies(request: &Request, reply: &Reply) -> bool {
    match request {
        Request::ReadCandidates { .. } | Request::Advertise { .. } | Request::Resign { .. } => true,
        Request::ReadLock { .. } | Request::Acknowledge { .. } => false,
        Request::Campaign { .. }
        | Request::ReacquireUnavailable { .. }
        | Request::Transfer { .. }
        | Request::TakeOver { .. }
        | Request::Preempt { .. } => !reply.succeeded,
    }
}

/// The other hosts, those first to which the lock can be transferred, and among them those that are preferred.
fn others(of: &ElectionKey, host: &str, reply: &Reply) -> Vec<Candidate> {
    let others = reply.found.iter().flat_map(|kvs| candidates(of, kvs));
    let mut others: Vec<_> = others.filter(|other| other.host != host).collect();
    let place = |other: &Candidate| (other.lease == 0, Reverse(other.preference));
    sort_by(&mut others, |a, b| place(a).cmp(&place(b)));
    others
}

/// What a watch or a read has seen of a lock.
pub fn view_of(state: &KeyState) -> LockView {
    LockView {
        holder: state.kv.as_ref().map(holder_of),
        revision: state.revision,
        gap: state.gap.into(),
    }
}

/// Who holds a lock.
pub fn holder_of(kv: &Kv) -> Holder {
    Holder {
        host: String::from_utf8_lossy(&kv.value).into_owned(),
        lease: kv.lease,
        written: kv.mod_revision,
    }
}

/// The conditions that nobody offers the address of an IP with another prefix length: no key lies
/// before its own candidacies among those of its address, and none after them. (`0` follows `/`, and
/// a backquote follows `_`.)
pub fn no_other_prefix(cidr: Cidr) -> [Compare; 2] {
    let (all, own) = (format!("{CANDIDACIES}{}_", cidr.addr()), candidacies_prefix(&cidr.into()));
    let after_own = format!("{CANDIDACIES}{}0", cidr.election_key());
    let after_all = format!("{CANDIDACIES}{}`", cidr.addr());
    [Compare::NoneIn(all, own), Compare::NoneIn(after_own, after_all)]
}

/// Reads the candidacies for the address of an IP, whatever the prefix length.
pub fn same_address(cidr: Cidr) -> Op {
    Op::GetPrefix(format!("{CANDIDACIES}{}_", cidr.addr()))
}

/// The first of these candidacies that is for another prefix length.
pub fn other_prefix(cidr: Cidr, kvs: &[Kv]) -> Option<OtherPrefix> {
    let own = candidacies_prefix(&cidr.into());
    let mut others = kvs.iter().filter(|kv| !kv.key.starts_with(&own));
    let (key, host) = others.find_map(|kv| kv.key.strip_prefix(CANDIDACIES)?.split_once('/'))?;
    Some(OtherPrefix { cidr: key.replacen('_', "/", 1), host: host.to_owned() })
}

/// The IP whose lock that is, if the key has the address in another spelling than ours (`FD00::5_128`,
/// which the Go LinK takes as it is written): two keys are two elections, and two owners.
pub fn misspelled(key: &str) -> Option<Cidr> {
    let text = key.strip_prefix(PREFIX)?;
    let cidr: Cidr = text.replacen('_', "/", 1).parse().ok()?;
    (cidr.election_key() != text).then_some(cidr)
}

/// Reads the candidates of an election.
pub fn candidates_txn(of: impl Into<ElectionKey>) -> Txn {
    Txn::unconditional(vec![Op::GetPrefix(candidacies_prefix(&of.into()))])
}

/// The candidates of an election, by name. A value that is not understood counts as a candidacy: the Go
/// LinK only looks at the key.
pub fn candidates(of: impl Into<ElectionKey>, kvs: &[Kv]) -> Vec<Candidate> {
    let of = of.into();
    let (key, prefix) = (of.text(), candidacies_prefix(&of));
    let candidate = |kv: &Kv| {
        let host = kv.key.strip_prefix(&prefix)?.to_owned();
        let value = serde_json::from_slice::<CandidacyValue>(&kv.value);
        let available = value.as_ref().map_or(true, |value| value.available);
        let priority = value.as_ref().map_or(DEFAULT_PRIORITY, CandidacyValue::priority);
        let hardware_address = value.ok().and_then(|value| mac_of(&value.hardware_address?));
        let (lease, written) = (kv.lease, kv.mod_revision);
        let preference = Preference::new(priority, &key, &host);
        Some(Candidate { host, available, lease, written, hardware_address, preference })
    };
    kvs.iter().filter_map(candidate).collect()
}

/// Whether a candidacy says that its host is available for election; and why that cannot be told, if so:
/// then it counts as one that is.
pub fn available(kv: &Kv) -> (bool, Option<String>) {
    match serde_json::from_slice::<CandidacyValue>(&kv.value) {
        Ok(value) => (value.available, None),
        Err(error) => (true, Some(error.to_string())),
    }
}

impl From<etcd::Gap> for Gap {
    fn from(gap: etcd::Gap) -> Gap {
        match gap {
            etcd::Gap::None => Gap::None,
            etcd::Gap::Reconnected => Gap::Reconnected,
            etcd::Gap::Restored => Gap::Restored,
            etcd::Gap::Replaced => Gap::Replaced,
        }
    }
}

#[cfg(test)]
#[path = "txn_tests.rs"]
mod tests;
