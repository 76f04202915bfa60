//! The log of changes: one line for each request that may change something, with what was asked,
//! who asked, and what came of it.
//!
//! Pure. What a client has sent is escaped and shortened: a line of the log stays one line.

use std::fmt;

use super::reply::Reply;
use super::route::shortened;
use crate::command::Command;
use crate::text::clean;
use crate::wire;

/// Characters of what a client has asked for that are logged.
const MAX_DETAILS: usize = 68;
/// Characters of a reason that are logged.
const MAX_REASON: usize = 300;

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The client's address, as the gate sees it.
    pub(crate) address: &'a str,
    /// Where the API has a password.
    pub(crate) user: Option<&'a str>,
}

impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.map(|user| format!(" ({user})")).unwrap_or_default();
        write!(f, "{}{user}", self.address)
    }
}

/// The line for a request that was answered; none for one that changes nothing by its method.
pub(crate) fn line(
    (method, target): (&str, &str),
    command: Option<&Command>,
    caller: Caller<'_>,
    reply: &Reply,
) -> Option<String> {
    if ["GET", "HEAD", "OPTIONS"].contains(&method) {
        return None;
    }
    let (method, target) = (shortened(method), shortened(target));
    let what = command.map(what).unwrap_or_default();
    Some(clean(&format!("{method} {target}{what} from {caller}: {}", outcome(reply))))
}

/// What of a command the path does not tell.
fn what(command: &Command) -> String {
    let (_, details) = command.words();
    // Only the name of a host can be long: of a failover, or to be fenced.
    details.chars().take(MAX_DETAILS).collect()
}

fn outcome(reply: &Reply) -> String {
    if reply.status < 300 {
        return "done".to_owned();
    }
    let error: wire::Error = serde_json::from_slice(&reply.body).unwrap_or_default();
    let reason: String = error.error.chars().take(MAX_REASON).collect();
    if error.is_outcome_unknown() {
        format!("outcome unknown: {reason}")
    } else {
        format!("refused with {}: {reason}", reply.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::route::{Action, route};

    const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";
    const ADMIN: Caller<'_> = Caller { address: "10.0.0.7", user: Some("admin") };

    fn line_of(method: &str, target: &str, body: &str, reply: &Reply) -> Option<String> {
        let action = route(method, target, Some(body.as_bytes()));
        let command = match &action {
            Ok(Action::Command(command, _)) => Some(command),
            Ok(Action::Version | Action::Page) | Err(_) => None,
        };
        line((method, target), command, ADMIN, reply)
    }

    #[test]
    fn a_change_is_told_with_what_who_and_the_outcome() {
        let at = |rest: &str| format!("/ips/{ID}{rest}");
        let set = r#"{"healthchecks":[],"etcd_loss_policy":null}"#;
        let done = Reply::version();
        for (method, target, body, reply, expected) in [
            ("POST", "/ips".to_owned(), r#"{"ip":"10.0.0.100"}"#, &done, " 10.0.0.100/32"),
            ("DELETE", at(""), "", &done, ""),
            ("PUT", at(""), set, &done, " 0 checks etcd_loss_policy default"),
            ("POST", at("/failover"), r#"{"host":"h2"}"#, &done, " to h2"),
        ] {
            let expected = format!("{method} {target}{expected} from 10.0.0.7 (admin): done");
            assert_eq!(line_of(method, &target, body, reply), Some(expected));
        }
        let caller = Caller { address: "fe80::1", user: None };
        let line = line(("POST", "/ips"), None, caller, &Reply::error(409, "it is here"));
        assert_eq!(line.unwrap(), "POST /ips from fe80::1: refused with 409: it is here");
        let unknown = Reply::outcome_unknown("etcd does not answer");
        let line = line_of("DELETE", &at(""), "", &unknown).unwrap();
        assert!(line.ends_with("(admin): outcome unknown: etcd does not answer"), "{line}");
    }

    #[test]
    fn what_only_reads_is_not_told() {
        assert_eq!(line_of("GET", "/ips", "", &Reply::version()), None);
    }

    #[test]
    fn what_a_client_sent_stays_on_one_short_line() {
        let odd = "x\n2026 INFO lie\u{1b}[2J".repeat(1000);
        let body = serde_json::json!({ "host": odd }).to_string();
        let target = format!("/ips/{ID}/failover?{}", "y".repeat(10_000));
        let line = line_of("POST", &target, &body, &Reply::error(409, &odd)).unwrap();
        assert!(line.contains(r"x\n2026 INFO lie\u{1b}[2J"), "{line}");
        assert!(!line.contains(char::is_control) && line.len() < 1000, "{line}");
    }
}
