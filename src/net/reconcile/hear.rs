//! Whom it concerns what another host says on the wire, or that others are heard at all.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::Reconciler;
use crate::net::codec::ethernet;
use crate::net::codec::ethernet::Mac;
use crate::net::codec::heard::{Heard, Kind};
use crate::net::probe::Askable;
use crate::network::Hearing;
use crate::vip::Cidr;

/// How long the hardware addresses of this host are believed to be those that were read. They are
/// needed only when somebody speaks of a managed address, and then this bounds the reading.
const OWN_MACS: Duration = Duration::from_secs(1);

/// The hardware addresses of all interfaces of this host.
#[derive(Debug, Default)]
pub(super) struct OwnMacs {
    macs: HashSet<Mac>,
    read_at: Option<Instant>,
}

impl Reconciler {
    /// The managed addresses of which another host says something on their interface, each with
    /// whether that host wins the tie-break against this one: its hardware address is lower. That it has what is bound
    /// here is reported, and that it asks for what is not.
    pub(crate) fn hear(&mut self, index: u32, heard: &Heard, now: Instant) -> Vec<(Cidr, bool)> {
        let concerned = self.concerned(index, heard);
        if concerned.is_empty() || self.is_this_host(heard.mac, now) {
            return Vec::new();
        }
        for (cidr, wins_tie_break) in &concerned {
            match heard.kind {
                Kind::Claim => self.note_claim(*cidr, heard.mac, *wins_tie_break, now),
                Kind::Probe => self.note_missed(*cidr, heard.mac, now),
                Kind::Sign => {}
            }
        }
        concerned
    }

    fn concerned(&self, index: u32, heard: &Heard) -> Vec<(Cidr, bool)> {
        let concerned = self.same_ip(heard.ip).filter_map(|(cidr, target)| {
            let link = self.interfaces.link(&target.interface)?;
            let own = link.announces_from().filter(|_| link.index == index)?;
            let others = heard.mac != own && heard.source != own;
            // Who asks for what is here is answered by the kernel, and does not get it.
            let answered = heard.kind != Kind::Claim && target.is_there();
            (others && !answered).then_some((*cidr, heard.mac < own))
        });
        concerned.collect()
    }

    /// Whether one of this host's interfaces has this hardware address: by default a host answers
    /// for its addresses on all interfaces on which it is asked (`arp_ignore`, ip-sysctl.rst), and
    /// two of them may be attached to one segment.
    pub(crate) fn is_this_host(&mut self, mac: Mac, now: Instant) -> bool {
        let own = &mut self.own_macs;
        if own.read_at.is_none_or(|at| now.saturating_duration_since(at) >= OWN_MACS) {
            own.read_at = Some(now);
            match self.route.hardware_addresses() {
                Ok(macs) => own.macs = macs,
                Err(error) => log::debug!("read the hardware addresses: {error}"),
            }
        }
        own.macs.contains(&mac)
    }

    fn note_claim(&mut self, cidr: Cidr, mac: Mac, wins_tie_break: bool, now: Instant) {
        let Some(target) = self.targets.get_mut(&cidr).filter(|target| target.is_bound()) else {
            return;
        };
        let report = target.tell_claim(mac, wins_tie_break, now);
        if report.is_some() {
            log::debug!("{cidr} is claimed by {}", ethernet::text(mac));
        }
        self.report(cidr, report);
    }
    fn note_missed(&mut self, cidr: Cidr, by: Mac, now: Instant) {
        let report = self.targets.get_mut(&cidr).and_then(|target| target.tell_missed(by, now));
        self.report(cidr, report);
    }

    /// The indexes of the interfaces on which others can be heard.
    pub(crate) fn audible(&self) -> Vec<u32> {
        self.interfaces.audible()
    }

    /// Takes note of whether others are heard on the interface with this index, and has that reported of
    /// each address there.
    pub(crate) fn hears(&mut self, index: u32, hearing: Hearing) {
        let Reconciler { interfaces, targets, outbox, .. } = self;
        interfaces.hears(index, hearing);
        for (cidr, target) in targets.iter_mut().filter(|(_, target)| target.found.is_some()) {
            let name = &target.interface;
            if interfaces.link(name).is_some_and(|link| link.index == index) {
                let report = target.tell_hearing(interfaces.hearing(name));
                outbox.reports.extend(report.map(|report| (*cidr, report)));
            }
        }
    }

    /// Whom one can ask on the interface with this index whether anybody is there.
    pub(crate) fn askable(&mut self, index: u32) -> Option<Askable> {
        let name = self.interfaces.name_of(index)?;
        // Those of IPv4 come first. All are looked through once a second by a host that hears nobody.
        let v6 = Cidr::new(Ipv6Addr::UNSPECIFIED.into(), 0).expect("0 is a prefix length");
        let v4s = || self.targets.range(..v6).filter(|(_, it)| it.interface == name);
        let v6s = self.targets.range(v6..).find(|(_, it)| it.interface == name);
        let families = [v4s().next(), v6s];
        let families = families.map(|found| found.map(|(cidr, _)| *cidr));
        let elsewhere = v4s().find_map(|(cidr, target)| match cidr.addr() {
            IpAddr::V4(ip) if target.is_elsewhere() => Some(ip),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        });
        let mut askable = None;
        for cidr in families.into_iter().flatten() {
            let (source, neighbours) = self.neighbours_of(cidr)?;
            let somebody = !neighbours.is_empty();
            askable = Some(Askable { source, neighbours, elsewhere });
            if somebody {
                break;
            }
        }
        askable
    }
}
