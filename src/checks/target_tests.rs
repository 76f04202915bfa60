//! Checks of real servers, interfaces and commands.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn found(word: &str) -> Result<(), String> {
    let check = Check::from_word(word).expect(word);
    let cidr = "10.0.0.1".parse().expect("an address");
    let mut trial = Trial::new(check, cidr, None);
    trial.make(Instant::now() + PATIENCE).map_err(|error| error.to_string())
}

/// The port of a server that answers every request with this status.
fn server(status: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes());
        }
    });
    port
}

#[test]
fn a_status_is_right_or_wrong() {
    let (ok, gone) = (server(204), server(503));
    assert_eq!(found(&format!("http://127.0.0.1:{ok}/")), Ok(()));
    assert_eq!(found(&format!("http://localhost:{ok}/,status=200-299")), Ok(()));
    assert_eq!(found(&format!("http://127.0.0.1:{gone}/,status=503")), Ok(()));
    for (word, why) in [
        (format!("http://127.0.0.1:{gone}/"), "the answer has the status 503, not 200-299"),
        (format!("http://127.0.0.1:{ok},status=200"), "the answer has the status 204, not 200"),
    ] {
        assert_eq!(found(&word), Err(why.to_owned()));
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let error = found(&format!("http://127.0.0.1:{closed}/")).expect_err("nobody is there");
    assert!(error.contains("refused"), "{error}");
}

#[test]
fn an_interface_that_is_not_there_is_told() {
    assert_eq!(found("link://nosuch0"), Err("no such interface".to_owned()));
}
