//! Endpoints with TLS, by curl: a TLS library would make `linkctl` twice as large, for this alone.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use super::{dates, program};
use crate::http::read_head;

/// Whom to ask, with the files of the environment.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) url: String,
    pub(super) ca: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

/// What came back.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) certificate_ends: Option<i64>,
}

/// One request and its answer.
pub(super) fn exchange(
    tls: &Tls,
    method: &str,
    path: &str,
    body: &[u8],
    limit: Duration,
) -> Result<Response, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--verbose", "--include", "--noproxy", "*"]);
    // As an old client, which is never answered in chunks; etcd knows no such protocol by name.
    command.args(["--http1.0", "--no-alpn"]);
    command
        .arg("--max-time")
        .arg(format!("{:.3}", limit.as_secs_f64()))
        .args(["--request", method]);
    for (option, file) in [("--cacert", &tls.ca), ("--cert", &tls.cert), ("--key", &tls.key)] {
        if let Some(file) = file {
            command.arg(option).arg(file);
        }
    }
    if !body.is_empty() {
        command.arg("--data-raw").arg(String::from_utf8_lossy(body).as_ref());
    }
    command.arg(format!("{}{path}", tls.url));
    match program::run(command, limit + Duration::from_millis(200)) {
        Ok(said) => understood(said.stdout.as_bytes(), &said.stderr),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("curl is not installed, by which endpoints with https are asked".to_owned())
        }
        Err(error) => Err(format!("curl: {error}")),
    }
}

fn understood(stdout: &[u8], stderr: &str) -> Result<Response, String> {
    let why = || {
        let line = stderr.lines().find(|line| line.starts_with("curl: "));
        line.unwrap_or("curl: no answer").to_owned()
    };
    let Ok(Some(head)) = read_head(stdout) else { return Err(why()) };
    let date = head.fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("date"));
    let end = stderr.lines().find_map(|line| line.split_once("expire date: "));
    Ok(Response {
        status: head.status,
        date: date.map(|(_, value)| value),
        body: stdout[head.size..].to_vec(),
        certificate_ends: end.and_then(|(_, text)| dates::openssl(text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_says_is_understood() {
        let stdout = b"HTTP/1.0 200 OK\r\nDate: Sun, 29 Nov 2026 10:29:45 GMT\r\n\r\n{}";
        let stderr = "* Server certificate:\n*  expire date: Nov 29 10:29:45 2026 GMT\n";
        let response = understood(stdout, stderr).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"{}"[..]));
        assert_eq!(response.date.as_deref().and_then(dates::http), response.certificate_ends);
        let stderr = "* SSL\ncurl: (60) SSL certificate problem: certificate has expired\nMore\n";
        let why = understood(b"", stderr).err();
        assert_eq!(
            why.as_deref(),
            Some("curl: (60) SSL certificate problem: certificate has expired")
        );
    }
}
