//! Since when an IP is what it is, in etcd, in the kernel, on the wire and for its checks: what one who asks for
//! this IP is told beside its state.

use std::time::{Duration, Instant};

use super::Core;
use super::table::Vip;
use crate::checks::{CheckStanding, Checked};
use crate::network::{Liveness, mac_text};
use crate::wire;

impl Core {
    /// An IP with all that is known of it.
    pub(super) fn show_in_full(&self, vip: &Vip) -> wire::Ip {
        let age = |at: Instant| at.elapsed().as_secs();
        let (seen, status) = (&vip.watched.seen, &vip.status);
        let owners_host = seen.liveness.map(|(liveness, at)| {
            let what = match liveness {
                Liveness::Alive => "answers",
                Liveness::Doubted => "doubted",
                Liveness::Suspect | Liveness::Dead => "silent",
            };
            wire::OwnersHost { network: what.to_owned(), since: age(at) }
        });
        let cidr = vip.record.cidr;
        let claimed = status.claimed.as_deref().filter(|(claimed, ..)| *claimed == cidr);
        let claimed = claimed
            .map(|(_, mac, at)| wire::Claimed { hardware_address: mac_text(*mac), ago: age(*at) });
        let found = |checked: &Checked| wire::Checked {
            passed: checked.passed,
            since: age(checked.since),
            last_error: checked.last_error.as_ref().map(|(text, _)| text.clone()),
            last_error_ago: checked.last_error.as_ref().map(|(_, at)| age(*at)),
        };
        let checked = status.checked.as_deref().map(found);
        let standing = |standing: &CheckStanding| wire::CheckStanding {
            check: standing.check.clone(),
            up: standing.up,
            checked: standing.checked.as_ref().map(found),
        };
        let checks = status.checks_of(cidr).iter().map(standing).collect();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let last_failover = vip.watched.measured.last.as_deref().map(|it| wire::LastFailover {
            kind: if it.is_crash { "crash" } else { "handover" }.to_owned(),
            took_us: micros(it.took),
            give_or_take_us: if it.is_crash { micros(self.detector.blur()) } else { 0 },
            ago: age(it.at),
        });
        let shown = wire::Seen {
            owner_since: seen.owner.map(age),
            bound_since: seen.bound.map(age),
            owners_host,
            claimed,
            checked,
            checks,
            last_failover,
            etcd_loss_after_ms: u64::try_from(self.config.loss_after.as_millis())
                .unwrap_or(u64::MAX),
        };
        wire::Ip { seen: Some(Box::new(shown)), ..self.show(vip) }
    }
}
