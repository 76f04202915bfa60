//! The local copy of this host's configuration, for a start without etcd.
//!
//! Owns: the file `<STATE_DIR>/<host>.json` and the thread `copy`, which alone writes it, because a
//! disk may take its time and nobody should wait for it. A copy replaces the file as a whole or not
//! at all, and changes are written behind it; of copies that come faster than the disk, the last is written,
//! with what belongs behind it. A change that cannot be is told: then a whole copy has to be written. Whatever is wrong with
//! the file or its folder, or was put there by others, is a warning, never more: etcd has the truth.
//! The thread ends, with the last copy written, when its handle is dropped. One agent at a time works with a copy:
//! it holds a lock on `<STATE_DIR>/<host>.lock` as long as its program runs (flock(2)).

mod file;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use log::{info, warn};
use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::unistd::{AccessFlags, access};

use crate::thread;

/// How many copies of other names are looked at.
const OTHERS: usize = 100;

/// Hears that a change was not written behind the copy; called on the thread that writes, must not block.
pub type Lost = Box<dyn Fn() + Send>;

/// What is to be written.
enum Write {
    /// A copy.
    Copy(Vec<u8>),
    /// What belongs behind the copy, and who hears if it cannot be written there.
    Change(Vec<u8>, Lost),
}

/// Owns the thread that writes.
#[derive(Debug)]
pub struct CopyFile {
    // Dropped before the thread is joined: its end is what stops the thread.
    copies: Option<Sender<Write>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    _claim: Option<Flock<File>>,
}

impl CopyFile {
    /// Starts the thread. The folder is made if it is missing; one in which others can write is warned of. An error
    /// if another agent works with the copy: two of one name and one copy take each other for themselves, as their
    /// former lives.
    pub fn open(folder: &Path, host: &str) -> io::Result<CopyFile> {
        warn_if_open(folder);
        let path = folder.join(format!("{host}.json"));
        let claim = file::claim(&path)?;
        let (copies_tx, copies_rx) = unbounded();
        let writer = Writer { path: path.clone(), file: None, failing: false };
        let thread = thread::spawn("copy", move || writer.run(&copies_rx))?;
        Ok(CopyFile { copies: Some(copies_tx), thread: Some(thread), path, _claim: claim })
    }

    /// What was written last; nothing if there is none. The error says why it cannot be read.
    pub fn read(&self) -> Option<Result<Vec<u8>, String>> {
        match file::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            result => Some(result.map_err(|error| error.to_string())),
        }
    }

    /// The copies of other names in the same folder: of this host, before it was renamed.
    pub fn others(&self) -> Vec<Vec<u8>> {
        let Some(files) = self.path.parent().and_then(|folder| fs::read_dir(folder).ok()) else {
            return Vec::new();
        };
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        let is_copy = |path: &PathBuf| {
            *path != self.path && path.extension().is_some_and(|extension| extension == "json")
        };
        let copies = paths.filter(is_copy).take(OTHERS);
        copies.filter_map(|path| file::read(&path).ok()).collect()
    }

    /// Where it is, for those who have to say what is wrong with it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has a copy written; does not wait for it.
    pub fn write(&self, copy: Vec<u8>) {
        self.send(Write::Copy(copy));
    }

    /// Has a change written behind the copy that was written last; does not wait for it.
    pub fn append(&self, change: Vec<u8>, lost: Lost) {
        self.send(Write::Change(change, lost));
    }

    fn send(&self, write: Write) {
        if let Some(copies_tx) = &self.copies {
            let _ = copies_tx.send(write);
        }
    }
}

impl Drop for CopyFile {
    fn drop(&mut self) {
        self.copies = None;
        if let Some(thread) = self.thread.take() {
            // An error would be a panic, and a panic aborts the process.
            let _ = thread.join();
        }
    }
}

/// Why no copy can be written to a folder, as far as that can be told without writing one. A folder that is
/// missing can be made in one that is there.
pub fn trouble(folder: &Path) -> Option<String> {
    let mut nearest = folder;
    loop {
        // With a slash at its end, a path is one of a folder.
        let errno = access(&nearest.join(""), AccessFlags::W_OK | AccessFlags::X_OK).err()?;
        if errno != Errno::ENOENT {
            return Some(format!("local copy in {}: {}", folder.display(), io::Error::from(errno)));
        }
        nearest = nearest.parent()?;
    }
}

struct Writer {
    path: PathBuf,
    /// The copy that was written last.
    file: Option<File>,
    /// Whether the last thing said of the file was that it cannot be written.
    failing: bool,
}

impl Writer {
    fn run(mut self, copies_rx: &Receiver<Write>) {
        while let Ok(first) = copies_rx.recv() {
            let (mut copy, mut change, mut hears) = (None, Vec::new(), Vec::new());
            for write in std::iter::once(first).chain(copies_rx.try_iter()) {
                match write {
                    Write::Copy(newer) => (copy, change) = (Some(newer), Vec::new()),
                    Write::Change(more, lost) => {
                        change.extend(more);
                        hears.push(lost);
                    }
                }
            }
            if let Some(copy) = copy {
                let replaced = file::replace(&self.path, &[copy, change].concat());
                let (file, result) = match replaced {
                    Ok(file) => (Some(file), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                self.file = file;
                self.tell(result);
            } else if !self.append(&change) {
                self.file = None;
                hears.iter().for_each(|lost| lost());
            }
        }
    }

    /// Whether that was written. What becomes of the whole copy that follows otherwise tells why not.
    fn append(&mut self, change: &[u8]) -> bool {
        let file = self.file.as_mut();
        file.is_some_and(|file| file::append(&self.path, file, change).is_ok())
    }

    fn tell(&mut self, result: io::Result<()>) {
        let failing = std::mem::replace(&mut self.failing, result.is_err());
        let path = self.path.display();
        match (result, failing) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => info!("local copy {path} is written again"),
            (Err(error), false) => {
                warn!("local copy {path}: {error}; a start without etcd would miss changes");
            }
        }
    }
}

fn warn_if_open(folder: &Path) {
    for open in file::open_to_others(folder) {
        let (folder, open) = (folder.display(), open.display());
        warn!(
            "STATE_DIR {folder}: others can write in {open} and exchange the local copy for an older one"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            Folder(std::env::temp_dir().join(format!("link-copy-{}", uuid::Uuid::new_v4())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_last_is_read_by_the_next_life() {
        let folder = Folder::new();
        let file = CopyFile::open(&folder.0, "h1").unwrap();
        assert_eq!(file.read(), None);
        for copy in 0..100_u8 {
            file.write(vec![copy]);
        }
        drop(file);
        let next = CopyFile::open(&folder.0, "h1").unwrap();
        assert_eq!(next.read(), Some(Ok(vec![99])));
        assert_eq!(CopyFile::open(&folder.0, "h2").unwrap().read(), None);
        let names = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["h1.json", "h1.lock", "h2.lock"], "nothing else is left beside it");
    }

    #[test]
    fn one_agent_at_a_time_works_with_a_copy() {
        let folder = Folder::new();
        let first = CopyFile::open(&folder.0, "web.lan").unwrap();
        let why = CopyFile::open(&folder.0, "web.lan").err().unwrap().to_string();
        assert!(why.contains("an agent that runs works with"), "{why}");
        assert!(why.contains("/web.lan.json: stop it"), "{why}");
        drop(first);
        CopyFile::open(&folder.0, "web.lan").unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_stops_nobody() {
        let folder = Folder::new();
        assert_eq!(trouble(&folder.0.join("missing")), None, "it can be made");
        assert!(!folder.0.exists(), "and is not made yet");
        fs::write(&folder.0, "a file where the folder should be").unwrap();
        assert!(trouble(&folder.0).is_some_and(|why| why.contains("Not a directory")));
        assert!(trouble(Path::new("/dev/null/link")).is_some());
        let file = CopyFile::open(&folder.0, "h1").unwrap();
        file.write(vec![1]);
        assert!(file.read().is_none_or(|read| read.is_err()));
        drop(file);
        fs::remove_file(&folder.0).unwrap();
    }
}
