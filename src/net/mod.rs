//! The edge to the kernel: the addresses of interfaces, and announcements on the wire.
//!
//! One thread, the actuator, alone talks to the kernel: it adds and removes addresses over
//! rtnetlink, and sends and hears ARP and NDP frames over packet sockets. It is told where addresses
//! should be, makes it so and keeps it so, whatever other programs do, and tells what other hosts say
//! of them. It knows no reasons.
//!
//! ```text
//!  NetClient --Order--> actuator --+-- reconcile  (what is, what should be) -- route --+
//!            <-Report--            +-- announcer  (queue, schedule, bucket) -----------+
//!                                  +-- prober     (probes, bucket, groups) -- asker ---+-- sys
//!                                  +-- watcher    (watches, inquiries) -- asker -------+
//!                                  +-- listener   (filter, heard) ---------------------+
//!                                  +-- events     (something changed) -----------------+
//! ```
//!
//! Formats and sockets are apart: `netlink`, `rtnetlink`, `ethernet`, `arp` and `ndp` are pure
//! codecs, `filter` and `heard` pure rules over them, `sys` moves bytes.

mod actuator;
mod announcer;
pub mod arp;
mod asker;
mod bucket;
mod client;
pub mod ethernet;
mod events;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod groups;
mod heard;
mod inquiries;
mod interface;
mod listener;
pub mod ndp;
pub mod netlink;
mod order;
mod prober;
mod probes;
mod queue;
mod reconcile;
mod repeats;
mod route;
pub mod rtnetlink;
mod schedule;
mod secondaries;
mod sys;
mod target;
mod wait;
mod watcher;
mod watches;

use std::fmt;
use std::time::Duration;

pub use client::{ManagedAddress, Net, NetClient};

use self::route::RouteError;
use self::target::Step;
use crate::network::{Liveness, Mac, ProbeResult, Unusable};
use crate::vip::Cidr;

/// What the kernel has on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address and its prefix length.
    pub cidr: Cidr,
    /// True when the address carries LinK's mark (`IFA_PROTO`, Linux 5.18).
    pub ours: bool,
}

/// What was found of an interface: its hardware address, if it has one, and its addresses.
type Looked = (Option<crate::network::Mac>, Vec<Address>);

/// Where an address should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// Nobody has decided yet: the interface is left as it was found.
    AsFound,
    /// On the interface, and announced.
    Bound,
    /// Not on the interface.
    Unbound,
}

/// What the actuator tells of an address it manages, whenever that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The interface can carry the address, and has this hardware address (zeros if it has none), or
    /// why it cannot.
    Interface(Result<Mac, Unusable>),
    /// The kernel has the address on the interface, or not.
    Bound(bool),
    /// An order could not be carried out, which is in the log; it is tried again.
    Failed(OrderError),
    /// What the wire says of the address, while that is asked: see [`ManagedAddress::probe`].
    Probed(ProbeResult),
    /// Another hardware address says on the wire that it has the address, which is bound here; once
    /// for the frames of one announcement.
    Claimed {
        /// That hardware address.
        from: Mac,
        /// As in [`ProbeResult::Answered`].
        wins_tie_break: bool,
    },
    /// What is seen on the wire of the host that has the address: see [`ManagedAddress::watch`].
    Owner(Liveness),
}

/// Receives reports; called on the actuator's thread, so it must not block.
pub type Reports = Box<dyn Fn(Report) + Send>;

/// Why an order could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderError {
    step: Step,
    cidr: Cidr,
    interface: String,
    cause: RouteError,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderError { step, cidr, interface, cause } = self;
        let verb = match step {
            Step::Leave => "leave",
            Step::Add => "add",
            Step::Remove => "remove",
            Step::Replace => "replace",
        };
        write!(f, "{verb} {cidr} on {interface}: {cause}")
    }
}

impl std::error::Error for OrderError {}

/// Why the actuator did not answer a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetError(pub String);

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetError {}

/// How announcements are spaced.
#[derive(Clone, Debug)]
pub struct Announce {
    /// `ARP_GRATUITOUS_INTERVAL` and `_COUNT`: a fixed schedule instead of the built-in one. So
    /// many announcements, so far apart, and no refresh after them.
    pub fixed: Option<(Duration, u32)>,
    /// `ARP_GRATUITOUS_RATE`: how many frames per second leave when addresses are announced for the
    /// first time; 200 at least.
    pub rate: u32,
}

impl Announce {
    /// The rate unless another is wanted: 7 Mbit/s and, at 3 µs a frame, 3 % of one CPU. A thousand
    /// IPv4 addresses, each with two frames, are out in 0.2 s.
    pub const RATE: u32 = 10_000;
}

impl Default for Announce {
    fn default() -> Announce {
        Announce { fixed: None, rate: Announce::RATE }
    }
}

/// How the host that has an address is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchTiming {
    /// Between two questions, as long as it answers; 10 ms at least.
    pub interval: Duration,
    /// Between two questions, once one was not answered; no longer than that.
    pub doubt: Duration,
    /// `PROBE_COUNT`: how many in a row are not answered when the host is silent, 1 to 100.
    pub count: u32,
    /// `CRASH_DETECTION=fast`: the network alone is to tell, so that others are asked where a host is
    /// silent: see [`Liveness::Dead`].
    pub alone: bool,
}

impl WatchTiming {
    /// How long the last answer is waited for. An answer takes less than a millisecond on an idle
    /// network; who cannot wait for etcd does not wait for as long as between two questions.
    pub fn patience(self) -> Duration {
        if self.alone { self.doubt / 2 } else { self.doubt }
    }

    /// How long after its last answer a host is silent, at the latest.
    pub fn silence(self) -> Duration {
        self.interval + self.doubt * self.count.saturating_sub(1) + self.patience()
    }
}
