//! Why a request to etcd failed, and what follows from it.

use std::error::Error as _;
use std::fmt;

use etcd_client as proto;

/// A request to etcd that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What follows from it.
    pub kind: ErrorKind,
    text: String,
}

/// What follows from a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No answer, or an answer that another member may give better: try the next endpoint.
    Unreachable,
    /// Credentials or token were refused: authenticate again.
    Auth,
    /// The lease does not exist (any more).
    LeaseNotFound,
    /// etcd's answer is no, and asking again does not help now (`NOSPACE`, malformed request).
    Refused,
}

impl Error {
    pub(super) fn unreachable(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Unreachable, text: text.into() }
    }

    pub(super) fn refused(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Refused, text: text.into() }
    }

    pub(super) fn deadline(what: &str) -> Error {
        Error::unreachable(format!("{what}: no answer in time"))
    }

    /// The same error with the thing on which it failed.
    pub(super) fn on(self, what: &str) -> Error {
        Error { kind: self.kind, text: format!("{what}: {}", self.text) }
    }
}

impl From<proto::Error> for Error {
    fn from(error: proto::Error) -> Error {
        match error {
            proto::Error::GRpcStatus(status) => from_status(&status),
            proto::Error::TransportError(error) => Error::unreachable(chain(&error)),
            proto::Error::LeaseKeepAliveError(text) if text == "lease not found" => {
                Error { kind: ErrorKind::LeaseNotFound, text }
            }
            proto::Error::IoError(_)
            | proto::Error::WatchError(_)
            | proto::Error::LeaseKeepAliveError(_)
            | proto::Error::EndpointError(_)
            | proto::Error::Internal(_) => Error::unreachable(error.to_string()),
            proto::Error::InvalidArgs(_)
            | proto::Error::InvalidUri(_)
            | proto::Error::Utf8Error(_)
            | proto::Error::ElectError(_)
            | proto::Error::InvalidMetadataValue(_)
            | proto::Error::EndpointsNotManaged => {
                Error { kind: ErrorKind::Refused, text: error.to_string() }
            }
        }
    }
}

/// etcd's errors are a code and a text (etcd: api/v3rpc/rpctypes/error.go); the codes alone do not
/// tell a wrong password from a malformed request.
fn from_status(status: &tonic::Status) -> Error {
    use tonic::Code;
    let text = status.message();
    let auth = text.contains("authentication failed")
        || text.contains("revision of auth store is old")
        || text.contains("user name is empty");
    let kind = match status.code() {
        Code::Unauthenticated => ErrorKind::Auth,
        Code::InvalidArgument if auth => ErrorKind::Auth,
        Code::NotFound if text.contains("lease not found") => ErrorKind::LeaseNotFound,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => ErrorKind::Refused,
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => ErrorKind::Unreachable,
    };
    let text = match status.source() {
        Some(source) => chain(source),
        None => text.to_owned(),
    };
    Error { kind, text }
}

/// An error with its causes; a cause that only repeats what was said is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
