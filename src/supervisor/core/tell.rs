//! What hooks are told of an IP: each state, once the kernel agrees, the first one that is known, and again that the IP
//! is this host's when another machine may have had it meanwhile.

use std::time::Instant;

use log::Level;

use super::table::Vip;
use super::{Action, Core};
use crate::election::Status;
use crate::fsm::State;
use crate::history::{Happening, Kind};
use crate::hooks::{Event, Standing};
use crate::vip::Slot;

impl Core {
    /// Records something about an IP; if it has another state, hooks are told.
    pub(super) fn on_happened(&mut self, slot: Slot, happening: Happening, now: Instant) {
        let Some((state, event)) = happening.state else {
            return self.out.push(Action::Record(happening));
        };
        // It goes before, so that it has the number of its own event.
        self.tell_what_is_due(slot, now);
        let why = happening.why.clone();
        self.out.push(Action::Record(happening));
        let Some(vip) = self.table.get(slot) else { return };
        let is_there = vip.status.bound || state != State::Activated;
        let standing = self.standing(vip, state, Event::Changed(event), why);
        if let Some(vip) = self.table.get_mut(slot) {
            vip.watched.told.due = Some(standing);
        }
        if is_there {
            self.tell_what_is_due(slot, now);
        }
    }

    /// Tells what another status brings.
    pub(super) fn note_standing(&mut self, slot: Slot, before: &Status, now: Instant) {
        let Some(vip) = self.table.get(slot) else { return };
        let (status, told) = (&vip.status, &vip.watched.told);
        if status.bound && told.due.is_some() {
            return self.tell_what_is_due(slot, now);
        }
        let waits = status.state == State::Standby
            && status.owner.as_ref().is_some_and(|owner| *owner != self.config.host);
        let event = if waits && told.last.is_none() && told.due.is_none() {
            Event::Start
        } else if before.tally.conflict && !status.tally.conflict && told.says_that_it_is_here() {
            Event::ConflictOver
        } else {
            return;
        };
        let standing = self.standing(vip, status.state, event, status.reason.clone());
        if event == Event::ConflictOver {
            return self.tell_again(slot, standing, now);
        }
        self.tell_hooks(slot, standing, now);
    }

    /// Another host has let go of an IP, or was not sure whose it is.
    pub(super) fn reaffirm(&mut self, slot: Slot, now: Instant) {
        let Some(vip) = self.table.get(slot) else { return };
        let told = &vip.watched.told;
        let is_ours = vip.status.owner.as_ref() == Some(&self.config.host);
        if !is_ours || !told.says_that_it_is_here() || told.was_handed_over(now) {
            return;
        }
        let (state, why) = (vip.status.state, vip.status.reason.clone());
        let standing = self.standing(vip, state, Event::ConflictOver, why);
        self.tell_again(slot, standing, now);
    }

    /// An IP is not served any more, without having been given up.
    pub(super) fn tell_removed(&mut self, vip: &Vip) {
        let is_told = vip.watched.told.last.is_some_and(|(state, ..)| state != State::Standby);
        if is_told {
            let why = "this host does not serve it any more".to_owned();
            let standing = self.standing(vip, State::Standby, Event::Removed, why.clone());
            let happening = Kind::Transition.of("removed").because(why).to(standing.cidr);
            self.happened(Level::Debug, happening);
            self.out.push(Action::Notify(standing));
        }
    }

    /// It is an event of its own, so that it has a number of its own.
    fn tell_again(&mut self, slot: Slot, standing: Box<Standing>, now: Instant) {
        let what = "this host has the IP; another machine may have had it meanwhile";
        let happening = Kind::Conflict.of(what).because(standing.why.clone());
        self.happened(Level::Debug, happening.to(standing.cidr));
        self.tell_hooks(slot, standing, now);
    }

    fn tell_what_is_due(&mut self, slot: Slot, now: Instant) {
        let due = self.table.get_mut(slot).and_then(|vip| vip.watched.told.due.take());
        if let Some(standing) = due {
            self.tell_hooks(slot, standing, now);
        }
    }

    fn tell_hooks(&mut self, slot: Slot, standing: Box<Standing>, now: Instant) {
        if let Some(vip) = self.table.get_mut(slot) {
            vip.watched.told.last = Some((standing.state, standing.event, now));
        }
        self.out.push(Action::Notify(standing));
    }

    fn standing(&self, vip: &Vip, state: State, event: Event, why: String) -> Box<Standing> {
        let interface = vip.record.interface.as_ref().unwrap_or(&self.config.interface);
        Box::new(Standing {
            cidr: vip.record.cidr,
            id: vip.record.id.to_string(),
            interface: interface.clone(),
            state,
            event,
            why,
        })
    }
}
