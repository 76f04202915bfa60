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
