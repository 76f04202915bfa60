//! The agent on a host: started, stopped, killed, and asked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::ExitStatus;

use link::election::trace;
use nix::sys::signal::Signal;

use super::api::Api;
use super::host::Host;
use super::namespace::tool;
use super::process::{self, Process, Program};
use super::vip::Vip;
use super::wait;

/// An environment for an agent.
pub(crate) type Environment = BTreeMap<String, String>;

impl Host {
    /// What [`Host::start`] gives to the agent: what it needs to know of etcd, short times, and
    /// everything else as an operator would leave it.
    pub(super) fn set_defaults(&mut self, etcd: &Environment) {
        let state = self.folder.join(format!("{}.state", self.id));
        self.defaults.clone_from(etcd);
        for (name, value) in [
            ("HOSTNAME", self.name()),
            ("INTERFACE", "eth0".to_owned()),
            ("KEEPALIVE_INTERVAL", "1s".to_owned()),
            ("STATE_DIR", state.display().to_string()),
            ("RUST_LOG", "info,link=debug,linkd=debug".to_owned()),
        ] {
            self.defaults.insert(name.to_owned(), value);
        }
    }

    /// Starts an agent and waits until it has read from etcd what is registered on its host.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts an agent with these variables beside or instead of the defaults; an empty value
    /// unsets one.
    #[track_caller]
    pub(crate) fn start_with(&mut self, changes: &[(&str, &str)]) {
        self.environment = self.changed_environment(changes);
        self.restart();
    }

    /// Has agents that are started here from now on be executed by another program: its words come
    /// before the agent's path, and before those of the wrappers so far.
    pub(crate) fn wrap(&mut self, words: &[&str]) {
        self.wrapper.splice(0..0, words.iter().map(|word| (*word).to_owned()));
    }

    /// Has agents that are started here from now on be those of a user who is not root and has the two
    /// capabilities that they need.
    pub(crate) fn run_as_nobody(&mut self, uid: u32) {
        // That user must get at the program and at the agent's folder.
        let program = self.folder.join(format!("{}.linkd", self.id));
        // Not by this process: what it starts meanwhile, for another test, would have the file open to write.
        tool("cp", &[&*linkd().to_string_lossy(), &*program.to_string_lossy()]);
        let state = PathBuf::from(&self.defaults["STATE_DIR"]);
        fs::create_dir(&state).expect("make the agent's folder");
        chown(&state, Some(uid), Some(uid)).expect("give the agent its folder");
        let user = [format!("--reuid={uid}"), format!("--regid={uid}")];
        let script = format!("exec {}", program.display());
        let words = [
            "setpriv",
            &user[0],
            &user[1],
            "--clear-groups",
            "--bounding-set=-all,+net_admin,+net_raw",
            "--inh-caps=-all,+net_admin,+net_raw",
            "--ambient-caps=-all,+net_admin,+net_raw",
            "--",
            "sh",
            "-c",
            &script,
        ];
        self.wrap(&words);
    }

    /// Starts the agent again, as it was started before.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        // With a password, 401 is all that is to be had.
        self.launch("/ips", |status| status != 503);
    }

    /// Starts an agent that cannot reach etcd, and waits until its API answers.
    #[track_caller]
    pub(crate) fn start_without_etcd(&mut self, changes: &[(&str, &str)]) {
        self.environment = self.changed_environment(changes);
        self.launch("/version", |_| true);
    }

    /// Starts the agent again, as it was started before, while etcd cannot be reached.
    #[track_caller]
    pub(crate) fn restart_without_etcd(&mut self) {
        self.launch("/version", |_| true);
    }

    /// SIGHUP; returns when the agent has executed its program again and has read its records.
    #[track_caller]
    pub(crate) fn reload(&mut self) {
        let starts = |agent: &Process| agent.log().matches("LinK v").count();
        let before = starts(self.agent());
        self.lives += 1;
        wait::eventually("the agent can be told so", || self.agent_awaits(Signal::SIGHUP));
        self.agent().signal(Signal::SIGHUP);
        let api = self.api();
        wait::eventually(&format!("the agent of {} is executed again", self.id), || {
            assert!(self.agent_mut().ended().is_none(), "the agent of {} ended", self.id);
            let answer = api.try_send("GET", "/health", None);
            starts(self.agent()) > before && answer.is_ok_and(|answer| answer.status == 200)
        });
    }

    /// Starts the agent again, as it was started before, and waits for nothing.
    pub(crate) fn spawn(&mut self) {
        self.agent = None;
        self.lives += 1;
        let agent = linkd().display().to_string();
        let mut words = self.wrapper.iter().cloned().chain([agent]);
        let program = Program::new(words.next().unwrap_or_default()).args(words);
        let mut environment = self.environment.clone();
        environment.insert(trace::VARIABLE.to_owned(), self.trace().display().to_string());
        let program = Program { environment, ..program };
        self.agent = Some(Process::start(&self.namespace, &program, &self.log()));
    }

    fn launch(&mut self, path: &str, is_ready: impl Fn(u16) -> bool) {
        self.spawn();
        let api = self.api();
        wait::eventually(&format!("the agent of {} is ready", self.id), || {
            let ended = self.agent_mut().ended();
            assert!(ended.is_none(), "the agent of {} ended: {ended:?}", self.id);
            let answer = api.try_send("GET", path, None);
            answer.is_ok_and(|answer| is_ready(answer.status))
        });
    }

    /// The defaults with changes; an empty value unsets a variable.
    pub(crate) fn changed_environment(&self, changes: &[(&str, &str)]) -> Environment {
        let mut environment = self.defaults.clone();
        for (name, value) in changes {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        environment.retain(|_, value| !value.is_empty());
        environment
    }

    /// The running agent.
    #[track_caller]
    pub(crate) fn agent(&self) -> &Process {
        let agent = self.agent.as_ref();
        agent.unwrap_or_else(|| panic!("no agent was started on {}", self.id))
    }

    /// True when the agent itself deals with the signal. One that was started just now does not yet, and
    /// would end by it; nor do those that execute it, though a shell has all signals blocked at times.
    pub(crate) fn agent_awaits(&self, signal: Signal) -> bool {
        let path = linkd();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.agent().executes().contains(&*name) && self.agent().awaits(signal)
    }

    #[track_caller]
    fn agent_mut(&mut self) -> &mut Process {
        let agent = self.agent.as_mut();
        agent.unwrap_or_else(|| panic!("no agent was started on {}", self.id))
    }

    /// SIGTERM; returns when the agent has ended.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let status = self.agent_mut().terminate();
        self.agent = None;
        status
    }

    /// SIGKILL: the agent is gone, what it did to the kernel stays.
    pub(crate) fn kill(&mut self) {
        self.agent = None;
    }

    /// Runs the program once more, beside the agent and as that was started.
    pub(crate) fn spawn_beside(&self) -> Process {
        let program = Program::new(linkd().display().to_string());
        let program = Program { environment: self.environment.clone(), ..program };
        Process::start(&self.namespace, &program, &self.folder.join("beside.log"))
    }

    /// True from the start of an agent here until it is killed or terminated.
    pub(crate) fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    /// How the agent has ended, if it did so by itself.
    pub(crate) fn agent_ended(&mut self) -> Option<ExitStatus> {
        self.agent.as_mut()?.ended()
    }

    /// The agent's local copy of what is registered on this host.
    pub(crate) fn state_file(&self) -> PathBuf {
        let folder = PathBuf::from(&self.environment["STATE_DIR"]);
        folder.join(format!("{}.json", self.name()))
    }

    /// The agent's API, seen from the host itself.
    pub(crate) fn api(&self) -> Api {
        let port = self.environment.get("PORT").and_then(|port| port.parse().ok());
        Api::local(&self.namespace, port.unwrap_or(1313))
    }

    /// Waits until the agent shows the VIP as `ACTIVATED`, `STANDBY` or `FAILING`.
    #[track_caller]
    pub(crate) fn await_status(&self, vip: Vip, status: &str) {
        let api = self.api();
        wait::eventually(&format!("{} shows {vip} as {status}", self.id), || {
            api.status(vip) == status
        });
    }

    /// The warnings and errors of this host's agents so far in which all of these words are.
    pub(crate) fn warnings(&self, words: &[&str]) -> Vec<String> {
        let log = process::tail(&self.log(), usize::MAX);
        let is_it = |line: &&str| {
            let warns = [" WARN ", " ERROR "].iter().any(|level| line.contains(level));
            warns && words.iter().all(|word| line.contains(word))
        };
        log.lines().filter(is_it).map(str::to_owned).collect()
    }

    /// Waits for a warning or an error in which all of these words are.
    #[track_caller]
    pub(crate) fn await_warning(&self, words: &[&str]) {
        let warned = wait::until(wait::PATIENCE, || !self.warnings(words).is_empty());
        assert!(warned, "{} has warned of other things: {:#?}", self.id, self.warnings(&[]));
    }

    /// The file with the steps of the elections of this host, which an agent of another user writes, too.
    pub(crate) fn trace(&self) -> PathBuf {
        let path = self.folder.join(format!("{}.trace", self.id));
        if !path.exists() {
            fs::write(&path, "").expect("make a file for the trace");
            let all = fs::Permissions::from_mode(0o666);
            fs::set_permissions(&path, all).expect("let all users write to it");
        }
        path
    }

    /// The file with all that the agents of this host have written.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.id))
    }
}

/// The agent under test: the one that cargo built for this test, or the one that `LINKD` names,
/// such as the static release binary.
pub(crate) fn linkd() -> PathBuf {
    program("LINKD", env!("CARGO_BIN_EXE_linkd"))
}

/// Whether the agents are those of this build: delivered programs write no traces.
pub(super) fn writes_traces() -> bool {
    std::env::var_os("LINKD").is_none()
}

/// The command-line client under test: cargo's, or the one that `LINKCTL` names.
pub(crate) fn linkctl() -> PathBuf {
    program("LINKCTL", env!("CARGO_BIN_EXE_linkctl"))
}

fn program(variable: &str, built: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| built.into(), PathBuf::from)
}
