//! The agent's process, its unit, and what its next start would meet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Uid, User, geteuid};

use super::program::{self, Said};
use crate::config::{NAMES, unknown_names};
use crate::ctl::doctor::facts::{Environment, NextStart, Process, Unit};

/// Where systemd looks for units.
const UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The user of the agent where nothing but its name tells it (packaging/openrc), and how the names of its units begin.
const LINK: &str = "link";

/// For `linkd --check`, which opens nothing.
const CHECK: Duration = Duration::from_secs(2);

/// The processes of the same network namespace whose program has this name, as far as that can be seen.
pub(super) fn named(name: &str) -> Vec<u32> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let here = namespace("self");
    let is_here = |pid: &u32| match (namespace(&pid.to_string()), &here) {
        (Some(its), Some(here)) => its == *here,
        (Some(_) | None, _) => true,
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_named = |pid: &u32| {
        let found = fs::read_to_string(format!("/proc/{pid}/comm"));
        found.is_ok_and(|found| found.trim_end() == name)
    };
    pids.filter(is_named).filter(is_here).collect()
}

/// The agent whose API has this port.
pub(super) fn find(port: u16) -> Option<Process> {
    let link = User::from_name(LINK).ok().flatten().map(|user| user.uid);
    let users: Vec<Uid> = [Uid::from_raw(0), geteuid()].into_iter().chain(link).collect();
    let all = named("linkd").into_iter().filter_map(|pid| process(pid, &users));
    let mut all = all.filter(|process| match &process.environment {
        Some(environment) => match environment.get("PORT").filter(|port| !port.is_empty()) {
            Some(own) => own.parse() == Ok(port),
            None => port == 1313,
        },
        None => true,
    });
    all.next()
}

/// What is known of a process, if it may be the agent.
fn process(pid: u32, users: &[Uid]) -> Option<Process> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    let text = |name: &str| Some(String::from_utf8_lossy(&read(name)?).into_owned());
    let (status, cgroup) = (text("status")?, text("cgroup").unwrap_or_default());
    (is_of(&status, users) || is_of_the_unit(&cgroup)).then(|| Process {
        pid,
        environment: read("environ").map(|bytes| environment(&bytes)),
        capabilities: capabilities(&status),
        service: service(&cgroup),
    })
}

/// By `/proc/PID/status`, whether a process is one of these users, and can become none but these. Any user of the host can
/// run a program with the agent's name, and what that has in its environment is not believed.
fn is_of(status: &str, users: &[Uid]) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let is_one = |id: &str| id.parse().is_ok_and(|id| users.contains(&Uid::from_raw(id)));
    !ids.is_empty() && ids.split_whitespace().all(is_one)
}

/// By `/proc/PID/cgroup`, whether systemd has started a process for a unit of the agent, whoever its user is
/// (`DynamicUser=`): nobody but root can put one there.
fn is_of_the_unit(cgroup: &str) -> bool {
    let mut paths = cgroup.lines().filter_map(|line| line.split_once(":/system.slice/"));
    paths.any(|(_, path)| {
        let unit = path.rsplit('/').next().unwrap_or_default();
        unit.starts_with(LINK) && unit.ends_with(".service")
    })
}

/// What execve(2) has left: `NAME=value` with a NUL behind each.
fn environment(bytes: &[u8]) -> Environment {
    let text = String::from_utf8_lossy(bytes);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Of `/proc/PID/status`.
fn capabilities(status: &str) -> Option<u64> {
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(bits.trim(), 16).ok()
}

/// Of `/proc/PID/cgroup`: the service, if the process is of one.
fn service(cgroup: &str) -> Option<String> {
    let last = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?.rsplit('/').next()?;
    last.ends_with(".service").then(|| last.to_owned())
}

/// The agent's unit, where systemd runs and has one.
pub(super) fn unit(process: Option<&Process>) -> Option<Unit> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let own = process.and_then(|process| process.service.clone());
    let runs = own.is_some();
    let name = own.unwrap_or_else(|| "link.service".to_owned());
    if !UNITS.iter().any(|folder| Path::new(folder).join(&name).exists()) {
        return None;
    }
    let entries = UNITS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut wants = entries.map(|entry| entry.path()).filter(|path| {
        path.extension().is_some_and(|extension| extension == "wants" || extension == "requires")
    });
    let enabled = wants.any(|folder| folder.join(&name).symlink_metadata().is_ok());
    Some(Unit { name, enabled, runs })
}

/// What the environment file says against the environment of the agent that runs, and what `linkd --check` says of the two.
pub(super) fn next_start(process: Option<&Process>, path: &Path, file: &Environment) -> NextStart {
    let mut next = NextStart { file: path.display().to_string(), ..NextStart::default() };
    let running = process.and_then(|process| process.environment.as_ref());
    let mut all = running.cloned().unwrap_or_default();
    if running.is_some() {
        let differs = |(name, value): &(&String, &String)| all.get(*name) != Some(*value);
        next.changed = file.iter().filter(differs).map(|(name, _)| name.clone()).collect();
    }
    all.extend(file.clone());
    // Never the program that runs, and nothing in its environment that is not the agent's: this may be root.
    let Some(linkd) = beside_this().filter(|linkd| !all.is_empty() && linkd.exists()) else {
        return next;
    };
    next.warnings.extend(unknown_names(all.keys().cloned()));
    all.retain(|name, _| NAMES.split(' ').any(|known| known == name));
    let mut command = Command::new(linkd);
    command.arg("--check").env_clear().envs(&all);
    if let Ok(said) = program::run(command, CHECK) {
        judge(&said, &mut next);
    }
    next
}

/// The agent's program beside this one.
fn beside_this() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.join("linkd"))
}

/// Each line is a mistake, or a warning.
fn judge(said: &Said, next: &mut NextStart) {
    // What an older agent says, which knows no check, is neither.
    let lines: BTreeSet<&str> =
        said.stderr.lines().filter_map(|line| line.strip_prefix("linkd: ")).collect();
    for line in lines.into_iter().filter(|line| !line.contains("takes no argument")) {
        match line.strip_prefix("warning: ") {
            // Where the copy is, this user may write less or more than the agent's.
            Some(warning) if warning.starts_with("local copy ") => {}
            Some(warning) => next.warnings.push(warning.to_owned()),
            None if said.success => {}
            None => next.mistakes.push(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_of_a_process_is_understood() {
        let pairs = environment(b"PORT=7\0ODD\0A=b=c\0");
        assert_eq!((pairs["PORT"].as_str(), pairs["A"].as_str(), pairs.len()), ("7", "b=c", 2));
        assert_eq!(capabilities("Name:\tx\nCapEff:\t0000000000003000\n"), Some(0x3000));
        let unit = service("0::/system.slice/link.service\n");
        assert_eq!(unit.as_deref(), Some("link.service"));
        assert_eq!(service("0::/user.slice/session-1.scope\n"), None);
    }

    #[test]
    fn a_process_counts_by_its_users_or_its_unit() {
        let users = [0, 7].map(Uid::from_raw);
        for (ids, counts) in [
            ("0\t0\t0\t0", true),
            ("7\t0\t0\t7", true),
            ("8\t0\t0\t0", false),
            ("7\t7\t8\t7", false),
            ("x", false),
        ] {
            let status = format!("Name:\tlinkd\nUid:\t{ids}\nGid:\t8\t8\t8\t8\n");
            assert_eq!(is_of(&status, &users), counts, "{ids}");
        }
        assert!(!is_of("Name:\tUid:\n", &users));
        for (cgroup, counts) in [
            ("0::/system.slice/link.service\n", true),
            ("0::/system.slice/system-link.slice/link@eth1.service\n", true),
            ("4:pids:/x\n1:name=systemd:/system.slice/link.service\n", true),
            ("0::/system.slice/cron.service\n", false),
            ("0::/user.slice/user-7.slice/user@7.service/app.slice/link.service\n", false),
            ("0::/user.slice/user-7.slice/user@7.service/system.slice/link.service\n", false),
            ("", false),
        ] {
            assert_eq!(is_of_the_unit(cgroup), counts, "{cgroup}");
        }
    }

    #[test]
    fn what_a_check_says_is_a_mistake_or_a_warning() {
        let said = "linkd: warning: variables that LinK does not know: ETCD_HOST\n\
                    linkd: warning: local copy in /x: Permission denied\n\
                    linkd: PORT=x is not a number\nother\n";
        let mut next = NextStart::default();
        let said = Said { stderr: said.to_owned(), ..Said::default() };
        judge(&said, &mut next);
        assert_eq!(next.mistakes, ["PORT=x is not a number"]);
        assert_eq!(next.warnings, ["variables that LinK does not know: ETCD_HOST"]);
    }
}
