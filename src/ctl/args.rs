//! The command line and the environment, understood or refused before anything is sent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use super::access::{Access, refuse};
use super::agent::NewIp;
use super::failure::{Failure, Next};
use super::server::Server;
use super::settings::{self, Said, Setting};
use super::subcommand::{ListForm, Subcommand, Verb};
use crate::duration;
use crate::secret::Credentials;
use crate::text::{clean, is_host_name};
use crate::vip::{Cidr, CidrError};

/// How long it is waited for an owner, and how long it can be, in seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_WAIT: u64 = 3600;

const NO_NAME: &str = "is not a host's name in etcd";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Print the overview, or the page of a command.
    Help(Option<Verb>),
    /// Print this program's version.
    OwnVersion,
    /// Talk to an agent.
    Run(Options, Subcommand),
}

/// What every command takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) server: Server,
    pub(super) credentials: Option<Credentials>,
    pub(super) json: bool,
}

/// Reads the arguments (without the program's name), falling back to the environment.
pub(super) fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Task, Failure> {
    let mut words = Words::read(Parser::from_args(args)).map_err(|error| {
        // Its text quotes the argument.
        Failure::usage(clean(&error.to_string()))
    })?;
    if words.version {
        return Ok(Task::OwnVersion);
    }
    if words.operands.first().is_some_and(|word| word == "help") {
        words.operands.remove(0);
        words.help = true;
    }
    let mut operands = words.operands.iter().map(String::as_str);
    let verb = operands.next().map(str::parse::<Verb>).transpose();
    if words.help {
        return Ok(Task::Help(verb.ok().flatten()));
    }
    let verb = verb?.ok_or_else(|| Failure::usage("a command is missing"))?;
    let command = words.command(verb, &operands.collect::<Vec<_>>());
    let command = command.map_err(|failure| failure.of(verb.name()))?;
    Ok(Task::Run(words.options(env)?, command))
}

/// The command line, cut into options and operands; nothing is checked yet.
#[derive(Debug, Default)]
struct Words {
    access: Access,
    json: bool,
    help: bool,
    version: bool,
    settings: Vec<(&'static Setting, String)>,
    to: Option<String>,
    force: bool,
    yes: bool,
    time: Option<String>,
    /// With a time, if one is given.
    wait: Option<Option<String>>,
    file: Option<PathBuf>,
    dry_run: bool,
    output: Option<String>,
    follow: bool,
    wide: bool,
    env: Option<String>,
    operands: Vec<String>,
}

impl Words {
    fn read(mut parser: Parser) -> Result<Words, lexopt::Error> {
        let mut words = Words::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("host") => words.access.host = Some(parser.value()?.string()?),
                Arg::Long("user") => words.access.user = Some(parser.value()?.string()?),
                Arg::Long("password") => words.access.password = Some(parser.value()?.string()?),
                Arg::Long("password-file") => {
                    words.access.password_file = Some(parser.value()?.into());
                }
                Arg::Long("cacert") => words.access.cacert = Some(parser.value()?.into()),
                Arg::Long("to") => words.to = Some(parser.value()?.string()?),
                Arg::Long("force") => words.force = true,
                Arg::Long("yes") => words.yes = true,
                Arg::Long("for") => words.time = Some(parser.value()?.string()?),
                Arg::Long("wait") => {
                    let time = parser.optional_value().map(ValueExt::string).transpose()?;
                    words.wait = Some(time);
                }
                Arg::Short('f') if words.reads_file() => words.file = Some(parser.value()?.into()),
                Arg::Long("file") => words.file = Some(parser.value()?.into()),
                Arg::Long("dry-run") => words.dry_run = true,
                Arg::Long("output") => words.output = Some(parser.value()?.string()?),
                Arg::Long("follow") | Arg::Short('f') => words.follow = true,
                Arg::Long("wide") => words.wide = true,
                Arg::Long("env") => words.env = Some(parser.value()?.string()?),
                Arg::Long("json") => words.json = true,
                Arg::Long("help") | Arg::Short('h') => words.help = true,
                Arg::Long("version") | Arg::Short('V') => words.version = true,
                Arg::Value(operand) => words.operands.push(operand.string()?),
                Arg::Long(name) => match settings::of_option(name) {
                    Some(setting) => words.settings.push((setting, parser.value()?.string()?)),
                    None => return Err(arg.unexpected()),
                },
                Arg::Short(_) => return Err(arg.unexpected()),
            }
        }
        Ok(words)
    }

    /// Whether the command that was named takes a file.
    fn reads_file(&self) -> bool {
        self.operands.first().is_some_and(|verb| verb == "add" || verb == "apply")
    }

    /// The command, when exactly its own options and operands are there.
    fn command(&self, verb: Verb, operands: &[&str]) -> Result<Subcommand, Failure> {
        self.reject_foreign_options(verb)?;
        let operand = match (verb.operand(), operands) {
            (None, []) => "",
            (Some(_), []) if verb == Verb::Add && self.file.is_some() => "",
            (Some(_), [operand]) => operand,
            (Some(name), []) => {
                return Err(Failure::usage(format!("{verb} needs {name}")));
            }
            (None, [extra, ..]) | (Some(_), [_, extra, ..]) => {
                let extra = clean(extra);
                return Err(Failure::usage(format!("{verb} does not take \"{extra}\"")));
            }
        };
        Ok(match verb {
            Verb::Status => Subcommand::Status,
            Verb::Watch => Subcommand::Watch,
            Verb::List => Subcommand::List(self.list_form()?),
            Verb::Events => Subcommand::Events { follow: self.follow },
            Verb::Doctor => Subcommand::Doctor(self.env_file()?),
            Verb::Version => Subcommand::Version,
            Verb::Add => self.add(operand)?,
            Verb::Set => Subcommand::Set(operand.parse()?, self.to_set()?),
            Verb::Apply => self.apply()?,
            Verb::Show => Subcommand::Show(operand.parse()?),
            Verb::Delete => Subcommand::Delete(operand.parse()?),
            Verb::Lock => Subcommand::Lock(operand.parse()?),
            Verb::Failover => Subcommand::Failover(operand.parse()?, self.to_host()?),
            Verb::Drain => Subcommand::Drain(self.drain_time()?, self.wait.is_some()),
            Verb::Undrain => Subcommand::Undrain,
            Verb::Fence => self.fence(operand)?,
            Verb::Leave => Subcommand::Leave { force: self.force },
        })
    }

    fn reject_foreign_options(&self, verb: Verb) -> Result<(), Failure> {
        let fixed = self.settings.iter().find(|(setting, _)| !setting.can_change);
        if let (Verb::Set, Some((setting, _))) = (verb, fixed) {
            let option = setting.option;
            let message =
                format!("set does not take --{option}: delete the IP, and add it with another");
            return Err(Failure::usage(message));
        }
        let setting = self.settings.first().map(|(setting, _)| format!("--{}", setting.option));
        let time = self.wait.iter().flatten().next();
        for (given, name, owners) in [
            (
                setting.is_some(),
                setting.as_deref().unwrap_or_default(),
                &[Verb::Add, Verb::Set][..],
            ),
            (self.force, "--force", &[Verb::Add, Verb::Apply, Verb::Fence, Verb::Leave]),
            (self.yes, "--yes", &[Verb::Fence]),
            (self.file.is_some(), "--file", &[Verb::Add, Verb::Apply]),
            (self.dry_run, "--dry-run", &[Verb::Apply]),
            (self.to.is_some(), "--to", &[Verb::Failover]),
            (self.time.is_some(), "--for", &[Verb::Drain]),
            (self.wait.is_some(), "--wait", &[Verb::Drain, Verb::Add]),
            (time.is_some(), "a time for --wait", &[Verb::Add]),
            (self.follow, "--follow", &[Verb::Events]),
            (self.wide, "--wide", &[Verb::List]),
            (self.output.is_some(), "--output", &[Verb::List]),
            (self.env.is_some(), "--env", &[Verb::Doctor]),
        ] {
            if given && !owners.contains(&verb) {
                return Err(Failure::usage(format!("{verb} does not take {name}")));
            }
        }
        Ok(())
    }

    fn list_form(&self) -> Result<ListForm, Failure> {
        match self.output.as_deref() {
            None if self.wide => Ok(ListForm::Wide),
            None | Some("table") => Ok(ListForm::Table),
            Some("wide") => Ok(ListForm::Wide),
            Some("commands") => Ok(ListForm::Commands),
            Some(other) => Err(refuse("--output", other, "there are table, wide and commands")),
        }
    }

    fn add(&self, ip: &str) -> Result<Subcommand, Failure> {
        let (force, wait) = (self.force, self.wait_time()?);
        let Some(file) = self.file.clone() else {
            return Ok(Subcommand::Add(NewIp { force, ..self.new_ip(ip)? }, wait));
        };
        if !ip.is_empty() || !self.settings.is_empty() {
            let message = "add takes an IP with its options, or a file in which these stand";
            return Err(Failure::usage(message));
        }
        Ok(Subcommand::AddFile { file, force, wait })
    }

    fn new_ip(&self, ip: &str) -> Result<NewIp, Failure> {
        let cidr: Cidr = ip.parse().map_err(|why: CidrError| refuse("IP", ip, &why.to_string()))?;
        Ok(NewIp::new(cidr, self.said()?))
    }

    fn said(&self) -> Result<Said, Failure> {
        let mut said = Said::new();
        for (setting, text) in &self.settings {
            settings::say(&mut said, setting, text)?;
        }
        Ok(said)
    }

    fn to_set(&self) -> Result<Said, Failure> {
        match self.settings.is_empty() {
            true => Err(Failure::usage("set needs an option that says what is to be different")),
            false => self.said(),
        }
    }

    fn apply(&self) -> Result<Subcommand, Failure> {
        let (force, dry_run) = (self.force, self.dry_run);
        let file = self.file.clone().ok_or_else(|| Failure::usage("apply needs -f FILE"))?;
        Ok(Subcommand::Apply { file, force, dry_run })
    }

    /// How long it is waited for an owner, if that is wanted.
    fn wait_time(&self) -> Result<Option<Duration>, Failure> {
        let Some(time) = &self.wait else { return Ok(None) };
        let Some(text) = time else { return Ok(Some(PATIENCE)) };
        match text.parse::<u64>() {
            Ok(seconds @ 1..=LONGEST_WAIT) => Ok(Some(Duration::from_secs(seconds))),
            Ok(_) | Err(_) => {
                let why = format!("is not 1-{LONGEST_WAIT} (seconds)");
                Err(refuse("--wait", text, &why))
            }
        }
    }

    fn env_file(&self) -> Result<PathBuf, Failure> {
        match self.env.as_deref() {
            None => Ok(PathBuf::from("/etc/link/link.env")),
            Some(path) if Path::new(path).is_file() => Ok(PathBuf::from(path)),
            Some(path) => {
                let why = format!("--env \"{}\": there is no such file", clean(path));
                Err(Failure::new(Next::NameFile, why))
            }
        }
    }

    /// In seconds.
    fn drain_time(&self) -> Result<Option<u64>, Failure> {
        let Some(text) = self.time.as_deref() else { return Ok(None) };
        match duration::parse(text).map(|time| time.as_secs()) {
            Some(seconds @ 1..) => Ok(Some(seconds)),
            Some(0) | None => Err(refuse("--for", text, "is not a time (such as 90s, 30m, 2h)")),
        }
    }

    fn fence(&self, host: &str) -> Result<Subcommand, Failure> {
        if !is_host_name(host) || host != clean(host) {
            return Err(refuse("fence", host, NO_NAME));
        }
        Ok(Subcommand::Fence { host: host.to_owned(), force: self.force, yes: self.yes })
    }

    fn to_host(&self) -> Result<Option<String>, Failure> {
        match self.to.as_deref() {
            Some(host) if host.is_empty() || host.contains('/') || host != clean(host) => {
                Err(refuse("--to", host, NO_NAME))
            }
            _ => Ok(self.to.clone()),
        }
    }

    fn options(self, env: impl Fn(&str) -> Option<OsString>) -> Result<Options, Failure> {
        let (server, credentials) = self.access.find(env)?;
        Ok(Options { server, credentials, json: self.json })
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
