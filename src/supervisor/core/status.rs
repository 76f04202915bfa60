//! What this host knows of the cluster by itself, for who asks how the cluster is.

use super::{Action, Core, Token};
use crate::cluster::{Facts, Own};
use crate::command::Answer;
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
}
