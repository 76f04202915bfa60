//! Why something was not done, in words.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;

use crate::vip::Cidr;

/// How long one answer is waited for.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RouteError {
    /// The kernel refused it, with its explanation if it gave one.
    Refused(Errno, Option<String>),
    /// The socket failed.
    Socket(Errno),
    /// No answer came in time.
    Timeout,
    /// The answer cannot be read.
    Malformed,
    /// The addresses changed during each of several dumps.
    Interrupted,
    /// An IPv6 address is there, with another prefix length: the kernel has it only once.
    OtherPrefix,
}

/// Why an order could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderError {
    /// What was to be done.
    pub(super) verb: &'static str,
    pub(super) cidr: Cidr,
    pub(super) interface: String,
    pub(super) cause: RouteError,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderError { verb, cidr, interface, cause } = self;
        write!(f, "{verb} {cidr} on {interface}: {cause}")
    }
}

impl std::error::Error for OrderError {}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteError::Refused(errno, None) => write!(f, "{}", words(*errno)),
            RouteError::Refused(errno, Some(text)) => write!(f, "{} ({text})", words(*errno)),
            RouteError::Socket(errno) => write!(f, "netlink socket: {}", words(*errno)),
            RouteError::Timeout => write!(f, "the kernel did not answer within {TIMEOUT:?}"),
            RouteError::Malformed => write!(f, "the kernel's answer is malformed"),
            RouteError::Interrupted => write!(f, "the addresses change too fast to be read"),
            RouteError::OtherPrefix => {
                write!(f, "the interface has this address with another prefix length")
            }
        }
    }
}

/// Why the actuator did not answer a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetError(pub String);

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetError {}

/// The usual text of an errno, as part of a sentence.
pub(super) fn words(errno: Errno) -> String {
    errno.desc().to_ascii_lowercase()
}
