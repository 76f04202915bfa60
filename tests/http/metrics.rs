//! The metrics: who may have them, and in which form they come.

use crate::client::Answer;
use crate::supervisor::{Server, oblige};

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a scrape looks like.
fn assert_is_scrape(answer: &Answer) {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(FORMAT)), "{answer:?}");
    assert!(answer.body.starts_with("# HELP linkd_build_info ") && answer.body.ends_with('\n'));
}

#[test]
fn the_metrics_are_text_as_prometheus_reads_it() {
    let server = Server::obliging();
    let mut client = server.client();
    let scrape = client.get("/metrics");
    assert_is_scrape(&scrape);
    let asks = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n\
                Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n";
    assert_is_scrape(&client.ask("GET", "/metrics/", asks, ""));
    let head = client.ask("HEAD", "/metrics", "", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), scrape.header("content-length"));
    let refused = client.ask("POST", "/metrics", "", "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(client.get("/metrics/x").status, 404);
}

#[test]
fn with_a_password_prometheus_needs_it() {
    let server = Server::start(Some("s3cret"), |command| Some(Ok(oblige(&command))));
    let mut client = server.client();
    assert_eq!(client.get("/metrics").status, 401);
    assert!(server.commands.is_empty());
    let right = "Authorization: Basic YWRtaW46czNjcmV0\r\n";
    assert_is_scrape(&client.ask("GET", "/metrics", right, ""));
}

#[test]
fn a_name_that_was_made_to_resolve_here_has_no_metrics() {
    let server = Server::obliging();
    let mut client = server.client();
    client.send("GET /metrics HTTP/1.1\r\nHost: evil.example:1313\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("API_HOSTS"), "{answer:?}");
    assert!(server.commands.is_empty());
}

#[test]
fn a_supervisor_that_is_stuck_is_told_while_prometheus_waits() {
    let server = Server::start(None, |_| None);
    let answer = server.client().get("/metrics");
    assert_eq!(answer.status, 503);
    answer.assert_is_json();
}
