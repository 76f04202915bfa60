//! Whether all is well: what the kernels, etcd, the APIs and the client say has to agree.

use std::net::IpAddr;

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
            let owner = self.owner(vip)?;
            apis_agree(&shown, vip, owner)?;
            self.all_offer(vip)?;
            self.client_knows(vip, owner)?;
            owners.push(owner);
        }
        let extras = self.extra_owners(&shown)?;
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

    /// The only host that binds the IP, if it has the lock.
    pub(super) fn owner(&self, vip: Vip) -> Result<HostId, String> {
        let key = format!("/link/default/{}", vip.election_key());
        let lock = self.lab.etcd.try_ctl(&["get", "--print-value-only", &key])?;
        let bound = self.lab.bound_on(vip);
        match bound.as_slice() {
            [one] if one.to_string() == lock.trim() => Ok(*one),
            _ => Err(format!("{vip} is bound on {bound:?} while {:?} has the lock", lock.trim())),
        }
    }

    /// Who has ended and come back offers it again.
    fn all_offer(&self, vip: Vip) -> Result<(), String> {
        let offers = format!("/link/ips/{}/", vip.election_key());
        let keys = self.lab.etcd.try_ctl(&["get", "--prefix", "--keys-only", &offers])?;
        let hosts = keys.split_whitespace().count();
        if hosts == HOSTS.len() {
            Ok(())
        } else {
            Err(format!("{vip} is offered by {hosts} hosts"))
        }
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
