//! A network namespace with a name, and the ways to do something inside it.
//!
//! A thread that has entered the namespace takes whatever it opens or starts with it: sockets stay
//! in the namespace when other threads use them, children are born in it. So nothing here needs a
//! wrapper program or code between fork and exec.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sched::{CloneFlags, setns};

/// Where iproute2 keeps the names.
const NAMES: &str = "/run/netns";

/// A named network namespace, `lk<pid>-<number>-<name>`; deleted on drop with what runs in it.
pub(crate) struct Namespace {
    name: String,
    starts: Option<Sender<Start>>,
    keeper: Option<JoinHandle<()>>,
}

/// A program to be started in the namespace, and where its handle goes.
struct Start {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

impl Namespace {
    /// Makes the namespace, with its loopback up and without duplicate address detection, which
    /// would keep each IPv6 address of the lab unusable for its first second.
    pub(crate) fn create(name: String) -> Namespace {
        tool("ip", &["netns", "add", &name]);
        let (starts, orders) = bounded(1);
        let keeper = thread::Builder::new()
            .name("lab-keeper".to_owned())
            .spawn({
                let name = name.clone();
                move || keep(&name, &orders)
            })
            .expect("start a keeper thread");
        let namespace = Namespace { name, starts: Some(starts), keeper: Some(keeper) };
        namespace.sysctl("net/ipv6/conf/default/accept_dad", "0");
        namespace.sysctl("net/ipv6/conf/default/accept_ra", "0");
        namespace.ip("link set lo up");
        namespace
    }

    /// The name that `ip netns exec` takes.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a closure on a thread in the namespace and waits for it; panics pass through.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let work = || {
            enter(&self.name);
            inside()
        };
        thread::scope(|scope| match scope.spawn(work).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Starts a program in the namespace.
    ///
    /// The parent thread lives as long as the namespace, so that a program that wants to die with
    /// its parent (`setpriv --pdeathsig`) can.
    pub(crate) fn start(&self, command: Command) -> io::Result<Child> {
        let (reply, started) = bounded(1);
        let starts = self.starts.as_ref().expect("the keeper runs until drop");
        starts.send(Start { command, reply }).expect("the keeper runs until drop");
        started.recv().expect("the keeper answers each start")
    }

    /// Runs a program in the namespace to its end.
    pub(crate) fn output(&self, command: &mut Command) -> Output {
        let program = command.get_program().to_string_lossy().into_owned();
        self.run(|| command.output()).unwrap_or_else(|error| panic!("run {program}: {error}"))
    }

    /// `ip` in the namespace, with arguments separated by blanks; panics when it fails.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.tool("ip", arguments)
    }

    /// `nft` in the namespace, with one command as it stands in nft's manual.
    #[track_caller]
    pub(crate) fn nft(&self, command: &str) -> String {
        self.tool("nft", command)
    }

    /// Sets a kernel parameter of the namespace, by its path under `/proc/sys`.
    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        self.run(|| fs::write(Path::new("/proc/sys").join(path), value))
            .unwrap_or_else(|error| panic!("set {path} in {}: {error}", self.name));
    }

    #[track_caller]
    fn tool(&self, program: &str, arguments: &str) -> String {
        let output = self.output(Command::new(program).args(arguments.split_whitespace()));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments} in {}: {complaint}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The keeper ends first: children that die with their parent thread go with it.
        self.starts = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        delete(&self.name);
    }
}

/// The keeper's life: starts programs until the namespace is dropped.
fn keep(name: &str, orders: &Receiver<Start>) {
    enter(name);
    for mut order in orders {
        // The asker waits for the reply: it cannot be gone.
        let _ = order.reply.send(order.command.spawn());
    }
}

/// Moves the calling thread into the namespace.
fn enter(name: &str) {
    let path = Path::new(NAMES).join(name);
    File::open(&path)
        .and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?))
        .unwrap_or_else(|error| panic!("enter {}: {error}", path.display()));
}

/// Deletes what dead test processes left behind: their namespaces and the processes in them.
///
/// The names carry the pid of the process that made them; those of living ones are left alone.
pub(crate) fn sweep() {
    let Ok(names) = fs::read_dir(NAMES) else {
        return;
    };
    for name in names.flatten() {
        let name = name.file_name().to_string_lossy().into_owned();
        if maker(&name).is_some_and(is_dead) {
            delete(&name);
        }
    }
}

/// The pid in a name of ours (`lk<pid>-...`).
pub(crate) fn maker(name: &str) -> Option<u32> {
    name.strip_prefix("lk")?.split_once('-')?.0.parse().ok()
}

/// True when no process has this id.
pub(crate) fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

/// Kills what still runs in the namespace and deletes it.
fn delete(name: &str) {
    let pids = Command::new("ip").args(["netns", "pids", name]).output();
    let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    for pid in pids.unwrap_or_default().split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", pid]).status();
    }
    // Another process may be sweeping too: one of the two finds it gone.
    let _ = Command::new("ip")
        .args(["netns", "del", name])
        .stderr(std::process::Stdio::null())
        .status();
}

/// Runs a program of the machine to its end; panics with its complaint when it fails.
#[track_caller]
pub(crate) fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("run {program}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {complaint}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Fails, with a sentence that helps, where the lab cannot run.
pub(crate) fn demand_root() {
    assert!(
        nix::unistd::Uid::effective().is_root(),
        "the lab makes network namespaces and therefore needs root"
    );
    for program in ["ip", "nft", "etcd", "etcdctl", "openssl", "setpriv"] {
        let found = Command::new(program).arg("--version").output().is_ok();
        assert!(found, "the lab needs {program}, which is not installed");
    }
}
