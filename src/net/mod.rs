//! The edge to the kernel: the addresses of interfaces, and announcements on the wire.
//!
//! One thread, the actuator, alone talks to the kernel: it adds and removes addresses over
//! rtnetlink, and sends and hears ARP and NDP frames over packet sockets. It is told where addresses
//! should be, makes it so and keeps it so, whatever other programs do, and tells what other hosts say
//! of them. It knows no reasons.
//!
//! ```text
//!  NetClient --Order--> actuator --+-- reconcile/  what is, and what should be
//!            <-Report--            +-- announce/   which address is announced when
//!                                  +-- probe/      who answers for an address, and whether a host does
//!                                  +-- codec/      what is on the wire and in the kernel's messages
//!                                  +-- sys         sockets
//! ```
//!
//! `codec` is pure and uses none of the others, `announce` and `probe` do not know each other, and
//! only `sys` has `unsafe`.

mod actuator;
mod announce;
mod bucket;
mod client;
pub mod codec;
mod count;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod order;
mod presence;
mod probe;
mod reconcile;
mod rights;
mod sys;
mod wait;

pub use announce::Announce;
pub use client::{ManagedAddress, Net, NetClient};
pub use error::{NetError, OrderError};
pub use order::NetworkCounted;
pub use presence::agent_runs_here;
pub use probe::{Found, Listened, MonitorTiming};
pub(crate) use reconcile::carrier;
pub use reconcile::{keeps_marks, marked_addresses};
pub(crate) use sys::{confine, duplicate, expect_threads, process};

use crate::network::{Hearing, Liveness, Mac, ProbeResult, Unusable};
use crate::vip::Cidr;

/// What was found: the hardware address of an interface, if it has one, or an address of the host.
type Looked = (Option<Mac>, Option<Cidr>);

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
    /// What the network says of the address, while it is asked: see [`ManagedAddress::probe`].
    Probed(ProbeResult),
    /// Another hardware address says on the network that it has the address, which is bound here; once
    /// for the frames of one announcement.
    Claimed {
        /// That hardware address.
        from: Mac,
        /// As in [`ProbeResult::Answered`].
        wins_tie_break: bool,
    },
    /// What is seen on the network of the host that has the address: see [`ManagedAddress::monitor`].
    Owner(Liveness),
    /// The host with this hardware address asks everybody for the address, which is not bound here: it
    /// misses the owner, too. A host that goes on asking is told of at most forty times a second.
    AlsoMissed(Mac),
    /// Whether others are heard on the interface of the address; at once when that begins to be managed,
    /// too.
    Hearing(Hearing),
}

/// Receives reports; called on the actuator's thread, so it must not block.
pub type Reports = Box<dyn Fn(Report) + Send>;
