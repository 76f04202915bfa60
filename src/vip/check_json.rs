//! The JSON of a health check: in the API, in etcd and in the local copy.
//!
//! A check is read from an object, and each fault of it is named. What an agent reads that was accepted before
//! ([`Check`]'s `Deserialize`) need not be without fault, as long as it says what is to be tried.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::check::{COUNTS, Check, MAX_ARGS, Statuses, Target, Trust};
use super::check::{arg_fault, command_fault, interface_fault, is_host, path_fault};
use super::url::Url;

/// What is wrong with a part of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// It is needed and not there.
    Missing(&'static str),
    /// It is of another type than it should be.
    WrongType {
        /// The part.
        part: &'static str,
        /// What it should be: `a string`.
        wanted: &'static str,
        /// What it is.
        found: &'a Value,
    },
    /// It has a value that is not acceptable.
    Invalid {
        /// The part.
        part: &'static str,
        /// The value.
        value: String,
        /// Why; continues a sentence that begins with the value.
        why: String,
    },
}

/// Reads a check. What is to be tried, if that is said; and all faults.
pub fn check_of(object: &Map<String, Value>) -> (Option<Check>, Vec<Fault<'_>>) {
    let mut parts = Parts { object, faults: Vec::new() };
    let target = parts.target();
    let (rise, fall) = (parts.count("rise"), parts.count("fall"));
    (target.map(|target| Check { target, rise, fall }), parts.faults)
}

struct Parts<'a> {
    object: &'a Map<String, Value>,
    faults: Vec<Fault<'a>>,
}

impl<'a> Parts<'a> {
    fn target(&mut self) -> Option<Target> {
        match self.string("type")? {
            "TCP" => self.tcp(),
            "LINK" => self.link(),
            "HTTP" => self.http(),
            "EXEC" => self.exec(),
            other => {
                self.invalid("type", other, "is unknown, only TCP, LINK, HTTP and EXEC are known");
                None
            }
        }
    }

    fn tcp(&mut self) -> Option<Target> {
        let (host, port) = (self.string("host"), self.integer("port"));
        if let Some(host) = host
            && !is_host(host)
        {
            self.invalid("host", host, "is not an address or a name");
        }
        let port = port?;
        match port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0) {
            Some(port) => Some(Target::Tcp { host: host?.to_owned(), port }),
            None => {
                self.invalid("port", &port.to_string(), "is not in 1-65535");
                None
            }
        }
    }

    fn link(&mut self) -> Option<Target> {
        let name = self.string("interface")?;
        match interface_fault(name) {
            None => Some(Target::Link { interface: name.to_owned() }),
            Some(why) => {
                self.invalid("interface", name, why);
                None
            }
        }
    }

    fn http(&mut self) -> Option<Target> {
        let (url, status) = (self.string("url"), self.status());
        let url = url?;
        match url.parse::<Url>() {
            Ok(url) => {
                let trust = self.trust(url.is_secure());
                Some(Target::Http { url, status: status?, trust: trust? })
            }
            Err(why) => {
                self.invalid("url", url, why);
                None
            }
        }
    }

    fn trust(&mut self, secure: bool) -> Option<Trust> {
        let verify = match self.object.get("verify") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(verify)) => Some(*verify),
            Some(found) => {
                self.wrong_type("verify", "true or false", found);
                return None;
            }
        };
        let path = match self.object.get("cacert") {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.string("cacert")?),
        };
        let why = match (secure, verify, path) {
            (_, None, None) | (true, Some(true), None) => return Some(Trust::System),
            (true, Some(false), None) => return Some(Trust::Anybody),
            (true, None | Some(true), Some(path)) => match path_fault(path) {
                None => return Some(Trust::File(path.to_owned())),
                Some(why) => why,
            },
            (true, Some(false), Some(_)) => "is not used: verify is false",
            (false, _, _) => "is for https:// only",
        };
        match (path, verify) {
            (Some(path), _) => self.invalid("cacert", path, why),
            (None, verify) => self.invalid("verify", &verify.unwrap_or(true).to_string(), why),
        }
        None
    }

    /// A code, or a range of codes as text. Nothing inside: any success.
    fn status(&mut self) -> Option<Option<Statuses>> {
        let text = match self.object.get("status") {
            None | Some(Value::Null) => return Some(None),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::String(text)) => text.clone(),
            Some(found) => {
                self.wrong_type("status", "a number or a range", found);
                return None;
            }
        };
        let statuses = Statuses::parse(&text);
        if statuses.is_none() {
            self.invalid("status", &text, "is not a status (200) or a range (200-399) in 100-599");
        }
        statuses.map(Some)
    }

    fn exec(&mut self) -> Option<Target> {
        let (command, args) = (self.string("command"), self.args());
        let command = command?;
        if let Some(why) = command_fault(command) {
            self.invalid("command", command, why);
            return None;
        }
        Some(Target::Exec { command: command.to_owned(), args: args? })
    }

    fn args(&mut self) -> Option<Vec<String>> {
        let items = match self.object.get("args") {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(found) => {
                self.wrong_type("args", "an array", found);
                return None;
            }
        };
        if items.len() > MAX_ARGS {
            self.invalid("args", &format!("({})", items.len()), "are more than 32");
            return None;
        }
        let mut args = Vec::with_capacity(items.len());
        for item in items {
            let Value::String(arg) = item else {
                self.wrong_type("args", "an array of strings", item);
                return None;
            };
            match arg_fault(arg) {
                None => args.push(arg.clone()),
                Some(why) => {
                    self.invalid("args", arg, why);
                    return None;
                }
            }
        }
        Some(args)
    }

    fn count(&mut self, part: &'static str) -> Option<u32> {
        let number = match self.object.get(part) {
            None | Some(Value::Null) => return None,
            Some(_) => self.integer(part)?,
        };
        let count = number.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| COUNTS.contains(count));
        if count.is_none() {
            self.invalid(part, &number.to_string(), "is not in 1-100");
        }
        count
    }

    fn string(&mut self, part: &'static str) -> Option<&'a str> {
        match self.object.get(part) {
            None | Some(Value::Null) => self.faults.push(Fault::Missing(part)),
            Some(Value::String(text)) => return Some(text),
            Some(found) => self.wrong_type(part, "a string", found),
        }
        None
    }

    fn integer(&mut self, part: &'static str) -> Option<&'a serde_json::Number> {
        match self.object.get(part) {
            None | Some(Value::Null) => self.faults.push(Fault::Missing(part)),
            Some(Value::Number(number)) if is_integer(number) => return Some(number),
            Some(found) => self.wrong_type(part, "an integer", found),
        }
        None
    }

    fn wrong_type(&mut self, part: &'static str, wanted: &'static str, found: &'a Value) {
        self.faults.push(Fault::WrongType { part, wanted, found });
    }

    fn invalid(&mut self, part: &'static str, value: &str, why: &str) {
        self.faults.push(Fault::Invalid { part, value: value.to_owned(), why: why.to_owned() });
    }
}

/// serde_json keeps an integer that is beyond 64 bits as a float; it is out of range then, but
/// not of the wrong type.
pub(crate) fn is_integer(number: &serde_json::Number) -> bool {
    let beyond = |float: f64| float.fract() == 0.0 && float.abs() >= 9_223_372_036_854_775_808.0;
    !number.is_f64() || number.as_f64().is_some_and(beyond)
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing(part) => write!(f, "{part} is missing"),
            Fault::WrongType { part, wanted, .. } => write!(f, "{part} is not {wanted}"),
            Fault::Invalid { part, value, why } => write!(f, "{part} {value} {why}"),
        }
    }
}

/// What is written of a check.
#[derive(Debug, Default, Serialize)]
struct CheckValue<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cacert: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    args: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    rise: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fall: Option<u32>,
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Check, D::Error> {
        let object = Map::deserialize(value)?;
        let (check, faults) = check_of(&object);
        check.ok_or_else(|| {
            let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
            D::Error::custom(format!("a check whose {}", faults.join(", ")))
        })
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        CheckValue::from(self).serialize(into)
    }
}

impl<'a> From<&'a Check> for CheckValue<'a> {
    fn from(check: &'a Check) -> CheckValue<'a> {
        let Check { target, rise, fall } = check;
        let value = CheckValue { rise: *rise, fall: *fall, ..CheckValue::default() };
        match target {
            Target::Tcp { host, port } => {
                CheckValue { kind: "TCP", host: Some(host), port: Some(*port), ..value }
            }
            Target::Link { interface } => {
                CheckValue { kind: "LINK", interface: Some(interface), ..value }
            }
            Target::Http { url, status, trust } => CheckValue {
                kind: "HTTP",
                url: Some(url.to_string()),
                status: status.map(|range| match range.single() {
                    Some(code) => code.into(),
                    None => range.to_string().into(),
                }),
                verify: (*trust == Trust::Anybody).then_some(false),
                cacert: if let Trust::File(path) = trust { Some(path) } else { None },
                ..value
            },
            Target::Exec { command, args } => {
                CheckValue { kind: "EXEC", command: Some(command), args, ..value }
            }
        }
    }
}

#[cfg(test)]
#[path = "check_json_tests.rs"]
mod tests;
