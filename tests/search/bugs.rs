//! Known bugs, to be switched on: a search that does not find them proves nothing.

use link::etcd::Txn;
use link::lock::Request;

/// A bug of the world's agents: what their cores ask for is changed on its way, or what they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A candidate takes the lock though somebody has it.
    UnconditionalCampaign,
    /// An owner that hands over lets go of the address before another host has it.
    BreakBeforeMake,
    /// An owner does not announce an IP again after others may have had it.
    NobodyAnnouncesAgain,
    /// What a watch has not told is never read.
    DeadWatchesStayDead,
    /// A request that failed is never tried again.
    FailuresAreFinal,
    /// The loss of etcd is not noticed.
    LossIsOverheard,
    /// A host does not notice that its kernel does not take an address.
    UnboundIsNotNoticed,
    /// Each candidate thinks that it is the first.
    EverybodyGoesFirst,
}

impl Bug {
    pub(crate) const ALL: [Bug; 8] = [
        Bug::UnconditionalCampaign,
        Bug::BreakBeforeMake,
        Bug::NobodyAnnouncesAgain,
        Bug::DeadWatchesStayDead,
        Bug::FailuresAreFinal,
        Bug::LossIsOverheard,
        Bug::UnboundIsNotNoticed,
        Bug::EverybodyGoesFirst,
    ];

    /// The transaction of a request as the bug has it.
    pub(crate) fn spoils(self, request: &Request, mut txn: Txn) -> Txn {
        if let (Bug::UnconditionalCampaign, Request::Campaign { .. }) = (self, request) {
            txn.when.clear();
        }
        txn
    }
}
