//! The agent's API as functions: each sends a request and says what the answer means.
//!
//! Whether it is LinK at all that answers is decided here: its successes have the documented status
//! and shape, its refusals are JSON objects with an `error`. Everything else is somebody else's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::advice;
use super::failure::{Failure, Next, OverTls};
use super::http::{self, Request, Response};
use super::secure::NoTls;
use super::server::Server;
use super::settings::Said;
use super::text::excerpt;
use crate::carrier::{Fault, SPEAKS_TLS};
use crate::secret::Credentials;
use crate::text::clean;
use crate::vip::{Cidr, VipId};
use crate::wire;

/// For what the agent answers from memory.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long the agent is to wait for news.
const WAIT: Duration = Duration::from_secs(30);
/// For what it reads of the whole cluster.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// For what it stores in etcd before it answers.
const STORE_LIMIT: Duration = Duration::from_secs(15);
/// For what waits until another host has the IP.
const HANDOVER_LIMIT: Duration = Duration::from_secs(40);
/// For the second look at something that is not LinK.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// How much of a foreign answer is shown, characters.
const EXCERPT: usize = 60;

/// An agent, known by where its API is.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) server: Server,
    pub(super) credentials: Option<Credentials>,
}

/// An IP to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewIp {
    pub(super) cidr: Cidr,
    pub(super) settings: Said,
    /// Register it though another machine answers for the address.
    pub(super) force: bool,
}

impl NewIp {
    pub(super) fn new(cidr: Cidr, settings: Said) -> NewIp {
        NewIp { cidr, settings, force: false }
    }

    /// The body of `POST /ips`, or a part of it.
    pub(super) fn to_json(&self) -> Value {
        let mut object = self.settings.clone();
        object.insert("ip".to_owned(), self.cidr.to_string().into());
        if self.force {
            object.insert("force".to_owned(), true.into());
        }
        Value::Object(object)
    }
}

/// What the agent answered, understood, and as it was.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) json: Vec<u8>,
}

impl Agent {
    /// The whole cluster.
    pub(super) fn status(&self) -> Result<Answer<wire::Status>, Failure> {
        let response = self.call("GET", "/status", b"", STATUS_LIMIT, 200)?;
        self.understand(response)
    }

    /// What it tells Prometheus, as it is.
    pub(super) fn metrics(&self) -> Result<String, Failure> {
        let response = self.call("GET", "/metrics", b"", READ_LIMIT, 200)?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    pub(super) fn list(&self) -> Result<Answer<wire::IpList>, Failure> {
        self.get("/ips")
    }

    pub(super) fn show(&self, id: &VipId) -> Result<Answer<wire::OneIp>, Failure> {
        self.get(&format!("/ips/{id}"))
    }

    pub(super) fn hosts(&self, id: &VipId) -> Result<Answer<wire::HostList>, Failure> {
        self.get(&format!("/ips/{id}/hosts"))
    }

    pub(super) fn version(&self) -> Result<Answer<wire::Version>, Failure> {
        self.get("/version")
    }

    /// What has happened. After these, if some are known: as soon as there are more, or none within a
    /// while.
    pub(super) fn events(
        &self,
        known: Option<&wire::Events>,
    ) -> Result<Answer<wire::Events>, Failure> {
        let Some(wire::Events { history, last, .. }) = known else { return self.get("/events") };
        // Only what an id consists of may stand in a request line.
        let history: String =
            history.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let path = format!("/events?after={last}&history={history}&wait={}", WAIT.as_secs());
        let response = self.call("GET", &path, b"", WAIT + READ_LIMIT, 200)?;
        self.understand(response)
    }

    pub(super) fn add(&self, new: &NewIp) -> Result<Answer<wire::Ip>, Failure> {
        let response = self.call("POST", "/ips", &json(&new.to_json()), STORE_LIMIT, 201)?;
        self.understand(response)
    }

    /// Registers all of them or none.
    pub(super) fn add_many(&self, all: &[NewIp]) -> Result<Answer<Vec<wire::Ip>>, Failure> {
        let all: Vec<Value> = all.iter().map(NewIp::to_json).collect();
        let response = self.call("POST", "/ips", &json(&all), HANDOVER_LIMIT, 201)?;
        self.understand(response)
    }

    /// Changes what an IP says of itself.
    pub(super) fn set(&self, id: &VipId, said: Said) -> Result<Answer<wire::Ip>, Failure> {
        let body = json(&Value::Object(said));
        let response = self.call("PUT", &format!("/ips/{id}"), &body, STORE_LIMIT, 200)?;
        self.understand(response)
    }

    pub(super) fn delete(&self, id: &VipId) -> Result<(), Failure> {
        self.act("DELETE", &format!("/ips/{id}"), b"", HANDOVER_LIMIT)
    }

    pub(super) fn lock(&self, id: &VipId) -> Result<(), Failure> {
        self.act("POST", &format!("/ips/{id}/lock"), b"", STORE_LIMIT)
    }

    /// Hands the IP over, to the named host or to any that offers it.
    pub(super) fn failover(&self, id: &VipId, host: Option<&str>) -> Result<(), Failure> {
        let body = host.map(|host| json(&BTreeMap::from([("host", host)])));
        let path = format!("/ips/{id}/failover");
        self.act("POST", &path, &body.unwrap_or_default(), HANDOVER_LIMIT)
    }

    /// Drains the host, for so many seconds or until it is told otherwise.
    pub(super) fn drain(&self, seconds: Option<u64>) -> Result<Answer<wire::Drain>, Failure> {
        let body = seconds.map(|seconds| json(&BTreeMap::from([("for", seconds)])));
        let body = body.unwrap_or_default();
        let response = self.call("POST", "/drain", &body, READ_LIMIT, 200)?;
        self.understand(response)
    }

    pub(super) fn drained(&self) -> Result<Answer<wire::Drain>, Failure> {
        self.get("/drain")
    }

    pub(super) fn undrain(&self) -> Result<(), Failure> {
        self.act("DELETE", "/drain", b"", READ_LIMIT)
    }

    /// Fences a host.
    pub(super) fn fence(&self, host: &str, force: bool) -> Result<Answer<wire::Fence>, Failure> {
        let body = serde_json::json!({"host": host, "force": force});
        let response = self.call("POST", "/fence", &json(&body), HANDOVER_LIMIT, 200)?;
        self.understand(response)
    }

    /// Has the agent leave nothing of its host in etcd when it stops.
    pub(super) fn leave(&self) -> Result<(), Failure> {
        self.act("POST", "/leave", b"", STORE_LIMIT)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        let response = self.call("GET", path, b"", READ_LIMIT, 200)?;
        self.understand(response)
    }

    fn act(
        &self,
        method: &'static str,
        path: &str,
        body: &[u8],
        limit: Duration,
    ) -> Result<(), Failure> {
        self.call(method, path, body, limit, 204).map(drop)
    }

    fn call(
        &self,
        method: &'static str,
        path: &str,
        body: &[u8],
        limit: Duration,
        success: u16,
    ) -> Result<Response, Failure> {
        let request = Request { method, path, body, credentials: self.credentials.as_ref() };
        match http::exchange(&self.server, &request, limit) {
            Ok(response) if response.status == success => Ok(response),
            Ok(response) => Err(self.refusal(&response)),
            Err(error) => Err(self.no_answer(error, method, limit)),
        }
    }

    fn understand<T: DeserializeOwned>(&self, response: Response) -> Result<Answer<T>, Failure> {
        match serde_json::from_slice(&response.body) {
            Ok(value) => Ok(Answer { value, json: response.body }),
            Err(error) => Err(self.not_understood(&response, &error)),
        }
    }

    /// What a status other than the expected one means.
    fn refusal(&self, response: &Response) -> Failure {
        let Ok(refusal) = serde_json::from_slice::<wire::Error>(&response.body) else {
            return self.not_link(&describe(response));
        };
        let text = text_of(&refusal);
        match response.status {
            400 if text.contains(SPEAKS_TLS) => Failure::new(
                Next::OverTls(OverTls::AskByHttps),
                format!("{} speaks TLS only", self.server),
            ),
            401 => Failure::new(Next::GivePassword, self.credentials_message()),
            503 if refusal.is_outcome_unknown() => Failure::new(Next::LookBefore, text),
            status @ 400..=599 => Failure::new(advice::of(status, &text), text),
            _ => self.not_link(&describe(response)),
        }
    }

    fn credentials_message(&self) -> String {
        let server = &self.server;
        match self.credentials {
            None => format!("the agent at {server} asks for a user and a password"),
            Some(_) => format!("the agent at {server} does not accept this user and password"),
        }
    }

    fn no_answer(&self, error: http::Error, method: &str, limit: Duration) -> Failure {
        let server = &self.server;
        let (unknown, after) = match method {
            "GET" => ("", Next::ReachAgent),
            _ => ("; whether it was done is not known", Next::LookBefore),
        };
        match error {
            http::Error::Connect(error) => Failure::new(
                Next::ReachAgent,
                format!("cannot connect to {server}: {}{}", plain(&error), hint(&error)),
            ),
            http::Error::NoTls(fault) => no_tls(server, &fault, unknown),
            http::Error::Timeout => Failure::new(
                after,
                format!("no answer from {server} within {} s{unknown}", limit.as_secs()),
            ),
            http::Error::Broken(error) => Failure::new(
                after,
                format!("connection to {server} lost: {}{unknown}", plain(&error)),
            ),
            http::Error::NotHttp(beginning) if beginning.starts_with(b"\x15\x03") => {
                let message = format!("{server} does not answer like LinK (it speaks TLS)");
                Failure::new(Next::TryHttps, message)
            }
            http::Error::NotHttp(beginning) => {
                self.not_link(&format!("it says {}", excerpt(&beginning, EXCERPT)))
            }
            http::Error::TooLong => self.not_link("its answer is too long"),
        }
    }

    /// A success whose body cannot be read: another service, or a LinK that this program is too old
    /// or too new for.
    fn not_understood(&self, response: &Response, error: &serde_json::Error) -> Failure {
        if is_links(&response.body) {
            let (server, error) = (&self.server, clean(&error.to_string()));
            let what = format!("the answer of {server} is another version's: {error}");
            return Failure::new(Next::Update, what);
        }
        self.not_link(&describe(response))
    }

    fn not_link(&self, what: &str) -> Failure {
        let server = &self.server;
        let message = match self.etcd_version() {
            Some(version) => format!(
                "{server} does not answer like LinK: it is etcd {}; the agent's own port is 1313, \
                 or what PORT says on its host",
                clean(&version)
            ),
            None => format!("{server} does not answer like LinK ({what})"),
        };
        Failure::new(Next::NameAgent, message)
    }

    /// Asks what etcd answers to everybody; without credentials, which were meant for LinK.
    fn etcd_version(&self) -> Option<String> {
        let request = Request { method: "GET", path: "/version", body: b"", credentials: None };
        let response = http::exchange(&self.server, &request, PROBE_LIMIT).ok()?;
        let etcd: EtcdVersion = serde_json::from_slice(&response.body).ok()?;
        Some(etcd.etcdserver)
    }
}

/// No TLS was spoken. Only where the session broke, the agent may have the request.
fn no_tls(server: &Server, NoTls { fault, why }: &NoTls, unknown: &str) -> Failure {
    let (next, unknown) = match fault {
        None => (Next::OverTls(OverTls::InstallLinkd), ""),
        Some(Fault::Plain) => (Next::OverTls(OverTls::AskByHttp), ""),
        Some(Fault::Name) => (Next::OverTls(OverTls::AskByOtherName), ""),
        Some(Fault::Certificate) => (Next::OverTls(OverTls::GiveAuthority), ""),
        Some(Fault::Authorities) => (Next::OverTls(OverTls::MendAuthorities), ""),
        Some(Fault::Broken) => (Next::OverTls(OverTls::LookWhy), unknown),
    };
    Failure::new(next, format!("no TLS with {server}: {}{unknown}", clean(why)))
}

/// The error, and on lines of their own what of the fields it does not tell.
fn text_of(refusal: &wire::Error) -> String {
    let mut text = clean(&refusal.error);
    for (field, messages) in &refusal.errors {
        for message in messages.iter().filter(|message| !refusal.error.contains(message.as_str())) {
            text += &format!("\n  {}: {}", clean(field), clean(message));
        }
    }
    text
}

/// Whether any version of LinK answers like this: an object with one of these fields.
fn is_links(body: &[u8]) -> bool {
    let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
    object.is_ok_and(|object| {
        let fields = ["ips", "ip", "hosts", "findings", "events"];
        fields.iter().any(|field| object.contains_key(*field))
    })
}

/// etcd's answer to `GET /version`, as far as it tells etcd from others.
#[derive(Debug, Deserialize)]
struct EtcdVersion {
    etcdserver: String,
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers always have a JSON form")
}

/// A foreign answer in a few words.
fn describe(response: &Response) -> String {
    let Response { status, body, .. } = response;
    match body.is_empty() {
        true => format!("it says {status}"),
        false => format!("it says {status} {}", excerpt(body, EXCERPT)),
    }
}

/// What may be the reason.
fn hint(error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::ConnectionRefused {
        " (no agent runs there, it has another LISTEN or PORT, or its log says why it cannot listen)"
    } else {
        ""
    }
}

/// An error without the number that Rust appends to the system's text.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_ascii_lowercase(),
        None => text,
    }
}
