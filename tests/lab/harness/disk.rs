//! A disk that can stall: a file system of its own, in a file of the lab's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::namespace::tool;

/// Enough for etcd, which reserves 64 MB for its log in two files.
const SIZE: u64 = 256 << 20;

/// A file system, mounted until it is dropped.
pub(crate) struct Disk {
    mounted: PathBuf,
}

/// A disk to which nothing can be written; dropped, it goes on where it was.
pub(crate) struct Stall {
    mounted: PathBuf,
}

impl Disk {
    /// Makes it in that folder.
    pub(crate) fn new(folder: &Path) -> Disk {
        let (image, mounted) = (folder.join("disk.image"), folder.join("disk"));
        let file = File::create(&image).expect("make the file of a disk");
        file.set_len(SIZE).expect("give a disk its size");
        fs::create_dir(&mounted).expect("make a folder for a disk");
        let [image_text, mounted_text] = [&image, &mounted].map(|path| path.display().to_string());
        tool("mkfs.ext4", &["-q", "-O", "^has_journal", &image_text]);
        tool("mount", &["-o", "loop", &image_text, &mounted_text]);
        Disk { mounted }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.mounted
    }

    /// Has all writes to it wait.
    pub(crate) fn stall(&self) -> Stall {
        tool("fsfreeze", &["--freeze", &self.mounted.display().to_string()]);
        Stall { mounted: self.mounted.clone() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What still has files open there ends with the lab.
        tool("umount", &["--lazy", &self.mounted.display().to_string()]);
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        tool("fsfreeze", &["--unfreeze", &self.mounted.display().to_string()]);
    }
}

/// Unmounts the disk of a lab that is dead, if it had one: whatever was stalled goes on first.
pub(crate) fn sweep(folder: &Path) {
    let mounted = folder.join("disk").display().to_string();
    for words in [["fsfreeze", "--unfreeze"], ["umount", "--lazy"]] {
        let [program, option] = words;
        let _ = std::process::Command::new(program)
            .args([option, &mounted])
            .stderr(std::process::Stdio::null())
            .status();
    }
}
