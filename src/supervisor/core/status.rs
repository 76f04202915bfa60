//! What this host knows of the cluster by itself, for who asks how the cluster is.

use super::{Action, Core, Token};
use crate::cluster::{Facts, Own};
use crate::command::Answer;
use crate::fsm::State;
use crate::lock::Lease;
use crate::vip::Cidr;

impl Core {
    /// Answers with what etcd has, or, when etcd is lost, without asking it.
    pub(super) fn tell_status(&mut self, token: Token) {
        let away = self.detector.away().into_iter();
        let lost = self.lease.told == Lease::Lost;
        let own = Own {
            host: self.config.host.clone(),
            ips: self.list(),
            problems: self.problems(),
            agents: self.lease.presence.agents(),
            gone: self.lease.presence.gone(),
            away: away.map(|(host, at)| (host.to_owned(), at.elapsed().as_secs())).collect(),
            owners: if lost { self.last_owners() } else { Vec::new() },
        };
        match self.lease.told {
            Lease::None | Lease::Held(_) => {
                self.out.push(Action::ReadCluster(token, Box::new(own)));
            }
            Lease::Lost => {
                let trouble = self.host_trouble().unwrap_or_else(|| "etcd is lost".to_owned());
                let facts = Facts { own, now: 0, etcd: Err(trouble) };
                self.reply(token, Ok(Answer::Cluster(Box::new(facts))));
            }
        }
    }

    /// Who had the IPs when etcd was last heard, and how many seconds ago that was.
    fn last_owners(&self) -> Vec<(Cidr, String, u64)> {
        let registered = self.table.iter().filter(|(_, vip)| vip.is_registered());
        let last = registered.filter_map(|(_, vip)| {
            let at = vip.watched.seen.owner?;
            Some((vip.record.cidr, vip.watched.moves.last()?.clone(), at.elapsed().as_secs()))
        });
        last.collect()
    }

    /// How this host is, in one line.
    pub fn status_line(&self) -> String {
        let registered = || self.table.iter().filter(|(_, vip)| vip.is_registered());
        let owned = registered().filter(|(_, vip)| vip.status.state == State::Activated).count();
        let etcd = self.host_trouble().unwrap_or_else(|| "etcd ok".to_owned());
        let drained = if self.is_drained() { ", drained" } else { "" };
        format!("{owned} of {} IPs owned, {etcd}{drained}", registered().count())
    }
}
