//! The IPs that the hosts of the lab share.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first shared IP of the lab.
pub(crate) const VIP: Vip = Vip::v4(1);
/// Another one.
pub(crate) const VIP2: Vip = Vip::v4(2);
/// An IPv6 one.
pub(crate) const VIP6: Vip = Vip::v6(1);

/// A shared IP, alone in its prefix; prints as `10.0.1.1/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vip(IpAddr);

impl Vip {
    /// One of 65 000 IPv4 addresses that nobody in the lab has.
    pub(crate) const fn v4(number: u16) -> Vip {
        let [high, low] = number.to_be_bytes();
        Vip(IpAddr::V4(Ipv4Addr::new(10, 0, high + 1, low)))
    }

    /// One of 65 000 IPv6 addresses that nobody in the lab has.
    pub(crate) const fn v6(number: u16) -> Vip {
        Vip(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number)))
    }

    /// The address alone.
    pub(crate) fn ip(self) -> IpAddr {
        self.0
    }

    /// Its name in etcd.
    pub(crate) fn election_key(self) -> String {
        self.to_string().replace('/', "_")
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 32 } else { 128 })
    }
}
