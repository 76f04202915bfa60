//! Announcements: when an address is announced, and putting that on the wire.
//!
//! `schedule` has the gaps between the announcements of one address, `queue` the order of those of
//! all addresses, and `announcer` the socket.

mod announcer;
mod queue;
mod schedule;

pub(super) use announcer::{AnnounceSource, Announcer};
pub(super) use queue::Cause;
pub use schedule::Announce;
pub(super) use schedule::{Extent, Schedule};
