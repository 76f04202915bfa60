//! What a web page of somebody else's has a browser send.

use crate::client::Answer;
use crate::supervisor::{Server, oblige};

const FORM: &str = r#"{"ip":"10.0.0.1","x":"="}"#;

/// Sends a change with these fields, each ended by CRLF; Host is one of them.
fn post(server: &Server, fields: &str) -> Answer {
    let length = FORM.len();
    let mut client = server.client();
    client.send(format!("POST /ips HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{FORM}"));
    client.answer()
}

#[test]
fn a_form_and_a_script_of_a_foreign_page_change_nothing() {
    let server = Server::obliging();
    let address = server.address;
    for fields in [
        format!("Host: {address}\r\nOrigin: http://evil.example\r\nContent-Type: text/plain\r\n"),
        format!("Host: {address}\r\nOrigin: null\r\n"),
        format!("Host: {address}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"),
        format!("Host: {address}\r\nSec-Fetch-Site: same-site\r\n"),
        format!("Host: localhost\r\nOrigin: http://{address}\r\n"),
    ] {
        let answer = post(&server, &fields);
        assert_eq!(answer.status, 403, "{fields}: {answer:?}");
        answer.assert_is_json();
    }
    assert!(server.commands.is_empty());
}

#[test]
fn a_link_on_a_foreign_page_opens_the_page_and_nothing_else() {
    let server = Server::obliging();
    for (request, to, status) in [
        ("GET /", "document", 200),
        ("GET /?from=a-wiki", "document", 200),
        ("GET /", "iframe", 403),
        ("GET /", "", 403),
        ("POST /", "document", 403),
        ("POST /fence", "document", 403),
        ("GET /ips", "document", 403),
        ("GET /drain", "document", 403),
    ] {
        let mut client = server.client();
        let fields = format!("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: {to}\r\n");
        client.send(format!("{request} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", server.address));
        assert_eq!(client.answer().status, status, "{request} {to}");
    }
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Dest: document\r\n\r\n");
    assert_eq!(client.answer().status, 403);
    assert!(server.commands.is_empty());
}

#[test]
fn a_name_that_was_made_to_resolve_here_opens_nothing() {
    let server = Server::obliging();
    for request in [
        "GET /ips HTTP/1.1\r\nHost: evil.example:1313\r\n\r\n",
        "DELETE /ips/x HTTP/1.0\r\nHost: evil.example\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/version HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut client = server.client();
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status, 403, "{request}");
        assert!(answer.body.contains("evil.example") && answer.body.contains("API_HOSTS"));
    }
    assert!(server.commands.is_empty());
}

#[test]
fn what_is_no_browser_and_what_knows_our_name_is_served() {
    let server = Server::obliging();
    let address = server.address;
    for fields in [
        format!("Host: {address}\r\n"),
        "Host: [::1]:1313\r\n".to_owned(),
        "Host: LOCALHOST:1313\r\n".to_owned(),
        "Host: h\r\n".to_owned(),
        format!("Host: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
        format!("Host: {address}\r\nSec-Fetch-Site: none\r\n"),
        format!("Host: {address}\r\nOrigin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n"),
    ] {
        assert_eq!(post(&server, &fields).status, 201, "{fields}");
    }
    let mut client = server.client();
    client.send("GET /ips HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_foreign_page_learns_nothing_of_the_password() {
    let server = Server::start(Some("s3cret"), |command| Some(Ok(oblige(&command))));
    for credentials in ["YWRtaW46czNjcmV0", "YWRtaW46eA=="] {
        let fields = format!("Host: evil.example\r\nAuthorization: Basic {credentials}\r\n");
        assert_eq!(post(&server, &fields).status, 403);
    }
}
