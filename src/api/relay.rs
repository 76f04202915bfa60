//! The relays: threads that carry whole requests from the gate to tiny_http and whole answers back.
//!
//! Each holds one connection to the server behind the gate and uses it for one request at a time,
//! so there are never more requests behind the gate than relays. They may block, on our own server
//! only, which answers within its own deadlines; the gate never waits for them. They end when the
//! gate drops its end of the channel of jobs.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use nix::sys::eventfd::EventFd;

use super::door::Door;
use super::reply::Reply;
use super::request::Request;
use crate::thread;

/// How many requests are served at a time.
pub(crate) const RELAYS: usize = 8;
/// Above the longest that the server waits for the supervisor, so that its answer wins.
const PATIENCE: Duration = Duration::from_secs(40);
/// For a server that has nothing to do but to refuse an empty request.
const GREETING: Duration = Duration::from_secs(2);
/// Bytes of an answer: the list of well over 10 000 IPs.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// A request with the number of the connection that it came from.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) client: u64,
    pub(crate) request: Request,
}

/// The answer to a job.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) client: u64,
    pub(crate) changes: bool,
    pub(crate) reply: Reply,
}

/// Owns the threads; dropping it waits for them to end, which they do when the gate has.
#[derive(Debug)]
pub(crate) struct Relays {
    threads: Vec<JoinHandle<()>>,
}

impl Relays {
    /// Connects all relays to the server and starts them.
    pub(crate) fn start(
        door: &Arc<Door>,
        jobs: Receiver<Job>,
        served: &Sender<Served>,
        wake: &Arc<EventFd>,
    ) -> io::Result<Relays> {
        let mut threads = Vec::with_capacity(RELAYS);
        for number in 0..RELAYS {
            // One after the other: of connections that come together, tiny_http counts the same
            // idle thread for several, and leaves them without one.
            let line = Line::open(door).map_err(|error| {
                io::Error::new(error.kind(), format!("connect to the api behind the gate: {error}"))
            })?;
            let relay = Relay {
                door: Arc::clone(door),
                line: Some(line),
                jobs: jobs.clone(),
                served: served.clone(),
                wake: Arc::clone(wake),
            };
            threads.push(thread::spawn(&format!("relay-{number}"), move || relay.run())?);
        }
        Ok(Relays { threads })
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Relay {
    door: Arc<Door>,
    line: Option<Line>,
    jobs: Receiver<Job>,
    served: Sender<Served>,
    wake: Arc<EventFd>,
}

impl Relay {
    fn run(mut self) {
        while let Ok(Job { client, request }) = self.jobs.recv() {
            let reply = self.serve(&request.bytes);
            let served = Served { client, changes: request.changes, reply };
            if self.served.send(served).is_err() {
                return;
            }
            // It fails only when the counter is full, and then the gate is awake.
            let _ = self.wake.write(1);
        }
    }

    fn serve(&mut self, request: &[u8]) -> Reply {
        let line = match self.line.take().map_or_else(|| Line::open(&self.door), Ok) {
            Ok(line) => line,
            Err(error) => {
                log::warn!("api: connect to the server behind the gate: {error}");
                return Reply::unavailable("the api is not ready");
            }
        };
        match line.exchange(request) {
            Ok((line, reply)) => {
                self.line = Some(line);
                reply
            }
            Err(error) => {
                log::warn!("api: the server behind the gate did not answer: {error}");
                Reply::error(500, "no answer; whether it was done is not known")
            }
        }
    }
}

/// A connection to the server that has no request on it.
#[derive(Debug)]
struct Line(UnixStream);

impl Line {
    /// Connects, and returns when the server has given the connection a thread.
    fn open(door: &Door) -> io::Result<Line> {
        let stream = door.connect()?;
        stream.set_write_timeout(Some(GREETING))?;
        stream.set_read_timeout(Some(GREETING))?;
        let (line, _) = Line(stream).exchange(b"OPTIONS / HTTP/1.1\r\nHost: link\r\n\r\n")?;
        line.0.set_read_timeout(Some(PATIENCE))?;
        Ok(line)
    }

    /// Sends a request and reads its answer. On an error the connection is gone: what is left on
    /// it could be taken for the next answer.
    fn exchange(mut self, request: &[u8]) -> io::Result<(Line, Reply)> {
        self.0.write_all(request)?;
        let mut answer = Vec::new();
        let mut chunk = [0; 8192];
        loop {
            let read = match self.0.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            answer.extend_from_slice(&chunk[..read]);
            if let Some(reply) = parse(&mut answer)? {
                return Ok((self, reply));
            }
        }
    }
}

/// Takes the answer apart when it is complete.
fn parse(answer: &mut Vec<u8>) -> io::Result<Option<Reply>> {
    let invalid = |error: &str| io::Error::new(io::ErrorKind::InvalidData, error.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(answer).map_err(|error| invalid(&error.to_string()))?;
    let httparse::Status::Complete(head) = parsed else {
        return Ok(None);
    };
    let length = content_length(response.headers).ok_or_else(|| invalid("it has no length"))?;
    if length > MAX_ANSWER {
        return Err(invalid("it is too long"));
    }
    if answer.len() < head + length {
        return Ok(None);
    }
    let headers = response.headers.iter().filter(|field| is_kept(field.name)).map(text_of);
    let (status, headers) = (response.code.unwrap_or(500), headers.collect());
    answer.drain(..head);
    Ok(Some(Reply { status, headers, body: std::mem::take(answer) }))
}

fn content_length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let field = headers.iter().find(|field| field.name.eq_ignore_ascii_case("Content-Length"))?;
    std::str::from_utf8(field.value).ok()?.parse().ok()
}

/// The length is set anew when the answer is framed; which server it is concerns nobody.
fn is_kept(name: &str) -> bool {
    !name.eq_ignore_ascii_case("Content-Length") && !name.eq_ignore_ascii_case("Server")
}

fn text_of(field: &httparse::Header<'_>) -> (String, String) {
    (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nServer: tiny-http (Rust)\r\n\
        Allow: POST\r\nContent-Length: 3\r\n\r\n{}\n";

    #[test]
    fn an_answer_is_taken_apart_when_its_last_byte_is_here() {
        for end in 0..ANSWER.len() {
            assert_eq!(parse(&mut ANSWER[..end].to_vec()).unwrap(), None, "{end}");
        }
        let reply = parse(&mut ANSWER.to_vec()).unwrap().unwrap();
        let headers = vec![("Allow".to_owned(), "POST".to_owned())];
        assert_eq!(reply, Reply { status: 405, headers, body: b"{}\n".to_vec() });
    }

    /// Answers the greeting of each connection, and one request of every second one.
    fn unreliable(listener: &std::os::unix::net::UnixListener) {
        for number in 0..4 {
            let (mut stream, _) = listener.accept().unwrap();
            for _ in 0..=number % 2 {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.extend_from_slice(&byte);
                }
                stream.write_all(ANSWER).unwrap();
            }
        }
    }

    #[test]
    fn a_relay_that_loses_its_connection_says_so_and_makes_another() {
        let (door, listener) = Door::make().unwrap();
        let server = std::thread::spawn(move || unreliable(&listener));
        let (_, jobs) = crossbeam_channel::bounded(1);
        let (served, _) = crossbeam_channel::bounded(1);
        let wake = Arc::new(EventFd::new().unwrap());
        let mut relay = Relay { door: Arc::new(door), line: None, jobs, served, wake };
        for status in [500, 405, 500, 500, 405, 500] {
            let reply = relay.serve(b"GET / HTTP/1.1\r\nHost: link\r\n\r\n");
            assert_eq!(reply.status, status);
        }
        server.join().unwrap();
        assert_eq!(relay.serve(b"").status, 503, "nobody listens any more");
    }

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        for text in
            ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"]
        {
            assert!(parse(&mut text.as_bytes().to_vec()).is_err(), "{text}");
        }
        assert!(parse(&mut b"SSH-2.0-x\r\n".to_vec()).is_err());
    }
}
