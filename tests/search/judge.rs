//! What has to hold where nothing more happens by itself, and where nothing happens for a second.

use link::election::core::{Reason, Timer, WithoutEtcd};
use link::fsm::State as Fsm;
use link::lock;
use link::policy::{AllFailingPolicy, LossPolicy};

use crate::golink::GO;
use crate::host::{Exchange, HostId, Life, Told, name};
use crate::world::{World, cidr};

impl World {
    /// Where nothing more happens.
    pub(crate) fn judge_end(&self) -> Result<(), String> {
        if !self.state.etcd_is_up || self.state.etcd_refuses {
            return self.judge_without_etcd();
        }
        let members: Vec<_> = self.ids().filter(|id| !self.host(*id).cut).collect();
        let bound = self.bound_of(&members);
        let able: Vec<_> = members.iter().copied().filter(|id| self.host(*id).is_able()).collect();
        // Who is heard goes first.
        let heard: Vec<_> = able.iter().copied().filter(|id| !self.host(*id).deaf).collect();
        let owners = if heard.is_empty() { &able } else { &heard };
        match bound.as_slice() {
            [] if self.state.go.bound => self.judge_go()?,
            [] if able.is_empty() => self.judge_nobody(&members)?,
            [owner] if owners.contains(owner) => self.judge_owner(*owner)?,
            [owner] if able.is_empty() => self.judge_last_one(*owner)?,
            _ => return Err(format!("the IP is on {}", names(&bound))),
        }
        for id in able {
            self.judge_candidacy(id)?;
        }
        self.judge_cut_hosts()
    }

    /// At every moment: what an operator orders, and what goes wrong between a host and etcd, leaves no gap.
    pub(crate) fn judge_always(&self) -> Result<(), String> {
        let able = self.ids().any(|id| self.host(id).is_able());
        let gap = able && !self.state.gaps_are_allowed && !self.is_somewhere();
        if gap { Err("no host has the IP".to_owned()) } else { Ok(()) }
    }

    /// A host whose kernel does not take the address goes on trying if no other host can have it, or if etcd
    /// does not tell. One that fails goes on trying to hand over to a host that is not heard.
    pub(crate) fn goes_on_trying(&self) -> bool {
        let mut able = self.ids().filter(|id| self.host(*id).is_able()).peekable();
        if able.peek().is_some() && able.all(|id| self.host(id).deaf) {
            return true;
        }
        let able = self.ids().any(|id| self.host(id).is_able());
        self.ids().any(|id| {
            let host = self.host(id);
            host.runs() && !host.takes_address && (!able || host.told == Told::Lost)
        })
    }

    /// Where nothing happens for a second: two owners are one again by then.
    pub(crate) fn judge_calm(&self) -> Result<(), String> {
        // A request without an answer holds the next one up for two.
        let asks = |id: HostId| self.host(id).exchange == Exchange::Unheard;
        let knows = |id| !self.host(id).cut && self.is_held(id) && !asks(id);
        // A host that is cut off hears of another owner from etcd alone, and in this case late.
        let split = self.ids().any(|id| self.host(id).deaf);
        let tells = |id: HostId| !(split && self.host(id).missed);
        let held = self.ids().all(|id| !self.host(id).runs() || knows(id) && tells(id));
        if !held || !self.state.etcd_is_up || self.state.etcd_refuses {
            return Ok(());
        }
        let mut owners = self.bound_of(&self.ids().collect::<Vec<_>>());
        // What it has lost it finds out by its poll.
        owners.extend((self.state.go.bound && self.go_owns()).then_some(GO));
        match owners.as_slice() {
            [] | [GO] => Ok(()),
            [owner] if self.may_be_slow_to_announce(*owner) => Ok(()),
            [owner] => self.judge_neighbours(*owner),
            // An owner that hears nobody listens for more than a second before it says so to the host that has the
            // IP in its place. Clients reach that one, and not the owner.
            owners if split && owners.iter().any(|id| self.waits_for_a_word(*id)) => Ok(()),
            owners => Err(format!("the IP is on {} for more than a second", names(owners))),
        }
    }

    /// It took the IP without etcd, and has not heard from the owner by the lock yet.
    fn waits_for_a_word(&self, id: HostId) -> bool {
        matches!(self.host(id).core.reason(), Reason::OwnerNotHeard(_))
    }

    /// An owner without a carrier reaches nobody, one that has just defended the address does so again after
    /// ten seconds (RFC 5227), and one that was not told that another has let go reads that as late.
    fn may_be_slow_to_announce(&self, owner: HostId) -> bool {
        let host = self.host(owner);
        !host.carrier || host.deaf || host.missed || host.core.is_armed(Timer::Defence)
    }

    /// Who has the IP, of these hosts. What a program that does not run has left is left out.
    fn bound_of(&self, ids: &[HostId]) -> Vec<HostId> {
        let bound = |id: &HostId| {
            let host = self.host(*id);
            host.bound && (host.runs() || host.life == Life::Left)
        };
        ids.iter().copied().filter(bound).collect()
    }

    /// A Go LinK has the IP, and no other host that etcd can tell.
    fn judge_go(&self) -> Result<(), String> {
        if self.go_owns() {
            Ok(())
        } else {
            Err("a Go LinK has the IP without its lock".to_owned())
        }
    }

    fn judge_owner(&self, owner: HostId) -> Result<(), String> {
        let state = self.host(owner).core.state();
        if state != Fsm::Activated {
            return Err(format!("{} has the IP and is {state}", name(owner)));
        }
        self.judge_neighbours(owner)?;
        self.judge_lock(owner)
    }

    /// A host that announced the IP after its owner has had the owner announce it again.
    fn judge_neighbours(&self, owner: HostId) -> Result<(), String> {
        // What it announces, it announces again when it is heard.
        if self.host(owner).deaf {
            return Ok(());
        }
        let others = self.state.go.bound || self.ids().any(|id| id != owner && self.host(id).bound);
        match self.state.neighbours_send_to {
            Some(other) if other != owner && !others => Err(format!(
                "{} has the IP, and the neighbours send to {}",
                name(owner),
                name(other)
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn judge_lock(&self, owner: HostId) -> Result<(), String> {
        let holder = self.holder().map(|holder| (holder.host, Some(holder.lease)));
        if holder == Some((name(owner), self.host(owner).lease)) {
            return Ok(());
        }
        Err(format!("{} has the IP, and the lock is {holder:?}'s", name(owner)))
    }

    /// No host can serve the IP, and one has it.
    fn judge_last_one(&self, owner: HostId) -> Result<(), String> {
        if self.policies.all_failing == AllFailingPolicy::None {
            return Err(format!("{} keeps the IP though its checks fail", name(owner)));
        }
        self.judge_lock(owner)
    }

    /// No host can serve the IP, and none has it.
    fn judge_nobody(&self, members: &[HostId]) -> Result<(), String> {
        let could = |id: &HostId| {
            let host = self.host(*id);
            host.runs() && host.carrier && host.takes_address
        };
        let all = members.len() == self.state.hosts.len() && members.iter().all(could);
        if self.policies.all_failing == AllFailingPolicy::KeepLast && all {
            return Err("the checks fail on all hosts, and the last one has not kept the IP".into());
        }
        Ok(())
    }

    fn judge_candidacy(&self, id: HostId) -> Result<(), String> {
        let prefix = lock::candidacy_key(cidr(), "");
        let candidates = lock::candidates(cidr(), &self.state.etcd.get_prefix(&prefix));
        let own = candidates.iter().find(|candidate| candidate.host == name(id));
        let lease = self.host(id).lease;
        if own.is_some_and(|own| own.available && Some(own.lease) == lease) {
            return Ok(());
        }
        Err(format!("{} could not be elected: its candidacy is {own:?}", name(id)))
    }

    /// By the policy `take` a host that has lost etcd has the IP.
    fn judge_cut_hosts(&self) -> Result<(), String> {
        let takes = self.policies.loss == LossPolicy::Take;
        let idle = |id: &HostId| {
            let host = self.host(*id);
            takes && host.cut && host.is_able() && !host.bound && !self.asks_first(*id)
        };
        match self.ids().find(idle) {
            Some(id) => Err(format!("{} has lost etcd and does not take the IP", name(id))),
            None => Ok(()),
        }
    }

    fn judge_without_etcd(&self) -> Result<(), String> {
        let all: Vec<_> = self.ids().collect();
        let bound = self.bound_of(&all);
        let able: Vec<_> = self.ids().filter(|id| self.host(*id).is_able()).collect();
        let split = self.ids().any(|id| self.host(id).deaf);
        let well = match self.policies.loss {
            LossPolicy::Take => able.iter().all(|id| bound.contains(id) || self.asks_first(*id)),
            LossPolicy::Probe => {
                able.is_empty() || self.is_somewhere() && (split || bound.len() <= 1)
            }
            LossPolicy::Hold => true,
        };
        if well { Ok(()) } else { Err(format!("without etcd, the IP is on {}", names(&bound))) }
    }

    /// A host that has not heard of etcd since it was started may be configured wrongly, and leaves the IP to
    /// whoever answers.
    fn asks_first(&self, id: HostId) -> bool {
        self.host(id).core.reason() == Reason::EtcdLost(WithoutEtcd::OtherAnswers)
    }

    /// Some kernel has it, whether its agent runs or not.
    fn is_somewhere(&self) -> bool {
        self.state.go.bound || self.state.hosts.iter().any(|host| host.bound)
    }
}

fn names(ids: &[HostId]) -> String {
    match ids {
        [] => "no host".to_owned(),
        ids => ids.iter().map(|id| name(*id)).collect::<Vec<_>>().join(" and "),
    }
}
