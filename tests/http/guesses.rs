//! Those who try passwords.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::supervisor::{Server, oblige};

const RIGHT: &str = "Authorization: Basic YWRtaW46czNjcmV0\r\n";
const WRONG: &str = "Authorization: Basic YWRtaW46czNjcmVU\r\n";

#[test]
fn passwords_are_tried_ten_times_and_then_once_a_second_from_one_address() {
    let server = Server::start(Some("s3cret"), |command| Some(Ok(oblige(&command))));
    let mut guesser = server.client();
    let start = Instant::now();
    let mut looked_at = 0;
    while start.elapsed() < Duration::from_millis(2500) {
        let answer = guesser.ask("GET", "/ips", WRONG, "");
        match answer.status {
            401 => looked_at += 1,
            429 => assert_eq!(answer.header("retry-after"), Some("1")),
            other => panic!("{other}"),
        }
    }
    let most = 10 + start.elapsed().as_secs() + 1;
    assert!((10..=most).contains(&looked_at), "{looked_at} were looked at");
    // Not even the right one is a guess more, whichever connection it comes by.
    assert_eq!(server.client().ask("GET", "/ips", RIGHT, "").status, 429);
    assert_eq!(server.client().ask("GET", "/health", RIGHT, "").status, 200);
    assert_eq!(server.client().ask("GET", "/ips", "", "").status, 401, "that is no guess");
    // From another address it is served at once.
    let mut other = Client::connect_from("127.0.0.2".parse().unwrap(), server.address);
    for _ in 0..20 {
        assert_eq!(other.ask("GET", "/ips", RIGHT, "").status, 200);
    }
}
