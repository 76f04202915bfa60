//! Work beside the rest, and programs of the machine, each with a time limit.

use std::io::{self, ErrorKind};
use std::process::{Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::thread;

/// What a program said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Does something on a thread of its own. Who comes too late with the answer is left behind.
pub(super) fn beside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (done_tx, done_rx) = bounded(1);
    // Without a thread there is no answer, which is what is then seen.
    let _ = thread::spawn(name, move || drop(done_tx.send(work())));
    done_rx
}

/// Runs a program to its end.
pub(super) fn run(mut command: Command, limit: Duration) -> io::Result<Said> {
    let done = beside("program", move || command.stdin(Stdio::null()).output());
    let output = done.recv_timeout(limit).map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Ok(Said { success: output.status.success(), stdout, stderr })
}
