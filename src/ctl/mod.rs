//! `linkctl`: what an operator does, over HTTP.
//!
//! Everything it does, `curl` can do too; it knows of the daemon only what [`crate::wire`] and the
//! words in [`crate::vip`] and [`crate::policy`] say. The flow is `args` → `agent` (over `http` and `dial`) → `show` and
//! `output`. The exit codes are those of `failure::Kind`.

mod access;
mod add;
mod advice;
mod agent;
mod apply;
mod args;
mod commands;
mod dial;
mod doctor;
mod drain;
mod events;
mod failure;
mod fence;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod help;
mod hosts;
mod http;
mod leave;
mod list;
mod output;
mod remedy;
mod secure;
mod seen;
mod server;
mod settings;
mod show;
mod status;
mod subcommand;
mod text;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use agent::Agent;
use args::{Options, Task};
use failure::{Failure, Kind, Next};
use output::Output;
use subcommand::{ListForm, Subcommand, Target};

use crate::VERSION;
use crate::text::clean;
use crate::vip::VipId;
use crate::wire;

/// How often, and how long after each other, it is looked who has a lock that was tried.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The exit code that says that something was changed, of those commands that tell it.
const CHANGED: u8 = 10;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    match args::parse(args, |name| std::env::var_os(name)).and_then(perform) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::note_failure("", &failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// What is done says the exit code.
fn perform(task: Task) -> Result<u8, Failure> {
    match task {
        Task::Help(None) => output::print(help::OVERVIEW)?,
        Task::Help(Some(verb)) => output::print(help::of(verb))?,
        Task::OwnVersion => output::print(&format!("linkctl {VERSION}\n"))?,
        Task::Run(Options { server, credentials, json }, command) => {
            let (agent, output) = (Agent { server, credentials }, Output::new(json));
            let Subcommand::Apply { file, force, dry_run } = command else {
                return run(agent, output, &command).map(|()| 0);
            };
            let mut wanted = file::read(&file)?;
            wanted.iter_mut().for_each(|new| new.force = force);
            let changed = apply::run(&agent, output, wanted, dry_run)?;
            return Ok(if changed { CHANGED } else { 0 });
        }
    }
    Ok(0)
}

fn run(agent: Agent, output: Output, command: &Subcommand) -> Result<(), Failure> {
    match command {
        Subcommand::Status => cluster(&agent, output),
        Subcommand::Watch => watch::run(&agent, output),
        Subcommand::List(form) => list(&agent, output, *form),
        Subcommand::Show(target) => show_one(&agent, output, target),
        Subcommand::Add(new, wait) => add::one(&agent, output, new, *wait),
        Subcommand::AddFile { file, force, wait } => {
            let mut all = file::read(file)?;
            all.iter_mut().for_each(|new| new.force = *force);
            add::many(&agent, output, &all, *wait)
        }
        Subcommand::Set(target, said) => set(&agent, output, target, said),
        // It has an exit code of its own.
        Subcommand::Apply { .. } => Ok(()),
        Subcommand::Events { follow: false } => events::show(&agent, output),
        Subcommand::Events { follow: true } => events::follow(&agent, output),
        Subcommand::Doctor(env_file) => doctor::run(agent, output, env_file),
        Subcommand::Version => version(&agent, output),
        Subcommand::Drain(seconds, wait) => drain::drain(&agent, output, *seconds, *wait),
        Subcommand::Leave { force } => leave::run(&agent, output, *force),
        Subcommand::Undrain => {
            agent.undrain()?;
            output.done(|| format!("the host of {} is a candidate again", agent.server))
        }
        Subcommand::Fence { host, force, yes } => fence::run(&agent, output, host, *force, *yes),
        Subcommand::Delete(target) => {
            change(&agent, "delete", target, |id| agent.delete(id))?;
            output.done(|| format!("{target} is no longer shared by this host"))
        }
        Subcommand::Lock(target) => {
            let id = change(&agent, "lock", target, |id| agent.lock(id))?;
            output.done(|| format!("{target}: {}", what_came_of_it(&agent, &id)))
        }
        Subcommand::Failover(target, host) => {
            let call = |id: &VipId| agent.failover(id, host.as_deref());
            let id = change(&agent, "failover", target, call)?;
            output.done(|| format!("{target} is handed over{}", with_its_group(&agent, &id)))
        }
    }
}

/// Shows the cluster; its exit code says whether it needs a person.
fn cluster(agent: &Agent, output: Output) -> Result<(), Failure> {
    let shown = agent.status()?;
    output.answer(&shown.json, |_| status::page(&shown.value))?;
    match shown.value.ok {
        true => Ok(()),
        false => Err(Failure::new(Next::ReadFindings, status::verdict(&shown.value))),
    }
}

fn list(agent: &Agent, output: Output, form: ListForm) -> Result<(), Failure> {
    let list = agent.list()?;
    if form == ListForm::Commands {
        return output::print(&commands::of(&list.json)?);
    }
    if list.value.ips.is_empty() && !output.is_json() {
        // Not on stdout: there, nothing stands for nothing.
        let server = &agent.server;
        output::note(&format!("the agent at {server} shares no IP; linkctl add IP shares one"));
        return Ok(());
    }
    let shown = if form == ListForm::Wide { list::wide_list } else { list::list };
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
        Err(failure) if matches!(failure.kind(), Kind::Unavailable | Kind::Unreachable) => {
            output::note_failure("which hosts offer it is not known: ", &failure);
            None
        }
        hosts => Some(hosts.map_err(named)?.value.hosts),
    };
    output.answer(&shown.json, |colour| show::one(&shown.value.ip, hosts.as_deref(), colour))
}

/// The group, all of which goes where one of its IPs goes.
fn with_its_group(agent: &Agent, id: &VipId) -> String {
    let ip = agent.show(id).ok().map(|shown| shown.value.ip).filter(seen::has_joined);
    let group = ip.and_then(|ip| ip.group).map(|group| clean(&group));
    group.map(|group| format!(", with all IPs of group {group}")).unwrap_or_default()
}

/// What came of it that a lock was tried, when that is known after a moment.
fn what_came_of_it(agent: &Agent, id: &VipId) -> String {
    let mut why = String::new();
    for _ in 0..LOOKS {
        let Ok(ip) = agent.show(id).map(|shown| shown.value.ip) else {
            return "its lock was tried; who has it is not known".to_owned();
        };
        match ip.owner {
            _ if ip.status == "ACTIVATED" => return "this host is its owner".to_owned(),
            Some(owner) => {
                let owner = clean(&owner);
                let next = format!("linkctl failover on {owner} hands it over");
                return format!("its lock was tried; {owner} holds it ({next})");
            }
            None => why = clean(&ip.reason),
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    format!("its lock was tried; nobody has it yet: {why}")
}

fn set(
    agent: &Agent,
    output: Output,
    target: &Target,
    said: &settings::Said,
) -> Result<(), Failure> {
    let named = |failure: Failure| failure.on("set", target);
    let id = find(agent, target).map_err(named)?;
    let changed = agent.set(&id, said.clone()).map_err(named)?;
    output.answer(&changed.json, |colour| show::one(&changed.value, None, colour))
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
            Failure::new(Next::Update, message)
        }),
        [] => Err(Failure::new(
            Next::SeeList,
            format!("the agent at {} does not share it", agent.server),
        )),
        several => {
            let all: Vec<String> = several.iter().map(|ip| clean(&ip.ip)).collect();
            let all = all.join(" and ");
            Err(Failure::new(Next::GiveMask, format!("ambiguous: there are {all}")))
        }
    }
}
