//! The words of the domain: an address that is shared ([`Cidr`]), what is registered for it
//! ([`Check`]), and the identifiers by which people and etcd name it.
//!
//! Nothing here reads a clock, logs or does I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Serialize;

mod check;
mod check_json;
mod check_text;
mod election_key;
mod url;

pub use check::{Check, Statuses, Target, Trust};
pub(crate) use check_json::is_integer;
pub use check_json::{Fault, check_of};
pub use election_key::{ElectionKey, GroupName, GroupNameError, LONGEST_GROUP};
pub use url::Url;

use crate::text::with_room;

/// The longest time between two health checks that an IP may ask for, in seconds.
pub const LONGEST_INTERVAL: u64 = 3600;

/// How many health checks an IP may have: each has a thread.
pub const MAX_CHECKS: usize = 32;

/// Bytes of the longest election key: an IPv6 address (`INET6_ADDRSTRLEN`, 46 with its NUL) and `_128`.
const LONGEST_KEY: usize = 49;

/// An IP address with a prefix length: what is added to an interface.
///
/// Its text is canonical (`10.0.0.1/32`), so that one address is one etcd key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    addr: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// An address with a prefix length in bits; an error when the prefix is too long for the family.
    pub fn new(addr: IpAddr, prefix: u8) -> Result<Cidr, CidrError> {
        if prefix > full_prefix(addr) {
            return Err(CidrError::Prefix(prefix.to_string()));
        }
        Ok(Cidr { addr, prefix })
    }

    /// The address alone: a /32 or /128.
    pub fn single(addr: IpAddr) -> Cidr {
        Cidr { addr, prefix: full_prefix(addr) }
    }

    /// The address without its prefix.
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The prefix length in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True for a /32 or /128: an address that makes no connected route.
    pub fn is_single_address(&self) -> bool {
        self.prefix == full_prefix(self.addr)
    }

    /// The name under which hosts elect an owner for this address: `10.0.0.1_32`.
    pub fn election_key(&self) -> String {
        let prefix = self.prefix;
        // The octets at once, here and below: the standard library's way to write an address takes a piece of
        // stack more, and the thread of an election is to have one page (`election::thread`).
        match self.addr {
            IpAddr::V4(addr) => {
                let [a, b, c, d] = addr.octets();
                with_room(LONGEST_KEY, format_args!("{a}.{b}.{c}.{d}_{prefix}"))
            }
            IpAddr::V6(addr) => with_room(LONGEST_KEY, format_args!("{addr}_{prefix}")),
        }
    }

    /// Why this address cannot be shared between hosts, if so.
    ///
    /// Multicast, broadcast, unspecified and loopback addresses are no unicast address of an
    /// interface; an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) never appears on the wire. In an
    /// IPv4 subnet that has them (RFC 3021: up to /30), the network and the broadcast address are
    /// no host's either.
    pub fn unusable(&self) -> Option<&'static str> {
        match self.addr {
            IpAddr::V4(addr) => unusable_v4(addr, self.prefix),
            IpAddr::V6(addr) => unusable_v6(addr),
        }
    }
}

/// The prefix length of a single address: 32 or 128.
fn full_prefix(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn unusable_v4(addr: Ipv4Addr, prefix: u8) -> Option<&'static str> {
    if prefix == 0 {
        return Some("has a prefix length of 0, which covers every address");
    }
    if addr.is_unspecified() || addr.octets()[0] == 0 {
        return Some("is an unspecified address");
    }
    if addr.is_loopback() {
        return Some("is a loopback address");
    }
    if addr.is_multicast() {
        return Some("is a multicast address");
    }
    if addr.is_broadcast() {
        return Some("is the broadcast address");
    }
    let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    if prefix <= 30 && addr.to_bits() & host_bits == host_bits {
        return Some("is the broadcast address of its subnet");
    }
    if prefix <= 30 && addr.to_bits() & host_bits == 0 {
        return Some("is the network address of its subnet");
    }
    None
}

fn unusable_v6(addr: Ipv6Addr) -> Option<&'static str> {
    if addr.is_unspecified() {
        Some("is the unspecified address")
    } else if addr.is_loopback() {
        Some("is the loopback address")
    } else if addr.is_multicast() {
        Some("is a multicast address")
    } else if addr.to_ipv4_mapped().is_some() {
        Some("is an IPv4-mapped address")
    } else {
        None
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            IpAddr::V4(addr) => write_v4(addr, self.prefix, f),
            IpAddr::V6(addr) => write!(f, "{addr}/{}", self.prefix),
        }
    }
}

/// As `write!` would do it, without a piece of stack for each number.
fn write_v4(addr: Ipv4Addr, prefix: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut text, mut length) = ([0; "255.255.255.255/255".len()], 0);
    let mut places = text.iter_mut();
    let mut put = |byte: u8| {
        if let Some(place) = places.next() {
            *place = byte;
            length += 1;
        }
    };
    let [a, b, c, d] = addr.octets();
    for (number, before) in
        [(a, None), (b, Some(b'.')), (c, Some(b'.')), (d, Some(b'.')), (prefix, Some(b'/'))]
    {
        before.into_iter().for_each(&mut put);
        for (unit, least) in [(100, 100), (10, 10), (1, 0)] {
            if number >= least {
                put(b'0' + number / unit % 10);
            }
        }
    }
    f.write_str(str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default())
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.1/32`; without a mask the address alone is meant: /32 or /128.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| CidrError::Address)?;
        let prefix = match prefix {
            None => full_prefix(addr),
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| CidrError::Prefix(digits.to_owned()))?,
        };
        Cidr::new(addr, prefix)
    }
}

/// Why a text is not an address with a prefix length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// The part before the `/` is no IPv4 or IPv6 address.
    Address,
    /// The part after the `/` is no prefix length of that family.
    Prefix(String),
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CidrError::Address => write!(f, "is not an IP address"),
            CidrError::Prefix(prefix) => write!(f, "has a mask that is out of range: /{prefix}"),
        }
    }
}

impl std::error::Error for CidrError {}

/// The id of an IP on this host: `vip-` and a version 4 UUID. The same IP has another id elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct VipId(String);

impl VipId {
    /// A new id, from the kernel's random source.
    pub fn random() -> VipId {
        VipId(format!("vip-{}", uuid::Uuid::new_v4()))
    }

    /// The id as it stands in URLs and keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VipId {
    type Err = VipIdError;

    /// Accepts what can be an id: `vip-` and a UUID in its 36-character form.
    fn from_str(text: &str) -> Result<VipId, VipIdError> {
        match text.strip_prefix("vip-") {
            Some(uuid) if uuid.len() == 36 && uuid::Uuid::try_parse(uuid).is_ok() => {
                Ok(VipId(text.to_ascii_lowercase()))
            }
            _ => Err(VipIdError),
        }
    }
}

/// A text is not the id of an IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipIdError;

impl fmt::Display for VipIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not an id (vip-<uuid>)")
    }
}

impl std::error::Error for VipIdError {}

/// The number of an IP, and of its election, in one process. It is never used twice, so that nothing
/// meant for an IP that is gone reaches another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_written_as_the_standard_library_writes_it() {
        for number in 0..=255 {
            for prefix in 0..=32 {
                let addr = Ipv4Addr::new(number, 255 - number, number / 10, 7);
                let cidr = Cidr::new(addr.into(), prefix).unwrap();
                assert_eq!(cidr.to_string(), format!("{addr}/{prefix}"));
            }
        }
    }

    #[test]
    fn an_address_without_a_mask_means_that_address_alone() {
        assert_eq!(cidr("10.0.0.1").to_string(), "10.0.0.1/32");
        assert_eq!(cidr("fd00::1").to_string(), "fd00::1/128");
    }

    #[test]
    fn one_address_has_one_text_and_one_key() {
        assert_eq!(cidr("FD00:0:0::0001/64").to_string(), "fd00::1/64");
        assert_eq!(cidr("FD00:0:0::0001/64").election_key(), "fd00::1_64");
        assert_eq!(cidr("10.0.0.1/32").election_key(), "10.0.0.1_32");
    }

    #[test]
    fn what_is_not_an_address_is_named() {
        for text in ["", "10.0.0", "10.0.0.256", "host", "10.0.0.1 ", "::g", "010.0.0.1"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError::Address), "{text}");
        }
        for text in ["10.0.0.1/33", "fd00::1/129", "10.0.0.1/", "10.0.0.1/+8", "10.0.0.1/a"] {
            let error = text.parse::<Cidr>().unwrap_err();
            assert!(matches!(error, CidrError::Prefix(_)), "{text}");
        }
    }

    #[test]
    fn only_an_interfaces_unicast_address_can_be_shared() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "10.0.0.255/24",
            "10.0.0.0/24",
            "10.0.0.1/0",
            "::",
            "::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(cidr(text).unusable().is_some(), "{text}");
        }
        for text in ["10.0.0.1", "10.0.0.1/24", "10.0.0.0/31", "10.0.0.0/32", "fd00::1", "fe80::1"]
        {
            assert_eq!(cidr(text).unusable(), None, "{text}");
        }
    }

    #[test]
    fn an_id_is_vip_and_a_uuid() {
        let id = VipId::random();
        assert_eq!(id.to_string().parse::<VipId>(), Ok(id));
        for text in [
            "",
            "vip-",
            "vip-1",
            "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            "vip-1b4e28ba2fa111d2883f0016d3cca427",
        ] {
            assert_eq!(text.parse::<VipId>(), Err(VipIdError), "{text}");
        }
    }
}
