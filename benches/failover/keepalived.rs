//! keepalived 2 as a contender: VRRP on `eth0`, each host with a priority of its own.
//!
//! It runs in the foreground with files of its own and nothing of the machine's configuration. By
//! `nopreempt` it does not move an IP back, as the agent does not; only where a move by priorities is
//! measured, it preempts.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::contender::Contender;
use super::harness::{H1, HostId, Lab, Process, Program, VIP, Vip, eventually, until};
use super::linkd::MANY;

/// The priorities of the three hosts, as in the manual's examples: far enough apart that two of them
/// do not take over at the same time.
const PRIORITIES: [u8; 3] = [150, 100, 50];

/// How long keepalived may take to be a backup.
const PATIENCE: Duration = Duration::from_secs(20);

/// How keepalived is set up.
#[derive(Clone, Default)]
pub(crate) struct Setting {
    /// Seconds between two advertisements, as the configuration has it.
    pub(crate) advert: &'static str,
    /// Whether a higher priority takes the IP from its owner.
    pub(crate) preempt: bool,
    /// Whether there are many IPs instead of one.
    pub(crate) many: bool,
    /// A port that each host checks on its loopback: every second, and three failures count.
    pub(crate) check: Option<u16>,
}

/// Three hosts with keepalived.
pub(crate) struct Keepalived {
    /// Dropped before the lab.
    processes: Vec<Option<Process>>,
    priorities: [u8; 3],
    setting: Setting,
    lab: Lab,
}

/// What keepalived says of its version, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("keepalived").arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().next().map(str::to_owned)
}

impl Keepalived {
    /// Hosts that share the IP, or the many.
    pub(crate) fn start(setting: Setting) -> Keepalived {
        let lab = Lab::builder(3).etcd_members(0).build();
        let processes = lab.ids().iter().map(|_| None).collect();
        let mut keepalived = Keepalived { processes, priorities: PRIORITIES, setting, lab };
        for id in keepalived.lab.ids() {
            keepalived.launch(id);
        }
        keepalived
    }

    /// Hosts that share the IP and advertise it at that interval in seconds.
    pub(crate) fn advertising(advert: &'static str) -> Keepalived {
        Keepalived::start(Setting { advert, ..Setting::default() })
    }

    /// Hosts that share many IPs, all of them owned by the first host.
    pub(crate) fn sharing_many() -> Keepalived {
        let keepalived =
            Keepalived::start(Setting { advert: "1", many: true, ..Setting::default() });
        eventually("the host with the highest priority has all IPs", || {
            keepalived.lab[H1].addresses().len() > usize::from(MANY)
        });
        keepalived
    }

    fn launch(&mut self, host: HostId) {
        let file = |suffix| self.file(host, suffix).display().to_string();
        // Its states are looked for in the log of its present life; of one that was killed there are
        // also files with pids, which it takes for a keepalived that runs.
        for suffix in ["log", "pid", "vrrp.pid"] {
            let _ = fs::remove_file(self.file(host, suffix));
        }
        self.configure(host);
        // Without details in the log: those of 1000 announcements cost it ten seconds, in which the
        // other hosts hear nothing and take over too.
        let program = Program::new("keepalived")
            .args(["-n", "-l", "-P", "-f", &file("conf")])
            .args(["-p", &file("pid"), "-r", &file("vrrp.pid")]);
        let process = Process::start(self.lab[host].namespace(), &program, &self.file(host, "log"));
        self.processes[index(host)] = Some(process);
    }

    fn configure(&self, host: HostId) {
        let file = self.file(host, "conf");
        fs::write(&file, self.configuration(host))
            .unwrap_or_else(|error| panic!("write {}: {error}", file.display()));
    }

    fn configuration(&self, host: HostId) -> String {
        let Setting { advert, preempt, many, check } = self.setting;
        let (priority, preempt) =
            (self.priorities[index(host)], if preempt { "" } else { "nopreempt" });
        let (script, track) = check.map_or_else(Default::default, script);
        // An advertisement has room for 255 addresses: only the first of many is in it.
        let excluded = if many { (2..=MANY).map(Vip::v4).collect() } else { Vec::new() };
        let excluded = excluded.iter().fold(String::new(), |mut list, vip| {
            let _ = writeln!(list, "        {vip}");
            list
        });
        format!(
            "global_defs {{
    router_id {host}
    script_user root
}}
{script}
vrrp_instance lab {{
    state BACKUP
    {preempt}
    interface eth0
    version 3
    virtual_router_id 51
    priority {priority}
    advert_int {advert}
    {track}
    virtual_ipaddress {{
        {VIP}
    }}
    virtual_ipaddress_excluded {{
{excluded}    }}
}}
"
        )
    }

    fn file(&self, host: HostId, suffix: &str) -> PathBuf {
        self.lab.folder().join(format!("{host}.keepalived.{suffix}"))
    }

    fn process(&mut self, host: HostId) -> &mut Process {
        self.processes[index(host)].as_mut().expect("keepalived was started")
    }

    /// To the parent alone, as an operator does; it tells its child.
    fn signal(&self, host: HostId, signal: Signal) {
        let [parent, _] = self.pids(host);
        kill(Pid::from_raw(parent), signal).expect("keepalived runs");
    }

    /// The parent and the child that speaks VRRP, from their files.
    fn pids(&self, host: HostId) -> [i32; 2] {
        ["pid", "vrrp.pid"].map(|suffix| {
            let text = fs::read_to_string(self.file(host, suffix)).expect("a file with a pid");
            text.trim().parse().expect("a number")
        })
    }
}

fn index(host: HostId) -> usize {
    usize::from(host.0) - 1
}

/// The script that connects to a port, and its use.
fn script(port: u16) -> (String, String) {
    let script = format!(
        "vrrp_script service {{
    script \"/bin/bash -c '</dev/tcp/127.0.0.1/{port}'\"
    interval 1
    fall 3
    rise 1
}}"
    );
    (script, "track_script { service }".to_owned())
}

impl Contender for Keepalived {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The owner and another host change their priorities, and read them on SIGHUP.
    fn hand_over(&mut self, owner: HostId) -> Instant {
        let heir = self.lab.other_than(owner);
        self.priorities.swap(index(owner), index(heir));
        self.configure(owner);
        self.configure(heir);
        let ordered = Instant::now();
        self.signal(heir, Signal::SIGHUP);
        self.signal(owner, Signal::SIGHUP);
        ordered
    }

    fn terminate(&mut self, host: HostId) {
        self.signal(host, Signal::SIGTERM);
        self.process(host).wait();
    }

    fn restart(&mut self, host: HostId) {
        self.launch(host);
        self.await_standby(host);
    }

    fn power_off(&mut self, host: HostId) {
        self.lab[host].power_off();
        self.processes[index(host)] = None;
    }

    fn power_on(&mut self, host: HostId) {
        self.lab[host].power_on();
        self.restart(host);
    }

    fn await_standby(&self, host: HostId) {
        let process = self.processes[index(host)].as_ref().expect("keepalived was started");
        let is_backup = || {
            let log = process.log();
            log.rsplit("Entering ").next().is_some_and(|state| state.starts_with("BACKUP"))
        };
        let waited = until(PATIENCE, is_backup);
        assert!(waited, "keepalived on {host} is no backup:\n{}", process.log());
    }

    fn says_it_took(&self, _owner: HostId) -> Option<Duration> {
        None
    }

    fn processes(&self, host: HostId) -> Vec<u32> {
        self.pids(host).into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
    }
}
