//! The way to a client: its socket, and with a certificate TLS on it.
//!
//! Whether a client speaks TLS is seen in its first byte, so that one that speaks HTTP to a port with TLS is
//! told so in words that it understands.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use crate::tls::{Acceptor, Progress, Session, is_client_hello};

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    /// What is sent is what is meant.
    Plain,
    /// TLS is wanted, and nothing has come yet.
    Awaited(Acceptor),
    Tls(Session),
}

/// What was heard of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// So many bytes of HTTP; more of them are to be had by [`Transport::more`].
    Bytes(usize),
    /// Nothing of HTTP yet, but of TLS; a handshake is not over yet if true.
    Records { is_handshaking: bool },
    /// HTTP, where TLS is wanted.
    PlainHttp,
    /// Neither.
    Garbage,
    /// The client sends nothing more.
    End,
}

impl Transport {
    /// With TLS if there is an acceptor.
    pub(crate) fn new(stream: TcpStream, acceptor: Option<Acceptor>) -> Transport {
        let layer = acceptor.map_or(Layer::Plain, Layer::Awaited);
        Transport { stream, layer }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Something of the protocol waits to be sent.
    pub(crate) fn wants_write(&self) -> bool {
        matches!(&self.layer, Layer::Tls(session) if session.wants_write())
    }

    /// Bytes that are kept, at most.
    pub(crate) fn held(&self) -> usize {
        if let Layer::Tls(session) = &self.layer { session.held() } else { 0 }
    }

    /// Reads from the socket once.
    pub(crate) fn hear(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        if let Layer::Awaited(acceptor) = &self.layer {
            let mut first = [0];
            if self.stream.peek(&mut first)? == 0 {
                return Ok(Heard::End);
            }
            let [first] = first;
            self.layer = match acceptor.begin().filter(|_| is_client_hello(first)) {
                Some(session) => Layer::Tls(session),
                None => Layer::Plain,
            };
            if !is_client_hello(first) {
                let is_http = first.is_ascii_alphabetic() || first == b'\r';
                return Ok(if is_http { Heard::PlainHttp } else { Heard::Garbage });
            }
        }
        let Layer::Tls(session) = &mut self.layer else {
            return self.stream.read(buffer).map(|read| match read {
                0 => Heard::End,
                read => Heard::Bytes(read),
            });
        };
        match session.receive(&self.stream) {
            Ok(Progress::Records) => {}
            Ok(Progress::End) => return Ok(Heard::End),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                // The client is told what was wrong, and what it still sends is of no interest.
                let _ = session.flush(&self.stream);
                self.layer = Layer::Plain;
                return Ok(Heard::Garbage);
            }
            Err(error) => return Err(error),
        }
        self.more(buffer)
    }

    /// What has come already of HTTP; `Records` if nothing is left.
    pub(crate) fn more(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        let Layer::Tls(session) = &mut self.layer else {
            return Ok(Heard::Records { is_handshaking: false });
        };
        let is_handshaking = session.is_handshaking();
        match session.read(buffer) {
            Ok(0) => Ok(Heard::End),
            Ok(read) => Ok(Heard::Bytes(read)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok(Heard::Records { is_handshaking })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a client is there that is to say nothing: `Bytes` if it does.
    pub(crate) fn look(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        match &self.layer {
            Layer::Tls(_) => self.hear(buffer),
            // It stays in the socket.
            Layer::Plain | Layer::Awaited(_) => self.stream.peek(&mut [0]).map(|read| match read {
                0 => Heard::End,
                _ => Heard::Bytes(0),
            }),
        }
    }

    /// Sends what the kernel takes of it. What `WouldBlock` has refused is to be given again.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Tls(session) => session.send(bytes, &self.stream),
            Layer::Plain | Layer::Awaited(_) => self.stream.write(bytes),
        }
    }

    /// Sends what the protocol has to say.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Tls(session) => session.flush(&self.stream),
            Layer::Plain | Layer::Awaited(_) => Ok(()),
        }
    }

    /// Tells the client that nothing more is sent. It fails only when the client is gone, which is noticed
    /// anyway.
    pub(crate) fn end(&mut self) {
        if let Layer::Tls(session) = &mut self.layer {
            session.end(&self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
