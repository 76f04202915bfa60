//! The handles of the actuator: [`Net`] owns its thread, [`NetClient`] sends it orders, and
//! [`ManagedAddress`] those for one address.
//!
//! Orders go over a channel without a limit, so that nobody waits for the kernel; the thread waits
//! for descriptors, so each order is followed by a write to an eventfd that wakes it up. Dropping
//! [`Net`] sends the last order and joins the thread: orders sent before it are still carried out.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded, unbounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::actuator::Actuator;
use super::announce::Announce;
use super::order::{AddressOrder, NetworkCounted, Order, Orders, Question, Token};
use super::probe::{Found, Listen, Listened, MonitorTiming};
use super::{Desired, Looked, NetError, Reports};
use crate::network::Mac;
use crate::ping::Ping;
use crate::policy::Connections;
use crate::thread;
use crate::vip::Cidr;

/// How long a question waits for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Whoever was heard so lately need not be asked, and how long answers of neighbours are waited for otherwise:
/// a kernel answers in much less.
const A_MOMENT: Duration = Duration::from_millis(20);
const AT_ONCE: Duration = Duration::from_millis(30);

/// Owns the actuator's thread; dropping it ends the thread and leaves the addresses as they are.
#[derive(Debug)]
pub struct Net {
    client: NetClient,
    thread: Option<JoinHandle<()>>,
}

/// The way to the actuator; cheap to clone. Nothing here waits but for the answer to a question.
#[derive(Clone, Debug)]
pub struct NetClient {
    orders_tx: Sender<Box<Order>>,
    wake: Arc<EventFd>,
    /// Counts the managements of addresses.
    managements: Arc<AtomicU64>,
    /// Counts the orders that are urgent, and wait.
    urgent: Arc<AtomicU64>,
}

/// The management of an address; dropping it ends that, and what the kernel has stays as it is.
///
/// A newer management of the same address takes its place: then nothing that is ordered here has an
/// effect any more, and dropping it has none.
#[derive(Debug)]
pub struct ManagedAddress {
    token: Token,
    client: NetClient,
}

impl Net {
    /// Opens the sockets and starts the thread. The error names the capability that is missing.
    pub fn start(announce: Announce, connections: Connections) -> io::Result<Net> {
        let (orders_tx, orders_rx) = unbounded();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let urgent = Arc::new(AtomicU64::new(0));
        let orders = Orders { orders_rx, wake: Arc::clone(&wake), urgent: Arc::clone(&urgent) };
        let actuator = Actuator::open(orders, &announce, connections)?;
        let thread = thread::spawn("net", move || actuator.run())?;
        let client = NetClient { orders_tx, wake, managements: Arc::default(), urgent };
        Ok(Net { client, thread: Some(thread) })
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
            // An error would be a panic, and a panic aborts the process.
            let _ = thread.join();
        }
    }
}

impl NetClient {
    /// Starts to manage an address, `AsFound`. Reports the interface and whether it is bound at once.
    ///
    /// An address without LinK's mark is the host's own, and the interface cannot carry it for LinK; if
    /// `adopts`, one that is there now is taken for LinK's, and marked.
    pub fn manage(
        &self,
        cidr: Cidr,
        interface: &str,
        adopts: bool,
        reports: Reports,
    ) -> ManagedAddress {
        let token = Token { cidr, number: self.managements.fetch_add(1, Ordering::Relaxed) };
        self.send(Order::Manage { token, interface: interface.to_owned(), adopts, reports });
        ManagedAddress { token, client: self.clone() }
    }

    /// Looks on the network for a machine that has an address, which is managed, for a tenth of a second.
    pub fn look_for(&self, cidr: Cidr, found: Found) {
        self.send(Order::LookFor { cidr, found });
    }

    /// Listens from now on whether others are heard on the interface of an address, and asks neighbours
    /// there. `Others` is told at the first frame, and `Nobody` when the time is over; `Unknown` if the
    /// address is not managed, if its interface cannot be used or changes meanwhile, or if the actuator
    /// comes to it only when half of the time is over. It is told in that time, but for a request to the
    /// kernel that is under way, and 10 ms.
    pub fn listen(&self, cidr: Cidr, within: Duration, reply: Listened) {
        self.urgent.fetch_add(1, Ordering::Relaxed);
        let (since, recent) = (Instant::now(), Duration::ZERO);
        self.send(Order::Listen(Listen { cidr, since, recent, within, reply }));
    }

    /// Asks neighbours on the interface of an address whether anybody is there, if nobody was heard a moment
    /// ago: as [`NetClient::listen`], for at most as long as an owner that hands over may wait. Nothing is
    /// interrupted for it.
    pub fn ask_neighbours(&self, cidr: Cidr, reply: Listened) {
        let (since, recent, within) = (Instant::now(), A_MOMENT, AT_ONCE);
        self.send(Order::Listen(Listen { cidr, since, recent, within, reply }));
    }

    /// This address, with whatever prefix length, if one of the host's interfaces has it and it does not
    /// carry LinK's mark (`IFA_PROTO`, Linux 5.18); waits a second at most.
    pub fn own_address(&self, ip: IpAddr) -> Result<Option<Cidr>, NetError> {
        Ok(self.ask(Question::OwnAddress(ip))?.1)
    }

    /// The hardware address of an interface, none if it does not exist or has none; waits a second at
    /// most.
    pub fn hardware_address(&self, interface: &str) -> Result<Option<Mac>, NetError> {
        Ok(self.ask(Question::HardwareAddress(interface.to_owned()))?.0)
    }

    fn ask(&self, question: Question) -> Result<Looked, NetError> {
        let (reply, reply_rx) = bounded(1);
        self.send(Order::Look { question, reply });
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

    /// Removes from all interfaces what carries LinK's mark and is not managed. Where another agent runs on
    /// this host, or the kernel marks nothing (before Linux 5.18), only the addresses in `known` are
    /// removed, from the interfaces named with them: a former life of this agent has managed these.
    pub fn remove_left_overs(&self, known: Vec<(Cidr, String)>) {
        self.send(Order::RemoveLeftOvers { known });
    }

    /// Asks what was counted, and what is known of the kernel.
    pub fn count(&self, counted: NetworkCounted) {
        self.send(Order::Count(counted));
    }

    /// Asks for a sign of life.
    pub fn ping(&self, ping: Ping) {
        self.send(Order::Ping(ping));
    }

    /// An order to an actuator that has ended is lost, as everything else at that time.
    fn send(&self, order: Order) {
        if self.orders_tx.send(Box::new(order)).is_ok() {
            // It cannot fail: the counter's limit is 2^64 - 2 orders that were not read.
            let _ = self.wake.write(1);
        }
    }
}

impl ManagedAddress {
    /// Says where the address should be.
    pub fn set(&self, desired: Desired) {
        self.order(AddressOrder::Set(desired));
    }

    /// Announces the address again, in full, if it is bound: after a time in which another host may
    /// have announced it too.
    pub fn announce(&self) {
        self.order(AddressOrder::Announce);
    }

    /// Announces the address for the host that answers for it, if one does.
    pub fn announce_owner(&self) {
        self.order(AddressOrder::AnnounceOwner);
    }

    /// Starts or stops to ask the network who has the address; what it says is reported whenever that
    /// changes. Starting twice changes nothing.
    pub fn probe(&self, on: bool) {
        self.order(AddressOrder::Probe(on));
    }

    /// Starts to monitor the host that has the address, by asking it for the address again and again;
    /// none stops that. Whether it answers is reported whenever that changes. Another timing takes
    /// the place of the one before.
    pub fn monitor(&self, timing: Option<MonitorTiming>) {
        self.order(AddressOrder::Monitor(timing));
    }

    fn order(&self, order: AddressOrder) {
        self.client.send(Order::Address(self.token, order));
    }
}

impl Drop for ManagedAddress {
    fn drop(&mut self) {
        self.order(AddressOrder::Forget);
    }
}
