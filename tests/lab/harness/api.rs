//! The HTTP interface of an agent, as a client in its namespace sees it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use link::wire::{HostList, Ip, IpList};
use serde_json::{Value, json};

use super::Vip;
use super::namespace::Namespace;
use super::wait;

/// Longer than any bounded wait of the agent: a client that gives up earlier hides a bug.
const DEADLINE: Duration = Duration::from_secs(40);

/// A way to an agent's API; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    namespace: Arc<Namespace>,
    address: SocketAddr,
    credentials: Option<String>,
}

/// What the agent answered.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The headers in order, names as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, as text.
    pub(crate) body: String,
}

impl Api {
    /// The API at an address, as seen from a namespace.
    pub(crate) fn new(namespace: &Arc<Namespace>, address: SocketAddr) -> Api {
        Api { namespace: Arc::clone(namespace), address, credentials: None }
    }

    /// The API at a port of the namespace's loopback.
    pub(crate) fn local(namespace: &Arc<Namespace>, port: u16) -> Api {
        Api::new(namespace, (Ipv4Addr::LOCALHOST, port).into())
    }

    /// With credentials in every request.
    pub(crate) fn with_credentials(mut self, user: &str, password: &str) -> Api {
        self.credentials = Some(BASE64_STANDARD.encode(format!("{user}:{password}")));
        self
    }

    /// GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    /// POST with a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, Some(&body.to_string()))
    }

    /// PUT with a JSON body.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &Value) -> Response {
        self.send("PUT", path, Some(&body.to_string()))
    }

    /// DELETE.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None)
    }

    /// A request with a body that need not be JSON; panics when there is no answer.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        self.try_send(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path} at {}: {error}", self.address))
    }

    /// A request that may remain without an answer.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> io::Result<Response> {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: link\r\nConnection: close\r\n");
        if let Some(credentials) = &self.credentials {
            request += &format!("Authorization: Basic {credentials}\r\n");
        }
        if body.is_some() || method != "GET" {
            request += &format!("Content-Length: {}\r\n", body.map_or(0, str::len));
        }
        let request = format!("{request}\r\n{}", body.unwrap_or_default());
        self.exchange(request.as_bytes())
    }

    /// Sends these very bytes on a new connection and reads the first answer.
    pub(crate) fn exchange(&self, request: &[u8]) -> io::Result<Response> {
        exchange(&self.namespace, self.address, request)
    }

    /// Registers a VIP without checks.
    #[track_caller]
    pub(crate) fn add(&self, vip: Vip) -> Ip {
        self.create(&json!({ "ip": vip.to_string() }))
    }

    /// Registers a VIP as the body says.
    #[track_caller]
    pub(crate) fn create(&self, body: &Value) -> Ip {
        self.post("/ips", body).expect(201).read()
    }

    /// Asks to register a VIP, whatever the answer.
    #[track_caller]
    pub(crate) fn post_vip(&self, vip: Vip) -> Response {
        self.post("/ips", &json!({ "ip": vip.to_string() }))
    }

    /// Asks to hand a VIP to another host, whatever the answer.
    #[track_caller]
    pub(crate) fn failover(&self, vip: Vip) -> Response {
        self.send("POST", &format!("{}/failover", self.path(vip)), None)
    }

    /// Asks to hand a VIP to a certain host, whatever the answer.
    #[track_caller]
    pub(crate) fn failover_to(&self, vip: Vip, host: &str) -> Response {
        self.post(&format!("{}/failover", self.path(vip)), &json!({ "host": host }))
    }

    /// The names of the hosts that offer a VIP.
    #[track_caller]
    pub(crate) fn hosts(&self, vip: Vip) -> Vec<String> {
        let answer = self.get(&format!("{}/hosts", self.path(vip))).expect(200);
        let list: HostList = answer.read();
        list.hosts.into_iter().map(|host| host.hostname).collect()
    }

    /// All VIPs of the host.
    #[track_caller]
    pub(crate) fn list(&self) -> Vec<Ip> {
        let list: IpList = self.get("/ips").expect(200).read();
        list.ips
    }

    /// The VIP as this host shows it, if it has it and, just started, knows so already.
    #[track_caller]
    pub(crate) fn find(&self, vip: Vip) -> Option<Ip> {
        let answer = self.get("/ips");
        if answer.status == 503 {
            return None;
        }
        let list: IpList = answer.expect(200).read();
        list.ips.into_iter().find(|ip| ip.ip == vip.to_string())
    }

    /// `ACTIVATED`, `STANDBY` or `FAILING`; empty when the host does not have the VIP.
    #[track_caller]
    pub(crate) fn status(&self, vip: Vip) -> String {
        self.find(vip).map(|ip| ip.status).unwrap_or_default()
    }

    /// What `GET /health` answers: its status code and its body.
    pub(crate) fn health(&self) -> (u16, String) {
        let answer = self.get("/health");
        (answer.status, answer.body)
    }

    /// Waits until `GET /health` is 503 and names all of these; gives its body.
    #[track_caller]
    pub(crate) fn await_unwell(&self, words: &[&str]) -> String {
        let mut last = (0, String::new());
        let named = wait::until(wait::PATIENCE, || {
            last = self.health();
            last.0 == 503 && words.iter().all(|word| last.1.contains(word))
        });
        assert!(named, "GET /health is not 503 with {words:?}, but {last:?}");
        last.1
    }

    /// Waits until `GET /health` is 200.
    #[track_caller]
    pub(crate) fn await_well(&self) {
        let mut last = (0, String::new());
        let well = wait::until(wait::PATIENCE, || {
            last = self.health();
            last.0 == 200
        });
        assert!(well, "GET /health is not 200, but {last:?}");
    }

    /// The path of a VIP: `/ips/vip-...`.
    #[track_caller]
    pub(crate) fn path(&self, vip: Vip) -> String {
        let ip = self.find(vip).unwrap_or_else(|| panic!("{vip} is not there"));
        format!("/ips/{}", ip.id)
    }
}

impl Response {
    /// Itself, when the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The value of a header, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        self.read()
    }

    /// The body as a type that the library has for it.
    #[track_caller]
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The sentence in an error's body.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let error = &self.json()["error"];
        error.as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }
}

/// Sends bytes from inside the namespace and reads one HTTP answer.
pub(crate) fn exchange(
    namespace: &Namespace,
    address: SocketAddr,
    request: &[u8],
) -> io::Result<Response> {
    let mut stream = namespace.run(|| TcpStream::connect_timeout(&address, DEADLINE))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    // A server may answer and close before it has read all: then the answer counts.
    let written = stream.write_all(request);
    read_response(&mut stream).or_else(|error| written.and(Err(error)))
}

/// Reads one answer: its head, then as much body as `Content-Length` says (all, without one).
pub(crate) fn read_response(stream: &mut impl Read) -> io::Result<Response> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some((mut response, head)) = parse_head(&bytes)? {
            let length = match response.status {
                // Has no body and therefore no length (RFC 9110, section 8.6).
                204 => Some(0),
                _ => response.header("content-length").and_then(|text| text.parse().ok()),
            };
            let body = &bytes[head..];
            if length.is_some_and(|length: usize| body.len() >= length) {
                response.body = String::from_utf8_lossy(body).into_owned();
                return Ok(response);
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) => return at_end(&bytes),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            // A read with a deadline is not restarted (signal(7)), whatever the signal.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn at_end(bytes: &[u8]) -> io::Result<Response> {
    let (mut response, head) = parse_head(bytes)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    response.body = String::from_utf8_lossy(&bytes[head..]).into_owned();
    Ok(response)
}

/// The head and its length, once it is complete.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Response, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let value = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter();
    let response = Response {
        status: head.code.expect("a complete head has a status"),
        headers: headers.map(|header| (header.name.to_owned(), value(header.value))).collect(),
        body: String::new(),
    };
    Ok(Some((response, length)))
}
