//! The command line and the environment, understood or refused before anything is sent.

use std::ffi::OsString;

use lexopt::{Arg, Parser, ValueExt};

use super::agent::NewIp;
use super::failure::Failure;
use super::server::{self, Server};
use super::subcommand::{Subcommand, Verb};
use crate::policy::{LossPolicy, UnknownWord};
use crate::secret::Credentials;
use crate::text::clean;
use crate::vip::{Check, CheckKind, Cidr, CidrError};

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
    read(args, env).map_err(|failure| failure.with_hint("see linkctl --help"))
}

fn read(
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
            Verb::List => Subcommand::List,
            Verb::Version => Subcommand::Version,
            Verb::Add => Subcommand::Add(self.new_ip(operand)?),
            Verb::Show => Subcommand::Show(operand.parse()?),
            Verb::Delete => Subcommand::Delete(operand.parse()?),
            Verb::Lock => Subcommand::Lock(operand.parse()?),
            Verb::Failover => Subcommand::Failover(operand.parse()?, self.to_host()?),
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
        ] {
            if given && owner != verb {
                return Err(Failure::usage(format!("{verb} does not take {name}")));
            }
        }
        Ok(())
    }

    fn new_ip(&self, ip: &str) -> Result<NewIp, Failure> {
        let cidr: Cidr = ip.parse().map_err(|why: CidrError| refuse("IP", ip, &why.to_string()))?;
        let read_check = |text: &String| check(text).map_err(|why| refuse("--check", text, why));
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

/// Reads `host:port` or `tcp://host:port`.
fn check(text: &str) -> Result<Check, &'static str> {
    let target = match text.split_once("://") {
        None => text,
        Some((scheme, target)) if scheme.eq_ignore_ascii_case("tcp") => target,
        Some(_) => return Err("the only type of check is tcp://"),
    };
    let (host, port) = server::split(target)?;
    Ok(Check {
        kind: CheckKind::Tcp,
        host: host.to_owned(),
        port: server::port_number(port.ok_or("the port is missing")?)?,
    })
}

/// `why` may repeat a part of the value.
fn refuse(what: &str, value: &str, why: &str) -> Failure {
    Failure::usage(format!("{what} \"{}\": {}", clean(value), clean(why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::failure::Kind;
    use crate::ctl::subcommand::Target;

    const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

    fn parse_words(args: &[&str], env: &[(&str, &str)]) -> Result<Task, Failure> {
        parse(args.iter().map(OsString::from), |name| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn run(args: &[&str], env: &[(&str, &str)]) -> (Options, Subcommand) {
        match parse_words(args, env) {
            Ok(Task::Run(options, command)) => (options, command),
            other => panic!("{args:?} gives {other:?}"),
        }
    }

    fn command(args: &[&str]) -> Subcommand {
        run(args, &[]).1
    }

    #[test]
    fn every_command_is_understood() {
        let cidr: Cidr = "10.0.0.1/32".parse().unwrap();
        let id = Target::Id(ID.parse().unwrap());
        assert_eq!(command(&["list"]), Subcommand::List);
        assert_eq!(command(&["version"]), Subcommand::Version);
        assert_eq!(command(&["show", ID]), Subcommand::Show(id.clone()));
        assert_eq!(command(&["delete", "10.0.0.1"]), Subcommand::Delete(Target::AnyMask(cidr)));
        assert_eq!(command(&["lock", "10.0.0.1/32"]), Subcommand::Lock(Target::Exactly(cidr)));
        assert_eq!(
            command(&["failover", "--to", "h2", ID]),
            Subcommand::Failover(id.clone(), Some("h2".to_owned()))
        );
        assert_eq!(command(&["failover", ID]), Subcommand::Failover(id, None));
    }

    #[test]
    fn add_takes_checks_an_interval_an_interface_a_policy_and_force() {
        let args = [
            "add",
            "FD00::0:1",
            "--check",
            "TCP://db:5432",
            "--check=[::1]:80",
            "--interval",
            "7",
            "--interface=eth1",
            "--etcd-loss-policy",
            "probe",
            "--force",
        ];
        let check = |host: &str, port| Check { kind: CheckKind::Tcp, host: host.to_owned(), port };
        assert_eq!(
            command(&args),
            Subcommand::Add(NewIp {
                ip: "fd00::1/128".to_owned(),
                checks: vec![check("db", 5432), check("::1", 80)],
                healthcheck_interval: Some(7),
                interface: Some("eth1".to_owned()),
                etcd_loss_policy: Some(LossPolicy::Probe),
                force: true,
            })
        );
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        let before = run(&["--host", "h:1", "--json", "--user=u", "list"], &[]);
        let after = run(&["list", "--user", "u", "--json", "--host=h:1"], &[]);
        assert_eq!(before, after);
        assert!(before.0.json);
        assert_eq!(before.0.server.to_string(), "h:1");
    }

    #[test]
    fn an_option_counts_before_its_variable_and_an_empty_variable_not_at_all() {
        let env = [("LINK_HOST", "h1"), ("LINK_USER", "u1"), ("LINK_PASSWORD", "p1")];
        let credentials =
            |user: &str, password: &str| Some(Credentials::new(user, password).unwrap());
        let (options, _) = run(&["list"], &env);
        assert_eq!(options.server.to_string(), "h1:1313");
        assert_eq!(options.credentials, credentials("u1", "p1"));

        let (options, _) = run(&["list", "--host", "h2", "--password", "p2"], &env);
        assert_eq!(options.server.to_string(), "h2:1313");
        assert_eq!(options.credentials, credentials("u1", "p2"));

        let (options, _) = run(&["list"], &[("LINK_HOST", ""), ("LINK_PASSWORD", "")]);
        assert_eq!(options.server, Server::default());
        assert_eq!(options.credentials, None);
    }

    #[test]
    fn help_is_for_all_or_for_one_command() {
        for (args, verb) in [
            (&["--help"] as &[&str], None),
            (&["help"], None),
            (&["-h", "list", "--json"], Some(Verb::List)),
            (&["add", "--help"], Some(Verb::Add)),
            (&["help", "failover"], Some(Verb::Failover)),
        ] {
            assert_eq!(parse_words(args, &[]), Ok(Task::Help(verb)), "{args:?}");
        }
        assert_eq!(parse_words(&["-V"], &[]), Ok(Task::OwnVersion));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (args, named) in [
            (&[] as &[&str], "command"),
            (&["ls"], "ls"),
            (&["--verbose", "list"], "--verbose"),
            (&["list", "10.0.0.1"], "10.0.0.1"),
            (&["list", "--json=yes"], "--json"),
            (&["show"], "show"),
            (&["show", "eth0"], "eth0"),
            (&["show", "10.0.0.1", "10.0.0.2"], "10.0.0.2"),
            (&["show", "vip-1/../../etc"], "vip-1"),
            (&["delete", "10.0.0.1", "--to", "h2"], "--to"),
            (&["failover", "10.0.0.1", "--to", "h/2"], "h/2"),
            (&["failover", "10.0.0.1", "--to", "a\nb"], r"a\nb"),
            (&["add", "10.0.0.1/33"], "/33"),
            (&["add", "10.0.0.1/\x1b[2J"], r"out of range: /\u{1b}[2J"),
            (&["add", "10.0.0.1", "--check", "db"], "port"),
            (&["add", "10.0.0.1", "--check", "db:0"], "db:0"),
            (&["add", "10.0.0.1", "--check", "http://db:80"], "tcp://"),
            (&["add", "10.0.0.1", "--interval", "5s"], "5s"),
            (&["add", "10.0.0.1", "--interface", ""], "--interface"),
            (&["add", "10.0.0.1", "--etcd-loss-policy", "x"], "\"x\": is not a policy (take, "),
            (&["list", "--interval", "5"], "--interval"),
            (&["list", "--etcd-loss-policy", "take"], "--etcd-loss-policy"),
            (&["list", "--host", "h1/x"], "h1/x"),
            (&["list", "--host"], "--host"),
            (&["list", "--user", "a:b"], "user"),
        ] {
            let failure = parse_words(args, &[]).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage, "{args:?}");
            assert!(failure.to_string().contains(named), "{args:?}: {failure}");
        }
        let failure = parse_words(&["list"], &[("LINK_HOST", "a b")]).unwrap_err();
        assert!(failure.to_string().contains("LINK_HOST"), "{failure}");
    }
}
