//! Commands that are run for a check or a hook: within a time, with an end, and with little that they could do.
//!
//! A command is a program in the operator's folder ([`folder`]). It gets no shell, no input, no descriptors but its
//! output, an environment of a few variables, and none of the agent's capabilities. At the deadline it is killed, and
//! with it all that it has started in its process group, as well as what is left of that when it ends by itself.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use super::folder;
use crate::net;
use crate::text::clean;

/// Bytes of its output that are told.
const MAX_OUTPUT: usize = 4 << 10;
/// Bytes that are read at a time.
const READ_SIZE: usize = 4 << 10;
/// Where a command finds others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// For how long a command that was killed is waited for: it may hang in the kernel.
const DYING: Duration = Duration::from_secs(1);

/// The same for one that a former life of this process has left.
const BURIAL: Duration = Duration::from_millis(100);

/// A command of the operator's, of which one run goes on at a time.
pub(crate) struct Exec {
    /// Where it is; none: the operator has named no folder.
    folder: Option<Arc<Path>>,
    command: String,
    /// With what it is run.
    pub(crate) args: Vec<String>,
    /// What it finds in its environment, beside a few variables that are always there.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The run that was killed and has not ended.
    dying: Option<Child>,
}

impl Exec {
    /// The command with this name in this folder, which is looked at whenever it is run.
    pub(crate) fn new(folder: Option<Arc<Path>>, command: String) -> Exec {
        Exec { folder, command, args: Vec::new(), env: Vec::new(), dying: None }
    }

    /// Runs it once. That it ends with 0 is a success.
    pub(super) fn run(&mut self, until: Instant) -> io::Result<()> {
        let running = self.start(until)?;
        self.finish(running, until)
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Why it was not started.
    pub(crate) fn start(&mut self, until: Instant) -> io::Result<Running> {
        if let Some(child) = &mut self.dying {
            if child.try_wait()?.is_none() {
                return Err(io::Error::other("an earlier run was killed and has not ended yet"));
            }
            self.dying = None;
        }
        let Some(folder) = self.folder.clone() else {
            return Err(io::Error::other("CHECK_COMMANDS_DIR is not set: no command is run"));
        };
        let path = folder::find(&folder, &self.command)?;
        let (output, child) = self.spawn(&path, until)?;
        Ok(Running { child, output: Some(output), said: Vec::new() })
    }

    /// Waits for the end of what was started, and brings it about when the time is over.
    ///
    /// # Errors
    ///
    /// How it has ended, if not with 0.
    pub(crate) fn finish(&mut self, mut running: Running, until: Instant) -> io::Result<()> {
        match running.watch(until) {
            Ok(true) => verdict(running.reap()?, &running.said),
            Ok(false) => Err(self.end(running)),
            Err(error) => {
                running.kill();
                self.dying = Some(running.child);
                Err(error)
            }
        }
    }

    /// Ends what has not ended in time. What cannot be seen to end (no descriptor is left) is reaped before the next run.
    fn end(&mut self, mut running: Running) -> io::Error {
        running.kill();
        let ended = running.ends_by(Instant::now() + DYING).unwrap_or(false);
        let is_reaped = ended && running.reap().is_ok();
        let said = shown(&running.said);
        self.dying = (!is_reaped).then_some(running.child);
        io::Error::new(ErrorKind::TimedOut, format!("did not end in time{said}"))
    }

    fn spawn(&self, path: &Path, until: Instant) -> io::Result<(OwnedFd, Child)> {
        let (output, input) = pipe2(OFlag::O_CLOEXEC)?;
        // Only this end: the command need not know of it.
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let seconds = until.saturating_duration_since(Instant::now()).as_secs_f32();
        let mut command = Command::new(path);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C")
            .env("LINK_TIMEOUT", format!("{seconds:.3}"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::from(input.try_clone()?))
            .stdout(Stdio::from(input));
        net::confine(&mut command);
        let child = command.spawn().map_err(not_started)?;
        Ok((output, child))
    }
}

/// What this process lacks is told as such.
fn not_started(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::NotFound {
        io::Error::other("its interpreter is not there (#!)")
    } else if error.kind() == ErrorKind::PermissionDenied {
        io::Error::other("the user of this agent may not run it")
    } else {
        error
    }
}

/// A command that runs, until it is reaped.
pub(crate) struct Running {
    child: Child,
    output: Option<OwnedFd>,
    said: Vec<u8>,
}

impl Running {
    /// Reads what it says until it ends. False: it has not ended in time.
    fn watch(&mut self, until: Instant) -> io::Result<bool> {
        let end = net::process(self.child.id())?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let output = self.output.as_ref().map_or(end.as_fd(), AsFd::as_fd);
            let fds = [
                PollFd::new(end.as_fd(), PollFlags::POLLIN),
                PollFd::new(output, PollFlags::POLLIN),
            ];
            let ready = ready(fds, left)?;
            if ready[0] {
                self.hear();
                return Ok(true);
            }
            if ready[1] {
                self.hear();
            }
        }
    }

    /// Reads what is there, as much as fits into a pipe and not more: somebody may go on writing for ever.
    fn hear(&mut self) {
        let mut buffer = [0; READ_SIZE];
        for _ in 0..16 {
            let Some(output) = &self.output else { return };
            match nix::unistd::read(output, &mut buffer) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    let room = MAX_OUTPUT.saturating_sub(self.said.len()).min(length);
                    self.said.extend_from_slice(&buffer[..room]);
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// All that it has started, too, as long as that has not left its group.
    fn kill(&self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    fn ends_by(&self, until: Instant) -> io::Result<bool> {
        let end = net::process(self.child.id())?;
        let left = until.saturating_duration_since(Instant::now());
        let fd = || PollFd::new(end.as_fd(), PollFlags::POLLIN);
        Ok(ready([fd(), fd()], left)?[0])
    }

    /// What a command leaves behind is killed before its number can be another's: as long as it is not reaped.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }
}

/// Takes leave of what was run by this process before it was executed again: it was killed with the threads that waited
/// for it. Without such, this returns at once.
pub(crate) fn bury() {
    let until = Instant::now() + BURIAL;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            // It dies; which one it is nobody knows any more, so that there is nothing else to wait for.
            Ok(WaitStatus::StillAlive) if Instant::now() < until => std::thread::sleep(BURIAL / 50),
            Ok(WaitStatus::StillAlive) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Which of them have something to say within this time.
fn ready(mut fds: [PollFd<'_>; 2], left: Duration) -> io::Result<[bool; 2]> {
    // Rounded up, so that it is not asked again for less than a millisecond.
    let timeout =
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {
            Ok(fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty())))
        }
        Err(error) => Err(error.into()),
    }
}

fn verdict(status: ExitStatus, said: &[u8]) -> io::Result<()> {
    if status.success() {
        return Ok(());
    }
    let said = shown(said);
    Err(io::Error::other(match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}{said}"),
        (None, Some(signal)) => format!("was ended by signal {signal}{said}"),
        (None, None) => format!("has not succeeded{said}"),
    }))
}

/// What it has said, on one line.
fn shown(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", clean(&lines.join("; "))) }
}

#[cfg(all(test, feature = "lab"))]
#[path = "exec_tests.rs"]
mod tests;
