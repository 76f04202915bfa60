//! The endpoints of etcd, each on a thread of its own: its version, its health, its alarms, its clock.

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use serde::Deserialize;

use super::curl::{self, Response};
use super::{dates, now, program};
use crate::ctl::doctor::facts::{Answer, Environment, Member};
use crate::ctl::http::{self, Error, Request};
use crate::ctl::server::Server;

/// For one request.
const LIMIT: Duration = Duration::from_millis(1200);

/// Where etcd listens for other members it tells its version, and nothing else that clients ask.
const FOR_MEMBERS: &str = "etcd does not serve clients at this port (2380 is for other members)";

/// How a member may be asked.
enum Way {
    Plain(Server),
    Tls(curl::Tls),
}

/// The endpoints, and the answers that are still to come.
pub(super) fn ask(
    settings: &Environment,
    within: Duration,
) -> Vec<(String, Receiver<Result<Answer, String>>)> {
    let until = Instant::now() + within.saturating_sub(Duration::from_millis(300));
    let hosts = settings.get("ETCD_HOSTS").filter(|hosts| !hosts.is_empty());
    let hosts = hosts.map_or("http://127.0.0.1:2379", String::as_str);
    let items = hosts.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            // A user and a password may stand before a host.
            let shown = item.rsplit('@').next().unwrap_or_default().to_owned();
            let way = way(item, settings);
            let answer = program::beside("member", move || asked(&way?, until));
            (shown, answer)
        })
        .collect()
}

/// What came of an endpoint in time.
pub(super) fn member(
    endpoint: String,
    answer: &Receiver<Result<Answer, String>>,
    left: Duration,
) -> Member {
    let late = |_| Err("no answer in time".to_owned());
    Member { answer: answer.recv_timeout(left).unwrap_or_else(late), endpoint }
}

fn way(endpoint: &str, settings: &Environment) -> Result<Way, String> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    let rest = rest.trim_end_matches('/');
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let authority = if has_port { rest.to_owned() } else { format!("{rest}:2379") };
    match scheme {
        "http" => authority.parse().map(Way::Plain).map_err(str::to_owned),
        "https" => {
            let file = |name: &str| settings.get(name).filter(|path| !path.is_empty()).cloned();
            Ok(Way::Tls(curl::Tls {
                url: format!("https://{authority}"),
                ca: file("ETCD_CACERT"),
                cert: file("ETCD_TLS_CERT"),
                key: file("ETCD_TLS_KEY"),
            }))
        }
        _ => Err("its scheme is neither http nor https".to_owned()),
    }
}

/// The answer to `GET /version`.
#[derive(Deserialize)]
struct Version {
    etcdserver: String,
}

/// The answer to `GET /health`; the reason is there since 3.5.
#[derive(Deserialize)]
struct Health {
    health: String,
    #[serde(default)]
    reason: String,
}

/// The answer to `Maintenance.Status`, by etcd's gateway.
#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    header: Header,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Header {
    #[serde(default)]
    cluster_id: String,
}

fn asked(way: &Way, until: Instant) -> Result<Answer, String> {
    let ask = |method: &'static str, path: &str, body: &[u8]| {
        let limit = LIMIT.min(until.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        let response = match way {
            Way::Plain(server) => {
                plain(server, &Request { method, path, body, credentials: None }, limit)
            }
            Way::Tls(tls) => curl::exchange(tls, method, path, body, limit),
        };
        response.map(|response| (response, begun.elapsed()))
    };
    let (first, mut latency) = ask("GET", "/version", b"")?;
    let ahead = first.date.as_deref().and_then(dates::http).map(|date| date - now());
    let version: Result<Version, _> = serde_json::from_slice(&first.body);
    let Ok(Version { etcdserver: version }) = version else {
        return Err(format!("it does not answer as etcd does ({})", first.status));
    };
    let mut unhealthy = None;
    if let Ok((response, took)) = ask("GET", "/health", b"") {
        if response.status == 404 {
            return Err(FOR_MEMBERS.to_owned());
        }
        latency = took;
        unhealthy = health(&response.body);
    }
    if latency > Duration::from_millis(100)
        && let Ok((_, took)) = ask("GET", "/health", b"")
    {
        // What may have been a moment of this host's.
        latency = latency.min(took);
    }
    let status = ask("POST", "/v3/maintenance/status", b"{}").ok();
    let status: Option<Status> = status.and_then(|(it, _)| serde_json::from_slice(&it.body).ok());
    let status = status.unwrap_or_default();
    Ok(Answer {
        latency,
        version,
        cluster: status.header.cluster_id,
        unhealthy,
        errors: status.errors,
        ahead,
        certificate_ends: first.certificate_ends,
    })
}

/// Why it is not healthy.
fn health(body: &[u8]) -> Option<String> {
    let Health { health, reason } = serde_json::from_slice(body).ok()?;
    match (health.as_str(), reason.is_empty()) {
        ("true", _) => None,
        (_, true) => Some("/health says so".to_owned()),
        (_, false) => Some(reason),
    }
}

fn plain(server: &Server, request: &Request<'_>, limit: Duration) -> Result<Response, String> {
    match http::exchange(server, request, limit) {
        Ok(http::Response { status, date, body }) => {
            Ok(Response { status, date, body, certificate_ends: None })
        }
        Err(Error::Connect(error)) => Err(error.to_string()),
        // As etcd does with TLS.
        Err(Error::Broken(error)) => Err(format!("it hangs up (does it speak TLS?): {error}")),
        Err(Error::NoTls(fault)) => Err(fault.why),
        Err(Error::Timeout) => Err("no answer in time".to_owned()),
        Err(Error::NotHttp(beginning)) if beginning.starts_with(b"\x15\x03") => {
            Err("it speaks TLS, and the endpoint says http".to_owned())
        }
        Err(Error::NotHttp(_) | Error::TooLong) => {
            Err("it does not answer as etcd does".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_asked_as_it_is_written() {
        let settings = Environment::from([("ETCD_CACERT".to_owned(), "/ca.pem".to_owned())]);
        for (endpoint, authority) in [
            ("10.0.0.1", "10.0.0.1:2379"),
            ("http://[fd00::1]/", "[fd00::1]:2379"),
            ("http://etcd-1:4001", "etcd-1:4001"),
        ] {
            let Ok(Way::Plain(server)) = way(endpoint, &settings) else { panic!("{endpoint}") };
            assert_eq!(server.to_string(), authority);
        }
        let Ok(Way::Tls(tls)) = way("https://etcd-1", &settings) else { panic!("no TLS") };
        assert_eq!((tls.url.as_str(), tls.ca.as_deref()), ("https://etcd-1:2379", Some("/ca.pem")));
        assert!(way("ftp://etcd-1", &settings).is_err());
    }

    #[test]
    fn health_is_told_by_all_versions() {
        assert_eq!(health(br#"{"health":"true","reason":""}"#), None);
        assert_eq!(health(br#"{"health":"false"}"#).as_deref(), Some("/health says so"));
        let alarm = br#"{"health":"false","reason":"ALARM NOSPACE"}"#;
        assert_eq!(health(alarm).as_deref(), Some("ALARM NOSPACE"));
    }
}
