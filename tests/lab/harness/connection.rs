//! A TCP connection between the client and a host, and who is told of its end.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::Client;
use super::wait;

/// For one attempt to connect.
const ATTEMPT: Duration = Duration::from_secs(1);

/// A connection on which nothing is said.
pub(crate) struct Connection {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

/// What a side heard first, none if that is no error, and when.
pub(crate) type Heard = (Option<ErrorKind>, Instant);

impl Connection {
    /// Connects the client to a service, at an address of its host. Both sides wait that long for the
    /// other.
    #[track_caller]
    pub(crate) fn open(
        client: &Client,
        service: &TcpListener,
        ip: IpAddr,
        patience: Duration,
    ) -> Connection {
        let port = service.local_addr().expect("the port of the service").port();
        let at = SocketAddr::from((ip, port));
        let mut connected = Err(io::Error::from(ErrorKind::NotConnected));
        wait::eventually(&format!("the client is connected to {at}"), || {
            connected = client.namespace().run(|| TcpStream::connect_timeout(&at, ATTEMPT));
            connected.is_ok()
        });
        let (server, _) = service.accept().expect("accept the client");
        let client = connected.expect("it is connected");
        let connection = Connection { client, server };
        connection.wait_for(patience);
        connection
    }

    /// Has both sides wait that long from now on.
    pub(crate) fn wait_for(&self, patience: Duration) {
        for end in [&self.client, &self.server] {
            end.set_read_timeout(Some(patience)).expect("limit the patience of a socket");
        }
    }

    /// Both sides hear each other.
    pub(crate) fn is_alive(&mut self) -> bool {
        let says = |from: &mut TcpStream, to: &mut TcpStream| {
            from.write_all(b"x").and_then(|()| to.read_exact(&mut [0])).is_ok()
        };
        says(&mut self.client, &mut self.server) && says(&mut self.server, &mut self.client)
    }

    /// Neither side hears anything, as long as it is patient.
    pub(crate) fn is_silent(&mut self) -> bool {
        let ends = [&mut self.client, &mut self.server];
        ends.into_iter().all(|end| first_heard(end).0 == Some(ErrorKind::WouldBlock))
    }

    /// Waits on both sides, the client's first, until something is heard.
    pub(crate) fn listen(self) -> [JoinHandle<Heard>; 2] {
        [self.client, self.server].map(|mut end| thread::spawn(move || first_heard(&mut end)))
    }
}

fn first_heard(end: &mut TcpStream) -> Heard {
    let error = end.read(&mut [0]).map_err(|error| error.kind()).err();
    (error, Instant::now())
}
