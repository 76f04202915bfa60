//! The interfaces on which addresses are managed, as the kernel last described them.
//!
//! They are known by name only. Index and hardware address are those of the last look, and a look
//! follows each notice about a link: an interface may be deleted and come back with others.

use crate::few::Few;
use crate::net::codec::rtnetlink::{Change, Link};
use crate::network::{Hearing, Mac, Unusable};

/// The interfaces by the name under which they are asked for.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    /// A name without a link is an interface that does not exist.
    links: Few<String, Option<Link>>,
    /// Whether others are heard, by the indexes of those of which that is known.
    hearing: Vec<(u32, Hearing)>,
}

/// What is new about an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// A line for the log.
    pub(super) warning: Option<String>,
    /// It came back, or may be attached to other neighbours than before: what was announced on
    /// it has to be announced again.
    pub(super) renewed: bool,
}

impl Interfaces {
    /// Takes note of a look at an interface.
    pub(super) fn see(&mut self, name: &str, link: Option<Link>) -> News {
        let news = match self.links.get(name) {
            None => News { warning: warning(name, link.as_ref()), renewed: false },
            Some(old) => compare(name, old.as_ref(), link.as_ref()),
        };
        self.links.insert(name.to_owned(), link);
        news
    }

    /// Forgets the interfaces on which nothing is managed any more.
    pub(super) fn retain(&mut self, in_use: impl Fn(&str) -> bool) {
        self.links.retain(|name, _| in_use(name));
    }

    /// The names under which they are asked for.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.links.keys()
    }

    /// The interface as it was last seen.
    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(name)?.as_ref()
    }

    /// The name of the interface with this index.
    pub(super) fn name_of(&self, index: u32) -> Option<&str> {
        let has_index = |link: &Option<Link>| link.as_ref().is_some_and(|it| it.index == index);
        self.links.iter().find(|(_, link)| has_index(link)).map(|(name, _)| name.as_str())
    }

    /// The interface, if it can carry addresses.
    pub(super) fn usable_link(&self, name: &str) -> Option<&Link> {
        self.link(name).filter(|link| link.is_up())
    }

    /// The interface, if somebody may be at its other end.
    pub(super) fn connected_link(&self, name: &str) -> Option<&Link> {
        self.usable_link(name).filter(|link| link.has_carrier())
    }

    /// The indexes of those on which others can be heard.
    pub(super) fn audible(&self) -> Vec<u32> {
        let up = self.links.values().flatten().filter(|link| link.is_up() && link.has_carrier());
        up.filter(|link| link.announces_from().is_some()).map(|link| link.index).collect()
    }

    /// Takes note of whether others are heard on the interface with this index.
    pub(super) fn hears(&mut self, index: u32, hearing: Hearing) {
        self.hearing.retain(|(known, _)| *known != index);
        if hearing != Hearing::Unknown {
            self.hearing.push((index, hearing));
        }
    }

    /// Whether others are heard on an interface.
    pub(super) fn hearing(&self, name: &str) -> Hearing {
        let index = self.connected_link(name).map(|link| link.index);
        let known = self.hearing.iter().find(|(known, _)| Some(*known) == index);
        known.map_or(Hearing::Unknown, |(_, hearing)| *hearing)
    }

    /// The interface's hardware address, zeros if nobody asks for addresses there, or why an address on it is of no use.
    pub(super) fn standing(&self, name: &str) -> Result<Mac, Unusable> {
        standing(self.link(name))
    }

    /// Whether a notice says something that is not known.
    pub(super) fn matters(&self, change: &Change) -> bool {
        let known = |index| self.links.values().flatten().find(|link| link.index == index);
        match change {
            Change::Link(link) => match known(link.index) {
                // Whether it promotes secondaries is asked when that matters.
                Some(old) => {
                    let promotes_secondaries = old.promotes_secondaries;
                    *old != Link { promotes_secondaries, ..link.clone() }
                }
                None => self.links.contains_key(&link.name),
            },
            Change::LinkGone(link) => known(link.index).is_some(),
            Change::Address(_) | Change::AddressGone(_) => false,
        }
    }
}

pub(super) fn standing(link: Option<&Link>) -> Result<Mac, Unusable> {
    match link {
        None => Err(Unusable::Missing),
        Some(link) if !link.is_up() => Err(Unusable::Down),
        Some(link) if !link.has_carrier() => Err(Unusable::NoCarrier),
        Some(link) => Ok(link.announces_from().unwrap_or_default()),
    }
}

/// What is wrong with an interface, for the log.
fn warning(name: &str, link: Option<&Link>) -> Option<String> {
    standing(link).err().map(|why| format!("{name}: {why}"))
}

fn compare(name: &str, old: Option<&Link>, new: Option<&Link>) -> News {
    let is_up = |link: &&Link| link.is_up();
    let now = warning(name, new);
    match (old.filter(is_up), new.filter(is_up)) {
        (Some(old), Some(new)) => compare_links(name, old, new),
        (None, Some(_)) => {
            let back = || format!("{name}: interface is back");
            News { warning: Some(now.unwrap_or_else(back)), renewed: true }
        }
        (_, None) => {
            let warning = now.filter(|_| standing(old).err() != standing(new).err());
            News { warning, renewed: false }
        }
    }
}

/// Compares an interface that is up with itself, also up.
fn compare_links(name: &str, old: &Link, new: &Link) -> News {
    let replaced = old.index != new.index;
    // The counter also tells of a loss that was over before anybody looked.
    let reconnected =
        new.has_carrier() && (!old.has_carrier() || old.carrier_ups != new.carrier_ups);
    let what = if replaced {
        Some("interface was replaced by another of this name")
    } else if old.mac != new.mac {
        Some("hardware address changed")
    } else if reconnected {
        Some("carrier is back")
    } else if old.has_carrier() && !new.has_carrier() {
        Some("carrier lost")
    } else {
        None
    };
    News {
        warning: what.map(|what| format!("{name}: {what}")),
        renewed: replaced || reconnected || old.announces_from() != new.announces_from(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: u32 = 0x11043;
    const NO_CARRIER: u32 = 0x1003;
    const DOWN: u32 = 0x1002;

    fn link(index: u32, flags: u32) -> Link {
        Link {
            index,
            name: "eth0".to_owned(),
            flags,
            mac: Some([2, 0, 0, 0, 0, 1]),
            carrier_ups: Some(1),
            forwards_ipv6: false,
            promotes_secondaries: Some(false),
        }
    }

    /// What is told when an interface goes from one description to another.
    fn news(old: Option<Link>, new: Option<Link>) -> (Option<String>, bool) {
        let mut interfaces = Interfaces::default();
        interfaces.see("eth0", old);
        let news = interfaces.see("eth0", new);
        (news.warning, news.renewed)
    }

    fn told(text: &str, renewed: bool) -> (Option<String>, bool) {
        (Some(format!("eth0: {text}")), renewed)
    }

    #[test]
    fn what_stays_as_it_is_is_no_news() {
        for same in [None, Some(link(3, UP)), Some(link(3, DOWN)), Some(link(3, NO_CARRIER))] {
            assert_eq!(news(same.clone(), same), (None, false));
        }
    }

    #[test]
    fn the_first_look_tells_only_what_is_wrong() {
        let mut interfaces = Interfaces::default();
        let missing = interfaces.see("eth9", None).warning;
        assert_eq!(missing, Some("eth9: no such interface".to_owned()));
        assert_eq!(interfaces.see("eth0", Some(link(3, UP))), News::default());
        let unconnected = interfaces.see("eth1", Some(link(4, NO_CARRIER))).warning;
        assert_eq!(unconnected, Some("eth1: no carrier".to_owned()));
    }

    #[test]
    fn an_interface_that_is_lost_is_told_with_the_reason() {
        let up = Some(link(3, UP));
        assert_eq!(news(up.clone(), None), told("no such interface", false));
        assert_eq!(news(up.clone(), Some(link(3, DOWN))), told("interface is down", false));
        assert_eq!(news(Some(link(3, DOWN)), None), told("no such interface", false));
    }

    #[test]
    fn an_interface_that_comes_back_is_renewed() {
        let back = told("interface is back", true);
        assert_eq!(news(None, Some(link(7, UP))), back);
        assert_eq!(news(Some(link(3, DOWN)), Some(link(3, UP))), back);
        let replaced = told("interface was replaced by another of this name", true);
        assert_eq!(news(Some(link(3, UP)), Some(link(7, UP))), replaced);
        let unconnected = told("no carrier", true);
        assert_eq!(news(Some(link(3, DOWN)), Some(link(3, NO_CARRIER))), unconnected);
    }

    #[test]
    fn a_carrier_that_comes_back_renews_even_when_its_loss_was_not_seen() {
        let up = link(3, UP);
        let without = link(3, NO_CARRIER);
        assert_eq!(news(Some(up.clone()), Some(without.clone())), told("carrier lost", false));
        assert_eq!(news(Some(without), Some(up.clone())), told("carrier is back", true));
        let again = Link { carrier_ups: Some(2), ..up.clone() };
        assert_eq!(news(Some(up), Some(again)), told("carrier is back", true));
    }

    #[test]
    fn another_hardware_address_renews() {
        let other = Link { mac: Some([2, 0, 0, 0, 0, 9]), ..link(3, UP) };
        let changed = told("hardware address changed", true);
        assert_eq!(news(Some(link(3, UP)), Some(other)), changed);
    }

    #[test]
    fn an_interface_on_which_addresses_are_resolved_again_is_renewed() {
        let no_arp = link(3, UP | 0x80);
        assert_eq!(news(Some(no_arp), Some(link(3, UP))), (None, true));
    }

    #[test]
    fn an_interface_without_carrier_can_carry_addresses_and_is_connected_to_nobody() {
        let mut interfaces = Interfaces::default();
        for (flags, usable, connected) in
            [(UP, true, true), (NO_CARRIER, true, false), (DOWN, false, false)]
        {
            interfaces.see("eth0", Some(link(3, flags)));
            assert_eq!(interfaces.usable_link("eth0").is_some(), usable);
            assert_eq!(interfaces.connected_link("eth0").is_some(), connected);
            assert_eq!(interfaces.standing("eth0").is_ok(), connected);
        }
    }

    #[test]
    fn others_are_heard_only_where_there_is_a_carrier_and_addresses_are_resolved() {
        let mut interfaces = Interfaces::default();
        for (flags, hearing) in
            [(UP, Hearing::Others), (NO_CARRIER, Hearing::Unknown), (DOWN, Hearing::Unknown)]
        {
            interfaces.see("eth0", Some(link(3, flags)));
            interfaces.hears(3, Hearing::Others);
            assert_eq!(interfaces.hearing("eth0"), hearing);
            assert_eq!(interfaces.audible().contains(&3), hearing == Hearing::Others);
        }
        assert_eq!(interfaces.standing("eth0"), Err(Unusable::Down));
        interfaces.see("eth0", Some(link(3, UP | 0x80)));
        assert!(interfaces.audible().is_empty());
        assert_eq!(interfaces.standing("eth0"), Ok([0; 6]));
        interfaces.hears(3, Hearing::Unknown);
        interfaces.see("eth0", Some(link(3, UP)));
        assert_eq!(interfaces.hearing("eth0"), Hearing::Unknown);
        assert_eq!(interfaces.hearing("eth1"), Hearing::Unknown);
    }

    #[test]
    fn a_notice_matters_if_it_is_new_and_about_an_interface_in_use() {
        let mut interfaces = Interfaces::default();
        interfaces.see("eth0", Some(link(3, UP)));
        interfaces.see("eth9", None);
        let named = |index, name: &str| Link { name: name.to_owned(), ..link(index, UP) };
        assert!(!interfaces.matters(&Change::Link(link(3, UP))));
        let promotes = Link { promotes_secondaries: Some(true), ..link(3, UP) };
        assert!(!interfaces.matters(&Change::Link(promotes)), "it is asked when that matters");
        assert!(!interfaces.matters(&Change::Link(named(8, "other"))));
        assert!(!interfaces.matters(&Change::LinkGone(named(8, "other"))));
        assert!(interfaces.matters(&Change::Link(link(3, DOWN))));
        assert!(interfaces.matters(&Change::Link(link(7, UP))), "another eth0");
        assert!(interfaces.matters(&Change::Link(named(3, "renamed"))));
        assert!(interfaces.matters(&Change::Link(named(8, "eth9"))));
        assert!(interfaces.matters(&Change::LinkGone(link(3, UP))));
    }
}
