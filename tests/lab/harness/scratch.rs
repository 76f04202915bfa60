//! A folder for one lab, in memory, so that etcd's fsync costs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::disk;
use super::namespace::{is_dead, maker};

/// A folder named `lk<pid>-<number>`, deleted on drop.
pub(crate) struct Scratch {
    name: String,
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lk{}-{number}", std::process::id());
        let path = parent().join(&name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        Scratch { name, path }
    }

    /// A name that no other lab on this machine has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Deletes the folders of dead test processes.
pub(crate) fn sweep() {
    let entries = fs::read_dir(parent()).into_iter().flatten().flatten();
    for entry in entries {
        if maker(&entry.file_name().to_string_lossy()).is_some_and(is_dead) {
            disk::sweep(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A file system in memory, where there is one.
fn parent() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
