//! Why a command was not carried out, the exit code that says so, and what to do next.
//!
//! A failure is made of what to do next and of what has happened: there is none without advice.

use std::borrow::Cow;
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

/// What to do next. Each belongs to failures of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The agent has refused: look how things stand.
    Look,
    /// The agent has refused, for a reason after which this is to be done.
    After(&'static str),
    /// The same of an agent that cannot do what it is asked for now.
    Then(&'static str),
    /// IPs stay on a host that is drained.
    OfferElsewhere,
    /// No other host would take IPs.
    ShareElsewhere,
    /// A drain has ended that was waited for.
    DrainAgain,
    /// A host is not to be fenced.
    SwitchOff,
    /// The output cannot be written.
    MakeRoom,
    /// Nobody can be asked.
    UseTerminal,
    /// The command line makes no sense.
    ReadHelp,
    /// A variable of the environment makes no sense.
    MendVariable,
    /// The file with the hosts that somebody manages makes no sense.
    MendHosts,
    /// The file with a password is none.
    MendPassword,
    /// Only the machine itself can be looked at.
    RunThere,
    /// Several IPs are meant.
    GiveMask,
    /// The contents of a file make no sense.
    MendFile,
    /// The question was not answered by the name of the host.
    NameHost,
    /// Nobody is there who could be asked.
    SayYes,
    /// A file cannot be read.
    NameFile,
    /// It stands in no list of the agent.
    SeeList,
    /// The agent does not know that it can be asked for.
    OlderAgent,
    /// The agent is not reached.
    ReachAgent,
    /// The agent is not reached because of TLS.
    OverTls(OverTls),
    /// What answers speaks TLS.
    TryHttps,
    /// It may have been done.
    LookBefore,
    /// It is done, and what follows takes its time.
    WaitOn,
    /// What answers is not LinK.
    NameAgent,
    /// What answers is another LinK.
    Update,
    /// The agent wants a user and a password.
    GivePassword,
    /// The agent has no etcd.
    AskDoctor,
    /// Something needs a person.
    ReadFindings,
    /// Something should be mended.
    ReadWarnings,
}

/// What to do next where TLS is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverTls {
    /// The agent speaks TLS.
    AskByHttps,
    /// The agent speaks no TLS.
    AskByHttp,
    /// The program that speaks TLS is missing.
    InstallLinkd,
    /// The certificate is another host's.
    AskByOtherName,
    /// The certificate is not to be trusted.
    GiveAuthority,
    /// The authorities cannot be read.
    MendAuthorities,
    /// A session has broken.
    LookWhy,
}

const BY_HTTPS: &str =
    "give --host https://NAME, and --cacert FILE with the authority of its certificate";

/// What to do with an agent that does not know what it is asked for.
pub(super) const OLD_AGENT: &str =
    "linkctl version tells both versions: most likely the agent is too old for that";

impl Next {
    /// Of which kind the failures are after which this is to be done.
    const fn kind(self) -> Kind {
        match self {
            Next::Look
            | Next::After(_)
            | Next::OfferElsewhere
            | Next::ShareElsewhere
            | Next::DrainAgain
            | Next::SwitchOff
            | Next::MakeRoom
            | Next::UseTerminal => Kind::Refused,
            Next::ReadHelp
            | Next::MendVariable
            | Next::MendHosts
            | Next::MendPassword
            | Next::RunThere
            | Next::GiveMask
            | Next::MendFile
            | Next::NameHost
            | Next::SayYes
            | Next::NameFile => Kind::Usage,
            Next::SeeList | Next::OlderAgent => Kind::NotFound,
            Next::ReachAgent | Next::OverTls(_) | Next::LookBefore | Next::WaitOn => {
                Kind::Unreachable
            }
            Next::TryHttps | Next::NameAgent | Next::Update => Kind::NotLink,
            Next::GivePassword => Kind::Credentials,
            Next::AskDoctor | Next::Then(_) => Kind::Unavailable,
            Next::ReadFindings => Kind::NotWell,
            Next::ReadWarnings => Kind::Warnings,
        }
    }

    /// What that is.
    const fn text(self) -> &'static str {
        match self {
            Next::Look => "linkctl show, and linkctl events on that host, tell how things stand",
            Next::After(advice) | Next::Then(advice) => advice,
            Next::OfferElsewhere => {
                "offer them on another host (linkctl add there), or linkctl delete"
            }
            Next::ShareElsewhere => {
                "share them on another host (linkctl list --output commands), or leave them without one: linkctl leave --force"
            }
            Next::DrainAgain => "linkctl events tells who has ended it; then drain again",
            Next::SwitchOff => {
                "switch it off first; linkctl status names the hosts, and --force asks nobody"
            }
            Next::MakeRoom => "have the output go where there is room, and do it again",
            Next::UseTerminal => "use a terminal, or give --yes",
            Next::ReadHelp => "see linkctl --help, and linkctl COMMAND --help",
            Next::MendVariable => "correct or unset that variable; an option counts before it",
            Next::MendHosts => "correct it there: docs/operating.md tells what stands in that file",
            Next::MendPassword => {
                "give a file with the password on its first line, which others cannot read (chmod 640)"
            }
            Next::RunThere => {
                "run linkctl doctor on that host; linkctl status shows from here what its agent knows"
            }
            Next::GiveMask => "name it with its mask, as linkctl list shows it, or by its id",
            Next::MendFile => "correct the file; linkctl add --help tells what stands in one",
            Next::NameHost => {
                "type the name as linkctl status shows it, or fence the host of that name"
            }
            Next::SayYes => "give --yes, too, if the host is surely off: then nobody is asked",
            Next::NameFile => "give the path of a file that this user can read",
            Next::SeeList => "see linkctl list there, and linkctl status for all hosts",
            Next::OlderAgent => OLD_AGENT,
            Next::ReachAgent => {
                "see --host and LINK_HOST, and whether the agent runs: linkctl doctor on its host"
            }
            Next::LookBefore => {
                "it may have been done: see linkctl show, or linkctl doctor on its host, and do it again"
            }
            Next::WaitOn => {
                "wait, and see linkctl status; linkctl show IP tells why one does not move"
            }
            Next::NameAgent => {
                "name an agent by --host or LINK_HOST; linkctl version tells its version"
            }
            Next::Update => "linkctl version tells both versions: update the older one",
            Next::GivePassword => {
                "give USER and PASSWORD of the agent as --user and LINK_PASSWORD or --password-file"
            }
            Next::AskDoctor => "linkctl doctor on that host looks at etcd; then do it again",
            Next::ReadFindings => {
                "what to do stands above, or linkctl doctor says it on the host concerned"
            }
            Next::ReadWarnings => "what to do stands above",
            Next::OverTls(next) => next.text(),
            Next::TryHttps => BY_HTTPS,
        }
    }
}

impl OverTls {
    /// What that is.
    const fn text(self) -> &'static str {
        match self {
            OverTls::AskByHttps => BY_HTTPS,
            OverTls::AskByHttp => {
                "give http:// instead of https:// if it is the agent, or see API_TLS_CERT on its host"
            }
            OverTls::InstallLinkd => {
                "install linkd beside linkctl, of the same version, or go by an SSH tunnel"
            }
            OverTls::AskByOtherName => {
                "ask by a name or address that stands in the certificate, or have one made with this name (docs/security.md)"
            }
            OverTls::GiveAuthority => {
                "give the authority that has signed API_TLS_CERT by --cacert, or renew API_TLS_CERT on that host (docs/security.md)"
            }
            OverTls::MendAuthorities => "give a PEM file with the authority by --cacert",
            OverTls::LookWhy => "linkctl events on that host, and the agent's log, may tell why",
        }
    }
}

/// A failure with the text for the person who typed the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    next: Next,
    /// The command whose page tells how it is said.
    page: Option<&'static str>,
    message: String,
}

impl Failure {
    /// What has happened, and what to do next.
    pub(super) fn new(next: Next, message: impl Into<String>) -> Failure {
        Failure { next, page: None, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Next::ReadHelp, message)
    }

    /// The same failure, naming what was attempted: `delete 10.0.0.1: ...`.
    pub(super) fn on(mut self, verb: &str, what: impl fmt::Display) -> Failure {
        self.message = format!("{verb} {what}: {}", self.message);
        self
    }

    /// The same failure, found in the words of this command.
    pub(super) fn of(self, verb: &'static str) -> Failure {
        Failure { page: Some(verb), ..self }
    }

    /// The same failure, if the agent has refused, with what to do after such a refusal.
    pub(super) fn if_refused(self, next: Next) -> Failure {
        if self.next == Next::Look { Failure { next, ..self } } else { self }
    }

    /// The same failure, with the place in a file where it was found: `line 3: ...`.
    pub(super) fn at(self, place: &str) -> Failure {
        Failure::new(Next::MendFile, format!("{place}: {}", self.message))
    }

    /// Of which kind it is.
    pub(super) fn kind(&self) -> Kind {
        self.next.kind()
    }

    /// What to do next.
    pub(super) fn next(&self) -> Cow<'static, str> {
        match self.page {
            Some(verb) if self.next == Next::ReadHelp => {
                Cow::Owned(format!("see linkctl {verb} --help"))
            }
            Some(_) | None => Cow::Borrowed(self.next.text()),
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        self.kind() as u8
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
