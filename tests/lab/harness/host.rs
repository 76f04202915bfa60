//! A host: a namespace with a network card, and what its kernel says.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use super::agent::Environment;
use super::capture::Mac;
use super::monitor::AddressMonitor;
use super::namespace::Namespace;
use super::process::Process;
use super::switch::{Nic, Switch};

/// Which host; prints as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostId(pub(crate) u8);

/// The first host.
pub(crate) const H1: HostId = HostId(1);
/// The second host.
pub(crate) const H2: HostId = HostId(2);
/// The third host.
pub(crate) const H3: HostId = HostId(3);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

/// A host of the lab.
pub(crate) struct Host {
    pub(super) id: HostId,
    pub(super) namespace: Arc<Namespace>,
    pub(super) switch: Arc<Switch>,
    pub(super) nics: Vec<Nic>,
    pub(super) powered: bool,
    pub(super) folder: PathBuf,
    /// What an agent here is started with, unless a test changes it.
    pub(super) defaults: Environment,
    pub(super) environment: Environment,
    /// What executes the agent, if not the lab itself.
    pub(super) wrapper: Vec<String>,
    pub(super) agent: Option<Process>,
    /// How often an agent began to run here, by a start or a reload.
    pub(super) lives: usize,
}

impl Host {
    /// Makes a host and plugs it in.
    pub(crate) fn new(
        id: HostId,
        namespace: Namespace,
        switch: &Arc<Switch>,
        nics: Vec<Nic>,
        folder: &Path,
    ) -> Host {
        let host = Host {
            id,
            namespace: Arc::new(namespace),
            switch: Arc::clone(switch),
            nics,
            powered: true,
            folder: folder.to_owned(),
            defaults: Environment::new(),
            environment: Environment::new(),
            wrapper: Vec::new(),
            agent: None,
            lives: 0,
        };
        host.plug_in();
        host
    }

    /// Which one it is.
    pub(crate) fn id(&self) -> HostId {
        self.id
    }

    /// Its name, in the lab and in etcd.
    pub(crate) fn name(&self) -> String {
        self.id.to_string()
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// Where a member of etcd runs that this host has, and the card by which the others reach it.
    pub(super) fn place_of_etcd(&self) -> (Arc<Namespace>, Nic) {
        let nic = self.nics.last().expect("a host has a card");
        (Arc::clone(&self.namespace), nic.clone())
    }

    /// Its own IPv4 address on the LAN.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.nics[0].ipv4
    }

    /// The Ethernet address of `eth0`.
    pub(crate) fn mac(&self) -> Mac {
        self.nics[0].mac
    }

    /// True until [`Host::power_off`].
    pub(crate) fn is_powered(&self) -> bool {
        self.powered
    }

    /// True when the kernel has this address on an interface, whatever its prefix.
    ///
    /// A dump by netlink: cheap enough to be asked every 10 ms.
    pub(crate) fn binds(&self, ip: IpAddr) -> bool {
        self.addresses().contains(&ip)
    }

    /// All addresses of the host.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.namespace.run(|| {
            let interfaces = getifaddrs().expect("dump the addresses");
            let addresses = interfaces.filter_map(|interface| interface.address);
            addresses.filter_map(|address| ip_of(&address)).collect()
        })
    }

    /// Starts to listen to changes of the host's addresses.
    pub(crate) fn monitor_addresses(&self) -> AddressMonitor {
        AddressMonitor::start(&self.namespace)
    }

    /// Runs `ip` on the host, with arguments separated by blanks.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.namespace.ip(arguments)
    }

    /// Listens on a free port of the host's loopback, as a service behind a VIP. The kernel accepts
    /// connections by itself; closing the listener makes it refuse them.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        self.listen_at(Ipv4Addr::LOCALHOST, port)
    }

    /// The same at another of this host's addresses.
    pub(crate) fn listen_at(&self, address: Ipv4Addr, port: u16) -> TcpListener {
        let address = SocketAddr::from((address, port));
        self.namespace
            .run(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("listen on {address}: {error}"))
    }

    /// True when a connection from this host to that address is established.
    pub(crate) fn is_connected_to(&self, peer: IpAddr, port: u16) -> bool {
        let IpAddr::V4(peer) = peer else {
            panic!("only IPv4 connections are looked for");
        };
        // The kernel prints the address as a 32-bit number in its own byte order; 01 is ESTABLISHED.
        let wanted = format!("{:08X}:{port:04X}", u32::from_ne_bytes(peer.octets()));
        let table = self.namespace.run(|| fs::read_to_string("/proc/thread-self/net/tcp"));
        let table = table.expect("read the connections");
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.any(|row| row.get(2..4) == Some(&[wanted.as_str(), "01"]))
    }

    fn plug_in(&self) {
        for nic in &self.nics {
            self.switch.plug_in(&self.namespace, nic);
        }
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| Some(IpAddr::from(address.as_sockaddr_in6()?.ip())))
}
