//! The handle of an election, and what the supervisor hears from it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::inbox::{Control, Event, EventSender};
use super::message::Input;
use super::thread::Actor;
use crate::checks::{CheckDefaults, CheckStanding, Checked, Timing};
use crate::etcd;
use crate::fsm::{self, State};
use crate::history::Happening;
use crate::lock::Lease;
use crate::net::{MonitorTiming, NetClient};
use crate::network::{Liveness, Mac, Missed};
use crate::ping::Ping;
use crate::policy::{AllFailingPolicy, LossPolicy};
use crate::thread;
use crate::vip::{Check, Cidr, ElectionKey, GroupName};

/// What an election needs.
#[derive(Debug)]
pub struct Params {
    /// What an owner is elected for, by which the lock is named.
    pub key: ElectionKey,
    /// The addresses that come with the lock, the lowest first; at least one.
    pub members: Vec<Member>,
    /// This host's name.
    pub host: String,
    /// Other hosts may start at the same time, and offer the IP, too.
    pub company: bool,
    /// How checks count that do not say otherwise.
    pub defaults: CheckDefaults,
    /// What is done when etcd is lost.
    pub loss: LossPolicy,
    /// Who is first when the IP is free.
    pub priority: u8,
    /// What is done when the checks fail on every host.
    pub all_failing: AllFailingPolicy,
    /// The way to etcd.
    pub etcd: etcd::Client,
    /// The way to the kernel.
    pub net: NetClient,
}

/// An address that comes with the lock.
#[derive(Debug)]
pub struct Member {
    /// The address.
    pub cidr: Cidr,
    /// The interface on which it is bound.
    pub interface: String,
    /// Whether an address without LinK's mark that is there already is taken for LinK's.
    pub adopts: bool,
    /// The health checks of the service behind it, possibly none.
    pub checks: Vec<Check>,
    /// When they are made.
    pub timing: Timing,
}

/// What an election that has several addresses knows of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The address.
    pub cidr: Cidr,
    /// Whether the kernel has it, as last seen.
    pub bound: bool,
    /// How many of the health checks are its own; those of the parts before it come first.
    pub checks: usize,
}

/// What an election shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: String,
    /// The host that holds the lock, as last seen.
    pub owner: Option<String>,
    /// The host and the lease of the owner, while this host waits for the lock, or has the IP in its place.
    pub awaited: Option<(String, i64)>,
    /// The group to which the IP belongs in etcd, so that nobody owns it by itself.
    pub group: Option<GroupName>,
    /// Whether the kernel has all addresses, as last seen.
    pub bound: bool,
    /// What is known of each address, if there are several.
    pub parts: Vec<Part>,
    /// What the candidacy of this host says that etcd has confirmed: whether the host is available, and its priority.
    pub candidate: Option<(bool, u8)>,
    /// Whether this host would be the first to take the lock, if the owner died.
    pub next: bool,
    /// Whether the interface can carry the address, as last seen.
    pub interface_usable: bool,
    /// Whether other hosts are heard on the interface.
    pub hears_others: bool,
    /// What is wrong on this host, for which the agent is to blame or its surroundings.
    pub trouble: Vec<String>,
    /// The host is drained, and has the IP as long as no other host can have it.
    pub drained_last: bool,
    /// Why its health checks cannot be made; what they have found before holds.
    pub shortage: Option<String>,
    /// What its health checks have found, all together.
    pub checked: Option<Box<Checked>>,
    /// What each of them has found.
    pub checks: Arc<Vec<CheckStanding>>,
    /// Which address that is here was claimed last, by whom, and when, to the second.
    pub claimed: Option<Box<(Cidr, Mac, Instant)>>,
    /// What it has counted.
    pub tally: Tally,
}

/// What an election has counted since it began, and what else is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often its state has changed, by the events in the order of [`fsm::Event::ALL`].
    pub transitions: [u32; fsm::Event::ALL.len()],
    /// Another machine is heard to have the address, too.
    pub conflict: bool,
    /// How many health checks have failed.
    pub check_failures: u64,
}

impl Status {
    /// Whether the kernel has this address, as last seen.
    pub fn has(&self, cidr: Cidr) -> bool {
        self.part(cidr).map_or(self.bound, |(part, _)| part.bound)
    }

    /// What the health checks of this address have found, each by itself.
    pub fn checks_of(&self, cidr: Cidr) -> &[CheckStanding] {
        let all = self.checks.as_slice();
        match self.part(cidr) {
            None => all,
            Some((part, before)) => {
                let own = all.get(before..before + part.checks);
                own.unwrap_or_default()
            }
        }
    }

    /// What is known of one of several addresses, and how many checks belong to those before it.
    fn part(&self, cidr: Cidr) -> Option<(&Part, usize)> {
        let place = self.parts.iter().position(|part| part.cidr == cidr)?;
        let (before, rest) = self.parts.split_at(place);
        Some((rest.first()?, before.iter().map(|part| part.checks).sum()))
    }

    /// What is shown of an election that has not said anything yet.
    pub fn starting() -> Status {
        Status {
            state: State::Standby,
            since: Instant::now(),
            reason: "starting".to_owned(),
            owner: None,
            awaited: None,
            group: None,
            bound: false,
            parts: Vec::new(),
            candidate: None,
            next: false,
            interface_usable: false,
            hears_others: false,
            trouble: Vec::new(),
            drained_last: false,
            shortage: None,
            checked: None,
            checks: Arc::default(),
            claimed: None,
            tally: Tally::default(),
        }
    }
}

/// What an election tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its status has changed.
    Status(Arc<Status>),
    /// The host of the owner, which is monitored, is heard on the network, or not.
    Owner(Liveness),
    /// The host with this hardware address misses the owner, too.
    AlsoMissed(Mac),
    /// The lock was written again as it was: a host that had the IP has let go of it, a host did not
    /// hear the owner for a while, or the owner has lost etcd and is back.
    Acknowledged,
    /// etcd has refused a request, for this reason.
    Refused(String),
    /// etcd carries requests out again.
    Served,
    /// Something for the history of this host; it is logged already.
    Happened(Happening),
    /// A failover has ended: another host holds the lock, or why none does.
    HandedOver(Result<(), String>),
    /// It has given the IP up and ended.
    Left {
        /// etcd has not confirmed it: lock and candidacy may still be attached to this host's lease.
        cleanup_pending: bool,
    },
}

/// Hears of an election; called on its thread, must not block.
pub type Notices = Box<dyn Fn(Notice) + Send>;

/// Owns the thread of an election.
#[derive(Debug)]
pub struct Election {
    name: String,
    events: EventSender,
    thread: Option<JoinHandle<()>>,
}

impl Election {
    /// Starts the thread. Nothing is asked of etcd before there is a lease.
    pub fn start(params: Params, notices: Notices) -> io::Result<Election> {
        let name = match &params.key {
            ElectionKey::Ip(cidr) => format!("vip-{}", cidr.addr()),
            ElectionKey::Group(name, _) => format!("vip-{name}"),
        };
        // Its subscriptions are made here, and not on the thread: when the left-overs of a former life are
        // removed, the actuator must know by then of every address that is none.
        let actor = Actor::subscribed(params, notices);
        let events = actor.events();
        let thread = thread::spawn(&name, move || actor.run())?;
        Ok(Election { name, events, thread: Some(thread) })
    }

    /// The name of the thread.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells of the lease.
    pub fn lease(&self, lease: Lease) {
        self.tell(Control::Input(Input::Lease(lease)));
    }

    /// Tells of the newest revision of etcd that was heard of.
    pub fn etcd_heard(&self, revision: i64) {
        self.tell(Control::Input(Input::EtcdHeard(revision)));
    }

    /// Replaces the health checks of one of its addresses.
    pub fn set_checks(&self, cidr: Cidr, checks: Vec<Check>, timing: Timing) {
        self.tell(Control::SetChecks(cidr, checks, timing));
    }

    /// Replaces what it does when etcd is lost.
    pub fn set_loss_policy(&self, loss: LossPolicy) {
        self.tell(Control::Input(Input::LossPolicy(loss)));
    }

    /// Replaces its priority.
    pub fn set_priority(&self, priority: u8) {
        self.tell(Control::Input(Input::Priority(priority)));
    }

    /// Tells that the host is drained, or no longer.
    pub fn drain(&self, drained: bool) {
        self.tell(Control::Input(Input::Drained(drained)));
    }

    /// Has it compare itself with etcd and try to get the lock now.
    pub fn lock_now(&self) {
        self.tell(Control::Input(Input::LockNow));
    }

    /// Begins, changes or ends to monitor the host of the owner on the network; what is heard comes back
    /// as [`Notice::Owner`].
    pub fn monitor(&self, timing: Option<MonitorTiming>) {
        self.tell(Control::Monitor(timing));
    }

    /// The owner with this lease is dead, or as good as dead.
    pub fn owner_dead(&self, lease: i64) {
        self.tell(Control::Input(Input::OwnerDead(lease)));
    }

    /// The owner with this lease lives and has the IP.
    pub fn owner_lives(&self, lease: i64) {
        self.tell(Control::Input(Input::OwnerLives(lease)));
    }

    /// The owner is silent, and so is etcd.
    pub fn owner_missed(&self, missed: Missed) {
        self.tell(Control::Input(Input::OwnerMissed(missed)));
    }

    /// The owner was not heard on the network for a while, and is heard again: it may have been isolated,
    /// and has to announce the IP.
    pub fn owner_heard_again(&self) {
        self.tell(Control::Input(Input::OwnerHeardAgain));
    }

    /// This process did not run for a while.
    pub fn paused(&self) {
        self.tell(Control::Input(Input::Paused));
    }

    /// Other hosts may have become candidates.
    pub fn candidates_outdated(&self) {
        self.tell(Control::Input(Input::CandidatesOutdated));
    }

    /// Has it hand the IP over, to the named host if one is named; ends with
    /// [`Notice::HandedOver`].
    pub fn failover(&self, target: Option<String>) {
        self.tell(Control::Input(Input::Failover(target)));
    }

    /// Has it give the IP up; ends with [`Notice::Left`].
    pub fn leave(&self) {
        self.tell(Control::Input(Input::Leave));
    }

    /// Whether it has not read yet what it was sent.
    pub fn has_unread(&self) -> bool {
        self.events.has_unread()
    }

    /// Asks for a sign of life.
    pub fn ping(&self, ping: Ping) {
        self.tell(Control::Ping(ping));
    }

    fn tell(&self, control: Control) {
        // A thread that has left has nothing more to be told.
        self.events.send(Event::Control(control));
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.tell(Control::End);
        if let Some(thread) = self.thread.take() {
            // An error would be a panic, and a panic aborts the process.
            let _ = thread.join();
        }
    }
}
