//! The JSON of the HTTP interface, as the daemon writes it and `linkctl` reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Always `arp`.
    #[serde(default)]
    pub plugin: String,
    /// The name under which the hosts elect an owner: `10.0.0.1_32`.
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
mod tests {
    use super::*;

    #[test]
    fn what_the_go_link_shows_is_read() {
        let text = r#"{"id":"vip-1","ip":"10.0.0.1/32","status":"STANDBY","checks":null}"#;
        let ip: Ip = serde_json::from_str(text).unwrap();
        assert_eq!((ip.ip.as_str(), ip.checks.len(), ip.owner), ("10.0.0.1/32", 0, None));
    }
}
