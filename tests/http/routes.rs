//! Every route, every code, every body.

use std::net::TcpStream;
use std::time::Duration;

use link::api::{Api, Options};
use link::command::{self, Change, Command, NewVip, Refusal};
use link::policy::LossPolicy;
use link::vip::{Check, VipId};
use link::wire;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::supervisor::{ID, Server, ip, oblige};

fn ask(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    server.client().ask(method, path, "", body)
}

fn json_of(answer: &Answer) -> Value {
    answer.assert_is_json();
    serde_json::from_str(&answer.body).unwrap()
}

/// Method, path, body; the command that it sends, the status and the body of its answer.
type Case = (&'static str, String, &'static str, Command, u16, Option<Value>);

const CHECKS: &str = r#"{"healthchecks":[{"type":"TCP","host":"127.0.0.1","port":80}]}"#;
const CREATE_IP: &str = r#"{"ip":"10.0.0.1","interface":"eth1","healthcheck_interval":5,
    "checks":[{"type":"TCP","host":"127.0.0.1","port":80}],"etcd_loss_policy":"probe","priority":7}"#;
const CREATE_ENDPOINT: &str = r#"{"plugin":"arp","plugin_config":{"ip":"10.0.0.1/32"},
    "checks":[{"type":"TCP","host":"127.0.0.1","port":80}],"healthcheck_interval":5,
    "etcd_loss_policy":"probe","priority":7}"#;

fn id() -> VipId {
    ID.parse().unwrap()
}

fn check() -> Check {
    Check::tcp("127.0.0.1", 80)
}

fn create(interface: Option<&str>) -> Command {
    Command::Create(NewVip {
        cidr: "10.0.0.1/32".parse().unwrap(),
        checks: vec![check()],
        healthcheck_interval: 5,
        interface: interface.map(str::to_owned),
        loss: Some(LossPolicy::Probe),
        priority: Some(7),
        group: None,
        force: false,
    })
}

fn set_checks() -> Command {
    Command::Change(id(), Change { checks: Some(vec![check()]), ..Change::default() })
}

/// The routes that stand under `/ips` and `/endpoints` alike.
fn cases_of_both(face: &str, one: &str) -> Vec<Case> {
    let at = |rest: &str| format!("/{face}/{ID}{rest}");
    let shown = serde_json::to_value(ip("10.0.0.1/32")).unwrap();
    let hosts = json!({"hosts": [{"hostname": "h1"}, {"hostname": "h2"}]});
    let to_h2 = Command::Failover(id(), Some("h2".to_owned()));
    vec![
        ("GET", format!("/{face}"), "", Command::List, 200, Some(json!({face: [shown]}))),
        ("GET", at(""), "", Command::Get(id()), 200, Some(json!({one: shown}))),
        ("DELETE", at(""), "", Command::Delete(id()), 204, None),
        ("POST", at("/lock"), "", Command::Lock(id()), 204, None),
        ("POST", at("/failover"), "", Command::Failover(id(), None), 204, None),
        ("POST", at("/failover"), r#"{"host":"h2"}"#, to_h2, 204, None),
        ("GET", at("/hosts"), "", Command::Hosts(id()), 200, Some(hosts)),
    ]
}

/// The routes whose answers look different under `/ips` and under `/endpoints`.
fn cases_of_one() -> Vec<Case> {
    let (ip_at, endpoint_at) = (format!("/ips/{ID}"), format!("/endpoints/{ID}"));
    let shown = serde_json::to_value(ip("10.0.0.1/32")).unwrap();
    let (bare, keyed) = (Some(shown.clone()), Some(json!({"endpoint": shown})));
    let policy = r#"{"etcd_loss_policy":null}"#;
    let reset = Command::Change(id(), Change { loss: Some(None), ..Change::default() });
    let slower = Command::Change(id(), Change { interval: Some(7), ..Change::default() });
    let usual = Command::Change(id(), Change { priority: Some(None), ..Change::default() });
    let ok = Some(json!({"status": "ok"}));
    vec![
        ("POST", "/ips".to_owned(), CREATE_IP, create(Some("eth1")), 201, bare.clone()),
        ("PUT", ip_at.clone(), CHECKS, set_checks(), 200, bare.clone()),
        ("PATCH", ip_at.clone(), CHECKS, set_checks(), 200, bare.clone()),
        ("PATCH", ip_at.clone(), policy, reset, 200, bare.clone()),
        ("PUT", ip_at.clone(), r#"{"priority":null}"#, usual, 200, bare.clone()),
        ("PUT", ip_at, r#"{"healthcheck_interval":7}"#, slower, 200, bare.clone()),
        ("POST", "/endpoints".to_owned(), CREATE_ENDPOINT, create(None), 201, keyed),
        // As the Go LinK answers.
        ("PUT", endpoint_at, CHECKS, set_checks(), 200, bare),
        ("GET", "/health".to_owned(), "", Command::Health, 200, ok),
    ]
}

/// The routes of the host as a whole.
fn cases_of_the_host() -> Vec<Case> {
    let path = || "/drain".to_owned();
    let has = json!([{"ip": "10.0.0.1/32", "stays": true}]);
    let drained = |left: Value| Some(json!({"drained": true, "seconds_left": left, "ips": has}));
    let not = Some(json!({"drained": false, "seconds_left": null, "ips": []}));
    let half = Command::Drain(Some(Duration::from_secs(1800)));
    let fence = || "/fence".to_owned();
    let of_h2 = |force| Command::Fence { host: "h2".to_owned(), force };
    let moved = json!([{"ip": "10.0.0.1/32", "owner": "h1"}]);
    let fenced = || Some(json!({"host": "h2", "ips": moved}));
    vec![
        ("POST", path(), "", Command::Drain(None), 200, drained(json!(null))),
        ("POST", path(), r#"{"for":1800}"#, half, 200, drained(json!(1800))),
        ("GET", path(), "", Command::Drained, 200, not),
        ("DELETE", path(), "", Command::Undrain, 204, None),
        ("POST", fence(), r#"{"host":"h2"}"#, of_h2(false), 200, fenced()),
        ("POST", fence(), r#"{"host":"h2","force":true}"#, of_h2(true), 200, fenced()),
        ("POST", "/leave".to_owned(), "", Command::Leave, 204, None),
    ]
}

#[test]
fn every_route_sends_its_command_and_shows_its_answer() {
    let server = Server::obliging();
    let mut client = server.client();
    let faces = [cases_of_both("ips", "ip"), cases_of_both("endpoints", "endpoint")];
    for (method, path, body, command, status, shown) in
        faces.into_iter().flatten().chain(cases_of_one()).chain(cases_of_the_host())
    {
        let answer = client.ask(method, &path, "", body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(server.commands.try_recv().unwrap(), command, "{method} {path}");
        match shown {
            Some(shown) => assert_eq!(json_of(&answer), shown, "{method} {path}"),
            None => {
                assert_eq!(answer.body, "");
                assert_eq!(answer.header("content-length"), None);
                assert_eq!(answer.header("content-type"), None);
            }
        }
    }
}

#[test]
fn the_wire_types_read_what_is_written() {
    let server = Server::obliging();
    let mut client = server.client();
    let list: wire::IpList = serde_json::from_str(&client.get("/ips").body).unwrap();
    assert_eq!(list.ips, [ip("10.0.0.1/32")]);
    let one: wire::OneIp = serde_json::from_str(&client.get(&format!("/ips/{ID}")).body).unwrap();
    assert_eq!(one.ip, ip("10.0.0.1/32"));
    let status: wire::Status = serde_json::from_str(&client.get("/status").body).unwrap();
    assert_eq!(
        (status.host.as_str(), status.ok, status.etcd.as_str()),
        ("h1", false, "etcd is lost")
    );
    assert_eq!((status.ips.len(), status.findings.len()), (1, 1), "{status:?}");
    let version: wire::Version = serde_json::from_str(&client.get("/version").body).unwrap();
    assert_eq!(version.version, format!("v{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_the_supervisor_refuses_has_its_code_and_body() {
    for (refusal, status, shown) in [
        (Refusal::NotFound, 404, json!({"resource": "IP", "error": "not found"})),
        (Refusal::Conflict("it is here".to_owned()), 409, json!({"error": "it is here"})),
        (Refusal::Unavailable("no etcd".to_owned()), 503, json!({"error": "no etcd"})),
        (
            Refusal::OutcomeUnknown("etcd does not answer".to_owned()),
            503,
            json!({"error": "etcd does not answer", "outcome": "unknown"}),
        ),
        (
            Refusal::invalid("ip", "10.0.0.1 is an address of eth0"),
            422,
            json!({
                "error": "ip: 10.0.0.1 is an address of eth0",
                "errors": {"ip": ["10.0.0.1 is an address of eth0"]}
            }),
        ),
    ] {
        let server = Server::start(None, move |_| Some(Err(refusal.clone())));
        let answer = ask(&server, "POST", "/ips", r#"{"ip":"10.0.0.1"}"#);
        assert_eq!((answer.status, json_of(&answer)), (status, shown));
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
}

#[test]
fn what_cannot_be_understood_never_reaches_the_supervisor() {
    let server = Server::obliging();
    let mut client = server.client();
    let at = |rest: &str| format!("/ips/{ID}{rest}");
    // As deep as the parser goes, on a small stack, and deeper.
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (status, method, path, body) in [
        (400, "POST", "/ips".to_owned(), "{"),
        (400, "POST", "/ips".to_owned(), r#"{"ip":5}"#),
        (400, "POST", "/ips".to_owned(), ""),
        (400, "PUT", at(""), "[]"),
        (400, "POST", "/ips".to_owned(), &deep(127)),
        (400, "POST", "/ips".to_owned(), &deep(30_000)),
        (400, "GET", "/ips/vip-1".to_owned(), ""),
        (400, "DELETE", "/endpoints/x".to_owned(), ""),
        (400, "POST", at("/failover"), r#"{"host":1}"#),
        (400, "POST", "/drain".to_owned(), r#"{"for":"30m"}"#),
        (422, "POST", "/drain".to_owned(), r#"{"for":0}"#),
        (422, "POST", "/drain".to_owned(), r#"{"for":99999999999}"#),
        (405, "PUT", "/drain".to_owned(), "{}"),
        (400, "POST", "/fence".to_owned(), ""),
        (400, "POST", "/fence".to_owned(), r#"["h2"]"#),
        (400, "POST", "/fence".to_owned(), r#"{"host":2}"#),
        (400, "POST", "/fence".to_owned(), r#"{"host":"h2","force":"yes"}"#),
        (422, "POST", "/fence".to_owned(), "{}"),
        (422, "POST", "/fence".to_owned(), r#"{"host":"a b"}"#),
        (422, "POST", "/fence".to_owned(), r#"{"host":"h2/h3"}"#),
        (405, "GET", "/fence".to_owned(), ""),
        (405, "DELETE", "/fence".to_owned(), ""),
        (404, "GET", "/nothing".to_owned(), ""),
        (405, "POST", "/".to_owned(), "{}"),
        (405, "PUT", "/ips".to_owned(), "{}"),
        (405, "GET", at("/lock"), ""),
        (422, "POST", "/ips".to_owned(), r#"{"ip":"224.0.0.1"}"#),
        (422, "POST", "/endpoints".to_owned(), r#"{"plugin":"webhook","plugin_config":{}}"#),
        (422, "PUT", at(""), r#"{"healthchecks":[{"type":"TCP","host":"h","port":0}]}"#),
        (400, "PUT", at(""), r#"{"etcd_loss_policy":false}"#),
        (422, "PUT", at(""), r#"{"etcd_loss_policy":"guess"}"#),
        (422, "PUT", at(""), r#"{"priority":256}"#),
        (400, "POST", "/ips".to_owned(), r#"{"ip":"10.0.0.1","priority":"high"}"#),
        (422, "POST", "/ips".to_owned(), r#"{"ip":"10.0.0.1","etcd_loss_policy":"TAKE"}"#),
    ] {
        let answer = client.ask(method, &path, "", body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        let shown = json_of(&answer);
        assert!(shown["error"].is_string(), "{shown}");
        assert_eq!(shown["errors"].is_object(), status == 422, "{shown}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{answer:?}");
    }
    assert!(server.commands.is_empty());
}

#[test]
fn head_is_get_without_its_body() {
    let server = Server::obliging();
    let mut client = server.client();
    let whole = client.get("/ips");
    let head = client.ask("HEAD", "/ips", "", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    assert_eq!(client.get("/version").status, 200);
}

#[test]
fn with_a_password_only_the_health_is_for_everybody() {
    let server = Server::start(Some("s3cret"), |command| Some(Ok(oblige(&command))));
    let mut client = server.client();
    let right = "Authorization: Basic YWRtaW46czNjcmV0\r\n";
    let wrong = "Authorization: Basic YWRtaW46czNjcmVU\r\n";
    let cases = [
        ("GET", "/ips"),
        ("GET", "/version"),
        ("GET", "/nothing"),
        ("PUT", "/ips/x"),
        ("BREW", "/"),
    ];
    for (method, path) in cases {
        for fields in ["", wrong, "Authorization: Bearer x\r\n", "Authorization: Basic \u{e9}\r\n"]
        {
            let answer = client.ask(method, path, fields, "{");
            assert_eq!(answer.status, 401, "{method} {path} {fields}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"LinK\""));
            json_of(&answer);
        }
    }
    assert!(server.commands.is_empty());
    // Another one, whose patience was not tried.
    let server = Server::start(Some("s3cret"), |command| Some(Ok(oblige(&command))));
    let mut client = server.client();
    assert_eq!(client.ask("GET", "/ips", right, "").status, 200);
    assert_eq!(client.ask("GET", "/nothing", right, "").status, 404);
    assert_eq!(client.get("/health").status, 200);
}

#[test]
fn a_supervisor_that_is_stuck_is_no_healthy_one() {
    let server = Server::start(None, |_| None);
    let answer = ask(&server, "GET", "/health", "");
    assert_eq!(answer.status, 503);
    assert_eq!(
        json_of(&answer),
        json!({"status": "the supervisor does not answer in time", "problems": ["the supervisor does not answer in time"]})
    );
}

#[test]
fn changes_that_hang_leave_room_for_readers() {
    let server = Server::start(None, |command| {
        let hangs = matches!(command, Command::Delete(_));
        (!hangs).then(|| Ok(oblige(&command)))
    });
    let mut hanging = Vec::new();
    for _ in 0..100 {
        let mut client = server.client();
        client.send(format!("DELETE /ips/{ID} HTTP/1.1\r\nHost: h\r\n\r\n"));
        hanging.push(client);
    }
    // Of 100 changes some are served, some wait, and what is too many is refused at once.
    let refused = hanging.last_mut().unwrap().answer();
    assert_eq!(refused.status, 503);
    assert_eq!(json_of(&refused), json!({"error": "too many requests wait for etcd"}));
    assert!(refused.header("retry-after").is_some());
    let mut reader = server.client();
    for _ in 0..10 {
        assert_eq!(reader.get("/ips").status, 200);
        assert_eq!(reader.get("/health").status, 200);
    }
}

#[test]
fn the_end_answers_who_waits_and_closes_the_port() {
    let mut server = Server::start(None, |_| None);
    let mut waiting = server.client();
    waiting.send("GET /ips HTTP/1.1\r\nHost: h\r\n\r\n");
    server.commands.recv().unwrap();
    let mut idle = server.client();
    assert_eq!(idle.get("/version").status, 200);
    server.api = None;
    let answer = waiting.answer();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(idle.rest(), "");
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn without_a_supervisor_everything_is_unavailable() {
    let (commands, nobody) = crossbeam_channel::bounded(1);
    drop(nobody);
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let options = Options { listen, names: vec!["h".to_owned()], ..Options::default() };
    let api = Api::start(options, commands).unwrap();
    let mut client = crate::client::Client::connect(api.addresses()[0]);
    assert_eq!(client.get("/ips").status, 503);
    assert_eq!(client.get("/health").status, 503);
    assert_eq!(client.get("/version").status, 200);
}

#[test]
fn an_answer_that_is_too_long_is_refused_and_costs_nothing() {
    let long = || wire::Ip { reason: "x".repeat(17_000_000), ..ip("10.0.0.1/32") };
    let server = Server::start(None, move |command| {
        let is_list = command == Command::List;
        Some(Ok(if is_list { command::Answer::List(vec![long()]) } else { oblige(&command) }))
    });
    let mut client = server.client();
    let answer = client.get("/ips");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    let error = json_of(&answer);
    let told = error["error"].as_str().unwrap();
    assert!(told.starts_with("the answer has 170003"), "{told}");
    assert_eq!(error.get("outcome"), None);
    assert_eq!(client.get("/health").status, 200);
}
