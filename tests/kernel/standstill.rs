//! A process that is stopped and goes on does not know what others have done meanwhile.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use link::net::{Announce, Desired};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::capture::Capture;
use super::lab::{manage_with, run};

/// Set in the child, which is the process that is stopped.
const CHILD: &str = "LINK_TEST_IS_CHILD";

/// Announces an address again and again, until nobody is interested any more.
fn announce_until_stdin_ends() {
    let often = Announce { fixed: Some((Duration::from_millis(100), 1000)) };
    let vip = manage_with(often, "10.0.0.1/32", "v0");
    vip.set(Desired::Bound);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A test that runs again, in the same namespace but in a process of its own.
struct Again(Child);

impl Again {
    fn start(test: &str) -> Again {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env(CHILD, "yes");
        Again(child.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
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
        return announce_until_stdin_ends();
    }
    run(|| {
        let capture = Capture::on("v1");
        let child = Again::start("standstill::nothing_is_announced_for_a_while_after_a_standstill");
        for _ in 0..4 {
            capture.next("10.0.0.1");
        }
        child.signal(Signal::SIGSTOP);
        // What had left before it stood still is seen by then.
        capture.next_before("10.0.0.1", Instant::now() + Duration::from_millis(50));
        capture.expect_none("10.0.0.1", Duration::from_secs(1));
        child.signal(Signal::SIGCONT);
        capture.expect_none("10.0.0.1", Duration::from_millis(1900));
        capture.next("10.0.0.1");
    });
}
