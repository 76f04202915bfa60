//! What `linkd` does when it is called with an argument: something small, and then it ends.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::{BAD_CONFIGURATION, environment, start_log, unknown_variables, writes_to_journal};
use crate::VERSION;
use crate::carrier;
use crate::config::VARIABLES;
use crate::local_copy;
use crate::logging;
use crate::net::{self, Announce, Net};
use crate::policy::Connections;
use crate::reload::answer;
use crate::text::clean;
use crate::tls;

const HELP: &str = "\
linkd: shares virtual IPs with other hosts, elected through etcd

It takes its settings from the environment, runs in the foreground, and is managed
over HTTP with curl or linkctl. It needs CAP_NET_ADMIN and CAP_NET_RAW.

  linkd              runs until SIGTERM, or SIGINT, which hands over whatever
                     STOP_POLICY says; SIGHUP executes the program again in place
  linkd --check      says all that is wrong with the environment, and changes nothing;
                     exits with 2 if linkd would not start in it
  linkd --reload PID does that, then has the agent with this process id execute its
                     program again, and waits until it serves; exits with 1 if it
                     refuses
  linkd --clean      removes the addresses that an agent has left on this host; with 1
                     if an agent runs here, or any of them stays
  linkd --tls-client NAME [FILE]
                     speaks TLS for linkctl, which calls it
  linkd --version    the version

Variables with their defaults; times are 500ms, 3s, 1m30s; empty counts as unset;
link.env(5) and docs/configuration.md tell more.

";

/// Does what the arguments say; none if there are none, and the agent is to run.
pub(super) fn done(mut arguments: impl Iterator<Item = String>) -> Option<ExitCode> {
    let (first, second) = (arguments.next()?, arguments.next());
    let done = match (first.as_str(), second) {
        ("--version" | "-V", _) => print(&format!("linkd {VERSION}\n")),
        ("--help" | "-h", _) => print(&format!("{HELP}{VARIABLES}")),
        ("--check", _) => check(),
        ("--clean", _) => clean_up(),
        ("--reload", agent) => reload(agent.as_deref()),
        (carrier::OPTION, Some(name)) => carry(&name, arguments.next().as_deref()),
        (other, _) => {
            complain(&format!(
                "linkd takes no argument {other:?}; it is configured by environment"
            ));
            ExitCode::from(BAD_CONFIGURATION)
        }
    };
    Some(done)
}

/// Says what a start would say of the environment, and changes nothing.
fn check() -> ExitCode {
    match checked() {
        Ok(config) => print(&format!("linkd {VERSION}: {}\n", clean(&config))),
        Err(code) => code,
    }
}

/// The configuration in words, if a start would accept it; what is wrong is said.
fn checked() -> Result<String, ExitCode> {
    let read = environment();
    let filter = std::env::var_os("RUST_LOG");
    warn_of(unknown_variables());
    warn_of(logging::complaint(filter.as_deref()));
    warn_of(local_copy::trouble(read.state_dir()));
    let read = read.config().map(|config| {
        warn_of(config.hooks.trouble());
        warn_of(unusable(&config.interface));
        config.to_string()
    });
    read.map_err(|mistakes| {
        complain(&mistakes.to_string());
        ExitCode::from(BAD_CONFIGURATION)
    })
}

/// Why IPs would fail on the interface. It may be away for a moment: an agent starts, and waits for it.
fn unusable(interface: &str) -> Option<String> {
    let why = net::carrier(interface).err()?;
    Some(format!("INTERFACE={interface}: {why}; until it can be used, its IPs are FAILING here"))
}

/// The environment of the next start is looked at here, that of the running agent by itself.
fn reload(agent: Option<&str>) -> ExitCode {
    let Some(agent) = agent.and_then(|agent| agent.parse().ok()).filter(|agent| *agent > 0) else {
        let given = agent.unwrap_or_default();
        complain(&format!("--reload {given:?}: it takes the process id of the agent"));
        return ExitCode::from(BAD_CONFIGURATION);
    };
    if let Err(code) = checked() {
        return code;
    }
    match answer::request(agent, answer::PATIENCE) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// Carries bytes over TLS for `linkctl`.
fn carry(name: &str, authorities: Option<&str>) -> ExitCode {
    match tls::carry(name, authorities.map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::from(failure.fault.code())
        }
    }
}

/// Removes what carries LinK's mark, where nobody serves it any more.
fn clean_up() -> ExitCode {
    match removed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log::logger().flush();
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn removed() -> Result<(), String> {
    start_log()?;
    if !net::keeps_marks() {
        return Err(
            "before Linux 5.18 the kernel does not keep the mark of LinK's addresses: remove them \
                    with `ip addr del`"
                .to_owned(),
        );
    }
    if net::agent_runs_here() {
        return Err("an agent runs on this host, and nothing was removed: stop it first".to_owned());
    }
    remove_left_overs().map_err(|error| format!("network: {error}"))?;
    let left = net::marked_addresses().map_err(|error| format!("read addresses: {error}"))?;
    log::logger().flush();
    let names: Vec<_> = left.iter().map(ToString::to_string).collect();
    if names.is_empty() { Ok(()) } else { Err(format!("still there: {}", names.join(", "))) }
}

/// An agent that cannot start serves nothing, and is not started again before somebody has mended its
/// environment: what a former life has left, other hosts have by then. Not while another agent is here,
/// whose addresses these may be.
pub(super) fn remove_left_overs() -> io::Result<()> {
    let net = Net::start(Announce::default(), Connections::default())?;
    net.client().remove_left_overs(Vec::new());
    Ok(())
}

/// Says what stops no start.
fn warn_of(doubt: Option<String>) {
    if let Some(doubt) = doubt {
        say(&format!("warning: {doubt}"), log::Level::Warn);
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on stderr what is wrong, a line each.
pub(super) fn complain(text: &str) {
    say(text, log::Level::Error);
}

/// A line each on stderr, for the journal with its priority.
fn say(text: &str, level: log::Level) {
    let journal = writes_to_journal();
    let mut lines = String::new();
    for line in text.lines() {
        if journal {
            let _ = write!(lines, "<{}>", logging::priority(level));
        }
        let _ = writeln!(lines, "linkd: {}", clean(line));
    }
    let _ = io::stderr().write_all(lines.as_bytes());
}
