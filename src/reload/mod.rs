//! The end of one life of the agent and the beginning of the next, in the same process: the program is
//! executed again, with the sockets on which the API listens.

use std::borrow::Cow;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) mod answer;

use log::error;
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{getsockopt, sockopt};

use crate::net::duplicate;

use self::answer::{REQUESTER, Requester};

/// The variable that names the descriptors of the sockets, as numbers with a comma between.
pub(crate) const SOCKETS: &str = "LINK_SOCKETS";

/// The variable that names the descriptor of a file in memory with the history of this host.
pub(crate) const HISTORY: &str = "LINK_HISTORY";

/// How long a program may take to tell whether it would start before it replaces this one.
pub(crate) const TRY_OUT: Duration = Duration::from_secs(3);

/// How many bytes are kept of what it says, and of what it complains of.
const MOST_SAID: usize = 2048;

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

/// What the process was executed with, by the value of [`HISTORY`]. Only a sealed file in memory is read.
pub(crate) fn left(value: Option<OsString>) -> Option<Vec<u8>> {
    let number: RawFd = value?.into_string().ok()?.parse().ok()?;
    let copy = duplicate(number).ok()?;
    let seals = fcntl(&copy, FcntlArg::F_GET_SEALS).ok()?;
    if seals & libc::F_SEAL_WRITE == 0 {
        return None;
    }
    // Only now: the number might have stood for anything.
    nix::unistd::close(number).ok()?;
    let mut bytes = Vec::new();
    File::from(copy).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A file in memory that says this, to be read once from its beginning, and that nobody can change.
fn leave(bytes: &[u8]) -> io::Result<File> {
    let flags = MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"link-history", flags)?);
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE))?;
    Ok(file)
}

/// Becomes the program; comes back only with an error. The threads are gone, the other descriptors are
/// closed by the kernel, the process id and the environment stay.
pub(crate) fn execute(
    program: &Path,
    sockets: &[TcpListener],
    history: &[u8],
    by: Requester,
) -> String {
    // Without it, the next life begins a new one.
    let file = leave(history).ok();
    let number = file.as_ref().map_or_else(String::new, |file| file.as_raw_fd().to_string());
    let (sockets, by_whom) = (bequeath(sockets), by.bequeath());
    let variables = [(SOCKETS, sockets.clone()), (HISTORY, number.clone()), (REQUESTER, by_whom)];
    log::logger().flush();
    let error = execve(program, program, &variables);
    // The file was there a moment ago. What runs now can still be executed, even if it is deleted.
    let why = format!("execute {}: {error}; the old program goes on", program.display());
    error!("{why}");
    log::logger().flush();
    by.tell_refusal(&why);
    let variables = [(SOCKETS, sockets), (HISTORY, number), (REQUESTER, String::new())];
    let error = execve(Path::new("/proc/self/exe"), program, &variables);
    format!("execute the old program: {error}")
}

/// execve(2) of a file under the name of a program, without arguments, and with these variables.
fn execve(file: &Path, program: &Path, more: &[(&str, String)]) -> io::Error {
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        CString::new(name.into_vec()).ok()
    };
    let is_other = |(name, _): &(OsString, OsString)| more.iter().all(|(ours, _)| name != ours);
    let others = std::env::vars_os().filter(is_other);
    let all = others.chain(more.iter().map(|(name, value)| (name.into(), value.into())));
    let environment: Vec<CString> = all.filter_map(variable).collect();
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
    match text(file).and_then(|file| Ok((file, text(program)?))) {
        Ok((file, program)) => match nix::unistd::execve(&file, &[program], &environment) {
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

/// The program as the operator has named it: a link that leads to another version by now is followed, and a
/// file that has taken the place of the one that runs is found. As long as that is not known, the file that runs.
pub(crate) fn program() -> io::Result<PathBuf> {
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let has_folder = name.parent().is_some_and(|folder| !folder.as_os_str().is_empty());
    let named = if has_folder { Some(name) } else { find(&name) };
    named.filter(|path| path.is_file()).map_or_else(std::env::current_exe, Ok)
}

/// Where a shell has found a program.
fn find(name: &Path) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Why a program does not get the place of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotUsable {
    /// It is linkd, and older than the option by which it would tell.
    TooOld,
    /// What it said, or what happened to it.
    Because(String),
}

/// Whether a program that has been put in the place of this one would start, in the environment of this
/// process: half a file, one for another machine, or one that wants other settings must not cost the host its
/// IPs.
pub(crate) fn try_out(program: &Path, patience: Duration) -> Result<(), NotUsable> {
    let because = |error: io::Error| NotUsable::Because(error.to_string());
    let mut said = ask(program, "--check", patience).map_err(because)?;
    // Of a version that has no such option: it names what it does not take.
    let is_too_old = !said.success && said.all().contains("no argument \"--check\"");
    if is_too_old {
        said = ask(program, "--version", patience).map_err(because)?;
    }
    match (said.success && said.is_linkds(), is_too_old) {
        (true, true) => Err(NotUsable::TooOld),
        (true, false) => Ok(()),
        (false, _) => Err(said.refusal()),
    }
}

/// What a program has said.
struct Said {
    success: bool,
    stdout: Heard,
    stderr: Heard,
}

impl Said {
    fn is_linkds(&self) -> bool {
        self.stdout.text().lines().any(|line| line.starts_with("linkd "))
    }

    fn all(&self) -> String {
        self.stderr.text().into_owned() + &self.stdout.text()
    }

    fn refusal(&self) -> NotUsable {
        NotUsable::Because(format!("it says: {}", self.all().trim_end().replace('\n', "; ")))
    }
}

/// The first of what comes through a socket.
struct Heard {
    socket: UnixStream,
    bytes: [u8; MOST_SAID],
    length: usize,
}

impl Heard {
    /// With the other end, for the program.
    fn pair() -> io::Result<(Heard, OwnedFd)> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        Ok((Heard { socket, bytes: [0; MOST_SAID], length: 0 }, theirs.into()))
    }

    /// Takes what is there. With no room left, nothing is read.
    fn hear(&mut self) {
        while let Ok(more @ 1..) = self.socket.read(&mut self.bytes[self.length..]) {
            self.length += more;
        }
    }

    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes[..self.length])
    }
}

/// Runs a program with one argument: whether it succeeds, and the first of what it says. One that hangs is
/// killed; nobody waits for what it has left behind.
fn ask(program: &Path, argument: &str, patience: Duration) -> io::Result<Said> {
    let ((stdout, out), (stderr, err)) = (Heard::pair()?, Heard::pair()?);
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command.spawn()?;
    // It has the other ends to itself.
    drop(command);
    let until = Instant::now() + patience;
    let mut said = Said { success: false, stdout, stderr };
    loop {
        let status = child.try_wait()?;
        said.stdout.hear();
        said.stderr.hear();
        if let Some(status) = status {
            said.success = status.success();
            return Ok(said);
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            let why = format!("`{argument}` is not answered within {patience:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
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
    fn a_history_is_left_and_read_once_and_nothing_else_is() {
        let file = leave(b"history").unwrap();
        let number = file.as_raw_fd();
        let flags = fcntl(&file, FcntlArg::F_GETFD).unwrap();
        assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::empty(), "it stays open");
        assert!((&file).write_all(b"x").is_err(), "nobody changes it");
        let _ = std::os::fd::IntoRawFd::into_raw_fd(file);
        let value = Some(OsString::from(number.to_string()));
        assert_eq!(left(value.clone()).as_deref(), Some(&b"history"[..]));
        let other = File::open("/dev/null").unwrap();
        for odd in [other.as_raw_fd().to_string(), String::new(), "x".into(), "-1".into()] {
            assert_eq!(left(Some(odd.into())), None);
        }
        assert_eq!(left(None), None);
        assert!(other.metadata().is_ok(), "what is no history stays open");
    }

    /// A program that does as the script says. Written by another process: one that this process had
    /// open could not be executed.
    struct Script(PathBuf);

    impl Script {
        fn new(script: &str) -> Script {
            let name = format!("link-try-{}", uuid::Uuid::new_v4());
            let path = std::env::temp_dir().join(name);
            let write =
                format!("printf '%s\n' '#!/bin/sh' '{script}' > \"$0\" && chmod 700 \"$0\"");
            assert!(Command::new("sh").args(["-c", &write]).arg(&path).status().unwrap().success());
            Script(path)
        }

        fn tried(&self, patience: Duration) -> Result<(), NotUsable> {
            try_out(&self.0, patience)
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).unwrap();
        }
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    fn because(why: &str) -> Result<(), NotUsable> {
        Err(NotUsable::Because(why.to_owned()))
    }

    #[test]
    fn only_a_program_that_says_it_is_linkd_may_replace_this_one() {
        for program in ["/nonexistent/linkd", "/etc/passwd", "/bin/true", "/bin/false", "/bin/cat"]
        {
            let tried = try_out(Path::new(program), PATIENCE);
            assert!(matches!(tried, Err(NotUsable::Because(_))), "{program}: {tried:?}");
        }
        assert_eq!(Script::new("echo linkd 1: host h1").tried(PATIENCE), Ok(()));
    }

    #[test]
    fn a_program_that_warns_of_much_may_replace_this_one() {
        let warns = "for i in 1 2 3 4 5; do printf \"linkd: warning: %01000d\\n\" $i >&2; done";
        assert_eq!(Script::new(&format!("{warns}; echo linkd 1")).tried(PATIENCE), Ok(()));
        // What it warns of does not make it linkd.
        let script = Script::new("echo linkd 1 >&2");
        assert_eq!(script.tried(PATIENCE), because("it says: linkd 1"));
    }

    #[test]
    fn a_program_that_would_not_start_is_refused_with_what_it_says() {
        let script = Script::new("echo linkd: PORT=x is wrong >&2; echo linkd: and Y >&2; exit 2");
        assert_eq!(
            script.tried(PATIENCE),
            because("it says: linkd: PORT=x is wrong; linkd: and Y")
        );
        // It answers `--version`, which does not help it.
        let script = Script::new("[ $1 = --version ] && echo linkd 1 && exit; exit 2");
        assert_eq!(script.tried(PATIENCE), because("it says: "));
    }

    #[test]
    fn a_program_that_knows_no_check_is_told_from_one_that_is_not_linkd() {
        let refuses = "[ $1 = --version ] || { echo \"linkd: linkd takes no argument \\\"$1\\\"; it is\"; exit 2; }";
        let script = Script::new(&format!("{refuses}; echo linkd 0.1"));
        assert_eq!(script.tried(PATIENCE), Err(NotUsable::TooOld));
        let script = Script::new(&format!("{refuses}; echo 0.1"));
        assert_eq!(script.tried(PATIENCE), because("it says: 0.1"));
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_refused() {
        for hangs in ["exec sleep 600", "sleep 9 | sleep 9", "exec yes"] {
            let tried = Script::new(hangs).tried(Duration::from_millis(200));
            let because =
                matches!(&tried, Err(NotUsable::Because(why)) if why.contains("not answered"));
            assert!(because, "{hangs}: {tried:?}");
        }
    }

    #[test]
    fn what_a_program_leaves_running_is_not_waited_for() {
        let begun = Instant::now();
        let script = Script::new("sleep 30 & echo linkd 1");
        assert_eq!(script.tried(PATIENCE), Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
