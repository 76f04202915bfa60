//! The machine on the LAN that uses the VIPs.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::capture::Capture;
use super::capture::Mac;
use super::namespace::Namespace;
use super::ping::{self, Pinger};

/// A namespace on the LAN without an agent.
pub(crate) struct Client {
    namespace: Arc<Namespace>,
    address: Ipv4Addr,
}

impl Client {
    pub(crate) fn new(namespace: Namespace, address: Ipv4Addr) -> Client {
        Client { namespace: Arc::new(namespace), address }
    }

    /// Its own IPv4 address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// True when the address answers one echo request within a third of a second.
    pub(crate) fn reaches(&self, ip: IpAddr) -> bool {
        ping::reaches(&self.namespace, ip)
    }

    /// Starts to ping the address every millisecond.
    pub(crate) fn ping(&self, ip: IpAddr) -> Pinger {
        Pinger::start(&self.namespace, ip)
    }

    /// Starts to capture what arrives here.
    pub(crate) fn capture(&self) -> Capture {
        Capture::start(&self.namespace)
    }

    /// The Ethernet address that the client's neighbour table has for the address, as text.
    pub(crate) fn neighbour(&self, ip: IpAddr) -> Option<String> {
        let entry = self.namespace.ip(&format!("neigh show to {ip} dev eth0"));
        let mut words = entry.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).map(str::to_owned)
    }

    /// Has the client know that Ethernet address for the address, as if it had been announced.
    pub(crate) fn learn(&self, ip: IpAddr, mac: Mac) {
        self.namespace.ip(&format!("neigh replace {ip} lladdr {mac} dev eth0 nud reachable"));
    }
}
