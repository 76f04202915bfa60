//! Known bugs, to be switched on: a simulator that does not find them proves nothing.

use link::etcd::{Compare, Op, Txn};
use link::lock::{self, Advertisement, Candidacy, Request};

use crate::agent::Election;

/// A bug of the simulated program: what its cores ask for is changed on its way, or what they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A host that gives an IP up deletes the lock, whoever holds it.
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
    /// An owner does not announce an IP again after others may have had it.
    NobodyAnnouncesAgain,
    /// A candidate takes the lock though somebody has it.
    UnconditionalCampaign,
    /// A candidacy does not end with the lease of its host.
    CandidaciesOutliveHosts,
    /// An owner that hands over lets go of the address before another host has it.
    BreakBeforeMake,
    /// The network is not asked: silence is all that is heard.
    NetworkIsNotHeard,
    /// An owner that is silent on the network is taken for dead, though it answers in etcd.
    OneWitnessIsEnough,
    /// Where etcd is silent, too, all others are counted as those that miss the owner.
    MinoritiesTake,
    /// A host that hears nobody does not notice, and does not leave a free lock to others.
    DeafHostsGoFirst,
    /// Where the network alone is to tell, a standby that is deaf itself takes the owner for dead.
    DeafStandbysTakeIt,
    /// A failing owner gives an IP up though no other host could take it.
    LastOneLetsGo,
    /// What is left on the own lease by a crash is not given up.
    LeftOversAreKept,
    /// A request whose outcome is not known is taken for one that was not carried out.
    UnknownMeansNo,
    /// A host does not notice that its kernel does not take an address.
    UnboundIsNotNoticed,
    /// What is in etcd is compared with what should be there at a start only.
    EtcdIsNotReconciled,
    /// An IP of the local copy that etcd knows under another id begins anew before the old election has
    /// left, which takes the subscriptions of the address along, and its lock.
    OldElectionsUnsubscribe,
    /// An acknowledgement is guarded by the lease of the lock, which a lock that is gone has, too, and
    /// goes before everything else until etcd has carried it out.
    AcknowledgementsNeverEnd,
    /// A machine is not told from another one with its name.
    NamesakesAreTheSame,
    /// Each candidate thinks that it is the first, as all did once.
    EverybodyGoesFirst,
    /// A host is fenced by order though it answers.
    LiveHostsAreFenced,
    /// An IP joins a group whoever owns it.
    AnybodyJoins,
    /// Of the addresses of a group only the first is added and removed.
    HalfAGroupIsEnough,
}

impl Bug {
    pub(crate) const ALL: [Bug; 29] = [
        Bug::UnconditionalUnlock,
        Bug::OwnershipSurvivesTheLease,
        Bug::DeadLeaseLooksAlive,
        Bug::LossIsOverheard,
        Bug::FailingHostsCampaign,
        Bug::DeadWatchesStayDead,
        Bug::FailuresAreFinal,
        Bug::RestartForgetsTheLease,
        Bug::NobodyAnnouncesAgain,
        Bug::UnconditionalCampaign,
        Bug::CandidaciesOutliveHosts,
        Bug::BreakBeforeMake,
        Bug::NetworkIsNotHeard,
        Bug::OneWitnessIsEnough,
        Bug::MinoritiesTake,
        Bug::DeafHostsGoFirst,
        Bug::DeafStandbysTakeIt,
        Bug::LastOneLetsGo,
        Bug::LeftOversAreKept,
        Bug::UnknownMeansNo,
        Bug::UnboundIsNotNoticed,
        Bug::EtcdIsNotReconciled,
        Bug::OldElectionsUnsubscribe,
        Bug::AcknowledgementsNeverEnd,
        Bug::NamesakesAreTheSame,
        Bug::EverybodyGoesFirst,
        Bug::LiveHostsAreFenced,
        Bug::AnybodyJoins,
        Bug::HalfAGroupIsEnough,
    ];
}

/// The transaction of a request as a bug has it.
pub(crate) fn mutated(
    bug: Option<Bug>,
    request: &Request,
    election: &Election,
    mut txn: Txn,
) -> Txn {
    let lock = lock::key(&election.key);
    match (bug, request) {
        (
            Some(Bug::UnconditionalUnlock),
            Request::Advertise {
                own: Advertisement { candidacy: Candidacy::Unavailable | Candidacy::Withdrawn, .. },
                ..
            },
        ) => txn.then.push(Op::Delete(lock)),
        (Some(Bug::UnconditionalUnlock), Request::Resign { .. })
        | (Some(Bug::UnconditionalCampaign), Request::Campaign { .. }) => txn.when.clear(),
        (Some(Bug::CandidaciesOutliveHosts), _) => detach_candidacies(&mut txn),
        (Some(Bug::AcknowledgementsNeverEnd), Request::Acknowledge { .. }) => {
            let lease = election.owed.as_ref().map(|(_, lease)| Compare::Lease(lock, *lease));
            txn.when = lease.into_iter().collect();
        }
        (Some(_) | None, _) => {}
    }
    txn
}

fn detach_candidacies(txn: &mut Txn) {
    for op in txn.then.iter_mut().chain(&mut txn.otherwise) {
        match op {
            Op::Put { key, lease, .. } if !key.starts_with(lock::PREFIX) => *lease = 0,
            Op::Nested(txn) => detach_candidacies(txn),
            Op::Get(_)
            | Op::GetPrefix(_)
            | Op::Put { .. }
            | Op::Touch(_)
            | Op::Delete(_)
            | Op::DeletePrefix(_) => {}
        }
    }
}
