//! The head of an HTTP/1.1 response: what the gate reads from the server behind it, and `linkctl`
//! from the agent.

/// Bytes of the status line and the header fields together.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// LinK sends a handful of header fields; a proxy between may add some.
const MAX_FIELDS: usize = 64;

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the input that were the head.
    pub(crate) size: usize,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// Where the body ends (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// After so many bytes.
    Length(usize),
    /// With the connection.
    UntilClose,
}

/// The bytes are not the beginning of a response, or its head is over 16 KiB, or its fields
/// contradict each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotHttp;

/// Reads the head at the beginning of what was received; nothing yet while it is incomplete.
pub(crate) fn read_head(received: &[u8]) -> Result<Option<Head>, NotHttp> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    match head.parse(received) {
        Ok(httparse::Status::Partial) if received.len() <= MAX_HEAD => Ok(None),
        // The end may be in the same piece that goes beyond the limit.
        Ok(httparse::Status::Complete(size)) if size <= MAX_HEAD => {
            let status = head.code.ok_or(NotHttp)?;
            let fields: Vec<_> = head.headers.iter().map(text_of).collect();
            let body = body(status, &fields).ok_or(NotHttp)?;
            Ok(Some(Head { size, status, fields, body }))
        }
        Ok(_) | Err(_) => Err(NotHttp),
    }
}

fn text_of(field: &httparse::Header<'_>) -> (String, String) {
    (field.name.to_owned(), String::from_utf8_lossy(field.value).trim().to_owned())
}

/// None when the fields contradict each other or cannot be read. Nobody here asks in a way that would
/// allow the other side to send chunks.
fn body(status: u16, fields: &[(String, String)]) -> Option<Body> {
    let value = |name: &str| {
        let field = fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    };
    if matches!(status, 204 | 304) {
        return Some(Body::Length(0));
    }
    match (value("transfer-encoding"), value("content-length")) {
        (None, None) => Some(Body::UntilClose),
        (None, Some(length)) => length.parse().ok().map(Body::Length),
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nServer: x\r\nAllow:  POST \r\n\
        content-length: 3\r\n\r\n";

    #[test]
    fn a_head_is_read_when_its_last_byte_is_here() {
        for end in 0..HEAD.len() {
            assert_eq!(read_head(&HEAD[..end]), Ok(None), "{end}");
        }
        let fields = [("Server", "x"), ("Allow", "POST"), ("content-length", "3")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let head = Head { size: HEAD.len(), status: 405, fields, body: Body::Length(3) };
        assert_eq!(read_head(&[HEAD, b"{}\n"].concat()), Ok(Some(head)));
    }

    #[test]
    fn the_fields_tell_where_the_body_ends() {
        for (fields, body) in [
            ("", Some(Body::UntilClose)),
            ("Content-Length: 7\r\n", Some(Body::Length(7))),
            ("Transfer-Encoding: chunked\r\n", None),
            ("Content-Length: -1\r\n", None),
            ("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", None),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let found = read_head(text.as_bytes()).map(|head| head.unwrap().body);
            assert_eq!(found, body.ok_or(NotHttp), "{fields:?}");
        }
        let empty = b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(read_head(empty).unwrap().unwrap().body, Body::Length(0));
    }

    #[test]
    fn what_is_no_response_or_too_long_is_refused() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; MAX_HEAD][..]].concat();
        for text in [b"SSH-2.0-x\r\n".as_slice(), &long, &[&long[..], b"\r\n\r\n"].concat()] {
            assert_eq!(read_head(text), Err(NotHttp));
        }
    }
}
