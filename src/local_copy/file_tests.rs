use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("link-file-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("h1.json")
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is found in the place of a file, and how it gets there.
type Put = (&'static str, fn(&Path));

const PUT: [Put; 6] = [
    ("no regular file", |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
    ("no regular file", |path| drop(UnixListener::bind(path).unwrap())),
    ("no regular file", |path| fs::create_dir(path).unwrap()),
    ("a symbolic link", |path| symlink("/dev/zero", path).unwrap()),
    ("a symbolic link", |path| symlink(path.with_file_name("gone"), path).unwrap()),
    ("larger than", |path| File::create(path).unwrap().set_len(LARGEST as u64 + 1).unwrap()),
];

#[test]
fn what_others_put_in_its_place_is_neither_waited_for_nor_read() {
    for (what, put) in PUT {
        let folder = Folder::new();
        put(&folder.file());
        let before = Instant::now();
        let error = read(&folder.file()).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert_ne!(error.kind(), ErrorKind::NotFound);
        assert!(before.elapsed() < Duration::from_secs(5), "{what}");
        let replaced = replace(&folder.file(), b"ours");
        assert_eq!(folder.names(), ["h1.json"], "nothing is left beside it");
        match replaced {
            Ok(_) => assert_eq!(read(&folder.file()).unwrap(), b"ours"),
            // Not empty, for all that is known.
            Err(_) => assert!(folder.file().is_dir()),
        }
    }
}

#[test]
fn what_others_put_beside_it_is_not_written_to() {
    for (what, put) in PUT {
        let folder = Folder::new();
        put(&folder.0.join("h1.json.new"));
        match replace(&folder.file(), b"ours") {
            Ok(_) => assert_eq!(read(&folder.file()).unwrap(), b"ours"),
            Err(error) => assert!(error.to_string().contains("h1.json.new: "), "{what}: {error}"),
        }
    }
    let folder = Folder::new();
    let target = folder.0.join("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, folder.0.join("h1.json.new")).unwrap();
    fs::hard_link(&target, folder.file()).unwrap();
    replace(&folder.file(), b"ours").unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(read(&folder.file()).unwrap(), b"ours");
}

#[test]
fn the_largest_copy_that_is_written_is_read_again() {
    let folder = Folder::new();
    let most = vec![b' '; LARGEST];
    replace(&folder.file(), &most).unwrap();
    assert_eq!(read(&folder.file()).unwrap().len(), most.len());
    let error = replace(&folder.file(), &[&most[..], b" "].concat()).unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
    assert_eq!(read(&folder.file()).unwrap().len(), most.len(), "the one before stays");
}

/// The names of the folders in which others can write.
fn open_names(folder: &Path) -> String {
    let open = open_to_others(folder).into_iter();
    let names = open.map(|it| it.file_name().unwrap().to_str().unwrap());
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_folder_that_others_can_write_is_named_and_so_is_one_above_it() {
    let folder = Folder::new();
    let (above, own) = (folder.0.join("above"), folder.0.join("above/own"));
    fs::create_dir_all(&own).unwrap();
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    assert_eq!(open_names(&own), "");
    assert_eq!(open_names(&own.join("missing/still")), "");
    allow(&above, 0o777);
    assert_eq!(open_names(&own), "above");
    assert_eq!(open_names(&own.join("missing")), "above");
    // Everybody's folder for what is temporary.
    allow(&above, 0o1777);
    assert_eq!(open_names(&own), "");
    allow(&own, 0o1777);
    assert_eq!(open_names(&own), "own");
    allow(&own, 0o770);
    assert_eq!(open_names(&own), "", "of the own group");
    if geteuid().is_root() {
        chown(&own, None, Some(12345)).unwrap();
        assert_eq!(open_names(&own), "own");
        allow(&own, 0o700);
        chown(&above, Some(12345), None).unwrap();
        assert_eq!(open_names(&own), "above");
        fs::write(own.join("h1.json"), "theirs").unwrap();
        chown(own.join("h1.json"), Some(12345), None).unwrap();
        let error = read(&own.join("h1.json")).unwrap_err();
        assert!(error.to_string().contains("another user"), "{error}");
    }
}

#[test]
fn more_is_written_behind_what_is_there_and_to_no_other_file() {
    let folder = Folder::new();
    let mut file = replace(&folder.file(), b"ours").unwrap();
    append(&folder.file(), &mut file, b", and more").unwrap();
    append(&folder.file(), &mut file, b", and more").unwrap();
    assert_eq!(read(&folder.file()).unwrap(), b"ours, and more, and more");
    OpenOptions::new().write(true).open(folder.file()).unwrap().set_len(9).unwrap();
    assert!(append(&folder.file(), &mut file, b"x").is_err(), "it was cut off");
    let mut file = replace(&folder.file(), b"ours").unwrap();
    fs::rename(folder.file(), folder.0.join("aside")).unwrap();
    assert!(append(&folder.file(), &mut file, b"x").is_err(), "it is gone");
    for (what, put) in PUT {
        put(&folder.file());
        assert!(append(&folder.file(), &mut file, b"x").is_err(), "{what}");
        let path = folder.file();
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    symlink(folder.0.join("aside"), folder.file()).unwrap();
    assert!(append(&folder.file(), &mut file, b"x").is_err(), "a link to it");
    assert_eq!(fs::read(folder.0.join("aside")).unwrap(), b"ours");
}

#[test]
fn what_would_make_it_too_large_to_be_read_is_not_written() {
    let folder = Folder::new();
    let mut file = replace(&folder.file(), &vec![b' '; LARGEST - 1]).unwrap();
    append(&folder.file(), &mut file, b" ").unwrap();
    assert!(append(&folder.file(), &mut file, b" ").is_err());
    assert_eq!(read(&folder.file()).unwrap().len(), LARGEST);
}
