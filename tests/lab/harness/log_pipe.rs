//! The stderr of an agent as a pipe, as under a supervisor: at times, nobody reads it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::host::Host;

/// What a full pipe is filled with: no log has it.
const FILLING: u8 = 0;

/// A pipe that an agent has for its stderr, open at both ends.
pub(crate) struct LogPipe(File);

impl LogPipe {
    /// Has the agents that are started on the host from now on write to it.
    pub(crate) fn of(host: &mut Host) -> LogPipe {
        let path = host.log().with_extension("fifo");
        mkfifo(&path, Mode::S_IRWXU).expect("make a pipe");
        let flags = OFlag::O_NONBLOCK.bits();
        let both = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
        host.wrap(&["sh", "-c", &format!("exec \"$0\" \"$@\" 2>{}", path.display())]);
        LogPipe(both.expect("open a pipe"))
    }

    /// Nothing more goes in.
    pub(crate) fn fill(&self) {
        for size in [4096, 1] {
            let error = loop {
                if let Err(error) = (&self.0).write(&vec![FILLING; size]) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    }

    /// What the agents have written since the last time.
    pub(crate) fn drain(&self) -> String {
        let mut bytes = Vec::new();
        let error = (&self.0).read_to_end(&mut bytes).expect_err("an end is open: here");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        bytes.retain(|byte| *byte != FILLING);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
