//! What an election says of itself, in plain words: the core has reasons, this has the texts that come
//! with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, Reason, Trouble};
use super::driver::Driver;
use super::handle::{Params, Status, Tally};
use super::health::Cause;
use crate::checks::{Board, Checked, NotPassed};
use crate::history::{Happening, Kind};
use crate::lock;
use crate::net::OrderError;
use crate::network::{Mac, mac_text};
use crate::vip::Cidr;

/// For how long a claim of the same machine is the same.
const CLAIM: Duration = Duration::from_secs(1);

/// The texts.
pub(super) struct Words {
    cidr: Cidr,
    interface: String,
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
    /// Who last claimed an address, and when.
    pub(super) claimant: Option<(Mac, Instant)>,
    /// What was logged of what is wrong.
    logged: Vec<Trouble>,
}

impl Words {
    pub(super) fn new(params: &Params) -> Words {
        Words {
            cidr: params.cidr,
            interface: params.interface.clone(),
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

    pub(super) fn claimed(&mut self, from: Mac) {
        let (now, before) = (Instant::now(), self.claimant);
        // A machine that goes on claiming it is no news for a second.
        let is_known = before.is_some_and(|(mac, at)| mac == from && now - at < CLAIM);
        self.claimant = before.filter(|_| is_known).or(Some((from, now)));
    }

    pub(super) fn reason(&self, core: &Core) -> String {
        let reason = self.reason_of_core(core);
        match self.board.shortage() {
            Some(shortage) => format!("{reason}; {shortage}"),
            None => reason,
        }
    }

    /// What the election shows of itself; and what of it is news that no transition tells.
    pub(super) fn status(&mut self, driver: &Driver, bound: bool) -> (Arc<Status>, Vec<Happening>) {
        let core = driver.core();
        let (trouble, news) = self.trouble(core);
        let status = Status {
            state: core.state(),
            since: driver.since(),
            reason: self.reason(core),
            owner: core.owner().map(str::to_owned),
            awaited: core.awaited().map(|(host, lease)| (host.to_owned(), lease)),
            bound,
            candidate: core.candidacy(),
            next: core.is_next(),
            interface_usable: core.interface_is_usable(),
            hears_others: core.hears_others(),
            trouble,
            drained_last: core.reason() == Reason::DrainedLast,
            shortage: self.board.shortage().cloned(),
            checked: self.checked.clone(),
            checks: self.board.standings(),
            claimed: self.claimant,
            tally: self.tally(driver),
        };
        (Arc::new(status), news)
    }

    fn reason_of_core(&self, core: &Core) -> String {
        match core.reason() {
            Reason::Unhealthy(Cause::Checks) => self.failure.clone(),
            Reason::Unhealthy(Cause::Interface(why)) => format!("{}: {why}", self.interface),
            Reason::Unhealthy(Cause::Addition) => self.why_not_bound(),
            reason @ (Reason::Starting
            | Reason::HoldsLock
            | Reason::LockIsFree
            | Reason::OwnStaleLease
            | Reason::OtherHoldsLock(_)
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
        let addr = self.cidr.addr();
        match trouble {
            Trouble::NotBound => self.why_not_bound(),
            Trouble::Interface(why) => format!("{}: {why}", self.interface),
            Trouble::Isolated => format!("isolated on {}: nobody is heard there", self.interface),
            Trouble::Conflict => {
                let claimant = mac_text(self.claimant.map_or_else(Mac::default, |(mac, _)| mac));
                format!("another machine has {addr}, too: hardware address {claimant}")
            }
            Trouble::LockWithoutLease => {
                let (host, key) = (core.owner().unwrap_or("nobody"), lock::key(self.cidr));
                format!(
                    "the lock names {host} and has no lease, so that it never ends: delete {key}"
                )
            }
        }
    }

    fn why_not_bound(&self) -> String {
        match &self.not_bound {
            Some(why) => format!("cannot {why}"),
            None => format!("{} is not on {}", self.cidr, self.interface),
        }
    }
}
