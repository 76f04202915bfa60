//! A request on its way from the gate to the server behind it.

use std::net::IpAddr;
use std::time::Instant;

use super::head::MAX_HEAD;
use super::route::USUAL_BODY;

/// The field in which the server is told who sent a request (RFC 7239).
pub(crate) const FORWARDED: &str = "Forwarded";

/// A whole request, as bytes that the server can trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// Whether the answer may have to wait for etcd or for another host.
    pub(crate) waits: bool,
    /// Whether it has credentials that matter.
    pub(crate) guesses: bool,
    /// How it waits for news, if it does.
    pub(crate) poll: Option<Poll>,
}

/// A client waits for news: its request is repeated when there may be some, until then it has its place,
/// and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poll {
    /// Until then; what is known then is the answer.
    pub(crate) until: Instant,
    /// The turn of the bell after which the server was asked last.
    pub(crate) asked: u64,
    /// The server was asked before.
    pub(crate) is_again: bool,
}

impl Request {
    /// Whether it is larger than those are that come often.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.len() > MAX_HEAD + USUAL_BODY
    }

    /// The same request, with the address of the client that sent it.
    pub(crate) fn forwarded(mut self, client: IpAddr) -> Request {
        let client = match client.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let end = self.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let field = format!("{FORWARDED}: for={client}\r\n");
        self.bytes.splice(end..end, field.into_bytes());
        self
    }
}

/// The address in a field that the gate has written.
pub(crate) fn forwarded_for(value: &str) -> Option<&str> {
    Some(value.strip_prefix("for=")?.trim_matches(['"', '[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_reads_the_address_that_the_gate_has_seen() {
        for (client, field, address) in [
            ("10.0.0.7", "for=10.0.0.7", "10.0.0.7"),
            ("::ffff:10.0.0.7", "for=10.0.0.7", "10.0.0.7"),
            ("2001:db8::1", "for=\"[2001:db8::1]\"", "2001:db8::1"),
        ] {
            let bytes = b"GET / HTTP/1.1\r\nHost: link\r\n\r\n".to_vec();
            let request =
                Request { bytes, ..Request::default() }.forwarded(client.parse().unwrap());
            let expected = format!("GET / HTTP/1.1\r\nForwarded: {field}\r\nHost: link\r\n\r\n");
            assert_eq!(String::from_utf8(request.bytes).unwrap(), expected);
            assert_eq!(forwarded_for(field), Some(address));
        }
    }
}
