//! Whether what is registered is what the APIs have said: in etcd, on the hosts, and in the kernels.

use std::collections::BTreeMap;

use link::wire::Ip;
use serde_json::Value;

use super::calls::{EXTRAS, Fact};
use super::stage::{HOSTS, Stage, VIPS};
use super::well::Stored;
use crate::harness::{HostId, Vip};

/// The `etcd_loss_policy` of each record in etcd, by the name of its host and its IP.
type Records = BTreeMap<(String, String), String>;

impl Stage {
    /// The owners of the IPs that are registered at random, if all is right with them.
    pub(super) fn extra_owners(
        &self,
        shown: &[(HostId, Vec<Ip>)],
        stored: &Stored,
    ) -> Result<Vec<(Vip, HostId)>, String> {
        let records = records(stored);
        for host in HOSTS {
            for vip in VIPS {
                let key = (host.to_string(), vip.to_string());
                records.get(&key).ok_or_else(|| format!("{host} has no record of {vip}"))?;
            }
        }
        let mut owners = Vec::new();
        for (number, vip) in EXTRAS.into_iter().enumerate() {
            let mut registered = Vec::new();
            for (host, ips) in shown {
                if self.agrees(*host, number, ips, &records)? {
                    registered.push(*host);
                }
            }
            owners.extend(self.extra_owner(vip, &registered, stored)?.map(|owner| (vip, owner)));
        }
        Ok(owners)
    }

    /// Whether a host has the IP registered, if it and etcd and what its API has answered agree.
    fn agrees(
        &self,
        host: HostId,
        number: usize,
        ips: &[Ip],
        records: &Records,
    ) -> Result<bool, String> {
        let vip = EXTRAS[number].to_string();
        let shown = ips.iter().find(|ip| ip.ip == vip).map(|ip| ip.etcd_loss_policy.as_str());
        let stored = records.get(&(host.to_string(), vip.clone())).map(String::as_str);
        if shown != stored {
            return Err(format!("{host} shows {vip} as {shown:?}, etcd has {stored:?}"));
        }
        let fact = self.ledger.facts.get(&(host, number)).copied().unwrap_or_default();
        let said = match fact {
            Fact::Unknown => return Ok(shown.is_some()),
            Fact::Absent => None,
            Fact::Registered(policy) => Some(policy),
        };
        if shown == said {
            Ok(shown.is_some())
        } else {
            Err(format!("{host} has said of {vip} {said:?}, and shows {shown:?}"))
        }
    }

    /// The owner of an IP that is registered on these hosts.
    fn extra_owner(
        &self,
        vip: Vip,
        registered: &[HostId],
        stored: &Stored,
    ) -> Result<Option<HostId>, String> {
        let bound = self.lab.bound_on(vip);
        match (bound.as_slice(), registered) {
            ([], []) => Ok(None),
            ([one], hosts) if hosts.contains(one) => {
                stored.has_lock(vip, *one).map(|()| Some(*one))
            }
            _ => Err(format!("{vip} is registered on {registered:?}, bound on {bound:?}")),
        }
    }
}

fn records(stored: &Stored) -> Records {
    let records = stored.under("/link/hosts/").filter_map(|(key, value)| {
        let host = key.split_once('/')?.0;
        let record: Value = serde_json::from_str(value).ok()?;
        let word = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        Some(((host.to_owned(), word("ip")), word("etcd_loss_policy")))
    });
    records.collect()
}
