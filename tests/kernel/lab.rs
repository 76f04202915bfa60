//! A namespace with a veth pair, `ip` as the judge, and waiting for conditions.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use link::net::{Announce, Desired, ManagedAddress, Net, NetClient, Report, Reports};
use link::network::{Liveness, Unusable};
use link::policy::Connections;
use link::vip::Cidr;
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

/// How long anything is waited for. Generous, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a test in a new network namespace with a veth pair, `v0` and `v1`, both up.
pub(crate) fn run(test: impl FnOnce() + Send + 'static) {
    run_without_links(|| {
        ip("link set lo up");
        make_pair();
        test();
    });
}

/// Runs a test in a new network namespace, on a thread that only this test has.
pub(crate) fn run_without_links(test: impl FnOnce() + Send + 'static) {
    let _ = env_logger::builder().format_timestamp_micros().is_test(true).try_init();
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own: are you root?");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Set in the child that takes the kernel for one of Linux 2.6.
const OLD_KERNEL: &str = "LINK_TEST_OLD_KERNEL";

/// The same, but for the test of that name the kernel calls itself Linux 2.6, which keeps no marks: it runs
/// itself again as a program.
pub(crate) fn on_an_old_kernel(name: &str, test: impl FnOnce() + Send + 'static) {
    if std::env::var_os(OLD_KERNEL).is_some() {
        return run(test);
    }
    let output = Command::new("setarch")
        .arg("--uname-2.6")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(OLD_KERNEL, "yes")
        .output()
        .expect("setarch of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Makes the pair. The other end, `v1`, does not speak by itself.
pub(crate) fn make_pair() {
    // Addresses in the middle: some tests speak as a host that wins_tie_break, or comes after.
    let (v0, v1) = ("02:00:00:00:00:10", "02:00:00:00:00:20");
    ip(&format!("link add v0 address {v0} type veth peer name v1 address {v1}"));
    sysctl("net/ipv6/conf/v1/disable_ipv6", "1");
    ip("link set v1 up");
    ip("link set v0 up");
    eventually("the carrier", || link("v0")["operstate"] == "UP");
}

/// Runs `ip` with these words, which must succeed.
pub(crate) fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status().expect("ip");
    assert!(status.success(), "ip {words}");
}

/// Runs `ip` with one command to a line, all of which must succeed.
pub(crate) fn ip_batch(lines: &str) {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped());
    let mut child = command.spawn().expect("ip");
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// What `ip -j` says.
pub(crate) fn ip_json(words: &str) -> Value {
    let mut command = Command::new("ip");
    command.args(["-j", "-d"]).args(words.split_whitespace());
    let output = command.output().expect("ip");
    assert!(output.status.success(), "ip {words}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Array(Vec::new()))
}

/// An interface as `ip` shows it.
pub(crate) fn link(name: &str) -> Value {
    ip_json(&format!("link show dev {name}"))[0].clone()
}

/// The hardware address of an interface.
pub(crate) fn mac(name: &str) -> [u8; 6] {
    let link = link(name);
    let text = link["address"].as_str().unwrap();
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// An address as `ip` shows it, if the interface has it.
pub(crate) fn address(interface: &str, cidr: &str) -> Option<Value> {
    let (local, prefix) = cidr.split_once('/').unwrap();
    let prefix: u8 = prefix.parse().unwrap();
    let shown = ip_json(&format!("addr show dev {interface}"));
    let addresses = shown[0]["addr_info"].as_array().unwrap().clone();
    addresses
        .into_iter()
        .find(|address| address["local"] == local && address["prefixlen"] == prefix)
}

/// Whether `ip` shows this address on this interface.
pub(crate) fn has(interface: &str, cidr: &str) -> bool {
    address(interface, cidr).is_some()
}

/// Sets a value under /proc/sys, of the calling thread's namespace.
pub(crate) fn sysctl(path: &str, value: &str) {
    std::fs::write(format!("/proc/sys/{path}"), value).expect(path);
}

/// Reads a value under /proc/sys.
pub(crate) fn read_sysctl(path: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/{path}")).expect(path).trim().to_owned()
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An address with its prefix length, from text.
pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

/// The report of an interface that can carry addresses.
pub(crate) fn usable(interface: &str) -> Report {
    Report::Interface(Ok(mac(interface)))
}

/// The report of one that cannot.
pub(crate) fn unusable(why: Unusable) -> Report {
    Report::Interface(Err(why))
}

/// The actuator, and what it reports of one address.
pub(crate) struct Managed {
    pub(crate) address: ManagedAddress,
    pub(crate) client: NetClient,
    pub(crate) reports: Receiver<Report>,
    pub(crate) net: Net,
    pub(crate) cidr: Cidr,
    interface: String,
}

/// What takes longer may have happened only because everything is compared every five seconds.
/// It is far more than is needed, for a machine that is busy with other tests.
pub(crate) const UNASKED: Duration = Duration::from_secs(3);

/// A burst of two announcements and nothing after it, so that a second burst can be told from the
/// rest of the first.
pub(crate) const TWICE: Announce =
    Announce { fixed: Some((Duration::from_millis(100), 2)), rate: Announce::RATE };

/// Starts an actuator that manages one address on `v0`.
pub(crate) fn manage(text: &str) -> Managed {
    manage_with(Announce::default(), text, "v0")
}

/// The same; an address that is there without LinK's mark is taken for LinK's.
pub(crate) fn adopt(text: &str) -> Managed {
    manage_as(Announce::default(), text, "v0", true)
}

/// Starts an actuator with a schedule that manages one address on an interface.
pub(crate) fn manage_with(announce: Announce, text: &str, interface: &str) -> Managed {
    manage_as(announce, text, interface, false)
}

fn manage_as(announce: Announce, text: &str, interface: &str, adopts: bool) -> Managed {
    let net = Net::start(announce, Connections::Reset).unwrap();
    let client = net.client();
    let (sink, reports) = sink();
    let address = client.manage(cidr(text), interface, adopts, sink);
    Managed { address, client, reports, net, cidr: cidr(text), interface: interface.to_owned() }
}

/// Reports and the channel on which they arrive; without those of what is heard by the way, and of an
/// owner that has missed a question and answers the next.
pub(crate) fn sink() -> (Reports, Receiver<Report>) {
    let (doubted, (tx, rx)) = (AtomicBool::new(false), unbounded());
    let send = move |report| match report {
        Report::Hearing(_) | Report::AlsoMissed(_) => {}
        Report::Owner(Liveness::Doubted) => doubted.store(true, Ordering::Relaxed),
        Report::Owner(Liveness::Alive) if doubted.swap(false, Ordering::Relaxed) => {}
        report @ (Report::Interface(_)
        | Report::Bound(_)
        | Report::Failed(_)
        | Report::Probed(_)
        | Report::Claimed { .. }
        | Report::Owner(_)) => {
            doubted.fetch_and(!matches!(report, Report::Owner(_)), Ordering::Relaxed);
            tx.send(report).unwrap();
        }
    };
    (Box::new(send), rx)
}

/// Reports of one kind and the channel on which they arrive.
pub(crate) fn sink_of(wanted: fn(&Report) -> bool) -> (Reports, Receiver<Report>) {
    let (tx, rx) = unbounded();
    let send = move |report| {
        if wanted(&report) {
            tx.send(report).unwrap();
        }
    };
    (Box::new(send), rx)
}

impl Managed {
    /// Says where the address should be.
    pub(crate) fn set(&self, desired: Desired) {
        self.address.set(desired);
    }

    /// The next report is this one.
    pub(crate) fn expect(&self, report: Report) {
        assert_eq!(self.reports.recv_timeout(PATIENCE), Ok(report));
    }

    /// The next report is a failure for a reason that begins like this.
    pub(crate) fn expect_failure(&self, reason: &str) {
        let Ok(Report::Failed(failure)) = self.reports.recv_timeout(PATIENCE) else {
            panic!("no failure was reported");
        };
        assert!(failure.to_string().starts_with(reason), "{failure}");
    }

    /// The first reports: a usable interface, and whether the address is there.
    pub(crate) fn expect_start(&self, bound: bool) {
        let first = self.reports.recv_timeout(PATIENCE);
        assert!(matches!(first, Ok(Report::Interface(Ok(_)))), "{first:?}");
        self.expect(Report::Bound(bound));
    }

    /// The interface becomes usable; on its way it may be without carrier for a moment.
    pub(crate) fn expect_usable(&self) {
        let carrier = unusable(Unusable::NoCarrier);
        let next = || self.reports.recv_timeout(PATIENCE);
        let report = std::iter::repeat_with(next).find(|report| report.as_ref() != Ok(&carrier));
        assert_eq!(report, Some(Ok(usable(&self.interface))));
    }

    /// Binds the address, which was not bound.
    pub(crate) fn bind(&self) {
        self.expect_start(false);
        self.set(Desired::Bound);
        self.expect(Report::Bound(true));
    }

    /// Waits until everything that was ordered is done.
    pub(crate) fn settle(&self) {
        settle(&self.client);
    }

    /// Everything that was ordered is done, and nothing more was reported.
    pub(crate) fn expect_silence(&self) {
        self.settle();
        assert_eq!(self.reports.try_recv().ok(), None);
    }
}

/// Waits until everything that was ordered is done: a question is answered after that. It may be
/// asked in vain while the kernel tears other tests' namespaces down, behind the same lock.
pub(crate) fn settle(client: &NetClient) {
    eventually("an answer", || client.hardware_address("lo").is_ok());
}

/// `ip monitor address`: every change that the kernel announces.
pub(crate) struct Monitor {
    child: Child,
    lines: Receiver<String>,
}

impl Monitor {
    /// Starts to listen; what happens from now on is heard.
    pub(crate) fn start() -> Monitor {
        let mut child = Command::new("ip")
            .args(["-o", "monitor", "address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = unbounded();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tx.send(line);
            }
        });
        let monitor = Monitor { child, lines };
        // It listens once it hears something; what it does not hear is said again.
        let deadline = Instant::now() + PATIENCE;
        while monitor.lines.recv_timeout(Duration::from_millis(50)).is_err() {
            assert!(Instant::now() < deadline, "ip monitor hears nothing");
            ip("addr replace 127.0.1.1/32 dev lo");
        }
        monitor.changes();
        monitor
    }

    /// What was heard up to now: a last change on `lo`, which is left out, marks the end.
    pub(crate) fn changes(&self) -> Vec<String> {
        static MARKS: AtomicU32 = AtomicU32::new(1);
        let n = MARKS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("127.1.{}.{}/32", n / 250, n % 250 + 1);
        ip(&format!("addr add {mark} dev lo"));
        let mut changes = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the mark");
            if line.contains(&mark) {
                return changes;
            }
            if !line.contains("127.") {
                changes.push(line);
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
