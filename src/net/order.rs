//! What the actuator is told, and for whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use nix::sys::eventfd::EventFd;

use super::probe::{Found, Listen, MonitorTiming};
use super::{Desired, Looked, NetError, Reports};
use crate::metrics::NetworkCounts;
use crate::ping::Ping;
use crate::vip::Cidr;

/// Hears what the actuator has counted; called on its thread, must not block.
pub type NetworkCounted = Box<dyn FnOnce(NetworkCounts) + Send>;

/// One management of an address: what is ordered through an older one changes nothing for a newer
/// one of the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) cidr: Cidr,
    pub(super) number: u64,
}

/// What the actuator is told.
pub(super) enum Order {
    Manage { token: Token, interface: String, adopts: bool, reports: Reports },
    Address(Token, AddressOrder),
    LookFor { cidr: Cidr, found: Found },
    Listen(Listen),
    RemoveLeftOvers { known: Vec<(Cidr, String)> },
    Look { question: Question, reply: Sender<Result<Looked, NetError>> },
    Count(NetworkCounted),
    Ping(Ping),
    Stop,
}

/// What the actuator may be asked.
#[derive(Debug)]
pub(super) enum Question {
    /// For the hardware address of an interface.
    HardwareAddress(String),
    /// Whether the host has this address itself.
    OwnAddress(IpAddr),
}

/// What it is told of an address that is managed.
#[derive(Debug)]
pub(super) enum AddressOrder {
    Set(Desired),
    Announce,
    AnnounceOwner,
    Probe(bool),
    Monitor(Option<MonitorTiming>),
    Forget,
}

/// The actuator's end of the way.
#[derive(Debug)]
pub(super) struct Orders {
    /// In boxes: they come from threads that keep the stack which they once used.
    pub(super) orders_rx: Receiver<Box<Order>>,
    /// Readable when an order may be waiting.
    pub(super) wake: Arc<EventFd>,
    /// How many of those that wait are urgent: long work is interrupted for them.
    pub(super) urgent: Arc<AtomicU64>,
}

impl Orders {
    /// Whether one of those that wait is urgent.
    pub(super) fn are_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed) > 0
    }
}
