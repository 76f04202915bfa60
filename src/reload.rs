//! The end of one life of the agent and the beginning of the next, in the same process: the program is
//! executed again, with the sockets on which the API listens.

use std::ffi::{CString, OsString};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use log::error;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};

use crate::net::duplicate;

/// The variable that names the descriptors of the sockets, as numbers with a comma between.
pub(crate) const SOCKETS: &str = "LINK_SOCKETS";

/// How long a program may take to tell its version before it replaces this one.
pub(crate) const TRY_OUT: Duration = Duration::from_secs(3);

/// The sockets that the process was executed with, by the value of [`SOCKETS`]. What is no listening
/// socket is not touched.
pub(crate) fn inherited(value: Option<OsString>) -> Vec<TcpListener> {
    let value = value.and_then(|value| value.into_string().ok()).unwrap_or_default();
    value.split(',').filter_map(|number| adopt(number.parse().ok()?)).collect()
}

fn adopt(number: RawFd) -> Option<TcpListener> {
    let copy = duplicate(number).ok()?;
    let listens = getsockopt(&copy, sockopt::AcceptConn).ok()?;
    // Only now: the number might have stood for anything.
    (listens && nix::unistd::close(number).is_ok()).then(|| TcpListener::from(copy))
}

/// Becomes the program; comes back only with an error. The threads are gone, the other descriptors are
/// closed by the kernel, the process id and the environment stay.
pub(crate) fn execute(program: &Path, sockets: &[TcpListener]) -> String {
    let sockets = bequeath(sockets);
    log::logger().flush();
    let error = execve(program, &sockets);
    // The file was there a moment ago. What runs now can still be executed, even if it is deleted.
    error!("execute {}: {error}; the old program goes on", program.display());
    log::logger().flush();
    let error = execve(Path::new("/proc/self/exe"), &sockets);
    format!("execute the old program: {error}")
}

/// execve(2), without arguments, and with one more variable.
fn execve(program: &Path, sockets: &str) -> io::Error {
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        CString::new(name.into_vec()).ok()
    };
    let others = std::env::vars_os().filter(|(name, _)| name != SOCKETS);
    let all = others.chain([(SOCKETS.into(), sockets.into())]);
    let environment: Vec<CString> = all.filter_map(variable).collect();
    match CString::new(program.as_os_str().as_bytes()) {
        Ok(program) => match nix::unistd::execve(&program, &[&program], &environment) {
            Ok(never) => match never {},
            Err(errno) => errno.into(),
        },
        Err(error) => error.into(),
    }
}

/// Has the sockets stay open over exec(2); the value of [`SOCKETS`].
fn bequeath(sockets: &[TcpListener]) -> String {
    let stays = |socket: &&TcpListener| fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).is_ok();
    let numbers = sockets.iter().filter(stays).map(|socket| socket.as_raw_fd().to_string());
    numbers.collect::<Vec<_>>().join(",")
}

/// Whether a program that has been put in the place of this one runs at all: a file for another
/// machine, or half a file, must not cost the host its IPs. One that hangs is killed.
pub(crate) fn try_out(program: &Path, patience: Duration) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("run it: {error}"))?;
    let until = Instant::now() + patience;
    while child.try_wait().map_err(|error| format!("await it: {error}"))?.is_none() {
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("`--version` is not answered within {patience:?}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().map_err(|error| format!("read its answer: {error}"))?;
    if output.status.success() && output.stdout.starts_with(b"linkd ") {
        return Ok(());
    }
    Err(format!("`--version` ends with {} and says nothing of linkd", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_inherited_by_their_numbers_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let value = bequeath(std::slice::from_ref(&listener));
        assert_eq!(value, listener.as_raw_fd().to_string());
        let flags = fcntl(&listener, FcntlArg::F_GETFD).unwrap();
        assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::empty());
        // As after an exec: the number is known, its owner is not.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(listener);
        let file = std::fs::File::open("/dev/null").unwrap();
        let odd = format!("{},x,,-1,99999,{value}", file.as_raw_fd());
        let sockets = inherited(Some(odd.into()));
        assert_eq!(sockets.len(), 1);
        assert_eq!(sockets[0].local_addr().unwrap(), address);
        assert!(file.metadata().is_ok(), "what is no socket stays open");
        let flags = fcntl(&sockets[0], FcntlArg::F_GETFD).unwrap();
        assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
        assert!(inherited(None).is_empty());
    }

    #[test]
    fn only_a_program_that_says_it_is_linkd_may_replace_this_one() {
        let patience = Duration::from_secs(60);
        for program in ["/nonexistent/linkd", "/etc/passwd", "/bin/true", "/bin/false", "/bin/cat"]
        {
            assert!(try_out(Path::new(program), patience).is_err(), "{program}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_refused() {
        let script = std::env::temp_dir().join(format!("link-hang-{}", uuid::Uuid::new_v4()));
        // Written by another process: one that this process had open could not be executed.
        let write = "printf '#!/bin/sh\nexec sleep 600\n' > \"$0\" && chmod 700 \"$0\"";
        assert!(Command::new("sh").args(["-c", write]).arg(&script).status().unwrap().success());
        let result = try_out(&script, Duration::from_millis(200));
        std::fs::remove_file(&script).unwrap();
        assert!(result.unwrap_err().contains("not answered"));
    }
}
