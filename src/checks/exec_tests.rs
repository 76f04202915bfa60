//! Real commands, in a folder of root's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A command in a folder of its own, and how it is run.
struct Stage {
    folder: PathBuf,
    exec: Exec,
}

impl Stage {
    fn new(name: &str, script: &str) -> Stage {
        let folder = PathBuf::from(format!("/run/link-exec-{}-{name}", std::process::id()));
        fs::create_dir(&folder).expect("this test needs root");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let path = folder.join("check");
        fs::write(&path, script).expect("the folder is there");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mut exec = Exec::new(Some(folder.clone().into()), "check".to_owned());
        exec.args = vec!["-v".to_owned(), "a b; exit 3".to_owned()];
        exec.env = vec![("LINK_IP", "10.0.0.1/32".to_owned())];
        Stage { folder, exec }
    }

    fn run(&mut self, limit: Duration) -> Result<(), String> {
        self.exec.run(Instant::now() + limit).map_err(|error| error.to_string())
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_there(pid: &str) -> bool {
    // A zombie is none that runs.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn ends(pid: &str) {
    let until = Instant::now() + LONG;
    while is_there(pid) {
        assert!(Instant::now() < until, "{pid} goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_that_ends_with_0_is_a_success_and_gets_what_it_should_and_no_more() {
    let script = "#!/bin/sh\nd=${0%/*}\necho \"$#|$1|$2\" > $d/args\nenv > $d/env\ncat > $d/input\n\
                  ls -l /proc/self/fd > $d/fds\ngrep -E 'CapAmb|NoNewPrivs|SigBlk' /proc/self/status > $d/status\n";
    let mut stage = Stage::new("good", script);
    assert_eq!(stage.run(LONG), Ok(()));
    assert_eq!(stage.file("args"), "2|-v|a b; exit 3\n");
    let mut names: Vec<String> =
        stage.file("env").lines().filter_map(|it| Some(it.split_once('=')?.0.to_owned())).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()));
    names.sort_unstable();
    assert_eq!(names, ["LANG", "LINK_IP", "LINK_TIMEOUT", "PATH"]);
    assert!(stage.file("env").contains("LINK_IP=10.0.0.1/32\n"), "{}", stage.file("env"));
    assert_eq!(stage.file("input"), "");
    // Its three, and the one with which ls reads the folder.
    let fds = stage.file("fds");
    assert_eq!(fds.lines().filter(|line| line.contains("->")).count(), 4, "{fds}");
    let status = stage.file("status");
    assert!(status.contains("CapAmb:\t0000000000000000"), "{status}");
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("SigBlk:\t0000000000000000"),
        "{status}"
    );
}

/// As without a descriptor, by which its end would be seen.
#[test]
fn a_command_whose_end_cannot_be_seen_is_told_as_late_and_not_lost() {
    let mut stage = Stage::new("unseen", "#!/bin/sh\nexec sleep 600\n");
    let running = stage.exec.start(Instant::now() + LONG).unwrap();
    let pid = Pid::from_raw(i32::try_from(running.child.id()).unwrap());
    running.kill();
    waitpid(pid, None).unwrap();
    assert_eq!(stage.exec.end(running).to_string(), "did not end in time");
    assert!(stage.exec.dying.is_some());
}

#[test]
fn a_command_that_fails_is_told_with_what_it_said() {
    let mut stage = Stage::new("fails", "#!/bin/sh\necho one\necho two >&2\nexit 7\n");
    assert_eq!(stage.run(LONG), Err("ended with 7: one; two".to_owned()));
    let mut stage = Stage::new("signal", "#!/bin/sh\nkill -9 $$\n");
    assert_eq!(stage.run(LONG), Err("was ended by signal 9".to_owned()));
    let mut stage = Stage::new("escape", "#!/bin/sh\nprintf 'a\\033[2Jb'\nexit 1\n");
    assert_eq!(stage.run(LONG), Err("ended with 1: a\\u{1b}[2Jb".to_owned()));
    let mut stage = Stage::new("interpreter", "#!/no/such/interpreter\n");
    assert_eq!(stage.run(LONG), Err("its interpreter is not there (#!)".to_owned()));
}

#[test]
fn a_command_that_hangs_is_killed_with_all_that_it_has_started() {
    let script = "#!/bin/sh\nd=${0%/*}\nsleep 1000 &\necho $! > $d/child\necho waiting\ntrap '' TERM\nsleep 1000\n";
    let mut stage = Stage::new("hangs", script);
    let begin = Instant::now();
    let limit = Duration::from_millis(500);
    assert_eq!(stage.run(limit), Err("did not end in time: waiting".to_owned()));
    let took = begin.elapsed();
    assert!((limit..limit * 20).contains(&took), "{took:?}");
    let child = stage.file("child");
    assert!(!child.is_empty());
    ends(&child);
}

#[test]
fn what_a_command_leaves_behind_is_killed_and_not_waited_for() {
    let script = "#!/bin/sh\nd=${0%/*}\nsleep 1000 &\necho $! > $d/child\nexit 0\n";
    let mut stage = Stage::new("leaves", script);
    let begin = Instant::now();
    assert_eq!(stage.run(LONG), Ok(()), "though its child has the output open");
    assert!(begin.elapsed() < LONG / 2);
    let child = stage.file("child");
    assert!(!child.is_empty());
    ends(&child);
}

#[test]
fn a_command_may_write_much_and_close_its_output() {
    let mut stage =
        Stage::new("megabytes", "#!/bin/sh\nhead -c 8000000 /dev/zero | tr '\\0' x\nexit 1\n");
    let error = stage.run(LONG).expect_err("it ends with 1");
    assert_eq!(error.len(), "ended with 1: ".len() + MAX_OUTPUT);
    let mut stage = Stage::new("endless", "#!/bin/sh\nexec cat /dev/zero\n");
    let error = stage.run(Duration::from_millis(300)).expect_err("it writes for ever");
    assert!(error.starts_with("did not end in time: "), "{error}");
    let mut stage = Stage::new("closed", "#!/bin/sh\nexec >&- 2>&-\nsleep 0.2\nexit 0\n");
    assert_eq!(stage.run(LONG), Ok(()));
}

#[test]
fn without_a_folder_no_command_is_run() {
    let mut stage = Stage::new("folder", "#!/bin/sh\n");
    stage.exec.folder = None;
    assert_eq!(stage.run(LONG), Err("CHECK_COMMANDS_DIR is not set: no command is run".to_owned()));
}
