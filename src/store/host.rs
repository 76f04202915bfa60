//! A host as etcd knows it: its lease, and which machine goes by its name.

use serde::{Deserialize, Serialize};

use super::json;
use crate::etcd::{Compare, Kv, Op, Txn};
use crate::network::{Mac, mac_text};

/// The format of the records; the Go LinK converts what is older than its own.
const DATA_VERSION: u32 = 3;

/// The prefix of all that is stored of hosts themselves, whatever their name. What has a slash in the rest is a
/// machine that starts under a host's name, or a mark.
pub const HOSTS: &str = "/link/config/";

/// A host itself.
pub(super) fn host_key(host: &str) -> String {
    format!("{HOSTS}{host}")
}

/// All keys that begin with that of a host: its own, those of the machines that start under its name,
/// and those of hosts whose names begin with its name.
pub fn config_prefix(host: &str) -> String {
    host_key(host)
}

/// The mark of a host: written with each of its records and with the host itself, so that its revision
/// tells whether etcd still has what was written. Its value names the history that the host believes in:
/// of two histories of one cluster, which came back from different snapshots, revisions say nothing. It is where a role of etcd lets hosts write anyway;
/// what has a slash in its name is no host.
pub(super) fn mark_key(host: &str) -> String {
    format!("{HOSTS}.written/{host}")
}

/// The machines that start under the name of a host.
pub(super) fn claims_prefix(host: &str) -> String {
    format!("{}/", host_key(host))
}

/// Which machine a host is. A cloned image has the same id, and another hardware address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// Random, kept in the local copy.
    #[serde(default)]
    pub id: String,
    /// The id of the boot (`/proc/sys/kernel/random/boot_id`); empty if it is not known.
    #[serde(default)]
    pub boot: String,
    /// The hardware address of the host's interface; empty if it has none, or does not exist yet.
    #[serde(default)]
    pub hardware_address: String,
}

impl Instance {
    /// The machine with this id, boot and hardware address.
    pub fn new(id: String, boot: String, mac: Option<Mac>) -> Instance {
        Instance { id, boot, hardware_address: mac.map(mac_text).unwrap_or_default() }
    }

    /// Whether both are one machine: by its hardware address, or, where that has changed or is not
    /// known, because nothing but this machine has had this id since it booted.
    pub fn is_same(&self, other: &Instance) -> bool {
        let same = |a: &str, b: &str| !a.is_empty() && a == b;
        same(&self.hardware_address, &other.hardware_address)
            || (same(&self.id, &other.id) && same(&self.boot, &other.boot))
    }

    /// Whether this may be a machine that went by another name: one with this hardware address.
    pub fn has_hardware_of(&self, other: &Instance) -> bool {
        !self.hardware_address.is_empty() && self.hardware_address == other.hardware_address
    }

    /// The machine, for people.
    pub fn describe(&self) -> String {
        match self.hardware_address.as_str() {
            "" => "a host without a known hardware address".to_owned(),
            address => format!("the host with hardware address {address}"),
        }
    }
}

/// What is stored about a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostKey {
    /// The lease of the agent that wrote it; nothing if it had none.
    pub lease: Option<i64>,
    /// The machine; nothing if the Go LinK wrote it, or a version before machines were told apart.
    pub instance: Option<Instance>,
    /// The revision at which it was last written.
    pub revision: i64,
}

/// A machine that starts under the name of this host while this host is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The machine.
    pub instance: Instance,
    /// The revision at which the claim was last written.
    pub revision: i64,
}

/// The JSON of a host.
#[derive(Debug, Serialize, Deserialize)]
struct HostValue {
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    lease_id: i64,
    /// Version 1.9 of the Go LinK does not write it.
    #[serde(default)]
    data_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Instance>,
}

/// What a value says of a host.
pub fn read_host(kv: &Kv) -> Result<HostKey, String> {
    let value: HostValue = serde_json::from_slice(&kv.value).map_err(|error| error.to_string())?;
    let lease = Some(value.lease_id).filter(|id| *id != 0);
    Ok(HostKey { lease, instance: value.instance, revision: kv.mod_revision })
}

pub(super) fn host_value(host: &str, lease: i64, instance: &Instance) -> Vec<u8> {
    let instance = Some(instance.clone());
    let hostname = host.to_owned();
    json(&HostValue { hostname, lease_id: lease, data_version: DATA_VERSION, instance })
}

/// A claim that cannot be read is one all the same.
pub(super) fn read_claim(kv: &Kv) -> Claim {
    let instance = serde_json::from_slice(&kv.value).unwrap_or_default();
    Claim { instance, revision: kv.mod_revision }
}

pub(super) fn claim_key(host: &str, instance: &Instance) -> String {
    let name = if instance.id.is_empty() { &instance.hardware_address } else { &instance.id };
    format!("{}{name}", claims_prefix(host))
}
/// Deletes all that a host that leaves has said of itself, if nothing has changed since.
pub(super) fn forget(host: &str, revision: i64) -> Txn {
    Txn {
        when: vec![Compare::ModRevision(host_key(host), revision)],
        then: vec![
            Op::Delete(host_key(host)),
            Op::Delete(mark_key(host)),
            Op::DeletePrefix(claims_prefix(host)),
        ],
        otherwise: Vec::new(),
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
