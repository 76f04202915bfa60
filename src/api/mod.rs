//! The HTTP interface.
//!
//! ```text
//!  clients ──► gate ──unix socket──► tiny_http ──► api-N ──Command──► supervisor
//!              one thread            its own       owns no state
//!                                    threads
//! ```
//!
//! tiny_http must not meet the network: one length can abort it, one slow client can stop it. So
//! the gate before it reads whole requests within limits of size and time, answers what is wrong,
//! and lets only canonical requests through, over a socket that nobody else can reach. This folder
//! is the only one that knows HTTP; it changes no state, it asks the supervisor.

mod audit;
mod auth;
mod body;
mod browser;
mod clients;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gate;
mod guesses;
mod head;
mod identity;
mod listen;
mod many;
mod news;
mod page;
mod private_socket;
mod reply;
mod request;
mod route;
mod server;
mod transport;
mod upstream;

use std::io;
use std::net::{SocketAddr, TcpListener};

use crossbeam_channel::Sender;

use crate::bell::Bell;
use crate::command;
use crate::ping::Ping;
use crate::secret::Credentials;
use crate::tls::ServerFiles;
use browser::Names;
use gate::Gate;
use identity::Identity;
use listen::Doors;
use server::Pool;
use upstream::Upstreams;

/// The running API. Dropping it ends it: nothing is accepted any more, requests that are with the
/// supervisor are answered 503, and the threads are joined.
#[derive(Debug)]
pub struct Api {
    addresses: Vec<SocketAddr>,
    // The order is that of the end: each waits for its threads, which end when those above have.
    gate: Gate,
    pool: Pool,
    _identity: Option<Identity>,
}

/// Where the API is, and for whom.
#[derive(Debug, Default)]
pub struct Options {
    /// The addresses that are listened on.
    pub listen: Vec<SocketAddr>,
    /// Sockets of an earlier life of the agent that listen already.
    pub inherited: Vec<TcpListener>,
    /// The names under which the agent may be asked, beside any address and `localhost`.
    pub names: Vec<String>,
    /// Who may ask; everybody if `None`.
    pub credentials: Option<Credentials>,
    /// The certificate with which the API shows who it is; without one it speaks HTTP without TLS.
    pub tls: Option<ServerFiles>,
    /// Rings when there is news for clients that wait for it; they wait in vain if `None`.
    pub news: Option<Bell>,
}

impl Api {
    /// Listens on all addresses and answers from then on; without credentials it answers everybody. An
    /// address that cannot be listened on is tried again until it can.
    ///
    /// `[::]` is all addresses of both families. Commands are answered through their own channel;
    /// one that is not answered within 30 s is given up.
    ///
    /// # Errors
    ///
    /// A private socket or a thread that cannot be made, a certificate that cannot be used.
    pub fn start(options: Options, commands: Sender<command::Request>) -> io::Result<Api> {
        let doors = Doors::open(&options.listen, options.inherited);
        let addresses =
            doors.listeners().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let identity = options.tls.map(Identity::start).transpose()?;
        let certificate = identity.as_ref().map(Identity::asker);
        let pool = Pool::start(options.credentials, certificate, commands)?;
        let upstreams = Upstreams::open(pool.socket()).map_err(|error| {
            io::Error::new(error.kind(), format!("connect to the server behind the gate: {error}"))
        })?;
        let names = Names::new(options.names, identity.is_some());
        let current = identity.as_ref().map(Identity::current);
        let gate = Gate::start(doors, names, upstreams, options.news, current)?;
        Ok(Api { addresses, gate, pool, _identity: identity })
    }

    /// Asks for a sign of life, of the way behind the gate too.
    pub fn ping(&self, ping: Ping) {
        self.gate.ping(ping);
    }

    /// Copies of the sockets that are listened on, for the next life of the agent: as long as they are
    /// open, clients that come wait for it, and nobody else gets the port.
    pub fn listeners(&self) -> Vec<TcpListener> {
        self.gate.listeners()
    }

    /// The addresses that were listened on at the start, with their real ports where 0 was asked for.
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
