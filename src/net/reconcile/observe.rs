//! Reads what the kernel has, and compares it with what was known and with what is desired.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use super::route::keeps_marks;
use super::secondaries::{delete_alone, is_in_the_way, lacks_connected_route, same_subnet};
use super::target::{Found, Step, Target, step};
use super::{LeftOvers, Reconciler, is_ours};
use crate::net::Desired;
use crate::net::announce::{Cause, Extent};
use crate::net::codec::rtnetlink::AddressInfo;
use crate::net::error::RouteError;
use crate::network::Unusable;
use crate::sorted::set_of;
use crate::vip::Cidr;

/// How often everything is compared, notice or not; and how much later for each managed address: a
/// comparison takes a microsecond or two for each, and is to take a ten-thousandth of one CPU.
const INTERVAL: Duration = Duration::from_secs(5);
const FOR_EACH: Duration = Duration::from_millis(10);
/// The wait after a look that failed.
const RETRY: Duration = Duration::from_millis(250);

impl Reconciler {
    /// Compares everything if it is time, or else what is new.
    pub(crate) fn observe_if_due(&mut self, now: Instant) {
        if self.observe_at.is_none_or(|at| at > now) && self.observe_new(now).is_ok() {
            return;
        }
        self.new.clear();
        let wait = match self.observe(now) {
            Ok(()) => {
                if std::mem::take(&mut self.blind) {
                    log::info!("addresses and interfaces can be read again");
                }
                interval(self.targets.len())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.blind, true) {
                    log::warn!("read addresses and interfaces: {error}");
                }
                RETRY
            }
        };
        let needed = self.left_overs.is_some() || !self.targets.is_empty();
        self.observe_at = needed.then_some(now + wait);
    }

    /// Compares the addresses that are new, on interfaces that are known: with a thousand there, to
    /// compare or to read all of them each time that one comes would take longer than all else.
    fn observe_new(&mut self, now: Instant) -> Result<(), RouteError> {
        while let Some(cidr) = self.new.last().copied() {
            self.know(cidr.addr())?;
            self.new.pop();
            self.compare(cidr, &BTreeSet::new(), now);
        }
        Ok(())
    }

    /// Addresses are read before links: an address whose interface vanishes in between is missing
    /// together with its interface, and is not taken for one that somebody removed.
    fn observe(&mut self, now: Instant) -> Result<(), RouteError> {
        let addresses = self.route.addresses()?;
        let renewed = self.observe_interfaces()?;
        self.host.see(&addresses);
        let cidrs: Vec<Cidr> = self.targets.keys().copied().collect();
        let without_route: Vec<Cidr> = addresses
            .iter()
            .filter(|address| lacks_connected_route(address))
            .map(|address| address.cidr)
            .collect();
        for cidr in cidrs {
            self.compare(cidr, &renewed, now);
            if without_route.iter().any(|own| same_subnet(*own, cidr)) {
                self.cede_primary(cidr, &addresses, now);
            }
        }
        self.remove_misplaced(&addresses)?;
        if let Some(left_overs) = self.left_overs.take() {
            let result = self.remove_unmanaged(&addresses, &left_overs);
            self.left_overs = result.is_err().then_some(left_overs);
            result?;
        }
        Ok(())
    }

    fn remove_unmanaged(
        &mut self,
        addresses: &[AddressInfo],
        left_overs: &LeftOvers,
    ) -> Result<(), RouteError> {
        let known = self.places(&left_overs.known)?;
        let keeps_marks = keeps_marks();
        let is_left_over = |address: &&AddressInfo| {
            let known = known.contains(&(address.index, address.cidr));
            let nobodys = address.protocol == 0 && !address.has_peer;
            is_ours(address) && (known || left_overs.alone) || nobodys && known && !keeps_marks
        };
        let is_managed = |&(index, cidr): &(u32, Cidr)| {
            self.targets.get(&cidr).is_some_and(|target| self.is_on(target, index))
        };
        let left = addresses.iter().filter(is_left_over).map(|it| (it.index, it.cidr));
        let left = left.filter(|(_, cidr)| !left_overs.spared.contains(cidr));
        let left: Vec<(u32, Cidr)> = left.filter(|it| !is_managed(it)).collect();
        self.reset_connections(&left, &|| false);
        for (index, cidr) in left {
            let name = self.name_of(index)?;
            match delete_alone(&mut self.route, index, cidr) {
                Ok(()) => log::info!("left-over {cidr} removed from {name}"),
                Err(error) => log::warn!("remove left-over {cidr} from {name}: {error}"),
            }
        }
        Ok(())
    }

    /// Removes what this process has put on an interface that is not the one of that name any more:
    /// nobody would look after it there. Other agents may have the same address on other interfaces.
    fn remove_misplaced(&mut self, addresses: &[AddressInfo]) -> Result<(), RouteError> {
        let mut misplaced = Vec::new();
        for (cidr, target) in &self.targets {
            let elsewhere = target.places.iter().filter(|index| !self.is_on(target, **index));
            misplaced.extend(elsewhere.map(|index| (*cidr, *index)));
        }
        for (cidr, index) in misplaced {
            let is_it = |address: &&AddressInfo| (address.index, address.cidr) == (index, cidr);
            let there = addresses.iter().find(is_it);
            if there.is_some_and(|address| is_ours(address) || !keeps_marks()) {
                let name = self.name_of(index)?;
                delete_alone(&mut self.route, index, cidr)?;
                log::warn!("{cidr} removed from {name}, which is not its interface any more");
            }
            if let Some(target) = self.targets.get_mut(&cidr) {
                target.places.remove(&index);
            }
        }
        Ok(())
    }

    fn name_of(&mut self, index: u32) -> Result<String, RouteError> {
        let name = self.route.link_by_index(index)?.map(|link| link.name);
        Ok(name.unwrap_or_else(|| format!("interface {index}")))
    }

    /// Addresses with the interfaces that have these names now.
    fn places(&mut self, named: &[(Cidr, String)]) -> Result<HashSet<(u32, Cidr)>, RouteError> {
        let mut places = HashSet::new();
        for (cidr, name) in named {
            places.extend(self.route.link_by_name(name)?.map(|link| (link.index, *cidr)));
        }
        Ok(places)
    }

    /// Looks at every interface in use; the names of those that have to be announced on again.
    fn observe_interfaces(&mut self) -> Result<BTreeSet<String>, RouteError> {
        let targets = self.targets.values();
        let names = set_of(targets.map(|target| target.interface.as_str()));
        let route = &mut self.route;
        let looks = names.iter().map(|name| Ok((name, route.link_by_name(name)?)));
        // All of them before the first is noted: news must not be lost to a failure.
        let links: Vec<_> = looks.collect::<Result<_, _>>()?;
        let mut renewed = BTreeSet::new();
        for (name, link) in links {
            let news = self.interfaces.see(name, link);
            if let Some(warning) = news.warning {
                log::warn!("{warning}");
            }
            if news.renewed {
                renewed.insert((*name).to_owned());
            }
        }
        self.interfaces.retain(|name| names.contains(name));
        Ok(renewed)
    }

    /// Gives up being the primary of a subnet to an address of the host's own: by leaving and
    /// coming back, which takes microseconds.
    fn cede_primary(&mut self, cidr: Cidr, addresses: &[AddressInfo], now: Instant) {
        let Some(target) = self.targets.get_mut(&cidr).filter(|target| target.is_bound()) else {
            return;
        };
        let Some(link) = self.interfaces.usable_link(&target.interface) else {
            return;
        };
        if !is_in_the_way(addresses, link.index, cidr) {
            return;
        }
        if target.pace.may_change(now) {
            log::info!(
                "{cidr} cedes the connected route on {} to the host's own addresses",
                link.name
            );
            let link = link.clone();
            self.change(cidr, &link, Step::Replace, now);
        } else {
            self.delayed.insert(cidr);
        }
    }

    fn compare(&mut self, cidr: Cidr, renewed: &BTreeSet<String>, now: Instant) {
        let Some(target) = self.targets.get_mut(&cidr) else {
            return;
        };
        let standing = self.interfaces.standing(&target.interface);
        let usable = self.interfaces.usable_link(&target.interface).is_some();
        let link = self.interfaces.link(&target.interface);
        let here = link.and_then(|link| self.host.at(link.index, cidr));
        let mut found = target.what_is(here);
        if found == Found::Absent && self.host.of_the_host(cidr.addr()).is_some() {
            found = Found::NotOurs;
        }
        let standing =
            if found == Found::NotOurs { standing.and(Err(Unusable::NotOurs)) } else { standing };
        target.places.extend(here.filter(|_| found != Found::NotOurs).map(|here| here.index));
        let renewed = renewed.contains(&target.interface);
        let before = target.found.replace(found);
        if renewed {
            self.outbox.renewed.push(cidr);
            target.relieve();
        } else if usable {
            note_interference(cidr, target, before, now);
        }
        let appeared = before.is_some_and(|before| before != Found::Usable);
        if target.is_bound() && (renewed || appeared) {
            self.outbox.announcements.push((cidr, Extent::Full, Cause::Change));
        }
        let hearing = target.tell_hearing(self.interfaces.hearing(&target.interface));
        let reports = [target.tell_interface(standing), target.tell_bound(), hearing];
        self.outbox.reports.extend(reports.into_iter().flatten().map(|report| (cidr, report)));
        if target.ordered_from.is_some() || step(target.desired, found, usable) != Step::Leave {
            self.enqueue(cidr);
        }
    }
}

fn interval(addresses: usize) -> Duration {
    INTERVAL + FOR_EACH * u32::try_from(addresses).unwrap_or(u32::MAX)
}

/// Logs what another program did to an address, and that it is undone.
fn note_interference(cidr: Cidr, target: &mut Target, before: Option<Found>, now: Instant) {
    let (happened, what) = match target.desired {
        Desired::AsFound => return,
        Desired::Bound => {
            let lost = before == Some(Found::Usable) && target.found != Some(Found::Usable);
            (lost, "removed from")
        }
        Desired::Unbound => {
            let appeared = before == Some(Found::Absent) && target.found != Some(Found::Absent);
            (appeared, "added to")
        }
    };
    target.restoring |= happened;
    let times =
        if happened { target.interference.count(now) } else { target.interference.tell(now) };
    let interface = &target.interface;
    match times {
        None => {}
        Some(1) => log::warn!("{cidr} was {what} {interface} by another program; undone"),
        Some(n) => log::warn!("{cidr} was {what} {interface} by another program {n} times; undone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::order::{Question, Token};
    use crate::net::reconcile::Route;
    use crate::policy::Connections;

    /// It reads only, of the machine's own loopback.
    #[test]
    fn the_kernel_is_asked_for_all_addresses_once_however_many_are_managed_and_asked_for() {
        let mut reconciler = Reconciler::new(Route::open().unwrap(), Connections::Keep);
        let now = Instant::now();
        for number in 0..=255 {
            let cidr = Cidr::single([192, 0, 2, number].into());
            let token = Token { cidr, number: 0 };
            reconciler.manage(token, "lo".to_owned(), false, Box::new(|_| {}), now);
            reconciler.observe_if_due(now);
            assert!(reconciler.targets[&cidr].found.is_some(), "it was looked for");
            let own = reconciler.look_at(&Question::OwnAddress([127, 0, 0, 1].into()));
            assert_eq!(own.unwrap().1.map(|own| own.prefix()), Some(8));
        }
        assert_eq!(reconciler.route.dumps, 1);
        assert!(reconciler.note(None), "notices were lost");
        reconciler.look_at(&Question::OwnAddress([127, 0, 0, 1].into())).unwrap();
        assert_eq!(reconciler.route.dumps, 2);
    }

    #[test]
    fn a_thousand_addresses_are_compared_four_times_a_minute_and_one_twelve_times() {
        assert_eq!(interval(0), INTERVAL);
        assert_eq!(interval(1).as_secs(), 5);
        assert_eq!(interval(1000), Duration::from_secs(15));
    }
}
