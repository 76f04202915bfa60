//! Requests to the kernel about addresses and links.
//!
//! Blocks as [`Exchange`] does, behind the kernel's `rtnl` lock, which a busy host may hold for
//! milliseconds.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use nix::sys::utsname::uname;

use super::exchange::Exchange;
use super::interface::standing;
use crate::net::codec::ethernet::Mac;
use crate::net::codec::rtnetlink::{AddressInfo, Change, Link, Neighbour};
use crate::net::codec::{netlink, rtnetlink};
use crate::net::error::RouteError;
use crate::vip::Cidr;

/// How often a dump that was interrupted by a change is repeated.
const DUMP_TRIES: u32 = 5;

/// The request socket.
#[derive(Debug)]
pub(crate) struct Route {
    kernel: Exchange,
    /// How often all addresses were asked for.
    #[cfg(test)]
    pub(super) dumps: u32,
}

/// Whether an address was there before it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new.
    New,
    /// `EEXIST`. For IPv6 that may be the same address with another prefix length.
    Exists,
}

/// Whether the kernel keeps LinK's mark of an address. One that cannot be asked counts as one that
/// does: an address without a mark is then somebody else's.
pub fn keeps_marks() -> bool {
    // It is asked for each address of each comparison.
    static KEEPS: OnceLock<bool> = OnceLock::new();
    *KEEPS.get_or_init(|| {
        let release = uname().ok().and_then(|name| name.release().to_str().map(marks_are_kept_by));
        release.unwrap_or(true)
    })
}

/// Whether traffic can pass an interface, which may be one on which nothing is managed.
///
/// # Errors
///
/// Why it cannot, or why that is not known.
pub(crate) fn carrier(interface: &str) -> io::Result<()> {
    let mut route = Route::open()?;
    let link = route.link_by_name(interface).map_err(|error| {
        if let RouteError::Socket(errno) = error {
            return errno.into();
        }
        io::Error::other(error.to_string())
    })?;
    standing(link.as_ref()).map(drop).map_err(|why| io::Error::other(why.to_string()))
}

impl Route {
    /// Opens the socket, which needs no capability.
    pub(crate) fn open() -> Result<Route, Errno> {
        let kernel = Exchange::open(SockProtocol::NetlinkRoute)?;
        Ok(Route {
            kernel,
            #[cfg(test)]
            dumps: 0,
        })
    }

    /// How long all answers of the kernel together have taken, of which its lock may have been held by others.
    pub(crate) fn asked(&self) -> Duration {
        self.kernel.asked()
    }

    /// Whether this process may change addresses: the kernel checks `CAP_NET_ADMIN` before it
    /// looks for the interface, and no interface has the index 0.
    pub(crate) fn may_change(&mut self) -> Result<bool, RouteError> {
        let nothing = Cidr::new([0, 0, 0, 0].into(), 32).expect("32 is a prefix length of IPv4");
        let request = |sequence| rtnetlink::delete_address(sequence, 0, nothing);
        match self.kernel.ask(&request, &mut |_| {}) {
            Err(RouteError::Refused(Errno::EPERM, _)) => Ok(false),
            Ok(()) | Err(RouteError::Refused(..)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Adds an address; that the interface has it already is a success.
    pub(super) fn add_address(&mut self, index: u32, cidr: Cidr) -> Result<Added, RouteError> {
        let request = |sequence| rtnetlink::add_address(sequence, index, cidr);
        match self.kernel.ask(&request, &mut |_| {}) {
            Ok(()) => Ok(Added::New),
            Err(RouteError::Refused(Errno::EEXIST, _)) => Ok(Added::Exists),
            Err(error) => Err(error),
        }
    }

    /// Makes an address that the interface has carry LinK's mark.
    pub(super) fn mark_address(&mut self, index: u32, cidr: Cidr) -> Result<(), RouteError> {
        self.kernel.ask(&|sequence| rtnetlink::mark_address(sequence, index, cidr), &mut |_| {})
    }

    /// Removes an address; that the interface does not have it, or is gone, is a success.
    pub(super) fn delete_address(&mut self, index: u32, cidr: Cidr) -> Result<(), RouteError> {
        let request = |sequence| rtnetlink::delete_address(sequence, index, cidr);
        match self.kernel.ask(&request, &mut |_| {}) {
            Err(RouteError::Refused(Errno::EADDRNOTAVAIL | Errno::ENODEV, _)) => Ok(()),
            result => result,
        }
    }

    /// All addresses of all interfaces, as they were at one moment.
    pub(super) fn addresses(&mut self) -> Result<Vec<AddressInfo>, RouteError> {
        for _ in 0..DUMP_TRIES {
            #[cfg(test)]
            {
                self.dumps += 1;
            }
            let mut addresses = Vec::new();
            let mut interrupted = false;
            self.kernel.ask(&rtnetlink::dump_addresses, &mut |message| {
                interrupted |= message.flags & netlink::DUMP_INTERRUPTED != 0;
                if let Some(Change::Address(address)) = Change::decode(message) {
                    addresses.push(address);
                }
            })?;
            if !interrupted {
                return Ok(addresses);
            }
        }
        Err(RouteError::Interrupted)
    }

    /// An IPv6 address, on whichever interface; IPv4 knows no such question.
    pub(super) fn address(&mut self, ip: IpAddr) -> Result<Option<AddressInfo>, RouteError> {
        let mut address = None;
        let request = |sequence| rtnetlink::get_address(sequence, ip);
        let result = self.kernel.ask(&request, &mut |message| {
            if let Some(Change::Address(found)) = Change::decode(message) {
                address = Some(found);
            }
        });
        match result {
            Ok(()) => Ok(address),
            // There is none, or no IPv6 at all.
            Err(RouteError::Refused(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The interface with this name, if there is one.
    pub(super) fn link_by_name(&mut self, name: &str) -> Result<Option<Link>, RouteError> {
        self.link(&|sequence| rtnetlink::get_link_by_name(sequence, name))
    }

    /// The interface with this index, if there is one.
    pub(super) fn link_by_index(&mut self, index: u32) -> Result<Option<Link>, RouteError> {
        self.link(&|sequence| rtnetlink::get_link_by_index(sequence, index))
    }

    /// The hardware addresses of all interfaces.
    pub(super) fn hardware_addresses(&mut self) -> Result<HashSet<Mac>, RouteError> {
        let mut macs = HashSet::new();
        self.kernel.ask(&rtnetlink::dump_links, &mut |message| {
            if let Some(Change::Link(link)) = Change::decode(message) {
                macs.extend(link.mac);
            }
        })?;
        Ok(macs)
    }

    /// The neighbours on an interface whose addresses are of this one's family. If they change
    /// meanwhile, some may be missing.
    pub(super) fn neighbours(
        &mut self,
        index: u32,
        like: IpAddr,
    ) -> Result<Vec<Neighbour>, RouteError> {
        let mut neighbours = Vec::new();
        let request = |sequence| rtnetlink::dump_neighbours(sequence, index, like);
        self.kernel.ask(&request, &mut |message| {
            neighbours.extend(Neighbour::decode(message).filter(|found| found.index == index));
        })?;
        Ok(neighbours)
    }

    /// Sets `promote_secondaries` of one interface.
    pub(super) fn set_promote_secondaries(
        &mut self,
        index: u32,
        on: bool,
    ) -> Result<(), RouteError> {
        let request = |sequence| rtnetlink::set_promote_secondaries(sequence, index, on);
        self.kernel.ask(&request, &mut |_| {})
    }

    fn link(&mut self, request: &dyn Fn(u32) -> Vec<u8>) -> Result<Option<Link>, RouteError> {
        let mut link = None;
        let result = self.kernel.ask(request, &mut |message| {
            if let Some(Change::Link(found)) = Change::decode(message) {
                link = Some(found);
            }
        });
        match result {
            Ok(()) => Ok(link),
            // No such interface, or (the other two) a name that none can have.
            Err(RouteError::Refused(Errno::ENODEV | Errno::EINVAL | Errno::ERANGE, _)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `IFA_PROTO` is known from Linux 5.18 on.
fn marks_are_kept_by(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 18),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_from_linux_5_18_on() {
        for release in ["5.18.0", "5.18-rc1", "5.19.17", "6.1.0-13-amd64", "6.18.0", "10.0"] {
            assert!(marks_are_kept_by(release), "{release}");
        }
        for release in ["5.17.15", "5.4.0-150-generic", "5.14.0-427.el9.x86_64", "4.19", "2.6.98"] {
            assert!(!marks_are_kept_by(release), "{release}");
        }
    }

    #[test]
    fn a_release_that_cannot_be_read_counts_as_one_that_keeps_marks() {
        for release in ["", "6", "next", "5.x", "v5.4", "5.99999999999"] {
            assert!(marks_are_kept_by(release), "{release}");
        }
    }
}
