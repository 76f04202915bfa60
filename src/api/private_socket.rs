//! The private way from the gate to the server behind it.
//!
//! tiny_http listens on a Unix socket; whoever could connect to it could do what the gate keeps
//! off. So the socket is made in a directory that only this user can enter, its inode is held
//! open, and both names are removed before anybody connects: from then on it can be reached only
//! through this process's descriptor, and nothing is left on disk however the process ends.
//!
//! Where there is no /proc a descriptor leads nowhere. There the names stay until the gate is gone; what an agent
//! has left that was killed the next one removes.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;

/// tiny_http duplicates what it accepts, and panics when it cannot: so many descriptors must be
/// free before a connection is made, counting both ends.
const NEEDED: usize = 4;

/// Where the socket may be made: only root and the owner can remove or rename in them.
const PARENTS: [&str; 3] = ["/tmp", "/run", "/dev/shm"];

/// What the names of the directories begin with.
const PREFIX: &str = "link-";

/// The name of the socket in its directory.
const NAME: &str = "api";

/// A reachable Unix socket, nameless where that can be.
#[derive(Debug)]
pub(crate) struct PrivateSocket {
    /// To refer to it, and to know how many descriptors are free.
    socket: File,
    /// Where its name is, if it needs one.
    named: Option<Directory>,
}

/// A directory for one socket, gone with this value.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn make_in(parent: &Path) -> io::Result<Directory> {
        let path = parent.join(format!("{PREFIX}{}", uuid::Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Directory(path))
    }

    fn socket(&self) -> PathBuf {
        self.0.join(NAME)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.socket());
        let _ = fs::remove_dir(&self.0);
    }
}

impl PrivateSocket {
    /// Makes the socket in the first directory that allows it.
    pub(crate) fn make() -> io::Result<(PrivateSocket, UnixListener)> {
        let mut failures = Vec::new();
        for parent in PARENTS {
            match make_in(Path::new(parent), Path::new(DESCRIPTORS)) {
                Ok(made) => return Ok(made),
                Err(error) => failures.push(format!("in {parent}: {error}")),
            }
        }
        let failures = failures.join("; ");
        Err(io::Error::other(format!("make a private unix socket: {failures}")))
    }

    /// Connects, if that leaves the server enough descriptors to accept.
    pub(crate) fn connect(&self) -> io::Result<UnixStream> {
        let room: Vec<File> =
            (0..NEEDED).map(|_| self.socket.try_clone()).collect::<Result<_, _>>()?;
        drop(room);
        match &self.named {
            Some(directory) => UnixStream::connect(directory.socket()),
            None => UnixStream::connect(behind(&self.socket, Path::new(DESCRIPTORS))),
        }
    }
}

/// The directory in which each descriptor leads to what it holds, named or not (proc(5)).
const DESCRIPTORS: &str = "/proc/self/fd";

fn behind(file: &File, descriptors: &Path) -> PathBuf {
    descriptors.join(file.as_raw_fd().to_string())
}

fn make_in(parent: &Path, descriptors: &Path) -> io::Result<(PrivateSocket, UnixListener)> {
    let directory = Directory::make_in(parent)?;
    let listener = UnixListener::bind(directory.socket())?;
    let socket = open_path(&directory.socket())?;
    let has_a_way = fs::symlink_metadata(behind(&socket, descriptors)).is_ok();
    if !has_a_way {
        remove_left_overs(parent, &directory);
    }
    let named = (!has_a_way).then_some(directory);
    Ok((PrivateSocket { socket, named }, listener))
}

/// Removes the directories of agents of this user whose sockets nobody serves any more.
fn remove_left_overs(parent: &Path, own: &Directory) {
    let user = fs::metadata(&own.0).map(|own| own.uid()).ok();
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path() != own.0) {
        let is_of_an_agent = entry.file_name().to_str().is_some_and(|it| it.starts_with(PREFIX));
        let is_ours = entry.metadata().is_ok_and(|it| it.is_dir() && Some(it.uid()) == user);
        let socket = entry.path().join(NAME);
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if is_of_an_agent && is_ours && UnixStream::connect(&socket).is_err_and(refused) {
            drop(Directory(entry.path()));
        }
    }
}

/// Opens what is at a path, whatever it is, only to refer to it (open(2), `O_PATH`). Not with
/// `OpenOptions`: musl counts `O_PATH` as an access mode, and std does not let flags set that.
fn open_path(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(fcntl::open(path, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn the_socket_can_be_reached_and_has_no_name() {
        let parent = std::env::temp_dir().join(format!("private-socket-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&parent).unwrap();
        let (socket, listener) = make_in(&parent, Path::new(DESCRIPTORS)).unwrap();
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir(&parent).unwrap();
        assert_reachable(&socket, &listener);
    }

    fn assert_reachable(socket: &PrivateSocket, listener: &UnixListener) {
        for _ in 0..2 {
            let mut ours = socket.connect().unwrap();
            let (mut theirs, _) = listener.accept().unwrap();
            ours.write_all(b"x").unwrap();
            let mut byte = [0];
            theirs.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"x");
        }
    }

    #[test]
    fn without_proc_it_has_a_name_for_this_user_and_no_agent_leaves_one_for_ever() {
        let parent = std::env::temp_dir().join(format!("private-socket-{}", uuid::Uuid::new_v4()));
        let names = || fs::read_dir(&parent).unwrap().count();
        fs::create_dir(&parent).unwrap();
        let other = parent.join("link-other");
        fs::create_dir(&other).unwrap();
        let make = || make_in(&parent, Path::new("/nonexistent")).unwrap();
        // As one that was killed.
        let (killed, listener) = make();
        std::mem::forget(killed);
        let (socket, served) = make();
        assert_eq!(names(), 3, "it may be about to start");
        drop(listener);
        let (late, late_served) = make();
        assert_eq!(names(), 3, "of the one that was killed nothing is left");
        // Whoever looked for left-overs has connected, and is gone.
        drop(served.accept().unwrap());
        for (socket, listener) in [(&socket, &served), (&late, &late_served)] {
            let mode = fs::metadata(&socket.named.as_ref().unwrap().0).unwrap().mode();
            assert_eq!(mode & 0o777, 0o700);
            assert_reachable(socket, listener);
        }
        drop((socket, late));
        assert_eq!(names(), 1);
        fs::remove_dir_all(&parent).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_passed_over_with_its_name() {
        let error = make_in(Path::new("/proc/self"), Path::new(DESCRIPTORS)).unwrap_err();
        assert_ne!(error.to_string(), "");
        assert!(make_in(Path::new("/nonexistent"), Path::new(DESCRIPTORS)).is_err());
    }
}
