//! The API's side of a TLS session, over a socket that must not block.
//!
//! What it keeps is bounded: of what the client sends, a handshake or a record; of what is sent to it, one
//! record. A byte counts as sent when the kernel has it.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// With this byte each record of a handshake begins (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
/// Bytes that a client may take for its part of a handshake. A usual one takes less than 3 KB.
const LONGEST_HANDSHAKE: usize = 16 << 10;
/// Bytes of a record that is sent; what a client may have to keep before it can read (RFC 8446, 5.1).
const RECORD: usize = 16 << 10;

/// A session.
pub(crate) struct Session {
    tls: Box<ServerConnection>,
    /// Bytes that came and are not all understood yet, at most.
    unread: usize,
    /// Bytes of the caller that are in the record that is being sent.
    in_flight: usize,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Records; there may be something to read in them.
    Records,
    /// The client has ended the connection.
    End,
}

/// Whether what a client sends first is the beginning of TLS.
pub(crate) fn is_client_hello(first: u8) -> bool {
    first == HANDSHAKE
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Session, rustls::Error> {
        let tls = Box::new(ServerConnection::new(config)?);
        Ok(Session { tls, unread: 0, in_flight: 0 })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Something waits to be sent, of the protocol or of the caller.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Bytes that are kept, at most.
    pub(crate) fn held(&self) -> usize {
        self.unread + self.in_flight
    }

    /// Reads from the socket once.
    ///
    /// # Errors
    ///
    /// Those of the socket, and `InvalidData` for what is not TLS, or not as it has to be: then the session is over, and what it
    /// has to tell the client is to be sent.
    pub(crate) fn receive(&mut self, mut socket: impl Read) -> io::Result<Progress> {
        let was_handshaking = self.is_handshaking();
        let read = self.tls.read_tls(&mut socket)?;
        if read == 0 {
            return Ok(Progress::End);
        }
        self.unread += read;
        let state = self.tls.process_new_packets();
        let state = state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let is_understood = was_handshaking || state.plaintext_bytes_to_read() > 0;
        if !self.is_handshaking() && is_understood {
            self.unread = 0;
        }
        if self.is_handshaking() && self.unread > LONGEST_HANDSHAKE {
            return Err(io::Error::new(ErrorKind::InvalidData, "the handshake is too long"));
        }
        Ok(Progress::Records)
    }

    /// What the client has said: `Ok(0)` when it has said that this was all, `WouldBlock` when nothing more
    /// is here.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tls.reader().read(buffer)
    }

    /// Sends as much of this as a record has. What `WouldBlock` has refused is to be given again.
    pub(crate) fn send(&mut self, bytes: &[u8], socket: impl Write) -> io::Result<usize> {
        if self.in_flight == 0 {
            let record = bytes.get(..RECORD).unwrap_or(bytes);
            self.in_flight = self.tls.writer().write(record)?;
        }
        self.flush(socket)?;
        Ok(std::mem::take(&mut self.in_flight))
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, mut socket: impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut socket)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Tells the client that nothing more comes, if that can be sent at once.
    pub(crate) fn end(&mut self, socket: impl Write) {
        self.tls.send_close_notify();
        let _ = self.flush(socket);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("unread", &self.unread).finish_non_exhaustive()
    }
}
