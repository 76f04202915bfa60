//! What the API may ask of the supervisor, and what it may hear.
//!
//! A request carries its reply channel; the asker waits with a deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::cluster::Facts;
use crate::history::After;
use crate::metrics::Snapshot;
use crate::policy::LossPolicy;
use crate::sorted::map_of;
use crate::vip::{Check, Cidr, GroupName, VipId};
use crate::wire;

/// A command with the channel on which its outcome is expected, once.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Who asks, in words for people.
    pub by: String,
    /// Where the outcome goes; a channel of capacity 1, so that answering never blocks.
    pub reply: Sender<Result<Answer, Refusal>>,
}

/// What the API may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All IPs of this host.
    List,
    /// One IP.
    Get(VipId),
    /// Register an IP on this host.
    Create(NewVip),
    /// Register these IPs on this host, all of them or none; no address is there twice.
    CreateMany(Vec<NewVip>),
    /// Change what an IP says of itself.
    Change(VipId, Change),
    /// Take an IP off this host; answered when it is off, and another host has it or none offers it.
    Delete(VipId),
    /// Try to get the lock now.
    Lock(VipId),
    /// Hand the IP to another host, to the named one if one is named.
    Failover(VipId, Option<String>),
    /// The hosts that offer the IP.
    Hosts(VipId),
    /// Take the leases of another host, which is off: it need not be waited for that they end.
    Fence {
        /// The host.
        host: String,
        /// Do so without asking whether the host lives.
        force: bool,
    },
    /// Hand all IPs over and campaign for none, for so long or until it is told otherwise.
    Drain(Option<Duration>),
    /// Be a candidate again.
    Undrain,
    /// Whether this host is drained.
    Drained,
    /// Leave nothing of this host in etcd when the agent stops; it shares no IP any more.
    Leave,
    /// Whether the agent can keep its promises.
    Health,
    /// The whole cluster, as etcd has it and as this host knows it.
    Status,
    /// What was counted.
    Metrics,
    /// What happened after that.
    Events(After),
}

impl Command {
    /// Whether carrying it out makes a difference.
    pub fn changes(&self) -> bool {
        match self {
            Command::Create(_)
            | Command::CreateMany(_)
            | Command::Change(..)
            | Command::Delete(_)
            | Command::Lock(_)
            | Command::Failover(..)
            | Command::Fence { .. }
            | Command::Drain(_)
            | Command::Undrain
            | Command::Leave => true,
            Command::List
            | Command::Get(_)
            | Command::Hosts(_)
            | Command::Drained
            | Command::Health
            | Command::Metrics
            | Command::Status
            | Command::Events(_) => false,
        }
    }

    /// The id of the IP that it is about, of one that is registered.
    pub fn id(&self) -> Option<&VipId> {
        match self {
            Command::Get(id)
            | Command::Change(id, _)
            | Command::Delete(id)
            | Command::Lock(id)
            | Command::Failover(id, _)
            | Command::Hosts(id) => Some(id),
            Command::List
            | Command::Create(_)
            | Command::CreateMany(_)
            | Command::Fence { .. }
            | Command::Drain(_)
            | Command::Undrain
            | Command::Leave
            | Command::Drained
            | Command::Health
            | Command::Metrics
            | Command::Status
            | Command::Events(_) => None,
        }
    }

    /// What is asked for, with what makes it different from others of its kind, in two words or more.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Command::Create(new) => ("add", format!(" {}", new.cidr)),
            Command::CreateMany(all) => {
                let first = all.first().map(|new| format!(", the first is {}", new.cidr));
                ("add", format!(" {} IPs{}", all.len(), first.unwrap_or_default()))
            }
            Command::Failover(_, Some(host)) => ("failover", format!(" to {host}")),
            Command::Failover(_, None) => ("failover", String::new()),
            Command::Change(_, change) => ("change", change.words()),
            Command::Delete(_) => ("delete", String::new()),
            Command::Lock(_) => ("lock", String::new()),
            Command::Fence { host, force: false } => ("fence", format!(" {host}")),
            Command::Fence { host, force: true } => ("fence", format!(" {host} by force")),
            Command::Drain(Some(time)) => ("drain", format!(" for {} s", time.as_secs())),
            Command::Drain(None) => ("drain", String::new()),
            Command::Undrain => ("undrain", String::new()),
            Command::Leave => ("leave", String::new()),
            Command::List
            | Command::Get(_)
            | Command::Hosts(_)
            | Command::Drained
            | Command::Health
            | Command::Metrics
            | Command::Status
            | Command::Events(_) => ("read", String::new()),
        }
    }
}

impl Change {
    /// Whether there is anything that is to be different.
    pub fn is_none(&self) -> bool {
        let Change { checks, interval, loss, priority, group, fixed: _ } = self;
        let more = loss.is_some() || priority.is_some() || group.is_some();
        checks.is_none() && interval.is_none() && !more
    }

    fn words(&self) -> String {
        let checks = self.checks.as_ref().map(|checks| format!(" {} checks", checks.len()));
        let interval = self.interval.map(|interval| format!(" every {interval} s"));
        let loss = self.loss.map(|loss| match loss {
            Some(policy) => format!(" etcd_loss_policy {policy}"),
            None => " etcd_loss_policy default".to_owned(),
        });
        let priority = self.priority.map(|priority| match priority {
            Some(number) => format!(" priority {number}"),
            None => " priority default".to_owned(),
        });
        let group = self.group.as_ref().map(|group| match group {
            Some(name) => format!(" group {name}"),
            None => " group none".to_owned(),
        });
        [checks, interval, loss, priority, group].into_iter().flatten().collect()
    }
}

/// An IP to be registered, syntactically checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVip {
    /// The address.
    pub cidr: Cidr,
    /// Its health checks, possibly none.
    pub checks: Vec<Check>,
    /// Seconds between two checks; 0 for the daemon's default.
    pub healthcheck_interval: u64,
    /// The interface, or the daemon's default.
    pub interface: Option<String>,
    /// What to do when etcd is lost, or the daemon's default.
    pub loss: Option<LossPolicy>,
    /// Who is first when it is free, or the daemon's default.
    pub priority: Option<u8>,
    /// The group to which it is to belong, if to one.
    pub group: Option<GroupName>,
    /// Register it though another machine answers for the address.
    pub force: bool,
}

/// What is to be different about an IP, syntactically checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The health checks, all of them, if they are to be others.
    pub checks: Option<Vec<Check>>,
    /// Seconds between two rounds of them, 0 for the daemon's default, if that is to be something else.
    pub interval: Option<u64>,
    /// What to do when etcd is lost, or the daemon's default, if that is to be something else.
    pub loss: Option<Option<LossPolicy>>,
    /// Who is first when it is free, or the daemon's default, if that is to be something else.
    pub priority: Option<Option<u8>>,
    /// The group to which it is to belong, or that it is to belong to none, if that is to be something else.
    pub group: Option<Option<GroupName>>,
    /// What was said of fields that cannot be changed ([`wire::Ip::FIXED`]): it has to be so.
    pub fixed: Vec<(&'static str, String)>,
}

/// What was asked, done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The IPs, ordered by address; those that are new, as they were asked for.
    List(Vec<wire::Ip>),
    /// The IP asked for, or as it is after the change.
    One(Box<wire::Ip>),
    /// It is done; there is nothing to show.
    Done,
    /// The hosts that offer an IP, by name.
    Hosts(Vec<wire::Host>),
    /// Whether this host is drained.
    Drain(wire::Drain),
    /// A host is fenced.
    Fence(wire::Fence),
    /// What is wrong, worst first; empty when all is well.
    Health(Vec<String>),
    /// What was read of the cluster; boxed, and not decoded yet.
    Cluster(Box<Facts>),
    /// What was counted.
    Metrics(Box<Snapshot>),
    /// What happened.
    Events(Box<wire::Events>),
}

/// Why it was not done. Nothing was changed, except where that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no IP with this id.
    NotFound,
    /// It contradicts what is: the IP is already here, or a failover is impossible.
    Conflict(String),
    /// Well-formed but not acceptable: the messages by field.
    Invalid(BTreeMap<String, Vec<String>>),
    /// etcd cannot be reached, or has not been read yet. Nothing was changed.
    Unavailable(String),
    /// etcd did not answer: the change may have been made, or not. The text says so, and what the
    /// agent will do about it.
    OutcomeUnknown(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotFound => f.write_str("not found"),
            Refusal::Conflict(why) | Refusal::Unavailable(why) | Refusal::OutcomeUnknown(why) => {
                f.write_str(why)
            }
            Refusal::Invalid(errors) => {
                let texts = |(field, texts): (&String, &Vec<String>)| {
                    texts.iter().map(|text| format!("{field}: {text}")).collect::<Vec<_>>()
                };
                f.write_str(&errors.iter().flat_map(texts).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

impl Refusal {
    /// One field that is not acceptable.
    pub fn invalid(field: &str, message: impl Into<String>) -> Refusal {
        Refusal::Invalid(map_of([(field.to_owned(), vec![message.into()])]))
    }
}
