//! What a host does about a group: which IPs it has join, which leave, and which it hands to the owner of the group.
//!
//! Pure, and about one moment: what etcd has of the group, and what this host offers. Whatever is decided is done in one
//! transaction that is guarded by what it was decided on, so that it is decided again when that has changed.
//!
//! - An IP joins a group in the hands of the host that owns both: nothing moves. A host that owns the IP, and not the group, hands
//!   the IP over to the owner of the group first. As long as an IP has not joined, it is elected by itself.
//! - A group is not made smaller for a host that does not offer all of it: such a host is no candidate. But none of the
//!   candidates is lost by a join: all have to offer the IP.
//! - An IP leaves a group in the hands of the owner, when that does not want it there any more.
//! - What belongs to a group that nobody owns, and for which nobody is a candidate, is freed by whoever offers it.
//! - So is an IP whose own lock names a group that does not have it: somebody has deleted or garbled the key of the group.
//!   In the hands of a host that owns the group it belongs to the group again.

use crate::lock::Holder;
use crate::store::{Group, GroupView, IpView, Leaver, Left, MOST_MEMBERS, Right};
use crate::vip::{Cidr, GroupName};

/// What a host knows of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    /// The group.
    pub(super) name: &'a GroupName,
    /// This host.
    pub(super) host: &'a str,
    /// Its lease.
    pub(super) lease: i64,
    /// The IPs that it wants in the group.
    pub(super) wanted: &'a [Cidr],
    /// The IPs that it offers, in the group or not.
    pub(super) offered: &'a [Cidr],
    /// It stands for the group: it has all that belongs to it, or may have it next.
    pub(super) stands: bool,
    /// What etcd has.
    pub(super) view: &'a GroupView,
    /// Nobody owns the group or is a candidate, since a while.
    pub(super) is_orphan: bool,
}

/// What a host does about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All is as it should be, as far as this host can bring it about.
    None,
    /// What belongs to the group is changed.
    Change { right: Right, joins: Vec<Cidr>, leaves: Vec<Leaver> },
    /// The owner of the group is to have this IP.
    HandOver { cidr: Cidr, to: String },
    /// This host does not stand for the group any more: who else does has all of it.
    Withdraw,
}

/// Whether a host may stand for a group: it wants all that belongs to it.
pub(super) fn fits(group: &Group, wanted: &[Cidr]) -> bool {
    !group.members.is_empty() && group.members.iter().all(|cidr| wanted.contains(cidr))
}

impl Moment<'_> {
    pub(super) fn step(&self) -> Step {
        let mut leaves = self.view.strays(self.name);
        leaves.retain(|it| self.offered.contains(&it.cidr));
        leaves.truncate(MOST_MEMBERS.saturating_sub(self.view.group.members.len()));
        let owner = self.view.owner.as_ref();
        let is_free = owner.is_none() && self.is_orphan && !self.view.is_offered;
        if !leaves.is_empty() && (self.is_mine(owner) || is_free) {
            let right = if is_free { Right::Orphan } else { Right::Owner };
            return Step::Change { right, joins: Vec::new(), leaves };
        }
        // The lock of a group to which nothing belongs is what an election has left that did not know yet.
        let owner = owner.filter(|_| !self.view.group.members.is_empty());
        match owner {
            Some(owner) if owner.lease == self.lease => self.step_of_owner(),
            Some(_) if self.stands && !self.fits() => Step::Withdraw,
            None if self.stands && !self.fits() => Step::Withdraw,
            Some(owner) => self.hand_over(owner),
            None if self.view.group.members.is_empty() => self.join(Right::Founder),
            None if self.fits() => Step::None,
            None if self.is_orphan && !self.view.is_offered => self.free(),
            None => Step::None,
        }
    }

    /// What an owner does that stops. Where no other host stands for the group, those that offer a part of it have
    /// that: what belongs to the group is elected by itself again before this host gives it up.
    pub(super) fn last_step(&self) -> Step {
        let is_elsewhere = |ip: &IpView| ip.hosts.iter().any(|host| host != self.host);
        let parts = self.is_mine(self.view.owner.as_ref()) && self.others().next().is_none();
        if !parts || !self.view.ips.iter().any(is_elsewhere) {
            return Step::Withdraw;
        }
        let leaves = self.view.group.members.iter().map(|cidr| self.leaver(*cidr)).collect();
        Step::Change { right: Right::Owner, joins: Vec::new(), leaves }
    }

    fn fits(&self) -> bool {
        fits(&self.view.group, self.wanted)
    }

    fn is_mine(&self, lock: Option<&Holder>) -> bool {
        lock.is_some_and(|lock| lock.lease == self.lease)
    }

    fn ip(&self, cidr: Cidr) -> Option<&IpView> {
        self.view.ips.iter().find(|ip| ip.cidr == cidr)
    }

    fn others(&self) -> impl Iterator<Item = &String> {
        self.view.candidates.iter().filter(|host| *host != self.host)
    }

    fn step_of_owner(&self) -> Step {
        let members = &self.view.group.members;
        let unwanted: Vec<Cidr> =
            members.iter().copied().filter(|cidr| !self.wanted.contains(cidr)).collect();
        // What is not offered here any more another host is to have, with all of the group.
        let is_gone = |cidr: &Cidr| !self.offered.contains(cidr);
        if unwanted.iter().any(is_gone) && self.others().next().is_some() {
            return Step::Withdraw;
        }
        let unmarked =
            members.iter().filter(|cidr| self.is_unmarked(**cidr) && !unwanted.contains(cidr));
        let leaves: Vec<Leaver> =
            unwanted.iter().chain(unmarked).map(|cidr| self.leaver(*cidr)).collect();
        if !leaves.is_empty() {
            return Step::Change { right: Right::Owner, joins: Vec::new(), leaves };
        }
        self.join(Right::Owner)
    }

    /// Its own lock does not say that it belongs to a group: somebody has deleted that.
    fn is_unmarked(&self, cidr: Cidr) -> bool {
        self.ip(cidr).is_some_and(|ip| !ip.lock.as_ref().is_some_and(Holder::is_group))
    }

    fn leaver(&self, cidr: Cidr) -> Leaver {
        let lock = self.ip(cidr).and_then(|ip| ip.lock.as_ref());
        let lock = match lock {
            Some(lock) if lock.lease != 0 => Left::Taken,
            Some(_) | None if self.offered.contains(&cidr) => Left::Kept,
            Some(_) | None => Left::Free,
        };
        Leaver { cidr, lock }
    }

    /// The IPs that this host owns by themselves, and wants in the group.
    fn join(&self, right: Right) -> Step {
        let members = &self.view.group.members;
        let room = MOST_MEMBERS.saturating_sub(members.len());
        let offers = |ip: &IpView| self.others().all(|host| ip.hosts.contains(host));
        let joins = self.view.ips.iter().filter(|ip| {
            let wanted = self.wanted.contains(&ip.cidr) && !members.contains(&ip.cidr);
            wanted && self.is_mine(ip.lock.as_ref()) && offers(ip)
        });
        let joins: Vec<Cidr> = joins.map(|ip| ip.cidr).take(room).collect();
        match joins.is_empty() {
            true => Step::None,
            false => Step::Change { right, joins, leaves: Vec::new() },
        }
    }

    fn hand_over(&self, owner: &Holder) -> Step {
        let members = &self.view.group.members;
        let mut own = self.view.ips.iter().filter(|ip| {
            let wanted = self.wanted.contains(&ip.cidr) && !members.contains(&ip.cidr);
            wanted && self.is_mine(ip.lock.as_ref()) && ip.hosts.contains(&owner.host)
        });
        let next = own.next().map(|ip| Step::HandOver { cidr: ip.cidr, to: owner.host.clone() });
        next.unwrap_or(Step::None)
    }

    /// Frees what this host offers of a group that nobody has or can have.
    fn free(&self) -> Step {
        let members = self.view.group.members.iter().copied();
        let offered: Vec<Leaver> = members
            .filter(|cidr| self.offered.contains(cidr))
            .map(|cidr| match self.leaver(cidr) {
                taken @ Leaver { lock: Left::Taken, .. } => taken,
                Leaver { cidr, lock: Left::Kept | Left::Free | Left::Stray(_) } => {
                    Leaver { cidr, lock: Left::Free }
                }
            })
            .collect();
        match offered.is_empty() {
            true => Step::None,
            false => Step::Change { right: Right::Orphan, joins: Vec::new(), leaves: offered },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: i64 = 7;

    fn cidr(number: u8) -> Cidr {
        format!("10.0.0.{number}").parse().unwrap()
    }

    fn cidrs(numbers: &[u8]) -> Vec<Cidr> {
        numbers.iter().map(|number| cidr(*number)).collect()
    }

    fn holder(host: &str, lease: i64) -> Holder {
        Holder { host: host.to_owned(), lease, written: 5 }
    }

    /// What etcd has, and what h1 wants.
    struct Story {
        name: GroupName,
        wanted: Vec<Cidr>,
        offered: Vec<Cidr>,
        stands: bool,
        is_orphan: bool,
        view: GroupView,
    }

    impl Story {
        /// The group has these IPs, and this owner; h1 wants some, and offers them.
        fn new(members: &[u8], owner: Option<(&str, i64)>, wanted: &[u8]) -> Story {
            let group = Group { members: cidrs(members), revision: 9 };
            let owner = owner.map(|(host, lease)| holder(host, lease));
            let marked =
                |cidr| IpView { cidr, lock: Some(holder("group:gw", 0)), hosts: Vec::new() };
            let ips = cidrs(members).into_iter().map(marked).collect();
            let view = GroupView { group, owner, ips, ..GroupView::default() };
            let (wanted, offered) = (cidrs(wanted), cidrs(wanted));
            let name = "gw".parse().unwrap();
            Story { name, wanted, offered, stands: false, is_orphan: false, view }
        }

        fn candidates(mut self, hosts: &[&str]) -> Story {
            self.view.candidates = hosts.iter().map(|host| (*host).to_owned()).collect();
            self.view.is_offered = true;
            self.stands = hosts.contains(&"h1");
            self
        }

        /// An IP is by itself that of a host, and others offer it.
        fn single(mut self, number: u8, owner: (&str, i64), hosts: &[&str]) -> Story {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            self.view.ips.retain(|ip| ip.cidr != cidr(number));
            let lock = Some(holder(owner.0, owner.1));
            self.view.ips.push(IpView { cidr: cidr(number), lock, hosts });
            self
        }

        fn moment(&self) -> Moment<'_> {
            let Story { name, wanted, offered, stands, is_orphan, view } = self;
            let (stands, is_orphan) = (*stands, *is_orphan);
            Moment { name, host: "h1", lease: LEASE, wanted, offered, stands, view, is_orphan }
        }

        fn step(&self) -> Step {
            self.moment().step()
        }
    }

    fn joins(right: Right, numbers: &[u8]) -> Step {
        Step::Change { right, joins: cidrs(numbers), leaves: Vec::new() }
    }

    fn leaves(right: Right, all: &[(u8, Left)]) -> Step {
        let leaver = |(number, lock): &(u8, Left)| Leaver { cidr: cidr(*number), lock: *lock };
        Step::Change { right, joins: Vec::new(), leaves: all.iter().map(leaver).collect() }
    }

    #[test]
    fn who_owns_what_is_wanted_founds_the_group_with_that() {
        let story = Story::new(&[], None, &[1, 2]).single(1, ("h1", LEASE), &["h1", "h2"]);
        let story = story.single(2, ("h2", 9), &["h1", "h2"]);
        assert_eq!(story.step(), joins(Right::Founder, &[1]));
        let story = Story::new(&[], None, &[]).single(1, ("h1", LEASE), &["h1"]);
        assert_eq!(story.step(), Step::None, "nobody wants it in the group");
    }

    #[test]
    fn a_lock_of_a_group_to_which_nothing_belongs_is_in_nobodys_way() {
        for owner in [("h2", 9), ("h1", LEASE)] {
            let story = Story::new(&[], Some(owner), &[1]).single(1, ("h1", LEASE), &["h1"]);
            assert_eq!(story.step(), joins(Right::Founder, &[1]));
        }
    }

    #[test]
    fn an_ip_joins_in_the_hands_of_the_owner_of_both_and_comes_to_that_before() {
        let owner = Some(("h1", LEASE));
        let story = || Story::new(&[1], owner, &[1, 2]).candidates(&["h1", "h2"]);
        let own = story().single(2, ("h1", LEASE), &["h1", "h2"]);
        assert_eq!(own.step(), joins(Right::Owner, &[2]));
        assert_eq!(story().single(2, ("h2", 9), &["h1", "h2"]).step(), Step::None);
        let other = Story::new(&[1], Some(("h2", 9)), &[1, 2]).candidates(&["h1", "h2"]);
        let other = other.single(2, ("h1", LEASE), &["h1", "h2"]);
        let to = Step::HandOver { cidr: cidr(2), to: "h2".to_owned() };
        assert_eq!(other.step(), to);
    }

    #[test]
    fn no_candidate_is_lost_by_a_join_and_nothing_is_handed_to_a_host_that_does_not_offer_it() {
        let story = Story::new(&[1], Some(("h1", LEASE)), &[1, 2]).candidates(&["h1", "h2"]);
        assert_eq!(story.single(2, ("h1", LEASE), &["h1"]).step(), Step::None);
        let story = Story::new(&[1], Some(("h2", 9)), &[1, 2]).candidates(&["h1", "h2"]);
        assert_eq!(story.single(2, ("h1", LEASE), &["h1"]).step(), Step::None);
    }

    #[test]
    fn what_is_not_wanted_in_the_group_any_more_is_not_handed_to_its_owner() {
        let story = Story::new(&[1], Some(("h2", 9)), &[1]).candidates(&["h1", "h2"]);
        assert_eq!(story.single(2, ("h1", LEASE), &["h1", "h2"]).step(), Step::None);
    }

    #[test]
    fn what_is_not_wanted_any_more_leaves_in_the_hands_of_the_owner_and_stays_there() {
        let mut story = Story::new(&[1, 2], Some(("h1", LEASE)), &[1]).candidates(&["h1", "h2"]);
        story.offered = cidrs(&[1, 2]);
        assert_eq!(story.step(), leaves(Right::Owner, &[(2, Left::Kept)]));
        // What is not offered any more goes with the group to a host that has it all.
        story.offered = cidrs(&[1]);
        assert_eq!(story.step(), Step::Withdraw);
        let story =
            Story { view: GroupView { candidates: vec!["h1".to_owned()], ..story.view }, ..story };
        assert_eq!(story.step(), leaves(Right::Owner, &[(2, Left::Free)]));
    }

    #[test]
    fn who_does_not_offer_all_of_it_does_not_stand_for_it() {
        for owner in [None, Some(("h2", 9))] {
            let story = Story::new(&[1, 2], owner, &[1]).candidates(&["h1", "h2"]);
            assert_eq!(story.step(), Step::Withdraw);
        }
    }

    #[test]
    fn what_nobody_owns_and_nobody_stands_for_is_freed_after_a_while() {
        let mut story = Story::new(&[1, 2], None, &[1]);
        assert_eq!(story.step(), Step::None, "whoever had it may be back");
        story.is_orphan = true;
        assert_eq!(story.step(), leaves(Right::Orphan, &[(1, Left::Free)]));
        story.view.is_offered = true;
        assert_eq!(story.step(), Step::None);
        let all = Story { is_orphan: true, ..Story::new(&[1, 2], None, &[1, 2]) };
        assert_eq!(all.step(), Step::None, "this host stands for it");
    }

    #[test]
    fn what_says_that_it_belongs_to_a_group_that_does_not_have_it_is_put_right_by_the_owner_or_freed()
     {
        let story = |owner| Story::new(&[], owner, &[1]).single(1, ("group:gw", 0), &["h1", "h2"]);
        let stray = |right| leaves(right, &[(1, Left::Stray(5))]);
        assert_eq!(story(Some(("h1", LEASE))).step(), stray(Right::Owner));
        assert_eq!(story(Some(("h2", 9))).step(), Step::None, "h2 puts it right");
        let mut nobodys = story(None);
        assert_eq!(nobodys.step(), Step::None, "the owner may be about to look");
        nobodys.is_orphan = true;
        assert_eq!(nobodys.step(), stray(Right::Orphan));
        nobodys.offered = Vec::new();
        assert_eq!(nobodys.step(), Step::None);
        let mut other = Story::new(&[], None, &[1]).single(1, ("group:lan", 0), &["h1"]);
        other.is_orphan = true;
        assert_eq!(other.step(), Step::None);
    }

    #[test]
    fn an_owner_that_stops_leaves_the_parts_to_hosts_that_offer_no_more() {
        let owner = Some(("h1", LEASE));
        let story = || Story::new(&[1, 2], owner, &[1, 2]).candidates(&["h1"]);
        let own = story().single(2, ("group:gw", 0), &["h1"]);
        for alone in [story(), own] {
            assert_eq!(alone.moment().last_step(), Step::Withdraw, "nobody else offers anything");
        }
        let part = || story().single(2, ("group:gw", 0), &["h1", "h2"]);
        let all = leaves(Right::Owner, &[(1, Left::Kept), (2, Left::Kept)]);
        assert_eq!(part().moment().last_step(), all);
        let other = part().candidates(&["h1", "h3"]);
        assert_eq!(other.moment().last_step(), Step::Withdraw, "h3 has all of it");
        let not_mine = Story { view: GroupView { owner: None, ..part().view }, ..part() };
        assert_eq!(not_mine.moment().last_step(), Step::Withdraw);
    }

    #[test]
    fn a_lock_that_does_not_say_any_more_that_its_ip_belongs_to_the_group_lets_the_ip_leave() {
        let story = Story::new(&[1, 2], Some(("h1", LEASE)), &[1, 2]).candidates(&["h1"]);
        let story = story.single(2, ("h3", 11), &["h3"]);
        assert_eq!(story.step(), leaves(Right::Owner, &[(2, Left::Taken)]));
    }
}
