//! How requests and answers are cut out of the stream of bytes.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use link::command::{Answer, Command};

use crate::supervisor::{ID, Server, ip, oblige};

const GET: &str = "GET /version HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn bytes_may_come_one_by_one() {
    let server = Server::obliging();
    let mut client = server.client();
    let request =
        "POST /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n\r\n{\"ip\":\"10.0.0.1\"}";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.answer().status, 201);
}

#[test]
fn one_connection_carries_many_requests() {
    let server = Server::obliging();
    let mut client = server.client();
    for _ in 0..200 {
        let answer = client.get("/version");
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
}

#[test]
fn what_is_sent_ahead_is_answered_in_its_order() {
    let server = Server::obliging();
    let mut client = server.client();
    let create = "POST /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n\r\n{\"ip\":\"10.0.0.1\"}";
    let lock = format!("POST /ips/{ID}/lock HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    let missing = "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345";
    let wrong = "GET / HTTP/3.7\r\n\r\n";
    client.send([GET, create, &lock, missing, wrong, GET].concat());
    for status in [200, 201, 204, 404, 505] {
        assert_eq!(client.answer().status, status);
    }
    assert_eq!(client.rest(), "", "after what cannot be read nothing is");
}

#[test]
fn the_client_says_when_it_is_the_last_request() {
    let server = Server::obliging();
    for request in [
        "GET /version HTTP/1.0\r\n\r\n",
        "GET /version HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        "GET /version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = server.client();
        client.send([request, GET].concat());
        let text = client.rest();
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 1, "{request:?}: {text}");
        assert_eq!(text.matches("Connection: close\r\n").count(), 1, "{request:?}: {text}");
    }
}

#[test]
fn a_client_may_close_its_side_before_it_is_answered() {
    let server = Server::obliging();
    let mut client = server.client();
    client.send([GET, GET].concat());
    client.end();
    assert_eq!(client.rest().matches("HTTP/1.1 200 OK\r\n").count(), 2);
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::obliging();
    let mut client = server.client();
    client.send(
        "POST /ips HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n",
    );
    assert_eq!(client.answer().status, 100);
    client.send("{\"ip\":\"10.0.0.1\"}");
    assert_eq!(client.answer().status, 201);
}

/// `curl -X POST` sends neither body nor length.
#[test]
fn a_request_without_a_length_is_enough_where_nothing_is_to_be_said() {
    let server = Server::obliging();
    for (status, path) in [(204, format!("/ips/{ID}/lock")), (411, "/ips".to_owned())] {
        let mut client = server.client();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
}

#[test]
fn what_is_wrong_is_answered_in_json_and_the_connection_closed() {
    let server = Server::obliging();
    let body = "x".repeat(64 * 1024 + 1);
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let fields = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(65));
    let too_long =
        format!("PUT /ips HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for (status, request) in [
        (400, "nonsense\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\nHost: h\n\n"),
        (400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"),
        (411, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (413, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000000000\r\n\r\n"),
        (413, &too_long),
        (417, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n1"),
        (431, &long),
        (431, &fields),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let mut client = server.client();
        client.send(request);
        let answer = client.answer();
        let start = &request[..request.len().min(60)];
        assert_eq!(
            (answer.status, answer.header("connection")),
            (status, Some("close")),
            "{start:?}"
        );
        answer.assert_is_json();
        assert_eq!(client.rest(), "", "{start:?}");
    }
    assert!(server.commands.is_empty());
}

#[test]
fn half_a_request_is_answered_when_the_client_has_ended_it() {
    let server = Server::obliging();
    let mut client = server.client();
    client.send("GET /version HTTP/1.1\r\n");
    client.end();
    assert_eq!(client.answer().status, 400);
}

#[test]
fn a_body_may_be_64_kib() {
    let server = Server::obliging();
    let address = r#"{"ip":"10.0.0.1"}"#;
    let body = format!("{address}{}", " ".repeat(64 * 1024 - address.len()));
    assert_eq!(server.client().ask("POST", "/ips", "", &body).status, 201);
}

#[test]
fn a_long_answer_arrives_whole_however_slowly_it_is_read() {
    let server = Server::start(None, |_| Some(Ok(Answer::List(vec![ip("10.0.0.1/32"); 10_000]))));
    let mut patient = server.client();
    patient.send("GET /ips HTTP/1.1\r\nHost: h\r\n\r\n");
    server.commands.recv().unwrap();
    let mut other = server.client();
    assert_eq!(other.get("/version").status, 200, "while the first has not read its answer");
    let answer = patient.answer();
    assert!(answer.body.len() > 2_000_000);
    let list: link::wire::IpList = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(list.ips.len(), 10_000);
    assert_eq!(patient.get("/version").status, 200);
}

#[test]
fn a_client_that_resets_the_connection_while_it_is_served_harms_nobody() {
    let server = Server::start(None, |command| {
        (command == Command::Health).then_some(Ok(Answer::Health(Vec::new())))
    });
    for _ in 0..3 {
        let mut client = server.client();
        client.send("GET /ips HTTP/1.1\r\nHost: h\r\n\r\n");
        server.commands.recv().unwrap();
        crate::attack::reset(client.stream);
    }
    assert_eq!(server.client().get("/health").status, 200);
    let mut client = server.client();
    client.stream.write_all(GET.as_bytes()).unwrap();
    assert_eq!(client.answer().status, 200);
}

/// Sends what the fuzzer has found worth keeping, and what only looks odd. tiny_http must not close
/// one of its few connections for any of it.
#[test]
fn no_request_costs_a_connection_behind_the_gate() {
    let server = Server::start(None, |command| {
        let hangs = matches!(command, Command::Delete(_));
        (!hangs).then(|| Ok(oblige(&command)))
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/gate");
    let kept = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let ascii: String = ('!'..='~').collect();
    let long = "x".repeat(15_000);
    let odd = [
        format!("get /{ascii} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("{long} / HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("!#$%&'*+-.^_`|~ //%00/../?{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization:  Basic {ascii} {long}\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: h\r\nAuthorization:\r\n\r\n".to_owned(),
        "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0000000000000000000000001\r\n\r\nx"
            .to_owned(),
        "CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
    ];
    for bytes in kept.chain(odd.map(String::into_bytes)) {
        let mut client = server.client();
        // The server may have seen enough, and have closed.
        let _ =
            client.stream.write_all(&bytes).and_then(|()| client.stream.shutdown(Shutdown::Write));
        let _ = client.stream.read_to_end(&mut Vec::new());
    }
    while server.commands.try_recv().is_ok() {}
    let mut hanging: Vec<_> = (0..3).map(|_| server.client()).collect();
    for client in &mut hanging {
        client.send(format!("DELETE /ips/{ID} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    for _ in &hanging {
        let served = server.commands.recv_timeout(Duration::from_secs(20));
        assert!(served.is_ok(), "three connections are left for changes");
    }
    assert_eq!(server.client().get("/version").status, 200, "and one for what is in memory");
}
