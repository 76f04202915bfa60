//! How a lab is described and made.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Once};

use super::capture::Mac;
use super::client::Client;
use super::disk::Disk;
use super::etcd::{Etcd, Made, Protection};
use super::host::{Host, HostId};
use super::lab::Lab;
use super::namespace::{self, Namespace};
use super::release::Release;
use super::scratch::{self, Scratch};
use super::switch::{LAN, MANAGEMENT, Nic, Switch};

/// The client's number.
const CLIENT: u8 = 99;

/// What a lab has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Builder {
    hosts: u8,
    members: u8,
    protection: Protection,
    on_hosts: bool,
    management: bool,
    gateway: bool,
    etcd_flags: &'static [&'static str],
    etcd_release: Option<Release>,
    disk: bool,
}

impl Builder {
    /// So many hosts and one etcd member, without TLS and passwords.
    pub(crate) fn new(hosts: u8) -> Builder {
        Builder {
            hosts,
            members: 1,
            protection: Protection::default(),
            on_hosts: false,
            management: false,
            gateway: false,
            etcd_flags: &[],
            etcd_release: None,
            disk: false,
        }
    }

    /// With so many etcd members, 0 for none.
    pub(crate) fn etcd_members(mut self, members: u8) -> Builder {
        self.members = members;
        self
    }

    /// With so many etcd members, each on a host, from the first host on: see [`Lab::power_off`]. An
    /// agent's first endpoint is the member of its own host, if there is one.
    pub(crate) fn etcd_on_hosts(mut self, members: u8) -> Builder {
        self.members = members;
        self.on_hosts = true;
        self
    }

    /// With TLS between agents and etcd, in both directions.
    pub(crate) fn tls(mut self) -> Builder {
        self.protection.tls = true;
        self
    }

    /// With users and passwords in etcd.
    pub(crate) fn password(mut self) -> Builder {
        self.protection.password = true;
        self
    }

    /// With etcd on a network of its own.
    pub(crate) fn management_network(mut self) -> Builder {
        self.management = true;
        self
    }

    /// With the client as the gateway of all hosts.
    pub(crate) fn gateway(mut self) -> Builder {
        self.gateway = true;
        self
    }

    /// With these flags for each etcd member, beside those that the lab needs.
    pub(crate) fn etcd_flags(mut self, flags: &'static [&'static str]) -> Builder {
        self.etcd_flags = flags;
        self
    }

    /// With this etcd instead of the one in `PATH`.
    pub(crate) fn etcd_release(mut self, release: Release) -> Builder {
        self.etcd_release = Some(release);
        self
    }

    /// With etcd's data on a disk that can stall.
    pub(crate) fn etcd_on_a_disk(mut self) -> Builder {
        self.disk = true;
        self
    }

    /// Makes it, and starts etcd. No agent runs yet.
    pub(crate) fn build(self) -> Lab {
        static SWEPT: Once = Once::new();
        namespace::demand_root();
        SWEPT.call_once(|| {
            namespace::sweep();
            scratch::sweep();
        });
        let folder = Scratch::new();
        let namespace = |name: &str| Namespace::create(format!("{}-{name}", folder.name()));
        let switch = Arc::new(Switch::new(namespace("switch")));
        let client = namespace("client");
        let client_nic = nic("client", CLIENT, LAN);
        switch.plug_in(&client, &client_nic);
        let client = Client::new(client, client_nic.ipv4);
        let hosts = self.host_ids().map(|id| {
            let (name, nics) = (id.to_string(), self.host_nics(id));
            Host::new(id, namespace(&name), &switch, nics, folder.path())
        });
        let hosts: Vec<Host> = hosts.collect();
        let members = (1..=self.members).map(|number| {
            if self.on_hosts {
                return hosts[usize::from(number) - 1].place_of_etcd();
            }
            let name = format!("etcd{number}");
            let (member, nic) = (namespace(&name), nic(&name, 80 + number, self.etcd_bridge()));
            switch.plug_in(&member, &nic);
            (Arc::new(member), nic)
        });
        let members = members.collect();
        let disk = self.disk.then(|| Disk::new(folder.path()));
        let data = disk.as_ref().map_or(folder.path(), Disk::path);
        let made = Made { release: self.etcd_release, flags: self.etcd_flags, folder: data };
        let mut etcd = Etcd::start(members, self.protection, made);
        etcd.disk = disk;
        Lab::new_from(hosts, etcd, client, switch, folder)
    }

    fn host_ids(self) -> impl Iterator<Item = HostId> {
        (1..=self.hosts).map(HostId)
    }

    fn host_nics(self, id: HostId) -> Vec<Nic> {
        let bridges: &[&str] = if self.management { &[LAN, MANAGEMENT] } else { &[LAN] };
        let (name, number) = (id.to_string(), 10 + id.0);
        let nics = bridges.iter().map(|bridge| nic(&name, number, bridge));
        let mut nics: Vec<Nic> = nics.collect();
        nics[0].gateway = self.gateway.then(|| nic("client", CLIENT, LAN).ipv4);
        nics
    }

    fn etcd_bridge(self) -> &'static str {
        if self.management { MANAGEMENT } else { LAN }
    }
}

/// A card with addresses by number: 10.0.0.11 and fd00::11 on the LAN, 10.1.… and fd01::… on the
/// management network.
pub(super) fn nic(owner: &str, number: u8, bridge: &'static str) -> Nic {
    let (network, name, mark) = if bridge == LAN { (0, "eth0", "") } else { (1, "eth1", "m") };
    let last = u16::from_str_radix(&number.to_string(), 16).expect("digits are hexadecimal digits");
    Nic {
        name,
        port: format!("{owner}{mark}"),
        bridge,
        // Locally administered (RFC 7042, section 2.1).
        mac: Mac([2, 0, 0, 0, network, number]),
        ipv4: Ipv4Addr::new(10, network, 0, number),
        ipv6: Ipv6Addr::new(0xfd00 + u16::from(network), 0, 0, 0, 0, 0, 0, last),
        gateway: None,
    }
}
