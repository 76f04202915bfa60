//! Endpoints of etcd, as URLs.

use std::net::IpAddr;

/// etcd's own port for clients.
const DEFAULT_PORT: u16 = 2379;

/// Reads `http://host:port` or `https://host:port`; the scheme may be missing (http), the port too.
pub(super) fn parse(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => ("http", rest),
        Some(("https", rest)) => ("https", rest),
        Some(_) => return Err("has a scheme that is neither http nor https"),
        None => ("http", text),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split_port(authority)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    };
    if !valid {
        return Err("is not an endpoint (http://host:port)");
    }
    Ok(format!("{scheme}://{host}:{port}"))
}

/// The address in an endpoint that was read, if it has one and no name.
pub(super) fn address(endpoint: &str) -> Option<IpAddr> {
    let (_, authority) = endpoint.split_once("://")?;
    let (host, _) = split_port(authority).ok()?;
    host.trim_matches(['[', ']']).parse().ok()
}

fn split_port(authority: &str) -> Result<(&str, u16), &'static str> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) if port > 0 => Ok((host, port)),
            Ok(_) | Err(_) => Err("has a port that is not a number from 1 to 65535"),
        },
        Some(_) | None => Ok((authority, DEFAULT_PORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_completed() {
        for (text, url) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
            ("https://etcd-1.lan:4001/", "https://etcd-1.lan:4001"),
            ("etcd-1", "http://etcd-1:2379"),
            ("10.0.0.1:2380", "http://10.0.0.1:2380"),
            ("http://[fd00::1]", "http://[fd00::1]:2379"),
            ("[fd00::1]:1", "http://[fd00::1]:1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(url));
        }
    }

    #[test]
    fn an_address_in_an_endpoint_is_known() {
        for (endpoint, address) in [
            ("http://127.0.0.1:2379", Some("127.0.0.1")),
            ("https://[fd00::1]:2379", Some("fd00::1")),
            ("https://etcd-1.lan:4001", None),
        ] {
            let address = address.map(|text| text.parse().unwrap());
            assert_eq!(super::address(endpoint), address, "{endpoint}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:b",
            "http://a/b",
            "http://user:pw@a",
            "http://[fd00::g]",
            "fd00::1",
            "a b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
