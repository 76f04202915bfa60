//! The subcommands of `linkctl`, and how an IP is named in them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::agent::NewIp;
use super::failure::Failure;
use super::settings::Said;
use crate::text::clean;
use crate::vip::{Cidr, VipId};
use crate::wire;

/// A command with its own arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subcommand {
    Status,
    Watch,
    List(ListForm),
    Show(Target),
    /// And wait for so long until it has an owner.
    Add(NewIp, Option<Duration>),
    /// The same with those in a file.
    AddFile {
        file: PathBuf,
        force: bool,
        wait: Option<Duration>,
    },
    Set(Target, Said),
    Apply {
        file: PathBuf,
        force: bool,
        dry_run: bool,
    },
    Delete(Target),
    Lock(Target),
    Failover(Target, Option<String>),
    /// For so many seconds; and wait until other hosts have the IPs.
    Drain(Option<u64>, bool),
    Undrain,
    /// A host, by its name; whether it lives is not asked; the user is not asked.
    Fence {
        host: String,
        force: bool,
        yes: bool,
    },
    Leave {
        force: bool,
    },
    Events {
        follow: bool,
    },
    /// With the agent's environment file.
    Doctor(PathBuf),
    Version,
}

/// How a list is shown, unless it is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListForm {
    Table,
    /// With everything, however wide.
    Wide,
    /// The commands that make another host offer the same.
    Commands,
}

/// The name of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Status,
    Watch,
    List,
    Show,
    Add,
    Set,
    Apply,
    Delete,
    Lock,
    Failover,
    Drain,
    Undrain,
    Fence,
    Leave,
    Events,
    Doctor,
    Version,
}

/// An IP that the agent has, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Id(VipId),
    /// An address with its mask.
    Exactly(Cidr),
    /// An address, whatever its mask.
    AnyMask(Cidr),
}

impl Verb {
    const ALL: [(&'static str, Verb); 17] = [
        ("status", Verb::Status),
        ("watch", Verb::Watch),
        ("list", Verb::List),
        ("show", Verb::Show),
        ("add", Verb::Add),
        ("set", Verb::Set),
        ("apply", Verb::Apply),
        ("delete", Verb::Delete),
        ("lock", Verb::Lock),
        ("failover", Verb::Failover),
        ("drain", Verb::Drain),
        ("undrain", Verb::Undrain),
        ("fence", Verb::Fence),
        ("leave", Verb::Leave),
        ("events", Verb::Events),
        ("doctor", Verb::Doctor),
        ("version", Verb::Version),
    ];

    /// As it is typed.
    pub(super) fn name(self) -> &'static str {
        let found = Verb::ALL.iter().find(|(_, verb)| *verb == self);
        found.map_or("", |(name, _)| name)
    }

    /// What the command is about, if anything.
    pub(super) fn operand(self) -> Option<&'static str> {
        match self {
            Verb::Apply
            | Verb::Status
            | Verb::Watch
            | Verb::List
            | Verb::Drain
            | Verb::Undrain
            | Verb::Leave
            | Verb::Events
            | Verb::Doctor
            | Verb::Version => None,
            Verb::Add => Some("an IP"),
            Verb::Fence => Some("the name of a host"),
            Verb::Show | Verb::Set | Verb::Delete | Verb::Lock | Verb::Failover => {
                Some("an IP or an id")
            }
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Verb {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Verb, Failure> {
        let found = Verb::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, verb)| *verb).ok_or_else(|| {
            let names = Verb::ALL.map(|(name, _)| name).join(", ");
            Failure::usage(format!("there is no command \"{}\"; there are {names}", clean(text)))
        })
    }
}

impl Target {
    /// Whether this is an IP of the agent's that the user means.
    pub(super) fn matches(&self, ip: &wire::Ip) -> bool {
        match (self, ip.ip.parse::<Cidr>()) {
            (_, Err(_)) => false,
            (Target::Id(id), Ok(_)) => ip.id == id.as_str(),
            (Target::Exactly(cidr), Ok(has)) => has == *cidr,
            (Target::AnyMask(cidr), Ok(has)) => has.addr() == cidr.addr(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Id(id) => write!(f, "{id}"),
            Target::Exactly(cidr) => write!(f, "{cidr}"),
            Target::AnyMask(cidr) => write!(f, "{}", cidr.addr()),
        }
    }
}

impl FromStr for Target {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Target, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(Target::Id(id));
        }
        match text.parse::<Cidr>() {
            Ok(cidr) if text.contains('/') => Ok(Target::Exactly(cidr)),
            Ok(cidr) => Ok(Target::AnyMask(cidr)),
            Err(_) => Err(Failure::usage(format!(
                "\"{}\" is neither an IP nor an id (vip-<uuid>)",
                clean(text)
            ))),
        }
    }
}
