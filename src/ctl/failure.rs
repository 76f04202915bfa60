//! Why a command was not carried out, the exit code that says so, and what to do next.
//!
//! A failure is made of what to do next and of what has happened: there is none without advice.

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
            Next::ReadHelp | Next::MendFile | Next::NameHost | Next::SayYes | Next::NameFile => {
                Kind::Usage
            }
            Next::SeeList => Kind::NotFound,
            Next::ReachAgent | Next::OverTls(_) | Next::LookBefore | Next::WaitOn => {
                Kind::Unreachable
            }
            Next::TryHttps | Next::NameAgent | Next::Update => Kind::NotLink,
            Next::GivePassword => Kind::Credentials,
            Next::AskDoctor => Kind::Unavailable,
            Next::ReadFindings => Kind::NotWell,
            Next::ReadWarnings => Kind::Warnings,
        }
    }

    /// What that is.
    const fn text(self) -> &'static str {
        match self {
            Next::Look => "linkctl show, and linkctl events on that host, tell how things stand",
            Next::After(advice) => advice,
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
            Next::MendFile => "correct the file; linkctl add --help tells what stands in one",
            Next::NameHost => {
                "type the name as linkctl status shows it, or fence the host of that name"
            }
            Next::SayYes => "give --yes, too, if the host is surely off: then nobody is asked",
            Next::NameFile => "give the path of a file that this user can read",
            Next::SeeList => "see linkctl list there, and linkctl status for all hosts",
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
    message: String,
}

impl Failure {
    /// What has happened, and what to do next.
    pub(super) fn new(next: Next, message: impl Into<String>) -> Failure {
        Failure { next, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Next::ReadHelp, message)
    }

    /// The same failure, naming what was attempted: `delete 10.0.0.1: ...`.
    pub(super) fn on(mut self, verb: &str, what: impl fmt::Display) -> Failure {
        self.message = format!("{verb} {what}: {}", self.message);
        self
    }

    /// The same failure, if the agent has refused, with what to do after such a refusal.
    pub(super) fn if_refused(self, next: Next) -> Failure {
        if self.next == Next::Look { Failure { next, ..self } } else { self }
    }

    /// The same failure, with the place in a file where it was found: `line 3: ...`.
    pub(super) fn at(self, place: &str) -> Failure {
        Failure { next: Next::MendFile, message: format!("{place}: {}", self.message) }
    }

    /// Of which kind it is.
    pub(super) fn kind(&self) -> Kind {
        self.next.kind()
    }

    /// What to do next.
    pub(super) fn next(&self) -> &'static str {
        self.next.text()
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
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const ALL: [Next; 21] = [
        Next::Look,
        Next::OfferElsewhere,
        Next::DrainAgain,
        Next::SwitchOff,
        Next::MakeRoom,
        Next::UseTerminal,
        Next::ReadHelp,
        Next::MendFile,
        Next::NameHost,
        Next::SayYes,
        Next::NameFile,
        Next::SeeList,
        Next::ReachAgent,
        Next::LookBefore,
        Next::WaitOn,
        Next::NameAgent,
        Next::Update,
        Next::GivePassword,
        Next::AskDoctor,
        Next::ReadFindings,
        Next::ReadWarnings,
    ];

    /// What stands in the sources of `linkctl`, but for tests and for this file.
    fn sources() -> String {
        fn read(folder: &std::path::Path, text: &mut String) {
            for entry in std::fs::read_dir(folder).expect("a folder of sources") {
                let path = entry.expect("a file").path();
                let name = path.to_string_lossy().into_owned();
                if path.is_dir() {
                    read(&path, text);
                } else if !name.ends_with("tests.rs") && !name.ends_with("failure.rs") {
                    *text += &std::fs::read_to_string(&path).expect("a source");
                }
            }
        }
        let mut text = String::new();
        read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ctl"), &mut text);
        text
    }

    #[test]
    fn every_failure_says_what_to_do_and_each_advice_has_one() {
        let texts: BTreeSet<&str> = ALL.iter().map(|next| next.text()).collect();
        assert_eq!(texts.len(), ALL.len(), "two say the same");
        let (sources, mut kinds) = (sources(), BTreeMap::new());
        for next in ALL {
            let (kind, text) = (next.kind(), next.text());
            kinds.insert(kind as u8, kind);
            assert!(text.len() > 20 && !text.ends_with('.'), "{next:?}: {text}");
            let used = sources.contains(&format!("Next::{next:?}"));
            let is_made_here = [Next::ReadHelp, Next::MendFile].contains(&next);
            assert!(used || is_made_here, "no failure advises {next:?}");
        }
        // Every exit code that tells of a failure.
        assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), (1..=9).collect::<Vec<u8>>());
        let commands: BTreeSet<&str> =
            texts.iter().flat_map(|text| text.split("linkctl ").skip(1)).collect();
        for named in commands {
            let verb = named.split([' ', ',', ';', ':', ')']).next().unwrap_or_default();
            let is_one = ["COMMAND", "--help"].contains(&verb);
            assert!(is_one || verb.parse::<crate::ctl::subcommand::Verb>().is_ok(), "{named}");
        }
    }

    #[test]
    fn what_is_added_to_a_failure_keeps_its_kind() {
        let failure = Failure::new(Next::Look, "no").on("add", "x");
        assert_eq!((failure.to_string().as_str(), failure.exit_code()), ("add x: no", 1));
        assert_eq!(failure.if_refused(Next::SwitchOff).next(), Next::SwitchOff.text());
        let failure = Failure::new(Next::AskDoctor, "no").if_refused(Next::SwitchOff);
        assert_eq!(failure.next(), Next::AskDoctor.text());
        let failure = Failure::usage("no").at("line 3");
        assert_eq!((failure.kind(), failure.next()), (Kind::Usage, Next::MendFile.text()));
    }
}
