//! Interfaces, their addresses, and the parameters of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use crate::ctl::doctor::facts::{Environment, Interface, Parameters};
use crate::wire;

/// What the kernel has of an interface.
#[derive(Debug, Default)]
struct Link {
    up: bool,
    carrier: bool,
    loopback: bool,
    addresses: Vec<(IpAddr, u32)>,
}

/// Whether this is one of the machine's addresses.
pub(super) fn has(address: IpAddr) -> bool {
    links().values().any(|link| link.addresses.iter().any(|(own, _)| *own == address))
}

/// The interfaces of which the agent has, or is to have, IPs.
pub(super) fn wanted(settings: &Environment, ips: &[wire::Ip]) -> BTreeSet<String> {
    let default = settings.get("INTERFACE").into_iter();
    let all = default.chain(ips.iter().map(|ip| &ip.interface)).cloned();
    // The name is part of paths.
    all.filter(|name| !name.is_empty() && !name.contains('/') && name != "..").collect()
}

pub(super) fn look(names: &BTreeSet<String>) -> Vec<Interface> {
    let links = links();
    let look = |name: &String| {
        let link = links.get(name);
        let beside = link.map(|link| beside(name, link, &links)).unwrap_or_default();
        Interface {
            name: name.clone(),
            exists: link.is_some(),
            up: link.is_some_and(|link| link.up),
            carrier: link.is_some_and(|link| link.carrier),
            addresses: link.map(|link| link.addresses.clone()).unwrap_or_default(),
            beside,
            parameters: parameters(name),
        }
    };
    names.iter().map(look).collect()
}

/// The interfaces of IPv4 default routes.
pub(super) fn default_routes() -> Vec<String> {
    default_routes_of(&fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// Of the kernel's table: interface, destination, gateway, flags, three counters, mask.
fn default_routes_of(table: &str) -> Vec<String> {
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let defaults =
        rows.filter(|row| row.get(1) == Some(&"00000000") && row.get(7) == Some(&"00000000"));
    let names: BTreeSet<String> = defaults.map(|row| row[0].to_owned()).collect();
    names.into_iter().collect()
}

fn links() -> BTreeMap<String, Link> {
    let mut links: BTreeMap<String, Link> = BTreeMap::new();
    for entry in getifaddrs().into_iter().flatten() {
        let link = links.entry(entry.interface_name).or_default();
        link.up = entry.flags.contains(InterfaceFlags::IFF_UP);
        link.carrier = entry.flags.contains(InterfaceFlags::IFF_LOWER_UP);
        link.loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let mask = entry.netmask.as_ref().and_then(ip_of);
        if let (Some(address), Some(mask)) = (entry.address.as_ref().and_then(ip_of), mask) {
            link.addresses.push((address, prefix(mask)));
        }
    }
    links
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| Some(IpAddr::from(address.as_sockaddr_in6()?.ip())))
}

fn prefix(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    }
}

/// Other interfaces that are up and have an address of the same network.
fn beside(name: &str, link: &Link, links: &BTreeMap<String, Link>) -> Vec<String> {
    let overlap = |one: &(IpAddr, u32), other: &(IpAddr, u32)| match (one.0, other.0) {
        // Single addresses are no networks.
        (IpAddr::V4(a), IpAddr::V4(b)) if one.1.max(other.1) < 32 => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= one.1.min(other.1)
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
    };
    let others = links.iter().filter(|(other, link)| *other != name && link.up && !link.loopback);
    let shares = |other: &Link| {
        link.addresses.iter().any(|one| other.addresses.iter().any(|other| overlap(one, other)))
    };
    others.filter(|(_, other)| shares(other)).map(|(name, _)| name.clone()).collect()
}

/// As they are in effect: the greater of the interface's and of `all`'s (ip-sysctl.rst), but for IPv6, where `all` is
/// written through.
fn parameters(name: &str) -> Parameters {
    let number = |path: String| {
        let text = fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let ipv4 = |parameter: &str| {
        let of = |name: &str| number(format!("ipv4/conf/{name}/{parameter}")).unwrap_or(0);
        of(name).max(of("all"))
    };
    Parameters {
        arp_ignore: ipv4("arp_ignore"),
        arp_announce: ipv4("arp_announce"),
        rp_filter: ipv4("rp_filter"),
        promote_secondaries: ipv4("promote_secondaries") > 0,
        // Where there is nothing of that kind, the kernel has no IPv6.
        ipv6_disabled: number(format!("ipv6/conf/{name}/disable_ipv6")) != Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_are_found_in_the_kernels_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth1\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(default_routes_of(table), ["eth1"]);
        assert_eq!(default_routes_of(""), [""; 0]);
    }

    #[test]
    fn interfaces_of_one_network_are_beside_each_other() {
        let link = |addresses: &[(&str, u32)]| Link {
            up: true,
            addresses: addresses
                .iter()
                .map(|(it, prefix)| (it.parse().unwrap(), *prefix))
                .collect(),
            ..Link::default()
        };
        let all = BTreeMap::from([
            ("a".to_owned(), link(&[("10.0.0.1", 24), ("10.0.9.9", 32)])),
            ("b".to_owned(), link(&[("10.0.0.2", 16)])),
            ("c".to_owned(), link(&[("10.0.9.9", 32), ("fd00::1", 64)])),
        ]);
        assert_eq!(beside("a", &all["a"], &all), ["b"]);
        assert_eq!(beside("c", &all["c"], &all), [""; 0]);
    }

    #[test]
    fn loopback_is_as_the_kernel_has_it() {
        let found = look(&BTreeSet::from(["lo".to_owned(), "nosuch0".to_owned()]));
        assert!(found[0].exists && found[0].up && found[0].carrier, "{found:?}");
        assert!(found[0].addresses.contains(&("127.0.0.1".parse().unwrap(), 8)), "{found:?}");
        assert!(!found[1].exists);
    }
}
