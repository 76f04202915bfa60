//! The command line and the environment, understood or refused before anything is sent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use super::agent::NewIp;
use super::failure::Failure;
use super::server::Server;
use super::subcommand::{Subcommand, Verb};
use crate::duration;
use crate::policy::{LossPolicy, UnknownWord};
use crate::secret::Credentials;
use crate::text::clean;
use crate::vip::{Check, Cidr, CidrError};

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
    let command = words.command(verb, &operands.collect::<Vec<_>>())?;
    Ok(Task::Run(words.options(env)?, command))
}

/// The command line, cut into options and operands; nothing is checked yet.
#[derive(Debug, Default)]
struct Words {
    host: Option<String>,
    user: Option<String>,
    password: Option<String>,
    json: bool,
    help: bool,
    version: bool,
    checks: Vec<String>,
    interval: Option<String>,
    interface: Option<String>,
    loss_policy: Option<String>,
    to: Option<String>,
    force: bool,
    time: Option<String>,
    wait: bool,
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
                Arg::Long("host") => words.host = Some(parser.value()?.string()?),
                Arg::Long("user") => words.user = Some(parser.value()?.string()?),
                Arg::Long("password") => words.password = Some(parser.value()?.string()?),
                Arg::Long("check") => words.checks.push(parser.value()?.string()?),
                Arg::Long("interval") => words.interval = Some(parser.value()?.string()?),
                Arg::Long("interface") => words.interface = Some(parser.value()?.string()?),
                Arg::Long("etcd-loss-policy") => {
                    words.loss_policy = Some(parser.value()?.string()?);
                }
                Arg::Long("to") => words.to = Some(parser.value()?.string()?),
                Arg::Long("force") => words.force = true,
                Arg::Long("for") => words.time = Some(parser.value()?.string()?),
                Arg::Long("wait") => words.wait = true,
                Arg::Long("follow") | Arg::Short('f') => words.follow = true,
                Arg::Long("wide") => words.wide = true,
                Arg::Long("env") => words.env = Some(parser.value()?.string()?),
                Arg::Long("json") => words.json = true,
                Arg::Long("help") | Arg::Short('h') => words.help = true,
                Arg::Long("version") | Arg::Short('V') => words.version = true,
                Arg::Value(operand) => words.operands.push(operand.string()?),
                Arg::Long(_) | Arg::Short(_) => return Err(arg.unexpected()),
            }
        }
        Ok(words)
    }

    /// The command, when exactly its own options and operands are there.
    fn command(&self, verb: Verb, operands: &[&str]) -> Result<Subcommand, Failure> {
        self.reject_foreign_options(verb)?;
        let operand = match (verb.operand(), operands) {
            (None, []) => "",
            (Some(_), [operand]) => operand,
            (Some(name), []) => {
                return Err(Failure::usage(format!("{verb} needs an {name}")));
            }
            (None, [extra, ..]) | (Some(_), [_, extra, ..]) => {
                let extra = clean(extra);
                return Err(Failure::usage(format!("{verb} does not take \"{extra}\"")));
            }
        };
        Ok(match verb {
            Verb::Status => Subcommand::Status,
            Verb::Watch => Subcommand::Watch,
            Verb::List => Subcommand::List { wide: self.wide },
            Verb::Events => Subcommand::Events { follow: self.follow },
            Verb::Doctor => Subcommand::Doctor(self.env_file()?),
            Verb::Version => Subcommand::Version,
            Verb::Add => Subcommand::Add(self.new_ip(operand)?),
            Verb::Show => Subcommand::Show(operand.parse()?),
            Verb::Delete => Subcommand::Delete(operand.parse()?),
            Verb::Lock => Subcommand::Lock(operand.parse()?),
            Verb::Failover => Subcommand::Failover(operand.parse()?, self.to_host()?),
            Verb::Drain => Subcommand::Drain(self.drain_time()?, self.wait),
            Verb::Undrain => Subcommand::Undrain,
        })
    }

    fn reject_foreign_options(&self, verb: Verb) -> Result<(), Failure> {
        for (given, name, owner) in [
            (!self.checks.is_empty(), "--check", Verb::Add),
            (self.interval.is_some(), "--interval", Verb::Add),
            (self.interface.is_some(), "--interface", Verb::Add),
            (self.loss_policy.is_some(), "--etcd-loss-policy", Verb::Add),
            (self.force, "--force", Verb::Add),
            (self.to.is_some(), "--to", Verb::Failover),
            (self.time.is_some(), "--for", Verb::Drain),
            (self.wait, "--wait", Verb::Drain),
            (self.follow, "--follow", Verb::Events),
            (self.wide, "--wide", Verb::List),
            (self.env.is_some(), "--env", Verb::Doctor),
        ] {
            if given && owner != verb {
                return Err(Failure::usage(format!("{verb} does not take {name}")));
            }
        }
        Ok(())
    }

    fn new_ip(&self, ip: &str) -> Result<NewIp, Failure> {
        let cidr: Cidr = ip.parse().map_err(|why: CidrError| refuse("IP", ip, &why.to_string()))?;
        let read_check =
            |text: &String| Check::from_word(text).map_err(|why| refuse("--check", text, &why));
        if self.interface.as_deref() == Some("") {
            return Err(Failure::usage("--interface: the name is empty"));
        }
        Ok(NewIp {
            ip: cidr.to_string(),
            checks: self.checks.iter().map(read_check).collect::<Result<_, _>>()?,
            healthcheck_interval: self.interval.as_deref().map(seconds).transpose()?,
            interface: self.interface.clone(),
            etcd_loss_policy: self.loss_policy.as_deref().map(loss_policy).transpose()?,
            force: self.force,
        })
    }

    fn env_file(&self) -> Result<PathBuf, Failure> {
        match self.env.as_deref() {
            None => Ok(PathBuf::from("/etc/link/link.env")),
            Some(path) if Path::new(path).is_file() => Ok(PathBuf::from(path)),
            Some(path) => Err(refuse("--env", path, "there is no such file")),
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

    fn to_host(&self) -> Result<Option<String>, Failure> {
        match self.to.as_deref() {
            Some(host) if host.is_empty() || host.contains('/') || host != clean(host) => {
                Err(refuse("--to", host, "is not a host's name in etcd"))
            }
            _ => Ok(self.to.clone()),
        }
    }

    fn options(self, env: impl Fn(&str) -> Option<OsString>) -> Result<Options, Failure> {
        let source = if self.host.is_some() { "--host" } else { "LINK_HOST" };
        let server = match self.host.map_or_else(|| variable(&env, "LINK_HOST"), given)? {
            None => Server::default(),
            Some(host) => host.parse().map_err(|why| refuse(source, &host, why))?,
        };
        let user = self.user.map_or_else(|| variable(&env, "LINK_USER"), given)?;
        let password = self.password.map_or_else(|| variable(&env, "LINK_PASSWORD"), given)?;
        let credentials = match (user, password) {
            (None, None) => None,
            (user, password) => {
                Some(Credentials::new(user.unwrap_or_default(), password.unwrap_or_default()))
            }
        };
        Ok(Options {
            server,
            credentials: credentials.transpose().map_err(bad_user)?,
            json: self.json,
        })
    }
}

fn bad_user(why: &str) -> Failure {
    Failure::usage(format!("--user {why}"))
}

/// A value from the command line is taken as it is, even when it is empty.
fn given(value: String) -> Result<Option<String>, Failure> {
    Ok(Some(value))
}

/// A variable of the environment; set to nothing is the same as not set.
fn variable(env: impl Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<String>, Failure> {
    match env(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(Err(_)) => Err(Failure::usage(format!("{name} is not UTF-8"))),
    }
}

fn seconds(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| refuse("--interval", text, "is not a number of seconds"))
}

fn loss_policy(word: &str) -> Result<LossPolicy, Failure> {
    word.parse().map_err(|why: UnknownWord| refuse("--etcd-loss-policy", word, &why.to_string()))
}

/// `why` may repeat a part of the value.
fn refuse(what: &str, value: &str, why: &str) -> Failure {
    Failure::usage(format!("{what} \"{}\": {}", clean(value), clean(why)))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
