//! What a host has to do about its groups: each is read when something may have changed about it, and what follows
//! is decided in one place (`membership`), done in one transaction, and looked at again.

use std::time::{Duration, Instant};

use log::Level;

use super::membership::{Moment, Step, fits};
use super::start::Start;
use super::stop::Life;
use super::{Action, Core, Failure, Order, Origin, Timer};
use crate::command::Refusal;
use crate::history::Kind;
use crate::lock::{self, Lease};
use crate::sorted::sort_by;
use crate::store::{self, At, Group, GroupView, MOST_MEMBERS, Record, Regroup, Request};
use crate::vip::{Cidr, ElectionKey, GroupName};

/// Between two looks at a group that is not as it should be; for so long nobody may have been a candidate for one
/// before it counts as abandoned.
const AGAIN: Duration = Duration::from_secs(3);

impl Core {
    /// Has the group of an IP looked at, or all.
    pub(super) fn groups_due(&mut self, names: impl IntoIterator<Item = GroupName>) {
        for name in names {
            self.table.known(&name).due = true;
        }
    }

    pub(super) fn all_groups_due(&mut self) {
        let names = self.group_names();
        self.groups_due(names);
    }

    /// What belongs to a group was written.
    pub(super) fn group_changed(&mut self, name: GroupName) {
        if self.group_names().contains(&name) {
            self.groups_due([name]);
        }
    }

    /// A while is over: what could not be brought about is tried again.
    pub(super) fn look_at_groups(&mut self) {
        self.table.groups.values_mut().for_each(|known| known.handed.clear());
        self.all_groups_due();
    }

    /// Reads the groups that are due.
    pub(super) fn settle_groups(&mut self) {
        let lives = matches!(self.life, Life::Running | Life::Stopping);
        if self.start != Start::Loaded || !lives {
            return;
        }
        let Lease::Held(_) = self.lease.told else {
            if self.life == Life::Stopping {
                // Those of this host are among them. Its IPs are not looked through: it stops with each of thousands.
                let names: Vec<GroupName> = self.table.groups.keys().cloned().collect();
                names.iter().for_each(|name| self.withdraw(name));
            }
            return;
        };
        let due = self.table.groups.iter_mut().filter(|(_, it)| it.due && !it.asked);
        let mut names = Vec::new();
        for (name, known) in due {
            (known.due, known.asked) = (false, true);
            names.push(name.clone());
        }
        for name in names {
            let mut ips = self.table.known(&name).group.members.clone();
            ips.extend(self.wanted_in(&name).into_iter().map(|(cidr, _)| cidr));
            let marked = self.table.iter().filter(|it| it.1.status.group.as_ref() == Some(&name));
            ips.extend(marked.map(|(_, vip)| vip.record.cidr));
            sort_by(&mut ips, Cidr::cmp);
            ips.dedup();
            ips.truncate(MOST_MEMBERS + MOST_MEMBERS / 2);
            self.ask(Request::Group(name, ips));
        }
    }

    pub(super) fn on_group(
        &mut self,
        name: &GroupName,
        result: Result<(store::Answer, At), Failure>,
        now: Instant,
    ) {
        self.group_is_answered(name);
        if let Ok((store::Answer::Group(view), at)) = result {
            if self.is_old(name, at) {
                return self.groups_due([name.clone()]);
            }
            // An owner goes on with what it has until etcd says again that this belongs to the group.
            let owns = view.owner.as_ref().map(|owner| Lease::Held(owner.lease));
            if owns != Some(self.lease.told) || view.strays(name).is_empty() {
                self.group_is(name, view.group.clone());
            }
            self.decide_about(name, &view, now);
        } else if self.life == Life::Running {
            self.arm(Timer::Groups, AGAIN);
        } else {
            self.withdraw(name);
        }
    }

    pub(super) fn on_regrouped(
        &mut self,
        regroup: &Regroup,
        result: Result<(store::Answer, At), Failure>,
    ) {
        self.group_is_answered(&regroup.name);
        let failed = result.is_err();
        // What was not done is decided about again in a while, or when the watch tells what was in the way.
        if let Ok((store::Answer::Regrouped(Some(group)), at)) = result {
            self.groups_due([regroup.name.clone()]);
            if self.is_old(&regroup.name, at) {
                return;
            }
            self.tell_regrouped(regroup);
            self.group_is(&regroup.name, group);
        } else if self.life != Life::Running {
            self.withdraw(&regroup.name);
        } else if failed {
            self.leave_unchanged(&regroup.name);
        }
    }

    fn group_is_answered(&mut self, name: &GroupName) {
        let known = self.table.known(name);
        (known.asked, known.changing) = (false, false);
    }

    /// Whether an answer is older than what is known. That is so once at most: after that, etcd itself has gone back.
    fn is_old(&mut self, name: &GroupName, at: At) -> bool {
        let known = self.table.known(name);
        let last = std::mem::take(&mut known.at);
        let is_old = last.cluster == at.cluster && at.revision < last.revision;
        if !is_old {
            known.at = at;
        }
        is_old
    }

    fn tell_regrouped(&mut self, regroup: &Regroup) {
        let members = regroup.members();
        let cidrs = regroup.joins.iter().chain(regroup.leaves.iter().map(|leaver| &leaver.cidr));
        for cidr in cidrs {
            let now = if members.contains(cidr) { "now" } else { "no more" };
            let what = format!("it belongs to group {} {now}", regroup.name);
            self.happened(Level::Info, Kind::Change.of(what).to(*cidr));
        }
    }

    fn group_is(&mut self, name: &GroupName, group: Group) {
        let known = self.table.known(name);
        if known.group != group {
            known.group = group;
            self.copy.changed();
        }
        self.reseat(name, Origin::Before);
    }

    /// Does what this host has to do about a group.
    fn decide_about(&mut self, name: &GroupName, view: &GroupView, now: Instant) {
        let Lease::Held(lease) = self.lease.told else { return };
        let stops = self.life != Life::Running;
        let wanted: Vec<Cidr> = self.wanted_in(name).into_iter().map(|(cidr, _)| cidr).collect();
        let orphan = view.owner.is_none() && !view.is_offered;
        let Some(known) = self.table.groups.get_mut(name) else { return };
        let since = if orphan { Some(known.orphan_since.unwrap_or(now)) } else { None };
        known.orphan_since = since;
        let offered: Vec<Cidr> = self.table.registered().map(|record| record.cidr).collect();
        let seat = self.table.seat_of(name);
        // It is on its way to another host.
        if seat.is_some_and(|(_, seat)| seat.leaves) {
            self.arm(Timer::Groups, AGAIN);
            return;
        }
        let moment = Moment {
            name,
            host: &self.config.host,
            lease,
            wanted: &wanted,
            offered: if stops { &view.group.members } else { &offered },
            stands: seat.is_some(),
            view,
            is_orphan: since.is_some_and(|at| now.saturating_duration_since(at) >= AGAIN),
        };
        if stops {
            return self.take_step(name, lease, view, moment.last_step());
        }
        let step = moment.step();
        let settled =
            fits(&view.group, &wanted) && wanted.iter().all(|it| view.group.members.contains(it));
        if !settled || step != Step::None || orphan {
            self.arm(Timer::Groups, AGAIN);
        }
        self.take_step(name, lease, view, step);
    }

    fn take_step(&mut self, name: &GroupName, lease: i64, view: &GroupView, step: Step) {
        match step {
            Step::None => {}
            Step::Change { right, joins, leaves } => {
                let cidrs = joins.iter().chain(leaves.iter().map(|leaver| &leaver.cidr));
                let slots = cidrs.filter_map(|cidr| self.table.at(cidr.addr()));
                // What is on its way to another host goes there first.
                if slots.into_iter().any(|(_, vip)| vip.failover.is_some()) {
                    return;
                }
                let known = self.table.known(name);
                (known.asked, known.changing) = (true, true);
                let before = view.group.clone();
                let name = name.clone();
                let regroup = Regroup { name, lease, right, before, joins, leaves };
                self.ask(Request::Regroup(Box::new(regroup)));
            }
            Step::HandOver { cidr, to } => {
                let Some((slot, vip)) = self.table.at(cidr.addr()) else { return };
                let is_free = vip.failover.is_none();
                let known = self.table.known(name);
                if is_free && !known.handed.contains(&cidr) {
                    known.handed.push(cidr);
                    let what = format!("handed to {to}, which owns group {name}");
                    self.happened(Level::Info, Kind::Change.of(what).to(cidr));
                    self.tell(slot, Order::Failover(Some(to)));
                }
            }
            Step::Withdraw => {
                self.withdraw(name);
                self.release_group(name, lease, view);
            }
        }
    }

    /// An election that is no more has taken the lock at last, for what belonged to the group before.
    fn release_group(&mut self, name: &GroupName, lease: i64, view: &GroupView) {
        let owns = view.owner.as_ref().is_some_and(|owner| owner.lease == lease);
        if owns && self.table.seat_of(name).is_none() {
            let keys = vec![lock::key(ElectionKey::Group(name.clone(), 0))];
            self.ask(Request::Release { lease, keys });
        }
    }

    pub(super) fn withdraw(&mut self, name: &GroupName) {
        let Some((leader, _)) = self.table.seat_of(name) else { return };
        let Some(seat) = self.table.seat_mut(leader) else { return };
        if !std::mem::replace(&mut seat.leaves, true) {
            self.out.push(Action::Tell(leader, Order::Leave));
        }
    }

    /// Whether an IP with this record fits to those of its group that are on this host, and to these new ones.
    pub(super) fn check_group(&self, record: &Record, new: &[Record]) -> Result<(), Refusal> {
        let Some(name) = &record.group else { return Ok(()) };
        let others = self.table.iter().map(|(_, vip)| &vip.record).chain(new);
        let others = others.filter(|it| it.group.as_ref() == Some(name) && it.cidr != record.cidr);
        let others: Vec<&Record> = others.collect();
        if others.len() >= MOST_MEMBERS {
            let why = format!("{name} has {} IPs on this host, and cannot have more", others.len());
            return Err(Refusal::invalid("group", why));
        }
        let Some(first) = others.iter().min_by_key(|it| it.cidr).filter(|it| it.cidr < record.cidr)
        else {
            return Ok(());
        };
        let same = |field: &str, own: Option<String>, firsts: String| match own {
            Some(own) if own != firsts => {
                let why = format!(
                    "{own} is not that of {}, {firsts}, which holds for group {name}",
                    first.cidr
                );
                Err(Refusal::invalid(field, why))
            }
            Some(_) | None => Ok(()),
        };
        let defaults = &self.config.defaults;
        let loss = first.loss.unwrap_or(defaults.loss).to_string();
        same("etcd_loss_policy", record.loss.map(|it| it.to_string()), loss)?;
        let priority = first.priority.unwrap_or(defaults.priority).to_string();
        same("priority", record.priority.map(|it| it.to_string()), priority)
    }
}
