//! With what the election of an IP is started: what the IP says itself, else what the agent says.

use super::Params;
use super::core::{Origin, Subject};
use crate::election;
use crate::net;
use crate::store::Record;

/// What an election needs.
pub(super) fn params(agent: &Params, subject: &Subject, origin: Origin) -> election::Params {
    let member = |record: &Record| election::Member {
        cidr: record.cidr,
        interface: record.interface.as_ref().unwrap_or(&agent.interface).clone(),
        adopts: match origin {
            Origin::New | Origin::Forced => false,
            Origin::Before | Origin::BeforeWithOthers => !net::keeps_marks(),
            Origin::Go => true,
        },
        checks: record.checks.clone(),
        timing: agent.checks.timing(record.healthcheck_interval),
    };
    let first = subject.records.first();
    election::Params {
        key: subject.key.clone(),
        members: subject.records.iter().map(member).collect(),
        host: agent.host.clone(),
        company: origin == Origin::BeforeWithOthers,
        defaults: agent.checks.clone(),
        loss: first.and_then(|it| it.loss).unwrap_or(agent.defaults.loss),
        priority: first.and_then(|it| it.priority).unwrap_or(agent.defaults.priority),
        all_failing: agent.all_failing,
        etcd: agent.etcd.clone(),
        net: agent.net.clone(),
    }
}
