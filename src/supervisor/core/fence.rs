//! A host that an operator has switched off: its leases are taken, so that nobody waits for them to end.
//!
//! Whether it is off is asked first, on the network and through etcd: who answers is not fenced, unless the order is to do
//! it by force. What is taken are the leases that the host had before it was asked. A host that is back has written that down
//! meanwhile, and has another lease after a boot: that one is left alone. The others take the locks as they take
//! those of a lease that has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use log::Level;

use super::table::Vip;
use super::{Action, Core, Failure, Timer, Token};
use crate::call::{self, Purpose, Question};
use crate::command::{Answer, Refusal};
use crate::failure_detector::CallNews;
use crate::history::Kind;
use crate::lock::Lease;
use crate::network::{Mac, mac_text};
use crate::store::{self, At, Footprint, Owned, Request};
use crate::vip::{Cidr, Slot};
use crate::wire;

/// How long etcd may take to show this host its own question.
const UNSEEN: Duration = Duration::from_millis(500);

/// How long the answer may take beside what etcd takes; it is asked twice. A host that lives answers in milliseconds.
const PATIENCE: Duration = Duration::from_millis(100);

/// For so long the host listens on its network: that it answers is enough.
const LISTENS: Duration = Duration::from_millis(10);

/// How often, and how long after each other, it is looked who has the IPs.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How many hosts are named to somebody who names another.
const NAMED: usize = 20;

/// An order to fence a host.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    host: String,
    force: bool,
    /// What the host had at first.
    found: Box<Footprint>,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// What the host has is read.
    Reading,
    /// Whether it lives is asked: of the network about so many IPs, and of its agent.
    Asking { looks: usize, agent: Asked },
    /// It does not answer; what it has is read once more.
    ReadingAgain,
    /// These leases are being revoked.
    Taking(BTreeSet<i64>),
    /// It was looked so often whether others have the IPs.
    Moving(u32),
}

/// How far the question to the agent has come.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// It answers none.
    Never,
    /// etcd has not shown it yet.
    Sent { at: Instant, again: bool },
    /// etcd has shown it.
    Seen { again: bool },
    /// The agent has answered neither that one nor the one before.
    InVain,
}

impl Core {
    pub(super) fn fence(&mut self, host: String, force: bool, token: Token) -> Result<(), Refusal> {
        self.reachable()?;
        let refusal = match self.lease.told {
            _ if host == self.config.host => {
                Refusal::Conflict(format!("{host} is this host, which lives"))
            }
            _ if self.clients.fences.values().any(|fence| fence.host == host) => {
                Refusal::Conflict(format!("{host} is being fenced already"))
            }
            Lease::None | Lease::Lost => {
                Refusal::Unavailable("this host has no lease of etcd yet".to_owned())
            }
            Lease::Held(_) => {
                self.ask(Request::Footprint(host.clone()));
                let (found, stage) = (Box::default(), Stage::Reading);
                self.clients.fences.insert(token, Fence { host, force, found, stage });
                return Ok(());
            }
        };
        Err(refusal)
    }

    pub(super) fn on_footprint(
        &mut self,
        host: &str,
        result: Result<(store::Answer, At), Failure>,
        now: Instant,
    ) {
        let found = self.clients.fences.iter().find(|(_, fence)| fence.host == host);
        let Some((&token, fence)) = found else { return };
        let found = match result {
            Ok((store::Answer::Footprint(found), _)) => found,
            Ok(_) => return,
            Err(failure) => {
                let why = format!("nothing was done: etcd: {}", failure.why);
                return self.end_fence(token, Err(Refusal::Unavailable(why)));
            }
        };
        match fence.stage {
            Stage::Reading if !found.hosts.contains(host) => {
                let refusal = Refusal::Conflict(stranger(host, &found));
                self.end_fence(token, Err(refusal));
            }
            Stage::Reading if fence.force => self.take(token, found, now),
            Stage::Reading => self.ask_whether_it_lives(token, found, now),
            Stage::ReadingAgain if is_back(&fence.found, &found) => {
                let why = format!("{host} is back: it has written to etcd since it was asked");
                self.end_fence(token, Err(Refusal::Conflict(why)));
            }
            Stage::ReadingAgain => {
                let leases = &found.leases & &fence.found.leases;
                self.take(token, Box::new(Footprint { leases, ..*found }), now);
            }
            Stage::Asking { .. } | Stage::Taking(_) | Stage::Moving(_) => {}
        }
    }

    fn ask_whether_it_lives(&mut self, token: Token, found: Box<Footprint>, now: Instant) {
        let asked: Vec<Cidr> = self.to_look_for(&found.owned);
        let calls = found.presence.is_some();
        if asked.is_empty() && !calls && !found.owned.is_empty() {
            let why = "whether it lives cannot be told from here: its agent answers no calls, and this \
                       host offers none of its IPs";
            return self.end_fence(token, Err(Refusal::Conflict(why.to_owned())));
        }
        let looks = asked.len();
        let agent = if calls { Asked::Sent { at: now, again: false } } else { Asked::Never };
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        fence.found = found;
        fence.stage = Stage::Asking { looks, agent };
        asked.into_iter().for_each(|cidr| self.out.push(Action::LookFor(token, cidr)));
        if calls {
            self.call_for_fence(token, false, now);
        }
        self.settle_fence(token);
    }

    /// The IPs through which the host can be asked on the network: one for each interface.
    fn to_look_for(&self, owned: &[Owned]) -> Vec<Cidr> {
        let usable = |vip: &Vip| vip.is_registered() && vip.status.interface_usable;
        let mut by_interface: BTreeMap<&str, Cidr> = BTreeMap::new();
        for Owned { cidr, .. } in owned {
            let vip = self.table.at(cidr.addr()).map(|(_, vip)| vip);
            if let Some(vip) = vip.filter(|vip| usable(vip) && !vip.status.bound) {
                let interface = vip.record.interface.as_ref().unwrap_or(&self.config.interface);
                // Those of IPv4 come first.
                by_interface.entry(interface).or_insert(*cidr);
            }
        }
        by_interface.into_values().collect()
    }

    fn call_for_fence(&mut self, token: Token, again: bool, now: Instant) {
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        let Lease::Held(lease) = self.lease.told else {
            let why = "nothing was done: this host has lost its lease meanwhile".to_owned();
            return self.end_fence(token, Err(Refusal::Unavailable(why)));
        };
        if let Stage::Asking { agent, .. } = &mut fence.stage {
            *agent = Asked::Sent { at: now, again };
        }
        let first = fence.found.owned.first().map(|owned| owned.cidr);
        let cidr = first.unwrap_or_else(|| "192.0.2.1".parse().expect("an address"));
        let number = token.0 * 2 + u64::from(again);
        let question = Question { cidr, number, within: LISTENS };
        let (host, purpose) = (fence.host.clone(), Purpose::Fence);
        self.out.push(Action::Call { host, purpose, lease, question });
        self.arm(Timer::Fence(token), UNSEEN);
    }

    /// Something became of a question to a host that is to be fenced.
    pub(super) fn fence_is_answered(
        &mut self,
        host: &str,
        number: u64,
        news: CallNews,
        now: Instant,
    ) {
        let token = Token(number / 2);
        let fence = self.clients.fences.get_mut(&token).filter(|fence| fence.host == host);
        let Some(Stage::Asking { agent, .. }) = fence.map(|fence| &mut fence.stage) else { return };
        match (news, *agent) {
            (CallNews::Answered(_), _) => {
                let why = format!("{host} lives: its agent answers in etcd");
                self.end_fence(token, Err(Refusal::Conflict(why)));
            }
            (CallNews::CameBack, Asked::Sent { at, again }) if number % 2 == u64::from(again) => {
                *agent = Asked::Seen { again };
                let took = now.saturating_duration_since(at);
                self.arm(Timer::Fence(token), PATIENCE + took * 4);
            }
            (CallNews::Failed, Asked::Sent { .. } | Asked::Seen { .. }) => {
                let why = "nothing was done: etcd has not kept the question to it".to_owned();
                self.end_fence(token, Err(Refusal::Unavailable(why)));
            }
            (CallNews::CameBack | CallNews::Failed, _) => {}
        }
    }

    /// Somebody, or nobody, answers on the network for one of its IPs.
    pub(super) fn on_looked_for(&mut self, token: Token, cidr: Cidr, mac: Option<Mac>) {
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        let Stage::Asking { looks, .. } = &mut fence.stage else { return };
        *looks = looks.saturating_sub(1);
        let its = fence.found.owned.iter().find(|owned| owned.cidr == cidr);
        let its = its.and_then(|owned| owned.hardware_address);
        match mac.filter(|mac| its.is_none_or(|its| its == *mac)) {
            Some(mac) => {
                let (host, mac) = (&fence.host, mac_text(mac));
                let why = format!("{host} lives: {mac} answers for {cidr} on the network");
                self.end_fence(token, Err(Refusal::Conflict(why)));
            }
            None => self.settle_fence(token),
        }
    }

    pub(super) fn go_on_with_fence(&mut self, token: Token, now: Instant) {
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        match &mut fence.stage {
            Stage::Asking { agent: Asked::Sent { .. }, .. } => {
                let why = "nothing was done: etcd does not show the question to it in time";
                self.end_fence(token, Err(Refusal::Unavailable(why.to_owned())));
            }
            Stage::Asking { agent: Asked::Seen { again: false }, .. } => {
                self.call_for_fence(token, true, now);
            }
            Stage::Asking { agent: agent @ Asked::Seen { again: true }, .. } => {
                *agent = Asked::InVain;
                self.settle_fence(token);
            }
            Stage::Moving(looks) => {
                *looks += 1;
                self.ask(Request::Locks);
            }
            Stage::Asking { .. } | Stage::Reading | Stage::ReadingAgain | Stage::Taking(_) => {}
        }
    }

    /// When nobody has answered, what the host has is read once more: it may be back.
    fn settle_fence(&mut self, token: Token) {
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        if let Stage::Asking { looks: 0, agent: Asked::Never | Asked::InVain } = fence.stage {
            fence.stage = Stage::ReadingAgain;
            let host = fence.host.clone();
            self.ask(Request::Footprint(host));
        }
    }

    /// Takes the leases.
    fn take(&mut self, token: Token, found: Box<Footprint>, now: Instant) {
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        let leases = found.leases.clone();
        fence.found = found;
        if leases.is_empty() {
            return self.tell_fenced(token, &BTreeMap::new());
        }
        let why = format!("host {} is fenced", fence.host);
        let slots =
            fence.found.owned.iter().filter_map(|it| Some(self.table.at(it.cidr.addr())?.0));
        let slots: Vec<Slot> = slots.collect();
        self.move_begins(&slots, &why, now);
        leases.iter().for_each(|lease| self.out.push(Action::Fence(token, *lease)));
        if let Some(fence) = self.clients.fences.get_mut(&token) {
            fence.stage = Stage::Taking(leases);
        }
    }

    /// One of the leases is no more.
    pub(super) fn on_fenced(&mut self, token: Token, lease: i64, result: Result<(), Failure>) {
        let Some(fence) = self.clients.fences.get_mut(&token) else { return };
        let Stage::Taking(left) = &mut fence.stage else { return };
        if let Err(failure) = result {
            let why = format!("etcd: {}; its lease {lease:x} may be left", failure.why);
            let refusal = Refusal::OutcomeUnknown(why);
            return self.end_fence(token, Err(refusal));
        }
        left.remove(&lease);
        if !left.is_empty() {
            return;
        }
        fence.stage = Stage::Moving(0);
        let count = fence.found.owned.len();
        let how = match fence.force {
            true => "by force: nobody has asked whether it lives",
            false => "it answers neither on the network nor in etcd",
        };
        let what = format!("host {} is fenced by order; it had {count} IPs", fence.host);
        self.happened(Level::Warn, Kind::Host.of(what).because(how));
        self.arm(Timer::Fence(token), BETWEEN_LOOKS);
    }

    /// Tells who has the IPs, when all have an owner that can have one.
    pub(super) fn on_locks(&mut self, result: Result<(store::Answer, At), Failure>) {
        let locks = match result {
            Ok((store::Answer::Locks(locks), _)) => locks,
            Ok(_) | Err(_) => BTreeMap::new(),
        };
        let moving = self.clients.fences.iter().filter_map(|(token, fence)| match fence.stage {
            Stage::Moving(looks) => Some((*token, looks)),
            Stage::Reading | Stage::Asking { .. } | Stage::ReadingAgain | Stage::Taking(_) => None,
        });
        let moving: Vec<(Token, u32)> = moving.collect();
        for (token, looks) in moving {
            let Some(fence) = self.clients.fences.get(&token) else { continue };
            let waits = |it: &Owned| it.others && fence.owner_of(it, &locks).is_none();
            if looks < LOOKS && fence.found.owned.iter().any(waits) {
                self.arm(Timer::Fence(token), BETWEEN_LOOKS);
            } else {
                self.tell_fenced(token, &locks);
            }
        }
    }

    fn tell_fenced(&mut self, token: Token, locks: &BTreeMap<Cidr, (String, i64)>) {
        let Some(fence) = self.clients.fences.get(&token) else { return };
        let ip = |it: &Owned| wire::FencedIp {
            ip: it.cidr.to_string(),
            owner: fence.owner_of(it, locks).map(str::to_owned),
        };
        let ips = fence.found.owned.iter().map(ip).collect();
        let answer = wire::Fence { host: fence.host.clone(), ips };
        self.end_fence(token, Ok(Answer::Fence(answer)));
    }

    fn end_fence(&mut self, token: Token, answer: Result<Answer, Refusal>) {
        if let Some(fence) = self.clients.fences.remove(&token) {
            self.disarm(Timer::Fence(token));
            if fence.found.presence.is_some() {
                self.out.push(Action::EndCall(fence.host, Purpose::Fence));
            }
        }
        self.reply(token, answer);
    }

    /// Whether a key on the own lease is a question to a host that is to be fenced.
    pub(super) fn is_call_for_fence(&self, key: &str) -> bool {
        let is_it =
            |fence: &Fence| key == call::call_key(&fence.host, &self.config.host, Purpose::Fence);
        self.clients.fences.values().any(is_it)
    }
}

impl Fence {
    /// Who owns an IP now, if it is another lease than those that are gone.
    fn owner_of<'a>(
        &self,
        owned: &Owned,
        locks: &'a BTreeMap<Cidr, (String, i64)>,
    ) -> Option<&'a str> {
        let (owner, lease) = locks.get(&owned.cidr)?;
        (!self.found.leases.contains(lease)).then_some(owner)
    }
}

/// Whether the host has written anything since it was read first: of a host that has gone, keys only vanish.
fn is_back(before: &Footprint, now: &Footprint) -> bool {
    let says_so = now.presence.is_some() && now.presence != before.presence;
    says_so || now.written != before.written
}

fn stranger(host: &str, found: &Footprint) -> String {
    let named: Vec<&str> = found.hosts.iter().take(NAMED).map(String::as_str).collect();
    let more = if found.hosts.len() > NAMED { " and others" } else { "" };
    format!("{host:?} is no host of this cluster: there are {}{more}", named.join(", "))
}
