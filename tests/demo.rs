//! `start.sh`, as its user meets it: what it prints is pasted, and the screen is read.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/start.sh");

/// For what takes as long as it takes; a demo is ready within 10 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Twice what an owner may cost that dies with etcd's leader.
const LONGEST_GAP: f64 = 1.6;

/// Seconds that a machine may be too busy to answer.
const BUSY: f64 = 0.1;

/// There is one demo on a machine.
static MACHINE: Mutex<()> = Mutex::new(());

fn script() -> Command {
    let mut command = Command::new(SCRIPT);
    command.env("LINKD", env!("CARGO_BIN_EXE_linkd")).env("LINKCTL", env!("CARGO_BIN_EXE_linkctl"));
    command.env_remove("SUDO_USER");
    command
}

/// A demo that runs, and the file with what it has printed.
struct Demo {
    process: Child,
    screen: String,
}

impl Demo {
    /// Starts it, by that command, in a process group of its own, and waits until it is ready.
    fn start(mut command: Command, name: &str) -> Demo {
        let screen = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        let output = fs::File::create(&screen).unwrap();
        command.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        let process = command.process_group(0).spawn().unwrap();
        let demo = Demo { process, screen };
        demo.await_text(0, ": host1 has it");
        demo
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.screen).unwrap()).into_owned()
    }

    /// Waits until the text stands on the screen, beyond that many bytes, and returns its line.
    #[track_caller]
    fn await_text(&self, from: usize, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if let Some(line) = text[from..].lines().find(|line| line.contains(wanted)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no {wanted:?} in {text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The lines that it tells its user to paste.
    fn lines(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.starts_with("  ") && line.contains(SCRIPT));
        lines.map(|line| line.trim().to_owned()).collect()
    }

    /// Pastes the line that contains this, and returns what the screen tells then with that text.
    #[track_caller]
    fn paste(&self, order: &str, told: &str) -> String {
        let before = self.text().len();
        let lines = self.lines();
        let line = lines.iter().find(|line| line.contains(order)).expect(order);
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        self.await_text(before, told)
    }

    fn signal(&self, signal: Signal) {
        killpg(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    fn wait(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end: {}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A test that fails leaves nothing that runs.
impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(argument: &str) -> Output {
    script().arg(argument).output().unwrap()
}

fn namespaces() -> Vec<String> {
    let found = fs::read_dir("/run/netns").into_iter().flatten();
    let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("link-demo-")).collect()
}

/// The process ids of what runs in its namespaces.
fn processes() -> String {
    let pids = |name: &String| Command::new("ip").args(["netns", "pids", name]).output().unwrap();
    namespaces().iter().map(|name| String::from_utf8(pids(name).stdout).unwrap()).collect()
}

/// Seconds and pings of a line as `… a gap of 0.34 s, 31 pings lost`.
fn gap(line: &str) -> (f64, u32) {
    let (_, tail) = line.split_once("a gap of ").expect(line);
    let mut words = tail.split(' ');
    (words.next().unwrap().parse().unwrap(), words.nth(1).unwrap().parse().unwrap())
}

#[test]
fn the_lines_that_it_prints_show_a_moving_ip_and_nothing_of_it_stays() {
    let _machine = MACHINE.lock();
    let demo = Demo::start(script(), "demo");
    let second = run("");
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("a demo runs already"), "{second:?}");

    demo.paste("linkctl list", "linkctl list");
    demo.paste("linkctl add", "linkctl add");
    let planned = demo.paste("failover", "host1 -> host2");
    println!("{planned}");
    assert!(planned.contains("no ping lost") || gap(&planned).0 < BUSY, "{planned}");
    let died = demo.paste("power-off host2", "host2 -> host");
    let (seconds, lost) = gap(&died);
    println!("{died}");
    assert!(seconds < LONGEST_GAP && lost > 0, "{died}");
    demo.paste("power-on host2", "power-on host2");
    demo.paste("unplug", "a gap of");
    demo.paste(" plug", "plug");
    demo.paste("kill etcd", "kill etcd");
    demo.paste("start etcd", "start etcd");
    let deadline = Instant::now() + PATIENCE;
    while !Command::new("sh").args(["-c", &demo.lines()[9]]).output().unwrap().status.success() {
        assert!(Instant::now() < deadline, "{}", demo.text());
    }

    // A run that is killed leaves nothing that runs, and the next one removes the rest.
    demo.signal(Signal::SIGKILL);
    demo.wait();
    let deadline = Instant::now() + PATIENCE;
    while !processes().is_empty() {
        assert!(Instant::now() < deadline, "{}", processes());
    }
    // What was started in the background, as on some machines that run tests, ignores what Ctrl-C sends.
    let mut terminal = Command::new("env");
    terminal.args(["--default-signal=INT", "script"]);
    terminal.args(["-qefc", SCRIPT, "/dev/null"]).env("TERM", "xterm");
    terminal.envs(script().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let demo = Demo::start(terminal, "demo-terminal");
    demo.await_text(0, "\u{1b}[32m10.20.30.40 answers from host1");
    // Ctrl-C.
    demo.process.stdin.as_ref().unwrap().write_all(b"\x03").unwrap();
    demo.wait();
    assert_eq!(namespaces(), Vec::<String>::new());
    assert!(!Path::new("/run/link-demo").exists());
}

#[test]
fn interfaces_are_made_and_removed() {
    let _machine = MACHINE.lock();
    let inside = "$0 interfaces && $0 clean && ip -brief link";
    let output =
        Command::new("unshare").args(["--net", "sh", "-c", inside, SCRIPT]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for name in ["eth10", "eth11", "eth12"] {
        assert_eq!(
            text.matches(&format!("\n{name}")).count() + usize::from(text.starts_with(name)),
            1,
            "{text}"
        );
    }
}
