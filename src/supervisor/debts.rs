//! What etcd has still to be told: what could not be told when it happened.
//!
//! A lock that outlives its election keeps the IP from every other host, for as long as this host's
//! lease is renewed; a record that was refused to the client but written all the same would come
//! back with the next start. Both are repaired as soon as etcd can be reached.

use log::{debug, info};

use super::{Actor, Pending};
use crate::etcd;
use crate::lock;
use crate::lock::{Candidacy, Lease, Request};
use crate::store;
use crate::vip::{Cidr, VipId};

/// Something in etcd that should not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Debt {
    /// Lock and offer of an IP that was given up.
    Lock(Cidr),
    /// A record whose writing may or may not have failed.
    Record(VipId),
}

/// The debts, paid one after the other.
#[derive(Debug, Default)]
pub(super) struct Debts {
    owed: Vec<Debt>,
    /// The first is being paid.
    paying: bool,
}

impl Debts {
    pub(super) fn owe(&mut self, debt: Debt) {
        self.owed.push(debt);
    }

    /// True while the lock of this IP may still be attached to this host's lease.
    pub(super) fn has_lock(&self, cidr: Cidr) -> bool {
        self.owed.contains(&Debt::Lock(cidr))
    }
}

impl Actor {
    /// Pays the next debt; called when etcd can be reached.
    pub(super) fn pay_debts(&mut self) {
        let Lease::Held(lease) = self.lease.told else {
            return;
        };
        if self.debts.paying {
            return;
        }
        let host = &self.params.host;
        let txn = match self.debts.owed.first() {
            // What was attached to an older lease has ended with it.
            Some(Debt::Lock(cidr)) => {
                let release = Request::Resign { lease, candidacy: Candidacy::Withdrawn };
                lock::txn_of(&release, *cidr, host)
            }
            Some(Debt::Record(id)) => store::drop_record_txn(host, id),
            None => return,
        };
        self.debts.paying = true;
        self.submit(txn, Pending::Debt);
    }

    pub(super) fn on_debt_paid(&mut self, result: Result<etcd::Reply, etcd::Error>) {
        self.debts.paying = false;
        match result {
            Ok(_) => {
                let debt = self.debts.owed.remove(0);
                info!("etcd was told late: {debt:?}");
                self.pay_debts();
            }
            // The next renewal of the lease tries again, with another one first.
            Err(error) => {
                debug!("{:?}: {error}", self.debts.owed.first());
                self.debts.owed.rotate_left(1);
            }
        }
    }
}
