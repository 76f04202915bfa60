//! Known bugs, to be switched on: a simulator that does not find them proves nothing.

/// A bug of the simulated program. Most are the Go LinK's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A host that gives the IP up deletes the lock, whoever holds it.
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
    /// An owner does not announce the IP again after others may have had it.
    NobodyAnnouncesAgain,
    /// A standby takes the lock for itself whoever has it by then.
    UnconditionalTakeOver,
    /// A candidate takes the lock though somebody has it.
    UnconditionalCampaign,
    /// A candidacy does not end with the lease of its host.
    CandidaciesOutliveHosts,
    /// An owner that hands over lets go of the address before another host has it.
    BreakBeforeMake,
    /// The network is not asked: silence is all that is heard.
    NetworkIsNotHeard,
    /// An owner that is silent on the network is taken for dead, whatever etcd says of it.
    OneWitnessIsEnough,
    /// When etcd is back, who took the IP lets go of it for the owner of the lock, though that has died.
    TheDeadAreObeyed,
    /// Where the network alone is to tell, a standby that is deaf itself takes the owner for dead.
    DeafStandbysTakeIt,
    /// A failing owner gives the IP up though no other host could take it.
    LastOneLetsGo,
}

impl Bug {
    pub(crate) const ALL: [Bug; 18] = [
        Bug::UnconditionalUnlock,
        Bug::OwnershipSurvivesTheLease,
        Bug::DeadLeaseLooksAlive,
        Bug::LossIsOverheard,
        Bug::FailingHostsCampaign,
        Bug::DeadWatchesStayDead,
        Bug::FailuresAreFinal,
        Bug::RestartForgetsTheLease,
        Bug::NobodyAnnouncesAgain,
        Bug::UnconditionalTakeOver,
        Bug::UnconditionalCampaign,
        Bug::CandidaciesOutliveHosts,
        Bug::BreakBeforeMake,
        Bug::NetworkIsNotHeard,
        Bug::OneWitnessIsEnough,
        Bug::TheDeadAreObeyed,
        Bug::DeafStandbysTakeIt,
        Bug::LastOneLetsGo,
    ];
}
