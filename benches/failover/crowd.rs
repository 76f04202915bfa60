//! Many hosts that share many IPs: what each of them hears and asks adds up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::growth::processor_time;
use super::harness::{AddressChange, AddressMonitor, HostId, Lab, Vip};
use super::linkd::{Connection, offer, start_agents};
use super::options::Options;
use super::table::Row;
use super::watch::{pause, random_phase};

const HOSTS: u8 = 30;
const IPS: u16 = 100;

/// Each run has a lab of its own, and takes a minute and a half.
const RUNS: usize = 3;

/// How long etcd is away.
const AWAY: Duration = Duration::from_secs(10);

/// How long each IP must have had one owner, and how long that is waited for.
const CALM: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what the kernels have told.
const LOOK: Duration = Duration::from_millis(10);

/// The candidates are read again some seconds after the last of them has come.
const REST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);

pub(crate) fn crowd(options: &Options) -> Vec<Row> {
    let labs = (0..options.runs.min(RUNS)).map(|_| Lab::builder(HOSTS).etcd_members(3).build());
    rows("30 hosts x 100 IPs", labs)
}

/// The same with passwords, which etcd takes long to check, on all hosts at the same moment.
pub(crate) fn crowd_with_passwords(options: &Options) -> Vec<Row> {
    let lab = |_| Lab::builder(HOSTS).etcd_members(3).password().build();
    rows("30 hosts x 100 IPs, passwords", (0..options.runs.min(RUNS)).map(lab))
}

fn rows(what: &str, labs: impl Iterator<Item = Lab>) -> Vec<Row> {
    let [mut start, mut death, mut back] = [const { Vec::new() }; 3];
    let mut idle = Vec::new();
    for mut lab in labs {
        start_agents(&mut lab, &[("KEEPALIVE_INTERVAL", "")]);
        register(&lab);
        lab.ids().into_iter().for_each(|id| assert!(lab[id].terminate().success()));
        let mut census = Census::of(&lab);
        random_phase();
        let began = Instant::now();
        lab.ids().into_iter().for_each(|id| lab[id].spawn());
        start.push(census.await_one_owner_each(began));
        idle.push(idling(&lab));
        let dead = census.busiest();
        random_phase();
        let died = Instant::now();
        lab.power_off(dead);
        census.forget(dead);
        death.push(census.await_one_owner_each(died));
        lab.etcd.stop();
        pause(AWAY);
        lab.etcd.start_all();
        back.push(census.await_one_owner_each(Instant::now()));
    }
    vec![
        Row::seconds(&format!("{what}, all started at once: one owner each after"), start)
            .mark(2.0),
        Row::seconds("  a host dies: one owner each after", death).mark(0.6),
        Row::seconds("  etcd answers again after 10 s: one owner each after", back).mark(1.0),
        Row::new("  idle: processor time of an agent, on average", "% of a core", idle),
    ]
}

/// Registers all IPs on all hosts at the same time.
fn register(lab: &Lab) {
    let clients: Vec<Connection> =
        lab.ids().into_iter().map(|id| Connection::to(lab, id)).collect();
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || (1..=IPS).for_each(|ip| drop(offer(&mut client, ip, true))));
        }
    });
}

/// Percent of a core.
fn idling(lab: &Lab) -> f64 {
    pause(REST);
    let used = || lab.ids().into_iter().map(|id| processor_time(lab, id)).sum::<Duration>();
    let (before, begun) = (used(), Instant::now());
    pause(IDLE);
    let share = (used() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    share / f64::from(HOSTS) * 100.0
}

/// Which host has which IPs, as the kernels tell it.
struct Census {
    hosts: BTreeMap<HostId, (AddressMonitor, BTreeSet<IpAddr>)>,
    ips: Vec<IpAddr>,
}

impl Census {
    fn of(lab: &Lab) -> Census {
        let host = |id| {
            let monitor = lab[id].monitor_addresses();
            (id, (monitor, lab[id].addresses().into_iter().collect()))
        };
        let hosts = lab.ids().into_iter().map(host).collect();
        Census { hosts, ips: (1..=IPS).map(|number| Vip::v4(number).ip()).collect() }
    }

    /// A host that is dead has none.
    fn forget(&mut self, dead: HostId) {
        self.hosts.remove(&dead);
    }

    /// The host that has the most.
    fn busiest(&self) -> HostId {
        let busiest = self.hosts.iter().max_by_key(|(_, (_, has))| has.len());
        *busiest.expect("there are hosts").0
    }

    /// Waits until each IP has one owner, and goes on having one; how long after that moment that began.
    #[track_caller]
    fn await_one_owner_each(&mut self, moment: Instant) -> Duration {
        let deadline = Instant::now() + PATIENCE;
        let mut since: Option<Instant> = None;
        while Instant::now() < deadline {
            let now = Instant::now();
            since = if self.has_one_owner_each() { since.or(Some(now)) } else { None };
            if let Some(since) = since.filter(|since| now - *since >= CALM) {
                return since.saturating_duration_since(moment);
            }
            pause(LOOK);
        }
        panic!("not each IP has one owner: {:?}", self.owners());
    }

    fn has_one_owner_each(&mut self) -> bool {
        for (monitor, has) in self.hosts.values_mut() {
            for change in monitor.take() {
                match change {
                    AddressChange::Set(ip) => has.insert(ip),
                    AddressChange::Removed(ip) => has.remove(&ip),
                };
            }
        }
        self.owners().values().all(|owners| owners.len() == 1)
    }

    fn owners(&self) -> BTreeMap<IpAddr, Vec<HostId>> {
        let owners = |ip: &IpAddr| {
            let has = self.hosts.iter().filter(|(_, (_, has))| has.contains(ip));
            (*ip, has.map(|(id, _)| *id).collect())
        };
        self.ips.iter().map(owners).collect()
    }
}
