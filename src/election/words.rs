//! What an election says of itself, in plain words: the core has reasons, this has the texts that come
//! with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::addresses::Addresses;
use super::core::{Core, Reason, Trouble};
use super::driver::Driver;
use super::handle::{Params, Status, Tally};
use super::health::Cause;
use crate::checks::{Board, Checked, NotPassed};
use crate::history::{Happening, Kind};
use crate::lock;
use crate::net::OrderError;
use crate::network::{Mac, mac_text};
use crate::vip::{Cidr, ElectionKey};

/// For how long a claim of the same machine is the same.
const CLAIM: Duration = Duration::from_secs(1);

/// The texts.
pub(super) struct Words {
    key: ElectionKey,
    /// The address that keeps this host from having all, if one does; one of them.
    subject: (Cidr, String),
    /// Why the last health check has failed that made the IP fail.
    failure: String,
    /// What the health checks have found, each by itself.
    board: Box<Board>,
    /// What they have found all together, those before them included.
    checked: Option<Box<Checked>>,
    /// How many have failed.
    failures: u64,
    /// Why the kernel did not take an address.
    not_bound: Option<OrderError>,
    /// Which address was claimed last, by whom, and when.
    claimant: Option<(Cidr, Mac, Instant)>,
    /// What was logged of what is wrong.
    logged: Vec<Trouble>,
}

impl Words {
    pub(super) fn new(params: &Params) -> Words {
        let first = params.members.first();
        let subject = first.map(|member| (member.cidr, member.interface.clone()));
        Words {
            key: params.key.clone(),
            subject: subject.expect("an election has an address"),
            failure: String::new(),
            board: Box::default(),
            checked: None,
            failures: 0,
            not_bound: None,
            claimant: None,
            logged: Vec::new(),
        }
    }

    /// Keeps what a check has found. Whether all are up, if that is known: false if one is down.
    #[inline(never)]
    pub(super) fn checked(&mut self, number: usize, result: Result<(), NotPassed>) -> Option<bool> {
        let now = Instant::now();
        let found = match &result {
            Ok(()) => Some(None),
            Err(NotPassed::Failed(why)) => Some(Some(why.clone())),
            Err(NotPassed::NotMade(_)) => None,
        };
        let up = self.board.note(number, result, now);
        self.failures += u64::from(found.as_ref().is_some_and(Option::is_some));
        // As long as another one fails, a success is none of all together.
        if let Some(error) = found
            && (error.is_some() || self.board.all_pass())
        {
            let first = Checked { passed: error.is_none(), since: now, last_error: None };
            self.checked.get_or_insert_with(|| Box::new(first)).note(error, now);
        }
        if let Some(why) = self.board.why_down() {
            why.clone_into(&mut self.failure);
        }
        up
    }

    /// Other checks are made from now on, or none.
    pub(super) fn begin_checks(&mut self, board: Board) {
        *self.board = board;
    }

    /// What was counted.
    pub(super) fn tally(&self, driver: &Driver) -> Tally {
        Tally {
            transitions: driver.transitions(),
            conflict: driver.core().troubles().contains(&Trouble::Conflict),
            check_failures: self.failures,
        }
    }

    pub(super) fn not_bound(&mut self, why: OrderError) {
        self.not_bound = Some(why);
    }

    /// Takes note of an address that another machine claims; whether that is news.
    pub(super) fn claimed(&mut self, cidr: Cidr, from: Mac) -> bool {
        let (now, before) = (Instant::now(), self.claimant);
        // A machine that goes on claiming it is no news for a second.
        let is_known =
            before.is_some_and(|(same, mac, at)| same == cidr && mac == from && now - at < CLAIM);
        self.claimant = before.filter(|_| is_known).or(Some((cidr, from, now)));
        !is_known
    }

    /// This address keeps this host from having all.
    pub(super) fn is_about(&mut self, cidr: Cidr, interface: &str) {
        if self.subject.0 != cidr {
            self.subject = (cidr, interface.to_owned());
        }
    }

    pub(super) fn reason(&self, core: &Core) -> String {
        let reason = self.reason_of_core(core);
        match self.board.shortage() {
            Some(shortage) => format!("{reason}; {shortage}"),
            None => reason,
        }
    }

    /// What the election shows of itself; and what of it is news that no transition tells.
    #[inline(never)]
    pub(super) fn status(
        &mut self,
        driver: &Driver,
        addresses: &Addresses,
    ) -> (Arc<Status>, Vec<Happening>) {
        let core = driver.core();
        let (trouble, news) = self.trouble(core);
        let status = Status {
            state: core.state(),
            since: driver.since(),
            reason: self.reason(core),
            owner: core.owner().map(str::to_owned),
            awaited: core.awaited().map(|(host, lease)| (host.to_owned(), lease)),
            group: core.group(),
            bound: addresses.are_bound(),
            parts: addresses.parts(),
            candidate: core.candidacy(),
            next: core.is_next(),
            interface_usable: core.interface_is_usable(),
            hears_others: core.hears_others(),
            trouble,
            drained_last: core.reason() == Reason::DrainedLast,
            shortage: self.board.shortage().cloned(),
            checked: self.checked.clone(),
            checks: self.board.standings(),
            claimed: self.claimant.map(Box::new),
            tally: self.tally(driver),
        };
        (Arc::new(status), news)
    }

    fn reason_of_core(&self, core: &Core) -> String {
        match core.reason() {
            Reason::Unhealthy(Cause::Checks) => self.failure.clone(),
            Reason::Unhealthy(Cause::Interface(why)) => format!("{}: {why}", self.subject.1),
            Reason::Unhealthy(Cause::Addition) => self.why_not_bound(),
            reason @ (Reason::Starting
            | Reason::HoldsLock
            | Reason::LockIsFree
            | Reason::OwnStaleLease
            | Reason::OtherHoldsLock(_)
            | Reason::InGroup(_)
            | Reason::OwnerNotHeard(_)
            | Reason::OwnerMissed(_)
            | Reason::EtcdLost(_)
            | Reason::Unhealthy(Cause::Drained)
            | Reason::DrainedLast
            | Reason::NotCheckedYet
            | Reason::GivenUp) => reason.to_string(),
        }
    }

    /// What is wrong; and what of it has just begun and no transition tells.
    fn trouble(&mut self, core: &Core) -> (Vec<String>, Vec<Happening>) {
        let troubles = core.troubles();
        let mut news = Vec::new();
        for trouble in troubles.iter().filter(|trouble| !self.logged.contains(trouble)) {
            let kind = match trouble {
                Trouble::Conflict => Kind::Conflict,
                Trouble::LockWithoutLease | Trouble::Isolated => Kind::Trouble,
                Trouble::NotBound | Trouble::Interface(_) => continue,
            };
            news.push(kind.of(self.text(*trouble, core)));
        }
        let texts = troubles.iter().map(|it| self.text(*it, core)).collect();
        self.logged = troubles;
        (texts, news)
    }

    fn text(&self, trouble: Trouble, core: &Core) -> String {
        match trouble {
            Trouble::NotBound => self.why_not_bound(),
            Trouble::Interface(why) => format!("{}: {why}", self.subject.1),
            Trouble::Isolated => format!("isolated on {}: nobody is heard there", self.subject.1),
            Trouble::Conflict => {
                let claimant = self.claimant.map(|(cidr, mac, _)| (cidr, mac));
                let (cidr, mac) = claimant.unwrap_or((self.subject.0, Mac::default()));
                let (addr, claimant) = (cidr.addr(), mac_text(mac));
                format!("another machine has {addr}, too: hardware address {claimant}")
            }
            Trouble::LockWithoutLease => {
                let (host, key) = (core.owner().unwrap_or("nobody"), lock::key(&self.key));
                format!(
                    "the lock names {host} and has no lease, so that it never ends: delete {key}"
                )
            }
        }
    }

    fn why_not_bound(&self) -> String {
        match &self.not_bound {
            Some(why) => format!("cannot {why}"),
            None => format!("{} is not on {}", self.subject.0, self.subject.1),
        }
    }
}
