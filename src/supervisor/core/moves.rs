//! Who owns an IP: that it has moved is an event on each host that offers it, with how long nobody, or a
//! dead host, was its owner.

use std::time::Instant;

use log::Level;

use super::Core;
use crate::history::{Happening, Kind};
use crate::lock::Lease;
use crate::vip::Slot;

/// What is said of a move of which nothing else is known.
const FREE: &str = "the lock was free";
const PASSED: &str = "the lock was passed on";

/// The owners of one IP.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    /// The last that was seen.
    owner: Option<String>,
    /// Since when it is on its way to another owner, and why.
    begun: Option<Box<(Instant, String)>>,
}

impl Moves {
    /// The last owner that etcd has told.
    pub(super) fn last(&self) -> Option<&String> {
        self.owner.as_ref()
    }
}

impl Core {
    /// The owner of these IPs is dead: they, and all of their groups, are away since it fell silent, if it did.
    pub(super) fn move_begins<'a>(
        &mut self,
        ips: impl IntoIterator<Item = &'a Slot>,
        why: &str,
        now: Instant,
    ) {
        for slot in ips {
            let elected = self.table.election_of(*slot);
            let since = self.detector.silent_since(elected).unwrap_or(now);
            for slot in self.table.led_by(elected) {
                if let Some(vip) = self.table.get_mut(slot) {
                    vip.watched.moves.begun = Some(Box::new((since, why.to_owned())));
                }
            }
        }
    }

    /// Tells that an IP has moved. This host has it when the kernel has its address.
    pub(super) fn note_move(&mut self, slot: Slot, now: Instant) {
        let knows = matches!(self.lease.told, Lease::Held(_));
        let Some(vip) = self.table.get_mut(slot).filter(|_| knows) else { return };
        // Who owns the group the election of the group tells.
        if vip.status.group.is_some() {
            return;
        }
        let Some(owner) = &vip.status.owner else {
            if vip.watched.moves.owner.is_some() {
                vip.watched.moves.begun.get_or_insert_with(|| Box::new((now, FREE.to_owned())));
            }
            return;
        };
        if vip.watched.moves.owner.as_ref() == Some(owner) {
            // A host that is declared dead keeps the lock until another takes it; one that lives, too.
            vip.watched.moves.begun.take_if(|begun| begun.1 == FREE);
            return;
        }
        let before = vip.watched.moves.owner.as_ref();
        if before.is_some() && *owner == self.config.host && !vip.status.bound {
            vip.watched.moves.begun.get_or_insert_with(|| Box::new((now, PASSED.to_owned())));
            return;
        }
        let before = vip.watched.moves.owner.replace(owner.clone());
        let begun = vip.watched.moves.begun.take();
        let Some(before) = before else { return };
        let what = format!("owner {before} -> {owner}");
        let took = begun.as_ref().map(|begun| now.saturating_duration_since(begun.0));
        let why = match begun {
            Some(begun) => begun.1,
            None if before == self.config.host => PASSED.to_owned(),
            // Whether it was handed over, or taken from a dead host.
            None => format!("{owner} knows why: see its events"),
        };
        let moved = Kind::Move.of(what).because(why).to(vip.record.cidr);
        self.happened(Level::Debug, Happening { took, ..moved });
    }
}
