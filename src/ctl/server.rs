//! Which agent to talk to.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The port of the agent's API unless `PORT` says otherwise.
const DEFAULT_PORT: u16 = 1313;

/// The address of an agent's API: a name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// A name, an IPv4 address, or an IPv6 address without brackets, possibly with a zone.
    host: String,
    port: u16,
    /// With it TLS is spoken.
    trust: Option<Trust>,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those of the authorities that the system trusts.
    System,
    /// Those of the authorities in a file, in PEM.
    File(PathBuf),
}

impl Trust {
    /// The file, if it is not the system's.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Trust::System => None,
            Trust::File(path) => Some(path),
        }
    }
}

impl Server {
    /// What is to be resolved, with the zone of a link-local address if it has one.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whose certificate is believed, if TLS is to be spoken.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// The same server, whose certificate is to be of one of the authorities in a file.
    ///
    /// # Errors
    ///
    /// The server does not speak TLS.
    pub(super) fn trusting(self, authorities: PathBuf) -> Result<Server, &'static str> {
        match self.trust {
            Some(_) => Ok(Server { trust: Some(Trust::File(authorities)), ..self }),
            None => Err("needs https:// before the host"),
        }
    }

    /// The value of the `Host` header; a zone means nothing to the other side (RFC 6874, 3).
    pub(super) fn header(&self) -> String {
        let host = self.host.split('%').next().unwrap_or_default();
        join(host, self.port)
    }
}

impl Default for Server {
    fn default() -> Server {
        Server { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT, trust: None }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.trust.is_some() { "https://" } else { "" };
        write!(f, "{scheme}{}", join(&self.host, self.port))
    }
}

impl FromStr for Server {
    type Err = &'static str;

    /// Reads `host`, `host:port`, `::1`, `[::1]` or `[::1]:1313`; before it may stand `http://`, or `https://` for TLS.
    fn from_str(text: &str) -> Result<Server, &'static str> {
        let (text, trust) = match text.split_once("://") {
            None => (text, None),
            Some(("http", rest)) => (rest.strip_suffix('/').unwrap_or(rest), None),
            Some(("https", rest)) => (rest.strip_suffix('/').unwrap_or(rest), Some(Trust::System)),
            Some(_) => return Err("the only schemes are http:// and https://"),
        };
        let (host, port) = split(text)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port_number(port)?,
        };
        let host = host.to_owned();
        Ok(Server { host, port, trust })
    }
}

/// A port from 1 to 65535.
pub(super) fn port_number(text: &str) -> Result<u16, &'static str> {
    text.parse()
        .ok()
        .filter(|port| *port != 0 && text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or("the port is not between 1 and 65535")
}

/// Splits `host:port`, `[v6]:port`, `host` and `v6` into a host that can stand in a URL, and a port.
pub(super) fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the closing ] is missing")?;
        if !is_v6(host) {
            return Err("between the brackets is no IPv6 address");
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("only :port can follow the ]"),
        };
    }
    if is_v6(text) {
        return Ok((text, None));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    match is_name(host) {
        true => Ok((host, port)),
        false => Err("not a host name or an IP address"),
    }
}

/// Host and port as they stand in a URL.
fn join(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// A name or an IPv4 address, as far as what may stand in a URL goes.
fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// An IPv6 address, possibly with a zone (`fe80::1%eth0`).
fn is_v6(host: &str) -> bool {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_in_every_usual_form() {
        for (text, shown) in [
            ("h1", "h1:1313"),
            ("h1.lan:80", "h1.lan:80"),
            ("10.0.0.1", "10.0.0.1:1313"),
            ("::1", "[::1]:1313"),
            ("[::1]", "[::1]:1313"),
            ("[::1]:1314", "[::1]:1314"),
            ("http://h1:1314/", "h1:1314"),
            ("http://[fd00::1]:1314", "[fd00::1]:1314"),
            ("fe80::1%eth0", "[fe80::1%eth0]:1313"),
            ("https://h1", "https://h1:1313"),
            ("https://[fd00::1]:443/", "https://[fd00::1]:443"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_could_change_the_request_is_no_server() {
        for text in [
            "",
            ":1313",
            "h1:",
            "h1:0",
            "h1:65536",
            "h1:+80",
            "h1:80:80",
            "h1/ips",
            "http://",
            "http://h1/ips",
            "https://",
            "https://h1/ips",
            "ftp://h1",
            "user:secret@h1",
            "h1\r\nX: y",
            "h 1",
            "[::1",
            "[h1]:80",
            "[::1]80",
            "::1%a b",
            "hôte",
        ] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_header_has_brackets_and_no_zone() {
        let server: Server = "fe80::1%eth0".parse().unwrap();
        assert_eq!(server.header(), "[fe80::1]:1313");
        assert_eq!(server.host(), "fe80::1%eth0");
        assert_eq!(Server::default().header(), "127.0.0.1:1313");
    }
}
