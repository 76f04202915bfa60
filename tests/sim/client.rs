//! The state of an agent's client of etcd, as `link::etcd` has it: requests under way, the lease, the
//! watch.

use std::collections::{BTreeMap, VecDeque};

use link::call::{Exchange, Purpose};
use link::etcd::{Gap, Reply, Txn};
use link::lock;
use link::store;
use link::supervisor::core::Token;
use link::vip::Slot;

use crate::cluster::No;
use crate::memory_etcd::{Change, Millis};
use crate::times::{BACK_OFF, LOSS, RENEWAL, RENEWAL_DEADLINE, ROUND_PAUSE};

/// The client of one life of an agent.
#[derive(Debug)]
pub(crate) struct Client {
    /// The newest revision of which was heard.
    pub(crate) known: i64,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) watch: Watch,
    /// What it makes of calls.
    pub(crate) exchange: Exchange,
    pub(crate) requests: BTreeMap<u64, Pending>,
    requested: u64,
}

/// A request that was not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) asker: Asker,
    pub(crate) call: Call,
    pub(crate) deadline: Millis,
    /// How often it was sent or could not be.
    pub(crate) attempts: u32,
    /// It may have been carried out.
    pub(crate) was_sent: bool,
}

/// Who waits for the answer, and for which.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    Supervisor(store::Request),
    Election(Slot, lock::Request),
    LeaseKeys(i64),
    LeaseLeft(i64),
    /// The call to this host for that, by its number.
    Call(String, Purpose, u64),
    /// Nobody waits for it.
    Nobody,
    Revoke,
    /// An order to fence a host, of which that lease is taken.
    Fence(Token, i64),
}

/// What is asked of etcd.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Transact(Txn),
    LeaseKeys(i64),
    LeaseLeft(i64),
    Revoke(i64),
}

/// What etcd says.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Reply(Reply),
    Keys(Vec<String>),
    Left(i64, i64),
    Revoked,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    /// It may have been carried out, or be carried out yet.
    Unknown,
    NotSent,
    Refused(No),
}

impl Client {
    pub(crate) fn new(host: &str) -> Client {
        Client {
            known: 0,
            keeper: None,
            watch: Watch::default(),
            exchange: Exchange::new(host),
            requests: BTreeMap::new(),
            requested: 0,
        }
    }

    /// Takes note of a request, and numbers it.
    pub(crate) fn add(&mut self, asker: Asker, call: Call, deadline: Millis) -> u64 {
        self.requested += 1;
        let pending = Pending { asker, call, deadline, attempts: 0, was_sent: false };
        self.requests.insert(self.requested, pending);
        self.requested
    }

    pub(crate) fn heard(&mut self, revision: i64) {
        self.known = self.known.max(revision);
    }

    /// Whether the lease is held, as far as the keeper knows.
    pub(crate) fn holds_lease(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.lease.is_some() && !keeper.lost)
    }
}

/// What keeps the lease.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) lease: Option<i64>,
    /// The first lease that was held in this life.
    pub(crate) first: Option<i64>,
    /// In milliseconds, once etcd has told it.
    pub(crate) ttl: Option<Millis>,
    /// When the last renewal was sent that etcd acknowledged, or when it was begun to try.
    pub(crate) heard: Millis,
    pub(crate) lost: bool,
    /// When the renewal that is under way was sent.
    pub(crate) sent: Option<Millis>,
    /// When to try next, while none is under way.
    pub(crate) next: Millis,
    /// Until when etcd gets another chance, since this process did not run.
    turn: Option<Millis>,
    /// Numbers the plans to act: only the last one counts.
    pub(crate) plan: u64,
}

impl Keeper {
    pub(crate) fn new(lease: Option<i64>, heard: Millis, now: Millis) -> Keeper {
        Keeper {
            lease,
            first: None,
            ttl: None,
            heard,
            lost: false,
            sent: None,
            next: now,
            turn: None,
            plan: 0,
        }
    }

    pub(crate) fn acknowledged(&mut self, lease: i64, ttl: u32) {
        self.heard = self.sent.take().unwrap_or(self.heard);
        self.lease = Some(lease);
        self.first.get_or_insert(lease);
        self.ttl = Some(Millis::from(ttl) * 1_000);
        self.lost = false;
        self.turn = None;
        self.next = self.heard + self.interval();
    }

    pub(crate) fn interval(&self) -> Millis {
        self.ttl.map_or(RENEWAL, |ttl| RENEWAL.min(ttl / 5))
    }

    fn lost_at(&self) -> Millis {
        let silent = self.heard + LOSS;
        self.turn.map_or(silent, |turn| silent.max(turn))
    }

    /// Whether etcd counts as lost from now on. What is noticed much later was held up by a pause of
    /// this process, and says nothing of etcd.
    pub(crate) fn is_lost_now(&mut self, now: Millis) -> bool {
        if self.lost || now < self.lost_at() {
            return false;
        }
        if now >= self.lost_at() + ROUND_PAUSE && self.turn.is_none() {
            self.turn = Some(now + RENEWAL_DEADLINE);
            return false;
        }
        self.lost = true;
        true
    }

    /// When there is something to do next.
    pub(crate) fn deadline(&self) -> Millis {
        let attempt = self.sent.map_or(self.next, |sent| sent + RENEWAL_DEADLINE);
        if self.lost { attempt } else { attempt.min(self.lost_at()) }
    }
}

/// The watch over the locks and this host's keys.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Numbers the attempts to read and watch.
    pub(crate) generation: u64,
    pub(crate) open: bool,
    /// A read is under way.
    pub(crate) reads: bool,
    /// etcd sends what changes.
    pub(crate) streams: bool,
    pub(crate) cluster: u64,
    pub(crate) pause: Millis,
    /// The widest gap since it was opened last.
    pub(crate) gap: Gap,
    /// At which revision the locks were read last, and how many there were.
    pub(crate) seen: (i64, usize),
    /// What etcd has sent and was not heard yet.
    pub(crate) queue: VecDeque<(Millis, Vec<Change>)>,
    /// The next deletion gets lost.
    pub(crate) loses_deletion: bool,
    /// The next watch tells old events first.
    pub(crate) repeats_old: bool,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            generation: 0,
            open: false,
            reads: false,
            streams: false,
            cluster: 0,
            pause: BACK_OFF.0,
            gap: Gap::None,
            seen: (0, 0),
            queue: VecDeque::new(),
            loses_deletion: false,
            repeats_old: false,
        }
    }
}
