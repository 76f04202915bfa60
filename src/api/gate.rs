//! The gate: one thread that meets the network, so that tiny_http never does.
//!
//! It accepts, reads one whole request at a time from each client, answers itself what is wrong,
//! hands the rest to the relays, oldest first, and writes their answers back. It blocks in `poll`
//! only; no client can make it wait, read without end, or keep more than a bounded amount. The
//! relays wake it through an event counter, as does who asks for a sign of life. It ends when its
//! handle is dropped: clients to whom an answer is owed get it, if it comes at once.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::client::Clients;
use super::probe::Probe;
use super::relay::{Job, RELAYS, Served};
use super::request::Request;
use crate::ping::Ping;
use crate::thread;

/// Relays that are kept for requests that only read: when etcd hangs, and all changes with it, the
/// list and the health are still to be seen.
const RELAYS_FOR_READS: usize = 2;
/// Connections accepted from one socket in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Bytes read from a client in one turn. What is more than a request waits in memory for the
/// request's answer, so this is small.
const READ_SIZE: usize = 4 * 1024;
/// Without a descriptor for the next connection, and none to be had by closing one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// At the end, for the answers that are owed.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between two warnings of the same kind.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Who sends a request of the gate's own. No client ever has this number.
const NOBODY: u64 = u64::MAX;

/// Owns the thread.
#[derive(Debug)]
pub(crate) struct Gate {
    stop: Option<Sender<Infallible>>,
    pings: Sender<Ping>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// The ends of the channels to and from the relays.
#[derive(Debug)]
pub(crate) struct ToRelays {
    /// Has room for one job per relay; the gate never sends more.
    pub(crate) jobs: Sender<Job>,
    pub(crate) served: Receiver<Served>,
    pub(crate) wake: Arc<EventFd>,
}

impl Gate {
    pub(crate) fn start(listeners: Vec<TcpListener>, relays: ToRelays) -> io::Result<Gate> {
        let (stop, stopped) = bounded(0);
        let (pings, pings_rx) = unbounded();
        let wake = Arc::clone(&relays.wake);
        let turnstile = Turnstile::new(listeners, relays, pings_rx, stopped);
        let thread = thread::spawn("gate", move || turnstile.run())?;
        Ok(Gate { stop: Some(stop), pings, wake, thread: Some(thread) })
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&self, ping: Ping) {
        let _ = self.pings.send(ping);
        // It fails only when the counter is full, and then the thread is awake.
        let _ = self.wake.write(1);
    }

    /// From now on nothing is accepted, and nothing read; answers that are owed are still given.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
        // It fails only when the counter is full, and then the thread is awake.
        let _ = self.wake.write(1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Turnstile {
    listeners: Vec<TcpListener>,
    relays: ToRelays,
    pings: Receiver<Ping>,
    stopped: Receiver<Infallible>,
    clients: Clients,
    probe: Probe,
    /// Requests that are with the relays, and those among them that change something.
    serving: usize,
    serving_changes: usize,
    /// No connection is accepted before; `None` when nothing is in the way.
    accept_after: Option<Instant>,
    warn_after: Option<Instant>,
    /// The end, whatever is still owed then.
    end: Option<Instant>,
    scratch: Vec<u8>,
}

impl Turnstile {
    fn new(
        listeners: Vec<TcpListener>,
        relays: ToRelays,
        pings: Receiver<Ping>,
        stopped: Receiver<Infallible>,
    ) -> Turnstile {
        Turnstile {
            listeners,
            relays,
            pings,
            stopped,
            clients: Clients::default(),
            probe: Probe::default(),
            serving: 0,
            serving_changes: 0,
            accept_after: None,
            warn_after: None,
            end: None,
            scratch: vec![0; READ_SIZE],
        }
    }

    fn run(mut self) {
        while !self.is_done() {
            let events = self.wait();
            let now = Instant::now();
            self.take_answers(now);
            self.take_ping(now);
            self.proceed(&events, now);
            self.accept(&events, now);
            // From here on listeners and clients may go, and the events no longer match them.
            self.check_stop(now);
            self.clients.expire(now);
            self.clients.limit_memory();
            self.clients.shed(now);
            self.hand_over(now);
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.clients.len() == 0 || Instant::now() >= end)
    }

    /// Blocks until something happens or is due: the events of the counter, the listeners and the
    /// clients, in this order.
    fn wait(&self) -> Vec<PollFlags> {
        let now = Instant::now();
        let is_open = self.clients.has_room(now) && self.accept_after.is_none();
        let accepting = if is_open { PollFlags::POLLIN } else { PollFlags::empty() };
        let wake = PollFd::new(self.relays.wake.as_fd(), PollFlags::POLLIN);
        let listeners = self.listeners.iter().map(|socket| PollFd::new(socket.as_fd(), accepting));
        let clients =
            self.clients.values().map(|client| PollFd::new(client.socket(), client.events()));
        let mut polled: Vec<PollFd<'_>> =
            std::iter::once(wake).chain(listeners).chain(clients).collect();
        match poll(&mut polled, self.timeout(now)) {
            Ok(_) => polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect(),
            Err(Errno::EINTR) => Vec::new(),
            Err(errno) => {
                // The kernel is out of memory; to go on at once would only make that worse.
                log::error!("api: poll: {}", errno.desc());
                std::thread::sleep(ACCEPT_PAUSE);
                Vec::new()
            }
        }
    }

    fn timeout(&self, now: Instant) -> PollTimeout {
        // Without a relay for it, it waits for one that becomes free.
        let probe = self.probe.due().filter(|_| self.serving < RELAYS);
        let due = [self.clients.deadline(now), self.accept_after, probe, self.end];
        let Some(due) = due.into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        // Rounded up: a poll that ends too early would be repeated until the millisecond is over.
        let left = due.saturating_duration_since(now) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.try_recv().is_err_and(|error| error.is_disconnected())
    }

    fn check_stop(&mut self, now: Instant) {
        if self.is_stopped() {
            self.listeners.clear();
            self.clients.keep_owed();
            self.end.get_or_insert(now + FAREWELL);
        }
    }

    fn take_answers(&mut self, now: Instant) {
        // The counter only wakes; what has happened is in the channel.
        let _ = self.relays.wake.read();
        while let Ok(Served { client, changes, reply }) = self.relays.served.try_recv() {
            self.serving -= 1;
            self.serving_changes -= usize::from(changes);
            // When every place is taken by clients that wait for us, an answer has to free one.
            let may_keep_alive = !self.is_stopped() && self.clients.has_room(now);
            if client == NOBODY {
                self.probe.answered(&reply, now);
            } else if let Some(client) = self.clients.get_mut(client) {
                client.answer(&reply, may_keep_alive, now);
            }
        }
    }

    /// That it is taken is this thread's answer; what is behind it is asked too.
    fn take_ping(&mut self, now: Instant) {
        if let Ok(ping) = self.pings.try_recv() {
            self.probe.begin(&ping, now);
        }
    }

    fn proceed(&mut self, events: &[PollFlags], now: Instant) {
        let of_clients = events.iter().skip(1 + self.listeners.len());
        for (client, events) in self.clients.values_mut().zip(of_clients) {
            if !events.is_empty() {
                client.proceed(*events, &mut self.scratch, now);
            }
        }
    }

    fn accept(&mut self, events: &[PollFlags], now: Instant) {
        self.accept_after = self.accept_after.filter(|after| now < *after);
        let of_listeners = events.iter().skip(1).take(self.listeners.len());
        for (index, events) in of_listeners.enumerate() {
            if !events.is_empty() {
                self.accept_from(index, now);
            }
        }
    }

    fn accept_from(&mut self, index: usize, now: Instant) {
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.clients.has_room(now) {
                return;
            }
            match self.listeners[index].accept() {
                Ok(accepted) => self.admit(accepted, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => return self.yield_descriptor(&error, now),
            }
        }
    }

    fn admit(&mut self, accepted: (TcpStream, SocketAddr), now: Instant) {
        // Answers are written whole; to hold back the last segment would only delay them.
        let (stream, _) = &accepted;
        if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_ok() {
            self.clients.admit(accepted, &mut self.scratch, now);
        }
    }

    /// There is no descriptor for the next connection, or no memory: one is freed for it, or it
    /// has to wait. To try at once without either would be a loop that keeps a core busy.
    fn yield_descriptor(&mut self, error: &io::Error, now: Instant) {
        if self.warn_after.is_none_or(|after| now >= after) {
            log::warn!("api: accept: {error}");
            self.warn_after = Some(now + WARN_INTERVAL);
        }
        if !self.clients.make_room(now) {
            self.accept_after = Some(now + ACCEPT_PAUSE);
        }
    }

    /// Gives the relays that are free the requests that have waited longest.
    fn hand_over(&mut self, now: Instant) {
        while self.serving < RELAYS {
            let Some((client, request)) = self.next_request(now) else {
                return;
            };
            self.serving += 1;
            self.serving_changes += usize::from(request.changes);
            let job = Job { client, request };
            self.relays.jobs.try_send(job).expect("there is room for one job per relay");
        }
    }

    fn next_request(&mut self, now: Instant) -> Option<(u64, Request)> {
        if let Some(request) = self.probe.take_request(now) {
            return Some((NOBODY, request));
        }
        let changes_too = self.serving_changes < RELAYS - RELAYS_FOR_READS;
        self.clients.take_request(changes_too, now)
    }
}

/// Errors that concern only the connection that would have been accepted (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    let Some(code) = error.raw_os_error() else {
        return false;
    };
    matches!(
        Errno::from_raw(code),
        Errno::EINTR
            | Errno::ECONNABORTED
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ETIMEDOUT
    )
}
