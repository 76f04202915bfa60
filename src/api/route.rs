//! The routes: a method and a path become what is to be done, or the answer that says why not.
//!
//! Pure: one `match`. Identifiers and bodies are checked here, at the door, so that a command is
//! always well-formed.

use std::time::Duration;

use super::reply::{Form, Reply};
use super::{body, many};
use crate::command::Command;
use crate::history::After;
use crate::vip::VipId;

/// No client waits for longer; what it sends next says that it is still there.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Bytes of a body, and of one with many IPs.
pub(crate) const USUAL_BODY: usize = 64 * 1024;
pub(crate) const LARGEST_BODY: usize = 512 * 1024;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// To be sent to the supervisor; its answer is shown in this form.
    Command(Command, Form),
    /// Answered from here.
    Version,
    /// The page for people.
    Page,
}

/// Whether everybody may ask for this path, credentials or not.
pub(crate) fn is_public(target: &str) -> bool {
    segments(target) == ["health"]
}

/// Whether this is the path of the page for people.
pub(crate) fn is_page(target: &str) -> bool {
    segments(target) == [""]
}

/// Whether the answer may have to wait for etcd or for another host; the others come from memory.
pub(crate) fn waits(method: &str, target: &str) -> bool {
    !matches!(method, "GET" | "HEAD")
        || matches!(segments(target)[..], ["status"] | [_, _, "hosts"])
}

/// Bytes of the largest body that may be sent there.
pub(crate) fn largest_body(method: &str, target: &str) -> usize {
    match (method, &segments(target)[..]) {
        ("POST", ["ips" | "endpoints"]) => LARGEST_BODY,
        _ => USUAL_BODY,
    }
}

/// How long a client wants to wait for news, if there are none yet.
pub(crate) fn patience(method: &str, target: &str) -> Option<Duration> {
    let reads = matches!(method, "GET" | "HEAD") && segments(target) == ["events"];
    let seconds = parameter(target, "wait").filter(|_| reads)?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT)).filter(|wait| !wait.is_zero())
}

/// Finds what is asked for. A request that told no length has no body, not even an empty one.
pub(crate) fn route(method: &str, target: &str, body: Option<&[u8]>) -> Result<Action, Reply> {
    let path = segments(target);
    let (command, form) = match (method, path.as_slice()) {
        ("GET", [""]) => return Ok(Action::Page),
        ("GET", ["version"]) => return Ok(Action::Version),
        ("GET", ["health"]) => (Command::Health, bare(200)),
        ("GET", ["status"]) => (Command::Status, bare(200)),
        ("GET", ["metrics"]) => (Command::Metrics, bare(200)),
        ("GET", ["events"]) => (Command::Events(after(target)?), bare(200)),
        ("GET", ["ips"]) => (Command::List, keyed(200, "ips")),
        ("GET", ["endpoints"]) => (Command::List, keyed(200, "endpoints")),
        ("POST", ["ips"]) => (many::ips(required(body)?)?, bare(201)),
        ("POST", ["endpoints"]) => {
            let command = many::endpoints(required(body)?)?;
            let one = matches!(command, Command::Create(_));
            (command, keyed(201, if one { "endpoint" } else { "endpoints" }))
        }
        ("GET", ["ips", id]) => (Command::Get(checked(id)?), keyed(200, "ip")),
        ("GET", ["endpoints", id]) => (Command::Get(checked(id)?), keyed(200, "endpoint")),
        // The Go LinK answers this bare under both.
        ("PUT" | "PATCH", ["ips" | "endpoints", id]) => (change(id, body)?, bare(200)),
        ("DELETE", ["ips" | "endpoints", id]) => (Command::Delete(checked(id)?), bare(204)),
        ("POST", ["ips" | "endpoints", id, "lock"]) => (Command::Lock(checked(id)?), bare(204)),
        ("POST", ["ips" | "endpoints", id, "failover"]) => (failover(id, body)?, bare(204)),
        ("GET", ["drain"]) => (Command::Drained, bare(200)),
        ("POST", ["drain"]) => {
            (Command::Drain(body::drain_time(body.unwrap_or_default())?), bare(200))
        }
        ("POST", ["fence"]) => (body::fence(required(body)?)?, bare(200)),
        ("DELETE", ["drain"]) => (Command::Undrain, bare(204)),
        ("POST", ["leave"]) => (Command::Leave, bare(204)),
        ("GET", ["ips" | "endpoints", id, "hosts"]) => (Command::Hosts(checked(id)?), bare(200)),
        (_, path) => return Err(no_route(method, target, path)),
    };
    Ok(Action::Command(command, form))
}

/// The parts of a path, without the query; one slash at its end is not a part.
fn segments(target: &str) -> Vec<&str> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).split('/').collect()
}

/// The value of a parameter in the query.
fn parameter<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split('#').next()?.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn after(target: &str) -> Result<After, Reply> {
    let number = |name| match parameter(target, name).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Reply::error(400, &format!("{name} is not a whole number"))),
    };
    number("wait")?;
    let history = parameter(target, "history").map(str::to_owned);
    Ok(After { history, seq: number("after")? })
}

fn change(id: &str, body: Option<&[u8]>) -> Result<Command, Reply> {
    Ok(Command::Change(checked(id)?, body::change(required(body)?)?))
}

/// `curl -X POST` sends no length, and means no host in particular.
fn failover(id: &str, body: Option<&[u8]>) -> Result<Command, Reply> {
    Ok(Command::Failover(checked(id)?, body::failover_host(body.unwrap_or_default())?))
}

fn checked(id: &str) -> Result<VipId, Reply> {
    id.parse().map_err(|error| Reply::error(400, &format!("{} {error}", shortened(id))))
}

fn required(body: Option<&[u8]>) -> Result<&[u8], Reply> {
    body.ok_or_else(Reply::no_length)
}

fn no_route(method: &str, target: &str, path: &[&str]) -> Reply {
    match methods(path) {
        Some(allow) => Reply::not_allowed(shortened(method), shortened(target), allow),
        None => Reply::error(404, &format!("there is nothing at {}", shortened(target))),
    }
}

/// The methods that a known path has.
fn methods(path: &[&str]) -> Option<&'static str> {
    match path {
        ["" | "version" | "health" | "metrics" | "status" | "events"]
        | ["ips" | "endpoints", _, "hosts"] => Some("GET, HEAD"),
        ["ips" | "endpoints"] => Some("GET, HEAD, POST"),
        ["drain"] => Some("GET, HEAD, POST, DELETE"),
        ["ips" | "endpoints", _] => Some("GET, HEAD, PUT, PATCH, DELETE"),
        ["fence"] | ["ips" | "endpoints", _, "lock" | "failover"] => Some("POST"),
        _ => None,
    }
}

fn bare(status: u16) -> Form {
    Form { status, key: None }
}

fn keyed(status: u16, key: &'static str) -> Form {
    Form { status, key: Some(key) }
}

/// The beginning of a text of the client's.
pub(crate) fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Change;

    const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

    fn id() -> VipId {
        ID.parse().unwrap()
    }

    fn command(method: &str, target: &str, body: Option<&str>) -> (Command, Form) {
        match route(method, target, body.map(str::as_bytes)) {
            Ok(Action::Command(command, form)) => (command, form),
            other => panic!("{method} {target}: {other:?}"),
        }
    }

    fn refusal(method: &str, target: &str, body: Option<&str>) -> Reply {
        match route(method, target, body.map(str::as_bytes)) {
            Err(reply) => reply,
            other => panic!("{method} {target}: {other:?}"),
        }
    }

    #[test]
    fn the_two_faces_ask_for_the_same_and_show_it_under_their_own_keys() {
        for (face, many, one) in [("ips", "ips", "ip"), ("endpoints", "endpoints", "endpoint")] {
            let at = |rest: &str| format!("/{face}/{ID}{rest}");
            let of = |method: &str, target: &str| command(method, target, None);
            assert_eq!(of("GET", &format!("/{face}")), (Command::List, keyed(200, many)));
            assert_eq!(of("GET", &at("")), (Command::Get(id()), keyed(200, one)));
            assert_eq!(of("DELETE", &at("")), (Command::Delete(id()), bare(204)));
            assert_eq!(of("POST", &at("/lock")), (Command::Lock(id()), bare(204)));
            assert_eq!(of("POST", &at("/failover")), (Command::Failover(id(), None), bare(204)));
            assert_eq!(of("GET", &at("/hosts")), (Command::Hosts(id()), bare(200)));
        }
        assert_eq!(route("GET", "/version", None), Ok(Action::Version));
        for target in ["/", "/?x", "/#a"] {
            assert_eq!(route("GET", target, None), Ok(Action::Page), "{target}");
        }
        assert_eq!(command("GET", "/health", None).0, Command::Health);
        assert_eq!(command("GET", "/status", None), (Command::Status, bare(200)));
        assert!(!is_public("/status"));
    }

    #[test]
    fn a_change_is_answered_with_the_ip_bare_or_as_an_endpoint() {
        let ip = Some(r#"{"ip":"10.0.0.1"}"#);
        assert_eq!(command("POST", "/ips", ip).1, bare(201));
        let endpoint = Some(r#"{"plugin":"arp","plugin_config":{"ip":"10.0.0.1"}}"#);
        assert_eq!(command("POST", "/endpoints", endpoint).1, keyed(201, "endpoint"));
        for method in ["PUT", "PATCH"] {
            let checks = Some(r#"{"healthchecks":[]}"#);
            let change = Change { checks: Some(Vec::new()), ..Change::default() };
            let expected = Command::Change(id(), change);
            let found = command(method, &format!("/ips/{ID}"), checks);
            assert_eq!(found, (expected.clone(), bare(200)));
            let found = command(method, &format!("/endpoints/{ID}"), checks);
            assert_eq!(found, (expected, bare(200)));
        }
    }

    #[test]
    fn many_ips_are_answered_with_an_array_bare_or_as_endpoints() {
        let (many, form) = command("POST", "/ips", Some(r#"[{"ip":"10.0.0.1"}]"#));
        assert!(matches!(many, Command::CreateMany(_)));
        assert_eq!(form, bare(201));
        let endpoints = r#"[{"plugin_config":{"ip":"10.0.0.1"}}]"#;
        let (many, form) = command("POST", "/endpoints", Some(endpoints));
        assert!(matches!(many, Command::CreateMany(_)));
        assert_eq!(form, keyed(201, "endpoints"));
        for (method, target, expected) in [
            ("POST", "/ips?x", LARGEST_BODY),
            ("POST", "/endpoints/", LARGEST_BODY),
            ("PUT", "/ips", USUAL_BODY),
            ("POST", "/drain", USUAL_BODY),
            ("POST", "/ips/x/failover", USUAL_BODY),
        ] {
            assert_eq!(largest_body(method, target), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_query_and_one_slash_at_the_end_are_ignored() {
        for target in ["/ips", "/ips/", "/ips?x=/y", "/ips/?", "/ips#a"] {
            assert_eq!(command("GET", target, None).0, Command::List, "{target}");
        }
        assert!(is_public("/health") && is_public("/health/?x"));
        for target in ["/", "/ips", "/healthy", "//health", "/health/x", "/HEALTH"] {
            assert!(!is_public(target), "{target}");
        }
    }

    #[test]
    fn what_asks_etcd_waits_and_what_is_in_memory_does_not() {
        for (method, target, expected) in [
            ("GET", "/ips", false),
            ("HEAD", "/health?x", false),
            ("GET", "/ips/x", false),
            ("GET", "/ips/x/hosts/?x", true),
            ("GET", "/status", true),
            ("HEAD", "/endpoints/x/hosts", true),
            ("POST", "/ips", true),
            ("DELETE", "/ips/x", true),
        ] {
            assert_eq!(waits(method, target), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_client_asks_what_happened_after_what_it_knows() {
        let after = |history: Option<&str>, seq| {
            Command::Events(After { history: history.map(str::to_owned), seq })
        };
        for (target, expected, patience) in [
            ("/events", after(None, None), None),
            ("/events/?after=7", after(None, Some(7)), None),
            ("/events?wait=9&after=0&history=a-b", after(Some("a-b"), Some(0)), Some(9)),
            ("/events?wait=3600&x", after(None, None), Some(60)),
            ("/events?wait=0", after(None, None), None),
        ] {
            assert_eq!(command("GET", target, None), (expected, bare(200)), "{target}");
            assert_eq!(patience_of("GET", target), patience, "{target}");
        }
        for target in ["/events?after=", "/events?after=-1", "/events?wait=1.5", "/events?wait=x"] {
            assert_eq!(refusal("GET", target, None).status, 400, "{target}");
        }
        assert_eq!(refusal("POST", "/events", None).status, 405);
        for (method, target) in [("POST", "/events?wait=9"), ("GET", "/ips?wait=9")] {
            assert_eq!(patience_of(method, target), None, "{method} {target}");
        }
    }

    fn patience_of(method: &str, target: &str) -> Option<u64> {
        patience(method, target).map(|patience| patience.as_secs())
    }

    #[test]
    fn an_unknown_path_is_404_and_a_malformed_id_400() {
        for target in ["//ips", "/ip", "/ips/x/y", "/ips/x/lock/y", "/version/x"] {
            assert_eq!(refusal("GET", target, None).status, 404, "{target}");
        }
        for (method, rest) in [("GET", ""), ("DELETE", ""), ("PUT", ""), ("POST", "/lock")] {
            let target = format!("/ips/vip-1{rest}");
            assert_eq!(refusal(method, &target, Some("{}")).status, 400, "{method} {target}");
        }
    }

    #[test]
    fn a_known_path_with_another_method_says_which_it_has() {
        for (method, target, allow) in [
            ("POST", "/version", "GET, HEAD"),
            ("POST", "/", "GET, HEAD"),
            ("DELETE", "/ips", "GET, HEAD, POST"),
            ("POST", "/ips/x", "GET, HEAD, PUT, PATCH, DELETE"),
            ("GET", "/endpoints/x/lock", "POST"),
            ("GET", "/ips/x/failover/", "POST"),
            ("BREW", "/ips/x/hosts", "GET, HEAD"),
        ] {
            let reply = refusal(method, target, None);
            assert_eq!(reply.status, 405, "{method} {target}");
            let field = ("Allow".to_owned(), allow.to_owned());
            assert!(reply.headers.contains(&field), "{reply:?}");
        }
    }

    #[test]
    fn only_what_needs_a_body_needs_its_length() {
        assert_eq!(refusal("POST", "/ips", None).status, 411);
        assert_eq!(refusal("POST", "/endpoints", None).status, 411);
        assert_eq!(refusal("PUT", &format!("/ips/{ID}"), None).status, 411);
        assert_eq!(refusal("POST", "/ips", Some("")).status, 400);
        let failover = command("POST", &format!("/ips/{ID}/failover"), Some(r#"{"host":"h2"}"#));
        assert_eq!(failover.0, Command::Failover(id(), Some("h2".to_owned())));
    }
}
