//! The actuator: the thread `net`, which alone talks to the kernel about addresses.
//!
//! - Owns: the request socket and the table of managed addresses ([`Reconciler`]), the queue of
//!   announcements ([`Announcer`]) and those of questions ([`Prober`], [`HostMonitor`], [`Ears`]), each with
//!   a packet socket, the packet sockets that hear other hosts ([`Listener`]), and the event socket
//!   ([`Events`]).
//! - Spoken to by: everybody who has a [`NetClient`](super::NetClient), over one channel without a
//!   limit; by the kernel, over the event socket; and by other hosts. It answers through each
//!   address's `Reports`, which must not block, and over the reply channel of a question, which has
//!   room for the answer.
//! - Blocks in: one `ppoll` over the eventfd that follows each order and the sockets that receive,
//!   until the next deadline (announcement, question, silence, retry, full comparison). Requests to
//!   the kernel last as long as the kernel takes, a second at most; frames are sent without waiting.
//! - Stops: on the order that dropping [`Net`](super::Net) sends, after carrying out what was
//!   ordered before it. Addresses stay as they are.
//!
//! One round: take all orders, read all notices, observe the kernel if that is due, hear what others say, change
//! what differs, announce and ask what is due, report, answer. So a thousand orders that come
//! together are all bound before the announcements begin, and nothing is announced that was taken
//! back meanwhile.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TryRecvError};

use super::announce::{Announce, Announcer, Cause, Schedule};
use super::codec::heard::{Heard, Kind};
use super::order::{AddressOrder, NetworkCounted, Order, Orders, Question, Token};
use super::presence::Presence;
use super::probe::{Asker, Duplicates, Ears, Frame, HostMonitor, Listener, Prober};
use super::reconcile::{Events, LeftOvers, Reconciler, Route};
use super::sys::PacketSocket;
use super::wait::{STANDSTILL, Work, wait};
use super::{Looked, NetError, Report, rights};
use crate::clock;
use crate::network::{Liveness, ProbeResult};
use crate::policy::Connections;
use crate::vip::Cidr;

/// How many orders are taken before the kernel has its turn. Taking one costs a microsecond.
const MAX_ORDERS: usize = 10_000;
/// How many addresses are changed before announcements have their turn: 0.1 s for IPv4 and a
/// quarter of a second for IPv6, as measured.
const MAX_CHANGES: usize = 1024;
/// How long changes go on while somebody waits for what is heard.
const SLICE: Duration = Duration::from_millis(10);

/// How long announcements wait after a standstill. An election renews its lease within a second, or hears
/// that it has none.
const HOLD: Duration = Duration::from_secs(2);

/// The longest wait of a host that announces an address: a standstill within a longer one would not be
/// noticed. Four rounds a second cost a ten-thousandth of a CPU.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// The thread's state.
pub(super) struct Actuator {
    orders: Orders,
    events: Events,
    pub(super) reconciler: Reconciler,
    pub(super) announcer: Announcer,
    listener: Listener,
    prober: Prober,
    monitor: HostMonitor,
    duplicates: Duplicates,
    ears: Ears,
    pub(super) questions: Vec<(Question, Sender<Result<Looked, NetError>>)>,
    pub(super) scrapes: Vec<NetworkCounted>,
    presence: Presence,
    /// What this round has done so far.
    work: Work,
    stopping: bool,
}

impl Actuator {
    /// Opens the sockets; the events first, so that no change goes unnoticed.
    pub(super) fn open(
        orders: Orders,
        announce: &Announce,
        connections: Connections,
    ) -> io::Result<Actuator> {
        let events = Events::subscribe()?;
        let mut route = Route::open()?;
        let packets = rights::open_packets(&mut route)?;
        let schedule = match announce.fixed {
            None => Schedule::BuiltIn,
            Some((interval, count)) => Schedule::Fixed(interval, count),
        };
        Ok(Actuator {
            orders,
            events,
            reconciler: Reconciler::new(route, connections),
            announcer: Announcer::new(packets, schedule, announce.rate),
            listener: Listener::new(),
            prober: Prober::new(Asker::new(PacketSocket::open()?)),
            monitor: HostMonitor::new(Asker::new(PacketSocket::open()?)),
            duplicates: Duplicates::new(Asker::new(PacketSocket::open()?), announce.rate),
            ears: Ears::new(Asker::new(PacketSocket::open()?)),
            questions: Vec::new(),
            scrapes: Vec::new(),
            presence: Presence::announce(),
            work: Work::begin(Duration::ZERO),
            stopping: false,
        })
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        loop {
            self.work = Work::begin(self.busy());
            self.round();
            if self.stopping {
                return;
            }
            // Changes may have taken so long.
            if !self.has_stood_still() && self.work.taken() >= STANDSTILL {
                self.ask_anew(Instant::now());
            }
            if let Some(late) = self.wait(clock::since_boot()) {
                self.resume(late);
            }
        }
    }

    fn round(&mut self) {
        self.take_orders();
        // Whoever wants to know who is heard does not wait for all else.
        if self.ears.are_wanted() {
            self.hear();
            let reconciler = &self.reconciler;
            self.ears.listen_anew(|cidr| (reconciler.probe_source(cidr), reconciler.has(cidr)));
            self.listen();
        }
        let now = Instant::now();
        let reconciler = &mut self.reconciler;
        let changed = self.events.drain(|change| reconciler.note(change));
        // That this host itself has lost its carrier is noticed up to a second late
        // (net/core/link_watch.c), and must not be taken for somebody's silence.
        if changed || self.monitor.is_silence_due(now) {
            self.reconciler.observe_soon(now);
        }
        self.reconciler.observe_if_due(now);
        let heard = self.hear();
        self.notice_silence(now, heard);
        self.change();
        self.announce();
        self.ask();
        self.reconciler.make_reports();
        self.answer();
    }

    /// Whoever waits for what is heard does not wait for a thousand addresses.
    fn change(&mut self) {
        let (now, stopping) = (Instant::now(), self.stopping);
        let limit = if stopping { usize::MAX } else { MAX_CHANGES };
        let (orders, awaited) = (&self.orders, self.ears.is_awaited());
        let is_interrupted =
            || !stopping && (orders.are_urgent() || awaited && now.elapsed() >= SLICE);
        self.reconciler.apply(limit, now, &is_interrupted);
        self.reconciler.drop_forgotten();
    }

    fn take_orders(&mut self) {
        // Cleared before the channel is read: an order that comes after it was found empty sets it.
        let _ = self.orders.wake.read();
        for _ in 0..MAX_ORDERS {
            match self.orders.orders_rx.try_recv() {
                Ok(order) => self.take_order(*order),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.stopping = true,
            }
            if self.stopping {
                return;
            }
        }
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::Manage { token, interface, adopts, reports } => {
                self.stop_asking(token.cidr);
                self.listener.listen_for(token.cidr.addr());
                self.reconciler.manage(token, interface, adopts, reports, Instant::now());
            }
            Order::Address(token, order) if self.reconciler.manages(token) => {
                self.take_address_order(token.cidr, order);
            }
            Order::Address(Token { cidr, .. }, order) => {
                log::debug!("{cidr} is managed anew: {order:?} of before is ignored");
            }
            Order::LookFor { cidr, found } => {
                self.duplicates.look_for(cidr, found, Instant::now());
            }
            Order::Listen(listen) => {
                if listen.is_urgent() {
                    self.orders.urgent.fetch_sub(1, Ordering::Relaxed);
                }
                self.ears.listen(listen);
            }
            Order::RemoveLeftOvers { known } => {
                let alone = !self.presence.has_company();
                let left_overs = LeftOvers { known, alone, spared: Vec::new() };
                self.reconciler.remove_left_overs(left_overs, Instant::now());
            }
            Order::Look { question, reply } => self.questions.push((question, reply)),
            Order::Count(counted) => self.scrapes.push(counted),
            Order::Ping(ping) => drop(ping),
            Order::Stop => self.stopping = true,
        }
    }

    fn take_address_order(&mut self, cidr: Cidr, order: AddressOrder) {
        let now = Instant::now();
        match order {
            AddressOrder::Set(desired) => self.reconciler.set(cidr, desired),
            AddressOrder::Announce => self.reconciler.announce(cidr),
            AddressOrder::AnnounceOwner => self.duplicates.announce_owner(cidr, now),
            AddressOrder::Probe(true) => self.prober.probes.start(cidr, now),
            AddressOrder::Probe(false) => self.prober.stop(cidr),
            AddressOrder::Monitor(Some(timing)) => self.monitor.start(cidr, timing, now),
            AddressOrder::Monitor(None) => self.monitor.stop(cidr),
            AddressOrder::Forget => {
                self.stop_asking(cidr);
                self.reconciler.forget(cidr);
            }
        }
    }

    fn stop_asking(&mut self, cidr: Cidr) {
        self.prober.stop(cidr);
        self.monitor.stop(cidr);
    }

    /// Before anything is changed: what was said before an address was bound is not said against it.
    /// After a look: by then the interfaces are known on which something is heard. Until when all that
    /// has come was heard.
    fn hear(&mut self) -> Instant {
        let now = Instant::now();
        self.ears.attend(&self.reconciler.audible(), now);
        for cidr in self.reconciler.take_renewed() {
            self.prober.probes.restart(cidr, now);
            self.monitor.restart(cidr, now);
            if let Some(source) = self.reconciler.probe_source(cidr) {
                self.ears.restart(source.index, now);
            }
        }
        for Frame { index, source, heard } in self.listener.hear() {
            let reconciler = &mut self.reconciler;
            self.ears.heard(index, source, now, |mac| reconciler.is_this_host(mac, now));
            if let Some(heard) = heard {
                self.take_in(index, &heard, now);
            }
        }
        if !self.listener.has_heard_all() || self.reconciler.is_blind() {
            self.monitor.recount(now);
        }
        now
    }

    fn take_in(&mut self, index: u32, heard: &Heard, now: Instant) {
        self.monitor.overhear(index, heard, now);
        for (cidr, wins_tie_break) in self.reconciler.hear(index, heard, now) {
            if heard.kind == Kind::Sign {
                let source = self.reconciler.probe_source(cidr);
                source.into_iter().for_each(|it| self.ears.give_a_sign(cidr, it, heard.mac));
                continue;
            }
            self.duplicates.heard(cidr, heard, self.reconciler.probe_source(cidr));
            let probed = self.prober.probes.heard(cidr, heard.kind, wins_tie_break, now);
            if let Some(result) = probed {
                self.reconciler.tell(cidr, Report::Probed(result));
            }
            if let Some(liveness) = self.monitor.heard(cidr, heard, now) {
                self.reconciler.tell(cidr, Report::Owner(liveness));
            }
        }
    }

    fn notice_silence(&mut self, looked: Instant, now: Instant) {
        let reconciler = &mut self.reconciler;
        for cidr in self.prober.take_silent(now, |cidr| reconciler.probe_source(cidr)) {
            reconciler.tell(cidr, Report::Probed(ProbeResult::Silent));
        }
        let silent = self.monitor.take_silent(looked, |cidr| reconciler.probe_source(cidr));
        for (cidr, liveness) in silent.into_iter().chain(self.monitor.take_references(now)) {
            reconciler.tell(cidr, Report::Owner(liveness));
        }
        self.ears.go_on(looked);
        for (index, hearing) in self.ears.take_news() {
            self.reconciler.hears(index, hearing);
        }
    }

    fn ask(&mut self) {
        let reconciler = &mut self.reconciler;
        self.prober.ask_due(|cidr| reconciler.probe_source(cidr));
        self.duplicates.ask_due(|cidr| reconciler.probe_source(cidr));
        for cidr in self.monitor.ask_due(|cidr| reconciler.probe_source(cidr)) {
            reconciler.tell(cidr, Report::Owner(Liveness::Doubted));
            reconciler.probe_source(cidr).into_iter().for_each(|it| self.ears.check(it.index));
        }
        self.monitor.ask_neighbours_due(|cidr| reconciler.neighbours_of(cidr));
        self.listen();
    }

    /// Asks others whether they are there, and opens the ears for them.
    fn listen(&mut self) {
        let reconciler = &mut self.reconciler;
        self.ears.ask_due(|index| reconciler.askable(index));
        self.listener.open(self.ears.open());
    }

    fn announce(&mut self) {
        let was_ordered_before = self.has_stood_still();
        let now = Instant::now();
        for (cidr, extent, cause) in self.reconciler.take_announcements() {
            let cause = if was_ordered_before { Cause::Change } else { cause };
            self.announcer.start(cidr, extent, cause, now);
        }
        let reconciler = &self.reconciler;
        self.announcer.send_due(|cidr| reconciler.announce_source(cidr));
    }

    /// Whether this thread was stopped amid its work, which goes on as after a wait that was too long.
    fn has_stood_still(&mut self) -> bool {
        let Some(late) = self.work.standstill(|| self.busy()) else {
            return false;
        };
        self.resume(late);
        self.work = Work::begin(self.busy());
        true
    }

    fn busy(&self) -> Duration {
        clock::of_this_thread() + self.reconciler.route.asked()
    }

    /// Waits until there is something to do. If that took much longer than it should have, by the time
    /// since boot at which all else was done, how long the process or the machine stood still.
    fn wait(&self, since: Duration) -> Option<Duration> {
        let always = [self.orders.wake.as_fd(), self.events.as_fd()];
        let descriptors = always.into_iter().chain(self.listener.descriptors());
        wait(descriptors, self.timeout(Instant::now()), since)
    }

    /// Other hosts may have taken the addresses by now, and the elections need a moment to find that
    /// out: until then nothing is said of them.
    fn resume(&mut self, late: Duration) {
        let now = Instant::now();
        log::warn!("stood still for {late:?}: announcements wait for {HOLD:?}");
        self.announcer.hold(now + HOLD);
        self.reconciler.forget_orders();
        self.ask_anew(now);
    }

    /// What the network has said is old, also what was not heard yet; but a host that claims an address
    /// that is bound here may have it still.
    fn ask_anew(&mut self, now: Instant) {
        for Frame { index, heard, .. } in self.listener.hear() {
            if let Some(heard) = heard {
                self.reconciler.hear(index, &heard, now);
            }
        }
        self.prober.probes.restart_all(now);
        self.monitor.restart_all(now);
        self.ears.restart_all(now);
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.orders.orders_rx.is_empty() {
            return Some(Duration::ZERO);
        }
        let announcement = self.announcer.next_due(now);
        let due = [
            self.reconciler.next_due(now),
            announcement.map(|due| due.min(now + LONGEST_WAIT)),
            self.prober.probes.next_due(now),
            self.monitor.next_due(now),
            self.duplicates.next_due(now),
            self.ears.next_due(),
        ];
        let due = due.into_iter().flatten().min()?;
        Some(due.saturating_duration_since(now))
    }
}
