//! The laboratory as the scenarios see it.

use std::ops::{Index, IndexMut};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::agent::writes_traces;
use super::builder::{self, Builder};
use super::client::Client;
use super::etcd::{Etcd, Made, Protection};
use super::etcdctl::Lock;
use super::fault::Way;
use super::holders::Holders;
use super::host::{Host, HostId};
use super::namespace::Namespace;
use super::process::{self, Program};
use super::replay::{Accepted, Replay};
use super::scratch::Scratch;
use super::switch::{LAN, Switch};
use super::vip::Vip;
use super::wait::{eventually, holds_for};

/// Long enough for each standby to hear the owner's host, and for leases that begin again to go on.
const CALM: Duration = Duration::from_secs(2);

/// The laboratory. Fields are dropped from top to bottom: agents first.
pub(crate) struct Lab {
    hosts: Vec<Host>,
    /// The etcd cluster, of no member if so built.
    pub(crate) etcd: Etcd,
    /// The machine that uses the VIPs.
    pub(crate) client: Client,
    switch: Arc<Switch>,
    folder: Scratch,
    replay: Mutex<Replay>,
}

impl Lab {
    /// A lab with so many hosts and one etcd member, without TLS and passwords.
    pub(crate) fn new(hosts: u8) -> Lab {
        Lab::builder(hosts).build()
    }

    /// A lab to be described further.
    pub(crate) fn builder(hosts: u8) -> Builder {
        Builder::new(hosts)
    }

    /// A lab of parts that were made and joined by a [`Builder`].
    pub(super) fn new_from(
        hosts: Vec<Host>,
        etcd: Etcd,
        client: Client,
        switch: Arc<Switch>,
        folder: Scratch,
    ) -> Lab {
        let mut lab = Lab { hosts, etcd, client, switch, folder, replay: Mutex::default() };
        for id in lab.ids() {
            let own = lab.member_on(id).unwrap_or_default();
            let mut environment = lab.etcd.environment();
            environment.insert("ETCD_HOSTS".to_owned(), lab.etcd.endpoints_from(own));
            lab[id].set_defaults(&environment);
        }
        lab
    }

    /// A lab whose agents all run and all offer the VIP.
    #[track_caller]
    pub(crate) fn sharing(hosts: u8, vip: Vip) -> Lab {
        let mut lab = Lab::new(hosts);
        lab.start_all();
        lab.offer(vip);
        lab
    }

    /// The ids of all hosts.
    pub(crate) fn ids(&self) -> Vec<HostId> {
        self.hosts.iter().map(Host::id).collect()
    }

    /// Starts an agent on each host, with the lab's defaults.
    #[track_caller]
    pub(crate) fn start_all(&mut self) {
        self.hosts.iter_mut().for_each(Host::start);
    }

    /// Starts an agent on each host, with these variables beside or instead of the lab's defaults.
    #[track_caller]
    pub(crate) fn start_all_with(&mut self, changes: &[(&str, &str)]) {
        self.hosts.iter_mut().for_each(|host| host.start_with(changes));
    }

    /// Registers the VIP on each host that has an agent, in order.
    #[track_caller]
    pub(crate) fn offer(&self, vip: Vip) {
        for host in self.hosts.iter().filter(|host| host.has_agent()) {
            host.api().add(vip);
        }
    }

    /// Registers the VIP on each host that has an agent; the first of them owns it.
    #[track_caller]
    pub(crate) fn offer_in_order(&self, vip: Vip) {
        let mut hosts = self.hosts.iter().filter(|host| host.has_agent());
        let first = hosts.next().expect("an agent runs");
        first.api().add(vip);
        assert_eq!(self.await_owner(vip), first.id());
        hosts.for_each(|host| drop(host.api().add(vip)));
    }

    /// The hosts whose kernel has the address now.
    pub(crate) fn bound_on(&self, vip: Vip) -> Vec<HostId> {
        let hosts = self.hosts.iter().filter(|host| host.is_powered());
        hosts.filter(|host| host.binds(vip.ip())).map(Host::id).collect()
    }

    /// Starts to watch which hosts have the address, on one clock for all of them.
    pub(crate) fn watch_holders(&self, vip: Vip) -> Holders {
        Holders::watch(&self.hosts, vip.ip())
    }

    /// The lock of the VIP, if somebody holds it.
    pub(crate) fn lock(&self, vip: Vip) -> Option<Lock> {
        self.etcd.lock(&vip.election_key())
    }

    /// Waits until exactly one host binds the VIP and the same one holds its lock.
    #[track_caller]
    pub(crate) fn await_owner(&self, vip: Vip) -> HostId {
        let mut owner = None;
        eventually(&format!("exactly one owner of {vip}, with its lock"), || {
            owner = self.owner(vip);
            owner.is_some()
        });
        owner.expect("there is one")
    }

    /// Waits until exactly one host other than that one owns the VIP.
    #[track_caller]
    pub(crate) fn await_owner_other_than(&self, former: HostId, vip: Vip) -> HostId {
        let mut owner = None;
        eventually(&format!("another owner of {vip} than {former}"), || {
            owner = self.owner(vip).filter(|owner| *owner != former);
            owner.is_some()
        });
        owner.expect("there is one")
    }

    /// Waits until a host owns the VIP, the others with agents stand by, and nothing moves for a while;
    /// all of them know the client then.
    #[track_caller]
    pub(crate) fn await_calm(&self, vip: Vip) -> HostId {
        let owner = self.await_owner(vip);
        self.await_reachable(vip);
        for host in self.hosts.iter().filter(|host| host.has_agent()) {
            let status = if host.id() == owner { "ACTIVATED" } else { "STANDBY" };
            host.await_status(vip, status);
            eventually("it is there", || self.client.reaches(host.address().into()));
        }
        holds_for(CALM, "nothing moves", || self.bound_on(vip) == [owner]);
        owner
    }

    /// The host that owns the VIP, if it is the only one that binds it and holds the lock.
    pub(crate) fn owner(&self, vip: Vip) -> Option<HostId> {
        let &[only] = self.bound_on(vip).as_slice() else {
            return None;
        };
        let lock = self.lock(vip)?;
        (lock.holder == only.to_string()).then_some(only)
    }

    /// Waits until the client gets an answer from the VIP.
    #[track_caller]
    pub(crate) fn await_reachable(&self, vip: Vip) {
        eventually(&format!("the client reaches {vip}"), || self.client.reaches(vip.ip()));
    }

    /// Some host that is not that one.
    pub(crate) fn other_than(&self, host: HostId) -> HostId {
        let other = self.ids().into_iter().find(|id| *id != host);
        other.expect("the lab has more than one host")
    }

    /// The member of etcd on that host; the first is 0.
    pub(crate) fn member_on(&self, host: HostId) -> Option<usize> {
        let (_, nic) = self[host].place_of_etcd();
        self.etcd.ports().iter().position(|port| *port == nic.port)
    }

    /// Has the member of etcd on that host lead, if there is one.
    #[track_caller]
    pub(crate) fn lead_on(&self, host: HostId) {
        if let Some(member) = self.member_on(host) {
            self.etcd.lead(member);
        }
    }

    /// Takes a host out at once, as [`Host::power_off`] does, with its member of etcd.
    pub(crate) fn power_off(&mut self, host: HostId) {
        self[host].power_off();
        if let Some(member) = self.member_on(host) {
            self.etcd.kill(member);
        }
    }

    /// Powers a host on again, with its member of etcd, and without an agent.
    pub(crate) fn power_on(&mut self, host: HostId) {
        self[host].power_on();
        if let Some(member) = self.member_on(host) {
            self.etcd.start_member(member);
        }
    }

    /// Drops, silently, what goes between a host and etcd: a black hole.
    pub(crate) fn cut_from_etcd(&self, host: HostId, way: Way) {
        self[host].cut(&self.etcd.addresses(), way);
    }

    /// Drops, silently, all frames from one host to another, ARP too.
    pub(crate) fn block_wire(&self, from: HostId, to: HostId) {
        self.switch.block(&from.to_string(), &to.to_string());
    }

    /// Cuts a host off the LAN silently: its carrier stays.
    pub(crate) fn isolate(&self, host: HostId) {
        self.isolate_one_way(host, Way::Both);
    }

    /// Drops, silently, what comes in from the LAN, what goes out to it, or both.
    pub(crate) fn isolate_one_way(&self, host: HostId, way: Way) {
        let port = host.to_string();
        self.switch.isolate(&port, way);
        if let Some(member) = self.etcd.ports().iter().position(|other| *other == port) {
            self.etcd.expect_nothing_of(member);
        }
    }

    /// Drops, silently, what comes in from the LAN and what goes out to it, for exactly that long.
    pub(crate) fn pause_wire(&self, host: HostId, duration: Duration) {
        self.switch.pause(&host.to_string(), duration);
    }

    /// Loses so many of a hundred frames at random from now on, ARP too.
    pub(crate) fn lose_frames(&self, percent: u8) {
        self.switch.lose(percent);
    }

    /// Cuts a member of etcd off everything silently, as if it had lost its power; the first is 0.
    pub(crate) fn isolate_member(&self, member: usize) {
        self.switch.isolate(self.etcd.ports()[member], Way::Both);
        self.etcd.expect_nothing_of(member);
    }

    /// Cuts a member of etcd off the other members, silently, but not off the hosts.
    pub(crate) fn cut_from_members(&self, member: usize) {
        let ports = self.etcd.ports();
        for other in ports.iter().filter(|port| **port != ports[member]) {
            self.switch.block(ports[member], other);
            self.switch.block(other, ports[member]);
        }
        self.etcd.expect_nothing_of(member);
    }

    /// The member of etcd to which a host has a connection.
    #[track_caller]
    pub(crate) fn member_in_use(&self, host: HostId) -> usize {
        let addresses = self.etcd.addresses();
        let in_use = addresses.iter().position(|member| self[host].is_connected_to(*member, 2379));
        in_use.unwrap_or_else(|| panic!("{host} is connected to no member"))
    }

    /// Undoes all that was cut at the switch: [`Lab::block_wire`], [`Lab::isolate`] and the like.
    pub(crate) fn heal_wire(&self) {
        self.switch.unblock();
        self.etcd.expect_all();
    }

    /// Takes the carrier from a host's `eth0`, or gives it back.
    pub(crate) fn set_carrier(&self, host: HostId, carrier: bool) {
        let port = host.to_string();
        if carrier {
            self.switch.replug(&port);
        } else {
            self.switch.unplug(&port);
        }
    }

    /// Starts another etcd, which knows nothing of the lab's own, on the same LAN.
    pub(crate) fn another_etcd(&self) -> Etcd {
        self.etcd.becomes_another();
        let folder = self.folder.path().join("another");
        std::fs::create_dir(&folder).expect("make a folder for another etcd");
        let (name, nic) = ("another", builder::nic("another", 90, LAN));
        let namespace = Namespace::create(format!("{}-{name}", self.folder.name()));
        self.switch.plug_in(&namespace, &nic);
        let made = Made { release: None, flags: &[], folder: &folder };
        Etcd::start(vec![(Arc::new(namespace), nic)], Protection::default(), made)
    }

    /// A folder for files of the test, gone with the lab.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Runs a program on a host to its end, with this environment alone.
    pub(crate) fn run_on(&self, host: HostId, program: &Program) -> Output {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().envs(&program.environment);
        self[host].namespace().output(&mut command)
    }

    /// Has the model do what the agents have done since the last time: the step that it does not do, if there is one.
    pub(crate) fn replay(&self) -> Result<Accepted, String> {
        let mut replay = self.replay.lock().expect("no test has panicked");
        for host in &self.hosts {
            replay.follow(&host.name(), &host.trace())?;
        }
        Ok(replay.accepted())
    }

    /// The same when all agents have ended, and compares it with the history of etcd, if that can be had.
    fn replay_all(&self) -> Result<Accepted, String> {
        self.replay()?;
        let mut replay = self.replay.lock().expect("no test has panicked");
        for host in self.hosts.iter().filter(|host| host.lives > 0) {
            let moved = process::tail(&host.log(), usize::MAX).contains("-> ACTIVATED (");
            if moved && writes_traces() && !replay.has_elections(&host.name()) {
                return Err(format!("{} has written no trace", host.name()));
            }
            if host.lives > 1 {
                replay.lives_again(&host.name());
            }
        }
        if replay.accepted().steps > 0 {
            self.etcd.history().map_or(Ok(()), |history| replay.judge_locks(&history))?;
        }
        Ok(replay.accepted())
    }

    /// What is known when a test fails.
    fn report(&self) -> String {
        let mut report = String::new();
        for host in &self.hosts {
            let addresses = host.addresses();
            let log = process::tail(&host.log(), 80);
            report += &format!("---- {}: {addresses:?}\n{log}\n", host.name());
        }
        for log in self.etcd.logs() {
            report += &format!("---- {}\n{}\n", log.display(), process::tail(log, 10));
        }
        report
    }
}

impl Index<HostId> for Lab {
    type Output = Host;

    fn index(&self, id: HostId) -> &Host {
        &self.hosts[usize::from(id.0) - 1]
    }
}

impl IndexMut<HostId> for Lab {
    fn index_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[usize::from(id.0) - 1]
    }
}

impl Drop for Lab {
    #[allow(clippy::print_stderr, reason = "libtest shows it with the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.report());
            return;
        }
        self.hosts.iter_mut().for_each(Host::kill);
        let begun = Instant::now();
        match self.replay_all() {
            Ok(accepted) => eprintln!("the model accepts {accepted:?} in {:?}", begun.elapsed()),
            Err(refused) => panic!("the model does not do this: {refused}\n{}", self.report()),
        }
    }
}
