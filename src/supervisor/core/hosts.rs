//! Which hosts offer an IP, or the group to which it belongs: read in etcd for who asks.

use super::{Core, Failure, Token};
use crate::command::{Answer, Refusal};
use crate::lock::Candidate;
use crate::network::mac_text;
use crate::store::{self, At, Request};
use crate::vip::ElectionKey;
use crate::wire;

impl Core {
    pub(super) fn waiting_for_hosts(&mut self, key: ElectionKey, token: Token) {
        let asked = self.clients.asking_hosts.iter().any(|(same, _)| *same == key);
        self.clients.asking_hosts.push((key.clone(), token));
        if !asked {
            self.ask(Request::Candidates(key));
        }
    }

    pub(super) fn on_candidates(
        &mut self,
        key: &ElectionKey,
        result: Result<(store::Answer, At), Failure>,
    ) {
        let answer = match result {
            Ok((store::Answer::Candidates(candidates), _)) => {
                Ok(Answer::Hosts(candidates.into_iter().map(host).collect()))
            }
            Ok(_) => Ok(Answer::Hosts(Vec::new())),
            Err(failure) => Err(Refusal::Unavailable(format!("etcd: {}", failure.why))),
        };
        let asking = std::mem::take(&mut self.clients.asking_hosts);
        let (asked, others) = asking.into_iter().partition(|(same, _)| same == key);
        self.clients.asking_hosts = others;
        let asked: Vec<(ElectionKey, Token)> = asked;
        asked.into_iter().for_each(|(_, token)| self.reply(token, answer.clone()));
    }
}

fn host(candidate: Candidate) -> wire::Host {
    let Candidate { host, available, lease, hardware_address, preference, .. } = candidate;
    wire::Host {
        hostname: host,
        available: Some(available),
        // The candidacy of a Go LinK outlives its host.
        alive: (lease != 0).then_some(true),
        hardware_address: hardware_address.map(mac_text),
        priority: Some(preference.priority),
    }
}
