//! The lab in which it happens: what can be done to it, and whether all is well in it.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::time::Instant;

use link::wire::{Ip, IpList};
use serde_json::json;

use super::watch::Watch;
use crate::harness::{H1, H2, H3, HostId, Lab, Pinger, VIP, VIP2, VIP6, Vip, eventually, until};

/// The IPs that the hosts share. Each is first offered on another host.
pub(crate) const VIPS: [Vip; 3] = [VIP, VIP2, VIP6];

/// The number of the one with a service behind it.
pub(crate) const CHECKED: usize = 1;

/// The hosts.
pub(crate) const HOSTS: [HostId; 3] = [H1, H2, H3];

/// The port of the service, on each host's loopback.
const PORT: u16 = 8080;

/// What the agents are started with; [`super::bounds`] is derived from it.
pub(crate) const ENVIRONMENT: [(&str, &str); 5] = [
    ("KEEPALIVE_INTERVAL", "500ms"),
    ("KEEPALIVE_RETRY", "7"),
    ("HEALTH_CHECK_INTERVAL", "300ms"),
    ("HEALTH_CHECK_TIMEOUT", "300ms"),
    ("FAIL_COUNT_BEFORE_FAILOVER", "2"),
];

/// The lab with its agents, its services and the watch.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) watch: Watch,
    pub(super) services: BTreeMap<HostId, TcpListener>,
    /// The addresses of each host without the IPs: they must stay as they are.
    own: BTreeMap<HostId, Vec<IpAddr>>,
    holds: bool,
    /// Who must not be touched now: a fault that lasts is being done to it.
    pub(super) struck: Vec<HostId>,
}

impl Stage {
    /// Three hosts with agents that share the IPs, a client, and etcd on a network of its own.
    pub(crate) fn new(policy: &str) -> Stage {
        let mut lab = Lab::builder(3).etcd_members(3).management_network().build();
        let watch = Watch::start(HOSTS.map(|host| (host, lab[host].monitor_addresses())));
        let services = HOSTS.map(|host| (host, listen(&lab, host)));
        let own = HOSTS.map(|host| (host, lasting_addresses(&lab, host)));
        for host in HOSTS {
            lab[host].start_with(&[&ENVIRONMENT[..], &[("ETCD_LOSS_POLICY", policy)]].concat());
        }
        let mut stage = Stage {
            lab,
            watch,
            services: services.into(),
            own: own.into(),
            holds: policy == "hold",
            struck: Vec::new(),
        };
        for (number, vip) in VIPS.into_iter().enumerate() {
            for host in 0..HOSTS.len() {
                stage.offer(HOSTS[(number + host) % HOSTS.len()], number, vip);
            }
        }
        stage
    }

    fn offer(&mut self, host: HostId, number: usize, vip: Vip) {
        let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": PORT });
        let checks = if number == CHECKED { json!([check]) } else { json!([]) };
        self.lab[host].api().create(&json!({ "ip": vip.to_string(), "checks": checks }));
        eventually("somebody owns it", || {
            self.serve();
            self.lab.owner(vip).is_some()
        });
    }

    /// Whether nobody takes an IP without etcd that he does not have.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// Starts to ping all IPs.
    pub(crate) fn ping(&self) -> [Pinger; VIPS.len()] {
        VIPS.map(|vip| self.lab.client.ping(vip.ip()))
    }

    /// Lets the time pass until that moment.
    pub(crate) fn pass_until(&mut self, moment: Instant) {
        until(moment.saturating_duration_since(Instant::now()), || {
            self.serve();
            false
        });
        self.watch.look();
    }

    /// Takes the connections of the health checks away: the queue of a listener is not endless.
    fn serve(&self) {
        for service in self.services.values() {
            while service.accept().is_ok() {}
        }
    }

    /// Starts the services that do not run.
    pub(crate) fn start_services(&mut self) {
        for host in HOSTS {
            self.services.entry(host).or_insert_with(|| listen(&self.lab, host));
        }
    }

    /// Whether all is well: the owner of each IP, or what is not as it should be.
    pub(crate) fn owners(&mut self) -> Result<Vec<HostId>, String> {
        self.serve();
        for host in HOSTS {
            if let Some(status) = self.lab[host].agent_ended() {
                return Err(format!("the agent of {host} has ended: {status}"));
            }
        }
        if !self.lab.etcd.is_ready() {
            return Err("etcd is not ready".to_owned());
        }
        let shown = HOSTS.map(|host| (host, self.shown(host)));
        let owners = (0..VIPS.len()).map(|vip| self.owner_of(vip, &shown));
        let owners = owners.collect::<Result<Vec<_>, _>>()?;
        self.addresses_are_right(&owners)?;
        Ok(owners)
    }

    fn owner_of(&self, number: usize, shown: &[(HostId, Vec<Ip>)]) -> Result<HostId, String> {
        let vip = VIPS[number];
        let lock = self.lab.etcd.try_ctl(&[
            "get",
            "--print-value-only",
            &format!("/link/default/{}", vip.election_key()),
        ])?;
        let holder = lock.trim();
        let bound = self.lab.bound_on(vip);
        let owner = match bound.as_slice() {
            [one] if one.to_string() == holder => *one,
            _ => return Err(format!("{vip} is bound on {bound:?} while {holder:?} has the lock")),
        };
        for (host, ips) in shown {
            let ip = ips.iter().find(|ip| ip.ip == vip.to_string());
            let ip = ip.ok_or_else(|| format!("{host} does not show {vip}"))?;
            let status = if *host == owner { "ACTIVATED" } else { "STANDBY" };
            let told = (ip.status.as_str(), ip.bound, ip.owner.as_deref());
            if told != (status, *host == owner, Some(holder)) {
                return Err(format!("{host} says of {vip} {told:?}, but {holder} owns it"));
            }
        }
        let offered = format!("/link/ips/{}/", vip.election_key());
        let offered = self.lab.etcd.try_ctl(&["get", "--prefix", "--keys-only", &offered])?;
        let hosts = offered.split_whitespace().count();
        if hosts != HOSTS.len() {
            return Err(format!("{vip} is offered by {hosts} hosts"));
        }
        self.client_knows(vip, owner).map(|()| owner)
    }

    fn client_knows(&self, vip: Vip, owner: HostId) -> Result<(), String> {
        let mac = self.lab[owner].mac().to_string();
        match self.lab.client.neighbour(vip.ip()) {
            Some(known) if known == mac => Ok(()),
            known => Err(format!("the client has {known:?} for {vip} instead of {mac}")),
        }
    }

    fn addresses_are_right(&self, owners: &[HostId]) -> Result<(), String> {
        for host in HOSTS {
            let owned = VIPS.iter().zip(owners).filter(|(_, owner)| **owner == host);
            let mut right = self.own[&host].clone();
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

    /// What a host's API shows.
    pub(super) fn shown(&self, host: HostId) -> Vec<Ip> {
        let answer = self.lab[host].api().try_send("GET", "/ips", None);
        let list = answer.ok().and_then(|answer| serde_json::from_str(&answer.body).ok());
        list.map(|list: IpList| list.ips).unwrap_or_default()
    }
}

fn listen(lab: &Lab, host: HostId) -> TcpListener {
    let service = lab[host].listen(PORT);
    service.set_nonblocking(true).expect("a listener can be asked without waiting");
    service
}

/// All addresses of a host but those that the kernel makes of a card's Ethernet address.
fn lasting_addresses(lab: &Lab, host: HostId) -> Vec<IpAddr> {
    let made = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    lab[host].addresses().into_iter().filter(|ip| !made(ip)).collect()
}
