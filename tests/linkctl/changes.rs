//! `add -f`, `add --wait`, `set`, `apply`, `lock` and `list --output commands`.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::run::{Run, program};
use crate::server::{Server, done, http};
use crate::{ID, ip, list};

const OTHER: &str = "vip-00000000-0000-4000-8000-000000000002";

/// An IP that says nothing itself, or an interval.
fn listed(id: &str, cidr: &str, interval: u64) -> String {
    let defaults = match interval {
        0 => r#"["healthcheck_interval","interface","etcd_loss_policy"]"#,
        _ => r#"["interface","etcd_loss_policy"]"#,
    };
    let interval = format!("\"healthcheck_interval\":{interval}");
    let ip = ip(id, cidr).replace("\"healthcheck_interval\":0", &interval);
    ip.replace("\"since\":7", &format!("\"since\":7,\"defaults\":{defaults}"))
}

/// The program, which reads this from its standard input.
fn reads(agent: &Server, args: &[&str], input: &str) -> Run {
    let mut command = program();
    command.arg("--host").arg(&agent.address).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What is refused before is not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap().into()
}

fn bodies(agent: Server) -> Vec<(String, Value)> {
    let of = |request: String| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let line = head.split(" HTTP/1.0").next().unwrap().to_owned();
        (line, serde_json::from_str(body).unwrap_or_default())
    };
    agent.requests().into_iter().map(of).collect()
}

#[test]
fn the_ips_of_a_file_are_one_request() {
    let both = format!("[{},{}]", ip(ID, "10.0.0.1/32"), ip(OTHER, "10.0.0.2/32"));
    let agent = Server::agent(&[("POST /ips", http("201 Created", &both))]);
    let run =
        reads(&agent, &["add", "--force", "-f", "-"], "10.0.0.1 # one\n10.0.0.2 --interval 5\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("10.0.0.1/32") && run.stdout.contains("10.0.0.2/32"), "{run:?}");
    let sent = json!([
        {"ip": "10.0.0.1/32", "force": true},
        {"ip": "10.0.0.2/32", "force": true, "healthcheck_interval": 5},
    ]);
    assert_eq!(bodies(agent), [("POST /ips".to_owned(), sent)]);
}

#[test]
fn a_file_that_cannot_be_understood_is_not_sent() {
    let agent = Server::agent(&[]);
    for (input, expected) in [
        ("10.0.0.1\nx\n", "read -: line 2: \"x\" is not an IP address"),
        ("", "read -: there is no IP"),
    ] {
        for verb in ["add", "apply"] {
            reads(&agent, &[verb, "-f", "-"], input).assert_fails(2, expected);
        }
    }
    agent.linkctl(&["add", "-f", "/nowhere/x"]).assert_fails(2, "read /nowhere/x: No such file");
    assert_eq!(agent.requests().len(), 0);
}

#[test]
fn who_waits_is_told_when_there_is_no_owner() {
    let free = ip(ID, "10.0.0.1/32").replace("\"owner\":\"h1\"", "\"owner\":null");
    let agent = Server::agent(&[
        ("POST /ips", http("201 Created", &free)),
        ("GET /ips", http("200 OK", &list(&[free]))),
    ]);
    let run = agent.linkctl(&["add", "10.0.0.1", "--wait=1"]);
    run.assert_fails(4, "registered, and without an owner after 1 s: 10.0.0.1/32 (elected)");
    let owned = ip(ID, "10.0.0.1/32");
    let agent = Server::agent(&[
        ("POST /ips", http("201 Created", &owned)),
        ("GET /ips", http("200 OK", &list(&[owned]))),
    ]);
    assert_eq!(agent.linkctl(&["add", "10.0.0.1", "--wait"]).code, Some(0));
    assert_eq!(agent.requests().len(), 2);
}

#[test]
fn what_is_set_is_sent_and_nothing_else() {
    let put = format!("PUT /ips/{ID}");
    let agent = Server::agent(&[(&put, http("200 OK", &ip(ID, "10.0.0.1/32")))]);
    let run = agent.linkctl(&["set", ID, "--check", "none", "--etcd-loss-policy", "default"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(bodies(agent), [(put, json!({"checks": [], "etcd_loss_policy": null}))]);
}

#[test]
fn a_file_is_applied_in_order_and_the_second_time_changes_nothing() {
    let ips = [listed(ID, "10.0.0.1/32", 0), listed(OTHER, "10.0.0.2/32", 7)];
    let (put, delete) = (format!("PUT /ips/{ID}"), format!("DELETE /ips/{OTHER}"));
    let answers = [
        ("GET /ips", http("200 OK", &list(&ips))),
        ("POST /ips", http("201 Created", &format!("[{}]", ip(ID, "10.0.0.3/32")))),
        (put.as_str(), http("200 OK", &ips[0])),
        (delete.as_str(), done()),
    ];
    let file = "10.0.0.3\n10.0.0.1 --interval 5\n";
    let text = "+ 10.0.0.3/32\n~ 10.0.0.1/32: healthcheck_interval default -> 5\n- 10.0.0.2/32\n";
    let counts = "1 added, 1 changed, 1 deleted, 0 registered anew\n";
    let agent = Server::agent(&answers);
    let run = reads(&agent, &["apply", "-f", "-"], file);
    assert_eq!((run.code, run.stdout), (Some(10), format!("{text}{counts}")));
    let sent = [
        ("GET /ips".to_owned(), Value::Null),
        ("POST /ips".to_owned(), json!([{"ip": "10.0.0.3/32"}])),
        (put.clone(), json!({"healthcheck_interval": 5})),
        (delete.clone(), Value::Null),
    ];
    assert_eq!(bodies(agent), sent);
    let agent = Server::agent(&answers);
    let run = reads(&agent, &["apply", "--dry-run", "-f", "-"], file);
    assert_eq!((run.code, run.stdout), (Some(10), format!("{text}to do: {counts}")));
    let run = reads(&agent, &["apply", "--json", "-f", "-"], &list(&ips));
    let nothing = "{\"added\":[],\"changed\":[],\"deleted\":[],\"registered_anew\":[]}";
    assert_eq!((run.code, run.stdout.trim()), (Some(0), nothing));
    reads(&agent, &["apply", "-f", "-"], &list(&ips)).assert_prints("nothing to change\n");
    let asked: Vec<String> = bodies(agent).into_iter().map(|(line, _)| line).collect();
    assert_eq!(asked, ["GET /ips"; 3], "nothing was changed");
}

#[test]
fn what_fails_while_a_file_is_applied_is_named() {
    let agent = Server::agent(&[
        ("GET /ips", http("200 OK", &list(&[]))),
        ("POST /ips", http("409 Conflict", r#"{"error":"[0]: no"}"#)),
    ]);
    let run = reads(&agent, &["apply", "-f", "-"], "10.0.0.1");
    run.assert_fails(1, "add 1 IPs, the first of which is 10.0.0.1/32: [0]: no");
}

#[test]
fn a_list_is_shown_as_commands() {
    let ips = [listed(ID, "10.0.0.1/32", 0), listed(OTHER, "10.0.0.2/24", 7)];
    let agent = Server::agent(&[("GET /ips", http("200 OK", &list(&ips)))]);
    agent
        .linkctl(&["list", "--output", "commands"])
        .assert_prints("linkctl add 10.0.0.1/32\nlinkctl add 10.0.0.2/24 --interval 7\n");
}

#[test]
fn what_came_of_a_lock_is_told() {
    let lock = format!("POST /ips/{ID}/lock");
    let show = format!("GET /ips/{ID}");
    let own = ip(ID, "10.0.0.1/32");
    let other = own.replace("ACTIVATED", "STANDBY").replace("\"h1\"", "\"h2\"");
    let free = other.replace("\"h2\"", "null").replace("elected", "is drained");
    for (shown, expected) in [
        (own, "this host is its owner\n"),
        (other, "its lock was tried; h2 holds it (linkctl failover on h2 hands it over)\n"),
        (free, "its lock was tried; nobody has it yet: is drained\n"),
    ] {
        let shown = http("200 OK", &format!("{{\"ip\":{shown}}}"));
        let agent = Server::agent(&[(&lock, done()), (&show, shown)]);
        agent.linkctl(&["lock", ID]).assert_prints(&format!("{ID}: {expected}"));
    }
}
