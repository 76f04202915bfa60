//! `linkctl`: what an operator does, over HTTP.
//!
//! Everything it does, `curl` can do too; it knows of the daemon only what [`crate::wire`] and the
//! words in [`crate::vip`] and [`crate::policy`] say. The flow is `args` → `agent` (over `http` and `dial`) → `show` and
//! `output`. The exit codes are those of `failure::Kind`.

mod agent;
mod args;
mod dial;
mod doctor;
mod drain;
mod events;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod help;
mod http;
mod output;
mod seen;
mod server;
mod show;
mod status;
mod subcommand;
mod text;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use agent::{Agent, NewIp};
use args::{Options, Task};
use failure::{Failure, Kind};
use output::Output;
use subcommand::{Subcommand, Target};

use crate::VERSION;
use crate::text::clean;
use crate::vip::VipId;
use crate::wire;

/// How often, and how long after each other, it is looked who has a lock that was tried.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    match args::parse(args, |name| std::env::var_os(name)).and_then(perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&format!("{failure}\n  -> {}", failure.next()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn perform(task: Task) -> Result<(), Failure> {
    match task {
        Task::Help(None) => output::print(help::OVERVIEW),
        Task::Help(Some(verb)) => output::print(help::of(verb)),
        Task::OwnVersion => output::print(&format!("linkctl {VERSION}\n")),
        Task::Run(options, command) => run(options, &command),
    }
}

fn run(options: Options, command: &Subcommand) -> Result<(), Failure> {
    let Options { server, credentials, json } = options;
    let agent = Agent { server, credentials };
    let output = Output::new(json);
    match command {
        Subcommand::Status => cluster(&agent, output),
        Subcommand::Watch => watch::run(&agent, output),
        Subcommand::List { wide } => list(&agent, output, *wide),
        Subcommand::Show(target) => show_one(&agent, output, target),
        Subcommand::Add(new) => add(&agent, output, new),
        Subcommand::Events { follow: false } => events::show(&agent, output),
        Subcommand::Events { follow: true } => events::follow(&agent, output),
        Subcommand::Doctor(env_file) => doctor::run(agent, output, env_file),
        Subcommand::Version => version(&agent, output),
        Subcommand::Drain(seconds, wait) => drain::drain(&agent, output, *seconds, *wait),
        Subcommand::Undrain => {
            agent.undrain()?;
            output.done(|| format!("the host of {} is a candidate again", agent.server))
        }
        Subcommand::Delete(target) => {
            change(&agent, "delete", target, |id| agent.delete(id))?;
            output.done(|| format!("{target} is no longer shared by this host"))
        }
        Subcommand::Lock(target) => {
            let id = change(&agent, "lock", target, |id| agent.lock(id))?;
            output.done(|| format!("the lock of {target} was tried: {}", holder(&agent, &id)))
        }
        Subcommand::Failover(target, host) => {
            change(&agent, "failover", target, |id| agent.failover(id, host.as_deref()))?;
            output.done(|| format!("{target} is handed over"))
        }
    }
}

/// Shows the cluster; its exit code says whether it needs a person.
fn cluster(agent: &Agent, output: Output) -> Result<(), Failure> {
    let shown = agent.status()?;
    output.answer(&shown.json, |_| status::page(&shown.value))?;
    match shown.value.ok {
        true => Ok(()),
        false => Err(Failure::new(Kind::NotWell, status::verdict(&shown.value))),
    }
}

fn list(agent: &Agent, output: Output, wide: bool) -> Result<(), Failure> {
    let list = agent.list()?;
    if list.value.ips.is_empty() && !output.is_json() {
        // Not on stdout: there, nothing stands for nothing.
        output::note(&format!("the agent at {} shares no IP", agent.server));
        return Ok(());
    }
    let shown = if wide { show::wide_list } else { show::list };
    output.answer(&list.json, |colour| shown(&list.value.ips, colour))
}

fn show_one(agent: &Agent, output: Output, target: &Target) -> Result<(), Failure> {
    let named = |failure: Failure| failure.on("show", target);
    let id = find(agent, target).map_err(named)?;
    let shown = agent.show(&id).map_err(named)?;
    if output.is_json() {
        return output.json(&shown.json);
    }
    // These stand in etcd; the rest the agent knows itself.
    let hosts = match agent.hosts(&id) {
        Err(failure) if matches!(failure.kind, Kind::Unavailable | Kind::Unreachable) => {
            output::note(&format!("which hosts offer it is not known: {failure}"));
            None
        }
        hosts => Some(hosts.map_err(named)?.value.hosts),
    };
    output.answer(&shown.json, |colour| show::one(&shown.value.ip, hosts.as_deref(), colour))
}

/// Who has the lock, when that is known after a moment.
fn holder(agent: &Agent, id: &VipId) -> String {
    for _ in 0..LOOKS {
        match agent.show(id).map(|shown| shown.value.ip.owner) {
            Ok(Some(owner)) => return format!("{} has it", clean(&owner)),
            Ok(None) => std::thread::sleep(BETWEEN_LOOKS),
            Err(_) => return "who has it is not known".to_owned(),
        }
    }
    "nobody has it yet".to_owned()
}

fn add(agent: &Agent, output: Output, new: &NewIp) -> Result<(), Failure> {
    let added = agent.add(new).map_err(|f| f.on("add", &new.ip))?;
    output.answer(&added.json, |colour| show::one(&added.value, None, colour))
}

/// This program's version is known without the agent, and shown even when the agent's is not.
fn version(agent: &Agent, output: Output) -> Result<(), Failure> {
    if !output.is_json() {
        output::print(&format!("linkctl {VERSION}\n"))?;
    }
    let version = agent.version()?;
    output.answer(&version.json, |_| {
        let (server, version) = (&agent.server, clean(&version.value.version));
        format!("linkd   {version} at {server}\n")
    })
}

fn change(
    agent: &Agent,
    verb: &str,
    target: &Target,
    call: impl FnOnce(&VipId) -> Result<(), Failure>,
) -> Result<VipId, Failure> {
    let changed = find(agent, target).and_then(|id| call(&id).map(|()| id));
    changed.map_err(|failure| failure.on(verb, target))
}

/// The id under which the agent has the IP. Ids are per host, so that it has to be asked.
fn find(agent: &Agent, target: &Target) -> Result<VipId, Failure> {
    if let Target::Id(id) = target {
        return Ok(id.clone());
    }
    let list = agent.list()?.value;
    let found: Vec<&wire::Ip> = list.ips.iter().filter(|ip| target.matches(ip)).collect();
    match found.as_slice() {
        [ip] => ip.id.parse().map_err(|why| {
            let message = format!("the agent calls it {}, which {why}", clean(&ip.id));
            Failure::new(Kind::NotLink, message)
        }),
        [] => Err(Failure::new(
            Kind::NotFound,
            format!("the agent at {} does not share it", agent.server),
        )),
        several => {
            let all: Vec<String> = several.iter().map(|ip| clean(&ip.ip)).collect();
            let all = all.join(" and ");
            Err(Failure::usage(format!("ambiguous: there are {all}; give the mask, too")))
        }
    }
}
