//! Where a check or a hook sends its requests over HTTP.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Bytes of the longest URL that is accepted.
const LONGEST: usize = 2000;

/// `http://host:port/path?query`, or `https://…`: without a user, and without a fragment, which is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Where host and port begin and end in the text.
    authority: (usize, usize),
    host: String,
    port: u16,
    secure: bool,
}

impl Url {
    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// An address or a name, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535; 80 or 443 if the text has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in the text: what the field `Host` has (RFC 9110, 7.2).
    pub fn authority(&self) -> &str {
        &self.text[self.authority.0..self.authority.1]
    }

    /// Path and query as they are sent: at least `/` (RFC 9112, 3.2.1).
    pub fn target(&self) -> String {
        match &self.text[self.authority.1..] {
            rest if rest.starts_with('/') => rest.to_owned(),
            rest => format!("/{rest}"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Url {
    type Err = &'static str;

    /// The error continues a sentence that begins with the text.
    fn from_str(text: &str) -> Result<Url, &'static str> {
        if text.len() > LONGEST {
            return Err("is longer than 2000 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has white space or other characters that are no part of a URL");
        }
        let (scheme, rest) =
            text.split_once("://").ok_or("is not a URL (http://host:port/path)")?;
        let (secure, default) = match scheme {
            "http" => (false, "80"),
            "https" => (true, "443"),
            _ => return Err("has a scheme that is neither http nor https"),
        };
        if rest.contains('#') {
            return Err("has a fragment (#), which no server would see");
        }
        let start = text.len() - rest.len();
        let length = rest.find(['/', '?']).unwrap_or(rest.len());
        let authority = &rest[..length];
        if authority.contains('@') {
            return Err("has a user or a password in it, which is not sent");
        }
        let (host, port) = split(authority, default)?;
        Ok(Url {
            host: host.to_owned(),
            port,
            secure,
            authority: (start, start + length),
            text: text.to_owned(),
        })
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn split<'a>(authority: &'a str, default: &'static str) -> Result<(&'a str, u16), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("has a [ without its ]")?;
            host.parse::<Ipv6Addr>().map_err(|_| "has brackets without an IPv6 address in them")?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_plain) {
        return Err("has a host that is neither a name nor an address");
    }
    let digits = match port.strip_prefix(':') {
        Some(digits) => digits,
        None if port.is_empty() => default,
        None => return Err("has something else than a port behind its host"),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_number && *port > 0);
    Ok((host, port.ok_or("has a port that is not in 1-65535")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_and_what_for() {
        for (text, host, port, authority, target) in [
            ("http://db", "db", 80, "db", "/"),
            ("http://db:8080/", "db", 8080, "db:8080", "/"),
            ("http://10.0.0.1/a/b?c=d", "10.0.0.1", 80, "10.0.0.1", "/a/b?c=d"),
            ("http://[::1]:81?x", "::1", 81, "[::1]:81", "/?x"),
            ("https://db/x", "db", 443, "db", "/x"),
            ("http://a/http://b@c/", "a", 80, "a", "/http://b@c/"),
        ] {
            let url: Url = text.parse().expect(text);
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!((url.authority(), url.target().as_str()), (authority, target));
            assert_eq!(url.to_string(), text);
            assert_eq!(url.is_secure(), text.starts_with("https"));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        let long = format!("http://a/{}", "a".repeat(2000));
        for (text, why) in [
            ("", "not a URL"),
            ("db:80", "not a URL"),
            ("HTTPS://db/", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("http://", "host"),
            ("http:///x", "host"),
            ("http://:80/", "host"),
            ("http://a b/", "white space"),
            ("http://a/\r\nX: y", "white space"),
            ("http://ä/", "characters"),
            ("http://u:p@a/", "user"),
            ("http://a/#b", "fragment"),
            ("http://a:0/", "port"),
            ("http://a:65536/", "port"),
            ("http://a:+1/", "port"),
            ("http://a:", "port"),
            ("http://[::1/", "[ without"),
            ("http://[a]/", "IPv6"),
            ("http://[::1]x/", "port"),
            (&long, "longer"),
        ] {
            let error = text.parse::<Url>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
