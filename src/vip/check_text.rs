//! A health check in one word, as `linkctl` is given it:
//!
//! ```text
//! 127.0.0.1:80   tcp://db:5432   link://eth1   http://127.0.0.1:8080/up   exec://name?arg=-v&arg=x
//! ```
//!
//! and behind that, after commas, `rise=2`, `fall=5`, for HTTP `status=200-399`, and for HTTPS `verify=false` or
//! `cacert=/path`.

use std::iter;

use serde_json::{Map, Value};

use super::check::{Check, Target, Trust};
use super::check_json::{Fault, check_of};

impl Check {
    /// Reads a check from one word.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_word(word: &str) -> Result<Check, String> {
        let (target, options) = split_options(word);
        let mut object = target_of(target)?;
        for (name, value) in options {
            let value = match (name, value) {
                ("verify", "true" | "false") => Value::from(value == "true"),
                _ => value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from),
            };
            let is_new = object.insert(name.to_owned(), value).is_none();
            if !is_new {
                return Err(format!("{name} is said twice"));
            }
            if !["rise", "fall"].contains(&name) && !object.contains_key("url") {
                return Err(format!("{name} is for http:// and https:// only"));
            }
        }
        let (check, faults) = check_of(&object);
        let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
        check.filter(|_| faults.is_empty()).ok_or_else(|| faults.join("; "))
    }

    /// The word that says this check; none if no word does, which a URL can have that ends as if it were an option.
    pub fn word(&self) -> Option<String> {
        let mut word = match &self.target {
            Target::Tcp { host, port } if host.contains(':') => format!("tcp://[{host}]:{port}"),
            Target::Tcp { host, port } => format!("tcp://{host}:{port}"),
            Target::Link { interface } => format!("link://{interface}"),
            Target::Http { url, status, trust } => {
                let status = status.map(|status| format!(",status={status}"));
                let trust = match trust {
                    Trust::System => String::new(),
                    Trust::File(path) => format!(",cacert={path}"),
                    Trust::Anybody => ",verify=false".to_owned(),
                };
                format!("{url}{}{trust}", status.unwrap_or_default())
            }
            Target::Exec { command, args } => {
                let args = args.iter().zip(iter::once('?').chain(iter::repeat('&')));
                let args: String =
                    args.map(|(arg, sign)| format!("{sign}arg={}", encoded(arg))).collect();
                format!("exec://{command}{args}")
            }
        };
        for (name, count) in [("rise", self.rise), ("fall", self.fall)] {
            let option = count.map(|count| format!(",{name}={count}"));
            word.extend(option);
        }
        Some(word).filter(|word| Check::from_word(word).as_ref() == Ok(self))
    }
}

/// The options at the end of a word: what stands behind a comma and is one of them.
fn split_options(word: &str) -> (&str, Vec<(&str, &str)>) {
    let (mut rest, mut options) = (word, Vec::new());
    while let Some((before, last)) = rest.rsplit_once(',')
        && let Some((name @ ("rise" | "fall" | "status" | "verify" | "cacert"), value)) =
            last.split_once('=')
    {
        options.push((name, value));
        rest = before;
    }
    options.reverse();
    (rest, options)
}

fn target_of(word: &str) -> Result<Map<String, Value>, String> {
    let (scheme, rest) = word.split_once("://").unwrap_or(("tcp", word));
    match scheme.to_ascii_lowercase().as_str() {
        "tcp" => tcp(rest),
        "link" => Ok(object("LINK", &[("interface", rest.into())])),
        scheme @ ("http" | "https") => {
            let url = format!("{scheme}://{rest}");
            Ok(object("HTTP", &[("url", url.into())]))
        }
        "exec" => exec(rest),
        _ => {
            Err("it begins with none of tcp://, link://, http://, https:// and exec://".to_owned())
        }
    }
}

fn object(kind: &str, parts: &[(&str, Value)]) -> Map<String, Value> {
    let parts = parts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    parts.chain([("type".to_owned(), Value::from(kind))]).collect()
}

/// `host:port` or `[v6]:port`.
fn tcp(text: &str) -> Result<Map<String, Value>, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some(parts) => parts,
        None => text.rsplit_once(':').ok_or("the port is missing")?,
    };
    let plain = |c: char| !c.is_control() && !"/@?#[]".contains(c);
    if !host.chars().all(plain) || (host.contains(':') && !text.starts_with('[')) {
        return Err("not a host name or an IP address (IPv6: [::1]:80)".to_owned());
    }
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| is_number && *port > 0)
        .ok_or("the port is not between 1 and 65535")?;
    Ok(object("TCP", &[("host", host.into()), ("port", port.into())]))
}

/// `name`, or `name?arg=first&arg=second`, where `%` and two hexadecimal digits stand for a byte.
fn exec(text: &str) -> Result<Map<String, Value>, String> {
    let (command, query) = match text.split_once('?') {
        Some((command, query)) => (command, Some(query)),
        None => (text, None),
    };
    let mut args = Vec::new();
    for item in query.into_iter().flat_map(|query| query.split('&')) {
        let arg = item.strip_prefix("arg=").ok_or_else(|| format!("{item} is not arg=VALUE"))?;
        args.push(decoded(arg).ok_or_else(|| format!("{arg} has a % that stands for nothing"))?);
    }
    Ok(object("EXEC", &[("command", command.into()), ("args", args.into())]))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// What [`decoded`] reads: all but letters, digits and four signs (RFC 3986, 2.3) as two digits.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_is_checked() {
        for (word, json) in [
            ("db:5432", r#"{"type":"TCP","host":"db","port":5432}"#),
            ("TCP://[::1]:80", r#"{"type":"TCP","host":"::1","port":80}"#),
            ("db:1,rise=2,fall=5", r#"{"type":"TCP","host":"db","port":1,"rise":2,"fall":5}"#),
            ("link://eth1,fall=1", r#"{"type":"LINK","interface":"eth1","fall":1}"#),
            ("http://db/a,b", r#"{"type":"HTTP","url":"http://db/a,b"}"#),
            ("http://db/,status=204", r#"{"type":"HTTP","url":"http://db/","status":204}"#),
            (
                "http://db/,status=200-399,rise=3",
                r#"{"type":"HTTP","url":"http://db/","status":"200-399","rise":3}"#,
            ),
            ("https://db/,verify=false", r#"{"type":"HTTP","url":"https://db/","verify":false}"#),
            (
                "https://db/,cacert=/a,fall=2",
                r#"{"type":"HTTP","url":"https://db/","cacert":"/a","fall":2}"#,
            ),
            ("exec://check", r#"{"type":"EXEC","command":"check"}"#),
            (
                "exec://check?arg=-v&arg=a%26b%20c,rise=2",
                r#"{"type":"EXEC","command":"check","args":["-v","a&b c"],"rise":2}"#,
            ),
            ("exec://check?arg=", r#"{"type":"EXEC","command":"check","args":[""]}"#),
        ] {
            let check = Check::from_word(word).expect(word);
            assert_eq!(serde_json::to_string(&check).expect("JSON"), json, "{word}");
            let again = check.word().expect(word);
            assert_eq!(Check::from_word(&again), Ok(check), "{again}");
        }
    }

    #[test]
    fn a_check_that_no_word_says_has_none() {
        let url = r#"{"type":"HTTP","url":"http://db/a,rise=2"}"#;
        assert_eq!(serde_json::from_str::<Check>(url).unwrap().word(), None);
        let args = r#"{"type":"EXEC","command":"c","args":["ä,rise=2","?&=%",""]}"#;
        let word = "exec://c?arg=%C3%A4%2Crise%3D2&arg=%3F%26%3D%25&arg=";
        assert_eq!(serde_json::from_str::<Check>(args).unwrap().word().as_deref(), Some(word));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (word, why) in [
            ("db", "the port is missing"),
            ("db:0", "the port is not between 1 and 65535"),
            ("::1:80", "[::1]:80"),
            ("udp://db:1", "tcp://, link://, http://, https:// and exec://"),
            ("db:80,rise=0", "rise 0 is not in 1-100"),
            ("db:80,fall=x", "fall is not an integer"),
            ("db:80,rise=1,rise=2", "rise is said twice"),
            ("db:80,status=200", "status is for http:// and https:// only"),
            ("https://db/,verify=x", "verify is not true or false"),
            ("http://db/,status=20", "status 20 is not a status"),
            ("link://a/b", "interface a/b is not"),
            ("exec://../x", "command ../x is not"),
            ("exec://x?y=1", "y=1 is not arg=VALUE"),
            ("exec://x?arg=%4", "stands for nothing"),
            ("exec://x?arg=%ff", "stands for nothing"),
            ("exec://x?arg=%+1", "stands for nothing"),
        ] {
            let error = Check::from_word(word).expect_err(word);
            assert!(error.contains(why), "{word}: {error}");
        }
    }
}
