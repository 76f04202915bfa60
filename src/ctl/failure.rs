//! Why a command was not carried out, and the exit code that says so.

use std::fmt;

/// What kind of failure it was. The number is the exit code, documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The agent understood and refuses, or the output cannot be written.
    Refused = 1,
    /// The command line or the environment makes no sense.
    Usage = 2,
    /// The agent has no such IP.
    NotFound = 3,
    /// No connection, or no complete answer in time, from the agent or from etcd.
    Unreachable = 4,
    /// Something answers, but not as LinK does.
    NotLink = 5,
    /// User or password missing or wrong.
    Credentials = 6,
    /// The agent cannot use etcd, so it changed nothing.
    Unavailable = 7,
    /// Something in the cluster needs a person.
    NotWell = 8,
    /// Something should be mended, and does no harm yet.
    Warnings = 9,
}

/// A failure with the text for the person who typed the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    message: String,
    /// What to do next, if that is not the same for all of the kind.
    next: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), next: None }
    }

    pub(super) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Usage, message)
    }

    /// The same failure, naming what was attempted: `delete 10.0.0.1: ...`.
    pub(super) fn on(mut self, verb: &str, what: impl fmt::Display) -> Failure {
        self.message = format!("{verb} {what}: {}", self.message);
        self
    }

    /// The same failure, if the agent has refused, with what to do then.
    pub(super) fn if_refused(mut self, next: &'static str) -> Failure {
        if self.kind == Kind::Refused {
            self.next = Some(next);
        }
        self
    }

    /// The same failure, with the place where it was found: `line 3: ...`.
    pub(super) fn at(mut self, place: &str) -> Failure {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The same failure, of which it is known better what to do next.
    pub(super) fn then(self, next: &'static str) -> Failure {
        Failure { next: Some(next), ..self }
    }

    /// What to do next.
    pub(super) fn next(&self) -> &'static str {
        self.next.unwrap_or_else(|| self.of_kind())
    }

    fn of_kind(&self) -> &'static str {
        match self.kind {
            Kind::Refused => "linkctl show, and linkctl events on that host, tell how things stand",
            Kind::Usage => "see linkctl --help, and linkctl COMMAND --help",
            Kind::NotFound => "see linkctl list there, and linkctl status for all hosts",
            Kind::Unreachable => {
                "see --host and LINK_HOST, and whether the agent runs: linkctl doctor on its host"
            }
            Kind::NotLink => {
                "name an agent by --host or LINK_HOST; linkctl version tells its version"
            }
            Kind::Credentials => {
                "give USER and PASSWORD of the agent as --user and LINK_PASSWORD or --password-file"
            }
            Kind::Unavailable => "linkctl doctor on that host looks at etcd; then do it again",
            Kind::NotWell => {
                "what to do stands above, or linkctl doctor says it on the host concerned"
            }
            Kind::Warnings => "what to do stands above",
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        self.kind as u8
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
