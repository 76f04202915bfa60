//! The format of a record, in etcd and in the local copy.
//!
//! What is read is untrusted: a value either is a record, or belongs to another plugin of the Go
//! LinK, or it is told why it is neither.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{json, records_prefix};
use crate::interface_name;
use crate::lock::OtherPrefix;
use crate::policy::LossPolicy;
use crate::vip::{Check, Cidr, GroupName, LONGEST_INTERVAL, MAX_CHECKS, VipId};

/// An IP that is registered on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: VipId,
    /// The address.
    pub cidr: Cidr,
    /// Its health checks, possibly none.
    pub checks: Vec<Check>,
    /// Seconds between two checks; 0 for the daemon's default.
    pub healthcheck_interval: u64,
    /// The interface; the daemon's default if none.
    pub interface: Option<String>,
    /// What to do when etcd is lost; the daemon's default if none.
    pub loss: Option<LossPolicy>,
    /// Who is first when the IP is free; the daemon's default if none.
    pub priority: Option<u8>,
    /// The group to which it is to belong, if to one.
    pub group: Option<GroupName>,
    /// The revision at which the record was last written.
    pub revision: i64,
}

impl Record {
    /// Whether two records say the same, whenever they were written.
    pub fn is_same(&self, other: &Record) -> bool {
        Record { revision: 0, ..self.clone() } == Record { revision: 0, ..other.clone() }
    }
}

/// Why a key was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It was written by another; it is now at this revision (0: it is gone).
    Changed(i64),
    /// A host offers the address with another prefix length.
    OtherPrefix(OtherPrefix),
}

/// The JSON of a [`Record`]. Versions 1 and 2 of the Go LinK know no plugins; version 3 may have the
/// address in `plugin_config` only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordValue {
    pub(super) id: String,
    #[serde(default)]
    ip: String,
    #[serde(default)]
    checks: Option<Vec<Check>>,
    /// Those of which the Go LinK knows nothing: it would not read a record that has them in `checks`. What is not
    /// understood was written by a newer version.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    more_checks: Vec<Value>,
    #[serde(default)]
    healthcheck_interval: u64,
    #[serde(default = "arp")]
    plugin: String,
    #[serde(default)]
    plugin_config: Option<PluginConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    /// The Go LinK does not write it. Whatever it is: no IP is lost for a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etcd_loss_policy: Option<Value>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<Value>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PluginConfig {
    #[serde(default)]
    ip: String,
}

/// What a value was found to be.
pub(super) struct Found {
    pub(super) record: Record,
    /// What of it could not be understood, and counts as not set.
    pub(super) skipped: Option<String>,
}

impl RecordValue {
    /// The record, written at this revision; nothing if it belongs to another plugin.
    pub(super) fn into_record(self, revision: i64) -> Result<Option<Found>, String> {
        if self.plugin != "arp" {
            return Ok(None);
        }
        let id: VipId = self.id.parse().map_err(|error| format!("id {:?} {error}", self.id))?;
        let text = match (self.ip.as_str(), &self.plugin_config) {
            ("", Some(config)) => &config.ip,
            (ip, _) => ip,
        };
        let cidr: Cidr = text.parse().map_err(|error| format!("ip {text:?} {error}"))?;
        if let Some(why) = cidr.unusable() {
            return Err(format!("ip {cidr} {why}"));
        }
        if let Some(name) = &self.interface {
            interface_name::check(name).map_err(|why| format!("interface {name:?} {why}"))?;
        }
        let (mut checks, mut skipped) = (self.checks.unwrap_or_default(), Vec::new());
        for value in self.more_checks {
            match Check::deserialize(&value) {
                Ok(check) => checks.push(check),
                Err(error) => skipped.push(format!("more_checks: {error}")),
            }
        }
        let mut checks = Check::in_order(checks);
        if checks.len() > MAX_CHECKS {
            skipped.push(format!(
                "{} checks are too many, {MAX_CHECKS} are made; the others are lost with the next change of the IP",
                checks.len()
            ));
            checks.truncate(MAX_CHECKS);
        }
        let loss = self.etcd_loss_policy.as_ref().map(loss_policy).transpose();
        let priority = self.priority.as_ref().map(priority).transpose();
        let group = self.group.as_ref().map(group).transpose();
        let wrong = [loss.as_ref().err(), priority.as_ref().err(), group.as_ref().err()];
        skipped.extend(wrong.into_iter().flatten().cloned());
        let record = Record {
            id,
            cidr,
            checks,
            healthcheck_interval: self.healthcheck_interval.min(LONGEST_INTERVAL),
            interface: self.interface,
            loss: loss.unwrap_or_default(),
            priority: priority.unwrap_or_default(),
            group: group.unwrap_or_default(),
            revision,
        };
        let skipped = (!skipped.is_empty()).then(|| skipped.join("; "));
        Ok(Some(Found { record, skipped }))
    }
}

fn loss_policy(value: &Value) -> Result<LossPolicy, String> {
    let word = value.as_str().unwrap_or_default();
    word.parse().map_err(|error| format!("etcd_loss_policy {value} {error}"))
}

fn group(value: &Value) -> Result<GroupName, String> {
    let name = value.as_str().unwrap_or_default();
    name.parse().map_err(|error| format!("group {value} {error}"))
}

fn priority(value: &Value) -> Result<u8, String> {
    let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| format!("priority {value} is not in 0-255"))
}

impl From<&Record> for RecordValue {
    fn from(record: &Record) -> RecordValue {
        let ip = record.cidr.to_string();
        let (known, more): (Vec<Check>, Vec<Check>) =
            record.checks.iter().cloned().partition(Check::is_tcp);
        RecordValue {
            id: record.id.to_string(),
            ip: ip.clone(),
            checks: Some(known),
            more_checks: more.into_iter().filter_map(|it| serde_json::to_value(it).ok()).collect(),
            healthcheck_interval: record.healthcheck_interval,
            plugin: arp(),
            plugin_config: Some(PluginConfig { ip }),
            interface: record.interface.clone(),
            etcd_loss_policy: record.loss.map(|policy| policy.to_string().into()),
            priority: record.priority.map(Value::from),
            group: record.group.as_ref().map(|name| name.to_string().into()),
        }
    }
}

/// A list that is null is empty, and what is none is one that is not understood.
fn list<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<Value>, D::Error> {
    let value = Value::deserialize(value)?;
    if let Value::Array(items) = value {
        return Ok(items);
    }
    Ok(if value.is_null() { Vec::new() } else { vec![value] })
}

fn arp() -> String {
    "arp".to_owned()
}

pub(super) fn record_key(host: &str, id: &VipId) -> String {
    format!("{}{id}", records_prefix(host))
}

pub(super) fn record_value(record: &Record) -> Vec<u8> {
    json(&RecordValue::from(record))
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
