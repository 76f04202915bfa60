//! Changes are logged: what was asked, who asked, and what came of it.

use std::sync::Mutex;

use link::command::Refusal;
use log::{LevelFilter, Log, Metadata, Record};

use crate::supervisor::{ID, Server, oblige};

/// The hosts to which the requests of this file would hand an IP over begin like this.
const MARK: &str = "audited";

/// The lines of this file's requests.
static LINES: Lines = Lines(Mutex::new(Vec::new()));

struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        if line.contains(MARK) {
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_change_is_logged_once_with_its_caller_and_its_outcome() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Info);
    let path = format!("/ips/{ID}/failover");
    let right = "Authorization: Basic YWRtaW46czNjcmV0\r\n";
    let body = format!("{{\"host\":\"{MARK}\\n\\u001b\"}}");
    let refusal = || Err(Refusal::Conflict("it is not the owner".to_owned()));

    let open = Server::start(None, |command| Some(Ok(oblige(&command))));
    assert_eq!(open.client().ask("POST", &path, "Forwarded: for=10.9.9.9\r\n", &body).status, 204);
    let locked = Server::start(Some("s3cret"), move |_| Some(refusal()));
    assert_eq!(locked.client().ask("POST", &path, "", &body).status, 401);
    assert_eq!(locked.client().ask("POST", &path, right, &body).status, 409);

    // Nobody logs in for the health, so nobody is named, and nobody fills the log.
    let public = format!("/health?{MARK}");
    assert_eq!(locked.client().ask("DELETE", &public, "", "").status, 405);
    assert_eq!(locked.client().ask("DELETE", &public, right, "").status, 405);

    let to = format!("INFO POST {path} to {MARK}\\n\\u{{1b}} from 127.0.0.1");
    let expected =
        [format!("{to}: done"), format!("{to} (admin): refused with 409: it is not the owner")];
    assert_eq!(*LINES.0.lock().unwrap(), expected);
}
