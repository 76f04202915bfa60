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
    /// The request may have been carried out all the same.
    outcome_unknown: bool,
}

/// What follows from a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No answer, or one that does not say what was done (no leader, a time-out inside of etcd).
    /// The request may have been carried out or may be yet, unless no connection could be made:
    /// [`Error::outcome_is_unknown`] tells which.
    Unreachable,
    /// Credentials or token were refused: nothing was done.
    Auth,
    /// The lease does not exist (any more): nothing was done.
    LeaseNotFound,
    /// etcd's answer is no, and asking again does not help now (permission, `NOSPACE`, `CORRUPT`,
    /// malformed request): nothing was done.
    Refused,
}

impl Error {
    /// True when the request may have been carried out, or may be yet: an attempt was sent, and no
    /// answer says what became of it. Also of a request that one member left unanswered and another
    /// refused. If false, nothing was done and nothing will be.
    pub fn outcome_is_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// etcd knows who asks, and does not let them.
    pub(super) fn is_denied(&self) -> bool {
        self.kind == ErrorKind::Refused && self.text.ends_with("etcdserver: permission denied")
    }

    /// Something was sent and not answered.
    pub(super) fn unreachable(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Unreachable, text: text.into(), outcome_unknown: true }
    }

    /// Nothing was sent.
    pub(super) fn not_sent(text: impl Into<String>) -> Error {
        Error { outcome_unknown: false, ..Error::unreachable(text) }
    }

    pub(super) fn refused(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Refused, text: text.into(), outcome_unknown: false }
    }

    pub(super) fn lease_not_found() -> Error {
        Error { kind: ErrorKind::LeaseNotFound, ..Error::refused("lease not found") }
    }

    /// What has answered is not etcd.
    pub(super) fn no_etcd() -> Error {
        Error::unreachable("the answer is not one of etcd's")
    }

    pub(super) fn deadline(what: &str) -> Error {
        Error::unreachable(format!("{what}: no answer in time"))
    }

    /// The same error with the thing on which it failed.
    pub(super) fn on(self, what: &str) -> Error {
        Error { text: format!("{what}: {}", self.text), ..self }
    }

    /// The same error of a request of which only the connection was tried.
    pub(super) fn before_sending(self) -> Error {
        Error { outcome_unknown: false, ..self }
    }

    /// The same error of a request that had an earlier attempt.
    pub(super) fn after(self, outcome_unknown: bool) -> Error {
        Error { outcome_unknown: self.outcome_unknown || outcome_unknown, ..self }
    }
}

impl From<proto::Error> for Error {
    fn from(error: proto::Error) -> Error {
        match error {
            proto::Error::GRpcStatus(status) => from_status(&status),
            proto::Error::TransportError(error) => Error::unreachable(chain(&error)),
            proto::Error::LeaseKeepAliveError(text) if text == "lease not found" => {
                Error::lease_not_found()
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
            | proto::Error::EndpointsNotManaged => Error::refused(error.to_string()),
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
        | Code::Unimplemented
        | Code::DataLoss => ErrorKind::Refused,
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => ErrorKind::Unreachable,
    };
    // A status with a source was made on this side, and some others are; etcd's own texts begin alike.
    let source = status.source();
    let kind = if source.is_some() { ErrorKind::Unreachable } else { kind };
    let made_here = matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted)
        && !text.starts_with("etcdserver: ");
    let sent = !source.is_some_and(is_connecting);
    let outcome_unknown = sent && (kind == ErrorKind::Unreachable || made_here);
    Error { kind, text: source.map_or_else(|| text.to_owned(), chain), outcome_unknown }
}

/// Whether it was the connection that could not be made.
fn is_connecting(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<tonic::ConnectError>() || error.source().is_some_and(is_connecting)
}

/// An error with its causes; a cause that only repeats the text so far is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
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

#[cfg(test)]
mod tests {
    use tonic::{Code, ConnectError, Status};

    use super::*;

    /// What follows from a status: the kind, and whether the outcome is unknown.
    fn follows(status: Status) -> (ErrorKind, bool) {
        let error = Error::from(proto::Error::from(status));
        (error.kind, error.outcome_is_unknown())
    }

    #[test]
    fn a_refusal_of_etcd_says_that_nothing_was_done() {
        use ErrorKind::{Auth, LeaseNotFound, Refused};
        for (code, text, kind) in [
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Refused),
            (Code::DataLoss, "etcdserver: corrupt cluster", Refused),
            (Code::PermissionDenied, "etcdserver: permission denied", Refused),
            (Code::Unimplemented, "unknown service etcdserverpb.KV", Refused),
            (Code::NotFound, "etcdserver: requested lease not found", LeaseNotFound),
            (Code::Unauthenticated, "etcdserver: invalid auth token", Auth),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Auth,
            ),
        ] {
            assert_eq!(follows(Status::new(code, text)), (kind, false), "{text}");
        }
    }

    #[test]
    fn what_is_not_answered_or_cannot_be_read_may_have_been_done() {
        for (code, text) in [
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unknown, "transport error"),
            (Code::OutOfRange, "Error, decoded message length too large: found 9 bytes"),
        ] {
            assert!(follows(Status::new(code, text)).1, "{text}");
        }
        assert!(Error::deadline("transaction").outcome_is_unknown());
    }

    #[test]
    fn a_connection_that_could_not_be_made_has_sent_nothing() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(ConnectError(Box::new(refused))));
        assert_eq!(follows(status), (ErrorKind::Unreachable, false));
    }

    #[test]
    fn one_attempt_of_unknown_outcome_makes_the_whole_request_so() {
        let refused = Error::refused("no").after(false);
        assert!(!refused.outcome_is_unknown());
        assert!(refused.after(true).after(false).outcome_is_unknown());
    }
}
