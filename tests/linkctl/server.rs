//! Servers on loopback with canned answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// An HTTP answer with a length.
pub(crate) fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

pub(crate) fn done() -> Vec<u8> {
    b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
}

/// A server that answers a request by its first line, and remembers all of them.
pub(crate) struct Server {
    pub(crate) address: String,
    serving: Option<JoinHandle<Vec<String>>>,
}

impl Server {
    /// An agent with answers by `METHOD PATH`; it knows nothing else.
    pub(crate) fn agent(answers: &[(&str, Vec<u8>)]) -> Server {
        let unknown = "{\"resource\":\"IP\",\"error\":\"not found\"}\n";
        Server::start("127.0.0.1:0", answers, http("404 Not Found", unknown))
    }

    /// Something that always says the same.
    pub(crate) fn always(answer: &[u8]) -> Server {
        Server::start("127.0.0.1:0", &[], answer.to_vec())
    }

    pub(crate) fn start(address: &str, answers: &[(&str, Vec<u8>)], otherwise: Vec<u8>) -> Server {
        Server::serve(TcpListener::bind(address).unwrap(), answers, otherwise)
    }

    pub(crate) fn serve(
        listener: TcpListener,
        answers: &[(&str, Vec<u8>)],
        otherwise: Vec<u8>,
    ) -> Server {
        let address = listener.local_addr().unwrap().to_string();
        let answers: Vec<(String, Vec<u8>)> = answers
            .iter()
            .map(|(line, answer)| (format!("{line} HTTP/1.0\r\n"), answer.clone()))
            .collect();
        let serving = thread::spawn(move || answer_all(&listener, &answers, &otherwise));
        Server { address, serving: Some(serving) }
    }

    /// What it was asked.
    pub(crate) fn requests(mut self) -> Vec<String> {
        self.stop()
    }

    fn stop(&mut self) -> Vec<String> {
        let Some(serving) = self.serving.take() else {
            return Vec::new();
        };
        // A connection on which nothing is asked ends it.
        drop(TcpStream::connect(&self.address));
        serving.join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves until a client asks nothing; returns what was asked.
fn answer_all(
    listener: &TcpListener,
    answers: &[(String, Vec<u8>)],
    otherwise: &[u8],
) -> Vec<String> {
    let mut requests = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        if request.is_empty() {
            return requests;
        }
        let known = answers.iter().find(|(line, _)| request.starts_with(line));
        // Fails when the client has read enough.
        let _ = stream.write_all(known.map_or(otherwise, |(_, answer)| answer));
        requests.push(request);
    }
}

/// Answers one request, whatever it is.
pub(crate) fn answer_one(listener: &TcpListener, answer: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    read_request(&mut stream);
    stream.write_all(answer).unwrap();
}

/// Reads a head and as much body as it announces; empty when the client closes at once.
fn read_request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// An address on loopback at which nobody listens, and nobody else will while this lives.
pub(crate) struct Closed {
    pub(crate) address: String,
    _taken: (TcpListener, TcpStream),
}

impl Closed {
    pub(crate) fn new() -> Closed {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The port of a connection's client end is taken, and connections to it are refused.
        Closed { address: client.local_addr().unwrap().to_string(), _taken: (listener, client) }
    }
}
