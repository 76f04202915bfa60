//! The elections and the failure detector: what one says that concerns the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use super::table::Vip;
use super::{Action, Core, Order, Timer};
use crate::election::Status;
use crate::failure_detector::{Route, Step};
use crate::fsm::State;
use crate::history::{Happening, Kind};
use crate::network::{Liveness, Mac};
use crate::vip::{GroupName, Slot};

impl Core {
    pub(super) fn on_status(&mut self, slot: Slot, status: Arc<Status>, now: Instant) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        let before = std::mem::replace(&mut vip.status, status);
        vip.watched.seen.note(&before, &vip.status, now);
        if vip.status.candidate != before.candidate || has_become_deaf(&before, &vip.status) {
            self.lease.presence.outdate();
        }
        if (&before.owner, &before.group) != (&vip.status.owner, &vip.status.group) {
            let names = [&vip.record.group, &vip.status.group].into_iter().flatten().cloned();
            let names: Vec<GroupName> = names.collect();
            self.groups_due(names);
        }
        self.measure(slot, &before, now);
        self.note_owner(slot, now);
        self.note_move(slot, now);
        self.note_standing(slot, &before, now);
        self.note_shortage(slot, before.shortage.is_some());
    }

    /// Says that this agent lacks something for health checks, and when it does not any more: once for
    /// all of them, because what one lacks, all lack.
    fn note_shortage(&mut self, slot: Slot, before: bool) {
        let Some(vip) = self.table.get(slot) else { return };
        let (cidr, shortage) = (vip.record.cidr, vip.status.shortage.clone());
        if shortage.is_some() == before {
            return;
        }
        let lack = self.table.iter().filter(|(_, vip)| vip.status.shortage.is_some());
        // Whether one lacks it, or several: it is not counted further, each time that one more does.
        let lack = lack.take(2).count();
        match shortage {
            Some(why) if lack == 1 => {
                let what = format!("{why}; what was found before holds");
                self.happened(Level::Warn, Kind::Trouble.of(what).to(cidr));
            }
            None if lack == 0 => {
                let what = "all health checks are made again";
                self.happened(Level::Info, Kind::Trouble.of(what));
            }
            Some(_) | None => {}
        }
    }

    /// Takes note of the owner on which an IP waits now.
    fn note_owner(&mut self, slot: Slot, now: Instant) {
        if !self.is_detected(slot) {
            return;
        }
        let vip = self.table.get(slot);
        let route = vip.map_or(Route::Down, Vip::route);
        let awaited = vip.and_then(|vip| vip.status.awaited.as_ref());
        let awaited = awaited.map(|(host, lease)| (host.as_str(), *lease));
        let detects = self.config.detection.is_some();
        let awaited = awaited.filter(|_| detects || route == Route::Taken);
        let steps = self.detector.awaits(slot, route, awaited, now);
        let hears = vip.is_some_and(|vip| vip.status.hears_others);
        self.detector.hears(slot, hears);
        self.follow(steps, now);
        self.plan_detection(now);
    }

    pub(super) fn on_liveness(&mut self, slot: Slot, liveness: Liveness, now: Instant) {
        if let Some(vip) = self.table.get_mut(slot) {
            vip.watched.seen.heard(liveness, now);
        }
        let steps = self.detector.heard(slot, liveness, now);
        self.follow(steps, now);
        self.plan_detection(now);
    }

    /// A host has let go of an IP and left it to the owner.
    pub(super) fn on_acknowledged(&mut self, slot: Slot, now: Instant) {
        let steps = self.detector.acknowledged(slot, now);
        self.follow(steps, now);
    }

    /// Another host misses the owner of an IP, too.
    pub(super) fn on_also_missed(&mut self, slot: Slot, by: Mac, now: Instant) {
        let steps = self.detector.also_missed(slot, by, now);
        self.follow(steps, now);
        self.plan_detection(now);
    }

    pub(super) fn wake_detector(&mut self, now: Instant) {
        let steps = self.detector.wake(now);
        self.follow(steps, now);
        self.plan_detection(now);
    }

    pub(super) fn on_pause(&mut self, time: Duration, now: Instant) {
        let what = format!("this process did not run for {time:.1?}");
        let paused = Kind::Agent.of(what).because("looking who owns its IPs");
        self.happened(Level::Warn, Happening { took: Some(time), ..paused });
        let steps = self.detector.forget(now);
        self.follow(steps, now);
        self.plan_detection(now);
        self.table.slots().into_iter().for_each(|slot| self.tell(slot, Order::Paused));
    }

    /// IPs that are registered no more wait for no owner.
    pub(super) fn settle_detection(&mut self, now: Instant) {
        let steps = self.detector.settle(now);
        if !steps.is_empty() {
            self.follow(steps, now);
            self.plan_detection(now);
        }
    }

    pub(super) fn plan_detection(&mut self, now: Instant) {
        match self.detector.deadline() {
            Some(at) => self.arm(Timer::Detector, at.saturating_duration_since(now)),
            None => self.disarm(Timer::Detector),
        }
    }

    pub(super) fn follow(&mut self, steps: Vec<Step>, now: Instant) {
        for step in steps {
            match step {
                Step::Monitor(slot, on) => self.tell(slot, Order::Monitor(on)),
                Step::Call { host, ip, number, within } => self.call(host, ip, number, within),
                Step::EndCall(host) => self.end_call(host),
                Step::Missed(ips, missed) => {
                    ips.into_iter()
                        .for_each(|slot| self.tell(slot, Order::OwnerMissed(missed.clone())));
                }
                Step::Dead { lease, ips, text } => {
                    self.move_begins(&ips, &text, now);
                    self.happened(Level::Warn, Kind::Host.of(text));
                    ips.into_iter().for_each(|slot| self.tell(slot, Order::OwnerDead(lease)));
                }
                Step::Lives(lease, ips) => {
                    ips.into_iter().for_each(|slot| self.tell(slot, Order::OwnerLives(lease)));
                }
                Step::HeardAgain(ips) => {
                    ips.into_iter().for_each(|slot| self.tell(slot, Order::OwnerHeardAgain));
                }
                Step::Log(text) => self.happened(Level::Info, Kind::Host.of(text)),
            }
        }
    }

    /// Forgets an IP at once, and ends its election without giving anything up.
    pub(super) fn forget(&mut self, slot: Slot) -> Option<Vip> {
        if self.table.is_seated(slot) {
            self.take_from_seat(slot);
        }
        let vip = self.table.remove(slot)?;
        if vip.is_registered() {
            self.copy.ip_changed(&vip.record.id);
        }
        if vip.status.candidate.is_some() {
            self.lease.presence.outdate();
        }
        self.tell_removed(&vip);
        self.detector.gone(slot);
        self.out.push(Action::End(slot));
        Some(vip)
    }
}

/// An owner hears nobody any more: who could serve the IP instead may have asked it long ago.
fn has_become_deaf(before: &Status, now: &Status) -> bool {
    now.state == State::Activated && before.hears_others && !now.hears_others
}

impl Vip {
    /// How well the owner can be monitored through this IP.
    fn route(&self) -> Route {
        match self.record.cidr.addr() {
            _ if self.status.state == State::Activated => Route::Taken,
            _ if !self.status.interface_usable => Route::Down,
            IpAddr::V4(_) if self.status.next => Route::Next,
            IpAddr::V4(_) => Route::Ipv4,
            IpAddr::V6(_) => Route::Ipv6,
        }
    }
}
