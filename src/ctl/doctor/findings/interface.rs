//! Interfaces, parameters of the kernel, the programs that manage interfaces, the firewall.

use std::net::IpAddr;

use super::Findings;
use crate::ctl::doctor::facts::{Facts, Interface};
use crate::vip::Cidr;

pub(super) fn look(facts: &Facts, found: &mut Findings) {
    for interface in &facts.interfaces {
        if is_usable(interface, found) {
            parameters(facts, interface, found);
            secondaries(facts, interface, found);
        }
    }
    managers(facts, found);
    if let Some(table) = &facts.drops_arp {
        let text = format!("the firewall has a rule that drops ARP (table arp {table})");
        let remedy = format!(
            "let through requests and replies for the IPs: nft list table arp {table}; without them \
             no neighbour finds an IP, and owners look dead"
        );
        found.error("firewall", text, remedy);
    }
}

/// Whether it can have IPs at all.
fn is_usable(interface: &Interface, found: &mut Findings) -> bool {
    let name = &interface.name;
    if !interface.exists {
        let text = "there is no such interface: IPs on it are FAILING here";
        let remedy = "correct INTERFACE (ip link lists what there is), or bring the interface back";
        found.error(name, text, remedy);
    } else if !interface.up {
        let text = "the interface is down: IPs on it are FAILING here";
        found.error(name, text, format!("ip link set {name} up, and see who set it down"));
    } else if !interface.carrier {
        let text = "the interface has no carrier: IPs on it are FAILING here";
        found.error(name, text, "look at cable, switch port, or the bond or bridge below it");
    } else {
        return true;
    }
    false
}

fn parameters(facts: &Facts, interface: &Interface, found: &mut Findings) {
    let (name, set) = (&interface.name, &interface.parameters);
    if set.arp_ignore == 8 {
        let text =
            "arp_ignore is 8: the kernel answers for no address, so that nobody reaches an IP";
        let remedy =
            format!("sysctl -w net.ipv4.conf.{name}.arp_ignore=1, and the same for conf.all");
        found.error(name, text, remedy);
    }
    if !interface.beside.is_empty() && (set.arp_ignore == 0 || set.arp_announce == 0) {
        let text = format!(
            "{} is on the same network, arp_ignore is {} and arp_announce {}: the host answers for an \
             IP with either hardware address",
            interface.beside.join(", "),
            set.arp_ignore,
            set.arp_announce
        );
        let remedy = "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2, and keep that \
             in /etc/sysctl.d";
        found.warning(name, text, remedy);
    }
    let elsewhere = facts.default_routes.iter().filter(|route| *route != name);
    let elsewhere: Vec<&str> = elsewhere.map(String::as_str).collect();
    let is_here = facts.default_routes.len() > elsewhere.len();
    // By the loopback interface nothing comes from others.
    let matters = set.rp_filter == 1 && name != "lo";
    if matters && !elsewhere.is_empty() && !is_here {
        let text = format!(
            "rp_filter is 1 and the default route is by {}: what clients of other networks send to \
             an IP here is dropped",
            elsewhere.join(", ")
        );
        let remedy = format!(
            "sysctl -w net.ipv4.conf.{name}.rp_filter=2, or a route by {name} for those networks"
        );
        found.warning(name, text, remedy);
    }
    let sixth = on(facts, name).find(|cidr| cidr.addr().is_ipv6());
    if let Some(cidr) = sixth.filter(|_| set.ipv6_disabled) {
        let text = format!("IPv6 is off here, and {cidr} is to be on it");
        let remedy = format!(
            "sysctl -w net.ipv6.conf.{name}.disable_ipv6=0, or linkctl delete {}",
            cidr.addr()
        );
        found.error(name, text, remedy);
    }
}

/// IPs that the kernel removes together with an address of the host.
fn secondaries(facts: &Facts, interface: &Interface, found: &mut Findings) {
    if interface.parameters.promote_secondaries {
        return;
    }
    let name = &interface.name;
    let ips: Vec<Cidr> = on(facts, name).collect();
    let own = |cidr: &Cidr| {
        interface.addresses.iter().any(|(address, prefix)| {
            let is_ip = ips.iter().any(|ip| ip.addr() == *address);
            !is_ip
                && u32::from(cidr.prefix()) == *prefix
                && same_network(*address, cidr.addr(), *prefix)
        })
    };
    let subject = ips.iter().find(|cidr| cidr.addr().is_ipv4() && cidr.prefix() < 32 && own(cidr));
    if let Some(cidr) = subject {
        let text = format!(
            "promote_secondaries is 0: the kernel removes {cidr} together with the host's own address \
             of that network"
        );
        let remedy = format!(
            "sysctl -w net.ipv4.conf.{name}.promote_secondaries=1, or register the IP as /32"
        );
        found.warning(name, text, remedy);
    }
}

fn managers(facts: &Facts, found: &mut Findings) {
    for manager in facts.managers.iter().filter(|manager| !manager.keeps) {
        let interface = &manager.interface;
        let text = format!(
            "{} manages it, and removes addresses that it does not know when it configures it anew",
            manager.name
        );
        let remedy = match manager.name {
            "systemd-networkd" => format!(
                "KeepConfiguration=yes in [Network] of {}, then networkctl reload",
                manager.file
            ),
            "NetworkManager" => format!(
                "if the host can do without it there: nmcli device set {interface} managed no; else \
                 linkctl events tells when LinK has put an IP back"
            ),
            _ => format!(
                "give {interface} a static address, or look at linkctl events when the lease of \
                 DHCP changes: LinK puts IPs back within a second"
            ),
        };
        found.warning(interface, text, remedy);
    }
    if facts.told.restored > 0 {
        let names: Vec<&str> = facts.managers.iter().map(|manager| manager.name).collect();
        let suspects = match names.is_empty() {
            true => "ip monitor address shows when it happens again".to_owned(),
            false => format!("look at {} first; ip monitor address shows when", names.join(", ")),
        };
        let text = format!(
            "something has removed IPs, and LinK has put them back, {} times since it started",
            facts.told.restored
        );
        found.warning("addresses", text, format!("find out what it is: {suspects}"));
    }
}

/// The IPs that are to be on an interface.
fn on<'a>(facts: &'a Facts, name: &'a str) -> impl Iterator<Item = Cidr> + 'a {
    let ips = facts.told.ips.iter().filter(move |ip| ip.interface == name);
    ips.filter_map(|ip| ip.ip.parse().ok())
}

fn same_network(one: IpAddr, other: IpAddr, prefix: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differs = one.to_bits() ^ other.to_bits();
            differs.leading_zeros() >= prefix
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
    }
}
