//! Whom it concerns what another host says on the wire, or that others are heard at all.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::{Reconciler, same_subnet};
use crate::net::codec::ethernet;
use crate::net::codec::ethernet::Mac;
use crate::net::codec::heard::{Heard, Kind};
use crate::net::probe::{Askable, ProbeSource, Reference};
use crate::network::Hearing;
use crate::sorted::sort_by;
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

    /// From where to ask about an address, and the neighbours there who have addresses like this one and can be
    /// asked: first those who were last known to be there, as are those with whom this host has to do, its
    /// gateway above all.
    pub(crate) fn neighbours_of(&mut self, cidr: Cidr) -> Option<(ProbeSource, Vec<Reference>)> {
        let source = self.probe_source(cidr)?;
        let known = self.know_all();
        let found = known.and_then(|()| self.route.neighbours(source.index, cidr.addr()));
        let mut neighbours = found.unwrap_or_else(|error| {
            log::debug!("read the neighbours: {error}");
            Vec::new()
        });
        sort_by(&mut neighbours, |a, b| a.confirmed.cmp(&b.confirmed));
        let here = self.host.own(source.index, cidr.addr()).filter(|own| !self.has_added(own));
        let own: Vec<Cidr> = here.map(|own| own.cidr).collect();
        let can_be_asked =
            |neighbour| Some(Reference { neighbour, from: near(&own, neighbour.ip)? });
        Some((source, neighbours.into_iter().filter_map(can_be_asked).collect()))
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

/// From which of this host's own addresses on an interface a neighbour is asked: the one of the link, or one
/// in its subnet, if there is one.
///
/// LinK's are none of them: another host may have one by now, and a neighbour believes the sender of a question.
///
/// Without one of IPv4 the question names none, and a neighbour that boots may take it for a conflict (RFC 5227,
/// 2.1.1). But where nobody is asked, a host is deaf for 18 s before it knows, and calls no silent owner dead.
/// Without one of IPv6 nobody is asked: a neighbour that boots would lose its address until a person mends that,
/// and this host has one of the link a second or two after IPv6 is on.
fn near(own: &[Cidr], ip: IpAddr) -> Option<IpAddr> {
    let is_near = |own: &&Cidr| match own.addr() {
        IpAddr::V4(_) => Cidr::new(ip, own.prefix()).is_ok_and(|it| same_subnet(**own, it)),
        IpAddr::V6(own) => own.is_unicast_link_local(),
    };
    let found = own.iter().find(is_near).or(own.first()).map(Cidr::addr);
    found.or(ip.is_ipv4().then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_asked_from_its_subnet_or_the_link_if_there_is_one_and_from_none_of_ipv4() {
        let from = |own: &[&str], ip: &str| {
            let own: Vec<Cidr> = own.iter().map(|text| text.parse().unwrap()).collect();
            near(&own, ip.parse().unwrap()).map(|from| from.to_string())
        };
        let is = |from: &str| Some(from.to_owned());
        assert_eq!(from(&["192.0.2.5/24", "10.0.0.5/24"], "10.0.0.9"), is("10.0.0.5"));
        assert_eq!(from(&["192.0.2.5/24", "10.0.0.5/32"], "10.0.0.9"), is("192.0.2.5"));
        assert_eq!(from(&[], "10.0.0.9"), is("0.0.0.0"));
        assert_eq!(from(&["fd00::5/64", "fe80::5/64"], "fd00::9"), is("fe80::5"));
        assert_eq!(from(&["fd00::5/64"], "fe80::9"), is("fd00::5"));
        assert_eq!(from(&[], "fe80::9"), None);
    }
}
