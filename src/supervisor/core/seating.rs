//! In which elections the IPs of this host are: each by itself, or all that belongs to a group in one.

use super::Serial;
use super::seats::{Known, Place, Seat};
use super::table::Table;
use crate::store::Group;
use crate::vip::{Cidr, ElectionKey, GroupName, Slot};

impl Table {
    /// Numbers an election that is started.
    pub(super) fn next_serial(&mut self, slot: Slot) -> Serial {
        self.started = self.started.wrapping_add(1);
        let serial = Serial(self.started);
        if let Some(vip) = self.get_mut(slot) {
            vip.election.serial = Some(serial);
        }
        serial
    }

    /// What is known of a group: nothing yet, of one that is new.
    pub(super) fn known(&mut self, name: &GroupName) -> &mut Known {
        self.groups.entry(name.clone()).or_default()
    }

    /// The number of the election that has an IP.
    pub(super) fn election_of(&self, slot: Slot) -> Slot {
        match self.get(slot).map(|vip| &vip.election.place) {
            Some(Place::With(leader)) => *leader,
            Some(Place::Alone | Place::First(_)) | None => slot,
        }
    }

    /// Whether an IP is in the election of a group.
    pub(super) fn is_seated(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|vip| vip.election.place != Place::Alone)
    }

    /// The election of a group that has this number.
    pub(super) fn seat(&self, leader: Slot) -> Option<&Seat> {
        let Place::First(seat) = &self.get(leader)?.election.place else { return None };
        Some(seat)
    }

    pub(super) fn seat_mut(&mut self, leader: Slot) -> Option<&mut Seat> {
        let Place::First(seat) = &mut self.get_mut(leader)?.election.place else { return None };
        Some(seat)
    }

    /// The IPs that an election has.
    pub(super) fn led_by(&self, slot: Slot) -> Vec<Slot> {
        self.seat(slot).map_or_else(|| vec![slot], |seat| seat.slots.clone())
    }

    /// The IPs that are in one election with this one, itself included.
    pub(super) fn together(&self, slot: Slot) -> Vec<Slot> {
        self.led_by(self.election_of(slot))
    }

    /// For what an owner of this IP is elected, perhaps together with others.
    pub(super) fn whole_key(&self, slot: Slot, cidr: Cidr) -> ElectionKey {
        let seat = self.seat(self.election_of(slot));
        seat.map_or_else(|| cidr.into(), Seat::key)
    }

    pub(super) fn seat_of(&self, name: &GroupName) -> Option<(Slot, &Seat)> {
        let leader = self.groups.get(name)?.leader?;
        Some((leader, self.seat(leader)?))
    }

    /// No election has that any more; each of its IPs is to have another.
    pub(super) fn remove_seat(&mut self, leader: Slot) -> Option<Seat> {
        let seat = self.seat(leader)?.clone();
        for slot in &seat.slots {
            self.place(*slot, Place::Alone);
        }
        self.known(&seat.name).leader = None;
        Some(seat)
    }

    /// The first of these IPs has the election of all.
    pub(super) fn insert_seat(&mut self, seat: Seat) {
        let Some((leader, others)) = seat.slots.split_first() else { return };
        let leader = *leader;
        others.iter().for_each(|slot| self.place(*slot, Place::With(leader)));
        self.known(&seat.name).leader = Some(leader);
        self.place(leader, Place::First(Box::new(seat)));
    }

    fn place(&mut self, slot: Slot, place: Place) {
        if let Some(vip) = self.get_mut(slot) {
            vip.election.place = place;
        }
    }

    /// What belongs to each group, for a start without etcd.
    pub(super) fn groups_to_copy(&self) -> Vec<(GroupName, Group)> {
        let has_any = self.groups.iter().filter(|(_, known)| !known.group.members.is_empty());
        has_any.map(|(name, known)| (name.clone(), known.group.clone())).collect()
    }

    /// The names of all that elections of groups have in etcd. One may be given to this host by a change that is under way.
    pub(super) fn seat_names(&self) -> impl Iterator<Item = String> {
        let seats = self.iter().filter_map(|(slot, _)| self.seat(slot));
        let changed = self.groups.iter().filter(|(_, known)| known.changing);
        let changed = changed.map(|(name, _)| ElectionKey::Group(name.clone(), 0).text());
        seats.flat_map(|seat| [seat.key().text(), seat.key().candidacies()]).chain(changed)
    }
}
