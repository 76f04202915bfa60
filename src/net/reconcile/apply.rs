//! Changes what the kernel has into what is desired, one address at a time.

use std::time::Instant;

use nix::errno::Errno;

use super::Reconciler;
use super::route::Added;
use super::secondaries::delete_alone;
use super::target::{Found, Step, step};
use crate::net::announce::{Cause, Extent};
use crate::net::codec::rtnetlink::Link;
use crate::net::error::{OrderError, RouteError};
use crate::net::{Desired, Report};
use crate::vip::Cidr;

impl Reconciler {
    /// Changes what is not as it should be: at most `limit` addresses, and fewer if that `is_interrupted`;
    /// the rest next time.
    pub(crate) fn apply(&mut self, limit: usize, now: Instant, is_interrupted: &dyn Fn() -> bool) {
        self.enqueue_waiting(now);
        if !self.reset_leaving(limit, is_interrupted) {
            return;
        }
        for _ in 0..limit {
            let Some(cidr) = self.queue.pop_front() else {
                return;
            };
            self.resetter.ready = self.resetter.ready.saturating_sub(1);
            self.apply_to(cidr, now);
            if is_interrupted() {
                return;
            }
        }
    }

    fn apply_to(&mut self, cidr: Cidr, now: Instant) {
        let Some(target) = self.targets.get_mut(&cidr) else {
            return;
        };
        target.queued = false;
        let (Some(found), Some(link)) = (target.found, self.interfaces.link(&target.interface))
        else {
            return;
        };
        let step = step(target.desired, found, link.is_up());
        if step == Step::Leave {
            self.settle(cidr);
            return;
        }
        if target.pace.may_change(now) {
            let link = link.clone();
            self.change(cidr, &link, step, now);
        } else {
            self.delayed.insert(cidr);
        }
    }

    /// Everything is as it should be: if it was so before the order came, little is said of it.
    fn settle(&mut self, cidr: Cidr) {
        let Some(target) = self.targets.get_mut(&cidr) else {
            return;
        };
        let ordered_from = target.ordered_from.take();
        let Some(ordered_from) = ordered_from.filter(|_| target.is_bound()) else {
            return;
        };
        log::info!("{cidr} found on {} and kept", target.interface);
        // After `Unbound` another host may have announced it.
        let extent = match ordered_from {
            Desired::AsFound => Extent::Once,
            Desired::Bound | Desired::Unbound => Extent::Full,
        };
        self.outbox.announcements.push((cidr, extent, Cause::Order));
    }

    pub(super) fn change(&mut self, cidr: Cidr, link: &Link, step: Step, now: Instant) {
        let (verb, result) = match step {
            Step::Leave => return,
            Step::Add => ("add", self.add(cidr, link.index)),
            Step::Remove => ("remove", self.remove(cidr, link.index)),
            Step::Replace => ("replace", self.replace(cidr, link.index)),
            Step::Mark => ("mark", self.mark(cidr, link.index)),
        };
        match result {
            Ok(found) if step == Step::Mark => self.marked(cidr, found),
            Ok(found) => self.changed(cidr, link.index, found),
            Err(cause) => {
                if matches!(cause, RouteError::Refused(Errno::ENODEV, _)) {
                    // The notice about the interface has not been read yet.
                    self.observe_soon(now);
                }
                let interface = link.name.clone();
                self.failed(OrderError { verb, cidr, interface, cause }, now);
            }
        }
    }

    fn add(&mut self, cidr: Cidr, index: u32) -> Result<Found, RouteError> {
        match self.route.add_address(index, cidr)? {
            Added::New => Ok(Found::Usable),
            Added::Exists => self.find(cidr, index),
        }
    }

    fn remove(&mut self, cidr: Cidr, index: u32) -> Result<Found, RouteError> {
        delete_alone(&mut self.route, index, cidr)?;
        Ok(Found::Absent)
    }

    fn replace(&mut self, cidr: Cidr, index: u32) -> Result<Found, RouteError> {
        self.remove(cidr, index)?;
        self.add(cidr, index)
    }

    fn mark(&mut self, cidr: Cidr, index: u32) -> Result<Found, RouteError> {
        self.route.mark_address(index, cidr)?;
        self.find(cidr, index)
    }

    /// What there is of an address that could not be added because it exists.
    fn find(&mut self, cidr: Cidr, index: u32) -> Result<Found, RouteError> {
        let addresses = self.route.addresses()?;
        let mut here = addresses.iter().filter(|address| address.index == index);
        let exact = here.find(|address| address.cidr == cidr && !address.has_peer);
        let exact = exact.ok_or(RouteError::OtherPrefix)?;
        let target = self.targets.get(&cidr);
        Ok(target.map_or(Found::Absent, |target| target.what_is(Some(exact))))
    }

    /// It has been there all the time: nothing is announced that was not ordered.
    fn marked(&mut self, cidr: Cidr, found: Found) {
        let Some(target) = self.targets.get_mut(&cidr) else {
            return;
        };
        log::info!("{cidr} found on {}, as the Go LinK has left it", target.interface);
        target.found = Some(found);
        target.adopts = false;
        target.relieve();
        let report = target.tell_bound();
        self.report(cidr, report);
        self.enqueue(cidr);
    }

    fn changed(&mut self, cidr: Cidr, index: u32, found: Found) {
        let Some(target) = self.targets.get_mut(&cidr) else {
            return;
        };
        target.found = Some(found);
        let cause = target.ordered_from.take().map_or(Cause::Change, |_| Cause::Order);
        target.relieve();
        let restored = std::mem::take(&mut target.restoring);
        self.restored += u64::from(restored);
        let level = if restored { log::Level::Debug } else { log::Level::Info };
        let interface = &target.interface;
        match found {
            Found::Usable => {
                log::log!(level, "{cidr} bound on {interface}");
                target.places.insert(index);
                self.outbox.announcements.push((cidr, Extent::Full, cause));
            }
            Found::Absent => log::log!(level, "{cidr} unbound from {interface}"),
            Found::Unusable => log::debug!("{cidr} on {interface} is still unusable"),
            Found::Unmarked | Found::NotOurs => {
                log::warn!("{cidr} on {interface} was added by another program");
            }
        }
        let unfinished = step(target.desired, found, true) != Step::Leave;
        let report = target.tell_bound();
        self.report(cidr, report);
        if unfinished {
            self.enqueue(cidr);
        }
    }

    fn failed(&mut self, failure: OrderError, now: Instant) {
        let cidr = failure.cidr;
        let Some(target) = self.targets.get_mut(&cidr) else {
            return;
        };
        target.pace.put_off(now);
        self.delayed.insert(cidr);
        let report = target.tell_failure(failure);
        if let Some(Report::Failed(failure)) = &report {
            log::warn!("{failure}");
        }
        self.report(cidr, report);
    }

    fn enqueue_waiting(&mut self, now: Instant) {
        for cidr in std::mem::take(&mut self.delayed) {
            let Some(target) = self.targets.get_mut(&cidr) else { continue };
            match target.pace.not_before {
                Some(not_before) if not_before > now => {
                    self.delayed.insert(cidr);
                }
                Some(_) => {
                    target.pace.not_before = None;
                    self.enqueue(cidr);
                }
                None => {}
            }
        }
    }
}
