//! What this host knows of the cluster by itself, for who asks how the cluster is.

use super::{Action, Core, Token};
use crate::cluster::{Facts, Own};
use crate::command::Answer;
use crate::fsm::State;
use crate::lock::Lease;

impl Core {
    /// Answers with what etcd has, or, when etcd is lost, without asking it.
    pub(super) fn tell_status(&mut self, token: Token) {
        let own = Own {
            host: self.config.host.clone(),
            ips: self.list(),
            problems: self.problems(),
            agents: self.lease.presence.agents(),
            gone: self.lease.presence.gone(),
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

    /// How this host is, in one line.
    pub fn status_line(&self) -> String {
        let registered = || self.table.iter().filter(|(_, vip)| vip.is_registered());
        let owned = registered().filter(|(_, vip)| vip.status.state == State::Activated).count();
        let etcd = self.host_trouble().unwrap_or_else(|| "etcd ok".to_owned());
        let drained = if self.is_drained() { ", drained" } else { "" };
        format!("{owned} of {} IPs owned, {etcd}{drained}", registered().count())
    }
}
