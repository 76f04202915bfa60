//! Who is first when the lock is free: a standby that knows of a better candidate leaves it a turn, which is longer
//! than a message takes. So no standby asks for the lock while a better one is not told yet that it is free.

use link::fsm::State;
use link::lock::{Candidate, LockAnswer, Request};
use link::preference::Preference;

use crate::bugs::Bug;
use crate::host::{HostId, name};
use crate::world::{World, cidr};

impl World {
    /// What a core is told by etcd.
    pub(crate) fn told(&mut self, id: HostId, mut answer: LockAnswer) -> LockAnswer {
        if let Some(others) = &mut answer.others {
            self.host_mut(id).known.0.clone_from(others);
            if self.bug == Some(Bug::EverybodyGoesFirst) {
                others
                    .iter_mut()
                    .for_each(|it| it.preference = Preference { priority: 0, weight: 0 });
            }
        }
        answer
    }

    /// A host asks etcd for something: whether it has left others their turns.
    pub(crate) fn judge_turn(&mut self, id: HostId, request: &Request) {
        let host = self.host(id);
        let waits = host.core.state() == State::Standby && !host.bound && !host.deaf;
        let Some((true, priority)) = host.core.candidacy() else { return };
        let takes = matches!(request, Request::Campaign { .. }) && self.holder().is_none();
        if !(self.punctual && waits && takes) {
            return;
        }
        let own = Preference::new(priority, &cidr().election_key(), &name(id));
        let goes_first = |other: &&Candidate| {
            let had_it = self.state.last_holder.as_ref() == Some(&other.host);
            other.available && other.lease != 0 && other.preference > own && !had_it
        };
        let unaware = |other: &&Candidate| {
            let mut ids = self.ids().filter(|it| name(*it) == other.host);
            ids.any(|it| {
                self.is_connected(it) && self.host(it).runs() && !self.host(it).views.is_empty()
            })
        };
        if let Some(first) = host.known.0.iter().filter(goes_first).find(unaware) {
            let what = format!(
                "{} takes the lock before {} is told that it is free",
                name(id),
                first.host
            );
            self.wrong = Some(what);
        }
    }
}
