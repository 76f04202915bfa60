//! What is made of an agent's answers.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run::{linkctl, program};
use crate::server::{Server, done, http};
use crate::{ID, ip};

/// A cluster that is well.
pub(crate) const WELL: &str = r#"{"host":"h1","ok":true,"etcd":"ok","findings":[],"more_findings":0,"hosts":[{"hostname":"h1","alive":true,"version":"v1.2.3","up":60,"lease_left":4,"lease_ttl":5,"offers":1,"owns":1,"gone":null}],"ips":[{"ip":"10.0.0.1/32","owner":"h1","candidates":[{"hostname":"h1","alive":true,"available":true}]}],"more_ips":0}
"#;

/// The same, with something that needs a person.
fn not_well() -> String {
    let finding = r#"{"kind":"host","about":"h2","text":"the host is gone","since":70}"#;
    WELL.replace(r#""ok":true"#, r#""ok":false"#)
        .replace(r#""findings":[]"#, &format!(r#""findings":[{finding}]"#))
}

#[test]
fn the_exit_code_of_status_says_whether_something_needs_a_person() {
    let run = Server::always(&http("200 OK", WELL)).linkctl(&["status"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    assert!(
        run.stdout.starts_with("all is well, as h1 knows the cluster: 1 host, 1 IP\n"),
        "{run:?}"
    );
    let agent = Server::always(&http("200 OK", &not_well()));
    let run = agent.linkctl(&["status"]);
    assert_eq!(run.code, Some(8));
    assert!(run.stderr.starts_with("linkctl: 1 thing needs a person\n  -> what to do "), "{run:?}");
    assert!(run.stdout.contains("\n! h2: the host is gone, since 1m10s\n"), "{run:?}");
    let run = agent.linkctl(&["status", "--json"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(8), not_well().as_str()));
}

#[test]
fn a_watch_tells_each_change_once_where_there_is_no_terminal() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let later = not_well().replace(":70", ":72");
    let answers = [WELL.replace(":60", ":58"), WELL.to_owned(), not_well(), later];
    let serving = std::thread::spawn(move || {
        for answer in answers {
            crate::server::answer_one(&listener, &http("200 OK", &answer));
        }
    });
    let mut watch = program();
    watch.args(["watch", "--json", "--host", &address.to_string()]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    serving.join().unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    let told: Vec<bool> = lines.map(|line| line.unwrap().contains("\"ok\":true")).collect();
    assert_eq!(told, [true, false], "what changes by itself is no change");
}

#[test]
fn an_ip_is_shown_when_etcd_does_not_say_who_offers_it() {
    let shown = format!("{{\"ip\":{}}}", ip(ID, "10.0.0.1/32"));
    let answers = [
        (&*format!("GET /ips/{ID}"), http("200 OK", &shown)),
        (
            &*format!("GET /ips/{ID}/hosts"),
            http("503 Service Unavailable", "{\"error\":\"no etcd\"}"),
        ),
        (&*format!("POST /ips/{ID}/lock"), done()),
    ];
    let run = Server::agent(&answers).linkctl(&["show", ID]);
    assert!(run.code == Some(0) && run.stdout.contains("10.0.0.1/32"), "{run:?}");
    assert!(run.stderr.contains("which hosts offer it is not known: no etcd"), "{run:?}");
    let run = Server::agent(&answers).linkctl(&["lock", ID]);
    assert_eq!(run.stdout, format!("{ID}: this host is its owner\n"));
}

#[test]
fn a_mistake_is_told_once() {
    let body = r#"{"error":"ip: x; port: y","errors":{"ip":["x"],"port":["y","z"]}}"#;
    let agent = Server::always(&http("422 Unprocessable Content", body));
    let run = agent.linkctl(&["add", "10.0.0.1"]);
    run.assert_fails(1, "add 10.0.0.1/32: ip: x; port: y\n  port: z\n");
}

#[test]
fn json_for_programs_is_harmless_on_a_terminal() {
    let body = "{\"ips\":[],\"x\":\"\u{9b}2J\u{202e}\u{7f}é\"}\r\n";
    let agent = Server::always(&http("200 OK", body));
    let run = agent.linkctl(&["list", "--json"]);
    run.assert_prints("{\"ips\":[],\"x\":\"\\u009b2J\\u202e\\u007fé\"} \n");
}

#[test]
fn a_fence_tells_who_has_the_ips_and_by_force_only_for_who_has_said_so_twice() {
    let fenced = r#"{"host":"h2","ips":[{"ip":"10.0.0.1/32","owner":"h1"},{"ip":"10.0.0.2/32","owner":null}]}"#;
    let agent = Server::agent(&[("POST /fence", http("200 OK", fenced))]);
    agent.linkctl(&["fence", "h2"]).assert_prints(
        "h2 is fenced; 1 of its 2 IPs have moved\n  10.0.0.1/32 -> h1\n  \
         10.0.0.2/32 -> nobody has it yet\n",
    );
    assert!(agent.requests()[0].ends_with(r#"{"force":false,"host":"h2"}"#));

    // Nobody can answer the question.
    let agent = Server::agent(&[("POST /fence", http("200 OK", fenced))]);
    let run = agent.linkctl(&["fence", "h2", "--force"]);
    assert!(run.code == Some(2) && run.stderr.contains("give --yes"), "{run:?}");
    agent.linkctl(&["fence", "h2", "--force", "--yes", "--json"]).assert_prints(fenced);
    let requests = agent.requests();
    assert!(requests.len() == 1 && requests[0].ends_with(r#"{"force":true,"host":"h2"}"#));

    let lives = r#"{"error":"h2 lives: its agent answers in etcd"}"#;
    let agent = Server::agent(&[("POST /fence", http("409 Conflict", lives))]);
    let run = agent.linkctl(&["fence", "h2"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("fence h2: h2 lives: its agent answers in etcd"), "{run:?}");
    assert!(run.stderr.contains("-> switch it off"), "{run:?}");
}

#[test]
fn a_host_that_is_drained_says_what_stays_and_a_wait_for_that_fails() {
    let drain = |ips: &str| format!(r#"{{"drained":true,"seconds_left":1800,"ips":[{ips}]}}"#);
    let (moves, stays) = (
        r#"{"ip":"10.0.0.1/32","stays":false}"#.to_owned(),
        r#"{"ip":"10.0.0.2/32","stays":true}"#.to_owned(),
    );
    let first = http("200 OK", &drain(&format!("{moves},{stays}")));
    let agent = |then: &str| {
        Server::agent(&[
            ("POST /drain", first.clone()),
            ("GET /drain", http("200 OK", &drain(then))),
        ])
    };
    let run = agent("").linkctl(&["drain", "--for", "30m"]);
    run.assert_prints("drained for 30m0s; the host still has 10.0.0.1/32, 10.0.0.2/32\n");
    let run = agent("").linkctl(&["drain", "--for", "30m", "--wait"]);
    run.assert_prints("drained for 30m0s; the host has no IP\n");
    let run = agent(&stays).linkctl(&["drain", "--for", "30m", "--wait"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("10.0.0.2/32 stay: no other host can have them"), "{run:?}");

    let over =
        r#"{"drained":false,"seconds_left":null,"ips":[{"ip":"10.0.0.1/32","stays":false}]}"#;
    let ended = [("POST /drain", first.clone()), ("GET /drain", http("200 OK", over))];
    let run = Server::agent(&ended).linkctl(&["drain", "--wait"]);
    assert!(run.code == Some(1) && run.stderr.contains("drained no more"), "{run:?}");
}

#[test]
fn every_error_names_what_to_do_next() {
    let error = |status: &str| http(status, r#"{"error":"no"}"#);
    for (answer, code, next) in [
        (error("409 Conflict"), 1, "linkctl events on that host"),
        (error("404 Not Found"), 3, "linkctl list there"),
        (Vec::new(), 4, "linkctl doctor on its host"),
        (http("200 OK", "x"), 5, "--host or LINK_HOST"),
        (error("401 Unauthorized"), 6, "--user and LINK_PASSWORD"),
        (error("503 Service Unavailable"), 7, "linkctl doctor on that host"),
    ] {
        let run = Server::always(&answer).linkctl(&["add", "10.0.0.1"]);
        run.assert_fails(code, "\n  -> ");
        assert!(run.stderr.lines().last().unwrap().contains(next), "{run:?}");
    }
    linkctl("h1", &["list", "x"]).assert_fails(2, "\n  -> see linkctl list --help");
}

#[test]
fn a_failover_says_that_it_is_one_of_the_group() {
    let grouped = ip(ID, "10.0.0.1/32").replacen('{', r#"{"group":"gw","#, 1);
    let joined = grouped.replace(r#""k""#, r#""group:gw""#);
    assert_ne!(joined, grouped);
    for (ip, told) in [(joined, ", with all IPs of group gw"), (grouped, "")] {
        let shown = http("200 OK", &format!("{{\"ip\":{ip}}}"));
        let answers =
            [(&*format!("POST /ips/{ID}/failover"), done()), (&*format!("GET /ips/{ID}"), shown)];
        let run = Server::agent(&answers).linkctl(&["failover", ID]);
        run.assert_prints(&format!("{ID} is handed over{told}\n"));
    }
}
