//! The clients that are connected: their sockets, who goes when there are too many, and whose
//! turn it is.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::browser::Names;
use super::connection::{Connection, EvictionRank};
use super::reply::Reply;
use super::request::Request;
use super::transport::{Heard, Transport};
use crate::few::Few;
use crate::sorted::sort_by;
use crate::tls::Acceptor;

/// Connections at a time. With what may be held for each this bounds the memory, and it leaves
/// the rest of the agent its descriptors below the usual limit of 1024.
const MAX_CLIENTS: usize = 256;
/// Requests in the queue that may wait for etcd or for another host. They can take seconds each, and
/// must not fill up the places that readers and monitors need.
const MAX_QUEUED_WAITING: usize = 64;
/// Large requests in the queue. The server has one at a time: what it makes of one takes several times
/// its memory.
const MAX_QUEUED_LARGE: usize = 4;
/// Clients that wait for news. They keep their places, and half of all are left to others.
const MAX_WAITING: usize = 128;
/// A client that came or asked so short a time ago is not pushed out: its request is on the way.
pub(super) const GRACE: Duration = Duration::from_millis(20);
/// Bytes that are held for all clients together.
const MAX_HELD: usize = 4 * 1024 * 1024;

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
    address: IpAddr,
    connection: Connection,
    /// The request that the server has, has credentials that matter.
    guesses: bool,
    /// The request that the server has, or had last, is large.
    large: bool,
}

/// All clients, by a number that is never used again.
#[derive(Debug)]
pub(crate) struct Clients {
    by_number: Few<u64, Client>,
    next: u64,
    /// The agent's.
    names: Names,
}

impl Client {
    /// What to poll and for what.
    pub(crate) fn polled(&self) -> PollFd<'_> {
        let mut interest = self.connection.interest();
        interest.set(PollFlags::POLLOUT, self.has_unsent());
        PollFd::new(self.transport.as_fd(), interest)
    }

    /// Reads once and writes what there is, so that no client takes more than its share of a turn.
    pub(crate) fn proceed(&mut self, events: PollFlags, scratch: &mut [u8], now: Instant) {
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        let reads = self.connection.interest().contains(PollFlags::POLLIN);
        if events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP) && reads {
            if self.connection.is_waiting() {
                self.look(scratch, now);
            } else {
                self.read(scratch, now);
            }
        } else if events.intersects(gone) {
            self.connection.close();
        }
        self.write(now);
    }

    /// Gives the client the answer that there is no news, or has it wait if it wants to.
    pub(crate) fn answer_later(&mut self, reply: Reply, may_keep_alive: bool, now: Instant) {
        if let Err(reply) = self.connection.wait(reply, now) {
            self.answer(&reply, may_keep_alive, now);
        }
    }

    /// Gives the client its answer.
    pub(crate) fn answer(&mut self, reply: &Reply, may_keep_alive: bool, now: Instant) {
        self.connection.answer(reply, may_keep_alive, now);
        self.write(now);
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The address from which the answered request brought credentials, if it did.
    pub(crate) fn guesser(&self) -> Option<IpAddr> {
        self.guesses.then_some(self.address)
    }

    /// Bytes that are kept of it.
    fn held(&self) -> usize {
        self.connection.held() + self.transport.held()
    }

    fn expire(&mut self, now: Instant) {
        if self.connection.deadline().is_some_and(|deadline| now >= deadline) {
            self.connection.expire(now);
            self.write(now);
        }
    }

    /// Sees whether a client that waits is there, and does not act on what it has sent.
    fn look(&mut self, scratch: &mut [u8], now: Instant) {
        let heard = self.transport.look(scratch);
        let is_more = matches!(heard, Ok(Heard::Bytes(_)));
        self.take(heard, scratch, now);
        if is_more {
            self.connection.has_sent_more();
        }
    }

    fn read(&mut self, scratch: &mut [u8], now: Instant) {
        let heard = self.transport.hear(scratch);
        self.take(heard, scratch, now);
    }

    /// Takes what was heard, with all that came with it: the socket does not tell of it again.
    fn take(&mut self, mut heard: io::Result<Heard>, scratch: &mut [u8], now: Instant) {
        while let Ok(Heard::Bytes(read)) = heard {
            self.connection.secured(now);
            self.connection.received(&scratch[..read], now);
            heard = self.transport.more(scratch);
        }
        match heard {
            Ok(Heard::Records { is_handshaking: true }) => self.connection.secures(now),
            Ok(Heard::Records { is_handshaking: false } | Heard::Bytes(_)) => {
                self.connection.secured(now);
            }
            Ok(Heard::PlainHttp) => self.connection.refuse_plain(now),
            Ok(Heard::Garbage) => {
                self.transport.end();
                self.connection.linger(now);
            }
            Ok(Heard::End) => self.connection.ended(now),
            Err(error) if is_transient(error.kind()) => {}
            Err(_) => self.connection.close(),
        }
    }

    fn has_unsent(&self) -> bool {
        !self.connection.unsent().is_empty() || self.transport.wants_write()
    }

    fn write(&mut self, now: Instant) {
        while !self.connection.is_closed() && self.has_unsent() {
            let unsent = self.connection.unsent();
            let sent = if unsent.is_empty() {
                self.transport.flush().map(|()| 0)
            } else {
                self.transport.send(unsent)
            };
            match sent {
                Ok(sent) => {
                    if self.connection.sent(sent, now) {
                        self.transport.end();
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.connection.close(),
            }
        }
    }
}

impl Clients {
    pub(crate) fn new(names: Names) -> Clients {
        Clients { by_number: Few::default(), next: 0, names }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// In the order of their numbers, as `values_mut` has them too.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Client> {
        self.by_number.values()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.by_number.values_mut()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Client> {
        self.by_number.get_mut(&number)
    }

    /// The clients of whom a request was refused since this was asked last, as a foreign web page's.
    pub(crate) fn take_foreign(&mut self) -> impl Iterator<Item = IpAddr> {
        self.by_number
            .values_mut()
            .filter_map(|client| client.connection.take_foreign().then_some(client.address))
    }

    /// Takes a client in, for which there has to be room, and reads what it has sent already. If
    /// there are too many, one goes: see `make_room`.
    pub(crate) fn admit(
        &mut self,
        (stream, address): (TcpStream, SocketAddr),
        acceptor: Option<Acceptor>,
        scratch: &mut [u8],
        now: Instant,
    ) {
        if self.is_full() {
            self.make_room(now);
        }
        let connection = Connection::new(self.names.clone(), now);
        let transport = Transport::new(stream, acceptor);
        let address = address.ip();
        let mut client = Client { transport, address, connection, guesses: false, large: false };
        client.read(scratch, now);
        client.write(now);
        self.by_number.insert(self.next, client);
        self.next += 1;
    }

    /// Whether another client can be taken in.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        !self.is_full() || self.most_expendable(now).is_some()
    }

    /// Closes the connection that is missed least: one that has had its answer, or the one that
    /// has made us wait longest for a whole request. So slow clients, however many, push each
    /// other out, and one that sends its request at once gets its answer. False when there is
    /// none, because all clients wait for us or have only just come.
    pub(crate) fn make_room(&mut self, now: Instant) -> bool {
        let victim = self.most_expendable(now);
        victim.is_some_and(|number| self.by_number.remove(&number).is_some())
    }

    /// When something is due at the latest: a deadline, or another look for room.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let look = (!self.has_room(now)).then(|| now + GRACE);
        let deadlines = self.values().filter_map(|client| client.connection.deadline());
        deadlines.chain(look).min()
    }

    /// Does what is due, and forgets who is gone.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.values_mut().for_each(|client| client.expire(now));
        self.by_number.retain(|_, client| !client.connection.is_closed());
    }

    /// Keeps those to whom an answer is owed, and for a moment those who have just come, whose request is
    /// on its way.
    pub(crate) fn keep_owed(&mut self, now: Instant) {
        self.by_number.retain(|_, client| {
            let rank = client.connection.eviction_rank();
            rank.is_none_or(|rank| rank == EvictionRank::Answering) || client.is_new(now)
        });
    }

    /// The request that has waited longest for its turn, with its client.
    pub(crate) fn take_request(
        &mut self,
        waiting_too: bool,
        turn: u64,
        now: Instant,
    ) -> Option<(u64, Request)> {
        let has_large = self.values().any(|client| client.large && client.connection.is_served());
        let waiting = self.by_number.iter_mut().filter(|(_, client)| {
            client.connection.queued().is_some_and(|request| {
                (waiting_too || !request.waits) && !(has_large && request.is_large())
            })
        });
        let (number, client) = waiting.min_by_key(|(_, client)| client.connection.turn())?;
        let request = client.connection.take_request(turn, now)?;
        client.guesses = request.guesses;
        client.large = request.is_large();
        Some((*number, request.forwarded(client.address)))
    }

    /// Answers 503 to the youngest of the requests that are too many.
    pub(crate) fn shed(&mut self, now: Instant) {
        self.shed_beyond(MAX_QUEUED_WAITING, |request| request.waits, now);
        self.shed_beyond(MAX_QUEUED_LARGE, Request::is_large, now);
    }

    fn shed_beyond(&mut self, most: usize, is_one: impl Fn(&Request) -> bool, now: Instant) {
        let mut queued: Vec<&mut Client> = self
            .by_number
            .values_mut()
            .filter(|client| client.connection.queued().is_some_and(&is_one))
            .collect();
        if queued.len() <= most {
            return;
        }
        sort_by(&mut queued, |a, b| a.connection.since().cmp(&b.connection.since()));
        for client in queued.split_off(most) {
            client.answer(&Reply::unavailable("too many requests wait for etcd"), true, now);
        }
    }

    /// Closes connections until those that are left hold little enough. The last one may hold
    /// what it needs.
    pub(crate) fn limit_memory(&mut self) {
        let mut held: usize = self.values().map(Client::held).sum();
        while held > MAX_HELD {
            let mut holders: Vec<(Instant, u64, usize)> = self
                .by_number
                .iter()
                .filter(|(_, client)| client.connection.eviction_rank().is_some())
                .map(|(number, client)| (client.connection.since(), *number, client.held()))
                .filter(|(.., held)| *held > 0)
                .collect();
            sort_by(&mut holders, Ord::cmp);
            let [(_, number, freed), _, ..] = holders[..] else {
                return;
            };
            self.by_number.remove(&number);
            held -= freed;
        }
    }

    /// Whether another client may wait for news.
    pub(crate) fn may_wait(&self) -> bool {
        self.values().filter(|client| client.connection.is_waiting()).count() < MAX_WAITING
    }

    /// Whether somebody waits for news since before this turn of the bell.
    pub(crate) fn has_waited(&self, turn: u64) -> bool {
        self.values().any(|client| client.connection.waits_since_before(turn))
    }

    /// Has the server asked again for those who wait since before this turn of the bell.
    pub(crate) fn ask_again(&mut self, turn: u64, now: Instant) {
        let waiting = self.values_mut().filter(|it| it.connection.waits_since_before(turn));
        waiting.for_each(|client| client.connection.ask_again(now));
    }

    /// Nobody waits for news any more.
    pub(crate) fn end_waits(&mut self, now: Instant) {
        for client in self.values_mut() {
            client.connection.answer_with_nothing(false, now);
            client.write(now);
        }
    }

    fn is_full(&self) -> bool {
        self.len() >= MAX_CLIENTS
    }

    fn most_expendable(&self, now: Instant) -> Option<u64> {
        let rank = |(number, client): (&u64, &Client)| {
            let (eviction_rank, since) =
                (client.connection.eviction_rank()?, client.connection.since());
            (!client.is_new(now)).then_some((eviction_rank, since, *number))
        };
        self.by_number.iter().filter_map(rank).min().map(|(.., number)| number)
    }
}

impl Client {
    /// It waits for its first answer, and has not done so for long.
    fn is_new(&self, now: Instant) -> bool {
        let waits = self.connection.eviction_rank() > Some(EvictionRank::Answered);
        waits && now < self.connection.since() + GRACE
    }
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
