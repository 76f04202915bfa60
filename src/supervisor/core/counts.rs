//! The counters, and what goes on and is counted when it is over.

use std::time::{Duration, Instant};

use crate::metrics::Failovers;

/// What is counted of all IPs together.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) failovers: Failovers,
    pub(super) dual_ownership: Duration,
}

/// What goes on with an IP and is counted when it is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// It is the IP of a host that has lost it.
    pub(super) vacant: Option<Vacant>,
    /// The last time that it came here from another host.
    pub(super) last: Option<Box<Failover>>,
    /// Since when it is bound here without the lock; counted until then.
    pub(super) unconfirmed: Option<Instant>,
}

/// How an IP came here from another host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failover {
    pub(super) is_crash: bool,
    pub(super) took: Duration,
    pub(super) at: Instant,
}

/// Since when an IP that another host had is nobody's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Vacant {
    /// Since its host fell silent.
    Silent(Instant),
    /// Since it was known that its lock is another's.
    GivenUp(Instant),
}
