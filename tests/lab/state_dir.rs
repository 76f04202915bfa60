//! What others have put into the folder of the local copy.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use link::store::LocalCopy;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::harness::*;

/// What is found in the place of the copy, and how it gets there.
type Put<'a> = (&'a str, &'a dyn Fn(&Path));

/// A host that has copied what is registered, and its copy; etcd does not answer.
fn without_etcd() -> (Lab, std::path::PathBuf) {
    let mut lab = Lab::new(1);
    lab[H1].start();
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    let copied = |lab: &Lab| fs::read_to_string(lab[H1].state_file()).unwrap_or_default();
    eventually("it is copied", || copied(&lab).contains(&VIP.to_string()));
    lab[H1].terminate();
    lab.etcd.stop();
    let file = lab[H1].state_file();
    (lab, file)
}

fn remove(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

/// The memory of the agent, in kilobytes.
fn memory(lab: &Lab) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", lab[H1].agent().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_is_in_the_place_of_the_copy_is_said_and_costs_the_copy_only() {
    let (mut lab, file) = without_etcd();
    let aside = lab.folder().join("aside.json");
    fs::rename(&file, &aside).unwrap();
    let put: [Put; 6] = [
        ("no regular file", &|path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("no regular file", &|path| fs::create_dir(path).unwrap()),
        ("symbolic link", &|path| symlink("/dev/zero", path).unwrap()),
        ("symbolic link", &|path| symlink(&aside, path).unwrap()),
        ("larger than", &|path| File::create(path).unwrap().set_len(1 << 40).unwrap()),
        ("another user", &|path| {
            fs::copy(&aside, path).unwrap();
            chown(path, Some(12345), None).unwrap();
        }),
    ];
    for (what, put) in put {
        put(&file);
        fs::remove_file(lab[H1].log()).unwrap();
        lab[H1].restart_without_etcd();
        lab[H1].await_warning(&["h1.json", what]);
        assert_eq!(lab[H1].warnings(&["h1.json"]).len(), 1, "{what}");
        assert!(memory(&lab) < 100_000, "{what}: {} KB", memory(&lab));
        assert_eq!(lab[H1].terminate().code(), Some(0));
        remove(&file);
    }
    // With etcd, it is replaced, and nothing that it led to is.
    let before = fs::read(&aside).unwrap();
    symlink(&aside, &file).unwrap();
    lab.etcd.start_all();
    lab[H1].restart();
    lab[H1].api().add(VIP2);
    let copied = || fs::read_to_string(&file).unwrap_or_default();
    eventually("it is replaced", || !file.is_symlink() && copied().contains(&VIP2.to_string()));
    assert_eq!(fs::read(&aside).unwrap(), before);
}

#[test]
fn what_is_in_the_place_of_the_next_copy_is_not_written_to() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let new = lab[H1].state_file().with_extension("json.new");
    let target = lab.folder().join("target");
    fs::write(&target, "precious").unwrap();
    eventually("the first is written", || lab[H1].state_file().exists());
    let put: [&dyn Fn(); 2] =
        [&|| symlink(&target, &new).unwrap(), &|| mkfifo(&new, Mode::S_IRWXU).unwrap()];
    for put in put {
        put();
        // A start writes it as a whole.
        lab[H1].restart();
        eventually("it is written", || new.symlink_metadata().is_err());
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    // What cannot be moved out of the way is named; the agent goes on.
    fs::create_dir(&new).unwrap();
    lab[H1].restart();
    lab[H1].await_warning(&["h1.json.new"]);
    lab[H1].api().add(VIP);
    lab[H1].api().add(VIP2);
    lab.await_owner(VIP2);
    fs::remove_dir(&new).unwrap();
    lab[H1].api().delete(&lab[H1].api().path(VIP)).expect(204);
    eventually("it is copied again", || copied(&lab, &[VIP2]));
}

/// Whether the local copy has these IPs and no others.
fn copied(lab: &Lab, vips: &[Vip]) -> bool {
    let copy = fs::read(lab[H1].state_file()).unwrap_or_default();
    let records = LocalCopy::read(&copy).map(|copy| copy.records).unwrap_or_default();
    let copied = records.iter().map(|record| record.cidr.to_string());
    copied.eq(vips.iter().map(Vip::to_string))
}

#[test]
fn a_change_is_written_behind_the_copy_and_to_no_file_that_took_its_place() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let file = lab[H1].state_file();
    eventually("it is written", || copied(&lab, &[]));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let first = inode(&file);
    lab[H1].api().add(VIP);
    lab[H1].api().add(VIP2);
    eventually("it has both", || copied(&lab, &[VIP, VIP2]));
    lab[H1].api().delete(&lab[H1].api().path(VIP)).expect(204);
    eventually("it has what is left", || copied(&lab, &[VIP2]));
    assert_eq!(inode(&file), first, "it is still the same file");
    // Half a line, as a crash may leave it.
    let all = fs::read_to_string(&file).unwrap();
    let half = all.find("\"gone\"").expect("it says that one is gone");
    fs::write(&file, &all[..half]).unwrap();
    assert!(copied(&lab, &[VIP, VIP2]), "what was before");
    let aside = lab.folder().join("aside.json");
    fs::rename(&file, &aside).unwrap();
    symlink(&aside, &file).unwrap();
    let before = fs::read(&aside).unwrap();
    lab[H1].api().add(VIP);
    eventually("it is written anew", || !file.is_symlink() && copied(&lab, &[VIP, VIP2]));
    assert_eq!(fs::read(&aside).unwrap(), before);
}

#[test]
fn a_folder_in_which_others_can_write_is_warned_of_at_the_start() {
    let mut lab = Lab::builder(1).etcd_members(0).build();
    let folder = lab.folder().join("open");
    fs::create_dir_all(folder.join("state")).unwrap();
    let state = folder.join("state").display().to_string();
    lab[H1].start_without_etcd(&[("STATE_DIR", &state)]);
    assert_eq!(lab[H1].warnings(&["STATE_DIR"]), Vec::<String>::new());
    lab[H1].kill();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    lab[H1].restart_without_etcd();
    lab[H1].await_warning(&["STATE_DIR", "others", &folder.display().to_string()]);
}

#[test]
fn three_hundred_records_that_cannot_be_read_are_one_warning() {
    let mut lab = Lab::new(1);
    for number in 0..300 {
        lab.etcd.put(&record_key("h1", &format!("vip-{number:03}")), "{");
    }
    lab[H1].start();
    lab[H1].await_warning(&["vip-000", "280 more"]);
    holds_for(Duration::from_secs(1), "said once", || lab[H1].warnings(&["vip-"]).len() == 1);
}
