//! The addresses that come with a lock: all of them are here, or none is.
//!
//! What is known of each is folded into what the core is told of all (`known`). What hosts compare with each other, hardware addresses, they
//! take of the first one only, the lowest: on another interface the order of the hosts may be another.

use std::sync::Arc;

use super::handle::{Member, Part};
use super::known::{self, Known};
use crate::checks::{CheckReports, Checks};
use crate::net::{Desired, ManagedAddress};
use crate::network::{Hearing, Mac, Unusable};
use crate::vip::Cidr;

/// An address that comes with the lock.
pub(super) struct Address {
    pub(super) member: Member,
    managed: ManagedAddress,
    pub(super) known: Known,
    /// What looks whether its service works.
    pub(super) checks: Option<Checks>,
}

/// All of them, the lowest first. None any more once the IP was given up.
#[derive(Default)]
pub(super) struct Addresses {
    all: Vec<Address>,
    /// The others are being added.
    first_waits: bool,
}

impl Addresses {
    pub(super) fn add(&mut self, member: Member, managed: ManagedAddress) {
        // Most are alone, and there may be a thousand.
        self.all.reserve_exact(1);
        self.all.push(Address { member, managed, known: Known::default(), checks: None });
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    pub(super) fn all(&self) -> &[Address] {
        &self.all
    }

    /// That with this address, and whether it is the one for which hosts are compared.
    pub(super) fn of(&mut self, cidr: Cidr) -> Option<(&mut Address, bool)> {
        let place = self.all.iter().position(|address| address.member.cidr == cidr)?;
        Some((self.all.get_mut(place)?, place == 0))
    }

    fn known(&self) -> impl Iterator<Item = Known> {
        self.all.iter().map(|address| address.known)
    }

    pub(super) fn are_bound(&self) -> bool {
        known::are_bound(self.known())
    }

    /// The kernel has one of them.
    pub(super) fn is_any_bound(&self) -> bool {
        self.known().any(|known| known.bound)
    }

    pub(super) fn interface(&self) -> Option<Result<Mac, Unusable>> {
        known::interface(self.known())
    }

    pub(super) fn hearing(&self) -> Hearing {
        known::hearing(self.known())
    }

    /// The first one that keeps the others away, of which people are told; one that is alone is known.
    pub(super) fn in_the_way(&self) -> Option<&Member> {
        if self.all.len() < 2 {
            return None;
        }
        let all: Vec<Known> = self.known().collect();
        known::in_the_way(&all).and_then(|place| self.all.get(place)).map(|it| &it.member)
    }

    /// Whether one of them has health checks.
    pub(super) fn are_checked(&self) -> bool {
        self.all.iter().any(|address| !address.member.checks.is_empty())
    }

    /// Ends all checks; whether there are any to be begun.
    pub(super) fn end_checks(&mut self) -> bool {
        self.all.iter_mut().for_each(|address| address.checks = None);
        self.are_checked()
    }

    /// Begins all checks; none is made any more. Those of an address have the numbers after those of the addresses before it. Whether
    /// all could be started; of one that could not it is reported why.
    #[inline(never)]
    pub(super) fn start_checks(&mut self, reports: &CheckReports) -> bool {
        let (mut first, mut all) = (0, true);
        for address in &mut self.all {
            let Member { cidr, checks, timing, .. } = &address.member;
            if checks.is_empty() {
                continue;
            }
            let (all_reports, before) = (Arc::clone(reports), first);
            let reports: CheckReports =
                Arc::new(move |number, result| all_reports(before + number, result));
            match Checks::start(*cidr, checks, timing, &reports) {
                Ok(checks) => address.checks = Some(checks),
                Err(error) => {
                    all = false;
                    reports(0, Err(error));
                }
            }
            first += checks.len();
        }
        all
    }

    /// Adds or removes all of them. The first is added when the kernel has the others ([`Addresses::go_on`]): the
    /// owner before, which hears it announced, lets go of all.
    pub(super) fn set(&mut self, desired: Desired) {
        self.first_waits = desired == Desired::Bound;
        for address in self.all.iter().skip(usize::from(self.first_waits)) {
            address.managed.set(desired);
        }
        self.go_on();
    }

    /// Adds the first one, if it waits for nothing any more.
    pub(super) fn go_on(&mut self) {
        let others_are_bound = known::are_bound(self.known().skip(1));
        if let Some(first) = self.all.first().filter(|_| self.first_waits && others_are_bound) {
            self.first_waits = false;
            first.managed.set(Desired::Bound);
        }
    }

    /// Announces all of them, by this host or for the owner.
    pub(super) fn announce(&self, announce: fn(&ManagedAddress)) {
        self.all.iter().rev().for_each(|address| announce(&address.managed));
    }

    /// That for which hosts are compared.
    pub(super) fn first(&self) -> Option<&ManagedAddress> {
        self.all.first().map(|address| &address.managed)
    }

    /// What is known of each, if they are several.
    pub(super) fn parts(&self) -> Vec<Part> {
        if self.all.len() < 2 {
            return Vec::new();
        }
        let part = |Address { member, known, .. }: &Address| Part {
            cidr: member.cidr,
            bound: known.bound,
            checks: member.checks.len(),
        };
        self.all.iter().map(part).collect()
    }
}
