//! A regular file of this user's own, in a folder in which others may have put something else.
//!
//! Nothing that is found there is waited for, followed, or read without an end, and nothing but the
//! file itself is ever written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use libc::{ELOOP, ENXIO, O_NOFOLLOW, O_NONBLOCK};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{getegid, geteuid};

/// The most that is read or written, in bytes: a thousand IPs with as many checks as the API takes.
pub(super) const LARGEST: usize = 64 << 20;

/// The permissions of the group, and of everybody, to put something into a folder or to take it out; and
/// that in it each may take out only what is their own.
const GROUP: u32 = 0o020;
const EVERYBODY: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Reads the file. The error says what is in its place.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be opened when somebody writes to it.
    let flags = O_NOFOLLOW | O_NONBLOCK;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(ELOOP) => return wrong("it is a symbolic link"),
        // open(2): what is opened is a socket.
        Err(error) if error.raw_os_error() == Some(ENXIO) => return wrong(NOT_REGULAR),
        opened => opened?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return wrong(NOT_REGULAR);
    }
    if found.uid() != geteuid().as_raw() {
        return wrong("it belongs to another user");
    }
    let Some(length) = usize::try_from(found.len()).ok().filter(|length| *length <= LARGEST) else {
        return wrong(TOO_LARGE);
    };
    let mut content = vec![0; length];
    file.read_exact(&mut content)?;
    Ok(content)
}

fn wrong<T>(what: &str) -> io::Result<T> {
    Err(io::Error::other(what))
}

const NOT_REGULAR: &str = "it is no regular file";
const TOO_LARGE: &str = "it is larger than 64 MiB";

/// Replaces the file as a whole: written beside it, on disk before it takes the name (rename(2)). Gives the
/// file, to which more can be written.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    if content.len() > LARGEST {
        return wrong(TOO_LARGE);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_extension("json.new");
    let named = |error| io::Error::other(format!("{}: {error}", new.display()));
    let written = write_new(&new, content).map_err(named);
    let replaced = written.and_then(|file| fs::rename(&new, path).map(|()| file));
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    let file = replaced?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Writes more behind what is in a file, if that still is the one at its path.
pub(super) fn append(path: &Path, file: &mut File, content: &[u8]) -> io::Result<()> {
    let (known, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    let same = (known.dev(), known.ino()) == (there.dev(), there.ino());
    if !same || file.stream_position()? != known.len() {
        return wrong("it was changed");
    }
    let length = usize::try_from(known.len()).unwrap_or(usize::MAX);
    if length.saturating_add(content.len()) > LARGEST {
        return wrong(TOO_LARGE);
    }
    file.write_all(content)?;
    file.sync_data()
}

/// Writes a file that is not there. What a crash has left in its place, or somebody else has put
/// there, loses its name and is not touched.
fn write_new(path: &Path, content: &[u8]) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// Keeps other agents from this copy, as long as what it gives lives, and the program: exec and the end of a process
/// let go. Nothing if no file can be locked there; an error if another agent has it locked.
pub(super) fn claim(path: &Path) -> io::Result<Option<Flock<File>>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let (flags, mode) = (O_NOFOLLOW | O_NONBLOCK, 0o600);
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(false).custom_flags(flags).mode(mode);
    let Ok(file) = file.open(path.with_extension("lock")) else { return Ok(None) };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(claim) => Ok(Some(claim)),
        Err((_, Errno::EWOULDBLOCK)) => wrong(&format!(
            "an agent that runs works with {}: stop it, or give this one another HOSTNAME or STATE_DIR",
            path.display()
        )),
        Err(_) => Ok(None),
    }
}

/// Where others than this user and root can exchange what is in a folder: itself, or one above it.
pub(super) fn open_to_others(folder: &Path) -> Vec<&Path> {
    let mut open = Vec::new();
    for it in folder.ancestors() {
        let Ok(meta) = fs::metadata(it) else { continue };
        // Who may only add something to a folder above cannot exchange what is there.
        let adds = it != folder && meta.mode() & STICKY != 0;
        let is_other = |id: u32, own: u32| id != 0 && id != own;
        let group = meta.mode() & GROUP != 0 && is_other(meta.gid(), getegid().as_raw());
        let by_mode = !adds && (group || meta.mode() & EVERYBODY != 0);
        if by_mode || is_other(meta.uid(), geteuid().as_raw()) {
            open.push(it);
        }
    }
    open
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
