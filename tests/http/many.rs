//! Many IPs in one request, and what is sent in its place.

use std::io::Read;
use std::thread;

use crossbeam_channel::unbounded;
use link::command::{Command, Refusal};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::supervisor::{Server, ip, oblige};

fn array(count: usize) -> String {
    let ips =
        (0..count).map(|number| format!(r#"{{"ip":"10.0.{}.{}"}}"#, number / 256, number % 256));
    format!("[{}]", ips.collect::<Vec<_>>().join(","))
}

fn post(server: &Server, path: &str, body: &str) -> Answer {
    server.client().ask("POST", path, "", body)
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    assert!(answer.body.ends_with('\n'), "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn a_thousand_ips_are_one_command_and_one_answer() {
    let server = Server::obliging();
    let answer = post(&server, "/ips", &array(1000));
    assert_eq!(answer.status, 201, "{answer:?}");
    let Ok(Command::CreateMany(all)) = server.commands.try_recv() else {
        panic!("another command")
    };
    assert_eq!((all.len(), server.commands.len()), (1000, 0));
    let shown = json_of(&answer);
    assert_eq!(shown.as_array().map(Vec::len), Some(1000));
    assert_eq!(shown[999], serde_json::to_value(ip("10.0.3.231/32")).unwrap());
    let endpoint = r#"[{"plugin":"arp","plugin_config":{"ip":"10.0.0.1/32"}}]"#;
    let shown = json_of(&post(&server, "/endpoints", endpoint));
    assert_eq!(shown, json!({"endpoints": [ip("10.0.0.1/32")]}));
}

#[test]
fn what_is_refused_has_the_code_and_the_body_of_a_single_one() {
    let why = "[1]: ip 10.0.0.1/32 is already configured on this host";
    let server = Server::start(None, move |_| Some(Err(Refusal::Conflict(why.to_owned()))));
    let answer = post(&server, "/ips", &array(2));
    assert_eq!((answer.status, json_of(&answer)), (409, json!({"error": why})));
}

#[test]
fn what_is_no_array_of_ips_never_reaches_the_supervisor() {
    let server = Server::obliging();
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let padded = format!("[{}]", " ".repeat(512 * 1024 - 2));
    let objects = format!("[{}{{}}]", "{},".repeat(170_000));
    let strings = format!(r#"[{{"ip":"{}"}}]"#, "x".repeat(500_000));
    let checks = format!(
        r#"[{{"ip":"10.0.0.1","checks":[{}5]}}]"#,
        r#"{"type":"UDP","host":"","port":0},"#.repeat(14_000)
    );
    let mixed = format!(r#"{},{{"ip":"10.0.0.0"}},{{"ip":"224.0.0.1"}},{{"ip":"z"}}]"#, {
        let good = array(900);
        good[..good.len() - 1].to_owned()
    });
    for (status, body, part) in [
        (422, array(1001), "the array: has 1001 IPs"),
        (422, "[]".to_owned(), "the array: has no IP"),
        (422, padded, "the array: has no IP"),
        (422, objects, "the array: has 170001 IPs"),
        (422, mixed, "[900].ip: 10.0.0.0/32 is [0], too; [901].ip: 224.0.0.1 is a multicast"),
        (422, strings, "[0].ip: xxx"),
        (400, checks, "[0].checks[14000] must be an object"),
        (400, nested(120), "[0] must be an object, not an array"),
        (400, nested(250_000), "the body is not JSON"),
        (400, "[null]".to_owned(), "[0] must be an object, not null"),
        (400, r#"[{"ip":"10.0.0.1"}"#.to_owned(), "the body is not JSON"),
        (413, " ".repeat(512 * 1024 + 1), "the body is over 512 KiB"),
    ] {
        let answer = post(&server, "/ips", &body);
        assert_eq!(answer.status, status, "{part}: {answer:?}");
        let shown = json_of(&answer);
        assert!(shown["error"].as_str().unwrap().contains(part), "{part:?} is not in {shown}");
        assert!(answer.body.len() < 8 * 1024, "{} bytes", answer.body.len());
    }
    assert!(server.commands.is_empty());
}

/// No other route takes that much.
#[test]
fn what_is_large_may_only_be_sent_where_many_ips_are_registered() {
    let server = Server::obliging();
    let large = " ".repeat(64 * 1024 + 1);
    for (method, path) in [("PUT", "/ips"), ("POST", "/drain"), ("POST", "/ips/x/failover")] {
        let answer = server.client().ask(method, path, "", &large);
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(answer.body.contains("64 KiB"), "{answer:?}");
    }
}

/// Those that are too many are told so; readers are served meanwhile.
#[test]
fn many_large_requests_leave_room_for_others() {
    let server = Server::start(None, |command| {
        let is_large = matches!(command, Command::CreateMany(_));
        (!is_large).then(|| Ok(oblige(&command)))
    });
    let body = format!("{}{}", array(1000), " ".repeat(400_000));
    let head = format!("POST /ips HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    let request = head + &body;
    server.client().send(&request);
    assert!(matches!(server.commands.recv(), Ok(Command::CreateMany(_))));
    let (told, refusals) = unbounded();
    let clients: Vec<_> = (0..5).map(|_| server.client()).collect();
    let waiting = clients.into_iter().map(|mut client| {
        client.send(&request);
        let told = told.clone();
        thread::spawn(move || {
            let mut status = [0; 12];
            if client.stream.read_exact(&mut status).is_ok() {
                let _ = told.send(String::from_utf8_lossy(&status).into_owned());
            }
        })
    });
    let waiting: Vec<_> = waiting.collect();
    // One is with the supervisor, and four wait.
    assert_eq!(refusals.recv().unwrap(), "HTTP/1.1 503");
    for path in ["/ips", "/health"] {
        assert_eq!(server.client().get(path).status, 200);
    }
    assert!(refusals.is_empty());
    assert!(!server.commands.try_iter().any(|it| matches!(it, Command::CreateMany(_))));
    drop(server);
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
}
