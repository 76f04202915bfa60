//! The etcd in memory, which simulators and searches rely on, says what a real one says: the same
//! random transactions and leases, answer by answer.

use std::ops::Range;
use std::time::Duration;

use etcd_client::{
    CompactionOptions, ConnectOptions, EventType, LeaseGrantOptions, LeaseTimeToLiveOptions,
    WatchOptions,
};
use link::etcd::{Client, Compare, Op, Txn};

use crate::harness::*;
use crate::memory_etcd::{Change, History, MemoryEtcd};
use crate::random::Random;

const TRANSACTIONS: u32 = 4_000;

/// Longer than the test takes.
const TTL: u32 = 600;

const KEYS: [&str; 7] = ["/k/a", "/k/a/1", "/k/a/2", "/k/a0", "/k/b", "/k/b/1", "/k/c"];
const PREFIXES: [&str; 5] = ["/k/", "/k/a", "/k/a/", "/k/b", "/k/d"];

/// What was done on both sides, and what may be asked for.
struct Pair<'a> {
    lab: &'a Lab,
    client: Client,
    memory: MemoryEtcd,
    changes: Vec<Change>,
    leases: Vec<i64>,
    random: Random,
}

impl Pair<'_> {
    /// A transaction on both; they must say the same.
    fn transact(&mut self, txn: Txn) -> Outcome {
        let real = self.client.call(txn.clone(), Duration::from_secs(10));
        let member = format!("{}: ", self.lab.etcd.endpoints());
        let real = real.map_err(|error| (error.kind, error.to_string().replace(&member, "")));
        let memory = match self.memory.transact(&txn) {
            Ok((reply, changes)) => {
                self.changes.extend(changes);
                Ok(reply)
            }
            Err(refusal) => Err((refusal.kind(), refusal.to_string())),
        };
        assert_eq!(memory, real, "{txn:?}");
        match memory {
            Ok(reply) if reply.succeeded => Outcome::Succeeded,
            Ok(_) => Outcome::Failed,
            Err(_) => Outcome::Refused,
        }
    }

    fn grant(&mut self) {
        let id = self.leases.last().map_or(1_000, |last| last + 1);
        self.memory.grant_as(id, TTL, 0);
        self.lab.etcd.call(ConnectOptions::new(), async |mut etcd| {
            let options = LeaseGrantOptions::new().with_id(id);
            etcd.lease_grant(i64::from(TTL), Some(options)).await.map(drop)
        });
        self.leases.push(id);
    }

    fn revoke(&mut self) {
        let id = self.leases[self.random.index(self.leases.len())];
        if let Some(changes) = self.memory.revoke(id) {
            self.changes.extend(changes);
            self.lab.etcd.revoke(id);
        }
    }

    fn txn(&mut self, depth: u64) -> Txn {
        let when = (0..self.random.between(0, 2)).map(|_| self.compare()).collect();
        let (then, otherwise) = (self.ops(depth), self.ops(depth));
        Txn { when, then, otherwise }
    }

    fn ops(&mut self, depth: u64) -> Vec<Op> {
        let most = match self.random.between(1, 200) {
            1 => 130,
            2 => 120,
            _ => 3,
        };
        (0..self.random.between(0, most)).map(|_| self.op(depth)).collect()
    }

    fn op(&mut self, depth: u64) -> Op {
        let key = self.key();
        match self.random.between(0, 10) {
            0 => Op::Get(key),
            1 => Op::GetPrefix(self.prefix()),
            2..=4 => {
                let value = self.random.between(0, 99).to_string().into_bytes();
                Op::Put { key, value, lease: self.lease() }
            }
            5 => Op::Touch(key),
            6 | 7 => Op::Delete(key),
            8 => Op::DeletePrefix(self.prefix()),
            _ if depth > 0 => Op::Nested(self.txn(depth - 1)),
            _ => Op::Get(key),
        }
    }

    fn compare(&mut self) -> Compare {
        let key = self.key();
        let now = self.memory.get(&key);
        let right = self.random.one_in(2);
        match self.random.between(0, 3) {
            0 => Compare::Absent(key),
            3 => Compare::NoneIn(key, self.key()),
            1 => {
                let modified = now.filter(|_| right).map(|kv| kv.mod_revision);
                let guessed = self.random.between(0, 9).cast_signed();
                Compare::ModRevision(key, modified.unwrap_or(guessed))
            }
            _ => {
                let lease = now.filter(|_| right).map(|kv| kv.lease);
                Compare::Lease(key, lease.unwrap_or_else(|| self.lease()))
            }
        }
    }

    fn key(&mut self) -> String {
        match self.random.between(0, 500) {
            0 => return String::new(),
            1 => return "\0".to_owned(),
            _ => {}
        }
        KEYS[self.random.index(KEYS.len())].to_owned()
    }

    fn prefix(&mut self) -> String {
        PREFIXES[self.random.index(PREFIXES.len())].to_owned()
    }

    /// None, or one that exists, or seldom one that does not.
    fn lease(&mut self) -> i64 {
        let any = self.leases[self.random.index(self.leases.len())];
        match self.random.between(0, 3) {
            0 | 1 => 0,
            _ if self.memory.has_lease(any) || self.random.one_in(8) => any,
            _ => 0,
        }
    }

    /// What a watch of the real etcd tells first, as text.
    fn watched(&self, revisions: Range<i64>) -> Vec<String> {
        self.lab.etcd.call(ConnectOptions::new(), async |mut etcd| {
            let options = WatchOptions::new().with_prefix().with_start_revision(revisions.start);
            let mut stream = etcd.watch("/k/", Some(options)).await?;
            let mut told = Vec::new();
            let mut newest = 0;
            while newest + 1 < revisions.end
                && let Some(response) = stream.message().await?
            {
                for event in response.events() {
                    let kv = event.kv().expect("an event is about a key");
                    newest = kv.mod_revision();
                    let put = event.event_type() == EventType::Put;
                    let value = put.then(|| (kv.value_str().unwrap_or_default(), kv.lease()));
                    told.push(format!("{} {:?} {value:?}", newest, kv.key_str()));
                }
            }
            Ok(told)
        })
    }

    fn attached(&self, lease: i64) -> Vec<String> {
        self.lab.etcd.call(ConnectOptions::new(), async |mut etcd| {
            let options = LeaseTimeToLiveOptions::new().with_keys();
            let answer = etcd.lease_time_to_live(lease, Some(options)).await?;
            let key = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
            let mut keys: Vec<_> = answer.keys().iter().map(key).collect();
            keys.sort();
            Ok(keys)
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Succeeded,
    Failed,
    Refused,
}

fn told<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<String> {
    let text = |change: &Change| {
        let kv = change.state().kv;
        let value = kv.as_ref().map(|kv| (String::from_utf8_lossy(&kv.value), kv.lease));
        format!("{} {:?} {value:?}", change.revision, Ok::<_, ()>(&*change.key))
    };
    changes.map(text).collect()
}

#[test]
fn the_etcd_in_memory_answers_as_a_real_one() {
    let lab = Lab::new(1);
    let etcd = lab.etcd.client_of_linkd();
    let client = etcd.client();
    let read = Txn::unconditional(vec![Op::Get("/k/".to_owned())]);
    let cluster = client.call(read, Duration::from_secs(10)).expect("an answer").cluster;
    let mut pair = Pair {
        lab: &lab,
        client,
        memory: MemoryEtcd::new(cluster),
        changes: Vec::new(),
        leases: Vec::new(),
        random: Random::new(1),
    };
    pair.grant();
    let mut outcomes = Vec::new();
    for _ in 0..TRANSACTIONS {
        match pair.random.between(0, 60) {
            0 => pair.grant(),
            1 => pair.revoke(),
            _ => {
                let txn = pair.txn(3);
                outcomes.push(pair.transact(txn));
            }
        }
    }
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Refused] {
        let count = outcomes.iter().filter(|other| **other == outcome).count();
        println!("{outcome:?}: {count}");
        assert!(count > outcomes.len() / 20, "{outcome:?} {count} times");
    }
    same_contents(&mut pair);
    same_events(&pair);
}

fn same_contents(pair: &mut Pair<'_>) {
    // A last write, by which a watch is known to have told everything.
    let end = Op::Put { key: "/k/end".to_owned(), value: Vec::new(), lease: 0 };
    assert_eq!(pair.transact(Txn::unconditional(vec![end])), Outcome::Succeeded);
    pair.transact(Txn::unconditional(vec![Op::GetPrefix("/k/".to_owned())]));
    for lease in pair.memory.lease_ids() {
        let attached: Vec<_> = pair.memory.attached(lease).map(str::to_owned).collect();
        assert_eq!(attached, pair.attached(lease));
    }
}

/// Also after a compaction at a revision that has deleted something.
fn same_events(pair: &Pair<'_>) {
    let mut history = History::default();
    history.record(&pair.changes);
    let all = 2..pair.memory.revision() + 1;
    let since = |history: &History, revision| history.since(revision, "/k/").ok().map(told);
    assert_eq!(since(&history, 2), Some(pair.watched(all.clone())));
    let mut deletions = pair.changes.iter().filter(|change| change.is_deletion());
    let deleted = deletions.next_back().expect("something was deleted").revision;
    history.compact(deleted);
    pair.lab.etcd.call(ConnectOptions::new(), async |mut etcd| {
        let options = CompactionOptions::new().with_physical();
        etcd.compact(deleted, Some(options)).await.map(drop)
    });
    assert_eq!(since(&history, deleted - 1), None);
    let mut watched = pair.watched(deleted..all.end);
    // Later versions of etcd tell of what the compacted revision has deleted.
    watched.retain(|told| !(told.starts_with(&format!("{deleted} ")) && told.ends_with("None")));
    assert_eq!(since(&history, deleted), Some(watched));
}
