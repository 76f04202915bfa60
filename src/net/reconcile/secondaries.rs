//! IPv4 addresses that share a subnet on an interface: the first is its primary, the others are
//! its secondaries, and what happens to the primary happens to them.
//!
//! - When the kernel removes a primary, it removes its secondaries too, unless
//!   `promote_secondaries` is set (ip-sysctl.rst; `__inet_del_ifa()` in net/ipv4/devinet.c). LinK
//!   never removes what it did not add.
//! - The connected route of a subnet is made for its primary only (`fib_add_ifaddr()` in
//!   net/ipv4/fib_frontend.c), and LinK's addresses bring none. So an address of the host's own
//!   that comes after a VIP would be without a route to its neighbours.

use std::net::IpAddr;

use libc::IFA_F_NOPREFIXROUTE;

use super::route::{Route, keeps_marks};
use crate::net::codec::rtnetlink::{AddressInfo, MARK};
use crate::net::error::RouteError;
use crate::vip::Cidr;

/// Removes exactly this address; if it is a primary, its secondaries stay. All addresses are read only
/// where the kernel would remove others together with it.
pub(super) fn delete_alone(route: &mut Route, index: u32, cidr: Cidr) -> Result<(), RouteError> {
    if cidr.is_single_address() || cidr.addr().is_ipv6() {
        return route.delete_address(index, cidr);
    }
    let link = route.link_by_index(index)?;
    let promotes = link.and_then(|link| link.promotes_secondaries) != Some(false);
    if promotes || !has_secondaries(&route.addresses()?, index, cidr) {
        return route.delete_address(index, cidr);
    }
    route.set_promote_secondaries(index, true)?;
    let deleted = route.delete_address(index, cidr);
    if let Err(error) = route.set_promote_secondaries(index, false) {
        log::warn!("promote_secondaries of interface {index} stays set: {error}");
    }
    deleted
}

/// Whether this address, which LinK has added, keeps the host's own ones from having a connected route.
///
/// Only LinK's can be that, and only for what is not: so of two addresses one makes way for the other, and
/// never both in turn.
pub(super) fn is_in_the_way(addresses: &[AddressInfo], index: u32, cidr: Cidr) -> bool {
    let here = || addresses.iter().filter(|address| address.index == index);
    let deprived =
        |other: &AddressInfo| lacks_connected_route(other) && same_subnet(other.cidr, cidr);
    here().any(|address| address.cidr == cidr && !address.is_secondary()) && here().any(deprived)
}

/// A secondary that LinK did not add: it may be without a connected route. Where the kernel keeps no marks,
/// those of all agents of this host are among the ones that are to be without.
pub(super) fn lacks_connected_route(address: &AddressInfo) -> bool {
    let is_marked = address.protocol == MARK;
    let wants_none = !keeps_marks() && address.flags & IFA_F_NOPREFIXROUTE != 0;
    address.is_secondary() && !is_marked && !wants_none
}

/// Whether the kernel would remove other addresses together with this one.
fn has_secondaries(addresses: &[AddressInfo], index: u32, cidr: Cidr) -> bool {
    let here = || addresses.iter().filter(|address| address.index == index);
    let is_primary = here().any(|address| address.cidr == cidr && !address.is_secondary());
    is_primary && here().any(|address| address.is_secondary() && same_subnet(address.cidr, cidr))
}

/// Whether one of two addresses would be the other's secondary.
pub(super) fn same_subnet(one: Cidr, other: Cidr) -> bool {
    match (one.addr(), other.addr()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let host_bits = u32::MAX.checked_shr(u32::from(one.prefix())).unwrap_or(0);
            one.prefix() == other.prefix() && (a.to_bits() ^ b.to_bits()) & !host_bits == 0
        }
        (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn on(index: u32, text: &str, secondary: bool) -> AddressInfo {
        let flags = u32::from(secondary);
        AddressInfo { index, cidr: cidr(text), has_peer: false, flags, protocol: 0 }
    }

    #[test]
    fn a_primary_has_the_secondaries_of_its_subnet_on_its_interface() {
        let vip = cidr("10.0.0.9/24");
        let primary = on(1, "10.0.0.9/24", false);
        let has = |other| has_secondaries(&[primary.clone(), other], 1, vip);
        assert!(has(on(1, "10.0.0.5/24", true)));
        assert!(!has(on(1, "10.0.0.5/24", false)));
        assert!(!has(on(2, "10.0.0.5/24", true)), "another interface");
        assert!(!has(on(1, "10.0.1.5/24", true)), "another subnet");
        assert!(!has(on(1, "10.0.0.5/25", true)), "another prefix length");
    }

    #[test]
    fn only_a_primary_is_in_the_way_and_only_of_others() {
        let vip = cidr("10.0.0.9/24");
        let ours = |text, secondary| AddressInfo { protocol: MARK, ..on(1, text, secondary) };
        let way = |vip_found: AddressInfo, other| is_in_the_way(&[vip_found, other], 1, vip);
        let secondary = on(1, "10.0.0.5/24", true);
        assert!(way(ours("10.0.0.9/24", false), secondary));
        let primary = on(1, "10.0.0.5/24", false);
        assert!(!way(ours("10.0.0.9/24", true), primary));
        let both_ours = ours("10.0.0.5/24", true);
        assert!(!way(ours("10.0.0.9/24", false), both_ours));
        let elsewhere = on(1, "10.0.1.5/24", true);
        assert!(!way(ours("10.0.0.9/24", false), elsewhere));
    }

    #[test]
    fn a_secondary_has_none() {
        let addresses = [on(1, "10.0.0.5/24", false), on(1, "10.0.0.9/24", true)];
        assert!(!has_secondaries(&addresses, 1, cidr("10.0.0.9/24")));
        assert!(!has_secondaries(&addresses, 1, cidr("10.0.0.7/24")));
    }
}
