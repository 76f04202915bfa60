//! The API with TLS: what it does without, and what a handshake may not do to it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use link::bell::Bell;
use link::command;
use link::tls::ServerFiles;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::client::Client;
use crate::supervisor::{Outcome, Server, events, oblige};

const PATIENCE: Duration = Duration::from_secs(20);
/// admin:pw
const PASSWORD: &str = "Authorization: Basic YWRtaW46cHc=\r\n";

/// A folder with a certificate for `h`, signed by itself.
struct Pki(PathBuf);

impl Pki {
    fn new(name: &str) -> Pki {
        let folder = std::env::temp_dir().join(format!("link-api-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pki = Pki(folder);
        pki.make("a");
        pki
    }

    fn make(&self, name: &str) {
        let arguments = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=h \
             -addext subjectAltName=DNS:h -addext basicConstraints=critical,CA:FALSE -keyout {name}.key -out {name}.pem"
        );
        let mut openssl = Command::new("openssl");
        let output = openssl.args(arguments.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn files(&self) -> ServerFiles {
        ServerFiles { certificate: self.0.join("a.pem"), key: self.0.join("a.key") }
    }

    fn config(&self, name: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let file = self.0.join(format!("{name}.pem"));
        roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(versions).unwrap();
        config.with_root_certificates(roots).with_no_client_auth()
    }

    fn connect(&self, to: SocketAddr) -> Secure {
        self.connect_with(to, "a", rustls::ALL_VERSIONS)
    }

    fn connect_with(
        &self,
        to: SocketAddr,
        root: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Secure {
        let socket = TcpStream::connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let config = Arc::new(self.config(root, versions));
        let session = ClientConnection::new(config, "h".try_into().unwrap()).unwrap();
        Secure { stream: StreamOwned::new(session, socket), unread: Vec::new() }
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client with TLS.
struct Secure {
    stream: StreamOwned<ClientConnection, TcpStream>,
    unread: Vec<u8>,
}

impl Secure {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        self.send(request(path));
        self.answer()
    }

    /// The status and the body of the next answer.
    fn answer(&mut self) -> (u16, String) {
        loop {
            let end = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end.map(|at| at + 4) {
                let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                let status = head[9..12].parse().unwrap();
                let length = head.split("Content-Length: ").nth(1);
                let length = length.map_or(0, |it| it.split('\r').next().unwrap().parse().unwrap());
                if self.unread.len() >= end + length {
                    let rest = self.unread.split_off(end + length);
                    let answer = std::mem::replace(&mut self.unread, rest).split_off(end);
                    return (status, String::from_utf8(answer).unwrap());
                }
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).unwrap();
            assert_ne!(read, 0, "the answer ends early");
            self.unread.extend_from_slice(&chunk[..read]);
        }
    }

    /// Whether the handshake succeeds.
    fn is_met(&mut self) -> Result<(), std::io::Error> {
        self.stream.conn.complete_io(&mut self.stream.sock).map(drop)
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{PASSWORD}\r\n")
}

fn obliging(pki: &Pki) -> Server {
    Server::start_with_tls(pki.files(), None, |command| Some(Ok(oblige(&command))))
}

fn is_ips((status, body): &(u16, String)) -> bool {
    *status == 200 && body.starts_with("{\"ips\":[{")
}

#[test]
fn both_versions_serve_many_requests_on_a_connection_and_ask_for_the_password() {
    let pki = Pki::new("versions");
    let server = obliging(&pki);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = pki.connect_with(server.address, "a", &[version]);
        for _ in 0..3 {
            assert!(is_ips(&client.get("/ips")));
        }
        assert_eq!(client.stream.conn.protocol_version(), Some(version.version));
        client.send("GET /ips HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().0, 401);
        client.stream.conn.send_close_notify();
        client.stream.flush().unwrap();
        assert_eq!(client.stream.read(&mut [0]).unwrap_or_default(), 0);
    }
}

#[test]
fn requests_that_come_in_one_record_are_all_answered() {
    let pki = Pki::new("ahead");
    let server = obliging(&pki);
    let mut client = pki.connect(server.address);
    client.send(request("/ips").repeat(50));
    for n in 0..50 {
        assert!(is_ips(&client.answer()), "{n}");
    }
}

#[test]
fn what_is_larger_than_a_record_arrives_whole_in_both_directions() {
    let pki = Pki::new("large");
    let many = |command: command::Command| -> Option<Outcome> {
        let command::Command::List = command else { return Some(Ok(oblige(&command))) };
        Some(Ok(command::Answer::List(vec![crate::supervisor::ip("10.0.0.1/32"); 5000])))
    };
    let server = Server::start_with_tls(pki.files(), None, many);
    let mut client = pki.connect(server.address);
    let (status, body) = client.get("/ips");
    assert_eq!((status, body.matches("10.0.0.1/32").count()), (200, 5000));
    let body = format!("{{\"ip\":\"10.0.0.9\",\"x\":\"{}\"}}", "x".repeat(60_000));
    let length = body.len();
    client.send(format!(
        "POST /ips HTTP/1.1\r\nHost: h\r\n{PASSWORD}Content-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(client.answer().0, 201);
}

#[test]
fn http_without_tls_is_told_so_in_its_own_words() {
    let pki = Pki::new("plain");
    let server = obliging(&pki);
    for said in
        ["GET /ips HTTP/1.1\r\nHost: h\r\n\r\n", "POST /ips HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"]
    {
        let mut client = server.client();
        client.send(said);
        let answer = client.answer();
        answer.assert_is_json();
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("the API speaks TLS here: ask by https://"), "{answer:?}");
        client.end();
        assert!(client.is_closed());
    }
    assert!(server.commands.try_recv().is_err(), "nothing of it was obeyed");
}

#[test]
fn what_is_neither_is_closed_and_told_if_it_began_like_tls() {
    let pki = Pki::new("garbage");
    let server = obliging(&pki);
    let hello = [&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0][..], &[0; 400]].concat();
    let long = [&[22, 3, 1, 0x40, 0][..], &[1, 0, 0xff, 0xff], &[0; 64 << 10]].concat();
    for (said, alert) in
        [(&[0; 100][..], false), (b"\x80\x2e\x01\x03", false), (&hello, true), (&long, true)]
    {
        let mut client = server.client();
        // It may be refused before it has come whole.
        let _ = client.stream.write_all(said);
        let mut answer = Vec::new();
        match client.stream.read_to_end(&mut answer) {
            Ok(_) => assert_eq!(answer.first() == Some(&21), alert, "{answer:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert!(is_ips(&pki.connect(server.address).get("/ips")));
}

#[test]
fn handshakes_that_stall_shut_nobody_out() {
    let pki = Pki::new("stall");
    let server = obliging(&pki);
    let mut stalled: Vec<Client> = Vec::new();
    for n in 0..600 {
        let mut client = server.client();
        client.send(&[22, 3, 1, 1, 0][..=n % 4]);
        stalled.push(client);
        if n % 100 == 99 {
            let start = Instant::now();
            assert!(is_ips(&pki.connect(server.address).get("/ips")), "after {n}");
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        }
    }
    // They have made room for each other.
    let closed = stalled.iter_mut().filter(|client| !client.is_waiting()).count();
    assert!(closed >= 600 - 256, "{closed}");
}

#[test]
fn a_client_that_wants_to_negotiate_again_gets_nowhere() {
    let pki = Pki::new("renegotiate");
    let server = obliging(&pki);
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-legacy_renegotiation", "-connect"])
        .arg(server.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A line with this letter alone asks for it.
    openssl.stdin.as_mut().unwrap().write_all(b"R\n").unwrap();
    let output = openssl.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = said.split_once("RENEGOTIATING").map(|(_, refused)| refused);
    assert!(refused.is_some_and(|it| it.contains("no renegotiation")), "{said}");
    assert!(is_ips(&pki.connect(server.address).get("/ips")));
}

#[test]
fn a_client_that_waits_for_news_gets_it_and_one_that_goes_is_let_go() {
    let pki = Pki::new("news");
    let (last, news) = (Arc::new(AtomicU64::new(0)), Bell::new().unwrap());
    let counter = Arc::clone(&last);
    let decide = move |command: command::Command| -> Option<Outcome> {
        let command::Command::Events(after) = &command else { return Some(Ok(oblige(&command))) };
        Some(Ok(events(after.seq, counter.load(Ordering::SeqCst))))
    };
    let server = Server::start_with_tls(pki.files(), Some(news.clone()), decide);
    let wait = || {
        let mut client = pki.connect(server.address);
        client.send(request("/events?after=0&history=a&wait=50"));
        server.commands.recv_timeout(PATIENCE).unwrap();
        client
    };
    // As many as may wait at a time have come and gone; those who are here have their places.
    for _ in 0..130 {
        let mut client = wait();
        client.stream.conn.send_close_notify();
        client.stream.flush().unwrap();
    }
    let mut clients: Vec<Secure> = (0..3).map(|_| wait()).collect();
    // What one of them says meanwhile is answered afterwards.
    clients[0].send(request("/version"));
    last.store(1, Ordering::SeqCst);
    news.ring();
    for client in &mut clients {
        let (status, body) = client.answer();
        assert!(status == 200 && body.contains("\"seq\":1"), "{status} {body}");
    }
    assert_eq!(clients[0].answer().0, 200);
}

#[test]
fn a_renewed_certificate_is_taken_and_half_of_one_is_not() {
    let pki = Pki::new("renewal");
    let server = obliging(&pki);
    assert!(pki.connect(server.address).is_met().is_ok());
    pki.make("b");
    fs::copy(pki.0.join("b.key"), pki.0.join("a.key")).unwrap();
    fs::copy(pki.0.join("a.pem"), pki.0.join("old.pem")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let mut client = pki.connect_with(server.address, "old", rustls::ALL_VERSIONS);
        assert!(client.is_met().is_ok(), "the key alone is not taken");
        std::thread::sleep(Duration::from_millis(100));
    }
    fs::copy(pki.0.join("b.pem"), pki.0.join("a.pem")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while pki.connect_with(server.address, "b", rustls::ALL_VERSIONS).is_met().is_err() {
        assert!(Instant::now() < deadline, "the renewed certificate is not taken");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_ips(&pki.connect(server.address).get("/ips")));
}

#[test]
fn the_metrics_tell_when_the_certificate_ends() {
    let pki = Pki::new("metrics");
    let server = obliging(&pki);
    let (status, body) = pki.connect(server.address).get("/metrics");
    let file = pki.files().certificate;
    let series =
        format!("linkd_certificate_expiry_timestamp_seconds{{file=\"{}\"}} ", file.display());
    assert!(status == 200 && body.contains(&series), "{body}");
}
