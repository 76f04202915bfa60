//! The invariants: the guarantees of docs/limits.md, looked at after every step.

mod calm;
mod detection;
mod facts;
mod fault_of;
mod groups;
mod owners;
mod policies;
mod turns;
mod twins;

use std::fmt;

use self::facts::Facts;
use self::twins::Twins;
use crate::fault::Fault;
use crate::memory_etcd::Millis;
use crate::setup::{HOSTS, HostId, IPS, IpId};
use crate::times::CHECK;
use crate::users::{Registered, Want};
use crate::world::World;

/// How long after the last fault everything must be well: the safety read of a watch that died without
/// a word, requests without an answer, and their repetition.
const CALM: Millis = 30_000;

/// How long nobody may have an IP, whatever happens, while a healthy host runs: a lease that begins
/// again whenever etcd does, and all that [`CALM`] is for.
const NOBODY: Millis = 60_000;

/// How long a planned move is watched, during which somebody has the IP at every moment: whoever stops
/// does not wait longer for etcd.
const PLANNED: Millis = 4_990;

/// How long an owner does not pass a lock on to a host that was not heard before.
const UNHEARD: Millis = 65_000;

/// How long a restart is watched that must not move anything.
const AFTER_RESTART: Millis = 8_000;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: Millis,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}.{:03} s: {}", self.at / 1000, self.at % 1000, self.what)
    }
}

/// What has to be remembered to judge.
#[derive(Debug)]
pub(crate) struct Audit {
    /// The last time that anything was done to all, to a host, to the network.
    disturbed: Millis,
    disturbed_host: [Millis; HOSTS],
    disturbed_wire: Millis,
    /// Faults that go on: of hosts, of services and kernels, of etcd.
    active_host: [u32; HOSTS],
    active_service: u32,
    active_etcd: u32,
    /// When something in etcd was changed by hand, or went back.
    tampered: Millis,
    /// Whose local copy is not the last one, until etcd was read.
    old_copy: [bool; HOSTS],
    pub(crate) twins: Twins,
    ips: [OfIp; IPS],
    /// Each host has a member of etcd on it.
    members: bool,
    /// When something last kept a host from being asked through etcd.
    pub(crate) impaired: [Millis; HOSTS],
    /// When a host was last declared dead that keeps its lease.
    declared: [Millis; HOSTS],
    /// What was seen to be wrong since the last look.
    wrong: Option<String>,
    /// When the network last stood still for a moment.
    paused: Option<Millis>,
    looked: Millis,
    /// Since which revision what belongs to the group does, and when that was seen first: hosts stand for it a moment later.
    regrouped: (i64, Millis),
    pub(crate) figures: Figures,
}

/// What has to be remembered of an IP.
#[derive(Clone, Debug, Default)]
struct OfIp {
    nobody_since: Option<Millis>,
    /// Since when, besides, nobody says that anything is wrong.
    quiet_since: Option<Millis>,
    able_since: [Option<Millis>; HOSTS],
    sick_since: [Option<Millis>; HOSTS],
    holder: Option<(String, i64)>,
    /// It belongs to the group.
    belongs: bool,
    /// Who held the lock before, and until when.
    moved: Option<(String, Millis)>,
    /// When an owner last took a lock back that it had passed on in vain.
    taken_back: Option<Millis>,
    /// A restart that must not move the IP, and until when.
    quick_restart: Option<(HostId, Millis)>,
    /// Until when somebody must have the IP at every moment.
    planned_until: Millis,
    nobody: Millis,
    /// The first host that has the IP, and since when.
    bound: (Option<HostId>, Millis),
    /// When another host was last seen to have the IP, by host.
    alone_since: [Millis; HOSTS],
    /// Since when more than one host has it, though all is well.
    several_since: Option<Millis>,
    /// Since when a host has a part of the group that this IP is the first of, by host.
    parted_since: [Option<Millis>; HOSTS],
    /// The owner that hears nobody while another host could have the IP, and since when.
    deaf: Option<(HostId, Millis)>,
    /// Since when the service is sick on all hosts, if all was well before and nothing has happened
    /// since.
    all_sick: Option<Millis>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) moves: u64,
    pub(crate) calm_looks: u64,
    pub(crate) longest_without_owner: Millis,
    pub(crate) without_owner: Millis,
}

impl Audit {
    pub(crate) fn new() -> Audit {
        Audit {
            disturbed: 0,
            disturbed_host: [0; HOSTS],
            disturbed_wire: 0,
            active_host: [0; HOSTS],
            active_service: 0,
            active_etcd: 0,
            tampered: 0,
            old_copy: [false; HOSTS],
            twins: Twins::default(),
            ips: Default::default(),
            members: false,
            impaired: [0; HOSTS],
            declared: [0; HOSTS],
            wrong: None,
            paused: None,
            looked: 0,
            regrouped: (0, 0),
            figures: Figures::default(),
        }
    }

    pub(crate) fn look(world: &mut World) -> Result<(), Violation> {
        let mut audit = std::mem::replace(&mut world.audit, Audit::new());
        let result = audit.judge(world);
        world.audit = audit;
        result.map_err(|what| Violation { at: world.now, what })
    }

    fn judge(&mut self, world: &mut World) -> Result<(), String> {
        let (_, revision) = world.group();
        if self.regrouped.0 != revision {
            self.regrouped = (revision, world.now);
        }
        for ip in 0..IPS {
            let facts = Facts::of(world, ip);
            self.judge_ip(world, ip, &facts)
                .map_err(|why| format!("{}: {why}", crate::setup::cidr(ip)))?;
        }
        self.twins.judge(world)?;
        self.groups_are_whole(world)?;
        self.wrong.take().map_or(Ok(()), Err)?;
        if self.is_calm(world.now) && !stands_still(world) && world.now >= self.looked + 1_000 {
            self.looked = world.now;
            self.figures.calm_looks += 1;
            calm::registrations(world)?;
            self.nobody_complains(world)?;
        }
        Ok(())
    }

    fn judge_ip(&mut self, world: &World, ip: IpId, facts: &Facts) -> Result<(), String> {
        self.somebody(world.now, ip, facts)?;
        self.sick_hosts_let_go(world, ip, facts)?;
        self.deaf_hosts_come_last(world, ip, facts)?;
        self.moves_have_reasons(world, ip, facts)?;
        self.deaf_hosts_let_go(world, ip, facts)?;
        self.owners_agree(world, ip, facts)?;
        self.planned_moves_have_no_gap(world.now, ip, facts)?;
        self.who_cannot_reach_etcd_takes(world, ip, facts)?;
        self.the_last_one_keeps_it(world, ip, facts)?;
        self.the_network_settles_it(world, facts)?;
        self.somebody_says_so(world, ip, facts)?;
        // Whoever has it because another's kernel did not take it may hand it over now.
        let moves = world.hosts.iter().any(|machine| facts::tries_again(machine, ip, world.now));
        let stands = world.now >= self.regrouped.1 + groups::STANDS;
        if self.is_calm(world.now) && !stands_still(world) && !moves && stands {
            let unheard = self.ips[ip].taken_back.is_some_and(|at| world.now < at + UNHEARD);
            calm::exactly_one(world, ip, facts, unheard)?;
            self.the_client_finds_it(world, ip, facts)?;
        }
        Ok(())
    }

    /// True when nothing was done for long enough, to anybody; but services may be sick all the time.
    fn is_calm(&self, now: Millis) -> bool {
        let active = self.active_host.iter().sum::<u32>() + self.active_etcd;
        active == 0 && now >= self.disturbed + CALM
    }

    /// True when, besides, no service is sick.
    pub(crate) fn is_well(&self, now: Millis) -> bool {
        self.is_calm(now) && self.active_service == 0
    }

    /// True when nothing was done for long enough, to this host.
    fn is_undisturbed(&self, host: HostId, now: Millis) -> bool {
        self.active_host[host] == 0 && now >= self.disturbed_host[host] + CALM
    }

    /// Takes note of a fault before it is done.
    pub(crate) fn fault(world: &mut World, fault: Fault) {
        let mut audit = std::mem::replace(&mut world.audit, Audit::new());
        audit.note_plans(world, fault);
        audit.note_doubts(world, fault);
        audit.members = world.members;
        // Two moments, one after the other, are longer than one.
        if matches!(fault, Fault::Pause { .. }) {
            if audit.paused.is_some_and(|at| world.now < at + 1_000) {
                audit.disturbed_host.fill(world.now);
                audit.disturbed = world.now;
            }
            audit.paused = Some(world.now);
        }
        audit.disturb(world.now, fault);
        if fault.lasts().is_some() {
            audit.go_on(fault, true);
        }
        world.audit = audit;
    }

    pub(crate) fn heal(world: &mut World, fault: Fault) {
        world.audit.go_on(fault, false);
        world.audit.ips.iter_mut().for_each(|of_ip| of_ip.all_sick = None);
        world.audit.disturb(world.now, fault);
    }

    /// What must not move or have a gap because of a fault.
    fn note_plans(&mut self, world: &World, fault: Fault) {
        let (now, well) = (world.now, self.is_well(world.now));
        let restarted = match fault {
            Fault::Restart { host, after } if after <= 1_500 => Some((host, after)),
            Fault::Reload { host } => Some((host, 0)),
            _ => None,
        };
        for ip in 0..IPS {
            let activated = |host: HostId| {
                let election = world.hosts[host].agent.as_ref().and_then(|it| it.election(ip));
                election.is_some_and(facts::is_activated)
            };
            let of_ip = &mut self.ips[ip];
            let quick = restarted.filter(|(host, _)| well && activated(*host));
            let quick = quick.map(|(host, after)| (host, now + after + AFTER_RESTART));
            // What is done to another host moves nothing either.
            let goes_on = |(host, _): &(HostId, Millis)| {
                let victims = fault.victims();
                !victims.is_empty() && !victims.contains(host)
            };
            of_ip.quick_restart = quick.or(of_ip.quick_restart.filter(goes_on));
            let planned = match fault {
                Fault::Stop { .. } | Fault::Asks { want: Want::Drained(true), .. } => true,
                Fault::Asks { ip: of, want: Want::Failover, .. } => of == ip,
                _ => false,
            };
            of_ip.planned_until = if planned && well { now + PLANNED } else { 0 };
            let all_sick = matches!(fault, Fault::AllSick { ip: of, .. } if of == ip);
            of_ip.all_sick = (all_sick && well).then_some(now);
        }
    }

    /// What is not certain any more to be registered.
    fn note_doubts(&mut self, world: &mut World, fault: Fault) {
        // An agent that stops has written its last copy.
        let runs = |host: &HostId| {
            let agent = world.hosts[*host].agent.as_ref();
            agent.is_some_and(|agent| agent.loaded && !agent.stopping)
        };
        let down: Vec<HostId> = (0..HOSTS).filter(|host| !runs(host)).collect();
        for host in 0..HOSTS {
            self.old_copy[host] &= down.contains(&host);
            let disturbed = fault.victims().is_empty() || fault.victims().contains(&host);
            // It may know no better for a while.
            if self.old_copy[host] && disturbed {
                world.users.doubt(host);
            }
        }
        match fault {
            // A host that does not run finds what etcd has, and what its copy has.
            Fault::Restore { .. } | Fault::Wiped { .. } => {
                self.tampered = world.now;
                down.into_iter().for_each(|host| world.users.doubt(host));
            }
            Fault::DeleteRecord { host, ip } | Fault::GarbleRecord { host, ip } => {
                self.tampered = world.now;
                if down.contains(&host) {
                    world.users.doubt_one(host, ip);
                }
            }
            // What was done in etcd a moment ago may not be mended yet.
            Fault::Restart { host, .. }
            | Fault::Reload { host }
            | Fault::PowerOff { host, .. }
            | Fault::Stop { host, .. }
            | Fault::KilledAtDelete { host, .. }
                if !self.is_mended(world.now) =>
            {
                world.users.doubt(host);
            }
            Fault::OldCopy { host, .. } | Fault::LostCopy { host, .. } => {
                self.old_copy[host] = true;
                let active = self.active_etcd + self.active_host[host];
                // A copy that is older than the present etcd is right.
                let contradicted = world.hosts[host].old_disk_at <= self.tampered;
                if active > 0 || contradicted || !self.is_mended(world.now) {
                    world.users.doubt(host);
                }
            }
            _ => {}
        }
    }

    fn is_mended(&self, now: Millis) -> bool {
        now >= self.tampered + CALM
    }

    fn go_on(&mut self, fault: Fault, begins: bool) {
        let change = |counter: &mut u32| {
            *counter = if begins { *counter + 1 } else { *counter - 1 };
        };
        match fault {
            _ if fault_of::moves_nothing(fault) => {}
            Fault::Sick { .. } | Fault::AllSick { .. } | Fault::Stuck { .. } => {
                change(&mut self.active_service);
            }
            Fault::EtcdDown { .. }
            | Fault::Leaderless { .. }
            | Fault::Refuses { .. }
            | Fault::WriteLock { .. } => change(&mut self.active_etcd),
            Fault::PowerOff { host, .. } if self.members => {
                change(&mut self.active_host[host]);
                change(&mut self.active_etcd);
            }
            _ => fault.victims().into_iter().for_each(|it| change(&mut self.active_host[it])),
        }
    }

    fn disturb(&mut self, now: Millis, fault: Fault) {
        self.note_impaired(now, fault);
        if fault_of::is_of_wire(fault) {
            self.disturbed_wire = now;
        }
        if fault_of::moves_nothing(fault) {
            return;
        }
        self.disturbed = now;
        match fault.victims().as_slice() {
            [_, ..] if self.members && matches!(fault, Fault::PowerOff { .. }) => {
                self.disturbed_host.fill(now);
            }
            [] => self.disturbed_host.fill(now),
            hosts => hosts.iter().for_each(|host| self.disturbed_host[*host] = now),
        }
    }

    /// etcd has a leader again.
    pub(crate) fn leader_elected(&mut self, now: Millis) {
        self.impaired.fill(now);
        self.disturbed_host.fill(now);
        self.disturbed = now;
    }
}

/// How long a host may keep an IP while its service does not answer.
const SICK: Millis = CHECK * (crate::times::FALL as Millis + 1) + 500;

/// Whether an agent does not run for a moment, which is no disturbance.
fn stands_still(world: &World) -> bool {
    let mut agents = world.hosts.iter().filter_map(|host| host.agent.as_ref());
    agents.any(|agent| agent.frozen.is_some())
}

/// Whether something is registered for certain.
fn is_certain(registered: Registered) -> bool {
    registered != Registered::Either
}
