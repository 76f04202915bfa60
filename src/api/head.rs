//! The head of a request: bytes of a client become a request that is complete, bounded and
//! unambiguous, or the answer that says what is wrong with them.
//!
//! Pure and total: no input makes it panic, wait or allocate more than the input's own size. What
//! cannot be read in one way only is refused (RFC 9112, 11.2), because two readers of one message
//! must never disagree on where it ends.

use std::time::Duration;

use super::browser::{Names, Provenance};
use super::reply::{Framing, Reply};
use super::route;

/// Bytes of the request line and the header fields together.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

/// How far the bytes go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head is complete.
    Complete(Head),
}

/// A head in canonical form, and what is to be known beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the input that were the head.
    pub(crate) size: usize,
    /// Bytes of the body that follows.
    pub(crate) body: usize,
    /// False when a body means nothing to this method: it is read and dropped.
    pub(crate) takes_body: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether the answer may have to wait for etcd or for another host.
    pub(crate) waits: bool,
    /// Whether it has credentials that matter.
    pub(crate) guesses: bool,
    /// How long the client wants to wait for news, if it asks for some.
    pub(crate) patience: Option<Duration>,
    /// How the answer is to be framed.
    pub(crate) framing: Framing,
    /// The head as the server behind the gate gets it: nothing of it can be shaped by a client but
    /// the method, the path, the credentials and the length.
    pub(crate) canonical: Vec<u8>,
}

/// Reads the head of the first request in the input, which is for an agent with these names.
pub(crate) fn parse(input: &[u8], names: &Names) -> Result<Progress, Reply> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(input) {
        Ok(httparse::Status::Complete(size)) if size <= MAX_HEAD => {
            require_crlf(&input[..size])?;
            read(&request, size, names).map(Progress::Complete)
        }
        Ok(httparse::Status::Partial) if input.len() <= MAX_HEAD => {
            require_crlf(input)?;
            Ok(Progress::Partial)
        }
        Ok(_) => Err(too_large("the head is over 16 KiB")),
        Err(httparse::Error::TooManyHeaders) => Err(too_large("there are over 64 header fields")),
        Err(httparse::Error::Version) => Err(wrong_version(input)),
        Err(error) => Err(bad(&format!("the request is malformed: {error}"))),
    }
}

/// What the header fields say, of all that matters here.
#[derive(Default)]
struct Fields<'a> {
    hosts: usize,
    length: Option<u64>,
    coded: bool,
    expects_continue: bool,
    close: bool,
    authorization: Option<&'a [u8]>,
    /// What the browser makes of the answer (`Sec-Fetch-Dest`).
    destination: &'a [u8],
    from: Provenance<'a>,
}

/// RFC 9112, 2.2 allows to take a bare LF for an end of line; a proxy in front may not, and would
/// then see other requests than we do.
fn require_crlf(head: &[u8]) -> Result<(), Reply> {
    let mut previous = 0;
    for &byte in head {
        if byte == b'\n' && previous != b'\r' {
            return Err(bad("a line ends in LF without CR"));
        }
        previous = byte;
    }
    Ok(())
}

fn read(request: &httparse::Request<'_, '_>, size: usize, names: &Names) -> Result<Head, Reply> {
    let modern = request.version == Some(1);
    let method = request.method.unwrap_or_default();
    let (authority, path) = split_target(request.path.unwrap_or_default())?;
    let fields = read_fields(request.headers)?;
    let opens_page = matches!(method, "GET" | "HEAD")
        && route::is_page(path)
        && fields.destination == b"document";
    names.check(&Provenance { authority, opens_page, ..fields.from })?;
    if modern && fields.hosts == 0 {
        return Err(bad("Host is missing"));
    }
    let body = body_length(&fields, route::largest_body(method, path))?;
    let takes_body = matches!(method, "POST" | "PUT" | "PATCH");
    // What follows a request that should have told a length may be its body: never the next request.
    let ends_clearly = fields.length.is_some() || !takes_body;
    Ok(Head {
        size,
        body,
        takes_body,
        expects_continue: fields.expects_continue && modern && body > 0,
        waits: route::waits(method, path),
        patience: route::patience(method, path),
        guesses: fields.authorization.is_some_and(is_plain) && !route::is_public(path),
        framing: Framing {
            keep_alive: modern && !fields.close && ends_clearly,
            head_only: method == "HEAD",
        },
        canonical: canonical(method, path, &fields, takes_body),
    })
}

/// The authority, empty if there is none, and the path of an origin-form or absolute-form target
/// (RFC 9112, 3.2).
fn split_target(target: &str) -> Result<(&str, &str), Reply> {
    let (authority, path) = match target.split_once("://") {
        Some((scheme, rest)) if is_http(scheme) => {
            rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
        }
        _ => ("", target),
    };
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok((authority, path))
    } else {
        Err(bad("the target is not a path"))
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn read_fields<'a>(headers: &[httparse::Header<'a>]) -> Result<Fields<'a>, Reply> {
    let mut fields = Fields::default();
    for header in headers {
        match header.name.to_ascii_lowercase().as_str() {
            "host" => {
                fields.hosts += 1;
                fields.from.host = header.value;
            }
            "origin" => read_once(&mut fields.from.origin, "Origin", header.value)?,
            "sec-fetch-site" => read_once(&mut fields.from.site, "Sec-Fetch-Site", header.value)?,
            "sec-fetch-dest" => read_once(&mut fields.destination, "Sec-Fetch-Dest", header.value)?,
            "content-length" => read_length(&mut fields, header.value)?,
            "transfer-encoding" => fields.coded = true,
            "expect" => read_expectation(&mut fields, header.value)?,
            "connection" => fields.close |= has_token(header.value, b"close"),
            "authorization" => read_authorization(&mut fields, header.value)?,
            _ => {}
        }
    }
    if fields.hosts > 1 {
        return Err(bad("Host is repeated"));
    }
    Ok(fields)
}

fn read_once<'a>(field: &mut &'a [u8], name: &str, value: &'a [u8]) -> Result<(), Reply> {
    if !field.is_empty() {
        return Err(bad(&format!("{name} is repeated")));
    }
    *field = value;
    Ok(())
}

fn read_length(fields: &mut Fields<'_>, value: &[u8]) -> Result<(), Reply> {
    if fields.length.is_some() {
        return Err(bad("Content-Length is repeated"));
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad("Content-Length is not a number"));
    }
    let digits = std::str::from_utf8(value).unwrap_or_default();
    // All digits: what does not fit is only too large.
    fields.length = Some(digits.parse().unwrap_or(u64::MAX));
    Ok(())
}

fn read_expectation(fields: &mut Fields<'_>, value: &[u8]) -> Result<(), Reply> {
    if !value.eq_ignore_ascii_case(b"100-continue") {
        return Err(Reply::error(417, "of Expect only 100-continue is supported"));
    }
    fields.expects_continue = true;
    Ok(())
}

fn read_authorization<'a>(fields: &mut Fields<'a>, value: &'a [u8]) -> Result<(), Reply> {
    if fields.authorization.is_some() {
        return Err(bad("Authorization is repeated"));
    }
    fields.authorization = Some(value);
    Ok(())
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

fn body_length(fields: &Fields<'_>, most: usize) -> Result<usize, Reply> {
    match (fields.coded, fields.length) {
        (true, Some(_)) => Err(bad("Content-Length and Transfer-Encoding contradict each other")),
        (true, None) => Err(Reply::no_length()),
        (false, length) => usize::try_from(length.unwrap_or(0))
            .ok()
            .filter(|&length| length <= most)
            .ok_or_else(|| Reply::error(413, &format!("the body is over {} KiB", most / 1024))),
    }
}

fn canonical(method: &str, path: &str, fields: &Fields<'_>, takes_body: bool) -> Vec<u8> {
    // HEAD is GET whose body is left out, at the very end.
    let method = if method == "HEAD" { "GET" } else { method };
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: link\r\n").into_bytes();
    // Credentials in other bytes than these are wrong in any case.
    if let Some(value) = fields.authorization.filter(|value| is_plain(value)) {
        head.extend_from_slice(b"Authorization: ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    if let Some(length) = fields.length.filter(|_| takes_body) {
        head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn is_plain(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b' ' || byte.is_ascii_graphic())
}

fn wrong_version(input: &[u8]) -> Reply {
    let line = input.trim_ascii_start().split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    match version.strip_prefix(b"HTTP/") {
        Some([digit, ..]) if digit.is_ascii_digit() => {
            Reply::error(505, "only HTTP/1.1 and HTTP/1.0 are supported")
        }
        _ => bad("the request line does not end in an HTTP version"),
    }
}

fn too_large(error: &str) -> Reply {
    Reply::error(431, error)
}

fn bad(error: &str) -> Reply {
    Reply::error(400, error)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
