//! The lab in which it happens. What is done to it is in [`super::strike`], whether all is well in it
//! in [`super::well`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::policy::LossPolicy;
use link::wire::{Ip, IpList};
use serde_json::{Value, json};

use super::calls::{Caller, Ledger};
use super::growth::Growth;
use super::scrapes::{Scraped, Scrapes};
use super::surroundings::Surroundings;
use super::watch::Watch;
use super::well::lasting_addresses;
use crate::harness::{H1, H2, H3, HostId, Lab, Pinger, VIP, VIP2, VIP6, Vip, eventually, until};

/// The IPs that the hosts share. Each is first offered on another host.
pub(crate) const VIPS: [Vip; 3] = [VIP, VIP2, VIP6];

/// The number of the one with a service behind it.
pub(crate) const CHECKED: usize = 1;

/// The hosts.
pub(crate) const HOSTS: [HostId; 3] = [H1, H2, H3];

/// The IPs of a soak besides: with them there are 20. Nobody pings them.
pub(super) const COMPANIONS: std::ops::RangeInclusive<u16> = 201..=217;

/// The host whose agent is never ended in a soak.
pub(super) const SPARED: HostId = H3;

/// What each IP of a [`Stage`] has as its policy in turn, where the policy is called `each`.
const EACH: [LossPolicy; VIPS.len()] = [LossPolicy::Take, LossPolicy::Probe, LossPolicy::Hold];

/// The port of the service, on each host's loopback.
const PORT: u16 = 8080;

/// A check of a password takes a core of etcd's a third of a second.
const SLOW: &[&str] = &["--bcrypt-cost=12"];

/// Between two looks whether something is over.
const TURN: Duration = Duration::from_millis(10);

/// What the agents are started with; [`super::bounds`] is derived from it.
pub(crate) const ENVIRONMENT: [(&str, &str); 5] = [
    ("KEEPALIVE_INTERVAL", "500ms"),
    ("KEEPALIVE_RETRY", "7"),
    ("HEALTH_CHECK_INTERVAL", "300ms"),
    ("HEALTH_CHECK_TIMEOUT", "300ms"),
    ("FAIL_COUNT_BEFORE_FAILOVER", "2"),
];

/// The lab with its agents, its services and the watch.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) watch: Watch,
    pub(crate) scrapes: Scrapes,
    pub(super) services: BTreeMap<HostId, TcpListener>,
    /// The addresses of each host without the IPs: they must stay as they are.
    pub(super) own: BTreeMap<HostId, Vec<IpAddr>>,
    pub(super) surroundings: Surroundings,
    /// What is done with each IP without etcd; that of the first is what the agents do by default.
    losses: [LossPolicy; VIPS.len()],
    /// The IPs of a soak besides.
    pub(super) companions: Vec<Vip>,
    /// The host whose agent must not be ended.
    pub(super) spared: Option<HostId>,
    passwords: bool,
    /// How long a look at what etcd has took at most in this round.
    pub(super) longest_look: Cell<Duration>,
    /// Who must not be touched now: a fault that lasts is being done to it.
    pub(super) struck: Vec<HostId>,
    /// What etcd had when the first IP was registered, and the others were not.
    pub(super) snapshot: PathBuf,
    /// What the APIs have answered to the calls at random.
    pub(crate) ledger: Ledger,
    pub(super) caller: Option<Caller>,
    /// What the next calls are drawn from.
    pub(crate) seed: u64,
}

impl Stage {
    /// Three hosts with agents that share the IPs, a client, and etcd on a network of its own, which
    /// may ask for passwords. The policy is a word of `ETCD_LOSS_POLICY`, or `each`.
    pub(crate) fn new(policy: &str, detection: &str, passwords: bool) -> Stage {
        let builder = Lab::builder(3).etcd_members(3).management_network();
        let builder = if passwords { builder.password().etcd_flags(SLOW) } else { builder };
        let mut lab = builder.build();
        let surroundings = Surroundings::new(&mut lab);
        let endpoints = surroundings.endpoints(&lab);
        let watch = Watch::start(HOSTS.map(|host| (host, lab[host].monitor_addresses())));
        let scraped = |host| {
            let (api, monitor) = (lab[host].api(), lab[host].monitor_addresses());
            let namespace = Arc::clone(lab[host].namespace());
            let shown = move |ip| namespace.ip(&format!("-o address show to {ip}"));
            Scraped { host, api, monitor, look: Box::new(move |ip| !shown(ip).is_empty()) }
        };
        let scrapes = Scrapes::start(HOSTS.map(scraped));
        let services = HOSTS.map(|host| (host, listen(&lab, host)));
        let own = HOSTS.map(|host| (host, lasting_addresses(&lab, host)));
        let losses = if policy == "each" { EACH } else { [policy.parse().expect("a policy"); 3] };
        let policy = losses[0].to_string();
        for host in HOSTS {
            let chosen = [
                ("ETCD_LOSS_POLICY", policy.as_str()),
                ("CRASH_DETECTION", detection),
                ("ETCD_HOSTS", &endpoints),
            ];
            lab[host].start_with(&[&ENVIRONMENT[..], &chosen].concat());
        }
        let snapshot = lab.folder().join("snapshot");
        let mut stage = Stage {
            lab,
            watch,
            scrapes,
            services: services.into(),
            own: own.into(),
            surroundings,
            passwords,
            longest_look: Cell::default(),
            losses,
            companions: Vec::new(),
            spared: None,
            struck: Vec::new(),
            snapshot,
            ledger: Ledger::default(),
            caller: None,
            seed: 0,
        };
        for (number, vip) in VIPS.into_iter().enumerate() {
            for host in 0..HOSTS.len() {
                stage.offer(HOSTS[(number + host) % HOSTS.len()], number, vip);
            }
            if number == 0 {
                stage.lab.etcd.save(&stage.snapshot);
            }
        }
        stage
    }

    fn offer(&mut self, host: HostId, number: usize, vip: Vip) {
        let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": PORT });
        let checks = if number == CHECKED { json!([check]) } else { json!([]) };
        self.register(host, vip, self.loss(number), json!({ "checks": checks }));
        eventually("somebody owns it", || {
            self.serve();
            self.lab.owner(vip).is_some()
        });
    }

    /// Has the hosts share 20 IPs, which have each of the policies in turn, and has the agent run all the time of
    /// which it gives the growth.
    pub(crate) fn soak(&mut self) -> Growth {
        self.companions = COMPANIONS.map(Vip::v4).collect();
        for (number, vip) in self.companions.iter().enumerate() {
            for host in HOSTS {
                self.register(host, *vip, self.loss(number), json!({}));
            }
        }
        self.spared = Some(SPARED);
        Growth::begin(self, SPARED)
    }

    /// Registers an IP, with its policy where that is not what the agents do by default.
    fn register(&self, host: HostId, vip: Vip, loss: LossPolicy, mut record: Value) {
        record["ip"] = json!(vip.to_string());
        if loss != self.losses[0] {
            record["etcd_loss_policy"] = json!(loss);
        }
        self.lab[host].api().create(&record);
    }

    /// What is done without etcd with the IP that has this number.
    pub(crate) fn loss(&self, number: usize) -> LossPolicy {
        self.losses[number % self.losses.len()]
    }

    /// How long it may take until every agent has a token: each needs a check of its password, and so
    /// does a look of the lab itself, on a machine with fewer cores than that, which is busy besides.
    pub(crate) fn token(&self) -> Duration {
        let checks = 1 + u32::try_from(HOSTS.len()).unwrap_or(u32::MAX);
        if self.passwords { checks * self.longest_look.get() } else { Duration::ZERO }
    }

    /// Has an etcd that was wiped ask for passwords again.
    pub(crate) fn demand_passwords(&mut self) {
        if self.passwords {
            self.lab.etcd.demand_passwords();
        }
    }

    /// Starts to ping all IPs.
    pub(crate) fn ping(&self) -> [Pinger; VIPS.len()] {
        VIPS.map(|vip| self.lab.client.ping(vip.ip()))
    }

    /// Lets the time pass until that moment.
    pub(crate) fn pass_until(&mut self, moment: Instant) {
        until(moment.saturating_duration_since(Instant::now()), || {
            self.serve();
            false
        });
        self.watch.look();
    }

    /// Starts to call the APIs at random.
    pub(super) fn start_calls(&mut self) {
        let apis = HOSTS.map(|host| (host, self.lab[host].api()));
        let ledger = std::mem::take(&mut self.ledger);
        self.caller = Some(Caller::start(apis.into(), self.seed, ledger));
    }

    /// Ends the calls, when the last one is answered.
    pub(super) fn end_calls(&mut self) {
        let Some(mut caller) = self.caller.take() else { return };
        caller.stop();
        while !caller.is_finished() {
            self.pass_until(Instant::now() + TURN);
        }
        self.ledger = caller.join();
    }

    /// Takes the connections of the health checks away, and what the agents log: neither queue is endless.
    pub(crate) fn serve(&self) {
        self.surroundings.read_logs();
        for service in self.services.values() {
            while service.accept().is_ok() {}
        }
    }

    /// Starts the services that do not run.
    pub(crate) fn start_services(&mut self) {
        for host in HOSTS {
            self.services.entry(host).or_insert_with(|| listen(&self.lab, host));
        }
    }

    /// What a host's API shows.
    pub(super) fn shown(&self, host: HostId) -> Vec<Ip> {
        let answer = self.lab[host].api().try_send("GET", "/ips", None);
        let list = answer.ok().and_then(|answer| serde_json::from_str(&answer.body).ok());
        list.map(|list: IpList| list.ips).unwrap_or_default()
    }
}

fn listen(lab: &Lab, host: HostId) -> TcpListener {
    let service = lab[host].listen(PORT);
    service.set_nonblocking(true).expect("a listener can be asked without waiting");
    service
}
