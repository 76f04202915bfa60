//! The calls: those of this host go to etcd ahead of all other requests, and those of other hosts are
//! answered.
//!
//! An answer needs no supervisor: etcd's thread hands a call to the actuator, which listens on the network,
//! and the answer back to etcd. The supervisor may be busy with a thousand IPs, and a caller that gets no
//! answer takes this host for dead.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use log::warn;

use super::Params;
use super::core::Event;
use crate::call::{self, Call, Exchange, Purpose, Question, Step};
use crate::etcd;
use crate::failure_detector::{self, CallNews};
use crate::net::{MonitorTiming, NetClient};

/// How long etcd may take to store a call or an answer. Nobody waits longer for it.
const STORE: Duration = Duration::from_secs(1);

/// Begins to answer; the supervisor hears of the rest.
pub(super) fn answer_calls(params: &Params, event_tx: Sender<Box<Event>>) {
    let (etcd, net) = (params.etcd.clone(), params.net.clone());
    let mut exchange = Exchange::new(&params.host);
    let sink = move |what| {
        for step in exchange.hear(what, Instant::now()) {
            let event = match step {
                Step::Answer(call) => {
                    answer(call, &net, &etcd);
                    continue;
                }
                Step::Bad(text) => {
                    warn!("{text}");
                    continue;
                }
                Step::News(host, purpose, number, news) => Event::Call(host, purpose, number, news),
                Step::Agent(host, lease, revision) => Event::Agent { host, lease, revision },
            };
            // After the supervisor has ended nobody needs to know.
            let _ = event_tx.send(Box::new(event));
        }
    };
    params.etcd.follow(Box::new(sink));
}

fn answer(call: Call, net: &NetClient, etcd: &etcd::Client) {
    let (Question { cidr, within, .. }, etcd) = (call.question, etcd.clone());
    let heard = move |heard| {
        // If it fails, the caller calls again.
        etcd.submit_at_once(call.answer_txn(heard), STORE, Box::new(|_| {}));
    };
    net.listen(cidr, within, Box::new(heard));
}

/// Calls a host.
pub(super) fn call(
    params: &Params,
    (host, purpose): (String, Purpose),
    lease: i64,
    question: Question,
    event_tx: Sender<Box<Event>>,
) {
    let key = call::call_key(&host, &params.host, purpose);
    let number = question.number;
    let reply = move |result: Result<etcd::Reply, etcd::Error>| {
        // Of a call that may be stored yet, the watch tells.
        if result.is_err_and(|error| !error.outcome_is_unknown()) {
            let _ = event_tx.send(Box::new(Event::Call(host, purpose, number, CallNews::Failed)));
        }
    };
    params.etcd.submit_at_once(call::call_txn(key, lease, question), STORE, Box::new(reply));
}

/// Removes the call to a host.
pub(super) fn end_call(params: &Params, host: &str, purpose: Purpose) {
    let end = call::end_txn(call::call_key(host, &params.host, purpose));
    params.etcd.submit_at_once(end, STORE, Box::new(|_| {}));
}

/// The pace of the detection that comes with that of the questions.
pub(super) fn detection(monitoring: MonitorTiming) -> failure_detector::Timing {
    let MonitorTiming { interval, doubt, count, alone } = monitoring;
    // It is doubted when the second question leaves, or when the only one was not answered.
    let last_sign = if count > 1 { doubt } else { monitoring.patience() } + interval / 2;
    let interval = if alone { interval } else { interval * 4 / 7 };
    failure_detector::Timing { interval, alone, last_sign }
}
