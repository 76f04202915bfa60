//! The switch that joins the namespaces: bridges in a namespace of their own.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::capture::Mac;
use super::fault::Way;
use super::namespace::Namespace;

/// The bridge of the LAN: hosts and the client.
pub(crate) const LAN: &str = "lan";
/// The bridge of the management network: hosts and etcd, in a lab that has one.
pub(crate) const MANAGEMENT: &str = "management";

/// The namespace with the bridges. Nothing of the lab is in the machine's own namespace.
pub(crate) struct Switch {
    namespace: Namespace,
}

/// A network card: one end of a cable whose other end is a port of a bridge.
#[derive(Clone, Debug)]
pub(crate) struct Nic {
    /// In the namespace of its owner.
    pub(crate) name: &'static str,
    /// The port's name: the owner's name, with a mark on the management network.
    pub(crate) port: String,
    /// [`LAN`] or [`MANAGEMENT`].
    pub(crate) bridge: &'static str,
    /// Its Ethernet address.
    pub(crate) mac: Mac,
    /// Its address, in a /16.
    pub(crate) ipv4: Ipv4Addr,
    /// Its address, in a /64.
    pub(crate) ipv6: Ipv6Addr,
    /// To whom its owner sends what is for elsewhere.
    pub(crate) gateway: Option<Ipv4Addr>,
}

impl Switch {
    /// Makes the bridges: no spanning tree, no multicast snooping, forwarding at once.
    pub(crate) fn new(namespace: Namespace) -> Switch {
        namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        for bridge in [LAN, MANAGEMENT] {
            namespace.ip(&format!("link add {bridge} type bridge stp_state 0 mcast_snooping 0"));
            namespace.ip(&format!("link set {bridge} up"));
        }
        Switch { namespace }
    }

    /// Makes a cable from a bridge to the namespace, and configures the card at its end.
    pub(crate) fn plug_in(&self, namespace: &Namespace, nic: &Nic) {
        let Nic { name, port, bridge, mac, .. } = nic;
        let end = namespace.name();
        self.namespace
            .ip(&format!("link add {port} type veth peer name {name} address {mac} netns {end}"));
        self.namespace.ip(&format!("link set {port} master {bridge} up"));
        nic.configure(namespace);
    }

    /// Drops, silently, all frames from one port to another, ARP too; the carrier stays.
    pub(crate) fn block(&self, from: &str, to: &str) {
        self.drop_frames(&format!("iifname {from} oifname {to}"));
    }

    /// Drops, silently, all frames from or to a port, or both; the carrier stays.
    pub(crate) fn isolate(&self, port: &str, way: Way) {
        if way != Way::In {
            self.drop_frames(&format!("iifname {port}"));
        }
        if way != Way::Out {
            self.drop_frames(&format!("oifname {port}"));
        }
    }

    /// Drops, silently, all frames from and to a port for that long, by the kernel's clock. A pause that
    /// lasts is over.
    pub(crate) fn pause(&self, port: &str, duration: Duration) {
        let nft = |command: &str| self.namespace.nft(command);
        nft("add table bridge pause");
        nft("delete table bridge pause");
        nft("add table bridge pause");
        nft("add set bridge pause ports { type ifname ; flags timeout ; }");
        nft("add chain bridge pause forward { type filter hook forward priority 0 ; }");
        nft("add rule bridge pause forward iifname @ports drop");
        nft("add rule bridge pause forward oifname @ports drop");
        let milliseconds = duration.as_millis();
        nft(&format!("add element bridge pause ports {{ {port} timeout {milliseconds}ms }}"));
    }

    /// Loses so many of a hundred frames at random from now on, whoever sends them.
    pub(crate) fn lose(&self, percent: u8) {
        let nft = |command: &str| self.namespace.nft(command);
        nft("add table bridge loss");
        nft("add chain bridge loss forward { type filter hook forward priority 0 ; }");
        nft(&format!("add rule bridge loss forward numgen random mod 100 < {percent} drop"));
    }

    /// Undoes all blocks.
    pub(crate) fn unblock(&self) {
        self.namespace.nft("add table bridge lab");
        self.namespace.nft("delete table bridge lab");
    }

    /// Pulls the plug: the card at the other end loses its carrier, but is not taken down.
    pub(crate) fn unplug(&self, port: &str) {
        self.namespace.ip(&format!("link set {port} down"));
    }

    /// Undoes [`Switch::unplug`].
    pub(crate) fn replug(&self, port: &str) {
        self.namespace.ip(&format!("link set {port} up"));
    }

    fn drop_frames(&self, which: &str) {
        let nft = |command: &str| self.namespace.nft(command);
        nft("add table bridge lab");
        nft("add chain bridge lab forward { type filter hook forward priority 0 ; }");
        nft(&format!("add rule bridge lab forward {which} drop"));
    }
}

impl Nic {
    /// Takes the card up and gives it its addresses, those that it does not have, and its gateway.
    pub(crate) fn configure(&self, namespace: &Namespace) {
        let Nic { name, ipv4, ipv6, gateway, .. } = self;
        namespace.ip(&format!("link set {name} up"));
        namespace.ip(&format!("addr replace {ipv4}/16 dev {name}"));
        namespace.ip(&format!("addr replace {ipv6}/64 dev {name} nodad"));
        if let Some(gateway) = gateway {
            namespace.ip(&format!("route replace default via {gateway} dev {name}"));
        }
    }
}
