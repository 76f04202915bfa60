//! What can happen to a host and to its network.

use std::net::IpAddr;

use nix::sys::signal::Signal;

use super::host::Host;

/// Which way packets are dropped, seen from the host that drops them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing comes in and nothing goes out.
    Both,
    /// Nothing comes in.
    In,
    /// Nothing goes out.
    Out,
}

impl Host {
    /// Takes the host out at once: its links go down first, so that no farewell leaves it, then
    /// its agent is killed. A dead kernel has no addresses.
    pub(crate) fn power_off(&mut self) {
        self.powered = false;
        for nic in &self.nics {
            self.ip(&format!("link set {} down", nic.name));
        }
        // Nothing acts any more; the end itself takes its time.
        if let Some(agent) = &self.agent {
            agent.signal(Signal::SIGKILL);
        }
        for nic in &self.nics {
            self.ip(&format!("addr flush dev {}", nic.name));
        }
        self.kill();
    }

    /// Powers the host on again, without an agent.
    pub(crate) fn power_on(&mut self) {
        self.powered = true;
        self.nics.iter().for_each(|nic| nic.configure(&self.namespace));
    }

    /// Takes `eth0` down.
    pub(crate) fn link_down(&self) {
        self.ip("link set eth0 down");
    }

    /// Takes `eth0` up again. The kernel has dropped the IPv6 addresses: the host's own comes back.
    pub(crate) fn link_up(&self) {
        self.nics[0].configure(&self.namespace);
    }

    /// Takes the card out: `eth0` is gone, with all its addresses.
    pub(crate) fn remove_card(&self) {
        self.ip("link del eth0");
    }

    /// False from [`Host::remove_card`] to [`Host::insert_card`].
    pub(crate) fn has_card(&self) -> bool {
        self.ip("-o link show").contains("eth0")
    }

    /// Puts in a new card, with another index and another Ethernet address.
    pub(crate) fn insert_card(&mut self) {
        let nic = &mut self.nics[0];
        nic.mac.0[1] = nic.mac.0[1].wrapping_add(1);
        self.switch.plug_in(&self.namespace, &self.nics[0]);
    }

    /// Drops, silently, what goes to or comes from these addresses.
    pub(crate) fn cut(&self, peers: &[IpAddr], way: Way) {
        for peer in peers {
            let family = if peer.is_ipv4() { "ip" } else { "ip6" };
            self.firewall(
                way,
                &format!("{family} saddr {peer}"),
                &format!("{family} daddr {peer}"),
            );
        }
    }

    /// Drops, silently, what is sent to a TCP port of this host.
    pub(crate) fn cut_port(&self, port: u16) {
        self.firewall(Way::In, &format!("tcp dport {port}"), "");
    }

    /// Undoes all cuts of this host.
    pub(crate) fn heal(&self) {
        self.namespace.nft("add table inet lab");
        self.namespace.nft("delete table inet lab");
    }

    fn firewall(&self, way: Way, incoming: &str, outgoing: &str) {
        let nft = |command: &str| self.namespace.nft(command);
        nft("add table inet lab");
        if way != Way::Out {
            nft("add chain inet lab incoming { type filter hook input priority 0 ; }");
            nft(&format!("add rule inet lab incoming {incoming} drop"));
        }
        if way != Way::In {
            nft("add chain inet lab outgoing { type filter hook output priority 0 ; }");
            nft(&format!("add rule inet lab outgoing {outgoing} drop"));
        }
    }
}
