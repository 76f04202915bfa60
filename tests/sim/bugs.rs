//! Known bugs, to be switched on: a simulator that does not find them proves nothing.

/// A bug of the simulated program. Most are the Go LinK's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Unlocking deletes the lock whoever holds it.
    UnconditionalUnlock,
    /// The lock is assumed to have survived another lease.
    OwnershipSurvivesTheLease,
    /// The answer to the renewal of a lease that is gone (a TTL of 0) is taken for a success.
    DeadLeaseLooksAlive,
    /// The loss of etcd is not noticed.
    LossIsOverheard,
    /// Health checks are looked at only after the election.
    FailingHostsCampaign,
    /// A watch that dies is not opened again, and nothing is read for safety.
    DeadWatchesStayDead,
    /// A request that failed is never tried again.
    FailuresAreFinal,
    /// A restarted agent does not resume its lease.
    RestartForgetsTheLease,
}

impl Bug {
    pub(crate) const ALL: [Bug; 8] = [
        Bug::UnconditionalUnlock,
        Bug::OwnershipSurvivesTheLease,
        Bug::DeadLeaseLooksAlive,
        Bug::LossIsOverheard,
        Bug::FailingHostsCampaign,
        Bug::DeadWatchesStayDead,
        Bug::FailuresAreFinal,
        Bug::RestartForgetsTheLease,
    ];
}
