//! The gate: one thread that meets the network, so that tiny_http never does.
//!
//! It accepts, reads one whole request at a time from each client, answers itself what is wrong,
//! sends the rest to the server behind it, oldest first, and writes the answers back. It blocks in
//! `poll` only; no client can make it wait, read without end, or keep more than a bounded amount. An
//! event counter wakes it when a sign of life is asked for. It ends when its handle is dropped:
//! clients to whom an answer is owed get it, if it comes at once.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::browser::Names;
use super::clients::{Client, Clients, GRACE};
use super::guesses::{Guesses, Summary};
use super::identity::Current;
use super::listen::{Doors, is_of_the_connection};
use super::news::News;
use super::reply::Reply;
use super::request::Request;
use super::upstream::{Asker, Served, Upstreams};
use crate::bell::Bell;
use crate::ping::Ping;
use crate::thread;

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

/// What the server answers from memory, whoever asks.
const ARE_YOU_THERE: &[u8] = b"GET /version HTTP/1.1\r\nHost: link\r\n\r\n";

/// Owns the thread.
#[derive(Debug)]
pub(crate) struct Gate {
    stop: Option<Sender<Infallible>>,
    questions: Sender<Question>,
    wake: Bell,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked.
enum Question {
    Ping(Ping),
    /// For copies of the sockets that are listened on.
    Listeners(Sender<Vec<TcpListener>>),
}

impl Gate {
    /// Meets clients at the doors; the server is behind the socket.
    pub(crate) fn start(
        doors: Doors,
        names: Names,
        upstreams: Upstreams,
        news: Option<Bell>,
        identity: Option<Current>,
    ) -> io::Result<Gate> {
        let (stop, stopped) = bounded(0);
        let (questions, questions_rx) = unbounded();
        let wake = Bell::new()?;
        let gate_loop = GateLoop {
            doors,
            upstreams,
            clients: Clients::new(names),
            wake: wake.clone(),
            news: News::new(news),
            identity,
            questions: questions_rx,
            stopped,
            guesses: Guesses::default(),
            wrong: Summary::default(),
            foreign: Summary::default(),
            unasked: None,
            accept_after: None,
            warn_after: None,
            end: None,
            scratch: vec![0; READ_SIZE],
        };
        let thread = thread::spawn("gate", move || gate_loop.run())?;
        Ok(Gate { stop: Some(stop), questions, wake, thread: Some(thread) })
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&self, ping: Ping) {
        self.ask(Question::Ping(ping));
    }

    /// Copies of the sockets that are listened on: while one is open, clients that come are kept
    /// waiting. None if the thread does not answer.
    pub(crate) fn listeners(&self) -> Vec<TcpListener> {
        let (copies_tx, copies_rx) = bounded(1);
        self.ask(Question::Listeners(copies_tx));
        copies_rx.recv_timeout(FAREWELL).unwrap_or_default()
    }

    fn ask(&self, question: Question) {
        let _ = self.questions.send(question);
        self.wake.ring();
    }

    /// From now on nothing is accepted, and nothing read; answers that are owed are still given.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
        self.wake.ring();
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
struct GateLoop {
    doors: Doors,
    upstreams: Upstreams,
    clients: Clients,
    wake: Bell,
    news: News,
    /// With it clients have to speak TLS.
    identity: Option<Current>,
    questions: Receiver<Question>,
    stopped: Receiver<Infallible>,
    guesses: Guesses,
    /// Requests with a wrong password, and those of foreign web pages.
    wrong: Summary,
    foreign: Summary,
    /// A question of the watchdog that the server is to be asked.
    unasked: Option<Ping>,
    /// No connection is accepted before; `None` when nothing is in the way.
    accept_after: Option<Instant>,
    warn_after: Option<Instant>,
    /// The end, whatever is still owed then.
    end: Option<Instant>,
    scratch: Vec<u8>,
}

/// What happened to the sockets, in the order in which they are kept; nothing if nothing did.
#[derive(Default)]
struct Events {
    listeners: Vec<PollFlags>,
    upstreams: Vec<PollFlags>,
    clients: Vec<PollFlags>,
}

impl GateLoop {
    fn run(mut self) {
        while !self.is_done() {
            let events = self.wait();
            let now = Instant::now();
            self.take_questions();
            self.take_answers(&events.upstreams, now);
            self.proceed(&events.clients, now);
            self.accept(&events.listeners, now);
            self.tell_refused(now);
            // From here on listeners and clients may go, and the events no longer match them.
            self.check_stop(now);
            self.doors.retry(now);
            self.spread_news(now);
            self.clients.expire(now);
            self.clients.limit_memory();
            self.clients.shed(now);
            self.hand_over(now);
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.clients.len() == 0 || Instant::now() >= end)
    }

    /// Blocks until something happens or is due.
    fn wait(&self) -> Events {
        let now = Instant::now();
        let accepts = if self.accepts(now) { PollFlags::POLLIN } else { PollFlags::empty() };
        let listeners = self.doors.listeners().map(|socket| PollFd::new(socket.as_fd(), accepts));
        let (upstreams, clients) = (self.upstreams.polled(), self.clients.values());
        let clients = clients.map(Client::polled);
        let mut polled: Vec<PollFd<'_>> = listeners.chain(upstreams).chain(clients).collect();
        polled.push(PollFd::new(self.wake.as_fd(), PollFlags::POLLIN));
        polled.extend(self.news.polled());
        match poll(&mut polled, self.timeout(now)) {
            Ok(_) => self.events(&polled),
            Err(Errno::EINTR) => Events::default(),
            Err(errno) => {
                // The kernel is out of memory; to go on at once would only make that worse.
                log::error!("api: cannot wait for clients: {}", errno.desc());
                std::thread::sleep(ACCEPT_PAUSE);
                Events::default()
            }
        }
    }

    /// What was found, cut where it was put together.
    fn events(&self, polled: &[PollFd<'_>]) -> Events {
        let mut found = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let mut take = |count| found.by_ref().take(count).collect();
        Events {
            listeners: take(self.doors.listeners().count()),
            upstreams: take(self.upstreams.polled().count()),
            clients: take(self.clients.len()),
        }
    }

    fn timeout(&self, now: Instant) -> PollTimeout {
        let upstreams = self.upstreams.deadline();
        let doors = self.doors.deadline();
        let told = self.wrong.deadline().into_iter().chain(self.foreign.deadline()).min();
        // At the end new clients are given a moment, and looked at again.
        let end = self.end.map(|end| end.min(now + GRACE));
        let news = self.news.deadline(now, |turn| self.clients.has_waited(turn));
        let clients = self.clients.deadline(now);
        let due = [clients, upstreams, doors, told, news, self.accept_after, end];
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
            self.doors.shut();
            self.clients.end_waits(now);
            self.clients.keep_owed(now);
            self.end.get_or_insert(now + FAREWELL);
        }
    }

    fn take_answers(&mut self, events: &[PollFlags], now: Instant) {
        for Served { asker, mut reply, is_answer } in self.upstreams.turn(events, now) {
            let nothing_new = reply.take_nothing_new();
            let may_wait = nothing_new && !self.is_stopped() && self.clients.may_wait();
            // When every place is taken by clients that wait for us, an answer has to free one.
            let may_keep_alive = !self.is_stopped() && self.clients.has_room(now);
            match asker {
                Asker::Client(number) => {
                    if let Some(client) = self.clients.get_mut(number) {
                        if let Some(guesser) = client.guesser().filter(|_| reply.status == 401) {
                            self.guesses.wrong(guesser, now);
                            self.wrong.add(guesser);
                        }
                        if may_wait {
                            client.answer_later(reply, may_keep_alive, now);
                        } else {
                            client.answer(&reply, may_keep_alive, now);
                        }
                    }
                }
                Asker::Watchdog(ping) if !is_answer => self.unasked = Some(ping),
                Asker::Watchdog(_) => {}
            }
        }
    }

    /// That a ping is taken is this thread's answer; what is behind it is asked too.
    fn take_questions(&mut self) {
        self.wake.has_rung();
        while let Ok(question) = self.questions.try_recv() {
            match question {
                Question::Ping(ping) => self.unasked = Some(ping.pass_on("api")),
                Question::Listeners(copies) => {
                    let listeners = self.doors.listeners();
                    let _ = copies
                        .send(listeners.filter_map(|socket| socket.try_clone().ok()).collect());
                }
            }
        }
    }

    fn proceed(&mut self, events: &[PollFlags], now: Instant) {
        for (client, events) in self.clients.values_mut().zip(events) {
            if !events.is_empty() {
                client.proceed(*events, &mut self.scratch, now);
            }
        }
    }

    fn accept(&mut self, events: &[PollFlags], now: Instant) {
        self.accept_after = self.accept_after.filter(|after| now < *after);
        for (index, events) in events.iter().enumerate() {
            if !events.is_empty() && self.accepts(now) {
                self.accept_from(index, now);
            }
        }
    }

    fn accepts(&self, now: Instant) -> bool {
        self.clients.has_room(now) && self.accept_after.is_none()
    }

    fn accept_from(&mut self, index: usize, now: Instant) {
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.clients.has_room(now) {
                return;
            }
            let Some(listener) = self.doors.listeners().nth(index) else { return };
            match listener.accept() {
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
            let acceptor = self.identity.as_mut().map(|identity| identity.acceptor(now));
            self.clients.admit(accepted, acceptor, &mut self.scratch, now);
        }
    }

    /// There is no descriptor for the next connection, or no memory: one is freed for it, or it
    /// has to wait. To try at once without either would be a loop that keeps a core busy.
    fn yield_descriptor(&mut self, error: &io::Error, now: Instant) {
        if self.warn_after.is_none_or(|after| now >= after) {
            log::warn!("api: cannot accept a client: {error}");
            self.warn_after = Some(now + WARN_INTERVAL);
        }
        if !self.clients.make_room(now) {
            self.accept_after = Some(now + ACCEPT_PAUSE);
        }
    }

    /// Has the server asked again for clients that wait, when there may be news for them.
    fn spread_news(&mut self, now: Instant) {
        let turn = self.news.turn();
        if self.clients.has_waited(turn) && self.news.may_ask(now) {
            self.clients.ask_again(turn, now);
        }
    }

    /// Sends the server as many of the requests that have waited longest as it may have.
    fn hand_over(&mut self, now: Instant) {
        while self.upstreams.has_room(false) {
            // Before the requests of clients: neither many nor slow ones make the server look dead.
            if let Some(ping) = self.unasked.take() {
                let request = Request { bytes: ARE_YOU_THERE.to_vec(), ..Request::default() };
                self.upstreams.send(Asker::Watchdog(ping), request, now);
                continue;
            }
            let waiting_too = self.upstreams.has_room(true);
            let turn = self.news.turn();
            let Some((number, request)) = self.clients.take_request(waiting_too, turn, now) else {
                return;
            };
            let client = self.clients.get_mut(number);
            let slowed = |guesser: &IpAddr| self.guesses.is_slowed(*guesser, now);
            if let Some(client) =
                client.filter(|client| client.guesser().as_ref().is_some_and(slowed))
            {
                self.wrong.add(client.address());
                client.answer(&Reply::too_many_guesses(), true, now);
            } else {
                self.upstreams.send(Asker::Client(number), request, now);
            }
        }
    }

    /// Says who was refused: at once, and then in sums.
    fn tell_refused(&mut self, now: Instant) {
        self.clients.take_foreign().for_each(|address| self.foreign.add(address));
        if let Some((count, address)) = self.wrong.take(now) {
            log::warn!("api: {count} requests with wrong passwords, the last from {address}");
        }
        if let Some((count, address)) = self.foreign.take(now) {
            log::warn!(
                "api: {count} requests for another host or of a foreign web page, the last from {address}"
            );
        }
    }
}
