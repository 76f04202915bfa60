//! With what the election of an IP is started: what the IP says itself, else what the agent says.

use super::Params;
use super::core::Origin;
use crate::election;
use crate::net;
use crate::store::Record;

/// What the election of a record needs.
pub(super) fn params(agent: &Params, record: &Record, origin: Origin) -> election::Params {
    let member = election::Member {
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
    election::Params {
        key: record.cidr.into(),
        members: vec![member],
        host: agent.host.clone(),
        company: origin == Origin::BeforeWithOthers,
        defaults: agent.checks.clone(),
        loss: record.loss.unwrap_or(agent.defaults.loss),
        priority: record.priority.unwrap_or(agent.defaults.priority),
        all_failing: agent.all_failing,
        etcd: agent.etcd.clone(),
        net: agent.net.clone(),
    }
}
