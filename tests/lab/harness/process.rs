//! A program that runs in a namespace, with its output in a file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::namespace::Namespace;
use super::wait;

/// What to run: a program, its arguments, and nothing but this environment.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// An absolute path, or a name to be found in the lab's own `PATH`.
    pub(crate) path: PathBuf,
    /// Without the program's name.
    pub(crate) arguments: Vec<String>,
    /// The whole environment.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Program {
    /// A program without arguments and with an empty environment.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Program {
        Program { path: path.into(), arguments: Vec::new(), environment: BTreeMap::new() }
    }

    /// With more arguments.
    pub(crate) fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(A::into));
        self
    }

    /// The command that runs it, in a process group of its own, and that dies with the lab even
    /// when the lab is killed.
    fn command(&self, log: &Path) -> Command {
        let mut command = Command::new(absolute("setpriv"));
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(absolute(&self.path))
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(appending(log))
            .stderr(appending(log));
        command
    }
}

/// A running program; killed with its process group on drop.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    exit: Option<ExitStatus>,
}

impl Process {
    /// Starts the program in the namespace; its output is appended to the file.
    pub(crate) fn start(namespace: &Namespace, program: &Program, log: &Path) -> Process {
        let name = program.path.display().to_string();
        let child = namespace
            .start(program.command(log))
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        Process { name, child, log: log.to_owned(), exit: None }
    }

    /// Its process id, and the id of its group.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process group; a process that has ended does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.pid()).expect("pids are positive 32-bit numbers");
        if self.exit.is_none() {
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }

    /// The name of the program that it executes now.
    pub(crate) fn executes(&self) -> String {
        let path = fs::read_link(format!("/proc/{}/exe", self.pid())).unwrap_or_default();
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// True when it blocks or catches the signal, so that it does not end by it.
    pub(crate) fn awaits(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        // proc(5): masks in hexadecimal digits, with signal 1 in the lowest bit.
        let mask = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
        };
        (mask("SigBlk:") | mask("SigCgt:")) >> (signal as i32 - 1) & 1 == 1
    }

    /// SIGTERM, then waits for the end.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// SIGKILL, then waits for the end.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.exit = self.child.wait().ok().or(self.exit);
    }

    /// SIGSTOP: the process hears and says nothing until [`Process::thaw`]. Returns when it has
    /// stopped: a signal that follows too closely would be delivered first.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        wait::eventually(&format!("{} is frozen", self.name), || self.is_frozen());
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn is_frozen(&self) -> bool {
        // proc(5): the state follows the name, which is in parentheses and may contain any byte.
        let stat = fs::read(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let name_end = stat.iter().rposition(|byte| *byte == b')');
        name_end.is_some_and(|end| stat[end..].starts_with(b") T"))
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let ended = wait::until(wait::PATIENCE, || self.ended().is_some());
        assert!(ended, "{} does not end:\n{}", self.name, self.log());
        self.exit.expect("it has ended")
    }

    /// The exit status, once there is one.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().expect("wait for an own child");
        }
        self.exit
    }

    /// Resident memory in bytes, as the kernel counts it now.
    pub(crate) fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .unwrap_or_else(|error| panic!("memory of {}: {error}", self.name));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("VmRSS of a running process in kB") * 1024
    }

    /// What it has written so far, and what earlier processes wrote to the same file.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a file, for a report on a failed test.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn appending(log: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap_or_else(|error| panic!("open {}: {error}", log.display()))
}

/// The path of a program: an empty environment has no `PATH` to look it up in.
fn absolute(program: impl AsRef<Path>) -> PathBuf {
    let program = program.as_ref();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("there is no program {}", program.display()))
}
