//! A process that is stopped and goes on does not know what others have done meanwhile.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use link::net::codec::arp;
use link::net::codec::ethernet::BROADCAST;
use link::net::{Announce, Desired, MonitorTiming, Report};
use link::network::Liveness;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

use super::capture::Capture;
use super::lab::{eventually, has, ip, link, mac, manage, manage_with, run};
use super::neighbour::{Neighbour, ip_there};

/// Set in the child, which is the process that is stopped.
const CHILD: &str = "LINK_TEST_IS_CHILD";

/// How long after a frame the next of the same announcement comes at the latest.
const MOMENT: Duration = Duration::from_millis(50);

/// Announces an address again and again, until nobody is interested any more.
fn announce_until_stdin_ends(interval: Duration) {
    let announce = Announce { fixed: Some((interval, 1000)), ..Announce::default() };
    let vip = manage_with(announce, "10.0.0.1/32", "v0");
    vip.set(Desired::Bound);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Monitors the host that has an address until that is silent.
fn monitor_until_silence() {
    let vip = manage("10.0.0.1/32");
    let interval = Duration::from_millis(50);
    let timing = MonitorTiming { interval, doubt: interval, count: 2, alone: false };
    vip.address.monitor(Some(timing));
    while vip.reports.recv().unwrap() != Report::Owner(Liveness::Suspect) {}
}

/// A test that runs again, in the same namespace but in a process of its own.
struct Again(Child);

impl Again {
    fn start(test: &str) -> Again {
        Again::start_with(test, Stdio::inherit())
    }

    fn start_with(test: &str, stderr: Stdio) -> Again {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env(CHILD, "yes");
        Again(child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap())
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Stops it while it waits: not amid an announcement, say.
    fn stop(&self) {
        eventually("it waits", || self.waits());
        self.signal(Signal::SIGSTOP);
    }

    /// Whether all its threads sleep (proc(5), `/proc/pid/stat`).
    fn waits(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S'))
        })
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_announced_for_a_while_after_a_standstill() {
    if std::env::var_os(CHILD).is_some() {
        return announce_until_stdin_ends(Duration::from_millis(100));
    }
    run(|| {
        let capture = Capture::on("v1");
        let child = Again::start("standstill::nothing_is_announced_for_a_while_after_a_standstill");
        for _ in 0..4 {
            capture.next("10.0.0.1");
        }
        child.stop();
        // What had left before it stood still is seen by then.
        while capture.next_before("10.0.0.1", Instant::now() + MOMENT).is_some() {}
        capture.expect_none("10.0.0.1", Duration::from_secs(1));
        child.signal(Signal::SIGCONT);
        capture.expect_none("10.0.0.1", Duration::from_millis(1900));
        capture.next("10.0.0.1");
    });
}

#[test]
fn nothing_is_announced_either_because_the_carrier_came_back_meanwhile() {
    if std::env::var_os(CHILD).is_some() {
        // It has nothing to say for longer than it is stopped.
        return announce_until_stdin_ends(Duration::from_secs(30));
    }
    run(|| {
        let capture = Capture::on("v1");
        let child = Again::start(
            "standstill::nothing_is_announced_either_because_the_carrier_came_back_meanwhile",
        );
        capture.next("10.0.0.1");
        child.stop();
        ip("link set v1 down");
        eventually("the carrier is lost", || link("v0")["operstate"] != "UP");
        // What had left before it stood still is seen by then.
        capture.frames.try_iter().for_each(drop);
        ip("link set v1 up");
        eventually("the carrier is back", || link("v0")["operstate"] == "UP");
        capture.expect_none("10.0.0.1", Duration::from_secs(1));
        child.signal(Signal::SIGCONT);
        capture.expect_none("10.0.0.1", Duration::from_millis(1900));
        capture.next("10.0.0.1");
    });
}

#[test]
fn nothing_is_announced_after_a_standstill_amid_its_work() {
    if std::env::var_os(CHILD).is_some() {
        env_logger::builder().filter_level(log::LevelFilter::Warn).init();
        return announce_until_stdin_ends(Duration::from_secs(30));
    }
    run(|| {
        let capture = Capture::on("v1");
        let (mut read, write) = full_pipe();
        let child = Again::start_with(
            "standstill::nothing_is_announced_after_a_standstill_amid_its_work",
            write.into(),
        );
        capture.next("10.0.0.1");
        eventually("it waits", || child.waits());
        // It says so, for which there is no room, before it puts the address back and announces it.
        ip("addr del 10.0.0.1/32 dev v0");
        capture.frames.try_iter().for_each(drop);
        capture.expect_none("10.0.0.1", Duration::from_secs(1));
        assert!(!has("v0", "10.0.0.1/32"));
        read.read_exact(&mut [0; 1 << 12]).unwrap();
        eventually("it is back", || has("v0", "10.0.0.1/32"));
        capture.expect_none("10.0.0.1", Duration::from_millis(1900));
        capture.next("10.0.0.1");
    });
}

/// A pipe that takes nothing until it is read.
fn full_pipe() -> (File, OwnedFd) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    // One page, which is the least that a pipe can hold (pipe(7)).
    let held = fcntl(&write, FcntlArg::F_SETPIPE_SZ(1)).unwrap();
    let held = usize::try_from(held).unwrap();
    assert_eq!(nix::unistd::write(&write, &vec![0; held]), Ok(held));
    (read.into(), write)
}

#[test]
fn nobody_is_silent_because_this_host_stood_still() {
    if std::env::var_os(CHILD).is_some() {
        return monitor_until_silence();
    }
    run(|| {
        let neighbour = Neighbour::start();
        let capture = neighbour.run(|| Capture::on("v1"));
        let [to_owner, to_all] = [neighbour.run(|| mac("v1")), BROADCAST]
            .map(|whom| arp::probe([10, 0, 0, 1].into(), mac("v0"), whom));
        ip_there(&neighbour, "add", "10.0.0.1/32");
        let mut child = Again::start("standstill::nobody_is_silent_because_this_host_stood_still");
        capture.await_frame(&to_owner);
        child.stop();
        ip_there(&neighbour, "del", "10.0.0.1/32");
        capture.expect_none("10.0.0.1", Duration::from_secs(1));
        child.signal(Signal::SIGCONT);
        // It asks all hosts anew, for longer than silence would take.
        (0..3).for_each(|_| capture.await_frame(&to_all));
        assert!(child.is_running());
        ip_there(&neighbour, "add", "10.0.0.1/32");
        capture.await_frame(&to_owner);
        assert!(child.is_running());
        ip_there(&neighbour, "del", "10.0.0.1/32");
        eventually("silence", || !child.is_running());
    });
}
