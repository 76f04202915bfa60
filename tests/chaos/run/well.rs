//! Whether all is well: what the kernels, etcd, the APIs and the client say has to agree.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use link::wire::Ip;

use super::stage::{HOSTS, Stage, VIPS};
use crate::harness::{HostId, Lab, Vip};

impl Stage {
    /// The owner of each IP if all is well, else what is not as it should be.
    pub(crate) fn owners(&mut self) -> Result<Vec<HostId>, String> {
        self.serve();
        self.agents_run()?;
        if !self.lab.etcd.is_ready() {
            return Err("etcd is not ready".to_owned());
        }
        let shown = HOSTS.map(|host| (host, self.shown(host)));
        let mut owners = Vec::new();
        for vip in VIPS {
            let owner = self.binder(vip)?;
            apis_agree(&shown, vip, owner)?;
            self.client_knows(vip, owner)?;
            owners.push(owner);
        }
        // Once, and last: etcd may take long to check a password.
        let stored = self.stored()?;
        for (vip, owner) in VIPS.into_iter().zip(&owners) {
            stored.has_lock(vip, *owner)?;
            stored.all_offer(vip)?;
        }
        let mut extras = self.extra_owners(&shown, &stored)?;
        for vip in &self.companions {
            let owner = self.binder(*vip)?;
            stored.has_lock(*vip, owner)?;
            stored.all_offer(*vip)?;
            extras.push((*vip, owner));
        }
        self.addresses_are_right(&owners, &extras)?;
        Ok(owners)
    }

    fn agents_run(&mut self) -> Result<(), String> {
        for host in HOSTS {
            if let Some(status) = self.lab[host].agent_ended() {
                return Err(format!("the agent of {host} has ended: {status}"));
            }
        }
        Ok(())
    }

    /// The only host that binds the IP.
    pub(super) fn binder(&self, vip: Vip) -> Result<HostId, String> {
        match self.lab.bound_on(vip).as_slice() {
            [one] => Ok(*one),
            bound => Err(format!("{vip} is bound on {bound:?}")),
        }
    }

    fn stored(&self) -> Result<Stored, String> {
        let begun = Instant::now();
        let entries = self.lab.etcd.try_list("/link/");
        self.longest_look.set(self.longest_look.get().max(begun.elapsed()));
        let entries = entries?;
        Ok(Stored(entries.into_iter().map(|entry| (entry.key, entry.value)).collect()))
    }

    fn client_knows(&self, vip: Vip, owner: HostId) -> Result<(), String> {
        let mac = self.lab[owner].mac().to_string();
        match self.lab.client.neighbour(vip.ip()) {
            Some(known) if known == mac => Ok(()),
            known => Err(format!("the client has {known:?} for {vip} instead of {mac}")),
        }
    }

    /// No address was left, none was lost.
    fn addresses_are_right(
        &self,
        owners: &[HostId],
        extras: &[(Vip, HostId)],
    ) -> Result<(), String> {
        for host in HOSTS {
            let owned = VIPS.iter().zip(owners).filter(|(_, owner)| **owner == host);
            let mut right = self.own[&host].clone();
            right.extend(owned.map(|(vip, _)| vip.ip()));
            let owned = extras.iter().filter(|(_, owner)| *owner == host);
            right.extend(owned.map(|(vip, _)| vip.ip()));
            let mut now = lasting_addresses(&self.lab, host);
            right.sort_unstable();
            now.sort_unstable();
            if now != right {
                return Err(format!("{host} has {now:?} instead of {right:?}"));
            }
        }
        Ok(())
    }
}

/// What etcd has, by its keys.
pub(super) struct Stored(BTreeMap<String, String>);

impl Stored {
    /// What it has under keys that begin like that, with the rest of each key.
    pub(super) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let entries = self.0.iter();
        entries.filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
    }

    /// The owner of the IP has its lock.
    pub(super) fn has_lock(&self, vip: Vip, owner: HostId) -> Result<(), String> {
        let lock = self.0.get(&format!("/link/default/{}", vip.election_key()));
        if lock.is_some_and(|lock| lock.trim() == owner.to_string()) {
            Ok(())
        } else {
            Err(format!("{vip} is bound on {owner} while {lock:?} has the lock"))
        }
    }

    /// Who has ended and come back offers it again.
    fn all_offer(&self, vip: Vip) -> Result<(), String> {
        let hosts = self.under(&format!("/link/ips/{}/", vip.election_key())).count();
        if hosts == HOSTS.len() {
            Ok(())
        } else {
            Err(format!("{vip} is offered by {hosts} hosts"))
        }
    }
}

/// Whether every host tells of an IP what is so.
fn apis_agree(shown: &[(HostId, Vec<Ip>)], vip: Vip, owner: HostId) -> Result<(), String> {
    for (host, ips) in shown {
        let ip = ips.iter().find(|ip| ip.ip == vip.to_string());
        let ip = ip.ok_or_else(|| format!("{host} does not show {vip}"))?;
        let told = (ip.status.as_str(), ip.bound, ip.owner.clone());
        let status = if *host == owner { "ACTIVATED" } else { "STANDBY" };
        if told != (status, *host == owner, Some(owner.to_string())) {
            return Err(format!("{host} says of {vip} {told:?}, but {owner} owns it"));
        }
    }
    Ok(())
}

/// All addresses of a host but those that the kernel makes of a card's Ethernet address.
pub(super) fn lasting_addresses(lab: &Lab, host: HostId) -> Vec<IpAddr> {
    let made = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    lab[host].addresses().into_iter().filter(|ip| !made(ip)).collect()
}
