//! The groups of this host: IPs that have one owner, and so one election.
//!
//! The election of a group has the number of the first of its IPs, the lowest: what an election is told of one of
//! them is told to that one, and what it tells holds for all. It has all that belongs to the group in etcd. When that
//! changes, another election takes its place, and takes the addresses over as they are: nothing is removed or let go
//! for that. A host that does not offer all that belongs to a group has no election for it.

use std::time::Instant;

use super::membership::fits;
use super::seats::Seat;
use super::start::Start;
use super::stop::Life;
use super::table::{Service, Stage, Vip};
use super::{Action, Core, Order, Origin, Serial, Subject};
use crate::command::Refusal;
use crate::election::Notice;
use crate::lock::{self, Lease};
use crate::sorted::sort_by;
use crate::store::{Group, Record, Request};
use crate::vip::{Cidr, GroupName, Slot};

impl Core {
    /// Takes note of what belongs to which group, before elections are started.
    pub(super) fn know_groups(&mut self, groups: &[(GroupName, Group)]) {
        self.table.groups.values_mut().for_each(|known| known.group = Group::default());
        for (name, group) in groups {
            self.table.known(name).group = group.clone();
        }
    }

    /// Starts the elections of all groups for which this host stands.
    pub(super) fn seat_all(&mut self, origin: Origin) {
        for name in self.group_names() {
            self.reseat(&name, origin);
        }
    }

    pub(super) fn group_names(&self) -> Vec<GroupName> {
        let mut names: Vec<GroupName> = Vec::new();
        for (slot, vip) in self.table.iter() {
            let seat = self.table.seat(slot).map(|seat| &seat.name);
            let of_it = [vip.record.group.as_ref(), vip.status.group.as_ref(), seat];
            names.extend(of_it.into_iter().flatten().cloned());
        }
        sort_by(&mut names, GroupName::cmp);
        names.dedup();
        names
    }

    /// The IPs that this host wants in a group, in no order.
    pub(super) fn wanted_in(&self, name: &GroupName) -> Vec<(Cidr, Slot)> {
        let wanted = self.table.iter().filter(|(_, vip)| {
            vip.is_registered()
                && vip.record.group.as_ref() == Some(name)
                && !self.is_etcd(vip.record.cidr)
        });
        wanted.map(|(slot, vip)| (vip.record.cidr, slot)).collect()
    }

    /// Brings the election of a group to what belongs to it.
    pub(super) fn reseat(&mut self, name: &GroupName, origin: Origin) {
        let known = self.table.groups.get(name);
        let group = known.map(|known| known.group.clone()).unwrap_or_default();
        let before = self.table.seat_of(name).map(|(leader, seat)| (leader, seat.clone()));
        if before.as_ref().is_some_and(|(_, seat)| seat.leaves) {
            return;
        }
        if group.members.is_empty() {
            return self.replace_seat(before, None, origin);
        }
        if self.life != Life::Running {
            return;
        }
        let wanted = self.wanted_in(name);
        let cidrs: Vec<Cidr> = wanted.iter().map(|(cidr, _)| *cidr).collect();
        if !fits(&group, &cidrs) {
            // One that had it withdraws, or has something leave, first.
            return;
        }
        let place = |cidr: &Cidr| wanted.iter().find(|(it, _)| it == cidr).map(|(_, slot)| *slot);
        let slots = group.members.iter().filter_map(place).collect();
        let seat = Seat { name: name.clone(), revision: group.revision, slots, leaves: false };
        if before.as_ref().is_none_or(|(_, before)| *before != seat) {
            self.replace_seat(before, Some(seat), origin);
        }
    }

    /// Has another election take the place of one of a group, and of those of single IPs. It is started first, and takes the
    /// addresses over as they are.
    fn replace_seat(&mut self, before: Option<(Slot, Seat)>, after: Option<Seat>, origin: Origin) {
        if before.is_none() && after.is_none() {
            return;
        }
        let old = before.as_ref().map(|(_, seat)| seat.slots.clone()).unwrap_or_default();
        let mut left = Vec::new();
        if let Some((leader, seat)) = &before {
            self.table.remove_seat(*leader);
            left.push(lock::candidacy_key(seat.key(), &self.config.host));
            // Of a group to which nothing belongs nobody is the owner.
            left.extend(after.is_none().then(|| lock::key(seat.key())));
        }
        let new = after.as_ref().map(|seat| seat.slots.clone()).unwrap_or_default();
        if let Some((leader, seat)) = new.first().copied().zip(after) {
            self.table.insert_seat(seat);
            self.start_again_for(leader, origin);
        }
        new.iter().skip(1).for_each(|slot| self.end_election(*slot));
        for slot in old.iter().filter(|slot| !new.contains(slot)) {
            self.start_again_for(*slot, origin);
            let leaves =
                self.table.get(*slot).is_some_and(|vip| matches!(vip.stage, Stage::Leaving(_)));
            if leaves {
                self.introduce(*slot);
                self.out.push(Action::Tell(*slot, Order::Leave));
            }
        }
        self.release_keys(left);
        self.copy.changed();
    }

    /// Starts the election that has this number, in place of one that had it.
    fn start_again_for(&mut self, slot: Slot, origin: Origin) {
        self.replaced(slot);
        if let Some(record) = self.table.get(slot).map(|vip| vip.record.clone()) {
            self.start_election(slot, record, origin);
        }
    }

    fn end_election(&mut self, slot: Slot) {
        self.replaced(slot);
        self.out.push(Action::End(slot));
    }

    /// What an election did goes on in another, which is to be told anew to monitor the owner's host, and knows nothing of
    /// a failover.
    fn replaced(&mut self, slot: Slot) {
        self.detector.gone(slot);
        let Some(vip) = self.table.get_mut(slot) else { return };
        vip.election.serial = None;
        vip.service = Service::Served;
        let failover = vip.failover.take();
        let why = "what belongs to its group has changed meanwhile: try again".to_owned();
        self.refuse(failover, &Refusal::Conflict(why));
    }

    /// Whether that is the election that has this number now: what one before it has told, and was not heard
    /// yet, is not about what this one has.
    pub(super) fn runs(&self, slot: Slot, serial: Serial) -> bool {
        self.table.get(slot).is_some_and(|vip| vip.election.serial == Some(serial))
    }

    /// Removes what elections have left in etcd that go on as others. The candidacies for single IPs stay: they tell who
    /// offers which address.
    fn release_keys(&mut self, keys: Vec<String>) {
        if let (Lease::Held(lease), false) = (self.lease.told, keys.is_empty()) {
            self.ask(Request::Release { lease, keys });
        }
    }

    /// What an election with this number is about.
    pub(super) fn subject(&self, slot: Slot, record: Record) -> Subject {
        let Some(seat) = self.table.seat(slot) else {
            return Subject { key: record.cidr.into(), records: vec![record] };
        };
        let of = |slot: &Slot| Some(self.table.get(*slot)?.record.clone());
        Subject { key: seat.key(), records: seat.slots.iter().filter_map(of).collect() }
    }

    /// An IP is given up on this host that is in the election of a group. Without etcd the others go on without it; with
    /// it, the next look at the group tells how.
    pub(super) fn leave_group(&mut self, slot: Slot) {
        let leader = self.table.election_of(slot);
        let Some(name) = self.table.seat(leader).map(|seat| seat.name.clone()) else {
            return;
        };
        let reads = matches!(self.lease.told, Lease::Held(_)) && self.start == Start::Loaded;
        match (self.life, reads) {
            (_, true) => return self.groups_due([name]),
            (Life::Running, false) => {}
            (_, false) => return self.withdraw(&name),
        }
        self.leave_alone(slot);
    }

    fn leave_alone(&mut self, slot: Slot) {
        self.take_from_seat(slot);
        self.start_again_for(slot, Origin::Before);
        self.introduce(slot);
        self.out.push(Action::Tell(slot, Order::Leave));
    }

    /// The IPs in elections of groups that are being given up, where the whole is not.
    fn leaving(&self, slots: Vec<Slot>) -> Vec<Slot> {
        let leaves = |slot: &Slot| {
            let seat = self.table.seat(self.table.election_of(*slot));
            let is_leaving = |vip: &Vip| matches!(vip.stage, Stage::Leaving(_));
            seat.is_some_and(|seat| !seat.leaves) && self.table.get(*slot).is_some_and(is_leaving)
        };
        slots.into_iter().filter(leaves).collect()
    }

    /// What is being given up does not wait for an etcd that is lost.
    pub(super) fn leave_groups(&mut self) {
        for slot in self.leaving(self.table.slots()) {
            self.leave_group(slot);
        }
    }

    /// etcd does not change the group: what is being given up goes without that.
    pub(super) fn leave_unchanged(&mut self, name: &GroupName) {
        let Some((_, seat)) = self.table.seat_of(name) else { return };
        let (slots, leaving) = (seat.slots.len(), self.leaving(seat.slots.clone()));
        if leaving.len() == slots {
            return self.withdraw(name);
        }
        leaving.into_iter().for_each(|slot| self.leave_alone(slot));
    }

    /// The election of a group goes on without this IP.
    pub(super) fn take_from_seat(&mut self, slot: Slot) {
        let leader = self.table.election_of(slot);
        let Some(before) = self.table.remove_seat(leader) else { return };
        let slots: Vec<Slot> = before.slots.iter().copied().filter(|it| *it != slot).collect();
        let Some(first) = slots.first().copied() else { return };
        // Another election, which was told to give nothing up.
        self.table.insert_seat(Seat { slots, leaves: false, ..before });
        self.start_again_for(first, Origin::Before);
    }

    /// The election of a group has given all of its IPs up. Those that this host goes on to offer are elected by themselves.
    fn seat_has_left(&mut self, leader: Slot, cleanup_pending: bool) {
        let Some(seat) = self.table.remove_seat(leader) else { return };
        self.end_election(leader);
        for slot in seat.slots {
            match self.table.get(slot).map(|vip| &vip.stage) {
                Some(Stage::Leaving(_)) => self.on_left(slot, cleanup_pending),
                Some(_) => self.start_again_for(slot, Origin::Before),
                None => {}
            }
        }
        if cleanup_pending {
            self.compare_soon();
        }
        self.groups_due([seat.name]);
    }

    /// What the election of a group tells holds for all of its IPs.
    pub(super) fn on_notice(&mut self, slot: Slot, notice: Notice, now: Instant) {
        if self.table.seat(slot).is_none() {
            return self.on_notice_of_one(slot, notice, now);
        }
        match notice {
            Notice::Left { cleanup_pending } => self.seat_has_left(slot, cleanup_pending),
            Notice::Happened(happening) => {
                let of = happening.ip.and_then(|cidr| self.table.at(cidr.addr()));
                let slot = of.map_or(slot, |(slot, _)| slot);
                self.on_notice_of_one(slot, Notice::Happened(happening), now);
            }
            // The failure detector knows one of them.
            Notice::Owner(_) | Notice::AlsoMissed(_) => self.on_notice_of_one(slot, notice, now),
            Notice::Status(_)
            | Notice::Acknowledged
            | Notice::HandedOver(_)
            | Notice::Refused(_)
            | Notice::Served => {
                for slot in self.table.led_by(slot) {
                    self.on_notice_of_one(slot, notice.clone(), now);
                }
            }
        }
    }

    /// Whether the failure detector is to know of this IP: of a group it knows the first.
    pub(super) fn is_detected(&self, slot: Slot) -> bool {
        self.table.election_of(slot) == slot
    }
}
