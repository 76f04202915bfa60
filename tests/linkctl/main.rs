//! The real `linkctl` against servers on loopback that say what an agent, or something else, says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod answers;
mod changes;
mod doctor;
mod events;
mod hosts;
mod leave;
mod next;
mod run;
mod server;
mod tls;

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use run::{Run, linkctl, program};
use server::{Closed, Server, done, http};

const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

/// An IP as the agent shows it.
fn ip(id: &str, ip: &str) -> String {
    format!(
        r#"{{"id":"{id}","ip":"{ip}","interface":"eth0","status":"ACTIVATED","checks":[],"healthcheck_interval":0,"plugin":"arp","election_key":"k","owner":"h1","bound":true,"reason":"elected","since":7}}"#
    )
}

fn list(ips: &[String]) -> String {
    format!("{{\"ips\":[{}]}}\n", ips.join(","))
}

#[test]
fn every_command_sends_the_documented_request() {
    let one = ip(ID, "10.0.0.1/32");
    let [show, hosts, delete, lock, failover] = [
        format!("GET /ips/{ID}"),
        format!("GET /ips/{ID}/hosts"),
        format!("DELETE /ips/{ID}"),
        format!("POST /ips/{ID}/lock"),
        format!("POST /ips/{ID}/failover"),
    ];
    let ok = |body: &str| http("200 OK", body);
    let answers = [
        ("GET /ips", ok(&list(std::slice::from_ref(&one)))),
        ("GET /status", ok(answers::WELL)),
        ("GET /version", ok("{\"version\":\"v9.8.7\"}\n")),
        ("GET /events", ok(&events::of(&[]))),
        ("POST /ips", http("201 Created", &one)),
        (&show, ok(&format!("{{\"ip\":{one}}}\n"))),
        (&hosts, ok("{\"hosts\":[{\"hostname\":\"h1\"}]}\n")),
        (&delete, done()),
        (&lock, done()),
        (&failover, done()),
        ("POST /drain", ok(r#"{"drained":true,"seconds_left":null,"ips":[]}"#)),
        ("DELETE /drain", done()),
        ("POST /fence", ok(r#"{"host":"h2","ips":[]}"#)),
    ];
    for (args, expected) in [
        (&["list"] as &[&str], &["GET /ips"] as &[&str]),
        (&["status"], &["GET /status"]),
        (&["version"], &["GET /version"]),
        (&["events"], &["GET /events"]),
        (&["add", "10.0.0.1"], &["POST /ips"]),
        (&["show", ID], &[&show, &hosts]),
        (&["delete", ID], &[&delete]),
        (&["lock", ID], &[&lock, &show]),
        (&["failover", ID], &[&failover, &show]),
        (&["drain"], &["POST /drain"]),
        (&["undrain"], &["DELETE /drain"]),
        (&["fence", "h2"], &["POST /fence"]),
        (&["failover", "10.0.0.1"], &["GET /ips", &failover, &show]),
    ] {
        let agent = Server::agent(&answers);
        let run = agent.linkctl(args);
        assert_eq!(run.code, Some(0), "{run:?}");
        let requests = agent.requests();
        let lines = requests.iter().map(|r| r.split(" HTTP/1.0\r\n").next());
        assert_eq!(lines.flatten().collect::<Vec<_>>(), expected, "{args:?}");
    }
}

#[test]
fn what_is_added_is_sent_in_full_and_nothing_else() {
    for (args, body) in [
        ("add 10.0.0.1", r#"{"ip":"10.0.0.1/32"}"#),
        (
            "add FD00::1/64 --check db:5432 --interval 7 --interface e1 --etcd-loss-policy hold",
            r#"{"checks":[{"host":"db","port":5432,"type":"TCP"}],"etcd_loss_policy":"hold","healthcheck_interval":7,"interface":"e1","ip":"fd00::1/64"}"#,
        ),
    ] {
        let added = http("201 Created", &ip(ID, "10.0.0.1/32"));
        let agent = Server::agent(&[("POST /ips", added)]);
        let run = agent.linkctl(&args.split(' ').collect::<Vec<_>>());
        assert_eq!(run.code, Some(0), "{run:?}");
        let requests = agent.requests();
        let (head, sent) = requests[0].split_once("\r\n\r\n").unwrap();
        assert_eq!(sent, body);
        assert!(head.contains("\r\nContent-Type: application/json"));
    }
}

#[test]
fn a_failover_names_the_host_in_its_body() {
    let agent = Server::agent(&[(&format!("POST /ips/{ID}/failover"), done())]);
    agent
        .linkctl(&["failover", ID, "--to", "h\"2"])
        .assert_prints(&format!("{ID} is handed over\n"));
    let requests = agent.requests();
    assert!(requests[0].ends_with("\r\n\r\n{\"host\":\"h\\\"2\"}"));
}

#[test]
fn json_is_the_agents_own_and_a_204_is_an_empty_object() {
    let answer = list(&[ip(ID, "10.0.0.1/32").replace(":7", ": 7,\"new\":[]")]);
    let agent = Server::agent(&[
        ("GET /ips", http("200 OK", &answer)),
        (&format!("DELETE /ips/{ID}"), done()),
    ]);
    agent.linkctl(&["list", "--json"]).assert_prints(&answer);
    agent.linkctl(&["--json", "delete", ID]).assert_prints("{}\n");
}

#[test]
fn people_get_a_table_without_colours_where_there_is_no_terminal() {
    let answer = list(&[ip(ID, "10.0.0.1/32")]);
    let agent = Server::agent(&[("GET /ips", http("200 OK", &answer))]);
    agent.linkctl(&["list"]).assert_prints(
        "IP           STATUS     OWNER  BOUND  SINCE\n\
         10.0.0.1/32  ACTIVATED  h1     yes    7s\n",
    );
    agent.linkctl(&["list", "--wide"]).assert_prints(&format!(
        "IP           STATUS     OWNER  BOUND  INTERFACE  CHECKS  SINCE  ID\n\
         10.0.0.1/32  ACTIVATED  h1     yes    eth0       0       7s     {ID}\n"
    ));
    let empty = Server::agent(&[("GET /ips", http("200 OK", &list(&[])))]);
    let run = empty.linkctl(&["list"]);
    run.assert_prints("");
    assert!(run.stderr.contains("shares no IP"), "{run:?}");
}

#[test]
fn an_ip_is_found_by_its_address_unless_two_have_it() {
    let other = "vip-00000000-0000-4000-8000-000000000000";
    let ips = [ip(other, "10.0.0.1/24"), ip(ID, "10.0.0.1/32"), ip(other, "10.0.0.2/24")];
    let agent = Server::agent(&[
        ("GET /ips", http("200 OK", &list(&ips))),
        (&format!("POST /ips/{ID}/lock"), done()),
        (&format!("DELETE /ips/{other}"), done()),
    ]);
    for (verb, target) in
        [("lock", "10.0.0.1/32"), ("delete", "10.0.0.1/24"), ("delete", "10.0.0.2")]
    {
        let run = agent.linkctl(&[verb, target]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    agent
        .linkctl(&["lock", "10.0.0.1"])
        .assert_fails(2, "lock 10.0.0.1: ambiguous: there are 10.0.0.1/24 and 10.0.0.1/32");
    for missing in ["10.0.0.2/32", "10.0.0.9", "fd00::1"] {
        let expected = format!("lock {missing}: the agent at {}", agent.address);
        agent.linkctl(&["lock", missing]).assert_fails(3, &expected);
    }
}

#[test]
fn an_id_that_cannot_stand_in_a_url_is_not_followed() {
    let ips = [ip("vip-1/../../health HTTP/1.1", "10.0.0.1/32")];
    let agent = Server::agent(&[("GET /ips", http("200 OK", &list(&ips)))]);
    let run = agent.linkctl(&["delete", "10.0.0.1"]);
    run.assert_fails(5, "delete 10.0.0.1: the agent calls it vip-1/../..");
    assert_eq!(agent.requests().len(), 1);
}

#[test]
fn each_refusal_has_its_exit_code_and_its_reason() {
    for (status, code) in [
        ("400 Bad Request", 1),
        ("404 Not Found", 3),
        ("409 Conflict", 1),
        ("413 Content Too Large", 1),
        ("422 Unprocessable Content", 1),
        ("500 Internal Server Error", 1),
        ("503 Service Unavailable", 7),
    ] {
        let body = r#"{"error":"no: \u001b[2Jx","errors":{"ip":["is\na b"]}}"#;
        let agent = Server::always(&http(status, body));
        let run = agent.linkctl(&["add", "10.0.0.1"]);
        run.assert_fails(code, "add 10.0.0.1/32: no: \\u{1b}[2Jx\n  ip: is\\na b\n");
    }
}

#[test]
fn an_unknown_outcome_is_not_told_as_nothing_changed() {
    let body = r#"{"error":"etcd does not answer","outcome":"unknown"}"#;
    let agent = Server::always(&http("503 Service Unavailable", body));
    agent.linkctl(&["add", "10.0.0.1"]).assert_fails(4, "add 10.0.0.1/32: etcd does not answer");
}

#[test]
fn missing_and_wrong_credentials_are_told_apart() {
    let agent = Server::always(&http("401 Unauthorized", "{\"error\":\"unauthorized\"}\n"));
    agent.linkctl(&["list"]).assert_fails(6, "LINK_PASSWORD");
    let run = agent.linkctl(&["list", "--user", "u", "--password", "geheim"]);
    run.assert_fails(6, "does not accept");
    assert!(!run.stderr.contains("geheim"), "{run:?}");
    let requests = agent.requests();
    assert!(!requests[0].contains("Authorization"));
    // printf u:geheim | base64
    assert!(requests[1].contains("\r\nAuthorization: Basic dTpnZWhlaW0=\r\n"));
}

#[test]
fn the_environment_counts_where_no_option_is_given() {
    let agent = Server::agent(&[("GET /ips", http("200 OK", &list(&[])))]);
    let run = |host: &str, args: &[&str]| {
        let mut command = program();
        command.env("LINK_HOST", host).args(args);
        command.env("LINK_USER", "u").env("LINK_PASSWORD", "p");
        Run::from(command.output().unwrap())
    };
    run(&agent.address, &["list"]).assert_prints("");
    let args = ["list", "--host", &agent.address, "--password", "q"];
    run(&Closed::new().address, &args).assert_prints("");
    run("a/b", &["list"]).assert_fails(2, "LINK_HOST \"a/b\"");
    let requests = agent.requests();
    // printf u:p | base64; printf u:q | base64
    assert!(requests[0].contains("\r\nAuthorization: Basic dTpw\r\n"));
    assert!(requests[1].contains("\r\nAuthorization: Basic dTpx\r\n"));
}

#[test]
fn etcd_is_recognized_and_the_question_carries_no_password() {
    let version = r#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#;
    let answers = [("GET /version", http("200 OK", version))];
    let not_found = http("404 Not Found", "404 page not found\n");
    let etcd = Server::start("127.0.0.1:0", &answers, not_found);
    let run = etcd.linkctl(&["list", "--password", "p"]);
    run.assert_fails(5, "does not answer like LinK: it is etcd 3.4.23");
    let requests = etcd.requests();
    assert!(requests[1].starts_with("GET /version"));
    assert!(!requests[1].contains("Authorization"));
}

#[test]
fn whatever_else_answers_is_called_not_link() {
    let page = "<html><body>404</body></html>";
    for (answer, shown) in [
        (http("404 Not Found", page), "(it says 404 \"<html>"),
        (http("200 OK", page), "(it says 200 \"<html>"),
        (http("200 OK", "{\"status\":\"up\"}"), "(it says 200 "),
        (http("302 Found", ""), "(it says 302)"),
        (http("204 No Content", ""), "(it says 204)"),
        (b"SSH-2.0-x\r\n".to_vec(), "(it says \"SSH-2.0-x\")"),
        (b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), "(it speaks TLS)"),
        (vec![0x1b, 0, 0xff, b'\n'], "(it says \"\\u{1b}\\u{0}\u{fffd}\")"),
        (http("200 OK", &"[".repeat(100_000)), "(it says 200 \"[[["),
    ] {
        let server = Server::always(&answer);
        let expected = format!("{} does not answer like LinK {shown}", server.address);
        server.linkctl(&["list"]).assert_fails(5, &expected);
    }
}

#[test]
fn another_version_of_link_is_not_called_a_stranger() {
    let answer = r#"{"ips":[{"id":"vip-1","address":"10.0.0.1/32"}]}"#;
    let agent = Server::always(&http("200 OK", answer));
    let run = agent.linkctl(&["list"]);
    run.assert_fails(5, "another version's: missing field");
}

#[test]
fn where_nobody_listens_it_says_so() {
    let Closed { address, .. } = &Closed::new();
    let expected = format!("cannot connect to {address}: connection refused");
    linkctl(address, &["list"]).assert_fails(4, &expected);
    let run = linkctl("[::1]:1", &["list"]);
    run.assert_fails(4, "cannot connect to [::1]:1: ");
    assert!(!run.stderr.contains("lookup"), "{run:?}");
}

#[test]
fn a_lost_connection_leaves_open_whether_a_change_was_made() {
    let server = Server::always(b"");
    let run = server.linkctl(&["list"]);
    run.assert_fails(4, "lost: unexpected end of file\n");
    let run = server.linkctl(&["delete", ID]);
    run.assert_fails(4, "whether it was done is not known");
}

#[test]
fn silence_and_dripping_are_waited_for_a_bounded_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dripping = TcpListener::bind("127.0.0.1:0").unwrap();
    let [silent_address, dripping_address] =
        [&silent, &dripping].map(|l| l.local_addr().unwrap().to_string());
    let drip = thread::spawn(move || {
        let (mut stream, _) = dripping.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let started = Instant::now();
    let dripped = thread::spawn(move || linkctl(&dripping_address, &["list"]));
    linkctl(&silent_address, &["list"]).assert_fails(4, "within 5 s");
    dripped.join().unwrap().assert_fails(4, "within 5 s");
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(9), "{elapsed:?}");
    drip.join().unwrap();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let ips: Vec<String> = (0..1000).map(|_| ip(ID, "10.0.0.1/32")).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = program()
        .args(["list", "--host"])
        .arg(listener.local_addr().unwrap().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The reader is gone before there is anything to read.
    drop(child.stdout.take());
    let answers = [("GET /ips", http("200 OK", &list(&ips)))];
    let _agent = Server::serve(listener, &answers, Vec::new());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = program().arg("--help").stdout(full).output();
    Run::from(output.unwrap()).assert_fails(1, "write standard output: ");
}

#[test]
fn help_needs_no_agent() {
    let help = linkctl(&Closed::new().address, &["--help"]);
    assert_eq!(help.code, Some(0));
    for word in ["failover", "LINK_PASSWORD", "Exit codes", "127.0.0.1:1313"] {
        assert!(help.stdout.contains(word), "{word}");
    }
}

#[test]
fn the_own_version_is_known_without_an_agent() {
    let own = concat!("linkctl v", env!("CARGO_PKG_VERSION"), "\n");
    linkctl(&Closed::new().address, &["--version"]).assert_prints(own);
    let run = linkctl(&Closed::new().address, &["version"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(4), own), "{run:?}");
    let version = http("200 OK", "{\"version\":\"v9.8.7\"}");
    let agent = Server::agent(&[("GET /version", version)]);
    let both = format!("{own}linkd   v9.8.7 at {}\n", agent.address);
    agent.linkctl(&["version"]).assert_prints(&both);
}

/// Needs IPv6 on loopback and `script`, which a plain user's machine may lack.
#[cfg(feature = "lab")]
mod lab {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_agent_is_reached_over_ipv6() {
        let answers = [("GET /ips", http("200 OK", &list(&[])))];
        let agent = Server::start("[::1]:0", &answers, Vec::new());
        agent.linkctl(&["list"]).assert_prints("");
        let host = format!("\r\nHost: {}\r\n", agent.address);
        assert!(agent.requests()[0].contains(&host));
    }

    #[test]
    fn colours_are_for_terminals() {
        let answer = http("200 OK", &list(&[ip(ID, "10.0.0.1/32")]));
        let agent = Server::agent(&[("GET /ips", answer)]);
        let on_terminal = |variables: &str| {
            let linkctl = env!("CARGO_BIN_EXE_linkctl");
            let command = format!("{variables} {linkctl} list --host {}", agent.address);
            let output = Command::new("script")
                .args(["--quiet", "--return", "--command", &command, "/dev/null"])
                .stdin(Stdio::null())
                .output();
            Run::from(output.unwrap()).stdout
        };
        assert!(on_terminal("NO_COLOR= TERM=xterm").contains("\x1b[32mACTIVATED\x1b[0m"));
        assert!(on_terminal("NO_COLOR=1 TERM=xterm").contains("  ACTIVATED  "));
        assert!(on_terminal("NO_COLOR= TERM=dumb").contains("  ACTIVATED  "));
    }
}
