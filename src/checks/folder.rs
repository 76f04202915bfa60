//! The commands that may be run for a check or a hook: those in a folder that the operator has named.
//!
//! Nobody but root may have put one there: the folder, each that it is in, and the command belong to root and cannot
//! be written by others, and no link stands on the way. So what was looked at is what is run.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// Where a command is, which may be run now.
///
/// # Errors
///
/// Why it may not.
pub(crate) fn find(folder: &Path, command: &str) -> io::Result<PathBuf> {
    if !folder.is_absolute() {
        return Err(refused(folder, "is not an absolute path"));
    }
    let mut path = PathBuf::from("/");
    let mut at = step(&path, || open("/", folder_flags(), Mode::empty()))?;
    trusted(&path, &at, SFlag::S_IFDIR)?;
    for part in folder.components() {
        match part {
            Component::RootDir => continue,
            Component::Normal(name) => {
                path.push(name);
                at = step(&path, || openat(at.as_fd(), name, folder_flags(), Mode::empty()))?;
                trusted(&path, &at, SFlag::S_IFDIR)?;
            }
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => {
                return Err(refused(folder, "has a part that is no name (such as ..)"));
            }
        }
    }
    path.push(command);
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = step(&path, || openat(at.as_fd(), command, flags, Mode::empty()))?;
    let mode = trusted(&path, &file, SFlag::S_IFREG)?.st_mode;
    if mode & 0o111 == 0 {
        return Err(refused(&path, "is not executable"));
    }
    Ok(path)
}

fn folder_flags() -> OFlag {
    OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn step(path: &Path, open: impl FnOnce() -> nix::Result<OwnedFd>) -> io::Result<OwnedFd> {
    open().map_err(|error| {
        let said = [
            (Errno::ENOTDIR, "is no folder, or a link"),
            (Errno::ENOENT, "is not there"),
            (Errno::EACCES, "cannot be reached by the user of this agent"),
        ];
        let why = said.into_iter().find(|(errno, _)| *errno == error);
        // What this process lacks is told as such.
        why.map_or_else(|| error.into(), |(_, why)| refused(path, why))
    })
}

fn trusted(path: &Path, file: &OwnedFd, wanted: SFlag) -> io::Result<FileStat> {
    let stat = fstat(file)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFLNK {
        return Err(refused(path, "is a link"));
    }
    if kind != wanted {
        return Err(refused(path, "is not a regular file"));
    }
    if stat.st_uid != 0 {
        return Err(refused(path, "does not belong to root"));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(refused(path, "can be written by others than root"));
    }
    Ok(stat)
}

fn refused(path: &Path, why: impl fmt::Display) -> io::Error {
    io::Error::other(format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A folder that only root can write, for one test; nothing without root.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = PathBuf::from(format!("/run/link-checks-{}-{name}", std::process::id()));
            fs::create_dir(&path).expect("this test needs root");
            mode(&path, 0o755);
            Folder(path)
        }

        fn command(&self, name: &str, bits: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, "#!/bin/sh\n").expect("the folder is there");
            mode(&path, bits);
            path
        }

        fn why(&self, command: &str) -> String {
            find(&self.0, command).expect_err("it is not trusted").to_string()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path, bits: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("it is ours");
    }

    #[test]
    #[cfg(feature = "lab")]
    fn only_what_root_alone_can_write_is_run() {
        let folder = Folder::new("trust");
        let good = folder.command("good", 0o755);
        assert_eq!(find(&folder.0, "good").expect("it is trusted"), good);
        for (name, bits, why) in [
            ("group", 0o775, "can be written by others"),
            ("all", 0o757, "can be written by others"),
            ("plain", 0o644, "is not executable"),
        ] {
            folder.command(name, bits);
            assert!(folder.why(name).ends_with(&format!(
                "{name} {why}{}",
                if bits == 0o644 { "" } else { " than root" }
            )));
        }
        let foreign = folder.command("foreign", 0o755);
        chown(&foreign, Some(12345), None).expect("this test needs root");
        assert!(folder.why("foreign").ends_with("does not belong to root"));
        symlink("/bin/true", folder.0.join("link")).expect("the folder is there");
        assert!(folder.why("link").ends_with("is a link"));
        fs::create_dir(folder.0.join("folder")).expect("the folder is there");
        assert!(folder.why("folder").ends_with("is not a regular file"));
        assert!(folder.why("none").ends_with("is not there"));
        mode(&folder.0, 0o777);
        assert!(folder.why("good").ends_with("can be written by others than root"));
        mode(&folder.0, 0o755);
        assert_eq!(find(&folder.0, "good").expect("it is trusted again"), good);
    }

    #[test]
    #[cfg(feature = "lab")]
    fn a_folder_in_one_that_others_can_write_or_behind_a_link_is_refused() {
        let folder = Folder::new("way");
        fs::create_dir(folder.0.join("open")).expect("the folder is there");
        fs::create_dir(folder.0.join("open/inner")).expect("the folder is there");
        mode(&folder.0.join("open"), 0o777);
        let why = find(&folder.0.join("open/inner"), "x").expect_err("others can replace it");
        assert!(why.to_string().ends_with("open can be written by others than root"), "{why}");
        symlink(&folder.0, folder.0.join("link")).expect("the folder is there");
        let why = find(&folder.0.join("link"), "x").expect_err("it is a link");
        assert!(why.to_string().ends_with("link is no folder, or a link"), "{why}");
    }

    #[test]
    fn a_path_says_each_folder_by_its_name() {
        for (path, why) in
            [("bin", "absolute"), ("/usr/../bin", "such as .."), ("/nowhere", "not there")]
        {
            let error = find(Path::new(path), "x").expect_err(path).to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}
