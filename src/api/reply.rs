//! The answer to a client: an outcome becomes a status, header fields and a body.
//!
//! Pure. The bytes on the wire are made here too, for the answers of the gate and of the server
//! behind it alike, so that every answer is framed by one function.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::cluster;
use crate::command::{Answer, Refusal};
use crate::metrics::{self, Snapshot};
use crate::sorted::map_of;
use crate::text::clean_json;
use crate::wire;

/// After this many seconds it is worth to try again: about two renewals of the lease.
const RETRY_AFTER: &str = "2";

/// The field by which the gate knows an answer with which a client can wait.
const NOTHING_NEW: &str = "Nothing-New";

/// An answer before it is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Without `Content-Length` and `Connection`, which belong to the framing.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What a request says about the form of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    /// The connection is used for another request afterwards.
    pub(crate) keep_alive: bool,
    /// The request was HEAD.
    pub(crate) head_only: bool,
}

/// How success is shown: the same IP stands bare or under a key, depending on the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) status: u16,
    pub(crate) key: Option<&'static str>,
}

impl Reply {
    /// The answer to a command.
    pub(crate) fn outcome(form: Form, outcome: Result<Answer, Refusal>) -> Reply {
        match outcome {
            Ok(Answer::List(ips)) => Reply::keyed(form, &ips),
            Ok(Answer::One(ip)) => Reply::keyed(form, &ip),
            Ok(Answer::Done) => Reply::bare(204),
            Ok(Answer::Hosts(hosts)) => Reply::json(200, &wire::HostList { hosts }),
            Ok(Answer::Drain(drain)) => Reply::json(form.status, &drain),
            Ok(Answer::Fence(fence)) => Reply::json(form.status, &fence),
            Ok(Answer::Health(problems)) => Reply::health(problems),
            Ok(Answer::Cluster(facts)) => Reply::json(200, &cluster::status(&facts)),
            Ok(Answer::Metrics(snapshot)) => Reply::metrics(&snapshot),
            Ok(Answer::Events(events)) => Reply::events(&events),
            Err(refusal) => Reply::refused(refusal),
        }
    }

    /// The version of this program.
    pub(crate) fn version() -> Reply {
        Reply::json(200, &wire::Version { version: crate::VERSION.to_owned() })
    }

    /// Something is wrong; the text names the thing and its value.
    pub(crate) fn error(status: u16, error: &str) -> Reply {
        let error = error.to_owned();
        Reply::json(status, &wire::Error { error, ..wire::Error::default() })
    }

    /// 411: the length of the body is told by its encoding only, or not at all.
    pub(crate) fn no_length() -> Reply {
        Reply::error(411, "the request needs a Content-Length, and no Transfer-Encoding")
    }

    /// 422: the messages by field, each naming the value.
    pub(crate) fn invalid(errors: BTreeMap<String, Vec<String>>) -> Reply {
        let error = Refusal::Invalid(errors.clone()).to_string();
        Reply::json(422, &wire::Error { error, errors, ..wire::Error::default() })
    }

    /// 503, to be tried again.
    pub(crate) fn unavailable(error: &str) -> Reply {
        Reply::error(503, error).with("Retry-After", RETRY_AFTER)
    }

    /// 503: the change may have been made, or not. `outcome` says so to programs.
    pub(crate) fn outcome_unknown(error: &str) -> Reply {
        let outcome = Some("unknown".to_owned());
        let body = wire::Error { error: error.to_owned(), outcome, ..wire::Error::default() };
        Reply::json(503, &body).with("Retry-After", RETRY_AFTER)
    }

    /// The answer to `GET /health`: 200, or 503 with all that is wrong.
    pub(crate) fn health(problems: Vec<String>) -> Reply {
        let status = match &problems[..] {
            [] => return Reply::json(200, &wire::Health { status: "ok".to_owned(), problems }),
            [only] => only.clone(),
            [first, others @ ..] => format!("{first} (and {} more)", others.len()),
        };
        Reply::json(503, &wire::Health { status, problems }).with("Retry-After", RETRY_AFTER)
    }

    /// The answer to `GET /metrics`, in the text format of Prometheus.
    fn metrics(snapshot: &Snapshot) -> Reply {
        let format = "text/plain; version=0.0.4; charset=utf-8";
        let headers = vec![("Content-Type".to_owned(), format.to_owned())];
        Reply { status: 200, headers, body: metrics::text(snapshot).into_bytes() }
    }

    /// What happened. To the gate it is said if that is nothing new.
    fn events(events: &wire::Events) -> Reply {
        let reply = Reply::json(200, events);
        let is_news = events.missed || !events.events.is_empty();
        if is_news { reply } else { reply.with(NOTHING_NEW, "yes") }
    }

    /// Whether the server behind the gate says that this is nothing new; no client is told that.
    pub(crate) fn take_nothing_new(&mut self) -> bool {
        let before = self.headers.len();
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(NOTHING_NEW));
        self.headers.len() < before
    }

    /// 401 (RFC 7617, 2).
    pub(crate) fn unauthorized() -> Reply {
        Reply::error(401, "credentials are missing or wrong")
            .with("WWW-Authenticate", "Basic realm=\"LinK\"")
    }

    /// 429: the password was not looked at.
    pub(crate) fn too_many_guesses() -> Reply {
        Reply::error(429, "too many wrong passwords came from this address; try again in a second")
            .with("Retry-After", "1")
    }

    /// 405, with the methods that the path has.
    pub(crate) fn not_allowed(method: &str, path: &str, allow: &str) -> Reply {
        let error = format!("{path} has no method {method}, only {allow}");
        Reply::error(405, &error).with("Allow", allow)
    }

    /// The bytes of this answer (RFC 9112, 4).
    pub(crate) fn encode(&self, framing: Framing) -> Vec<u8> {
        let reason = tiny_http::StatusCode(self.status);
        let reason = reason.default_reason_phrase();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        // RFC 9110, 8.6: no length in a 204.
        if self.status != 204 {
            let length = self.body.len();
            write!(head, "Content-Length: {length}\r\n").expect("a String takes what it is given");
        }
        if !framing.keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !framing.head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    fn refused(refusal: Refusal) -> Reply {
        match refusal {
            Refusal::NotFound => {
                let (resource, error) = (Some("IP".to_owned()), "not found".to_owned());
                Reply::json(404, &wire::Error { resource, error, ..wire::Error::default() })
            }
            Refusal::Conflict(error) => Reply::error(409, &error),
            Refusal::Invalid(errors) => Reply::invalid(errors),
            Refusal::Unavailable(error) => Reply::unavailable(&error),
            Refusal::OutcomeUnknown(error) => Reply::outcome_unknown(&error),
        }
    }

    fn keyed<T: Serialize>(form: Form, value: &T) -> Reply {
        match form.key {
            Some(key) => Reply::json(form.status, &map_of([(key, value)])),
            None => Reply::json(form.status, value),
        }
    }

    fn bare(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    fn json<T: Serialize>(status: u16, value: &T) -> Reply {
        let body = serde_json::to_string(value).expect("the wire types are plain data");
        let body = (clean_json(&body) + "\n").into_bytes();
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Reply { status, headers, body }
    }

    fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Framing = Framing { keep_alive: true, head_only: false };
    const LIST: Form = Form { status: 200, key: Some("ips") };

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    fn ip() -> wire::Ip {
        wire::Ip {
            id: "vip-1".to_owned(),
            ip: "10.0.0.1/32".to_owned(),
            interface: "eth0".to_owned(),
            status: "STANDBY".to_owned(),
            checks: Vec::new(),
            healthcheck_interval: 0,
            etcd_loss_policy: "take".to_owned(),
            priority: Some(100),
            group: None,
            plugin: "arp".to_owned(),
            election_key: "10.0.0.1_32".to_owned(),
            owner: None,
            bound: false,
            reason: String::new(),
            since: 0,
            defaults: Vec::new(),
            seen: None,
        }
    }

    #[test]
    fn an_ip_stands_bare_or_under_the_key_of_its_route() {
        let answer = || Ok(Answer::One(Box::new(ip())));
        let bare = Reply::outcome(Form { status: 201, key: None }, answer());
        assert_eq!(bare.status, 201);
        assert!(text(&bare).starts_with(r#"{"id":"vip-1","ip":"10.0.0.1/32","#), "{}", text(&bare));
        let keyed = Reply::outcome(Form { status: 200, key: Some("endpoint") }, answer());
        assert!(text(&keyed).starts_with(r#"{"endpoint":{"id":"vip-1","#), "{}", text(&keyed));
    }

    #[test]
    fn every_body_is_json_on_one_line_with_its_newline() {
        let refusals = [
            (Refusal::NotFound, 404, "{\"resource\":\"IP\",\"error\":\"not found\"}\n"),
            (Refusal::Conflict("taken".to_owned()), 409, "{\"error\":\"taken\"}\n"),
            (Refusal::Unavailable("no etcd".to_owned()), 503, "{\"error\":\"no etcd\"}\n"),
            (
                Refusal::OutcomeUnknown("no answer".to_owned()),
                503,
                "{\"error\":\"no answer\",\"outcome\":\"unknown\"}\n",
            ),
            (
                Refusal::invalid("ip", "10.0.0.1 is taken"),
                422,
                "{\"error\":\"ip: 10.0.0.1 is taken\",\"errors\":{\"ip\":[\"10.0.0.1 is taken\"]}}\n",
            ),
        ];
        for (refusal, status, body) in refusals {
            let reply = Reply::outcome(LIST, Err(refusal));
            assert_eq!((reply.status, text(&reply)), (status, body));
            assert_eq!(reply.headers[0], ("Content-Type".into(), "application/json".into()));
        }
        assert_eq!(text(&Reply::outcome(LIST, Ok(Answer::List(Vec::new())))), "{\"ips\":[]}\n");
        let hosts = Answer::Hosts(vec![wire::Host::named("h1")]);
        assert_eq!(text(&Reply::outcome(LIST, Ok(hosts))), "{\"hosts\":[{\"hostname\":\"h1\"}]}\n");
    }

    #[test]
    fn the_health_lists_all_that_is_wrong() {
        let health = |problems: &[&str]| {
            let problems = problems.iter().map(|problem| (*problem).to_owned()).collect();
            Reply::outcome(LIST, Ok(Answer::Health(problems)))
        };
        for (reply, status, body) in [
            (health(&[]), 200, "{\"status\":\"ok\"}\n"),
            (health(&["no etcd"]), 503, "{\"status\":\"no etcd\",\"problems\":[\"no etcd\"]}\n"),
            (
                health(&["no etcd", "eth0 is down"]),
                503,
                "{\"status\":\"no etcd (and 1 more)\",\"problems\":[\"no etcd\",\"eth0 is down\"]}\n",
            ),
        ] {
            assert_eq!((reply.status, text(&reply)), (status, body));
        }
    }

    #[test]
    fn a_503_says_when_to_try_again() {
        let sick = Reply::health(vec!["no etcd".to_owned()]);
        for reply in [sick, Reply::unavailable("busy"), Reply::outcome_unknown("no answer")] {
            assert!(reply.headers.iter().any(|(name, _)| name == "Retry-After"));
        }
    }

    #[test]
    fn an_answer_is_framed_as_the_client_needs_it() {
        let reply = Reply::error(404, "x");
        let bytes = reply.encode(OPEN);
        let expected = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\
             Content-Length: 14\r\n\r\n{\"error\":\"x\"}\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);

        let bytes = reply.encode(Framing { keep_alive: false, head_only: true });
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with("Content-Length: 14\r\nConnection: close\r\n\r\n"), "{text}");

        let done = Reply::outcome(LIST, Ok(Answer::Done)).encode(OPEN);
        assert_eq!(done, b"HTTP/1.1 204 No Content\r\n\r\n");
    }
}
