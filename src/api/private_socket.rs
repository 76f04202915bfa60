//! The private way from the gate to the server behind it.
//!
//! tiny_http listens on a Unix socket; whoever could connect to it could do what the gate keeps
//! off. So the socket is made in a directory that only this user can enter, its inode is held
//! open, and both names are removed before anybody connects: from then on it can be reached only
//! through this process's descriptor, and nothing is left on disk however the process ends.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;

/// tiny_http duplicates what it accepts, and panics when it cannot: so many descriptors must be
/// free before a connection is made, counting both ends.
const NEEDED: usize = 4;

/// Where the socket may be made: only root and the owner can remove or rename in them.
const PARENTS: [&str; 3] = ["/tmp", "/run", "/dev/shm"];

/// A reachable, nameless Unix socket.
#[derive(Debug)]
pub(crate) struct PrivateSocket {
    socket: File,
}

impl PrivateSocket {
    /// Makes the socket in the first directory that allows it.
    pub(crate) fn make() -> io::Result<(PrivateSocket, UnixListener)> {
        let mut failures = Vec::new();
        for parent in PARENTS {
            match make_in(Path::new(parent)) {
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
        // The path that leads to what a descriptor holds, named or not (proc(5)).
        UnixStream::connect(format!("/proc/self/fd/{}", self.socket.as_raw_fd()))
    }
}

fn make_in(parent: &Path) -> io::Result<(PrivateSocket, UnixListener)> {
    let directory = parent.join(format!("link-{}", uuid::Uuid::new_v4()));
    DirBuilder::new().mode(0o700).create(&directory)?;
    let name = directory.join("api");
    let made = UnixListener::bind(&name)
        .and_then(|listener| Ok((PrivateSocket { socket: open_path(&name)? }, listener)));
    let _ = fs::remove_file(&name);
    let _ = fs::remove_dir(&directory);
    made
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
        let (socket, listener) = make_in(&parent).unwrap();
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir(&parent).unwrap();
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
    fn a_directory_that_cannot_be_written_is_passed_over_with_its_name() {
        let error = make_in(Path::new("/proc/self")).unwrap_err();
        assert_ne!(error.to_string(), "");
        assert!(make_in(Path::new("/nonexistent")).is_err());
    }
}
