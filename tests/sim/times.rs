//! The times of the product, as its simulated hosts are configured.

use crate::memory_etcd::Millis;

/// How often a Go LinK looks at the lock and renews its lease, and the TTL of that, in seconds.
pub(crate) const GO_POLL: Millis = RENEWAL;
pub(crate) const GO_TTL: u32 = TTL;

/// `KEEPALIVE_INTERVAL`: between two renewals.
pub(crate) const RENEWAL: Millis = 1_000;

/// `KEEPALIVE_RETRY`.
pub(crate) const RETRIES: Millis = 5;

/// After this silence etcd counts as lost.
pub(crate) const LOSS: Millis = RENEWAL * RETRIES;

/// The TTL that is asked for, in seconds.
pub(crate) const TTL: u32 = 5;

/// Between two attempts to reach etcd while they fail (etcd::lease, ROUND_PAUSE).
pub(crate) const ROUND_PAUSE: Millis = 200;

/// How long a renewal may take: a renewal interval, with one member.
pub(crate) const RENEWAL_DEADLINE: Millis = 1_000;

/// Who oversleeps by so much did not run (etcd::lease, PAUSE).
pub(crate) const PAUSE: Millis = 1_000;

/// How long a request may take (election::thread, REQUEST; supervisor::actor, STORE).
pub(crate) const DEADLINE: Millis = 2_000;

/// How long one member may take to answer (etcd::request, ATTEMPT).
pub(crate) const ATTEMPT: Millis = 1_000;

/// Between two attempts when all members have failed (etcd::request, ROUND_PAUSE).
pub(crate) const ATTEMPT_PAUSE: Millis = 50;

/// How long etcd may take to say what is left of a lease (supervisor::actor, LEASE).
pub(crate) const LEASE_DEADLINE: Millis = 1_000;

/// How long a request may be on its way when its sender has long given up.
pub(crate) const LATE: Millis = 10_000;

/// Between two reads of the locks while the watch works (etcd::watch, SAFETY_READ).
pub(crate) const SAFETY_READ: Millis = 12_000;

/// The first and the longest pause before a watch is opened again (etcd::watch, BACK_OFF).
pub(crate) const BACK_OFF: (Millis, Millis) = (50, 1_000);

/// Between two health checks, and failures in a row before a host fails.
pub(crate) const CHECK: Millis = 1_000;
pub(crate) const FALL: u32 = 2;
pub(crate) const RISE: u32 = 1;

/// How often an address is asked about eagerly, and the gaps (net::probes).
pub(crate) const EAGER: u32 = 3;
pub(crate) const EAGER_GAP: Millis = 300;
pub(crate) const PROBE_GAP: Millis = 1_000;
/// When nobody answers: so many questions, and so long since the first or since an answer.
pub(crate) const UNANSWERED: u32 = 2;
pub(crate) const SILENCE: Millis = 1_000;
pub(crate) const SILENCE_AFTER_ANSWER: Millis = 1_500;
/// How long a host that wins the tie-break is remembered.
pub(crate) const PRECEDENCE: Millis = 2_000;

/// `PROBE_INTERVAL`: also how long a host listens that is asked what it hears.
pub(crate) const INTERVAL: Millis = 100;

/// How the host of an owner is monitored (net::probe).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two questions while it answers, and once one was not answered.
    pub(crate) calm: Millis,
    pub(crate) doubt: Millis,
    /// So many without an answer are silence, so long after the last.
    pub(crate) count: u32,
    pub(crate) patience: Millis,
}

pub(crate) const STRICT: Pace =
    Pace { calm: INTERVAL * 7 / 4, doubt: INTERVAL / 2, count: 5, patience: INTERVAL / 4 };
pub(crate) const FAST: Pace =
    Pace { calm: INTERVAL, doubt: INTERVAL, count: 3, patience: INTERVAL / 2 };

/// The pace of the questions to a host that has been silent for a while: slower than that of the product,
/// whose questions cost more steps than they tell.
pub(crate) const LONG_SILENT: (u32, Millis) = (40, 250);

/// Within the first time a host hears somebody who is there; within the others it finds out that it hears
/// nobody: since somebody was heard or could be asked, and where it knows nobody (net::probe::hearing).
pub(crate) const HEARD: Millis = 60;
pub(crate) const UNHEARD: (Millis, Millis) = (150, 1_350);
pub(crate) const UNKNOWN: Millis = 18_000;

/// How long an owner that hands over waits for neighbours (net::client, AT_ONCE).
pub(crate) const NEIGHBOURS: Millis = 30;

/// How long a call, its answer, and the key of an agent may take.
pub(crate) const CALL_DEADLINE: Millis = 1_000;

/// Between two reports that a host claims an address (net::target, CLAIM_GAP).
pub(crate) const CLAIM_GAP: Millis = 20;

/// When an address is announced again after it was bound, and how often from then on.
pub(crate) const REPEATS: [Millis; 3] = [0, 1_100, 5_000];
pub(crate) const REFRESH: Millis = 60_000;

/// Pauses before an address that the kernel did not take is added again (net::target).
pub(crate) const ADD_AGAIN: (Millis, Millis) = (100, 5_000);

/// How long an election that has left waits for the kernel (election::thread, UNBIND).
pub(crate) const UNBIND: Millis = 1_000;
