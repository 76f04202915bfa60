//! A client that sends exactly the bytes it is given, and reads answers with a parser of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

/// So long may anything take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, unread: Vec::new() }
    }

    /// Connects from this address of the host's own.
    pub(crate) fn connect_from(ip: IpAddr, to: SocketAddr) -> Client {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        let from = SockaddrStorage::from(SocketAddr::new(ip, 0));
        bind(socket.as_raw_fd(), &from).unwrap();
        connect(socket.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
        Client { stream: TcpStream::from(socket), unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn end(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends a request with the header fields given (each ended by CRLF) and reads the answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        ));
        self.answer_to(method)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    /// Reads one answer with its body.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// Everything until the server closes, without an error.
    pub(crate) fn rest(mut self) -> String {
        self.stream.read_to_end(&mut self.unread).unwrap();
        String::from_utf8(self.unread).unwrap()
    }

    /// Whether the server has closed the connection, or does so now.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Whether the connection is open and silent at this moment.
    pub(crate) fn is_waiting(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let result = (&self.stream).read(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn answer_to(&mut self, method: &str) -> Answer {
        let head = loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break self.take(end + 4);
            }
            self.read_more();
        };
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            while self.unread.len() < length {
                self.read_more();
            }
            answer.body = self.take(length);
        }
        answer
    }

    fn take(&mut self, length: usize) -> String {
        let rest = self.unread.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap()
    }

    fn read_more(&mut self) {
        let mut chunk = [0; 16 * 1024];
        let read = self.stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the answer ends early: {:?}", String::from_utf8_lossy(&self.unread));
        self.unread.extend_from_slice(&chunk[..read]);
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        let (_, value) = values.next()?;
        assert!(values.next().is_none(), "{name} is repeated");
        Some(value)
    }

    /// What every answer with a body has in common.
    pub(crate) fn assert_is_json(&self) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(self.body.ends_with("}\n") && self.body.lines().count() == 1, "{self:?}");
        serde_json::from_str::<serde_json::Value>(&self.body).unwrap();
    }
}
