//! Makes the kernel have what is desired.
//!
//! Owns the managed addresses, what is known of their interfaces, and the request socket; lives on
//! the actuator's thread. `observe` reads the kernel's state and compares, `apply` changes what
//! differs, `connections` resets before that what is connected to an address that leaves, and `hear`
//! finds whom it concerns what other hosts say. What has to be reported and announced is collected
//! in an [`Outbox`] and fetched by the actuator. All of it blocks only in
//! [`Exchange`](exchange::Exchange).

mod apply;
mod connections;
mod count;
mod events;
mod exchange;
mod hear;
mod host_addresses;
mod interface;
mod observe;
mod repeats;
mod route;
mod secondaries;
mod target;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use self::connections::Resetter;
pub(super) use self::events::Events;
use self::host_addresses::HostAddresses;
use self::interface::Interfaces;
pub(super) use self::route::Route;
pub(crate) use self::route::carrier;
pub use self::route::keeps_marks;
use self::secondaries::{lacks_connected_route, same_subnet};
use self::target::{Found, Target};
use crate::net::announce::{AnnounceSource, Cause, Extent};
use crate::net::codec::rtnetlink::{AddressInfo, Change, MARK};
use crate::net::error::RouteError;
use crate::net::order::{Question, Token};
use crate::net::probe::ProbeSource;
use crate::net::{Desired, Looked, NetError, Report, Reports};
use crate::policy::Connections;
use crate::vip::Cidr;

/// The managed addresses.
#[derive(Debug)]
pub(super) struct Reconciler {
    pub(super) route: Route,
    /// In boxes, as half of the places in a node of the tree are empty after IPs were added in order.
    targets: BTreeMap<Cidr, Box<Target>>,
    interfaces: Interfaces,
    host: HostAddresses,
    /// The addresses to be looked after, in the order in which that became necessary.
    queue: VecDeque<Cidr>,
    /// The addresses of which a change was put off, and maybe some of which none is any more.
    delayed: BTreeSet<Cidr>,
    /// When to look next; none while there is no reason to.
    observe_at: Option<Instant>,
    /// The addresses that are managed since the last look.
    new: Vec<Cidr>,
    /// Those that are managed no more, and still to be removed.
    forgotten: BTreeSet<Cidr>,
    /// Left-overs are to be removed, after the next look.
    left_overs: Option<LeftOvers>,
    /// The last look failed, and the log says so.
    blind: bool,
    own_macs: hear::OwnMacs,
    resetter: Resetter,
    outbox: Outbox,
    /// How often another program had changed an address.
    restored: u64,
}

/// What a former life of this agent may have left.
#[derive(Debug)]
pub(super) struct LeftOvers {
    /// What the former life has managed, as far as is known, and on which interface.
    pub(super) known: Vec<(Cidr, String)>,
    /// No other agent is on this host: whatever carries the mark is left over.
    pub(super) alone: bool,
    /// What was managed in this life, and left where it was before the look: it is nobody's left-over.
    pub(super) spared: Vec<Cidr>,
}

/// What the actuator has to fetch.
#[derive(Debug, Default)]
struct Outbox {
    reports: Vec<(Cidr, Report)>,
    announcements: Vec<(Cidr, Extent, Cause)>,
    /// The addresses whose interface was renewed.
    renewed: Vec<Cidr>,
}

impl Reconciler {
    /// Nothing is managed yet.
    pub(super) fn new(route: Route, connections: Connections) -> Reconciler {
        Reconciler {
            route,
            targets: BTreeMap::new(),
            interfaces: Interfaces::default(),
            host: HostAddresses::default(),
            queue: VecDeque::new(),
            delayed: BTreeSet::new(),
            observe_at: None,
            new: Vec::new(),
            forgotten: BTreeSet::new(),
            left_overs: None,
            blind: false,
            own_macs: hear::OwnMacs::default(),
            resetter: Resetter::new(connections),
            outbox: Outbox::default(),
            restored: 0,
        }
    }

    /// Starts to manage an address, afresh if it is managed already.
    pub(super) fn manage(
        &mut self,
        token: Token,
        interface: String,
        adopts: bool,
        reports: Reports,
        now: Instant,
    ) {
        if self.interfaces.link(&interface).is_none() {
            self.observe_at = Some(now);
        }
        let target = Target::new(token.number, interface, adopts, reports);
        self.targets.insert(token.cidr, Box::new(target));
        self.new.push(token.cidr);
    }

    /// Says where an address should be.
    pub(super) fn set(&mut self, cidr: Cidr, desired: Desired) {
        if let Some(target) = self.targets.get_mut(&cidr) {
            target.order(desired);
        }
        // It may leave now, and is in the queue already.
        self.resetter.ready = 0;
        self.enqueue(cidr);
    }

    /// Stops to manage an address. One that was not to be there any more is removed before: whoever has
    /// ordered that does not wait for it.
    pub(super) fn forget(&mut self, cidr: Cidr) {
        match self.targets.get_mut(&cidr) {
            Some(target) if target.is_to_be_removed() => {
                target.forgotten = true;
                self.forgotten.insert(cidr);
            }
            Some(_) | None => {
                self.left_overs.iter_mut().for_each(|it| it.spared.push(cidr));
                self.drop_target(cidr);
            }
        }
    }

    /// Lets those go that were forgotten and are removed by now.
    pub(super) fn drop_forgotten(&mut self) {
        let targets = &self.targets;
        let is_done = |cidr: &Cidr| {
            targets.get(cidr).is_none_or(|it| !it.forgotten || !it.is_to_be_removed())
        };
        let (done, left) = std::mem::take(&mut self.forgotten).into_iter().partition(is_done);
        self.forgotten = left;
        let done: BTreeSet<Cidr> = done;
        for cidr in done {
            if self.targets.get(&cidr).is_some_and(|target| target.forgotten) {
                self.drop_target(cidr);
            }
        }
    }

    fn drop_target(&mut self, cidr: Cidr) {
        self.targets.remove(&cidr);
        let targets = &self.targets;
        self.interfaces.retain(|name| targets.values().any(|target| target.interface == name));
    }

    /// This process stood still: what was ordered before is carried out, but no reason to announce.
    pub(super) fn forget_orders(&mut self) {
        self.targets.values_mut().for_each(|target| target.ordered_from = None);
    }

    /// Announces an address in full, if it is bound.
    pub(super) fn announce(&mut self, cidr: Cidr) {
        self.outbox.announcements.push((cidr, Extent::Full, Cause::Order));
    }

    /// Whether this is the newest management of its address, and not forgotten.
    pub(super) fn manages(&self, Token { cidr, number }: Token) -> bool {
        let target = self.targets.get(&cidr);
        target.is_some_and(|target| target.number == number && !target.forgotten)
    }

    /// Has this reported of an address.
    pub(super) fn tell(&mut self, cidr: Cidr, report: Report) {
        self.outbox.reports.push((cidr, report));
    }

    /// Takes note of a notice of the kernel, or that one was lost; whether everything has to be compared.
    pub(super) fn note(&mut self, change: Option<&Change>) -> bool {
        match change {
            Some(change) => self.host.note(change),
            None => self.host.forget(),
        }
        change.is_none_or(|change| self.matters(change))
    }

    /// Whether a notice of the kernel says something that is not known.
    fn matters(&self, change: &Change) -> bool {
        let differs = |address: &AddressInfo, here: Option<&AddressInfo>| {
            let target = self.targets.get(&address.cidr);
            let differs = |it: &Target| it.found != Some(it.what_is(here));
            target.is_some_and(|it| self.is_on(it, address.index) && differs(it))
        };
        match change {
            Change::Address(address) => {
                differs(address, Some(address))
                    || self.is_of_the_host(address)
                    || self.may_be_primary_of(address)
            }
            Change::AddressGone(address) => differs(address, None) || self.is_of_the_host(address),
            Change::Link(_) | Change::LinkGone(_) => self.interfaces.matters(change),
        }
    }

    /// Whether a managed address may be one that the host has itself, with whatever prefix length.
    fn is_of_the_host(&self, address: &AddressInfo) -> bool {
        let mut same = self.same_ip(address.cidr.addr());
        !is_ours(address)
            && same.any(|(_, it)| matches!(it.found, Some(Found::Absent | Found::NotOurs)))
    }

    fn same_ip(&self, ip: IpAddr) -> impl Iterator<Item = (&Cidr, &Target)> {
        let lowest = Cidr::new(ip, 0).expect("0 is a prefix length of both families");
        let same = self.targets.range(lowest..).take_while(move |(cidr, _)| cidr.addr() == ip);
        same.map(|(cidr, target)| (cidr, &**target))
    }

    /// Whether a managed address may keep this one from having a connected route.
    fn may_be_primary_of(&self, address: &AddressInfo) -> bool {
        let mut near = self.targets.iter().filter(|(cidr, _)| same_subnet(**cidr, address.cidr));
        lacks_connected_route(address) && near.any(|(_, target)| self.is_on(target, address.index))
    }

    fn is_on(&self, target: &Target, index: u32) -> bool {
        self.interfaces.link(&target.interface).is_some_and(|link| link.index == index)
    }

    /// Has everything compared as soon as possible.
    pub(super) fn observe_soon(&mut self, now: Instant) {
        self.observe_at = self.observe_at.map(|_| now);
    }

    /// Whether the last look has failed, so that what is known may be old.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// When there is something to do next; not in the future if work is left.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let left = (!self.queue.is_empty()).then_some(now);
        let delayed = self.delayed.iter().filter_map(|cidr| self.targets.get(cidr));
        let waiting = delayed.filter_map(|target| target.pace.not_before);
        waiting.chain(left).chain(self.observe_at).min()
    }

    /// Makes the reports that have collected.
    pub(super) fn make_reports(&mut self) {
        for (cidr, report) in self.outbox.reports.drain(..) {
            if let Some(target) = self.targets.get(&cidr) {
                target.report(report);
            }
        }
    }

    /// The addresses whose neighbours may be others than before.
    pub(super) fn take_renewed(&mut self) -> Vec<Cidr> {
        std::mem::take(&mut self.outbox.renewed)
    }

    /// The announcements that have become necessary.
    pub(super) fn take_announcements(&mut self) -> Vec<(Cidr, Extent, Cause)> {
        std::mem::take(&mut self.outbox.announcements)
    }

    /// Whether the kernel has an address, and is to have it.
    pub(super) fn has(&self, cidr: Cidr) -> bool {
        self.targets.get(&cidr).is_some_and(|target| target.is_bound())
    }

    /// From where to announce an address; none if it is not bound, or nobody would listen.
    pub(super) fn announce_source(&self, cidr: Cidr) -> Option<AnnounceSource> {
        let target = self.targets.get(&cidr).filter(|target| target.is_bound())?;
        let link = self.interfaces.connected_link(&target.interface)?;
        Some(AnnounceSource {
            interface: target.interface.clone(),
            index: link.index,
            mac: link.announces_from()?,
            router: link.forwards_ipv6,
        })
    }

    /// From where to ask about an address; none if nobody could be heard.
    pub(super) fn probe_source(&self, cidr: Cidr) -> Option<ProbeSource> {
        let link = self.interfaces.connected_link(&self.targets.get(&cidr)?.interface)?;
        Some(ProbeSource { index: link.index, mac: link.announces_from() })
    }

    /// Answers a question.
    pub(super) fn look_at(&mut self, question: &Question) -> Result<Looked, NetError> {
        let found = match question {
            Question::HardwareAddress(interface) => self
                .route
                .link_by_name(interface)
                .map(|link| (link.and_then(|link| link.mac), None)),
            Question::OwnAddress(ip) => self.own_address(*ip).map(|own| (None, own)),
        };
        found.map_err(|error| NetError(format!("read interfaces and addresses: {error}")))
    }

    fn own_address(&mut self, ip: IpAddr) -> Result<Option<Cidr>, RouteError> {
        self.know(ip)?;
        Ok(self.host.of_the_host(ip).map(|address| address.cidr))
    }

    /// Has the host's addresses looked at, unless it is known whether this one is there.
    fn know(&mut self, ip: IpAddr) -> Result<(), RouteError> {
        self.know_all()?;
        if ip.is_ipv6() && !self.host.has(ip) {
            let found = self.route.address(ip)?;
            found.into_iter().for_each(|it| self.host.note(&Change::Address(it)));
        }
        Ok(())
    }

    /// Has the host's addresses looked at, unless all of them are known.
    fn know_all(&mut self) -> Result<(), RouteError> {
        if !self.host.are_known() {
            let all = self.route.addresses()?;
            self.host.see(&all);
        }
        Ok(())
    }

    /// Whether LinK has added an address: it carries the mark or, where the kernel keeps none, this process has
    /// put it there.
    fn has_added(&self, address: &AddressInfo) -> bool {
        let target =
            self.targets.get(&address.cidr).filter(|_| !keeps_marks() && !address.has_peer);
        is_ours(address) || target.is_some_and(|it| it.places.contains(&address.index))
    }

    /// Has left-overs removed that are not managed.
    pub(super) fn remove_left_overs(&mut self, mut left_overs: LeftOvers, now: Instant) {
        if let Some(before) = self.left_overs.take() {
            left_overs.known.extend(before.known);
            left_overs.spared = before.spared;
        }
        self.left_overs = Some(left_overs);
        self.observe_at = Some(now);
    }

    fn enqueue(&mut self, cidr: Cidr) {
        if let Some(target) = self.targets.get_mut(&cidr) {
            if !std::mem::replace(&mut target.queued, true) {
                self.queue.push_back(cidr);
            }
        }
    }

    fn report(&mut self, cidr: Cidr, report: Option<Report>) {
        self.outbox.reports.extend(report.map(|report| (cidr, report)));
    }
}

/// The addresses that carry LinK's mark, on all interfaces of this network namespace.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn marked_addresses() -> Result<Vec<Cidr>, NetError> {
    let text = |error: &dyn std::fmt::Display| NetError(error.to_string());
    let addresses = Route::open().map_err(|errno| text(&errno))?.addresses();
    let addresses = addresses.map_err(|error| text(&error))?;
    Ok(addresses.into_iter().filter(is_ours).map(|address| address.cidr).collect())
}

/// LinK adds no address with a peer.
fn is_ours(address: &AddressInfo) -> bool {
    address.protocol == MARK && !address.has_peer
}
