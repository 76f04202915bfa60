//! Health checks: what is tried, and how often it has to fail or to succeed before that counts.

use std::fmt;
use std::ops::RangeInclusive;

use super::Url;
use crate::interface_name;

/// Bytes of the longest name in the DNS (RFC 1035, 3.1).
const MAX_HOST: usize = 253;
/// Bytes of the longest name of a file (`NAME_MAX`).
const MAX_COMMAND: usize = 255;
/// How many arguments a command may be given.
pub(super) const MAX_ARGS: usize = 32;
/// Bytes of an argument.
const MAX_ARG: usize = 1024;
/// How often in a row a check may be asked to fail or to succeed.
pub(super) const COUNTS: RangeInclusive<u32> = 1..=100;

/// A health check of the service behind an IP, on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is tried.
    pub target: Target,
    /// After how many successes in a row a check that is down is up again, 1 to 100; none: the agent's default.
    pub rise: Option<u32>,
    /// After how many failures in a row a check that is up is down, 1 to 100; none: the agent's default.
    pub fall: Option<u32>,
}

/// What a check tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP connection is made and closed.
    Tcp {
        /// An address or a name.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// An interface of this host is up and has a carrier.
    Link {
        /// Its name.
        interface: String,
    },
    /// A request is answered with a status (RFC 9110, 9.3.1: GET).
    Http {
        /// What is asked for.
        url: Url,
        /// The status that the answer must have; none: any of 200 to 299.
        status: Option<Statuses>,
        /// Which servers are believed, over `https`.
        trust: Trust,
    },
    /// A program ends with 0.
    Exec {
        /// Its name in the folder that the operator of the agent has named.
        command: String,
        /// What it is given.
        args: Vec<String>,
    },
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Of the authorities that the system trusts.
    #[default]
    System,
    /// Of the authorities in this PEM file, which the agent reads.
    File(String),
    /// Of everybody: nothing is verified.
    Anybody,
}

/// A range of status codes of HTTP, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Check {
    /// A check of a TCP port that counts as the agent's default says.
    pub fn tcp(host: impl Into<String>, port: u16) -> Check {
        Check { target: Target::Tcp { host: host.into(), port }, rise: None, fall: None }
    }

    /// Whether a Go LinK knows this kind.
    pub fn is_tcp(&self) -> bool {
        matches!(self.target, Target::Tcp { .. })
    }

    /// TCP first: so they come back from etcd, where the others stand in a field of their own.
    pub fn in_order(checks: Vec<Check>) -> Vec<Check> {
        let (mut tcp, others): (Vec<Check>, Vec<Check>) =
            checks.into_iter().partition(Check::is_tcp);
        tcp.extend(others);
        tcp
    }
}

impl Statuses {
    /// The range, if it is one of status codes: 100 to 599 (RFC 9110, 15).
    pub fn new(first: u16, last: u16) -> Option<Statuses> {
        let are_codes = (100..=599).contains(&first) && last <= 599;
        (are_codes && first <= last).then_some(Statuses { first, last })
    }

    /// Any success: 200 to 299.
    pub fn success() -> Statuses {
        Statuses { first: 200, last: 299 }
    }

    /// Reads `200` or `200-399`.
    pub fn parse(text: &str) -> Option<Statuses> {
        let code = |text: &str| {
            let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_code.then(|| text.parse().ok()).flatten()
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Statuses::new(code(first)?, code(last)?)
    }

    /// The only code of the range, if it is one.
    pub fn single(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }

    /// Whether a code is in the range.
    pub fn contains(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(code) => write!(f, "{code}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// As people read it: `TCP 127.0.0.1:80`, `HTTP http://db/ status 204 rise 2`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        self.rise.map_or(Ok(()), |count| write!(f, " rise {count}"))?;
        self.fall.map_or(Ok(()), |count| write!(f, " fall {count}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { host, port } if host.contains(':') => write!(f, "TCP [{host}]:{port}"),
            Target::Tcp { host, port } => write!(f, "TCP {host}:{port}"),
            Target::Link { interface } => write!(f, "LINK {interface}"),
            Target::Http { url, status, trust } => {
                write!(f, "HTTP {url}")?;
                status.map_or(Ok(()), |status| write!(f, " status {status}"))?;
                match trust {
                    Trust::System => Ok(()),
                    Trust::File(path) => write!(f, " cacert {path}"),
                    Trust::Anybody => write!(f, " verify false"),
                }
            }
            Target::Exec { command, args } => {
                write!(f, "EXEC {command}")?;
                args.iter().try_for_each(|arg| write!(f, " {arg}"))
            }
        }
    }
}

/// Whether a text can be an address or a name.
pub(super) fn is_host(host: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    (1..=MAX_HOST).contains(&host.len()) && !host.contains(blank)
}

/// Why a text is no name of a command, if so.
pub(super) fn command_fault(name: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.bytes().all(plain) || !(1..=MAX_COMMAND).contains(&name.len()) {
        Some("is not the bare name of a command (letters, digits, '-', '_' and '.')")
    } else if name.starts_with(['.', '-']) {
        Some("is not the name of a command: it begins with '.' or '-'")
    } else {
        None
    }
}

/// Why a text cannot be given to a command, if so.
pub(super) fn arg_fault(arg: &str) -> Option<&'static str> {
    if arg.len() > MAX_ARG {
        Some("is longer than 1024 bytes")
    } else if arg.contains('\0') {
        Some("has a zero byte in it")
    } else {
        None
    }
}

/// Why a text is no path of a file with authorities, if so.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("is not an absolute path")
    } else if path.len() > MAX_ARG || path.contains(char::is_control) {
        Some("is not the path of a file")
    } else {
        None
    }
}

/// Why a text is no name of an interface, if so.
pub(super) fn interface_fault(name: &str) -> Option<&'static str> {
    interface_name::check(name).err()
}
