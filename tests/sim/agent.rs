//! One life of an agent: the supervisor's core, the cores of its elections with their drivers, and its
//! client of etcd. What is in this file stands for the threads of the product.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::checks::Counter;
use link::election::core::{Core as ElectionCore, CoreConfig as ElectionConfig, Reason};
use link::election::driver::Driver;
use link::election::{Part, Status, Tally};
use link::failure_detector::Timing;
use link::lock::{self, Candidate, Holder};
use link::network::Hearing;
use link::policy::{CrashDetection, Defaults};
use link::preference::Preference;
use link::store::{Instance, Record};
use link::supervisor::core::{
    Core, CoreConfig, Event as SupervisorEvent, Permits, Serial, Subject, Timer,
};
use link::vip::{Cidr, ElectionKey, Slot, VipId};

use crate::client::Client;
use crate::lan::{Monitoring, Probing};
use crate::memory_etcd::Millis;
use crate::setup::{IPS, IpId, Policies, cidr, ip_of};
use crate::times::{FALL, INTERVAL, LOSS, RENEWAL, RISE};
use crate::world::Process;

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) core: Core,
    pub(crate) instance: Instance,
    pub(crate) policies: Policies,
    pub(crate) timers: BTreeMap<Timer, Millis>,
    pub(crate) elections: BTreeMap<Slot, Election>,
    pub(crate) client: Client,
    /// Since when it does not run, if so, and what has come since.
    pub(crate) frozen: Option<Millis>,
    pub(crate) held_up: VecDeque<Process>,
    /// Until when its supervisor has other things to do, and what it has not looked at since.
    pub(crate) busy_until: Millis,
    pub(crate) unread: VecDeque<SupervisorEvent>,
    /// What is heard on the interface of the IPs, and what will be found to be heard, and when.
    pub(crate) hearing: Hearing,
    pub(crate) hears: Option<(Hearing, Millis)>,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// It has read its records from etcd.
    pub(crate) loaded: bool,
}

/// One election on one host: of an IP, or of a group of them.
#[derive(Debug)]
pub(crate) struct Election {
    /// Tells it from those that had the same number before.
    pub(crate) serial: Serial,
    /// For what an owner is elected.
    pub(crate) key: ElectionKey,
    /// The IP; of a group, the first.
    pub(crate) ip: IpId,
    pub(crate) id: VipId,
    pub(crate) cidr: Cidr,
    /// All of them, and those that are checked.
    pub(crate) ips: Vec<IpId>,
    pub(crate) checked: Vec<IpId>,
    pub(crate) driver: Driver,
    /// When the driver is going to be woken up.
    pub(crate) wakes_at: Option<Millis>,
    /// Where the address should be; as it is found, if nothing was said yet.
    pub(crate) desired: Option<bool>,
    /// Numbers the settings of the checks, if there are checks.
    pub(crate) checks: Option<u64>,
    /// What their results come to.
    pub(crate) counter: Counter,
    pub(crate) probing: Option<Probing>,
    pub(crate) monitoring: Option<Monitoring>,
    /// Numbers the times that each of these begins.
    pub(crate) probes: u64,
    pub(crate) monitors: u64,
    pub(crate) rounds: u64,
    pub(crate) holder: Option<Holder>,
    /// The other candidates that it was told last, and when; and when a request of it has failed last.
    pub(crate) known: Option<(Vec<Candidate>, Millis)>,
    pub(crate) unanswered: Millis,
    /// The lease of the owner that it was told is dead, and when.
    pub(crate) dead: Option<(i64, Millis)>,
    /// When it last heard who holds the lock.
    pub(crate) seen: Millis,
    /// When it last gave the IP up for another host.
    pub(crate) yielded: Millis,
    pub(crate) shown: Option<Status>,
    /// etcd has refused the last request.
    pub(crate) refused: bool,
    /// It has given the IP up, and waits for the kernel until then.
    pub(crate) left: Option<Millis>,
    /// By a bug: it hears and orders nothing any more.
    pub(crate) unsubscribed: bool,
    /// By a bug: the acknowledgement that is asked for before everything else, and the lease of the lock.
    pub(crate) owed: Option<(lock::Request, i64)>,
}

impl Agent {
    pub(crate) fn new(
        host: &str,
        instance: Instance,
        policies: Policies,
        new_id: fn() -> VipId,
    ) -> Agent {
        let config = CoreConfig {
            host: host.to_owned(),
            instance: instance.clone(),
            interface: "eth0".to_owned(),
            permits: Permits { max_ips: None, commands: false },
            defaults: Defaults { loss: policies.loss, priority: policies.priority },
            renewal: Duration::from_millis(RENEWAL),
            loss_after: Duration::from_millis(LOSS),
            detection: (policies.crash != CrashDetection::Off).then_some(Timing {
                interval: Duration::from_millis(INTERVAL),
                alone: policies.crash == CrashDetection::Fast,
                last_sign: Duration::ZERO,
            }),
            new_id,
            unix_time: || 0,
            etcd_addresses: Vec::new(),
            started: 0,
        };
        Agent {
            core: Core::new(config),
            instance,
            policies,
            timers: BTreeMap::new(),
            elections: BTreeMap::new(),
            client: Client::new(host),
            frozen: None,
            held_up: VecDeque::new(),
            busy_until: 0,
            unread: VecDeque::new(),
            hearing: Hearing::Unknown,
            hears: None,
            stopping: false,
            loaded: false,
        }
    }

    /// The election that has an IP: of two, the one that was started last.
    pub(crate) fn election(&self, ip: IpId) -> Option<&Election> {
        self.elections.values().rev().find(|election| election.ips.contains(&ip))
    }

    pub(crate) fn slots(&self, ip: IpId) -> Vec<Slot> {
        let of_ip = self.elections.iter().filter(|(_, election)| election.ips.contains(&ip));
        of_ip.map(|(slot, _)| *slot).collect()
    }
}

impl Election {
    pub(crate) fn new(
        subject: &Subject,
        host: &str,
        policies: Policies,
        (company, first): (bool, bool),
        now: Instant,
    ) -> Election {
        let record = subject.records.first().expect("an election is about something");
        let ip = |record: &Record| ip_of(record.cidr).expect("one of the IPs");
        let ips: Vec<IpId> = subject.records.iter().map(ip).collect();
        let checked = subject.records.iter().filter(|record| !record.checks.is_empty());
        let checked: Vec<IpId> = checked.map(ip).collect();
        let priority = record.priority.unwrap_or(policies.priority);
        let preference = Preference::new(priority, &subject.key.text(), host);
        // By a bug, none of its equals is before it.
        let weight = if first { u64::MAX } else { preference.weight };
        let config = ElectionConfig {
            host: host.to_owned(),
            preference: Preference { weight, ..preference },
            company,
            checked: !checked.is_empty(),
            loss: record.loss.unwrap_or(policies.loss),
            all_failing: policies.all_failing,
        };
        Election {
            serial: Serial::default(),
            key: subject.key.clone(),
            ip: ip(record),
            id: record.id.clone(),
            cidr: record.cidr,
            ips,
            driver: Driver::new(ElectionCore::new(config), now),
            wakes_at: None,
            desired: None,
            checks: (!checked.is_empty()).then_some(0),
            checked,
            counter: Counter::new(RISE, FALL, false),
            probing: None,
            monitoring: None,
            probes: 0,
            monitors: 0,
            rounds: 0,
            holder: None,
            known: None,
            unanswered: 0,
            dead: None,
            seen: 0,
            yielded: 0,
            shown: None,
            refused: false,
            left: None,
            unsubscribed: false,
            owed: None,
        }
    }

    /// Whether the kernel has all of its addresses.
    pub(crate) fn are_bound(&self, kernel: &[bool; IPS]) -> bool {
        self.ips.iter().all(|ip| kernel[*ip])
    }

    /// What it shows of itself; without the texts, which nobody reads here.
    pub(crate) fn status(&self, kernel: &[bool; IPS]) -> Status {
        let core = self.driver.core();
        let part = |ip: &IpId| Part {
            cidr: cidr(*ip),
            bound: kernel[*ip],
            checks: usize::from(self.checked.contains(ip)),
        };
        let parts =
            if self.ips.len() > 1 { self.ips.iter().map(part).collect() } else { Vec::new() };
        Status {
            shortage: None,
            tally: Tally::default(),
            next: core.is_next(),
            drained_last: core.reason() == Reason::DrainedLast,
            checked: None,
            checks: Arc::default(),
            claimed: None,
            state: core.state(),
            since: self.driver.since(),
            reason: String::new(),
            owner: core.owner().map(str::to_owned),
            group: core.group(),
            awaited: core.awaited().map(|(host, lease)| (host.to_owned(), lease)),
            bound: self.are_bound(kernel),
            parts,
            candidate: core.candidacy(),
            interface_usable: core.interface_is_usable(),
            hears_others: core.hears_others(),
            trouble: core.troubles().into_iter().map(|trouble| format!("{trouble:?}")).collect(),
        }
    }
}
