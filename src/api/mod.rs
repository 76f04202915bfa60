//! The HTTP interface.
//!
//! ```text
//!  clients ──► gate ──jobs──► relay-N ──unix socket──► tiny_http ──► api-N ──Command──► supervisor
//!              one thread     as many as api-N         its own       owns no state
//!              ◄──served──                             threads
//! ```
//!
//! tiny_http must not meet the network: one length can abort it, one slow client can stop it. So
//! the gate before it reads whole requests within limits of size and time, answers what is wrong,
//! and lets only canonical requests through, over a socket that nobody else can reach. This folder
//! is the only one that knows HTTP; it changes no state, it asks the supervisor.

mod audit;
mod auth;
mod body;
mod client;
mod connection;
mod door;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gate;
mod head;
mod listen;
mod probe;
mod relay;
mod reply;
mod request;
mod route;
mod server;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

pub use auth::Credentials;

use crate::command;
use crate::ping::Ping;
use door::Door;
use gate::{Gate, ToRelays};
use relay::{RELAYS, Relays};
use server::Pool;

/// The running API. Dropping it ends it: nothing is accepted any more, requests that are with the
/// supervisor are answered 503, and the threads are joined.
#[derive(Debug)]
pub struct Api {
    addresses: Vec<SocketAddr>,
    // The order is that of the end: each waits for its threads, which end when those above have.
    gate: Gate,
    _relays: Relays,
    pool: Pool,
}

impl Api {
    /// Listens on all addresses and answers from then on; without credentials it answers everybody.
    ///
    /// `[::]` is all addresses of both families. Commands are answered through their own channel;
    /// one that is not answered within 30 s is given up.
    ///
    /// # Errors
    ///
    /// An address that cannot be listened on, by its name; a private socket or a thread that cannot
    /// be made.
    pub fn start(
        listen: &[SocketAddr],
        credentials: Option<Credentials>,
        commands: Sender<command::Request>,
    ) -> io::Result<Api> {
        let listeners = listen::bind_all(listen)?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let (door, entrance) = Door::make()?;
        let door = Arc::new(door);
        let pool = Pool::start(entrance, Arc::clone(&door), credentials, commands)?;

        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let wake = Arc::new(wake);
        let (jobs, jobs_of_relays) = bounded(RELAYS);
        let (served_by_relays, served) = bounded(RELAYS);
        let relays = Relays::start(&door, jobs_of_relays, &served_by_relays, &wake)?;
        let gate = Gate::start(listeners, ToRelays { jobs, served, wake })?;
        Ok(Api { addresses, gate, _relays: relays, pool })
    }

    /// Asks for a sign of life, of the way behind the gate too.
    pub fn ping(&self, ping: Ping) {
        self.gate.ping(ping);
    }

    /// The addresses that are listened on, with their real ports where 0 was asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // In this order, so that the last answers say that they are the last.
        self.gate.stop();
        self.pool.refuse();
    }
}
