//! The addresses of the host: all of them as the kernel told them at a look, and since then each that
//! came, changed or went, as its notices tell. So to know one address costs the same however many there
//! are.
//!
//! The kernel tells of each change before whoever made it goes on, and in order (`rtmsg_ifa()` in
//! net/ipv4/devinet.c). What a look finds may be newer than the notices that are read after it; once
//! they are read, it is all as it is. Of an IPv6 address whose duplicate address detection runs the
//! kernel tells later (`addrconf_dad_begin()` in net/ipv6/addrconf.c): of that one it has to be asked.
//!
//! Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use super::is_ours;
use crate::net::codec::rtnetlink::{AddressInfo, Change};
use crate::vip::Cidr;

/// The addresses, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct HostAddresses {
    /// An address may be on several interfaces, and on each with several prefix lengths.
    by_ip: HashMap<IpAddr, Vec<AddressInfo>>,
    /// Those without LinK's mark, in the order in which the kernel told them: they are few where it keeps marks.
    unmarked: Vec<AddressInfo>,
    known: bool,
}

impl HostAddresses {
    /// Whether all of them are known.
    pub(super) fn are_known(&self) -> bool {
        self.known
    }

    /// Takes note of a look at all of them.
    pub(super) fn see(&mut self, all: &[AddressInfo]) {
        self.forget();
        self.known = true;
        all.iter().for_each(|address| self.add(address));
    }

    /// A notice may have been lost: nothing is known until the next look.
    pub(super) fn forget(&mut self) {
        *self = HostAddresses::default();
    }

    /// Takes note of a notice.
    pub(super) fn note(&mut self, change: &Change) {
        match change {
            // There may be several that differ in their peers alone, which are not known.
            Change::Address(address) | Change::AddressGone(address) if address.has_peer => {
                self.forget();
            }
            Change::Address(address) if self.known => {
                self.remove(address);
                self.add(address);
            }
            Change::AddressGone(address) => self.remove(address),
            Change::Address(_) | Change::Link(_) | Change::LinkGone(_) => {}
        }
    }

    /// What an interface has of an address; one with a peer is another.
    pub(super) fn at(&self, index: u32, cidr: Cidr) -> Option<&AddressInfo> {
        let mut same = self.by_ip.get(&cidr.addr())?.iter();
        same.find(|it| it.index == index && it.cidr == cidr && !it.has_peer)
    }

    /// Whether it is known to be there, whoever has added it.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.by_ip.contains_key(&ip)
    }

    /// Whether it is also where it is none of these, on their interfaces.
    pub(super) fn has_besides(&self, ip: IpAddr, these: &[(u32, Cidr)]) -> bool {
        let elsewhere = |it: &AddressInfo| !these.contains(&(it.index, it.cidr));
        self.by_ip.get(&ip).is_some_and(|same| same.iter().any(elsewhere))
    }

    /// This address, with whatever prefix length, where it does not carry LinK's mark.
    pub(super) fn of_the_host(&self, ip: IpAddr) -> Option<&AddressInfo> {
        self.by_ip.get(&ip)?.iter().find(|address| !is_ours(address))
    }

    /// Those of an interface without LinK's mark from which this host may speak, of the family of this one.
    pub(super) fn own(&self, index: u32, like: IpAddr) -> impl Iterator<Item = &AddressInfo> {
        let fits = move |it: &&AddressInfo| {
            it.index == index && it.cidr.addr().is_ipv4() == like.is_ipv4() && it.is_settled()
        };
        self.unmarked.iter().filter(fits)
    }

    fn add(&mut self, address: &AddressInfo) {
        if !is_ours(address) {
            self.unmarked.push(address.clone());
        }
        let ip = address.cidr.addr();
        match self.by_ip.get_mut(&ip) {
            Some(same) => same.push(address.clone()),
            None => drop(self.by_ip.insert(ip, vec![address.clone()])),
        }
    }

    fn remove(&mut self, address: &AddressInfo) {
        let ip = address.cidr.addr();
        let Some(same) = self.by_ip.get_mut(&ip) else { return };
        let stays =
            |it: &AddressInfo| (it.index, it.cidr) != (address.index, address.cidr) || it.has_peer;
        same.retain(stays);
        self.unmarked.retain(stays);
        if same.is_empty() {
            self.by_ip.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::codec::rtnetlink::MARK;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn on(index: u32, text: &str, protocol: u8) -> AddressInfo {
        AddressInfo { index, cidr: cidr(text), has_peer: false, flags: 0, protocol }
    }

    fn host() -> HostAddresses {
        let mut host = HostAddresses::default();
        host.see(&[on(1, "127.0.0.1/8", 0), on(2, "10.0.0.1/24", 0), on(2, "10.0.0.9/32", MARK)]);
        host
    }

    #[test]
    fn an_address_is_found_where_it_is_and_says_whose_it_is() {
        let host = host();
        assert!(host.at(2, cidr("10.0.0.9/32")).is_some());
        assert!(host.at(1, cidr("10.0.0.9/32")).is_none(), "another interface");
        let vip = (2, cidr("10.0.0.9/32"));
        assert!(!host.has_besides(vip.1.addr(), &[vip]));
        assert!(host.has_besides(vip.1.addr(), &[(1, vip.1), (2, cidr("10.0.0.9/24"))]));
        assert!(host.at(2, cidr("10.0.0.9/24")).is_none(), "another prefix length");
        let own = |ip: &str| host.of_the_host(ip.parse().unwrap()).map(|own| own.cidr);
        assert_eq!(own("10.0.0.1"), Some(cidr("10.0.0.1/24")));
        assert_eq!((own("10.0.0.9"), own("10.0.0.2")), (None, None));
    }

    #[test]
    fn notices_keep_it_as_it_is() {
        let mut host = host();
        let ip = "10.0.0.9".parse().unwrap();
        host.note(&Change::Address(on(3, "10.0.0.9/24", 0)));
        assert_eq!(host.of_the_host(ip).map(|own| own.index), Some(3));
        host.note(&Change::AddressGone(on(3, "10.0.0.9/24", 0)));
        assert_eq!(host.of_the_host(ip), None);
        assert!(host.at(2, cidr("10.0.0.9/32")).is_some(), "that one stays");
        host.note(&Change::AddressGone(on(2, "10.0.0.9/32", MARK)));
        host.note(&Change::AddressGone(on(2, "10.0.0.9/32", MARK)));
        assert!(host.at(2, cidr("10.0.0.9/32")).is_none());
        let changed = AddressInfo { flags: 1, ..on(2, "10.0.0.1/24", 0) };
        host.note(&Change::Address(changed.clone()));
        assert_eq!(host.at(2, cidr("10.0.0.1/24")), Some(&changed));
        assert_eq!(host.by_ip.values().map(Vec::len).sum::<usize>(), 2);
        assert!(host.are_known());
    }

    #[test]
    fn this_host_speaks_from_what_is_its_own_there_and_detected_as_no_duplicate() {
        let mut host = host();
        let own = |host: &HostAddresses, like: &str| {
            let found = host.own(2, like.parse().unwrap()).map(|own| own.cidr.to_string());
            found.collect::<Vec<_>>()
        };
        assert_eq!(own(&host, "10.9.9.9"), ["10.0.0.1/24"]);
        let with = |flags| AddressInfo { flags, ..on(2, "fe80::1/64", 0) };
        // Tentative, optimistic, and failed, as `linux/if_addr.h` has them.
        for (flags, is_fit) in [(0xc0, false), (0xc4, false), (0x88, false), (0x80, true)] {
            host.note(&Change::Address(with(flags)));
            assert_eq!(own(&host, "fd00::1").len(), usize::from(is_fit), "{flags:x}");
        }
        host.note(&Change::AddressGone(with(0x80)));
        host.note(&Change::AddressGone(on(2, "10.0.0.1/24", 0)));
        assert!(own(&host, "fd00::1").is_empty() && own(&host, "10.9.9.9").is_empty());
    }

    /// What is read after a look may be older than the look.
    #[test]
    fn notices_of_before_a_look_end_at_what_it_found() {
        let mut host = host();
        host.note(&Change::AddressGone(on(2, "10.0.0.9/32", MARK)));
        host.note(&Change::Address(on(2, "10.0.0.9/32", MARK)));
        host.note(&Change::Address(on(2, "10.0.0.7/32", MARK)));
        host.note(&Change::AddressGone(on(2, "10.0.0.7/32", MARK)));
        assert!(host.at(2, cidr("10.0.0.9/32")).is_some());
        assert!(host.at(2, cidr("10.0.0.7/32")).is_none());
    }

    #[test]
    fn what_cannot_be_told_from_notices_is_looked_at_again() {
        let lost = |host: &mut HostAddresses| host.forget();
        let peer = |host: &mut HostAddresses| {
            let address = AddressInfo { has_peer: true, ..on(2, "10.0.0.1/32", 0) };
            host.note(&Change::AddressGone(address));
        };
        for happens in [lost, peer] {
            let mut host = host();
            happens(&mut host);
            assert!(!host.are_known());
            host.note(&Change::Address(on(2, "10.0.0.1/24", 0)));
            assert!(!host.are_known() && host.by_ip.is_empty());
        }
    }
}
