//! A scrape: what the supervisor has counted goes to the actuator and to the client of etcd, which add
//! theirs, and from there to who has asked. Nobody waits for anybody.

use std::time::Duration;

use crossbeam_channel::Sender;

use super::Params;
use crate::command::{Answer, Refusal};
use crate::machine;
use crate::metrics::{HostCounts, Process, Snapshot};

/// Where the outcome of a command goes.
pub(super) type Reply = Sender<Result<Answer, Refusal>>;

/// Has all that is counted collected and told.
pub(super) fn collect(params: &Params, started: Duration, host: HostCounts, reply: Reply) {
    let process = Process { started, ..machine::process() };
    let budgets = params.budgets.clone();
    let etcd = params.etcd.clone();
    let counted = move |network| {
        let sink = move |etcd| {
            let snapshot =
                Snapshot { host, network, etcd, budgets, process, ..Snapshot::default() };
            // The client may have gone.
            let _ = reply.send(Ok(Answer::Metrics(Box::new(snapshot))));
        };
        etcd.count(Box::new(sink));
    };
    params.net.count(Box::new(counted));
}
