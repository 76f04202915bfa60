//! The handles of the actuator: [`Net`] owns its thread, [`NetClient`] sends it orders.
//!
//! Orders go over a channel without a limit, so that nobody waits for the kernel; the thread waits
//! for descriptors, so each order is followed by a write to an eventfd that wakes it up. Dropping
//! [`Net`] sends the last order and joins the thread: orders sent before it are still carried out.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::actuator::Actuator;
use super::{Address, Announce, Desired, NetError, Reports, WatchTiming};
use crate::ping::Ping;
use crate::vip::Cidr;

/// The thread's stack: far more than the actuator needs, in a debug build too.
const STACK: usize = 256 * 1024;
/// How long a question waits for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Owns the actuator's thread; dropping it ends the thread and leaves the addresses as they are.
#[derive(Debug)]
pub struct Net {
    client: NetClient,
    thread: Option<JoinHandle<()>>,
}

/// The way to the actuator; cheap to clone. Nothing here waits but [`NetClient::addresses`].
#[derive(Clone, Debug)]
pub struct NetClient {
    orders_tx: Sender<Order>,
    wake: Arc<EventFd>,
}

/// What the actuator is told.
pub(super) enum Order {
    Manage { cidr: Cidr, interface: String, reports: Reports },
    Set(Cidr, Desired),
    Announce(Cidr),
    Forget(Cidr),
    Probe(Cidr, bool),
    Watch(Cidr, Option<WatchTiming>),
    RemoveLeftOvers { unmarked: Vec<(Cidr, String)> },
    Addresses { interface: String, reply: Sender<Result<Vec<Address>, NetError>> },
    Ping(Ping),
    Stop,
}

/// The actuator's end of the way.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) orders_rx: Receiver<Order>,
    /// Readable when an order may be waiting.
    pub(super) wake: Arc<EventFd>,
}

impl Net {
    /// Opens the sockets and starts the thread. The error names the capability that is missing.
    pub fn start(announce: Announce) -> io::Result<Net> {
        let (orders_tx, orders_rx) = unbounded();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let orders = Orders { orders_rx, wake: Arc::clone(&wake) };
        let actuator = Actuator::open(orders, &announce)?;
        let builder = Builder::new().name("net".to_owned()).stack_size(STACK);
        let thread = builder.spawn(move || actuator.run())?;
        Ok(Net { client: NetClient { orders_tx, wake }, thread: Some(thread) })
    }

    /// A way to the actuator.
    pub fn client(&self) -> NetClient {
        self.client.clone()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.client.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                log::error!("the network actuator has panicked");
            }
        }
    }
}

impl NetClient {
    /// Starts to manage an address, `AsFound`. Reports the interface and whether it is bound at once.
    pub fn manage(&self, cidr: Cidr, interface: &str, reports: Reports) {
        self.send(Order::Manage { cidr, interface: interface.to_owned(), reports });
    }

    /// Says where the address should be.
    pub fn set(&self, cidr: Cidr, desired: Desired) {
        self.send(Order::Set(cidr, desired));
    }

    /// Announces an address again, in full, if it is bound: after a time in which another host may
    /// have announced it too.
    pub fn announce(&self, cidr: Cidr) {
        self.send(Order::Announce(cidr));
    }

    /// Stops to manage an address; what the kernel has stays as it is.
    pub fn forget(&self, cidr: Cidr) {
        self.send(Order::Forget(cidr));
    }

    /// The addresses on an interface, none if it does not exist; waits a second at most.
    pub fn addresses(&self, interface: &str) -> Result<Vec<Address>, NetError> {
        let (reply, reply_rx) = bounded(1);
        self.send(Order::Addresses { interface: interface.to_owned(), reply });
        match reply_rx.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(NetError(format!(
                "the network actuator did not answer within {ANSWER_TIMEOUT:?}"
            ))),
            Err(RecvTimeoutError::Disconnected) => {
                Err(NetError("the network actuator has ended".to_owned()))
            }
        }
    }

    /// Starts or stops to ask the wire who has an address; what it says is reported whenever that
    /// changes. Starting twice changes nothing, and an address that is forgotten is asked about no
    /// more.
    pub fn probe(&self, cidr: Cidr, on: bool) {
        self.send(Order::Probe(cidr, on));
    }

    /// Starts to watch the host that has an address, by asking it for the address again and again;
    /// none stops that. Whether it answers is reported whenever that changes. Another timing takes
    /// the place of the one before, and an address that is forgotten is watched no more.
    pub fn watch(&self, cidr: Cidr, timing: Option<WatchTiming>) {
        self.send(Order::Watch(cidr, timing));
    }

    /// Removes from all interfaces what carries LinK's mark and is not managed; on a kernel that
    /// marks nothing (before Linux 5.18), the addresses in `unmarked` from the interfaces named
    /// with them, which a former life of this host is known to have managed.
    pub fn remove_left_overs(&self, unmarked: Vec<(Cidr, String)>) {
        self.send(Order::RemoveLeftOvers { unmarked });
    }

    /// Asks for a sign of life.
    pub fn ping(&self, ping: Ping) {
        self.send(Order::Ping(ping));
    }

    /// An order to an actuator that has ended is lost, as everything else at that time.
    fn send(&self, order: Order) {
        if self.orders_tx.send(order).is_ok() {
            // It cannot fail: the counter's limit is 2^64 - 2 orders that were not read.
            let _ = self.wake.write(1);
        }
    }
}
