//! Keeps off what a foreign web page has a browser send.
//!
//! A browser on the host, or beside it, sends requests for whoever's page is open in it: a form to the
//! agent's address (cross-site request forgery), or a script on a page whose name was made to resolve to
//! that address (DNS rebinding). The browser tells both: by `Origin` (RFC 6454, 7) and `Sec-Fetch-Site`
//! (W3C Fetch Metadata), and by the name in `Host`. Other clients send neither of the first two. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::reply::Reply;
use super::route::shortened;

/// The names under which the agent may be asked, beside any IP address and `localhost`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Arc<[String]>,
    /// The agent speaks TLS, so that a page that came without it is none of its own.
    is_secure: bool,
}

/// What a request says about where it comes from, field by field; empty is the same as absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Provenance<'a> {
    /// The authority in the target, which counts instead of `Host` (RFC 9112, 3.2.2).
    pub(crate) authority: &'a str,
    pub(crate) host: &'a [u8],
    pub(crate) origin: &'a [u8],
    pub(crate) site: &'a [u8],
    /// It opens the page, which is the same for everybody, in a window of its own: a link may do that.
    pub(crate) opens_page: bool,
}

impl Names {
    pub(crate) fn new(names: impl IntoIterator<Item = String>, is_secure: bool) -> Names {
        Names { names: names.into_iter().map(|name| canonical(&name)).collect(), is_secure }
    }

    /// Refuses with 403 what a foreign page may have caused.
    pub(crate) fn check(&self, from: &Provenance<'_>) -> Result<(), Reply> {
        let site = from.site.to_ascii_lowercase();
        if !from.opens_page && ![&b""[..], b"none", b"same-origin"].contains(&&site[..]) {
            return Err(refused("Sec-Fetch-Site", from.site, "a page of another site sent this"));
        }
        for host in [from.authority.as_bytes(), from.host] {
            if !self.admit(host) {
                return Err(refused("Host", host, "not a name of this agent: see API_HOSTS"));
            }
        }
        let host = if from.authority.is_empty() { from.host } else { from.authority.as_bytes() };
        if !from.origin.is_empty() && (host.is_empty() || !self.is_own(from.origin, host)) {
            return Err(refused("Origin", from.origin, "a page of another site sent this"));
        }
        Ok(())
    }

    /// Whether a page of this origin is the agent's own, as a proxy in front of it may serve them.
    fn is_own(&self, origin: &[u8], host: &[u8]) -> bool {
        let (Ok(origin), Ok(host)) = (std::str::from_utf8(origin), std::str::from_utf8(host))
        else {
            return false;
        };
        let schemes = [("https://", ":443"), ("http://", ":80")];
        // A proxy may add TLS; it takes none away that the agent speaks itself.
        let known = if self.is_secure { &schemes[..1] } else { &schemes[..] };
        known.iter().any(|(scheme, port)| {
            let plain = |text: &str| canonical(text.strip_suffix(port).unwrap_or(text));
            origin.strip_prefix(scheme).is_some_and(|authority| plain(authority) == plain(host))
        })
    }

    /// Whether this is an address, `localhost`, or one of the names, with or without a port.
    fn admit(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        if host.is_empty() {
            return true;
        }
        let Some(name) = without_port(host) else { return false };
        if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            let address = address.split_once('%').map_or(address, |(address, _zone)| address);
            return address.parse::<Ipv6Addr>().is_ok();
        }
        let name = canonical(name);
        name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || self.names.contains(&name)
    }
}

/// The host before a port; none if what follows it is no port.
fn without_port(host: &str) -> Option<&str> {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            let is_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
            is_port.then_some(name)
        }
        Some(_) | None => Some(host),
    }
}

/// Names are the same in any case, and with the dot at the end that stands for the root.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn refused(field: &str, value: &[u8], why: &str) -> Reply {
    let value = String::from_utf8_lossy(value);
    Reply::error(403, &format!("{field} {} is refused: {why}", shortened(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(["h1".to_owned(), "VIP.Example.com".to_owned()], false)
    }

    fn status(from: Provenance<'_>) -> Option<u16> {
        names().check(&from).err().map(|reply| reply.status)
    }

    fn host(host: &str) -> Option<u16> {
        let by_target = status(Provenance { authority: host, ..Provenance::default() });
        let by_field = status(Provenance { host: host.as_bytes(), ..Provenance::default() });
        assert_eq!(by_target, by_field, "{host}");
        by_field
    }

    #[test]
    fn addresses_and_own_names_are_admitted() {
        for name in [
            "",
            "10.0.0.1",
            "127.0.0.1:1313",
            "[::1]",
            "[fd00::1]:80",
            "[fe80::1%25eth0]:1313",
            "localhost",
            "LocalHost.:1313",
            "h1:1313",
            "H1",
            "vip.example.com.",
        ] {
            assert_eq!(host(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_others_are_refused() {
        for name in [
            "evil.example",
            "evil.example:1313",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "h1.evil.example",
            "h1:x",
            "h1:1313:1313",
            "h1@evil.example",
            "[h1]",
            "[::1].evil.example",
            "::1",
            "127.1",
            ":1313",
            ".",
            "h1..",
            " h1",
        ] {
            assert_eq!(host(name), Some(403), "{name}");
        }
        assert_eq!(status(Provenance { host: b"h1\xff", ..Provenance::default() }), Some(403));
        // A proxy's form of the target and Host may differ: both are looked at.
        let both = Provenance { authority: "h1", host: b"evil.example", ..Provenance::default() };
        assert_eq!(status(both), Some(403));
    }

    #[test]
    fn a_page_may_only_ask_the_agent_that_served_it() {
        let from = |origin: &str, host: &str| {
            let (origin, host) = (origin.as_bytes(), host.as_bytes());
            status(Provenance { origin, host, ..Provenance::default() })
        };
        for (origin, host) in [
            ("http://h1:1313", "h1:1313"),
            ("http://h1", "H1:80"),
            ("https://h1:443", "h1"),
            ("http://[::1]:1313", "[::1]:1313"),
        ] {
            assert_eq!(from(origin, host), None, "{origin} {host}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:8080",
            "http://localhost:1313",
            "http://127.0.0.1",
            "ftp://127.0.0.1:1313",
            "127.0.0.1:1313",
            "http://127.0.0.1:1313/",
            "http://",
            "x",
        ] {
            assert_eq!(from(origin, "127.0.0.1:1313"), Some(403), "{origin}");
            assert_eq!(from(origin, ""), Some(403), "{origin} without a Host");
        }
    }

    #[test]
    fn a_page_that_came_without_tls_may_not_ask_an_agent_that_speaks_it() {
        let names = Names::new(["h1".to_owned()], true);
        let status = |origin: &str| {
            let (origin, host) = (origin.as_bytes(), &b"h1:1313"[..]);
            let from = Provenance { origin, host, ..Provenance::default() };
            names.check(&from).err().map(|reply| reply.status)
        };
        assert_eq!(status("https://h1:1313"), None);
        assert_eq!(status("http://h1:1313"), Some(403));
    }

    #[test]
    fn what_the_browser_says_of_the_site_counts() {
        for (site, expected) in [
            ("none", None),
            ("same-origin", None),
            ("Same-Origin", None),
            ("same-site", Some(403)),
            ("cross-site", Some(403)),
            ("x", Some(403)),
        ] {
            let site = site.as_bytes();
            assert_eq!(status(Provenance { site, ..Provenance::default() }), expected);
        }
    }
}
