//! The JSON of the HTTP interface, as the daemon writes it and `linkctl` reads it.

mod seen;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::seen::{CheckStanding, Checked, Claimed, LastFailover, OwnersHost};
use crate::vip::Check;

/// An IP that this host offers, as every route that names one shows it. What the Go LinK may leave
/// out reads as its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// `vip-<uuid>`; per host.
    pub id: String,
    /// `10.0.0.1/32`.
    pub ip: String,
    /// The interface on which it is bound when this host owns it.
    #[serde(default)]
    pub interface: String,
    /// `ACTIVATED`, `STANDBY` or `FAILING`.
    pub status: String,
    /// The health checks, possibly none.
    #[serde(default, deserialize_with = "null_is_none")]
    pub checks: Vec<Check>,
    /// Seconds between two checks; 0 means the daemon's default.
    #[serde(default)]
    pub healthcheck_interval: u64,
    /// `take`, `probe` or `hold`: what this host does with it when etcd is lost.
    #[serde(default)]
    pub etcd_loss_policy: String,
    /// Who is first when the IP is free: the host with the greater number, 0 to 255. The Go LinK has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// The group to which it is to belong, if to one: all IPs of a group have one owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Always `arp`.
    #[serde(default)]
    pub plugin: String,
    /// The name under which the hosts elect an owner: `10.0.0.1_32`; `group:gw` where the owner is that of a group.
    #[serde(default)]
    pub election_key: String,
    /// The host that holds the lock in etcd, as last seen; null when nobody does or etcd is silent.
    #[serde(default)]
    pub owner: Option<String>,
    /// Whether the kernel has the address on the interface, as last seen.
    #[serde(default)]
    pub bound: bool,
    /// Why the status is what it is.
    #[serde(default)]
    pub reason: String,
    /// Seconds since the status last changed.
    #[serde(default)]
    pub since: u64,
    /// Those of the fields above that the IP does not say itself: their values are the agent's.
    #[serde(default)]
    pub defaults: Vec<String>,
    /// What is known of it beside that, where one IP is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Box<Seen>>,
}

impl Ip {
    /// The fields that no request changes: what an IP is, and what its host has found.
    pub const FIXED: [&str; 8] =
        ["id", "ip", "interface", "plugin", "election_key", "status", "owner", "bound"];

    /// What one of these fields says.
    pub fn fixed(&self, field: &str) -> String {
        match field {
            "id" => self.id.clone(),
            "ip" => self.ip.clone(),
            "interface" => self.interface.clone(),
            "plugin" => self.plugin.clone(),
            "election_key" => self.election_key.clone(),
            "status" => self.status.clone(),
            "owner" => self.owner.clone().unwrap_or_else(|| "null".to_owned()),
            _ => self.bound.to_string(),
        }
    }
}

/// What a host has seen of an IP, and since when, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Since the owner in etcd is what it is.
    pub owner_since: Option<u64>,
    /// Since the kernel has the address, or does not have it.
    pub bound_since: Option<u64>,
    /// What the network says of the owner's host, where this host watches it.
    pub owners_host: Option<OwnersHost>,
    /// The machine that last claimed the address while it was here.
    pub claimed: Option<Claimed>,
    /// What the health checks have found, all together.
    pub checked: Option<Checked>,
    /// What each of them has found, in the order of `checks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStanding>,
    /// How the IP came to this host last from another one, if it did since the agent began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failover: Option<LastFailover>,
    /// For how long etcd must be silent to count as lost, in milliseconds.
    pub etcd_loss_after_ms: u64,
}

/// Go writes a list that was never set as null.
fn null_is_none<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<Check>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

/// The answer to `GET /ips`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpList {
    /// Ordered by IP.
    pub ips: Vec<Ip>,
}

/// The answer to `GET /ips/:id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneIp {
    /// The IP.
    pub ip: Ip,
}

/// The answer to `GET /ips/:id/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostList {
    /// The hosts that offer the IP, ordered by name.
    pub hosts: Vec<Host>,
}

/// A host that offers an IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name in etcd.
    pub hostname: String,
    /// Whether it is available for election.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<bool>,
    /// Whether its lease lives; not there if that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alive: Option<bool>,
    /// The hardware address of its interface, if it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_address: Option<String>,
    /// Who is first when the IP is free: the host with the greater number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

impl Host {
    /// A host of which the name is known.
    pub fn named(hostname: &str) -> Host {
        let hostname = hostname.to_owned();
        Host { hostname, available: None, alive: None, hardware_address: None, priority: None }
    }
}

/// Whether the host is drained: the answer to `GET /drain` and `POST /drain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Whether it is.
    pub drained: bool,
    /// For how many seconds more; null if until it is told otherwise.
    pub seconds_left: Option<u64>,
    /// The IPs that it has, ordered.
    pub ips: Vec<DrainedIp>,
}

/// An IP on a drained host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainedIp {
    /// `10.0.0.1/32`.
    pub ip: String,
    /// No other host can have it now, so it stays.
    pub stays: bool,
}

/// The answer to `POST /fence`: another host has no lease any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The host.
    pub host: String,
    /// The IPs that it had, by address.
    pub ips: Vec<FencedIp>,
}

/// An IP that was taken from a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencedIp {
    /// `10.0.0.1/32`.
    pub ip: String,
    /// The host that has its lock now; null if none has it yet.
    pub owner: Option<String>,
}

/// The answer to `GET /version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `v1.2.3`.
    pub version: String,
}

/// The answer to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or what is wrong most, and how much more there is.
    pub status: String,
    /// All that is wrong, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The answer to `GET /status`: the cluster as etcd has it, and as the host that was asked knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The host that was asked.
    pub host: String,
    /// Nothing needs a person.
    pub ok: bool,
    /// `ok`, or why etcd could not be read: then the rest is what the host knows by itself.
    pub etcd: String,
    /// What needs a person, worst first.
    pub findings: Vec<Finding>,
    /// How many more findings there are than are shown.
    pub more_findings: u64,
    /// The hosts, by name.
    pub hosts: Vec<ClusterHost>,
    /// Every IP that any host offers, by address.
    pub ips: Vec<ClusterIp>,
    /// How many more IPs there are than are shown.
    pub more_ips: u64,
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `etcd`, `conflict`, `no_owner`, `redundancy`, `host`, `problem` or `bad_value`; more may follow.
    pub kind: String,
    /// The IP, the host or the key that it is about.
    pub about: String,
    /// What is wrong.
    pub text: String,
    /// Seconds since it began, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// A host of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHost {
    /// Its name in etcd.
    pub hostname: String,
    /// Whether its lease lives; null if that is not known.
    pub alive: Option<bool>,
    /// The version of its agent, `v1.2.3`; null if the agent does not tell it.
    pub version: Option<String>,
    /// Seconds since its agent began, by the clocks of the two hosts.
    pub up: Option<u64>,
    /// Seconds after which its lease ends if it is not renewed.
    pub lease_left: Option<u64>,
    /// What `lease_left` is after a renewal.
    pub lease_ttl: Option<u64>,
    /// How many IPs it offers.
    pub offers: u64,
    /// How many it owns.
    pub owns: u64,
    /// Seconds since the host that was asked saw it go, if that was within an hour.
    pub gone: Option<u64>,
    /// Whether it is drained.
    #[serde(default)]
    pub drained: bool,
    /// For how many seconds it has not answered the host that was asked, though its lease lives: then it has most likely
    /// died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<u64>,
}

/// An IP that some host of the cluster offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIp {
    /// `10.0.0.1/32`.
    pub ip: String,
    /// The host that holds the lock in etcd; null when nobody does. Without etcd, the asked host if it has the address.
    pub owner: Option<String>,
    /// The hosts that offer it, by name; of an IP that belongs to a group, those that offer all of the group.
    pub candidates: Vec<ClusterCandidate>,
    /// The group to which it belongs, if to one: all IPs of the group have one owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Without etcd, of an IP that the asked host does not have: who had it when etcd was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_owner: Option<LastOwner>,
}

/// The last known owner of an IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOwner {
    /// Its name in etcd.
    pub host: String,
    /// How many seconds ago that was known.
    pub ago: u64,
}

/// A host that offers an IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCandidate {
    /// Its name in etcd.
    pub hostname: String,
    /// Whether it is there; null if that is not known.
    pub alive: Option<bool>,
    /// Whether it would take the IP: false while it fails, too.
    pub available: bool,
}

/// The answer to `GET /events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The id of the history: another one has begun when it is another.
    pub history: String,
    /// The number of the newest event: what a client asks `after` next. 0 before the first.
    pub last: u64,
    /// There were events between what the client knows and these.
    pub missed: bool,
    /// Oldest first.
    pub events: Vec<Event>,
}

/// Something that happened on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: one more than that of the event before.
    pub seq: u64,
    /// When, in UTC: `2026-11-29T07:00:00.123Z`.
    pub time: String,
    /// The host that tells it, by its name in etcd.
    pub host: String,
    /// The IP that it concerns, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// `agent`, `transition`, `move`, `conflict`, `host`, `etcd-lost`, `etcd-back`, `refused`, `change` or
    /// `trouble`.
    pub kind: String,
    /// What happened.
    pub what: String,
    /// Why; empty when there is nothing to add.
    #[serde(default)]
    pub why: String,
    /// How long it took, in milliseconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Who asked for it: the address of a client of the API, and its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How often it has happened within seconds of each other, if more than once; this is the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// `IP` where an IP was asked for that this host does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// What is wrong; the text names the thing and its value.
    pub error: String,
    /// What is not acceptable, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, Vec<String>>,
    /// `unknown` where the change may have been made all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl Error {
    /// Whether the change may have been made all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        self.outcome.as_deref() == Some("unknown")
    }
}

#[cfg(test)]
mod tests;
