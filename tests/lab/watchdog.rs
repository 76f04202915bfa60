//! systemd's watchdog: fed while all threads are alive, and not when one of them is not.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::json;

use crate::harness::*;

/// The time after which systemd would kill the agent, as systemd tells it.
const WATCHDOG_USEC: &str = "600000";
/// Above that: who has not fed for so long would have been killed.
const SILENCE: Duration = Duration::from_millis(700);

/// What systemd is to an agent: a socket at which it says how it is.
struct Systemd {
    socket: UnixDatagram,
    path: String,
}

impl Systemd {
    fn new(lab: &Lab) -> Systemd {
        let path = lab.folder().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Systemd { socket, path: path.display().to_string() }
    }

    /// A lab with one agent that it watches, with that patience.
    fn watching(usec: &str) -> (Systemd, Lab) {
        let mut lab = Lab::new(1);
        let systemd = Systemd::new(&lab);
        lab[H1].start_with(&[("NOTIFY_SOCKET", &systemd.path), ("WATCHDOG_USEC", usec)]);
        (systemd, lab)
    }

    /// The lines that have come since the last look.
    fn heard(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut datagram = [0; 4096];
        loop {
            match self.socket.recv(&mut datagram) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&datagram[..length]);
                    lines.extend(text.lines().map(str::to_owned));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return lines,
                Err(error) => panic!("read {}: {error}", self.path),
            }
        }
    }

    fn is_fed(&self) -> bool {
        self.heard().iter().any(|line| line == "WATCHDOG=1")
    }

    /// Waits until it would not kill the agent for so many times its patience.
    #[track_caller]
    fn await_feeding(&self, times: u32) {
        for _ in 0..times {
            eventually("the watchdog is fed", || self.is_fed());
        }
    }

    /// Waits until it would have killed the agent.
    #[track_caller]
    fn await_silence(&self) {
        eventually("the watchdog is not fed", || !until(SILENCE, || self.is_fed()));
    }
}

/// Threads of an agent that do not run until this is dropped, while all others do.
struct Stopped(Vec<Pid>);

impl Stopped {
    /// Stops all threads whose name begins like this.
    #[track_caller]
    fn new(agent: &Process, name: &str) -> Stopped {
        let tasks = format!("/proc/{}/task", agent.pid());
        let mut stopped = Stopped(Vec::new());
        for task in fs::read_dir(tasks).unwrap() {
            let task = task.unwrap().path();
            if fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name)) {
                stopped.stop(id_of(&task));
            }
        }
        assert!(!stopped.0.is_empty(), "there is no thread {name}");
        stopped
    }

    /// Not by a signal, which would stop the whole process (ptrace(2), PTRACE_INTERRUPT).
    #[track_caller]
    fn stop(&mut self, thread: Pid) {
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        self.0.push(thread);
        ptrace::interrupt(thread).unwrap();
        let status = waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        assert!(matches!(status, WaitStatus::PtraceEvent(..)), "{status:?}");
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for thread in &self.0 {
            ptrace::detach(*thread, None).unwrap();
        }
    }
}

fn id_of(task: &Path) -> Pid {
    let name = task.file_name().unwrap().to_str().unwrap();
    Pid::from_raw(name.parse().unwrap())
}

#[test]
fn the_watchdog_is_fed_while_the_agent_lives_and_over_a_reload() {
    let (systemd, mut lab) = Systemd::watching(WATCHDOG_USEC);
    let mut lines = Vec::new();
    let is_status = |line: &String| line.starts_with("STATUS=");
    eventually("it is ready, then fed", || {
        lines.extend(systemd.heard().into_iter().filter(|line| !is_status(line)));
        lines.len() >= 4
    });
    assert_eq!(lines[..3], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    let mut shown = Vec::new();
    eventually("`systemctl status` shows how it is", || {
        shown.extend(systemd.heard().into_iter().filter(is_status));
        shown.last().is_some_and(|line| line == "STATUS=1 of 1 IPs owned, etcd ok")
    });
    assert!(shown.len() < 4, "it is told when it is another: {shown:?}");
    systemd.await_feeding(5);
    lab[H1].reload();
    let mut lines = BTreeSet::new();
    eventually("it is executed again", || {
        lines.extend(systemd.heard());
        lines.contains("RELOADING=1") && lines.contains("READY=1")
    });
    systemd.await_feeding(5);
    lab.etcd.stop();
    systemd.await_feeding(5);
    lab[H1].terminate();
    assert!(systemd.heard().contains(&"STOPPING=1".to_owned()));
}

#[test]
fn a_thread_that_hangs_starves_the_watchdog_until_it_runs_again() {
    let (systemd, lab) = Systemd::watching(WATCHDOG_USEC);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    for (threads, missed) in [
        ("etcd-io", &["etcd-io"][..]),
        ("net", &["net"]),
        ("supervisor", &["supervisor"]),
        ("vip-10.0.1.1", &["vip-10.0.1.1"]),
        // What it has passed on already comes back through it.
        ("gate", &["gate", "api"]),
        ("api-", &["api"]),
    ] {
        systemd.await_feeding(2);
        let agent = lab[H1].agent();
        let before = agent.log().len();
        let stopped = Stopped::new(agent, threads);
        systemd.await_silence();
        let complains = |line: &str| {
            line.contains("systemd is not fed") && missed.iter().any(|name| line.contains(name))
        };
        eventually(&format!("{missed:?} is named"), || {
            agent.log()[before..].lines().any(complains)
        });
        drop(stopped);
        systemd.await_feeding(2);
    }
}

#[test]
fn clients_that_are_slow_or_wait_for_etcd_do_not_look_like_a_hang() {
    // Long enough that a loaded machine answers in a third of it, short against what is waited for.
    let (systemd, lab) = Systemd::watching("4500000");
    lab[H1].api().add(VIP);
    let address = ("127.0.0.1", 1313);
    let connect = || lab[H1].namespace().run(|| TcpStream::connect(address)).unwrap();
    let send = |text: &str| {
        let mut stream = connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    lab.etcd.freeze();
    let half = "POST /ips HTTP/1.1\r\nHost: link\r\nContent-Length: 100\r\n\r\n{";
    let _slow: Vec<TcpStream> = (0..50).map(|_| send(half)).collect();
    let body = json!({ "ip": VIP2.to_string() }).to_string();
    let length = body.len();
    let change =
        format!("POST /ips HTTP/1.1\r\nHost: link\r\nContent-Length: {length}\r\n\r\n{body}");
    let _waiting: Vec<TcpStream> = (0..50).map(|_| send(&change)).collect();
    systemd.heard();
    systemd.await_feeding(3);
    assert!(!lab[H1].agent().log().contains("systemd is not fed"));
}

/// How often the main thread has gone to sleep.
fn sleeps_of_main(agent: &Process) -> String {
    let pid = agent.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
    line.unwrap().to_owned()
}

#[test]
fn without_a_watchdog_or_with_that_of_another_process_nobody_is_woken_up() {
    for watchdog in [("WATCHDOG_USEC", ""), ("WATCHDOG_PID", "1")] {
        let mut lab = Lab::new(1);
        let systemd = Systemd::new(&lab);
        let usual = [("NOTIFY_SOCKET", systemd.path.as_str()), ("WATCHDOG_USEC", WATCHDOG_USEC)];
        lab[H1].start_with(&[usual.as_slice(), &[watchdog]].concat());
        let mut lines = Vec::new();
        eventually("it is ready", || {
            lines.extend(systemd.heard());
            !lines.is_empty()
        });
        let sleeps = sleeps_of_main(lab[H1].agent());
        holds_for(SILENCE * 2, "it sleeps", || sleeps_of_main(lab[H1].agent()) == sleeps);
        lines.extend(systemd.heard());
        assert_eq!(lines, ["READY=1"]);
    }
}
