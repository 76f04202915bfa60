//! Other keys for the address of an IP: with another prefix length, or in another spelling. Each is an
//! election of its own, so that the address has two owners. They are shown, and keep an address from
//! being registered; which of them is right an operator has to say.
//!
//! And machines that answer for the address of a new IP: hosts that share it, or strangers.

use log::Level;

use super::compare::{AT_ONCE, Step};
use super::table::Vip;
use super::{Core, Failure, StartError};
use crate::command::Refusal;
use crate::history::Kind;
use crate::lock::OtherPrefix;
use crate::network::{Mac, mac_text};
use crate::store::{self, At, Request};
use crate::vip::{Cidr, Slot};

impl Core {
    /// Looks, a part of the IPs after the other, for hosts that offer one with another prefix length.
    pub(super) fn look_for_prefixes(&mut self) {
        self.comparison.prefixes = self.table.registered().map(|record| record.cidr).collect();
        self.look_for_next_prefixes();
    }

    fn look_for_next_prefixes(&mut self) {
        let left = self.comparison.prefixes.len();
        if left == 0 {
            return self.end_comparison();
        }
        let next = self.comparison.prefixes.split_off(left.saturating_sub(AT_ONCE));
        self.comparison.step = Step::Prefixes;
        self.ask(Request::OtherPrefixes(next));
    }

    pub(super) fn on_other_prefixes(
        &mut self,
        cidrs: &[Cidr],
        result: Result<(store::Answer, At), Failure>,
    ) {
        if self.comparison.step != Step::Prefixes {
            return;
        }
        let Ok((store::Answer::OtherPrefixes(others), _)) = result else {
            return self.comparison_failed();
        };
        let mut new = Vec::new();
        for cidr in cidrs {
            let other = others.iter().find(|(same, _)| same == cidr).map(|(_, it)| it.clone());
            if let Some((slot, _)) = self.table.at(cidr.addr()) {
                new.extend(self.note_other_prefix(slot, other));
            }
        }
        self.warn_of_prefixes(&new);
        self.look_for_next_prefixes();
    }

    pub(super) fn warn_of_prefixes(&mut self, prefixes: &[String]) {
        let what = "addresses are offered with another mask, and owned by both, until it is the same \
                    on all hosts";
        self.warn_of(Kind::Conflict, what, prefixes);
    }

    /// Takes note of a host that offers an IP with another prefix length, or that there is none; says
    /// what is to be warned of.
    pub(super) fn note_other_prefix(
        &mut self,
        slot: Slot,
        other: Option<OtherPrefix>,
    ) -> Option<String> {
        let vip = self.table.get_mut(slot)?;
        let before = std::mem::replace(&mut vip.other_prefix, other.map(Box::new));
        let OtherPrefix { cidr, host } =
            vip.other_prefix.as_deref().filter(|other| before.as_deref() != Some(other))?;
        Some(format!("{} as {cidr:?} on host {host:?}", vip.record.cidr))
    }

    /// Takes note of a lock that has an address in another spelling, or is gone.
    pub(super) fn note_spelling(&mut self, key: &str, cidr: Cidr, exists: bool) {
        if !exists {
            self.table.misspelled.remove(key);
        } else if self.table.misspelled.insert(key.to_owned(), cidr).is_none()
            && self.table.at(cidr.addr()).is_some()
        {
            let text = format!("{key:?} is the lock of {cidr} in another spelling: both own it");
            self.happened(Level::Warn, Kind::Conflict.of(text));
        }
    }

    /// A machine answers for a new IP: it may be a host that shares it.
    pub(super) fn on_answered(&mut self, slot: Slot, cidr: Cidr, mac: Mac) {
        let Some(vip) = self.table.get_mut(slot) else { return };
        vip.answered = Some(mac);
        self.ask(Request::SharedBy(cidr));
    }

    /// An address that other hosts share is registered, unless they share it with another prefix length:
    /// that is found when the record is written.
    pub(super) fn on_shared_by(
        &mut self,
        cidr: Cidr,
        result: Result<(store::Answer, At), Failure>,
    ) {
        let answered = |(slot, vip): (Slot, &Vip)| Some((slot, vip.answered?));
        let Some((slot, mac)) = self.table.at(cidr.addr()).and_then(answered) else { return };
        match result {
            Ok((store::Answer::Names(names), _)) if names.is_empty() => {
                self.not_stored(slot, StartError::Answered(mac).refusal(cidr));
            }
            Ok(_) => self.on_started(slot, Ok(())),
            Err(failure) => {
                self.not_stored(slot, Refusal::Unavailable(format!("etcd: {}", failure.why)));
            }
        }
    }
}

impl StartError {
    pub(super) fn refusal(self, cidr: Cidr) -> Refusal {
        match self {
            StartError::OwnAddress(own) => {
                Refusal::invalid("ip", format!("{own} is an address of the host itself"))
            }
            StartError::Answered(mac) => {
                let mac = mac_text(mac);
                let why = format!("the machine with the hardware address {mac} answers for {cidr}");
                Refusal::Conflict(format!("{why}; \"force\":true registers it all the same"))
            }
            StartError::Failed(why) => {
                Refusal::Unavailable(format!("start the election of {cidr}: {why}"))
            }
        }
    }
}
