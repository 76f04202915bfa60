//! Bugs that are more than a changed transaction: what an agent once did where it does something else.

use link::etcd::Op;
use link::lock::{self, Request};
use link::network::Missed;
use link::store;
use link::vip::Slot;

use super::World;
use crate::bugs::Bug;
use crate::client::{Asker, Failed, Said};
use crate::setup::{self, HOSTS, HostId};

impl World {
    /// What is asked for as a bug has it: the acknowledgement that etcd has refused, for ever.
    pub(super) fn misled(&mut self, host: HostId, asker: Asker) -> Asker {
        match asker {
            Asker::Election(slot, request) if self.bug == Some(Bug::AcknowledgementsNeverEnd) => {
                Asker::Election(slot, self.still_owed(host, slot, request))
            }
            asker => asker,
        }
    }

    /// Who misses the owner as well: by a bug, everybody.
    pub(super) fn exaggerated(&self, host: HostId, missed: Missed) -> Missed {
        let all = (0..HOSTS).filter(|other| *other != host).map(setup::mac);
        match self.bug {
            Some(Bug::MinoritiesTake) => Missed { by: all.collect(), ..missed },
            Some(_) | None => missed,
        }
    }

    fn still_owed(&mut self, host: HostId, slot: Slot, request: Request) -> Request {
        let Some(election) = self.election_mut(host, slot) else { return request };
        if let (Request::Acknowledge { .. }, Some(holder)) = (&request, &election.holder) {
            election.owed = Some((request.clone(), holder.lease));
        }
        election.owed.as_ref().map_or(request, |(owed, _)| owed.clone())
    }

    /// Elections whose IPs have another id in etcd leave when those of etcd have begun: the address and
    /// the lock are given up, and the key and the kernel are not watched any more.
    pub(super) fn unsubscribe_old(&mut self, host: HostId, said: &Result<Said, Failed>) {
        let Ok(Said::Reply(reply)) = said else { return };
        let name = self.hosts[host].name.clone();
        let Some(agent) = self.hosts[host].agent.as_mut() else { return };
        let answer = store::answer_of(&store::Request::Load, &name, &agent.instance, reply);
        let store::Answer::Loaded(found) = answer else { return };
        let mut old = Vec::new();
        for election in agent.elections.values_mut().filter(|_| !agent.loaded) {
            let mut same = found.records.iter().filter(|record| record.cidr == election.cidr);
            if same.any(|record| record.id != election.id) {
                election.unsubscribed = true;
                old.push((election.ip, election.cidr));
            }
        }
        for (ip, cidr) in old {
            self.hosts[host].kernel[ip] = false;
            self.by_hand(Op::Delete(lock::candidacy_key(cidr, &name)));
            if self.locks[ip].as_ref().is_some_and(|holder| holder.host == name) {
                self.by_hand(Op::Delete(lock::key(cidr)));
            }
        }
    }
}
