//! What is made of an agent's answers.

use crate::server::{Server, done, http};
use crate::{ID, ip};

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
    assert!(run.stdout.contains("was tried: h1 has it"), "{run:?}");
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
